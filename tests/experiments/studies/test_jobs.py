"""Work that is done folder by folder: each appears whole or not at all."""

import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments.studies.jobs import run_job, run_jobs
from magail_trainer.errors import InputError


class Failing:
    """A job that writes half of its folder."""

    name = "half"

    def settings(self) -> dict[str, Any]:
        return {"kind": "cell"}

    def fill(self, folder: Path) -> str:
        (folder / "half.txt").write_text("")
        raise InputError("It failed.")


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="It failed"):
        run_job(Failing(), tmp_path)
    with pytest.raises(InputError, match="It failed"):
        run_jobs([Failing()], tmp_path / "output" / "cells", processes=1)
    assert list(tmp_path.iterdir()) == []


def test_so_many_processes_there_are_not(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--jobs must be at least 1, not 0"):
        run_jobs([], tmp_path, processes=0)


class Endless:
    """A job that tells its process and goes on until it is ended."""

    def __init__(self, name: str, pids: Path) -> None:
        self.name, self.pids = name, pids

    def settings(self) -> dict[str, Any]:
        return {"kind": "cell"}

    def fill(self, folder: Path) -> str:
        (self.pids / str(os.getpid())).touch()
        time.sleep(600)
        return ""


def run_endless_jobs(root: str) -> None:
    jobs = [Endless(name, Path(root) / "pids") for name in ("a", "b")]
    run_jobs(jobs, Path(root) / "cells", processes=2)


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    pids.mkdir()
    parent = multiprocessing.get_context("spawn").Process(target=run_endless_jobs, args=(str(tmp_path),))
    parent.start()
    wait_until(lambda: len(list(pids.iterdir())) == 2)
    parent.kill()
    parent.join()
    wait_until(lambda: not [file.name for file in pids.iterdir() if Path("/proc", file.name).exists()])
    assert not list((tmp_path / "cells").glob("[ab]"))


class Filled:
    """A job that writes a file."""

    name = "cell"

    def __init__(self, kind: str = "cell") -> None:
        self.kind = kind

    def settings(self) -> dict[str, Any]:
        return {"kind": self.kind}

    def fill(self, folder: Path) -> str:
        (folder / "a.txt").write_text("a")
        return "done"


def test_a_cell_that_is_there_is_checked(tmp_path: Path) -> None:
    run_jobs([Filled()], tmp_path, processes=1)
    run_jobs([Filled()], tmp_path, processes=1)
    with pytest.raises(InputError, match="was made with kind=cell, not other"):
        run_jobs([Filled("other")], tmp_path, processes=1)
    (tmp_path / "cell" / "a.txt").write_text("b")
    with pytest.raises(InputError, match=r"a\.txt' was altered .*; delete '.*cell' to have it made anew"):
        run_jobs([Filled()], tmp_path, processes=1)
    (tmp_path / "cell" / "settings.json").unlink()
    with pytest.raises(InputError, match="is no cell of a benchmark"):
        run_jobs([Filled()], tmp_path, processes=1)
