"""One cell of the particle benchmark: a task, a method and a number of demonstrations, for all seeds at once.

A cell is a run folder that `magail evaluate` reads, and two files more:

    settings.json   what made it
    returns.csv     a row for each side and seed: env, seed, env_steps, cpu_seconds, return_stochastic, return_argmax

What random, expert and floors earn is in a folder beside the cells of the task: settings.json and another returns.csv.

All seeds of a cell see the same demonstrations: an interval over seeds says nothing of other demonstrations.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from experiments.particles.experts import VERSION
from experiments.particles.tasks import TASKS, reference_returns
from experiments.particles.training import clone, side_returns, train
from magail_trainer.data.recording import record
from magail_trainer.data.run_folder import write_run, write_table
from magail_trainer.errors import InputError
from magail_trainer.files import plain_json
from magail_trainer.learn.config import DEFAULT_BETA, MagailConfig, PolicyStyle, as_run, cloning_updates, heeded
from magail_trainer.learn.runs import Runs
from magail_trainer.learn.trainer import Trainer
from magail_trainer.play.load_runs import load_runs

Method = Literal[
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
SYMMETRIC = "_symmetric"
"""The end of the methods that are given the images of the demonstrations under the task's symmetries as well."""
SCRATCH = "_scratch"
"""The end of the methods whose policies are taught by discriminators alone: no cloning, before or meanwhile."""
SCRATCH_FACTOR = 3
"""They have so many times the epochs, for they start from nothing."""
OF_SIGNAL = {"cloning_signal": "cloning", "magail_signal": "magail_joint"}
"""The methods whose agents share a signal, and what they are but for that. It has as many values as
`MagailConfig.signals` says by default: nobody tells how many there are to be found."""
COPIES = 47
"""Images of each demonstration, or all where there are not so many."""

RETURNS = "returns.csv"
DEMONSTRATION_SEED = 0
"""Of every dataset. Fewer demonstrations are the first ones of more."""
EVALUATION_SEED = 1
REFERENCE_FACTOR = 20
"""The ends of the scale are played so many times as long as a learner: they are in every score."""


@dataclass(frozen=True)
class Effort:
    """What is the same for all cells.

    Raises:
        InputError: a number is out of range.
    """

    seeds: tuple[int, ...]
    eval_episodes: int
    """Of each seed: so many with drawn actions, as many with the likeliest ones."""
    epochs: int | None = None
    """Of MAGAIL; None for the preset's."""
    cloning_updates: int | None = None
    """Of cloning, and the most that MAGAIL's warm start has; None for what `magail clone` and the preset have."""

    def __post_init__(self) -> None:
        for name in ("eval_episodes", "epochs", "cloning_updates"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"--{name} must be at least 1, not {value}.")
        Runs.grid(betas=(0.0,), seeds=self.seeds)  # says what is wrong with them


@dataclass(frozen=True)
class References:
    """What random, expert and floors of a task earn."""

    task: str
    effort: Effort

    @property
    def name(self) -> str:
        """Of the folder."""
        return f"{self.task}-references"

    def settings(self) -> dict[str, Any]:
        """Task and episodes."""
        episodes = self.effort.eval_episodes * REFERENCE_FACTOR
        return {
            **{"kind": "references", "task": self.task, "experts": VERSION},
            **{"episodes": episodes, "evaluation_seed": EVALUATION_SEED},
        }

    def fill(self, folder: Path) -> str:
        """Play them all and write their table."""
        table = reference_returns(TASKS[self.task], episodes=self.settings()["episodes"], seed=EVALUATION_SEED)
        write_table(folder / RETURNS, table)
        return f"{self.settings()['episodes']} episodes of each"


@dataclass(frozen=True)
class Cell:
    """A task, a method, a number of demonstrations."""

    task: str
    method: Method
    demonstrations: int
    effort: Effort

    @property
    def name(self) -> str:
        """Of the folder."""
        return f"{self.task}-{self.method}-{self.demonstrations}"

    def settings(self) -> dict[str, Any]:
        """Which cell it is, and every setting that its training heeds."""
        config, updates = self.training()
        training = asdict(config)
        if self.algorithm == "cloning":
            training = heeded(config, "cloning")
        described = {
            "kind": "cell",
            "experts": VERSION,
            **{name: getattr(self, name) for name in ("task", "method", "demonstrations")},
            **{name: getattr(self.effort, name) for name in ("seeds", "eval_episodes")},
            **{"demonstration_seed": DEMONSTRATION_SEED, "evaluation_seed": EVALUATION_SEED},
            **{"cloning_updates": updates, "beta": self._beta, "training": training},
        }
        if self.is_symmetric:
            described["symmetries"] = {"name": TASKS[self.task].symmetries, "copies": COPIES}
        return plain_json(described)

    def training(self) -> tuple[MagailConfig, int]:
        """The settings of the trainer, and how many updates of cloning there are: those of `magail clone` and `train`.

        MAGAIL differs from the preset in its discriminator, in what task and effort say, where there is a signal, and
        where there is no cloning.
        """
        preset, updates = MagailConfig(network="mlp"), self.effort.cloning_updates
        policy: PolicyStyle = "shared_signal" if self.method in OF_SIGNAL else "independent"
        share = TASKS[self.task].share_parameters
        if self.algorithm == "cloning":
            config = as_run(MagailConfig(network="mlp", policy=policy, share_parameters=share), "cloning")
            return config, updates or cloning_updates(config, episodes=self._episodes)
        scratch = self.method.endswith(SCRATCH)
        warm_start = 0 if scratch else min(preset.warm_start, updates or preset.warm_start)
        own = {
            "policy": policy,
            "share_parameters": share,
            "discriminator": "joint" if self.algorithm == "magail_joint" else "per_agent",
            "epochs": self.effort.epochs or preset.epochs * (SCRATCH_FACTOR if scratch else 1),
            "warm_start": warm_start,
            "warm_passes": 0 if updates or scratch else preset.warm_passes,
            "warm_critic": 0 if scratch else preset.warm_critic,
            "cloning": 0.0 if scratch else preset.cloning,
        }
        return replace(preset, **own), warm_start

    def fill(self, folder: Path) -> str:
        """Record, train, play; write the run folder and the returns."""
        task, (config, updates) = TASKS[self.task], self.training()
        recorded = record(task.entry, task.player("expert"), episodes=self.demonstrations, seed=DEMONSTRATION_SEED)
        if self.is_symmetric:
            recorded = task.augmented(recorded, copies=COPIES)
        runs = Runs.grid(betas=(self._beta,), seeds=self.effort.seeds)
        started = time.process_time()
        cloning = {"algorithm": "cloning", "updates": updates} if self.algorithm == "cloning" else {}
        trainer = Trainer(task.entry, recorded, runs, config, **cloning)
        history = clone(trainer) if cloning else train(trainer)
        seconds = (time.process_time() - started) / len(runs)
        self._write_run(folder, trainer, history)

        episodes = self.effort.eval_episodes
        returns = side_returns(task, load_runs(folder), episodes=episodes, seed=EVALUATION_SEED)
        rows = len(returns["seed"])
        steps = int(history["env_steps"][-1]) if "env_steps" in history else 0
        keys = {name: returns.pop(name) for name in ("env", "seed")}
        cost = {"env_steps": [steps] * rows, "cpu_seconds": [seconds] * rows}
        write_table(folder / RETURNS, {**keys, **cost, **returns})
        means = _mean_by(keys["env"], returns["return_stochastic"])
        return "mean return of " + ", ".join(f"{env} {mean:.2f}" for env, mean in means.items())

    @property
    def _episodes(self) -> int:
        """Of the dataset."""
        return self.demonstrations * (1 + TASKS[self.task].copies(COPIES) if self.is_symmetric else 1)

    @property
    def is_symmetric(self) -> bool:
        """Whether there are the images of the demonstrations as well."""
        return self.method.endswith(SYMMETRIC)

    @property
    def algorithm(self) -> str:
        """The method, whatever it is given and whatever its agents share."""
        return OF_SIGNAL.get(self.method, self.method.removesuffix(SYMMETRIC).removesuffix(SCRATCH))

    @property
    def _beta(self) -> float:
        return 0.0 if self.algorithm == "cloning" else DEFAULT_BETA["mlp"]

    def _write_run(self, folder: Path, trainer: Trainer, history: Mapping[str, np.ndarray]) -> None:
        final = {
            name.replace("/", "_"): values[-1] for name, values in history.items() if name not in ("epoch", "env_steps")
        }
        write_run(
            folder,
            config=trainer.describe(),
            table={"beta": trainer.runs.beta, "seed": trainer.runs.seed, **final},
            history=history,
            modules={"policies": trainer.policies},
        )


def job_of(settings: Mapping[str, Any], effort: Effort) -> Cell | References:
    """The job that would make a folder of such settings now.

    Raises:
        InputError: there is no such task.
    """
    kind, task = settings.get("kind"), str(settings.get("task"))
    if task not in TASKS or kind not in ("references", "cell"):
        raise InputError(f"There is a folder of {kind} of the task {task!r}; expected one of {', '.join(TASKS)}.")
    if kind == "references":
        return References(task, effort)
    return Cell(task, settings["method"], settings["demonstrations"], effort)


def _mean_by(labels: Sequence[str], values: Sequence[float]) -> dict[str, float]:
    """The mean of the values of each label."""
    return {
        label: float(np.mean([value for other, value in zip(labels, values, strict=True) if other == label]))
        for label in dict.fromkeys(labels)
    }
