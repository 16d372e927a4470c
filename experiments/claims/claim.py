"""A claim with its evidence, and how tables are read for it.

`R` is the number of rows of a table, most often runs; a table has `[R]` under each name. The claims themselves are pure
functions of saved tables, in `claims_collapse`, `claims_correlation` and `claims_games`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from experiments.matching.metrics import MATCH
from experiments.studies.criteria import Criterion
from experiments.studies.statistics import share_interval
from magail_trainer.cli.command_line import counted
from magail_trainer.play.statistics import Interval

Table = Mapping[str, np.ndarray]
Verdict = Literal["reproduced", "qualified", "not reproduced"]

WANTED = 0.95
"""So large a share of the seeds must match their expert."""


@dataclass(frozen=True)
class Claim:
    """One thing that is said, and how it fared."""

    title: str
    text: str
    """What exactly is claimed, and of which reward and learning rates."""
    criteria: Sequence[Criterion]
    """All must hold for the claim to be reproduced."""
    limits: Sequence[Criterion] = ()
    """Where one holds, the claim needs the qualification."""
    qualification: str = ""
    seeds: str = ""
    commands: Sequence[str] = ()
    figures: Sequence[str] = ()
    """Names of the report's figures."""

    @property
    def verdict(self) -> Verdict:
        """What the criteria and limits come to. A claim without evidence is not reproduced."""
        if not self.criteria or not all(criterion.holds for criterion in self.criteria):
            return "not reproduced"
        return "qualified" if any(limit.holds for limit in self.limits) else "reproduced"


def rows_of(table: Table) -> list[dict[str, Any]]:
    """Each row as a dictionary."""
    columns = [np.asarray(values).tolist() for values in table.values()]
    return [dict(zip(table, row, strict=True)) for row in zip(*columns, strict=True)]


def chosen(table: Table, **values: object) -> dict[str, np.ndarray]:
    """The rows with these values."""
    keep = np.ones(len(next(iter(table.values()))), dtype=bool)
    for name, value in values.items():
        keep &= np.asarray(table[name]) == value
    return {name: np.asarray(column)[keep] for name, column in table.items()}


def joint_of(runs: Table) -> np.ndarray:
    """Joint distributions `[R, 2, 2]` from the columns of the 2×2 matching game."""
    return np.stack([runs[f"joint_{name}"] for name in ("aa", "ab", "ba", "bb")], axis=-1).reshape(-1, 2, 2)


def matching_share(distance: np.ndarray) -> Interval:
    """Share of runs `[R]` that match their expert, with its exact interval."""
    return share_interval(int((distance < MATCH).sum()), len(distance))


def shown(interval: Interval) -> str:
    """An estimate with its interval."""
    return f"{interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def seed_counts(counts: Iterable[int]) -> str:
    """How many seeds: one number where all are the same, else the range."""
    least, most = min(counts := [int(count) for count in counts]), max(counts)
    return counted(least, "seed") if least == most else f"{least} to {most} seeds"
