"""The settings of MAGAIL. No torch here, so that a command line can read them quickly."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from magail_trainer.errors import InputError

Network = Literal["auto", "tabular", "mlp"]
RewardStyle = Literal["non_saturating", "gail", "airl", "symmetric"]
DiscriminatorStyle = Literal["joint", "per_agent", "own_view_joint_action", "zero_sum"]
Critic = Literal["none", "centralised", "decentralised"]
PolicyStyle = Literal["independent", "shared_signal", "autoregressive"]
Baseline = Literal["none", "batch"]
Schedule = Literal["constant", "linear"]

_AT_LEAST_ONE = ("epochs", "rollout_episodes", "batch_size", "policy_epochs", "policy_minibatches", "disc_updates")
_POSITIVE = ("lr_policy", "lr_disc", "lr_critic", "lr_cloning")
_NOT_NEGATIVE = (
    "clip", "value_clip", "max_grad_norm", "gradient_penalty", "disc_weight_decay", "cloning", "warm_start",
    "warm_passes", "warm_critic", "signal_starts",
)  # fmt: skip
_SHARES = ("discount", "gae_lambda")


@dataclass(frozen=True)
class MagailConfig:
    """What is the same for all runs of a sweep. β and the seed are in the run table.

    The defaults are REINFORCE on tables, as for the matching game; `PRESETS` has those of each network.
    """

    network: Network = "tabular"
    """What policies and discriminators are: tables, or multi-layer perceptrons; auto takes tables where all spaces are
    finite and small. The other settings' defaults depend on it; those shown are of tables where they differ."""
    epochs: int = 4000
    """Training epochs: one rollout, the discriminator's updates, and the policies'."""
    rollout_episodes: int = 200
    """Episodes that each run plays per epoch."""
    batch_size: int = 32
    """Episodes of the expert and of the learner in a discriminator update, and of the learner in a policy update; all
    where there are fewer."""
    lr_policy: float = 0.01
    """Adam's learning rate for the policies."""
    lr_disc: float = 0.01
    """Adam's learning rate for the discriminator."""
    lr_critic: float = 7e-4
    """Adam's learning rate for the critic."""
    lr_schedule: Schedule = "constant"
    """What the learning rates of policies and critic do: stay, or fall to 0 in a line."""
    beta_schedule: Schedule = "constant"
    """What the weight of the entropy bonus does: stay, or fall to 0 in a line."""
    reward_style: RewardStyle = "non_saturating"
    """What the policies maximise: log D (non_saturating), -log(1 - D) (gail), log D - log(1 - D) (airl), or 2D - 1
    (symmetric)."""
    policy_init_uniform: bool = False
    """Start every policy at equal probabilities, not at logits of 0.1 times a standard normal (tables)
    or near them (mlp)."""
    discount: float = 0.99
    """How much a reward one step later counts; without effect in one-step episodes."""
    exact: bool = False
    """Train with expectations over every joint action in place of samples, for one-step envs; then rollout_episodes,
    batch_size and policy_minibatches do not matter."""
    allow_variable_horizon: bool = False
    """Train although episodes differ in length, or an agent leaves sooner or later. The sign of a reward then tells the
    policies to live longer or shorter, whatever the expert does."""

    policy: PolicyStyle = "independent"
    """What each agent's policy sees besides its own observation: nothing; a signal drawn for each episode, the same for
    all agents and hidden from the discriminator (shared_signal: the agents must share it wherever they act); or what
    the agents before it are about to do (autoregressive: nobody can then act alone)."""
    signals: int = 4
    """How many values a shared signal has. Their weights are learnt."""
    signal_starts: int = 0
    """Random starts, of which the likeliest end is taken, in finding out under which value of the shared signal each
    demonstration was played, before perceptrons are cloned; 0 to leave that to the cloning."""
    baseline: Baseline = "none"
    """What REINFORCE subtracts from the rewards to come: nothing, or their mean over the batch at the same step."""

    hidden: tuple[int, ...] = (128, 128)
    """Widths of an mlp's hidden layers."""
    own_network: str = ""
    """A module:callable of yours in place of the perceptrons of policies, critic and discriminator: called with the
    numbers of inputs and outputs, it makes a torch module from [B, inputs] to [B, outputs] without buffers."""
    share_parameters: str = "auto"
    """Which agents' policies share a network, but for weights of each agent's own in its first layer: those of the same
    spaces (auto, all), none, or groups such as agent_0,agent_1:agent_2,agent_3."""

    critic: Critic = "none"
    """What the advantage is measured against: nothing, a network that sees all observations, or one for each agent."""
    policy_epochs: int = 1
    """Passes over the rollout in a policy step."""
    policy_minibatches: int = 1
    """Updates in each pass, each on other episodes: batch_size of them, or fewer where there are not so many."""
    clip: float = 0.0
    """PPO's bound on the change of a probability; 0 for REINFORCE's objective."""
    value_clip: float = 0.0
    """The same for the critic's values; 0 for no bound."""
    gae_lambda: float = 1.0
    """λ of generalised advantage estimation; without a critic it is 1, for there it would be one more discount."""
    normalize_advantages: bool = False
    """Scale the advantages of each run to mean 0 and deviation 1."""
    normalize_rewards: bool = False
    """Scale the returns of each run to deviation 1, and the rewards to mean 0 where all lives are equally long."""
    max_grad_norm: float = 0.0
    """Bound on the norm of each run's gradient for policies and critic; 0 for none."""

    discriminator: DiscriminatorStyle = "joint"
    """Who judges: one that sees all observations and actions (joint); one for each agent that sees its own (per_agent);
    one for each agent that sees its own observation and all actions (own_view_joint_action); or, where two sides play
    against each other, one that sees all, pays one side, and makes the other pay for it (zero_sum)."""
    sides: str = ""
    """The two sides of a zero_sum discriminator, such as agent_0,agent_1:agent_2; needed where there are more agents
    than two and their names, less a number at the end, are not just two."""
    disc_updates: int = 1
    """Discriminator updates per epoch."""
    gradient_penalty: float = 0.0
    """Weight of (|gradient| - 1)² of an mlp discriminator's logit, between the expert's inputs and the learner's."""
    disc_weight_decay: float = 0.0
    """Decoupled weight decay of the discriminator."""
    label_smoothing: float = 0.0
    """Share taken from the right label and given to the wrong one."""

    warm_start: int = 0
    """Updates of behavioural cloning before the first epoch, or as many as warm_passes takes; 0 for none."""
    warm_passes: int = 0
    """Passes over the dataset that a warm start has at least: augmented datasets are large."""
    warm_critic: int = 0
    """Epochs after a warm start in which the discriminator and the critic learn alone; at most half of all."""
    lr_cloning: float = 0.01
    """Adam's learning rate for cloning."""
    cloning: float = 0.0
    """Weight of the cloning loss during MAGAIL for every 100 demonstrations. The more of them there are, the more is
    known for sure, and the less is learnt by heart. With 4, its gradient on simple_spread is a fifth of the rest's for
    10 demonstrations, about as large for 50, and six times as large for 200, where MAGAIL is mostly cloning."""

    def __post_init__(self) -> None:
        for name in _AT_LEAST_ONE:
            self._expect(name, "at least 1", holds=getattr(self, name) >= 1)
        for name in _POSITIVE:
            self._expect(name, "a positive number", holds=0 < getattr(self, name) < float("inf"))
        for name in _NOT_NEGATIVE:
            self._expect(name, "0 or a positive number", holds=0 <= getattr(self, name) < float("inf"))
        for name in _SHARES:
            self._expect(name, "between 0 and 1", holds=0 <= getattr(self, name) <= 1)
        self._expect("label_smoothing", "from 0 to below 0.5", holds=0 <= self.label_smoothing < 0.5)
        self._expect("hidden", "widths of at least 1", holds=all(width >= 1 for width in self.hidden))
        if self.clip == 0 and self.policy_epochs > 1:
            raise InputError(f"--policy_epochs {self.policy_epochs} needs --clip: REINFORCE's samples serve once.")
        self._expect("signals", "at least 2", holds=self.signals >= 2)
        if self.policy != "shared_signal" and self.signals != MagailConfig.signals:
            raise InputError(f"--signals {self.signals} needs --policy shared_signal.")
        if self.baseline != "none" and self.critic != "none":
            raise InputError(f"--baseline {self.baseline} needs --critic none: one of them is enough.")
        if self.exact and self.gradient_penalty > 0:
            raise InputError(f"--exact has no pairs to take --gradient_penalty {self.gradient_penalty} between.")
        if self.sides and self.discriminator != "zero_sum":
            raise InputError(f"--sides {self.sides} needs --discriminator zero_sum.")
        if self.exact and self.discriminator == "zero_sum":
            raise InputError("--exact has no --discriminator zero_sum, for which the learner's actions are drawn.")
        for name, kind in get_type_hints(MagailConfig).items():
            if get_origin(kind) is Literal and getattr(self, name) not in get_args(kind):
                choices = ", ".join(get_args(kind))
                raise InputError(f"--{name} must be one of {choices}, not {getattr(self, name)!r}.")

    def _expect(self, name: str, expected: str, *, holds: bool) -> None:
        if not holds:
            raise InputError(f"--{name} must be {expected}, not {getattr(self, name)}.")

    @classmethod
    def read(cls, settings: Mapping[str, Any]) -> "MagailConfig":
        """The settings that `dataclasses.asdict` wrote; what an older version did not write has its default."""
        known = {field.name for field in fields(cls)}
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()
        }
        return cls(**{name: value for name, value in values.items() if name in known})


def at_least_passes(updates: int, passes: int, *, episodes: int, batch_size: int) -> int:
    """So many updates, or as many as it takes to see all of a dataset's `episodes` so many times."""
    return max(updates, -(-passes * episodes // min(batch_size, episodes)))


PRESETS: Mapping[str, MagailConfig] = {
    "tabular": MagailConfig(),
    "mlp": MagailConfig(
        network="mlp",
        epochs=400,
        rollout_episodes=128,
        batch_size=32,
        lr_policy=7e-4,
        lr_disc=1e-3,
        lr_critic=4e-3,
        lr_schedule="linear",
        beta_schedule="linear",
        reward_style="airl",
        discount=0.95,
        signal_starts=6,
        critic="centralised",
        policy_epochs=2,
        policy_minibatches=4,
        clip=0.2,
        gae_lambda=0.95,
        normalize_advantages=True,
        normalize_rewards=True,
        max_grad_norm=0.5,
        disc_updates=5,
        gradient_penalty=0.02,
        warm_start=200,  # few: of ten demonstrations, a policy that has learnt them by heart explores no more
        warm_passes=32,  # no more than the 200 updates take on 200 demonstrations, more on augmented ones
        warm_critic=10,
        lr_cloning=3e-3,
        cloning=4.0,
    ),
}
"""The defaults of `magail train` for each network."""

PRESET_BETA: Mapping[str, float] = {"tabular": 0.0, "mlp": 0.003}
"""The weight of the entropy bonus that goes with them."""
