"""Normal-form games as payoff tensors.

Notation: N agents, agent i has A_i actions; `payoffs[i, a_1, ..., a_N]` is what agent i earns when the agents play
the joint action (a_1, ..., a_N).
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coordination_env.checks import check_count


@dataclass(frozen=True, eq=False)
class MatrixGame:
    """A normal-form game that checks itself and cannot change.

    Attributes:
        name: short identifier, such as `stag_hunt`.
        payoffs: `[N, A_1..A_N]` float64, read-only.
        action_names: for each agent, the names of its actions, in the order of the payoff axes.

    Raises:
        ValueError: if the name is empty, the payoffs are not finite or do not have one axis per agent, or the action
            names do not fit the payoffs.
    """

    name: str
    payoffs: NDArray[np.float64]
    action_names: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        payoffs = np.array(self.payoffs, dtype=np.float64)  # a copy: the caller's array stays the caller's
        payoffs.setflags(write=False)
        object.__setattr__(self, "payoffs", payoffs)
        object.__setattr__(self, "action_names", tuple(tuple(names) for names in self.action_names))
        self._check()

    def _check(self) -> None:
        shape = self.payoffs.shape
        if not self.name:
            raise ValueError("The name of a game must not be empty.")
        if len(shape) < 2 or shape[0] != len(shape) - 1 or 0 in shape:
            raise ValueError(
                f"payoffs must have shape [N, A_1..A_N] with one action axis per agent, got {list(shape)}."
            )
        if not np.isfinite(self.payoffs).all():
            raise ValueError(f"The payoffs of {self.name} must be finite, got {self.payoffs.tolist()}.")
        counts = tuple(len(names) for names in self.action_names)
        if counts != self.num_actions:
            raise ValueError(f"action_names must name {self.num_actions} actions, agent by agent, got {counts} names.")
        if any(len(set(names)) != len(names) for names in self.action_names):
            raise ValueError(f"The action names of one agent must differ, got {self.action_names}.")

    @property
    def num_agents(self) -> int:
        """N."""
        return self.payoffs.shape[0]

    @property
    def num_actions(self) -> tuple[int, ...]:
        """(A_1, ..., A_N)."""
        return self.payoffs.shape[1:]

    def __eq__(self, other: object) -> bool:
        # The generated method would ask for the truth value of an array.
        if not isinstance(other, MatrixGame):
            return NotImplemented
        same_names = (self.name, self.action_names) == (other.name, other.action_names)
        return same_names and np.array_equal(self.payoffs, other.payoffs)

    def __hash__(self) -> int:
        return hash((self.name, self.action_names, self.payoffs.tobytes()))

    def __reduce__(self) -> tuple[type[MatrixGame], tuple[object, ...]]:
        # Pickle forgets that an array is read-only, so a copy is made the way the original was.
        return MatrixGame, (self.name, self.payoffs, self.action_names)


def matching(num_agents: int = 2, num_actions: int = 2) -> MatrixGame:
    """Everybody earns 1 if all agents choose the same action, else 0. Actions are called A, B, C, ...

    Raises ValueError for fewer than two agents or two actions.
    """
    num_agents = check_count("num_agents", num_agents, least=2)
    num_actions = check_count("num_actions", num_actions, least=2)
    payoffs = np.zeros((num_agents, *[num_actions] * num_agents))
    everywhere_equal = (np.arange(num_actions),) * num_agents
    payoffs[:, *everywhere_equal] = 1.0
    letters = string.ascii_uppercase
    names = tuple(letters[a] if a < len(letters) else f"A{a}" for a in range(num_actions))
    return MatrixGame("matching", payoffs, (names,) * num_agents)


def stag_hunt() -> MatrixGame:
    """Two pure equilibria: the stag pays more, the hare is safe (Rousseau 1755; Harsanyi and Selten 1988)."""
    return _symmetric("stag_hunt", ("stag", "hare"), [[4, 0], [3, 3]])


def battle_of_the_sexes() -> MatrixGame:
    """Both want to meet, each prefers another place (Luce and Raiffa 1957)."""
    names = ("ballet", "fight")
    return MatrixGame("battle_of_the_sexes", np.array([[[2, 0], [0, 1]], [[1, 0], [0, 2]]]), (names, names))


def chicken() -> MatrixGame:
    """Anti-coordination: whoever swerves loses face, but two who go straight crash (Rapoport and Chammah 1966)."""
    return _symmetric("chicken", ("swerve", "straight"), [[0, -1], [1, -10]])


def prisoners_dilemma() -> MatrixGame:
    """Defecting is dominant, yet both would rather both cooperate (payoffs of Axelrod 1984)."""
    return _symmetric("prisoners_dilemma", ("cooperate", "defect"), [[3, 0], [5, 1]])


def matching_pennies() -> MatrixGame:
    """Zero-sum: the first agent wins if the sides are equal, the second if they differ (von Neumann 1928)."""
    names, first = ("heads", "tails"), np.array([[1, -1], [-1, 1]])
    return MatrixGame("matching_pennies", np.stack([first, -first]), (names, names))


def rock_paper_scissors() -> MatrixGame:
    """Zero-sum and cyclic: paper beats rock, scissors beat paper, rock beats scissors."""
    return _symmetric("rock_paper_scissors", ("rock", "paper", "scissors"), [[0, -1, 1], [1, 0, -1], [-1, 1, 0]])


def _symmetric(name: str, action_names: tuple[str, ...], own_payoffs: Sequence[Sequence[float]]) -> MatrixGame:
    """A two-agent game in which both face `own_payoffs[own action][other's action]`."""
    row_player = np.array(own_payoffs)
    return MatrixGame(name, np.stack([row_player, row_player.T]), (action_names, action_names))


GAMES: dict[str, Callable[[], MatrixGame]] = {
    "matching": matching,
    "stag_hunt": stag_hunt,
    "battle_of_the_sexes": battle_of_the_sexes,
    "chicken": chicken,
    "prisoners_dilemma": prisoners_dilemma,
    "matching_pennies": matching_pennies,
    "rock_paper_scissors": rock_paper_scissors,
}
"""Every named game, by its name."""


def named_game(game: str | MatrixGame) -> MatrixGame:
    """A game from its name; a `MatrixGame` is returned as it is. Raises ValueError for an unknown name."""
    if isinstance(game, MatrixGame):
        return game
    if game not in GAMES:
        raise ValueError(f"Unknown game {game!r}; the named games are {', '.join(GAMES)}.")
    return GAMES[game]()
