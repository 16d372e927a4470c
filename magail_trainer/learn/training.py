"""Train and write a run folder: `magail train` and `magail clone` as functions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from torch import Tensor
from tqdm import tqdm

from magail_trainer.data.run_folder import BESIDE_CONFIG, CONFIG, History, final_metrics, write_run
from magail_trainer.data.trajectories import Trajectories, read_manifest
from magail_trainer.envs.registry import EnvEntry, make_env
from magail_trainer.errors import InputError
from magail_trainer.folders import new_folder
from magail_trainer.learn.config import DEFAULT_BETA, MagailConfig
from magail_trainer.learn.magail import EpochRecord
from magail_trainer.learn.runs import Runs
from magail_trainer.learn.trainer import CloningRecord, Trainer, settle_network

Measure = Callable[[EpochRecord | CloningRecord], Mapping[str, Tensor]]
"""Computes more metrics `[R]` to log for an epoch, by name."""


@dataclass(frozen=True)
class Trained:
    """A trainer with trained policies, and its history."""

    trainer: Trainer
    history: Mapping[str, np.ndarray]
    """`epoch [K]`, and `[K, R]` under the name of each metric; NaN for a run from the epoch on in which it diverged."""

    @property
    def diverged(self) -> Int[np.ndarray, " R"]:
        """The epoch in which each run diverged; 0 for none. See `Divergence`."""
        return self.trainer.divergence.epochs


def train(
    env: str | Callable[..., Any] | EnvEntry,
    demonstrations: str | Path | Trajectories | None,
    *,
    betas: Sequence[float] | None = None,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    config: MagailConfig | None = None,
    output: str | Path | None = None,
    overwrite: bool = False,
    log_every: int = 10,
    description: Mapping[str, Any] | None = None,
    max_episode_steps: int | None = None,
    timeout: float | None = None,
    **trainer_arguments: Any,
) -> Trained:
    """Train policies to imitate demonstrations: one run for every pair of β and seed, all at once.

    Args:
        env: an environment, as for `make_env`.
        demonstrations: a dataset or its folder; None for `algorithm="rl"`.
        betas: weights of the policies' entropy bonus; by default 0 for tables and for cloning, 0.003 for perceptrons.
        seeds: one run for each seed and each β.
        config: the settings, such as `MagailConfig(epochs=50)`; by default those of `magail train`.
        output: the run folder to write, if any.
        overwrite: replace an existing run folder.
        log_every: epochs between two rows of the history.
        description: more entries for `config.json`.
        max_episode_steps: cut episodes off after so many steps, as in the demonstrations.
        timeout: seconds that a worker process has for a reset or a step.
        **trainer_arguments: `algorithm`, `policies`, `discriminator`, `reward`, and so on; see `Trainer`.

    Raises:
        InputError: see `Trainer`; or the folder cannot be written.
    """
    entry = make_env(env).limited(max_episode_steps=max_episode_steps, timeout=timeout)
    if config is not None and not isinstance(config, MagailConfig):
        raise InputError(f"The settings must be a MagailConfig, not {config!r}.")
    path = Path(demonstrations) if isinstance(demonstrations, str | Path) else None

    def make_trainer() -> Trainer:
        trajectories = Trajectories.load(demonstrations) if isinstance(demonstrations, str | Path) else demonstrations
        settings = settle_network(config or MagailConfig(), entry)
        default = 0.0 if trainer_arguments.get("algorithm") == "cloning" else DEFAULT_BETA[settings.family]
        runs = Runs.grid(betas=(default,) if betas is None else betas, seeds=seeds)
        return Trainer(entry, trajectories, runs, settings, **trainer_arguments)

    if output is None:
        trainer = make_trainer()
        return Trained(trainer, train_with_history(trainer, log_every=log_every))
    with new_folder(output, marker=CONFIG, others=BESIDE_CONFIG, overwrite=overwrite, reads=path) as folder:
        trainer = make_trainer()
        described = {**(description or {}), **({} if path is None else {"dataset": describe_dataset(path)})}
        return Trained(trainer, train_run(trainer, folder, log_every=log_every, description=described))


def clone(
    env: str | Callable[..., Any] | EnvEntry,
    demonstrations: str | Path | Trajectories,
    *,
    updates: int | None = None,
    **arguments: Any,
) -> Trained:
    """Train policies by behavioural cloning of demonstrations.

    Args:
        env: see `train`.
        demonstrations: see `train`.
        updates: by default 2000, or 32 passes over the demonstrations if these take more.
        **arguments: see `train`.

    Raises:
        InputError: see `train`.
    """
    return train(env, demonstrations, algorithm="cloning", updates=updates, **arguments)


def train_run(
    trainer: Trainer, folder: Path, *, log_every: int, description: Mapping[str, Any] | None = None
) -> dict[str, np.ndarray]:
    """Train to the end and write the run folder; see `train_with_history` and `save_run`.

    Call it inside `new_folder(...)`, so that an interrupted run leaves no folder behind.
    """
    history = train_with_history(trainer, log_every=log_every)
    save_run(folder, trainer, history, description=description)
    return history


def train_with_history(trainer: Trainer, *, log_every: int, measure: Measure | None = None) -> dict[str, np.ndarray]:
    """Train to the end with a progress bar.

    Args:
        trainer: trained in place.
        log_every: epochs between two rows of the history; the first and the last epoch are always logged. In cloning,
            an epoch is one update.
        measure: computes more metrics from the record of each logged epoch.

    Returns:
        `epoch [K]`, and `[K, R]` under the name of each metric; see `Trained.history`.

    Raises:
        InputError: `log_every` is below one.
    """
    if log_every < 1:
        raise InputError(f"--log_every must be at least 1, not {log_every}.")
    history, last = History(), trainer.num_records
    doing, unit = ("cloning", "update") if trainer.algorithm == "cloning" else ("training", "epoch")
    with tqdm(trainer.records(), total=last, desc=doing, unit=unit, delay=1, disable=None, leave=None) as records:
        for record in records:
            if record.epoch % log_every == 0 or record.epoch in (1, last):
                metrics = {**record.metrics, **(measure(record) if measure else {})}
                history.append(record.epoch, trainer.divergence.hide(metrics))
    return history.stack()


def save_run(
    folder: Path,
    trainer: Trainer,
    history: Mapping[str, np.ndarray],
    *,
    description: Mapping[str, Any] | None = None,
    columns: Mapping[str, Iterable[Any]] | None = None,
) -> None:
    """Write a run into the existing `folder`.

    Args:
        trainer: its settings go into `config.json`, its parameters into `checkpoint/`.
        history: what `train_with_history` returned.
        description: more entries for `config.json`, such as the command; they override the trainer's own.
        columns: further columns of `runs.csv`; by default the last row of the history.
    """
    first = dict(description or {})
    write_run(
        folder,
        config=first | trainer.describe() | first,
        table=trainer.divergence.mark(
            {**trainer.runs.columns, **(final_metrics(history) if columns is None else columns)}
        ),
        history=history,
        modules=trainer.modules,
    )


def describe_dataset(path: str | Path) -> dict[str, Any]:
    """A dataset's path and manifest entries, for `config.json`."""
    manifest = read_manifest(path)
    names = [name for name in ("sha256", "policy", "seed", "episodes", "augmentation") if name in manifest]
    return {"path": str(Path(path).resolve()), **{name: manifest[name] for name in names}}
