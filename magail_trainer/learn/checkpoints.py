"""Checkpoints: a training that is stopped goes on later, and ends as if it had never been stopped.

An unfinished run folder holds

    metrics.jsonl                  a line for each logged epoch: `epoch`, and a list `[R]` for each metric
    checkpoints/epoch-00000120/    the last two checkpoints; `update-...` in cloning and in the warm start

A checkpoint is a run folder by itself, with the state of the training in `state/`. Its `config.json` says under
`progress` how far it has come.
"""

import hashlib
import json
import math
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from tqdm import tqdm

from magail_trainer.data.run_folder import (
    BESIDE_CONFIG,
    CONFIG,
    History,
    checkpoints_in,
    final_metrics,
    open_run,
    read_checkpoint,
    read_state,
    write_run,
)
from magail_trainer.data.trajectories import FIELDS
from magail_trainer.envs.same_seed import plays_alike
from magail_trainer.errors import InputError
from magail_trainer.files import plain_json, read_arrays
from magail_trainer.folders import CHECKPOINTS, METRICS, new_file, new_folder, unfinished
from magail_trainer.learn.trainer import Trainer
from magail_trainer.sealed import Sealed
from magail_trainer.stopping import StopRequest, stop_requests
from magail_trainer.text import display_path

KEPT = 2
SECONDS = 60.0
"""Between two checkpoints, unless a number of epochs is given."""


@dataclass(frozen=True)
class _Saved:
    """A checkpoint that is as it was written."""

    run: Sealed
    state: Mapping[str, Mapping[str, Tensor]]
    history: History


class Checkpoints:
    """Writes the checkpoints of one training, and goes on from the newest.

    Args:
        folder: the unfinished run folder.
        every: epochs between two checkpoints, or updates in cloning; by default about a minute.
        log: whether to write `metrics.jsonl`.
        discard: start anew if `folder` has checkpoints of another training; by default they are refused.
        again: the command that goes on.
        description: more entries for `config.json`.

    Raises:
        InputError: `every` is below one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        every: int | None = None,
        log: bool = True,
        discard: bool = False,
        again: str = "the same command",
        description: Mapping[str, Any] | None = None,
    ) -> None:
        if every is not None and every < 1:
            raise InputError(f"--checkpoint_every must be at least 1, not {every}.")
        self._folder, self._every, self._discard, self._again = folder, every, discard, again
        self._metrics = folder / METRICS if log else None
        self._description = description or {}
        self._stop, self._history = StopRequest(), History()
        self._last, self._written = time.monotonic(), (0, 0)

    @contextmanager
    def of(self, trainer: Trainer, *, log_every: int) -> Iterator[History]:
        """Yield the history up to the newest checkpoint; the first signal is taken as a request to stop.

        Raises:
            InputError: the checkpoints are damaged, or those of another training.
        """
        self._trainer = trainer
        self._progress = {"training": _fingerprint(trainer, log_every), "log_every": log_every}
        self._progress |= {"checkpoint_every": self._every, "processes": trainer.processes}
        self._progress |= {"timeout": trainer.entry.timeout, "described": list(self._description)}
        self._resume()
        trainer.after_update = self.save_if_due
        with stop_requests() as self._stop:
            yield self._history

    def log(self) -> None:
        """Append the last row of the history to `metrics.jsonl`."""
        if self._metrics is not None:
            with self._metrics.open("a", encoding="utf-8") as file:
                file.write(_line(self._history.epochs[-1], self._history.rows[-1]))

    def save_if_due(self) -> None:
        """Write a checkpoint if it is time to, or if a signal asks to stop; then stop.

        Raises:
            KeyboardInterrupt: SIGINT asked to stop.
            SystemExit: another signal did.
        """
        done = (self._trainer.state.epoch, self._trainer.state.updates)
        asked = self._stop.number is not None
        due = (
            time.monotonic() - self._last > SECONDS if self._every is None else (done[0] or done[1]) % self._every == 0
        )
        if (due or asked) and done != self._written:
            self._save()
            self._written = done
        if asked:
            newest = checkpoints_in(self._folder)[-1]
            what = f"Stopped after {self._reached()}; checkpoint: {display_path(newest)}. Go on with {self._again}."
            tqdm.write(what, file=sys.stderr)
            self._stop.stop()

    def _save(self) -> None:
        trainer, (epoch, updates) = self._trainer, (self._trainer.state.epoch, self._trainer.state.updates)
        name = f"epoch-{epoch:08d}" if epoch else f"update-{updates:08d}"
        progress = {"epoch": epoch, "updates": updates, "of": trainer.num_records, **self._progress}
        place = {"marker": CONFIG, "others": (*BESIDE_CONFIG, "state"), "overwrite": True}
        with new_folder(self._folder / CHECKPOINTS / name, **place) as folder:
            description = {**self._description, "progress": progress}
            save_run(folder, trainer, self._history.stack(), description=description, state=trainer.state.state_dict())
        for old in checkpoints_in(self._folder)[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
        self._last = time.monotonic()

    def _resume(self) -> None:
        found, damage = checkpoints_in(self._folder), ""
        for checkpoint in reversed(found):
            try:
                run = open_run(checkpoint)
                progress = run.content["progress"]
                same = progress["training"] == self._progress["training"]
                saved = self._read(run) if same else None
            except (InputError, KeyError, TypeError) as error:
                damage = damage or str(error)
                continue
            if damage:
                tqdm.write(f"{damage} So an earlier checkpoint is taken.", file=sys.stderr)
            return self._start_anew(progress) if saved is None else self._go_on(saved)
        if found:
            raise InputError(f"The checkpoints in {str(self._folder)!r} are damaged ({damage}); delete that folder.")
        (self._folder / METRICS).unlink(missing_ok=True)

    def _start_anew(self, progress: Mapping[str, Any]) -> None:
        if not self._discard:
            raise InputError(
                f"{str(unfinished(self._folder)[0])!r} was begun with other settings or data and stopped after epoch "
                f"{progress['epoch']}; go on with that (magail train --resume) or replace it (--overwrite)."
            )
        shutil.rmtree(self._folder / CHECKPOINTS)
        (self._folder / METRICS).unlink(missing_ok=True)

    def _read(self, run: Sealed) -> _Saved:
        run.verify()
        return _Saved(run, read_state(run), History.of(read_arrays(run / "history.npz")))

    def _go_on(self, saved: "_Saved") -> None:
        trainer, self._history = self._trainer, saved.history
        trainer.codes = trainer.codes.scaled_as(saved.run.content.get("feature_scaling", {}))
        for name, module in trainer.modules.items():
            read_checkpoint(saved.run, name, module)
        trainer.state.load_state_dict(
            {name: {key: value.to(trainer.device) for key, value in part.items()} for name, part in saved.state.items()}
        )
        self._written = (trainer.state.epoch, trainer.state.updates)
        if self._metrics is not None:
            with new_file(self._metrics) as file:  # without the lines that were logged after the checkpoint
                lines = zip(self._history.epochs, self._history.rows, strict=True)
                file.write_text("".join(_line(*line) for line in lines), encoding="utf-8")
        note = "" if self._continues() else " The env ignores its seed: its episodes are not those it would have had."
        tqdm.write(f"Going on after {self._reached()}.{note}", file=sys.stderr)

    def _continues(self) -> bool:
        """Whether all chance of the env comes from the seeds that it is reset with."""
        trainer = self._trainer
        plays = trainer.algorithm != "cloning" and not trainer.entry.has_native_vector_env
        return not plays or plays_alike(trainer.entry)

    def _reached(self) -> str:
        state = self._trainer.state
        return f"epoch {state.epoch}" if state.epoch else f"cloning update {state.updates}"


def save_run(
    folder: Path,
    trainer: Trainer,
    history: Mapping[str, Any],
    *,
    description: Mapping[str, Any] | None = None,
    columns: Mapping[str, Iterable[Any]] | None = None,
    state: Mapping[str, Mapping[str, Tensor]] | None = None,
) -> None:
    """Write a run into the existing `folder`.

    Args:
        trainer: its settings go into `config.json`, its parameters into `checkpoint/`.
        history: what `train_with_history` returned.
        description: more entries for `config.json`, such as the command; they override the trainer's own.
        columns: further columns of `runs.csv`; by default the last row of the history.
        state: of an unfinished training.
    """
    first = dict(description or {})  # first in the file, and what counts
    write_run(
        folder,
        config=first | trainer.describe() | first,
        table=trainer.divergence.mark(
            {**trainer.runs.columns, **(final_metrics(history) if columns is None else columns)}
        ),
        history=history,
        modules=trainer.modules,
        state=state,
    )


def _fingerprint(trainer: Trainer, log_every: int) -> str:
    """A hash of all that decides how a training ends."""
    without = ("device", "versions", "feature_scaling")  # the last is that of the checkpoint, see `_go_on`
    about = {name: value for name, value in trainer.describe().items() if name not in without}
    about["runs"] = {name: column.tolist() for name, column in trainer.runs.columns.items()}
    digest = hashlib.sha256(json.dumps(plain_json({**about, "log_every": log_every}), sort_keys=True).encode())
    if trainer.trajectories is not None:
        for name in FIELDS:
            for array in getattr(trainer.trajectories, name).values():
                digest.update(array.tobytes())
        digest.update(trainer.trajectories.episode_starts.tobytes())
    return digest.hexdigest()


def _line(epoch: int, metrics: Mapping[str, Tensor]) -> str:
    """A line of `metrics.jsonl`; JSON has no NaN or infinity, so they are null."""
    rows = {name: row.tolist() for name, row in metrics.items()}
    finite = {name: [value if math.isfinite(value) else None for value in row] for name, row in rows.items()}
    return json.dumps({"epoch": epoch, **finite}) + "\n"
