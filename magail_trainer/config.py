"""The settings of MAGAIL. No torch here, so that a command line can read them quickly."""

from dataclasses import dataclass
from typing import Literal, get_args

from magail_trainer.errors import InputError

RewardStyle = Literal["non_saturating", "gail"]


@dataclass(frozen=True)
class MagailConfig:
    """What is the same for all runs of a sweep. β and the seed are in the run table."""

    epochs: int = 4000
    """Training epochs: one rollout, one discriminator step and one policy step each."""
    rollout_episodes: int = 200
    """Episodes that each run plays per epoch."""
    batch_size: int = 32
    """Episodes of the expert and of the learner in a discriminator step, and of the learner in a policy step; all
    where there are fewer."""
    lr_policy: float = 0.01
    """Adam's learning rate for the policies."""
    lr_disc: float = 0.01
    """Adam's learning rate for the discriminator."""
    reward_style: RewardStyle = "non_saturating"
    """What the policies maximise: log D (non_saturating) or -log(1 - D) (gail)."""
    policy_init_uniform: bool = False
    """Start every policy at equal probabilities, not at logits of 0.1 times a standard normal."""
    discount: float = 0.99
    """How much a reward one step later counts; without effect in one-step episodes."""
    exact: bool = False
    """Train with expectations over every joint action in place of samples, for one-step envs; then neither
    rollout_episodes nor batch_size matters."""

    def __post_init__(self) -> None:
        for name in ("epochs", "rollout_episodes", "batch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name} must be at least 1, not {getattr(self, name)}.")
        for name in ("lr_policy", "lr_disc"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"--{name} must be a positive number, not {getattr(self, name)}.")
        if not 0 <= self.discount <= 1:
            raise InputError(f"--discount must be between 0 and 1, not {self.discount}.")
        styles = get_args(RewardStyle)
        if self.reward_style not in styles:
            raise InputError(f"--reward_style must be one of {', '.join(styles)}, not {self.reward_style!r}.")
