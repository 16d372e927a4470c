"""A campaign of damage: whatever happens to a file, it is refused in one sentence, or nothing is different."""

import hashlib
import signal
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any, NoReturn

import numpy as np
import pytest

from experiments.matching.correlation import read_cells
from experiments.matching.suggested_runs import criteria_of
from experiments.theory import phase_cells
from magail_trainer.cli.magail import describe
from magail_trainer.data.run_folder import open_run, read_table
from magail_trainer.data.trajectories import FIELDS, Trajectories
from magail_trainer.errors import InputError
from magail_trainer.files import read_arrays
from magail_trainer.play.load_runs import load_runs
from tests.damage import harms_of, seal_anew
from tests.experiments.claims.report_folder import UNIFORM, runs_of, write_correlation, write_map, write_part
from tests.magail_trainer.commands import MATCHING, magail

FEW, MANY = 400, 20_000
MOST_SECONDS = 20
"""For one file: more is a reader that hangs."""
MOST_MEMORY = 2**20
"""Kilobytes."""


def read_dataset(folder: Path) -> list[Any]:
    """All that a dataset says and holds."""
    loaded = Trajectories.load(folder)
    arrays = [getattr(loaded, name) for name in FIELDS]
    return [describe(loaded), loaded.lengths, loaded.returns, loaded.active, loaded.acted_on, arrays]


def read_run(folder: Path) -> list[Any]:
    """All that a run folder says and holds."""
    run, trained = open_run(folder), load_runs(folder)
    said = {name: value for name, value in run.content.items() if name not in ("files", "sha256")}
    parameters = [values.detach().numpy() for values in trained.policies.parameters()]
    return [said, trained.runs.columns, parameters, read_table(run / "runs.csv"), read_arrays(run / "history.npz")]


def read_report(folder: Path) -> list[Any]:
    """The parts of a report: cells of the correlation table and of the phase diagram, and runs that are judged."""
    cells = read_cells(folder / "correlation" / "cells"), phase_cells.read_cells(folder / "phase_diagram/parts", "map")
    return [
        *cells,
        criteria_of("C", folder / "suggested_runs/C/run"),
        criteria_of("D", folder / "suggested_runs/D/run"),
    ]


READERS: dict[str, Callable[[Path], Any]] = {
    "data": read_dataset,
    "boxes": read_dataset,
    "run": read_run,
    "perceptrons": read_run,
    "report": read_report,
}


def make_folders(root: Path) -> None:
    """A folder of each kind below `root`, as small as can be."""
    few = ("--seeds", 3, 1, "--epochs", 2)
    for env, data, run, more in (
        (MATCHING, "data", "run", ("--betas", 0, 0.5)),
        ("tests.magail_trainer.reach_env:ReachEnv", "boxes", "perceptrons", ("--hidden", 4, "--warm_start", 0)),
    ):
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            assert magail("record", "--env", env, "--episodes", 6, "--output", root / data) == 0
            train = ("--env", env, "--dataset", root / data, "--output", root / run)
            assert magail("train", *train, *few, *more, "--rollout_episodes", 4) == 0
    report = root / "report"
    write_correlation(report, {("independent", "joint"): [0.56] * 3})
    write_map(report, ("gail", 1, 0.0, 0.99))
    write_part(report / "suggested_runs" / "C", runs_of([0.9, 0.1, 0.5, 0.5], [0, 0, 5, 5]))
    write_part(report / "suggested_runs" / "D", runs_of([0.5] * 4, [0, 0, 5, 5], UNIFORM), UNIFORM)


def failures(root: Path, seeds: Iterable[int]) -> list[str]:
    """What went wrong: each seed damages one file below `root` and reads its folder, which is then made whole again."""
    whole = {name: _read(name, root) for name in READERS}
    files = {name: sorted(file for file in (root / name).rglob("*.*") if file.is_file()) for name in READERS}
    wrong = []
    for seed in seeds:
        rng = Random(seed)
        (name,) = rng.choices(list(READERS), weights=(3, 3, 3, 3, 2))  # a claim resamples its runs, which takes longer
        file, anew = rng.choice(files[name]), rng.random() < 0.6
        harm = rng.choice(harms_of(file.name))
        markers = [marker for marker in files[name] if marker.suffix == ".json"] if anew else []
        before = {path: path.read_bytes() for path in (file, *markers)}
        file.write_bytes(harm(before[file], rng))
        for marker in sorted(markers, key=lambda path: -len(path.parts)):  # a cell lists the marker of its run
            if marker.parent in file.parents:
                seal_anew(marker)
        try:
            outcome = _read(name, root)
            if outcome != whole[name] and not anew and "InputError" not in outcome:
                wrong.append(f"seed {seed}: {harm.__name__} of {file.relative_to(root)} went unnoticed")
        except BaseException as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{harm.__name__} of {file.relative_to(root)}{', sealed anew' if anew else ''}"
            wrong.append(f"seed {seed}: {what}: {error!r:.200} in {where.filename}:{where.lineno}")
        finally:
            for path, data in before.items():
                path.write_bytes(data)
    return wrong


def _read(name: str, root: Path) -> str:
    """A digest of what is read, or the sentence that refuses it."""
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(MOST_SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return hashlib.sha256(_bytes_of(READERS[name](root / name))).hexdigest()
    except InputError as error:
        said = str(error)
        if not said.isprintable() or str(root / name) not in said:
            raise ValueError(f"no sentence that names the file: {said}") from error
        return f"InputError: {said}"
    finally:
        signal.alarm(0)


def _too_long(signum: int, frame: FrameType | None) -> NoReturn:
    raise TimeoutError(f"Reading took more than {MOST_SECONDS} s.")


def _bytes_of(value: Any) -> bytes:
    if isinstance(value, dict):
        return b"".join(repr(key).encode() + _bytes_of(inner) for key, inner in value.items())
    if isinstance(value, list | tuple):
        return b"".join(map(_bytes_of, value))
    if isinstance(value, np.ndarray):
        return repr((value.shape, value.dtype)).encode() + value.tobytes()
    return repr(value).encode()


def test_damage_is_refused_or_makes_no_difference(tmp_path: Path) -> None:
    make_folders(tmp_path)
    assert failures(tmp_path, range(FEW)) == []
    assert not Path("EXECUTED").exists()


CAMPAIGN = f"""
import resource, sys, tempfile
from pathlib import Path
from tests.test_damaged_files import failures, make_folders

with tempfile.TemporaryDirectory() as root:
    make_folders(Path(root))
    print("\\n".join(failures(Path(root), range({FEW}, {FEW + MANY}))))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_twenty_thousand_damaged_files(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", CAMPAIGN], cwd=root, capture_output=True, text=True, check=True)
    *wrong, memory = done.stdout.split("\n")[:-1]
    assert [line for line in wrong if line] == []
    assert int(memory) < MOST_MEMORY
    assert not (root / "EXECUTED").exists()
