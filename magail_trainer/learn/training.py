"""Train and write a run folder: `magail train` and `magail clone` as functions."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from torch import Tensor
from tqdm import tqdm

from magail_trainer.data.run_folder import BESIDE_CONFIG, CONFIG, History, checkpoints_in, open_run, read_table
from magail_trainer.data.trajectories import Trajectories, read_manifest
from magail_trainer.envs.description import ENTRIES
from magail_trainer.envs.recorded import resolve_recorded
from magail_trainer.envs.registry import EnvEntry, make_env
from magail_trainer.errors import InputError
from magail_trainer.folders import clear, new_folder, unfinished
from magail_trainer.learn.checkpoints import Checkpoints, save_run
from magail_trainer.learn.config import DEFAULT_BETA, MagailConfig, recorded_settings
from magail_trainer.learn.magail import EpochRecord
from magail_trainer.learn.runs import Runs
from magail_trainer.learn.trainer import CloningRecord, Trainer, settle_network
from magail_trainer.sealed import Sealed
from magail_trainer.text import display_path
from magail_trainer.trust import Recorded

Measure = Callable[[EpochRecord | CloningRecord], Mapping[str, Tensor]]
"""Computes more metrics `[R]` to log for an epoch, by name."""


_ENTRIES = {
    **ENTRIES,
    "training": dict,
    "algorithm": str,
    "updates?": int,
    "device": str,
    "dataset": dict,
    "dataset.path?": str,
    "own_parts?": dict,
    "progress.training": str,
    "progress.log_every": int,
    "progress.processes": int,
    "progress.checkpoint_every": (int, type(None)),
    "progress.timeout": (int, float, type(None)),
    "progress.described": list,
}
"""What a checkpoint says, to go on from."""


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
    runs: Runs | None = None,
    config: MagailConfig | None = None,
    output: str | Path | None = None,
    overwrite: bool = False,
    log_every: int = 10,
    checkpoint_every: int | None = None,
    description: Mapping[str, Any] | None = None,
    max_episode_steps: int | None = None,
    timeout: float | None = None,
    keep_checkpoints: bool = False,
    **trainer_arguments: Any,
) -> Trained:
    """Train policies to imitate demonstrations: one run for every pair of β and seed, all at once.

    Args:
        env: an environment, as for `make_env`.
        demonstrations: a dataset or its folder; None for `algorithm="rl"`.
        betas: weights of the policies' entropy bonus; by default 0 for tables and for cloning, 0.003 for perceptrons.
        seeds: one run for each seed and each β.
        runs: the runs themselves, in the place of `betas` and `seeds`.
        config: the settings, such as `MagailConfig(epochs=50)`; by default those of `magail train`.
        output: the run folder to write, if any.
        overwrite: replace an existing run folder.
        log_every: epochs between two rows of the history.
        checkpoint_every: epochs between two checkpoints; by default about a minute. If `output` was begun with the same
            settings and data and then stopped, the training goes on from its newest checkpoint.
        description: more entries for `config.json`.
        max_episode_steps: cut episodes off after so many steps, as in the demonstrations.
        timeout: seconds that a worker process has for a reset or a step.
        keep_checkpoints: refuse to start anew where there are checkpoints of another training, even with `overwrite`.
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
        rows = runs or Runs.grid(betas=(default,) if betas is None else betas, seeds=seeds)
        return Trainer(entry, trajectories, rows, settings, **trainer_arguments)

    if output is None:
        trainer = make_trainer()
        return Trained(trainer, train_with_history(trainer, log_every=log_every))
    with new_folder(output, marker=CONFIG, others=BESIDE_CONFIG, overwrite=overwrite, reads=path) as folder:
        trainer = make_trainer()
        described = {**(description or {}), **({} if path is None else {"dataset": describe_dataset(path)})}
        again = f"magail train --resume {shlex.quote(display_path(output))}"
        again = "the same call in Python" if "own_parts" in trainer.describe() else again
        own = {"discard": overwrite and not keep_checkpoints, "again": again, "description": described}
        checkpoints = Checkpoints(folder, every=checkpoint_every, **own)
        history = train_with_history(trainer, log_every=log_every, checkpoints=checkpoints)
        save_run(folder, trainer, history, description=described)
        return Trained(trainer, history)


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


def resume(path: str | Path, *, dataset: str | Path | None = None, trust: bool = False) -> Trained | None:
    """Go on with a training that was stopped, from its newest checkpoint, to the end that it would have had.

    Args:
        path: the run folder that it was to become.
        dataset: where the demonstrations are, if they were moved.
        trust: import whatever the checkpoint names; see `load_runs`.

    Returns:
        None if the training is finished.

    Raises:
        InputError: there is no checkpoint; the env or the dataset has changed; or the checkpoint names code that nobody
            trusts, or parts that were handed in.
    """
    target, folder = unfinished(Path(path))
    clear(target)
    found = checkpoints_in(folder)
    if not found:
        if (target / CONFIG).is_file():
            return None
        raise InputError(f"There is no checkpoint of {str(path)!r} to go on from; start its training again.")
    run = _newest_whole(found)
    config, progress = run.content, run.content["progress"]
    recorded = Recorded(run.folder, config, trust)
    if "own_parts" in config:
        own = ", ".join(map(str, config["own_parts"].values()))
        raise InputError(f"{str(path)!r} was trained with {own}, handed in from Python; call train there again.")
    return train(
        resolve_recorded(recorded),
        dataset or config["dataset"].get("path"),
        runs=Runs.of_columns(read_table(run / "runs.csv")),
        config=recorded_settings(recorded),
        algorithm=config["algorithm"],
        updates=config.get("updates"),
        output=target,
        overwrite=target.exists(),
        keep_checkpoints=True,
        device=config["device"],
        max_episode_steps=config["env"].get("max_episode_steps"),
        **{name: progress[name] for name in ("log_every", "checkpoint_every", "processes", "timeout")},
        description={name: value for name, value in config.items() if name in progress["described"]},
    )


def _newest_whole(checkpoints: Sequence[Path]) -> Sealed:
    """The newest checkpoint that says what it should; what is wrong with its other files is found when it is loaded."""
    damage: InputError | None = None
    for checkpoint in reversed(checkpoints):
        try:
            run = open_run(checkpoint)
            run.expect(_ENTRIES)
        except InputError as error:
            damage = damage or error
        else:
            return run
    assert damage is not None
    raise damage


def train_with_history(
    trainer: Trainer, *, log_every: int, measure: Measure | None = None, checkpoints: Checkpoints | None = None
) -> dict[str, np.ndarray]:
    """Train to the end with a progress bar.

    Args:
        trainer: trained in place.
        log_every: epochs between two rows of the history; the first and the last epoch are always logged. In cloning,
            an epoch is one update.
        measure: computes more metrics from the record of each logged epoch.
        checkpoints: what the training goes on from, and what it writes.

    Returns:
        `epoch [K]`, and `[K, R]` under the name of each metric; see `Trained.history`.

    Raises:
        InputError: `log_every` is below one.
    """
    if log_every < 1:
        raise InputError(f"--log_every must be at least 1, not {log_every}.")
    last = trainer.num_records
    doing, unit = ("cloning", "update") if trainer.algorithm == "cloning" else ("training", "epoch")
    shown = {"total": last, "desc": doing, "unit": unit, "delay": 1, "disable": None, "leave": None}
    begun = nullcontext(History()) if checkpoints is None else checkpoints.of(trainer, log_every=log_every)
    with begun as history, tqdm(trainer.records(), initial=trainer.records_done, **shown) as records:
        for record in records:
            if record.epoch % log_every == 0 or record.epoch in (1, last):
                metrics = {**record.metrics, **(measure(record) if measure else {})}
                history.append(record.epoch, trainer.divergence.hide(metrics))
                if checkpoints is not None:
                    checkpoints.log()
            if checkpoints is not None:
                checkpoints.save_if_due()
    return history.stack()


def describe_dataset(path: str | Path) -> dict[str, Any]:
    """A dataset's path and manifest entries, for `config.json`."""
    manifest = read_manifest(path)
    names = [name for name in ("sha256", "policy", "seed", "episodes", "augmentation") if name in manifest]
    return {"path": str(Path(path).resolve()), **{name: manifest[name] for name in names}}
