"""A claim: a statement, the parts of the report that it rests on, and the rule for its verdict.

The claims are in `collapse`, `correlation` and `games`. Each reads its finished parts from the report's folder. `R` is
the number of runs of a table, which has `[R]` under each name.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

import numpy as np

from experiments.matching.metrics import MATCH
from experiments.matching.results import Columns
from experiments.studies.criteria import Criterion, all_hold
from experiments.studies.diverged import none_diverged
from experiments.studies.jobs import open_cell
from experiments.studies.statistics import share_interval
from magail_trainer.data.run_folder import open_run, read_healthy_runs
from magail_trainer.errors import InputError
from magail_trainer.play.statistics import Interval
from magail_trainer.text import counted

Verdict = Literal["reproduced", "qualified", "not reproduced"]

WANTED = 0.95
"""At least this share of the seeds must match their expert."""
RUN = "run"
"""The run folder inside a part."""


@dataclass(frozen=True)
class Limit(Criterion):
    """An observation that limits the claim if it holds."""

    consequence: str
    """The qualification for the reader."""


@dataclass(frozen=True)
class Finding:
    """The evidence on a claim."""

    criteria: Sequence[Criterion]
    """All must hold for the claim to be reproduced."""
    limits: Sequence[Limit] = ()
    seeds: str = ""

    @property
    def verdict(self) -> Verdict:
        """The verdict from criteria and limits. A claim without evidence is not reproduced."""
        if not all_hold(self.criteria):
            return "not reproduced"
        return "qualified" if any(limit.holds for limit in self.limits) else "reproduced"

    @property
    def qualifications(self) -> list[str]:
        """The consequences of the limits that hold, each once."""
        return list(dict.fromkeys(limit.consequence for limit in self.limits if limit.holds))


@dataclass(frozen=True)
class Figure:
    """A figure that an experiment draws."""

    name: str
    """Of its copy beside the report, without the suffix."""
    file: str
    """From the report's folder on."""
    caption: str


@dataclass(frozen=True)
class Claim:
    """A statement that the evidence can refute."""

    title: str
    statement: str
    """What exactly is claimed, for which expert, reward and learning rates."""
    needs: tuple[str, ...]
    """The parts that it reads or shows, from the report's folder on; patterns as in `fnmatch`."""
    examine: Callable[[Path], Finding]
    """Reads those parts below the report's folder. Raises InputError where one is missing or damaged."""
    figures: tuple[Figure, ...] = ()

    def rests_on(self, part: str) -> bool:
        """Whether the claim needs the part of this name."""
        return any(fnmatch(part, pattern) for pattern in self.needs)

    def examined(self, folder: Path, parts: Iterable[str]) -> Finding:
        """The evidence in the report's folder. It fails if a run of its parts, among `parts`, diverged.

        Raises:
            InputError: see `examine`.
        """
        lost = [item for part in parts if self.rests_on(part) for item in none_diverged(folder / part, f"{part}: ")]
        try:
            finding = self.examine(folder)
        except InputError:
            raise
        except (ValueError, IndexError):
            if not lost:
                raise
            return Finding(lost, seeds="too few that did not diverge")  # for the numbers that it needs
        return replace(finding, criteria=[*lost, *finding.criteria])


def read_runs(part: Path) -> Columns:
    """The table of runs of a part that holds a run folder, without those that diverged."""
    return read_healthy_runs(open_run(part / RUN) / "runs.csv")


def part_runs(folder: Path, pattern: str) -> list[Columns]:
    """The tables of runs, without those that diverged, of all parts of the phase diagram that a pattern names.

    Raises:
        InputError: there is none below the report's folder.
    """
    parts = [part for part in sorted(folder.glob(pattern)) if part.is_dir()]
    if not parts:
        raise InputError(f"There is no finished part {pattern!r} in {str(folder)!r}.")
    return [read_healthy_runs(open_cell(part) / "runs.csv") for part in parts]


def expert_joint(part: Path) -> np.ndarray:
    """The joint distribution of the expert that a part imitates, as it was recorded, `[A_1..A_N]`."""
    return np.asarray(open_run(part / RUN).content["dataset"]["joint"])


def chosen(table: Columns, **values: object) -> Columns:
    """The rows with these values."""
    keep = np.ones(len(next(iter(table.values()))), dtype=bool)
    for name, value in values.items():
        keep &= table[name] == value
    return {name: column[keep] for name, column in table.items()}


def matching_share(distance: np.ndarray) -> Interval:
    """Share of runs `[R]` that match their expert, with its exact interval."""
    return share_interval(int((distance < MATCH).sum()), len(distance))


def seeds_text(*tables: Columns) -> str:
    """How many seeds each table of runs has, as "5 seeds" or "5 to 20 seeds"."""
    counts = sorted(len(np.unique(table["seed"])) for table in tables)
    return counted(counts[0], "seed") if counts[0] == counts[-1] else f"{counts[0]} to {counts[-1]} seeds"
