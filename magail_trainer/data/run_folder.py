"""Run folders: `config.json`, `runs.csv`, `history.npz`, `checkpoint/`. Reading them needs no torch.

config.json    every setting, the command that repeats the run, and the hashes of the other files
runs.csv       one row per run: beta, seed, its final measurements, and the epoch in which it diverged if any run did
history.npz    `epoch [K]`, and `[K, R]` for every metric; in cloning, an epoch is one update
checkpoint/    the parameters: one npz file per module, `[R, ...]` for every parameter
metrics.jsonl  the history as it was logged, a line for each logged epoch
state/         in a checkpoint of an unfinished training, what it goes on from: one npz file per part
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from magail_trainer.errors import InputError
from magail_trainer.files import SealedFile, read_arrays, read_bytes, write_arrays
from magail_trainer.folders import CHECKPOINTS, METRICS, recover, unfinished
from magail_trainer.sealed import Sealed, open_sealed, seal
from magail_trainer.trust import note

if TYPE_CHECKING:
    from torch import Tensor, nn

FORMAT = "magail-run"
VERSION = 2
"""1 had no hashes."""
CONFIG = "config.json"
BESIDE_CONFIG = ("runs.csv", "history.npz", "checkpoint", METRICS, "dataset", "figure.png")
"""What else a run folder may hold."""
_MOST_TABLE = 2**25
"""Bytes of a table."""


@dataclass
class History:
    """The training log, kept as tensors until it is stacked."""

    epochs: list[int] = field(default_factory=list)
    rows: list[Mapping[str, "Tensor"]] = field(default_factory=list)

    def append(self, epoch: int, metrics: Mapping[str, "Tensor"]) -> None:
        """Add a row of metrics `[R]`; all rows have the same names."""
        self.epochs.append(epoch)
        self.rows.append(metrics)

    @classmethod
    def of(cls, stacked: Mapping[str, np.ndarray]) -> "History":
        """The history that `stack` returned."""
        import torch

        epochs = stacked["epoch"].tolist()
        metrics = {name: torch.from_numpy(values) for name, values in stacked.items() if name != "epoch"}
        return cls(epochs, [{name: values[row] for name, values in metrics.items()} for row in range(len(epochs))])

    def stack(self) -> dict[str, np.ndarray]:
        """`epoch [K]`, and `[K, R]` under each name."""
        names = self.rows[0] if self.rows else ()
        stacked = {name: np.stack([row[name].cpu().numpy() for row in self.rows]) for name in names}
        return {"epoch": np.asarray(self.epochs, dtype=np.int64), **stacked}


def write_run(
    folder: Path,
    *,
    config: Mapping[str, Any],
    table: Mapping[str, Iterable[Any]],
    history: Mapping[str, np.ndarray],
    modules: Mapping[str, "nn.Module"],
    state: Mapping[str, Mapping[str, "Tensor"]] | None = None,
) -> None:
    """Write a run into the existing `folder`, and seal it with what else is in it; `state` only for a checkpoint."""
    write_table(folder / "runs.csv", table)
    write_arrays(folder / "history.npz", history)
    write_checkpoint(folder, modules)
    if state is not None:
        _write_tensors(folder / "state", state)
    write_config(folder, config)


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Write `config.json`, the last file, with the hashes of all others, and note that the folder is this user's."""
    note(seal(folder / CONFIG, {"format": FORMAT, "version": VERSION, **config}))


def open_run(path: str | Path) -> Sealed:
    """A run folder, to be read: `read_table(open_run(path) / "runs.csv")`, and so on.

    Raises:
        InputError: the folder is not one, or its `config.json` was altered.
    """
    return open_sealed(Path(path) / CONFIG, what="run folder", kind=FORMAT, version=VERSION, unsealed=1)


def read_config(path: str | Path) -> dict[str, Any]:
    """The `config.json` of a run folder; see `open_run`."""
    return open_run(path).content


def checkpoints_in(folder: Path) -> list[Path]:
    """The checkpoints of an unfinished run folder, the newest last; those of the warm start come first."""
    found = [path for path in (folder / CHECKPOINTS).glob("*-*") if not path.name.startswith(".")]
    return sorted(found, key=lambda path: (path.name.startswith("epoch"), path.name))


def finished_or_newest(path: str | Path) -> Path:
    """The run folder at `path`, or the newest checkpoint of the training that it will come from."""
    recover(Path(path))
    if (Path(path) / CONFIG).exists():
        return Path(path)
    _, folder = unfinished(Path(path))
    return next(reversed(checkpoints_in(folder)), Path(path))


def final_metrics(history: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The last `[R]` of each metric, `entropy/a` as the column `entropy_a`; names that would meet keep their slash."""
    columns = {name: name.replace("/", "_") for name in history if name != "epoch"}
    times = Counter(columns.values())
    return {column if times[column] == 1 else name: history[name][-1] for name, column in columns.items()}


def write_table(file: Path, columns: Mapping[str, Iterable[Any]]) -> None:
    """Write columns of one length as CSV; floats keep every digit."""
    plain = [np.asarray(column).tolist() for column in columns.values()]
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*plain, strict=True))


def healthy(table: Mapping[str, np.ndarray]) -> np.ndarray:
    """Which runs of a table did not diverge, `[R]` bool; see `learn.divergence`."""
    if "diverged" in table:
        return table["diverged"] == 0
    return np.ones(len(next(iter(table.values()))), dtype=bool)


class _Columns(dict[str, np.ndarray]):
    """The columns of a table; to ask for one that it lacks is the table's mistake."""

    def __init__(self, columns: Mapping[str, np.ndarray], file: Path | SealedFile) -> None:
        super().__init__(columns)
        self._file = file

    def __missing__(self, name: str) -> NoReturn:
        raise InputError(f"{str(self._file)!r} is not the table that it should be (it has no column {name!r}).")


def read_table(file: Path | SealedFile) -> dict[str, np.ndarray]:
    """Read a CSV table as columns: integers, floats, or texts.

    Raises:
        InputError: there is no such table, or it is not as it was sealed; and later, when a column is asked for that
            it has not.
    """
    data = read_bytes(file, most=_MOST_TABLE)
    try:
        reader = csv.reader(io.StringIO(data.decode("utf-8"), newline=""), strict=True)
        header = next(reader, [])
        if not header or len(set(header)) < len(header):
            raise ValueError("its first line does not name each column once")
        columns: list[list[str]] = [[] for _ in header]
        for row in reader:
            for column, text in zip(columns, row, strict=True):
                column.append(text)
        return _Columns({name: _typed(column) for name, column in zip(header, columns, strict=True)}, file)
    except (ValueError, csv.Error) as error:
        raise InputError(f"{str(file)!r} is not the table that it should be ({error}).") from error


def read_healthy_runs(file: Path | SealedFile) -> dict[str, np.ndarray]:
    """The rows of `runs.csv` whose runs did not diverge; see `read_table`."""
    table = read_table(file)
    kept = healthy(table)
    return table if kept.all() else _Columns({name: column[kept] for name, column in table.items()}, file)


def write_checkpoint(folder: Path, modules: Mapping[str, "nn.Module"]) -> None:
    """Write the parameters of each module to `checkpoint/<name>.npz`."""
    _write_tensors(folder / "checkpoint", {name: module.state_dict() for name, module in modules.items()})


def _write_tensors(folder: Path, parts: Mapping[str, Mapping[str, "Tensor"]]) -> None:
    """Write a file `<part>.npz` for each part."""
    folder.mkdir()
    for name, tensors in parts.items():
        write_arrays(folder / f"{name}.npz", {key: tensor.cpu().numpy() for key, tensor in tensors.items()})


def _read_tensors(file: SealedFile) -> dict[str, "Tensor"]:
    import torch

    return {key: torch.from_numpy(array) for key, array in read_arrays(file).items()}


def read_state(run: Sealed) -> dict[str, dict[str, "Tensor"]]:
    """The state of an unfinished training, by part.

    Raises:
        InputError: something is missing or altered.
    """
    names = [name for name in run.files or () if name.startswith("state/")]
    return {Path(name).stem: _read_tensors(run / name) for name in names}


def read_checkpoint(run: Sealed, name: str, module: "nn.Module") -> None:
    """Load the parameters of a module made with the same settings.

    Raises:
        InputError: they are missing or altered, or have other shapes.
    """
    file = run / f"checkpoint/{name}.npz"
    tensors = _read_tensors(file)
    wanted = {key: tensor.dtype for key, tensor in module.state_dict().items()}
    for key, tensor in tensors.items():
        if tensor.dtype != wanted.get(key, tensor.dtype):
            raise InputError(f"{str(file)!r} does not fit: its {key!r} is {tensor.dtype}; expected {wanted[key]}.")
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{str(file)!r} does not fit the env and runs of its folder: {reason}") from error


def _typed(column: Sequence[str]) -> np.ndarray:
    try:
        return np.asarray([int(text) for text in column], dtype=np.int64)
    except OverflowError as error:
        raise ValueError("an integer has more than 64 bits") from error
    except ValueError:
        pass
    try:
        numbers = np.asarray([float(text) for text in column])
    except ValueError:
        return np.asarray(column)
    if any(text.strip("+-")[:1].isdigit() for text in np.asarray(column)[np.isinf(numbers)].tolist()):
        raise ValueError("a number is out of range")
    return numbers
