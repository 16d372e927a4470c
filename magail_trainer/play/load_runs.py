"""Run folders, read back: the policies with the parameters that they were saved with."""

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int

from magail_trainer.data.run_folder import finished_or_newest, healthy, open_run, read_checkpoint, read_table
from magail_trainer.envs.description import ENTRIES
from magail_trainer.envs.recorded import resolve_recorded
from magail_trainer.envs.registry import EnvEntry
from magail_trainer.errors import InputError
from magail_trainer.files import SealedFile, read_arrays
from magail_trainer.learn.config import MagailConfig, recorded_settings
from magail_trainer.learn.encoders import Codes
from magail_trainer.learn.policies import Policies, make_policies
from magail_trainer.learn.runs import Runs
from magail_trainer.sealed import as_written
from magail_trainer.trust import Recorded

_ENTRIES = {
    **ENTRIES,
    "training": dict,
    "own_parts?": dict,
    "feature_scaling?": dict,
    "dataset?": (dict, type(None)),
    "dataset.path?": str,
}


@dataclass(frozen=True, eq=False)
class TrainedRuns:
    """What a run folder holds, ready to play."""

    path: Path
    entry: EnvEntry
    runs: Runs
    codes: Codes
    policies: Policies
    training: MagailConfig
    config: dict[str, Any]
    """All of `config.json`."""
    marked: Bool[np.ndarray, " R"] | None = None
    """Which runs `runs.csv` says diverged; None if it says that none did."""

    @property
    def diverged(self) -> Bool[np.ndarray, " R"]:
        """Which runs diverged: marked in `runs.csv`, or with parameters that are not finite. They have no policy."""
        state = self.policies.state_dict().values()
        finite = torch.stack([values.flatten(1).isfinite().all(1) for values in state]).all(0).numpy()
        return ~finite if self.marked is None else ~finite | self.marked

    @property
    def healthy(self) -> "TrainedRuns":
        """Those of the runs that did not diverge.

        Raises:
            InputError: there is none.
        """
        if self.diverged.all():
            raise InputError(f"All runs of {str(self.path)!r} diverged.")
        return self.select(np.flatnonzero(~self.diverged))

    def select(self, rows: slice | Int[np.ndarray, " S"]) -> "TrainedRuns":
        """Some of the runs."""
        runs = self.runs.select(rows)
        policies = make_policies(self.codes, runs, self.training)
        policies.load_state_dict({name: values[rows] for name, values in self.policies.state_dict().items()})
        return replace(self, runs=runs, policies=policies, marked=None if self.marked is None else self.marked[rows])

    def alone(self, run: int) -> Policies:
        """The policies of run number `run`, from 0, by themselves: R = 1.

        Raises:
            InputError: there is no such run, or it diverged.
        """
        if not 0 <= run < len(self.runs):
            raise InputError(f"{str(self.path)!r} has runs 0 to {len(self.runs) - 1}, and no run {run}.")
        if self.diverged[run]:
            raise InputError(
                f"Run {run} of {str(self.path)!r} ({self.runs.label(run)}) diverged in training; expected one that "
                "did not."
            )
        return self.select(slice(run, run + 1)).policies


def load_runs(path: str | Path, *, entry: EnvEntry | None = None, trust: bool = False) -> TrainedRuns:
    """Read a run folder and make its policies, on the CPU.

    Args:
        path: the folder; of a training that is not finished, the newest checkpoint is read.
        entry: the env to play in, which must be the one that the runs were trained in; by default that one.
        trust: import whatever the folder names. Else only what known packages have, unless this user made the folder.

    Raises:
        InputError: there is no such folder, it is not as it was written, it does not fit its env, or it names code that
            nobody trusts.
    """
    run = open_run(finished_or_newest(path))
    run.expect(_ENTRIES)
    config, recorded = run.content, Recorded(path, run.content, trust)
    with as_written(path):
        training, limit = recorded_settings(recorded), config["env"].get("max_episode_steps")
    runs, marked = _read_runs(run / "runs.csv")
    if "policies" in config.get("own_parts", {}):
        raise InputError(
            f"{str(path)!r} has policies of your own, {config['own_parts']['policies']}, made in Python; make them "
            "there again, and load checkpoint/policies.npz into them."
        )
    if entry is None:
        with as_written(path):
            entry = resolve_recorded(recorded)
    elif names := replace(entry, max_episode_steps=limit).difference(config["env"]):  # another limit is no other env
        raise InputError(
            f"{str(path)!r} was trained in {names[0]}, not in {names[1]}; it can play in its own env alone."
        )
    with as_written(path):
        codes = Codes.of(entry, network=training.family)
        codes = codes.scaled_as(config.get("feature_scaling", {}))
    _check_size(run / "checkpoint/policies.npz", runs, training)
    policies = make_policies(codes, runs, training)
    read_checkpoint(run, "policies", policies)
    return TrainedRuns(run.folder, entry, runs, codes, policies, training, config, marked)


def _read_runs(file: SealedFile) -> tuple[Runs, Bool[np.ndarray, " R"]]:
    """The runs, and which of them diverged."""
    table = read_table(file)
    try:
        return Runs.of_columns(table), ~healthy(table)
    except InputError as error:
        raise InputError(f"{str(file)!r} is not the table that it should be: {error}") from error


def _check_size(file: SealedFile, runs: Runs, training: MagailConfig) -> None:
    """Refuse settings that ask for more parameters than were saved, before there is memory for them."""
    arrays = read_arrays(file)
    widths = training.hidden if training.network == "mlp" else ()  # a network of one's own may ignore them
    signals = training.signals if training.policy == "shared_signal" else 1
    needed = max([signals, *widths, *(rows * columns for rows, columns in pairwise(widths))])
    if needed * len(runs) > sum(array.size for array in arrays.values()):
        raise InputError(f"{str(file)!r} does not fit the settings and runs of its folder: it has fewer parameters.")
