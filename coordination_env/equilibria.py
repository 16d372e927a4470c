"""Solution concepts of normal-form games: pure functions for any number of players.

Notation: N players, player i has A_i actions; `payoffs` is `[N, A_1..A_N]`, and `strategies` holds one array
`[..., A_i]` of action probabilities per player. Leading axes broadcast, those of `payoffs` (`[..., N, A_1..A_N]`)
included. That probabilities sum to one is taken on trust; wrong shapes raise ValueError.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_letters

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


def expected_payoffs(payoffs: ArrayLike, strategies: Sequence[ArrayLike]) -> FloatArray:
    """What each player earns on average when all play independently: `[..., N]`."""
    tensor, mixed = _checked(payoffs, strategies)
    return _contract(tensor, mixed, players=range(len(mixed)), keep=[0])


def action_values(payoffs: ArrayLike, strategies: Sequence[ArrayLike], player: int) -> FloatArray:
    """What `player` (0..N-1) earns on average from each of its actions while the others play theirs: `[..., A_i]`.

    The player's own strategy does not matter to the numbers.
    """
    tensor, mixed = _checked(payoffs, strategies)
    if not 0 <= player < len(mixed):
        raise ValueError(f"player must be an integer from 0 to {len(mixed) - 1}, got {player!r}.")
    others = [other for other in range(len(mixed)) if other != player]
    every_players = _contract(tensor, mixed, players=others, keep=[0, player + 1])
    return every_players[..., player, :]


def nash_conv(payoffs: ArrayLike, strategies: Sequence[ArrayLike]) -> FloatArray:
    """How far the strategies are from a Nash equilibrium: `[...]`, zero (up to rounding) at one, positive elsewhere.

    The sum over players of the gain from switching to a best response (Lanctot et al. 2017, arXiv 1711.00832).
    """
    earned = expected_payoffs(payoffs, strategies)
    gains = [
        action_values(payoffs, strategies, player).max(axis=-1) - earned[..., player]
        for player in range(len(strategies))
    ]
    return np.sum(gains, axis=0)


def pure_nash_equilibria(payoffs: ArrayLike, *, strict: bool = False, tolerance: float = 1e-9) -> list[tuple[int, ...]]:
    """The joint actions from which nobody gains by deviating alone, in row-major order. Takes `[N, A_1..A_N]` only.

    With `strict`, those from which everybody loses by it: the conventions of Young (1993). In the matching game of four
    agents AABB is an equilibrium too, for nobody alone can repair it, but no convention.
    """
    tensor = np.asarray(payoffs, dtype=np.float64)
    if tensor.ndim < 2 or tensor.shape[0] != tensor.ndim - 1:
        raise ValueError(f"payoffs must have shape [N, A_1..A_N], got {list(tensor.shape)}.")
    stable = np.ones(tensor.shape[1:], dtype=np.bool_)
    for player, own in enumerate(tensor):
        best = own >= own.max(axis=player, keepdims=True) - tolerance
        stable &= best
        if strict:
            stable &= best.sum(axis=player, keepdims=True) == 1
    return [tuple(int(action) for action in cell) for cell in np.argwhere(stable)]


def _contract(
    tensor: FloatArray, mixed: list[FloatArray], *, players: Sequence[int], keep: Sequence[int]
) -> FloatArray:
    """Average the payoffs over the strategies of `players`; axis 0 is the earner, axis 1 + i the action of player i."""
    letters = ascii_letters[: len(mixed) + 1]
    operands = [letters, *(letters[player + 1] for player in players)]
    subscripts = ",".join("..." + axes for axes in operands) + "->..." + "".join(letters[axis] for axis in keep)
    return np.einsum(subscripts, tensor, *(mixed[player] for player in players))


def _checked(payoffs: ArrayLike, strategies: Sequence[ArrayLike]) -> tuple[FloatArray, list[FloatArray]]:
    tensor = np.asarray(payoffs, dtype=np.float64)
    mixed = [np.asarray(strategy, dtype=np.float64) for strategy in strategies]
    num_actions = tuple(strategy.shape[-1] if strategy.ndim else 0 for strategy in mixed)
    expected = (len(mixed), *num_actions)
    if tensor.shape[-len(expected) :] != expected:
        raise ValueError(
            f"{len(mixed)} strategies over {num_actions} actions need payoffs whose shape ends in {list(expected)}, "
            f"got {list(tensor.shape)}."
        )
    return tensor, mixed
