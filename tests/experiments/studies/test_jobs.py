"""Work that is done folder by folder: each appears whole or not at all."""

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
