"""Train and write a run folder, by any algorithm: what `magail train` and `magail clone` do, as functions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from tqdm import tqdm

from magail_trainer.data.run_folder import BESIDE_CONFIG, CONFIG, History, final_metrics, write_run
from magail_trainer.data.trajectories import Trajectories, read_manifest
from magail_trainer.envs.registry import EnvEntry, resolve
from magail_trainer.errors import InputError
from magail_trainer.folders import new_folder
from magail_trainer.learn.config import DEFAULT_BETA, MagailConfig
from magail_trainer.learn.magail import EpochRecord
from magail_trainer.learn.runs import Runs
from magail_trainer.learn.trainer import CloningRecord, Trainer, settle_network

Measure = Callable[[EpochRecord | CloningRecord], Mapping[str, Tensor]]
"""More values `[R]` to log of an epoch, by name."""


@dataclass(frozen=True)
class Trained:
    """What training leaves behind."""

    trainer: Trainer
    """With the trained policies."""
    history: Mapping[str, np.ndarray]
    """`epoch [K]`, and `[K, R]` under the name of each metric."""


def train(
    env: str | EnvEntry,
    demonstrations: str | Path | Trajectories | None,
    *,
    betas: Sequence[float] | None = None,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    config: MagailConfig | None = None,
    output: str | Path | None = None,
    overwrite: bool = False,
    log_every: int = 10,
    description: Mapping[str, Any] | None = None,
    **trainer_arguments: Any,
) -> Trained:
    """Train policies to imitate demonstrations: one run for every pair of β and seed, all at once.

    Args:
        env: an environment's id, as for `magail record`, or what `resolve` made of one.
        demonstrations: a dataset or its folder; None for `algorithm="rl"`.
        betas: weights of the policies' entropy bonus; by default the one that goes with the network.
        seeds: one run for each, and each β.
        config: the settings, `MagailConfig(epochs=50)` for instance; by default those of `magail train`.
        output: the run folder to make, if any.
        overwrite: replace a run folder that is already there.
        log_every: epochs between two rows of the history.
        description: more entries for `config.json`.
        **trainer_arguments: `algorithm`, `policies`, `discriminator`, `reward`, and so on; see `Trainer`.

    Raises:
        InputError: see `Trainer`; or the folder cannot be made.
    """
    entry = resolve(env) if isinstance(env, str) else env
    path = Path(demonstrations) if isinstance(demonstrations, str | Path) else None
    trajectories = Trajectories.load(demonstrations) if isinstance(demonstrations, str | Path) else demonstrations
    described = {**(description or {}), **({} if path is None else {"dataset": describe_dataset(path)})}
    config = settle_network(config or MagailConfig(), entry)
    runs = Runs.grid(betas=(DEFAULT_BETA[config.family],) if betas is None else betas, seeds=seeds)
    trainer = Trainer(entry, trajectories, runs, config, **trainer_arguments)
    if output is None:
        return Trained(trainer, train_with_history(trainer, log_every=log_every))
    with new_folder(output, marker=CONFIG, others=BESIDE_CONFIG, overwrite=overwrite, reads=path) as folder:
        return Trained(trainer, train_run(trainer, folder, log_every=log_every, description=described))


def clone(
    env: str | EnvEntry, demonstrations: str | Path | Trajectories, *, updates: int | None = None, **arguments: Any
) -> Trained:
    """Train policies by behavioural cloning, to make the actions of demonstrations likely.

    Args:
        env: see `train`.
        demonstrations: see `train`.
        updates: by default 2000, or as many as 32 passes over the demonstrations take.
        **arguments: see `train`.

    Raises:
        InputError: see `train`.
    """
    return train(env, demonstrations, betas=(0.0,), algorithm="cloning", updates=updates, **arguments)


def train_run(
    trainer: Trainer, folder: Path, *, log_every: int, description: Mapping[str, Any] | None = None
) -> dict[str, np.ndarray]:
    """Train to the end and write the run folder; see `train_with_history` and `save_run`.

    Call it inside `new_folder(...)`, so that a run that is interrupted leaves no folder behind.
    """
    history = train_with_history(trainer, log_every=log_every)
    save_run(folder, trainer, history, description=description)
    return history


def train_with_history(trainer: Trainer, *, log_every: int, measure: Measure | None = None) -> dict[str, np.ndarray]:
    """Train to the end behind a progress bar, by the trainer's algorithm.

    Args:
        trainer: trained in place.
        log_every: epochs between two rows of the history; the first and the last epoch are always logged. In cloning,
            an epoch is one update.
        measure: called with the record of each of these epochs for more values to log.

    Returns:
        `epoch [K]`, and `[K, R]` under the name of each metric.

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
                history.append(record.epoch, {**record.metrics, **(measure(record) if measure else {})})
    return history.stack()


def save_run(
    folder: Path,
    trainer: Trainer,
    history: Mapping[str, np.ndarray],
    *,
    description: Mapping[str, Any] | None = None,
    columns: Mapping[str, Iterable[Any]] | None = None,
) -> None:
    """Write all that a run folder holds into `folder`, which exists.

    Args:
        folder: where to.
        trainer: its settings go into `config.json`, its parameters into `checkpoint/`.
        history: what `train_with_history` returned.
        description: more entries for `config.json`, which win over the trainer's own: the command, for instance.
        columns: of `runs.csv` after the runs' own; by default the last row of the history.
    """
    first = dict(description or {})
    write_run(
        folder,
        config=first | trainer.describe() | first,
        table={**trainer.runs.columns, **(final_metrics(history) if columns is None else columns)},
        history=history,
        modules=trainer.modules,
    )


def describe_dataset(path: str | Path) -> dict[str, Any]:
    """Where a dataset is and what it is, for `config.json`."""
    manifest = read_manifest(path)
    names = [name for name in ("sha256", "policy", "seed", "episodes", "augmentation") if name in manifest]
    return {"path": str(Path(path).resolve()), **{name: manifest[name] for name in names}}
