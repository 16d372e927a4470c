"""A criterion: what was expected of some runs, what was observed, and whether it holds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from magail_trainer.play.statistics import Interval

HEADER = ("expected", "observed [95 % interval]", "holds")


@dataclass(frozen=True)
class Criterion:
    """One expectation beside the observation that decides it."""

    expected: str
    observed: str
    holds: bool


def all_hold(criteria: Sequence[Criterion]) -> bool:
    """Whether every criterion holds; False without any criterion, which is no evidence."""
    return bool(criteria) and all(criterion.holds for criterion in criteria)


def verdict(criteria: Sequence[Criterion]) -> str:
    """`all_hold` in words."""
    return "reproduced" if all_hold(criteria) else "NOT reproduced"


def labelled(label: str, criteria: Iterable[Criterion]) -> list[Criterion]:
    """The criteria with a label in front of `expected`."""
    return [replace(criterion, expected=label + criterion.expected) for criterion in criteria]


def evidence_rows(criteria: Iterable[Criterion]) -> list[tuple[str, str, str]]:
    """A row under `HEADER` for each criterion."""
    return [(item.expected, item.observed, "yes" if item.holds else "NO") for item in criteria]


def verdict_rows(title: str, criteria: Sequence[Criterion], note: str = "") -> list[tuple[str, str, str]]:
    """`evidence_rows`, then a row in bold with the title, a note, and the verdict."""
    return [*evidence_rows(criteria), (f"**{title}**", note, f"**{verdict(criteria)}**")]


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table in Markdown. Markup in the cells stays markup."""
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]


def interval_text(interval: Interval, form: str = ".3f") -> str:
    """An estimate and its interval, such as "0.990 [0.981, 1.000]", each number in the given format."""
    return f"{interval.estimate:{form}} [{interval.low:{form}}, {interval.high:{form}}]"
