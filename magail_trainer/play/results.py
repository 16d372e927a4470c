"""What trained runs earned. Columns have typed keys; their names in tables are written at the very end."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from magail_trainer.play.scores import Reference

Acting = Literal["sampled", "greedy"]
ACTING: tuple[Acting, ...] = ("sampled", "greedy")


class Group(Enum):
    """Earners beside the agents; whatever an agent is called, it is none of them."""

    TEAM = "team"
    """The sum over the agents."""
    LEARNER = "learner"
    """In cross-play, the mean over the agents that the learner plays."""


TEAM, LEARNER = Group.TEAM, Group.LEARNER
Earner = str | Group
Column = tuple[Acting, Earner]


@dataclass(frozen=True)
class Evaluation:
    """What each run earned: a row for each run, in cross-play for each side and run."""

    rows: Mapping[str, list[Any]]
    """`beta`, `seed`, and the like; in cross-play `side`, the learner's agents with a plus between them."""
    returns: Mapping[Column, list[float]]
    """Mean returns, of drawn actions and then of the likeliest ones, by agent and then of the group."""
    shares: Mapping[tuple[int, ...], list[float]] = field(default_factory=dict)
    """The share of each joint action drawn, where they are few."""
    scores: Mapping[Column, list[float]] = field(default_factory=dict)
    """Returns as scores, where there are any; see `scores.add_scores`."""
    reference: "Reference | None" = None
    """The ends of the scale of the scores."""
    remarks: tuple[str, ...] = ()
    """Sentences: what the scores mean, and who has none."""

    @property
    def earners(self) -> list[Earner]:
        """Who is scored and summarised: the learner in cross-play, else every agent and the team."""
        earners = [earner for acting, earner in self.returns if acting == "sampled"]
        return [LEARNER] if LEARNER in earners else earners

    def label(self, earner: Earner) -> str:
        """The name of an agent, or that of a group: in parentheses if an agent has the same."""
        agents = {other for _, other in self.returns if isinstance(other, str)}
        return earner if isinstance(earner, str) else apart(earner.value, agents)

    def table(self) -> dict[str, list[Any]]:
        """Columns by name: `beta`, `seed`, `return_<agent>`, `greedy_return_<agent>`, `score_<agent>`, …, `P(...)`."""
        measured = {
            f"{'' if acting == 'sampled' else 'greedy_'}{measure}_{self.label(earner)}": values
            for measure, columns in (("return", self.returns), ("score", self.scores))
            for (acting, earner), values in columns.items()
        }
        return {**self.rows, **measured, **{f"P{action}": values for action, values in self.shares.items()}}


def apart(name: str, taken: Collection[str]) -> str:
    """The name, in so many parentheses that it is not taken."""
    while name in taken:
        name = f"({name})"
    return name
