"""One cell of the particle benchmark: a task, a method and a number of demonstrations, for all seeds at once.

A cell is a run folder that `magail evaluate` reads, with two more files:

    settings.json   every setting that decides its content
    returns.csv     a row for each side and each seed that did not diverge: env, seed, env_steps, cpu_seconds,
                    return_stochastic, return_argmax

The returns of the random policy, the expert and the floors of a task are in a folder of their own beside its cells:
settings.json and returns.csv.

All seeds of a cell see the same demonstrations: an interval over seeds does not cover other demonstrations.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.particles.experts import VERSION
from experiments.particles.methods import COPIES, METHODS, Method, MethodName, training_settings
from experiments.particles.tasks import TASKS, Task, reference_returns
from experiments.particles.training import side_returns, train
from experiments.studies.jobs import read_settings
from experiments.studies.statistics import mean_of
from magail_trainer.data.recording import record
from magail_trainer.data.run_folder import final_metrics, write_table
from magail_trainer.errors import InputError
from magail_trainer.files import plain_json
from magail_trainer.learn.checkpoints import save_run
from magail_trainer.learn.config import MagailConfig, heeded
from magail_trainer.learn.runs import Runs
from magail_trainer.learn.trainer import Trainer
from magail_trainer.play.load_runs import load_runs

RETURNS = "returns.csv"
DEMONSTRATION_SEED = 0
"""Of every dataset: fewer demonstrations are the first ones of more."""
EVALUATION_SEED = 1
REFERENCE_FACTOR = 20
"""Random policy and expert play so many times as many episodes as a learner: every score depends on them."""


@dataclass(frozen=True)
class SharedSettings:
    """What is the same for all cells.

    Raises:
        InputError: a number is out of range.
    """

    seeds: tuple[int, ...]
    eval_episodes: int
    """Of each seed, twice: with sampled and with greedy actions."""
    epochs: int | None = None
    """Of MAGAIL; None for as many as `magail train` takes."""
    cloning_updates: int | None = None
    """Of cloning, and the most in MAGAIL's warm start; None for as many as `magail clone` and `train` take."""

    def __post_init__(self) -> None:
        for name in ("eval_episodes", "epochs", "cloning_updates"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"--{name} must be at least 1, not {value}.")
        Runs.grid(betas=(0.0,), seeds=self.seeds)  # checks the seeds


@dataclass(frozen=True)
class ReferenceReturns:
    """The job that plays the random policy, the expert and the floors of a task."""

    task: str
    shared: SharedSettings

    @property
    def name(self) -> str:
        """The folder's name."""
        return f"{self.task}-references"

    @property
    def episodes(self) -> int:
        """Of each joint policy."""
        return self.shared.eval_episodes * REFERENCE_FACTOR

    def settings(self) -> dict[str, Any]:
        """Every setting that decides the returns."""
        return {
            **{"kind": "references", "task": self.task, "experts": VERSION},
            **{"episodes": self.episodes, "evaluation_seed": EVALUATION_SEED},
        }

    def fill(self, folder: Path) -> str:
        """Play, and write the returns."""
        table = reference_returns(TASKS[self.task], episodes=self.episodes, seed=EVALUATION_SEED)
        write_table(folder / RETURNS, table)
        return f"{self.episodes} episodes of each"


@dataclass(frozen=True)
class BenchmarkCell:
    """The job that trains a method on a task with a number of demonstrations."""

    task: str
    method: MethodName
    demonstrations: int
    shared: SharedSettings

    @property
    def name(self) -> str:
        """The folder's name."""
        return f"{self.task}-{self.method}-{self.demonstrations}"

    def settings(self) -> dict[str, Any]:
        """Which cell it is, and every setting that matters to its training."""
        task, method = self._task, self._method
        config, updates = self.training()
        settings = {
            "kind": "cell",
            "experts": VERSION,
            **{name: getattr(self, name) for name in ("task", "method", "demonstrations")},
            **{name: getattr(self.shared, name) for name in ("seeds", "eval_episodes")},
            **{"demonstration_seed": DEMONSTRATION_SEED, "evaluation_seed": EVALUATION_SEED},
            **{"cloning_updates": updates, "beta": method.beta, "training": heeded(config, method.algorithm)},
        }
        if method.symmetric:
            settings["symmetries"] = {"name": task.symmetries, "copies": COPIES}
        return plain_json(settings)

    def training(self) -> tuple[MagailConfig, int]:
        """The settings of the trainer, and the number of cloning updates, alone or as MAGAIL's warm start."""
        task, method = self._task, self._method
        images = task.copies(COPIES) if method.symmetric else 0
        return training_settings(
            method,
            task,
            episodes=self.demonstrations * (1 + images),
            epochs=self.shared.epochs,
            updates=self.shared.cloning_updates,
        )

    def fill(self, folder: Path) -> str:
        """Record, train, play; write the run folder and the returns."""
        task, method, (config, updates) = self._task, self._method, self.training()
        recorded = record(task.entry, task.player("expert"), episodes=self.demonstrations, seed=DEMONSTRATION_SEED)
        if method.symmetric:
            recorded = task.augmented(recorded, copies=COPIES)
        runs = Runs.grid(betas=(method.beta,), seeds=self.shared.seeds)
        updates = updates if method.algorithm == "cloning" else None
        trainer = Trainer(task.entry, recorded, runs, config, algorithm=method.algorithm, updates=updates)
        history = train(trainer, folder)
        seconds = trainer.state.cpu_seconds / len(runs)
        final = final_metrics(history)
        if method.algorithm == "magail":
            steps_of_epoch = config.rollout_episodes * int(recorded.lengths[0])  # all episodes are equally long
            history["env_steps"] = history["epoch"] * steps_of_epoch
        save_run(folder, trainer, history, columns=final)

        returns = side_returns(task, load_runs(folder), episodes=self.shared.eval_episodes, seed=EVALUATION_SEED)
        rows = len(returns["seed"])
        steps = int(history["env_steps"][-1]) if "env_steps" in history else 0
        keys = {name: returns.pop(name) for name in ("env", "seed")}
        cost = {"env_steps": [steps] * rows, "cpu_seconds": [seconds] * rows}
        write_table(folder / RETURNS, {**keys, **cost, **returns})
        envs, earned = np.asarray(keys["env"]), np.asarray(returns["return_stochastic"])
        means = [f"{side.label} {mean_of(earned[envs == side.label]):.2f}" for side in task.sides]
        return "mean return of " + ", ".join(means)

    @property
    def _task(self) -> Task:
        return TASKS[self.task]

    @property
    def _method(self) -> Method:
        return METHODS[self.method]


def settings_now(folder: Path) -> dict[str, Any]:
    """The settings that made a folder, those of the trainer as this version writes them.

    Older versions named some settings otherwise, or left them out; what is computed is the same.

    Raises:
        InputError: it is no folder of a job, or a setting is out of range.
    """
    settings = read_settings(folder)
    method, training = str(settings.get("method")), settings.get("training")
    if method in METHODS and isinstance(training, dict):
        config = MagailConfig.read({"network": "mlp", **training})
        settings["training"] = plain_json(heeded(config, METHODS[method].algorithm))
    return settings


def job_of(settings: Mapping[str, Any], shared: SharedSettings) -> BenchmarkCell | ReferenceReturns:
    """The job that would make a folder with these settings now.

    Raises:
        InputError: no such task or method is known; the message says what to do.
    """
    if settings.get("task") in TASKS and settings.get("kind") == "references":
        return ReferenceReturns(settings["task"], shared)
    if settings.get("task") in TASKS and settings.get("method") in METHODS:
        return BenchmarkCell(settings["task"], settings["method"], int(settings["demonstrations"]), shared)
    kind, task, method = (settings.get(name) for name in ("kind", "task", "method"))
    raise InputError(
        f"There is a folder of kind {kind!r}, task {task!r} and method {method!r}, which this version does not know; "
        "choose another --output or delete the folder."
    )
