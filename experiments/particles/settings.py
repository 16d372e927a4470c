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
    """Compare cloning and MAGAIL on particle envs, by what the learners earn for how many demonstrations."""

    tasks: tuple[TaskName, ...] = ("speaker_listener", "spread_fixed", "spread_cheapest", "push", "tag")
    """What is learnt. In push and tag the learner plays each side against the scripted expert."""
    methods: tuple[MethodName, ...] = ("cloning", "magail_joint", "magail_per_agent")
    """How. MAGAIL is as in `magail train --network mlp`, with one discriminator for all agents or one for each. The
    methods that end in _symmetric are given the demonstrations and their images under symmetries of the env; those in
    _scratch clone nothing, and train three times as long; those in _signal share a signal that is inferred."""
    demonstrations: tuple[int, ...] = (5, 10, 50, 200)
    """How many episodes of the expert there are."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One run for each."""
    eval_episodes: int = 1000
    """Episodes that each run plays after training: so many with drawn actions, as many with the likeliest ones."""
    epochs: int | None = None
    """Of MAGAIL; by default as many as `magail train` takes."""
    cloning_updates: int | None = None
    """Of cloning, and the most that MAGAIL's warm start has; by default as many as in `magail clone` and `train`."""
    output: Path = Path("results/mpe")
    """The folder for everything; what is in it already is not done again."""
    jobs: int = 1
    """How many cells to work on at the same time, each in a process of its own."""
    quick: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """A few small cells, in two or three minutes, to see that it works: other defaults for the flags above."""

    def settle(self) -> "MpeConfig":
        """What `quick` stands for, in the place of every flag that was not given."""
        return with_defaults(self, MPE_QUICK) if self.quick else self

    @property
    def shared(self) -> "SharedSettings":
        """What is the same for all cells."""
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
    """Learn from an expert with three conventions, and count which of them each seed plays."""

    methods: tuple[MethodName, ...] = (
        *("cloning", "magail_joint", "magail_per_agent", "magail_joint_scratch", "magail_per_agent_scratch"),
        *("cloning_signal", "magail_signal"),
    )
    """How, as in `python -m experiments.mpe`."""
    demonstrations: int = 200
    """How many episodes of the expert there are."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One run for each."""
    eval_episodes: int = 1000
    """Episodes that each run plays after training."""
    epochs: int | None = None
    """Of MAGAIL; by default as many as `magail train` takes."""
    cloning_updates: int | None = None
    """Of cloning, and the most that MAGAIL's warm start has; by default as many as in `magail clone` and `train`."""
    output: Path = Path("results/conventions")
    """The folder for everything; what is in it already is not done again."""
    jobs: int = 1
    """How many methods to work on at the same time, each in a process of its own."""
    quick: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """A small run of two or three minutes, to see that it works: other defaults for the flags above."""

    def settle(self) -> "ConventionsConfig":
        """What `quick` stands for, in the place of every flag that was not given."""
        return with_defaults(self, CONVENTIONS_QUICK) if self.quick else self

    @property
    def shared(self) -> "SharedSettings":
        """What is the same for all cells."""
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
