"""The flags of the commands on the theory: phase_portrait and phase_diagram."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from experiments.matching.games import ExpertType
from experiments.studies.commands import with_defaults
from magail_trainer.learn.config import RewardStyle

if TYPE_CHECKING:
    from experiments.theory.phase_cells import Effort

Kind = Literal["frozen", "optimal"]
Start = Literal["uniform", "normal"]

LOGIT_BOUND = 10.0
"""A discriminator this certain errs in one of 22 000 cases; Adam at 0.01 takes some thousand epochs to get there."""


@dataclass(frozen=True)
class PhasePortraitConfig:
    """Draw the gradient flow of imitation by independent policies, with sampled runs on top."""

    expert_type: ExpertType = "bimodal"
    """The scripted expert, as in `python -m experiments.coordination`."""
    betas: tuple[float, ...] = (0.0, 0.25, 0.55, 1.0)
    """Weights of the policies' entropy bonus: a column for each."""
    reward_style: RewardStyle = "gail"
    """What the policies maximise: log D (non_saturating), -log(1 - D) (gail), log D - log(1 - D) (airl), or 2D - 1
    (symmetric)."""
    discriminator: tuple[Kind, ...] = ("frozen", "optimal")
    """The flow's discriminator, a row for each: frozen at its optimum against uniform policies, or always optimal."""
    seeds: int = 10
    """Number of runs in each panel, with the seeds 0, 1, 2, ..."""
    epochs: int = 4000
    """Training epochs of a run."""
    lr_policy: float = 0.01
    """Adam's learning rate for the policies."""
    lr_disc: float | None = None
    """Adam's learning rate for the discriminator; by default a tenth of lr_policy beside the frozen one, and ten times
    lr_policy beside the optimal one."""
    logit_bound: float = LOGIT_BOUND
    """The largest logit of the flow's discriminator. It matters for unbounded rewards: log D and the logit."""
    output: Path | None = None
    """The folder to make; by default a new one under results/phase_portrait."""
    overwrite: bool = False
    """Replace the results that --output already holds."""
    quick: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Half the runs and a quarter of the epochs: other defaults for the flags above."""

    def settle(self) -> "PhasePortraitConfig":
        """With the defaults of `quick` for flags that were not given."""
        return with_defaults(self, PORTRAIT_QUICK) if self.quick else self


PORTRAIT_QUICK: dict[str, Any] = {"seeds": 5, "epochs": 1000}


@dataclass(frozen=True)
class PhaseConfig:
    """Map where agents collapse to a convention: over β, the learning rates and the reward."""

    rewards: tuple[RewardStyle, ...] = ("non_saturating", "gail", "airl", "symmetric")
    """What the policies maximise, as in `python -m experiments.coordination`; a panel for each."""
    betas: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0)
    """Weights of the policies' entropy bonus."""
    lr_policies: tuple[float, ...] = (0.01,)
    """Adam's learning rates for the policies; a row of panels for each."""
    speed_ratios: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
    """The discriminator's learning rates, as multiples of the policies'."""
    seeds: int = 20
    """Number of runs of each cell."""
    epochs: int = 4000
    """Training epochs."""
    start: Start = "uniform"
    """Policies start at exactly 0.5/0.5, or at logits of 0.1 times a standard normal."""
    exact: bool = False
    """Train with expectations over the four joint actions instead of samples."""
    expert_type: ExpertType = "bimodal"
    """The scripted expert."""
    output: Path = Path("results/phase_diagram")
    """The folder for all results; finished parts in it are kept."""
    jobs: int = 2
    """Number of parts to train at the same time, each in its own process."""
    quick: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """A coarse map with few seeds, to see that it works: other defaults for the flags above."""

    def settle(self) -> "PhaseConfig":
        """With the defaults of `quick` for flags that were not given."""
        return with_defaults(self, DIAGRAM_QUICK) if self.quick else self

    @property
    def effort(self) -> "Effort":
        """The settings that all cells of the map share."""
        from experiments.theory.phase_cells import Effort

        return Effort(self.betas, self.seeds, self.epochs, self.start, self.expert_type, self.exact)


DIAGRAM_QUICK: dict[str, Any] = {
    "rewards": ("non_saturating", "gail"),
    "betas": (0.0, 0.2, 0.5, 1.0),
    "speed_ratios": (0.03, 0.3, 3.0, 30.0),
    "seeds": 5,
    "epochs": 2000,
    "output": Path("results/phase_diagram_quick"),
}
