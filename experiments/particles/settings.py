"""The flags of the commands on particle envs: mpe and conventions."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from experiments.studies.commands import with_defaults

if TYPE_CHECKING:
    from experiments.particles.cells import SharedSettings

TaskName = Literal["speaker_listener", "spread_fixed", "spread_cheapest", "push", "tag"]
MethodName = Literal[
    "cloning",
    "magail_joint",
    "magail_per_agent",
    "cloning_symmetric",
    "magail_joint_symmetric",
    "magail_per_agent_symmetric",
    "magail_joint_scratch",
    "magail_per_agent_scratch",
    "cloning_signal",
    "magail_signal",
]


@dataclass(frozen=True)
class MpeConfig:
    """Compare the returns of cloning and MAGAIL on particle envs, by number of demonstrations."""

    tasks: tuple[TaskName, ...] = ("speaker_listener", "spread_fixed", "spread_cheapest", "push", "tag")
    """The tasks. In push and tag the learner plays each side against the scripted expert."""
    methods: tuple[MethodName, ...] = ("cloning", "magail_joint", "magail_per_agent")
    """The methods. MAGAIL trains as in `magail train --network mlp`, with one discriminator for all agents or one for
    each. Methods in _symmetric also learn from the images of the demonstrations under symmetries of the env; those in
    _scratch do not clone, and train three times as long; those in _signal share a signal that is inferred."""
    demonstrations: tuple[int, ...] = (5, 10, 50, 200)
    """Numbers of expert episodes."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One run for each."""
    eval_episodes: int = 1000
    """Episodes that each run plays after training, once with sampled and once with greedy actions."""
    epochs: int | None = None
    """Epochs of MAGAIL; by default those of `magail train`."""
    cloning_updates: int | None = None
    """Updates of cloning, and the most in MAGAIL's warm start; by default those of `magail clone` and `train`."""
    output: Path = Path("results/mpe")
    """The folder for all results; finished cells in it are kept."""
    jobs: int = 1
    """Number of cells to train at the same time, each in its own process."""
    quick: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """A few small cells, in two or three minutes, to see that it works: other defaults for the flags above."""

    def settle(self) -> "MpeConfig":
        """With the defaults of `quick` for flags that were not given."""
        return with_defaults(self, MPE_QUICK) if self.quick else self

    @property
    def shared(self) -> "SharedSettings":
        """The settings that all cells share."""
        from experiments.particles.cells import SharedSettings

        return SharedSettings(self.seeds, self.eval_episodes, self.epochs, self.cloning_updates)


MPE_QUICK: dict[str, Any] = {
    "tasks": ("speaker_listener", "push"),
    "demonstrations": (5, 50),
    "seeds": (0, 1, 2),
    "eval_episodes": 200,
    "epochs": 20,
    "cloning_updates": 200,
    "output": Path("results/mpe_quick"),
}


@dataclass(frozen=True)
class ConventionsConfig:
    """Learn from an expert with three conventions, and measure which of them each seed plays."""

    methods: tuple[MethodName, ...] = (
        *("cloning", "magail_joint", "magail_per_agent", "magail_joint_scratch", "magail_per_agent_scratch"),
        *("cloning_signal", "magail_signal"),
    )
    """The methods, as in `python -m experiments.mpe`."""
    demonstrations: int = 200
    """Number of expert episodes."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One run for each."""
    eval_episodes: int = 1000
    """Episodes that each run plays after training."""
    epochs: int | None = None
    """Epochs of MAGAIL; by default those of `magail train`."""
    cloning_updates: int | None = None
    """Updates of cloning, and the most in MAGAIL's warm start; by default those of `magail clone` and `train`."""
    output: Path = Path("results/conventions")
    """The folder for all results; finished cells in it are kept."""
    jobs: int = 1
    """Number of methods to train at the same time, each in its own process."""
    quick: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """A small run of two or three minutes, to see that it works: other defaults for the flags above."""

    def settle(self) -> "ConventionsConfig":
        """With the defaults of `quick` for flags that were not given."""
        return with_defaults(self, CONVENTIONS_QUICK) if self.quick else self

    @property
    def shared(self) -> "SharedSettings":
        """The settings that all cells share."""
        from experiments.particles.cells import SharedSettings

        return SharedSettings(self.seeds, self.eval_episodes, self.epochs, self.cloning_updates)


CONVENTIONS_QUICK: dict[str, Any] = {
    "demonstrations": 50,
    "seeds": (0, 1, 2),
    "eval_episodes": 200,
    "epochs": 30,
    "cloning_updates": 400,
    "output": Path("results/conventions_quick"),
}
