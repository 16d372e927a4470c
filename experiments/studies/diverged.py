"""Runs that diverged: results leave them out, and say how many there were; see `magail_trainer.learn.divergence`."""

import sys
from dataclasses import dataclass
from pathlib import Path

from experiments.studies.criteria import Criterion
from experiments.studies.jobs import open_cell
from magail_trainer.data.run_folder import CONFIG, healthy, open_run, read_table
from magail_trainer.text import counted

EXIT_STATUS = 3
"""Of a command with a run that diverged."""


@dataclass(frozen=True)
class Diverged:
    """How many runs diverged, of how many."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number} of {counted(self.of, 'run')} diverged"

    def __bool__(self) -> bool:
        return self.number > 0


def count_diverged(folder: Path) -> Diverged:
    """The runs of all tables in a folder, and in the folders below it.

    Raises:
        InputError: a folder with such a table is not as it was written.
    """
    number, of = 0, 0
    for file in sorted(folder.rglob("runs.csv")):
        if any(part.startswith(".") for part in file.relative_to(folder).parts):
            continue  # unfinished
        opened = (open_run if (file.parent / CONFIG).is_file() else open_cell)(file.parent)
        kept = healthy(read_table(opened / "runs.csv"))
        number, of = number + int((~kept).sum()), of + len(kept)
    return Diverged(number, of)


def none_diverged(folder: Path, label: str = "") -> list[Criterion]:
    """A criterion that fails if a run in a folder diverged; none if none did."""
    diverged = count_diverged(folder)
    return [Criterion(f"{label}no run diverges", f"{diverged}, and left out below", False)] if diverged else []


def exit_status(diverged: Diverged, status: int) -> int:
    """The exit status of a command, 3 if a run diverged, which is said on stderr; else `status`."""
    if not diverged:
        return status
    print(f"{diverged}; tables, figures and statistics leave them out.", file=sys.stderr)
    return EXIT_STATUS
