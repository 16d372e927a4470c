"""Correlated equilibria of normal-form games (Aumann 1974), by linear programming.

A mediator draws a joint action from a distribution that everybody knows, and tells each player its own part of it and
nothing else. The distribution is a correlated equilibrium if nobody gains by playing otherwise than told, and a coarse
one (Moulin and Vial 1978) if nobody gains by deciding so before being told.

Notation as in `equilibria`: `payoffs` is `[N, A_1..A_N]`, `joint` is `[..., A_1..A_N]`, and J = A_1 · … · A_N. That
probabilities sum to one is taken on trust; wrong shapes raise ValueError.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


def deviation_gains(payoffs: ArrayLike, joint: ArrayLike) -> FloatArray:
    """What each player gains on average by answering all that it is told as well as it can: `[..., N]`, at least zero.

    For every action that it is told the player switches to the best one against what the others play then; this is the
    swap regret of Blum and Mansour (2007). Of players that act independently it is the gain of a best response.
    """
    tensor = _checked_payoffs(payoffs)
    weights = np.asarray(joint, dtype=np.float64)
    if weights.shape[-(tensor.ndim - 1) :] != tensor.shape[1:]:
        raise ValueError(f"joint must have a shape that ends in {list(tensor.shape[1:])}, got {list(weights.shape)}.")
    leading = weights.shape[: weights.ndim - tensor.ndim + 1]
    flat = weights.reshape(*leading, 1, -1, 1)
    # matmul [told, played, J] @ [..., 1, J, 1]
    gains = [(gain @ flat)[..., 0].max(axis=-1).sum(axis=-1) for gain in _gains(tensor)]
    return np.stack(gains, axis=-1)


def ce_conv(payoffs: ArrayLike, joint: ArrayLike) -> FloatArray:
    """How far a joint distribution is from a correlated equilibrium: `[...]`, zero (up to rounding) at one.

    The sum of the `deviation_gains`. Of a product of strategies it is their `nash_conv`.
    """
    return deviation_gains(payoffs, joint).sum(axis=-1)


def correlated_equilibrium(
    payoffs: ArrayLike, *, objective: ArrayLike | None = None, coarse: bool = False
) -> FloatArray:
    """The correlated equilibrium that maximises a linear objective: `[A_1..A_N]`.

    Of several, a flattest one: its largest probability is as small as can be. So chicken's mediator crashes nobody and
    is otherwise fair, and the two who would meet at the ballet or at the fight toss a fair coin.

    Args:
        payoffs: `[N, A_1..A_N]`
        objective: `[A_1..A_N]`, what a joint action is worth; by default the sum of the payoffs.
        coarse: whether a coarse correlated equilibrium will do.
    """
    tensor = _checked_payoffs(payoffs)
    shape = tensor.shape[1:]
    worth = tensor.sum(axis=0) if objective is None else np.asarray(objective, dtype=np.float64)
    if worth.shape != shape:
        raise ValueError(f"objective must have shape {list(shape)}, got {list(worth.shape)}.")
    # HiGHS's tolerances are absolute, so numbers of about one.
    worth = worth.ravel() / max(1.0, float(np.abs(worth).max()))
    gains = _gains(tensor / max(1.0, float(np.abs(tensor).max())))
    disobedience = np.concatenate([gain.sum(axis=0) if coarse else gain.reshape(-1, worth.size) for gain in gains])
    best = _solve(-worth, disobedience, np.zeros(len(disobedience)), num_weights=worth.size)
    if best is None:  # every finite game has a Nash equilibrium, and that is a correlated one
        raise RuntimeError("HiGHS found no correlated equilibrium.")
    weights = _flattest(worth, disobedience, float(worth @ best))
    weights = best if weights is None else weights
    weights = np.round(np.where(weights < 1e-8, 0.0, weights), 12)  # without what the tolerances leave of a zero
    return (weights / weights.sum()).reshape(shape)


def _flattest(worth: FloatArray, disobedience: FloatArray, most: float) -> FloatArray | None:
    """Of the equilibria worth `most`, one whose largest probability, a variable of its own, is least: `[J]`."""
    size = worth.size
    constraints = np.block(
        [
            [disobedience, np.zeros((len(disobedience), 1))],
            [-worth[np.newaxis], np.zeros((1, 1))],
            [np.eye(size), -np.ones((size, 1))],
        ]
    )
    bounds = np.concatenate([np.zeros(len(disobedience)), [-most], np.zeros(size)])
    solution = _solve(np.append(np.zeros(size), 1.0), constraints, bounds, num_weights=size)
    return None if solution is None else solution[:size]


def _solve(cost: FloatArray, constraints: FloatArray, bounds: FloatArray, *, num_weights: int) -> FloatArray | None:
    """Minimise `cost @ x` for x >= 0 with `constraints @ x <= bounds` whose first `num_weights` sum to one."""
    from scipy.optimize import linprog  # half a second that only those who need it should pay

    sums = np.concatenate([np.ones(num_weights), np.zeros(cost.size - num_weights)])[np.newaxis]
    result = linprog(cost, A_ub=constraints, b_ub=bounds, A_eq=sums, b_eq=[1.0], method="highs")
    return np.asarray(result.x) if result.status == 0 else None


def _gains(tensor: FloatArray) -> Iterator[FloatArray]:
    """For each player, `[told, played, J]`: its gain in a joint action by playing something else than it is told.

    Zero in the joint actions in which it is told something else, and where it plays what it is told.
    """
    shape = tensor.shape[1:]
    for player, own in enumerate(tensor):
        if_played = np.stack([np.broadcast_to(own.take([a], axis=player), shape) for a in range(shape[player])])
        told = np.indices(shape)[player] == np.arange(shape[player]).reshape(-1, *[1] * len(shape))
        yield np.where(told[:, np.newaxis], if_played - own, 0.0).reshape(shape[player], shape[player], -1)


def _checked_payoffs(payoffs: ArrayLike) -> FloatArray:
    tensor = np.asarray(payoffs, dtype=np.float64)
    if tensor.ndim < 2 or tensor.shape[0] != tensor.ndim - 1:
        raise ValueError(f"payoffs must have shape [N, A_1..A_N], got {list(tensor.shape)}.")
    return tensor
