"""The fixed points of a gradient flow, and their stability."""

import math
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Literal, NamedTuple

import numpy as np
from scipy.optimize import root
from scipy.special import expit

from experiments.matching.metrics import Array
from experiments.theory.gradient_flow import GradientFlow

Stability = Literal["stable", "saddle", "unstable", "neutral"]

_STARTS = (-15.0, -6.0, -3.0, -1.5, -0.5, 0.0, 0.5, 1.5, 3.0, 6.0, 15.0)
_FARTHEST = 12.0  # without an entropy bonus, advantages beyond this θ vanish only because the corner is near
_TOLERANCE = 1e-9


class FixedPoint(NamedTuple):
    """A point of the square where the flow is zero."""

    prob_a: tuple[float, float]
    """P(A) of either agent."""
    stability: Stability
    """stable: attracts; saddle: attracts along one direction and repels along another; unstable: repels; neutral:
    neither, to first order."""
    eigenvalues: tuple[float, float]
    """Rates, larger first, of dp/dt = p (1 − p) A near it; their signs are those of every flow along A."""


def fixed_points(flow: GradientFlow) -> list[FixedPoint]:
    """The four corners, and all fixed points inside that a search from many starts finds.

    At a corner p (1 − p) = 0 whatever the advantages; its eigenvalues are the gain of each agent from its other action.
    So it is stable if both lose, and with β > 0, where the slope of the entropy is infinite, it always repels. Of lines
    of fixed points, which flows without any pull have, only the uniform point is kept.
    """
    inside = _isolated(flow, _roots(flow))
    points = [*(_corner(flow, corner) for corner in product((1.0, 0.0), repeat=2)), *inside]
    return sorted(points, key=lambda point: point.prob_a, reverse=True)


def stability_at(flow: GradientFlow, theta: Array) -> tuple[Stability, tuple[float, float]]:
    """The stability of a fixed point inside the square, at θ `[2]`, and its eigenvalues."""
    values = np.real(np.linalg.eigvals(flow.advantage_slopes(theta)))  # real anyway: similar to a symmetric matrix
    values = np.asarray(values, dtype=np.float64)
    return _kind(values), (float(values.max()), float(values.min()))


def critical_beta(flow: GradientFlow) -> float:
    """The β above which the uniform point is stable; negative where it is stable without an entropy bonus.

    β is subtracted from every eigenvalue there, so that the critical β is the larger eigenvalue at β = 0.

    Raises:
        ValueError: the uniform point is no fixed point, as for an expert that prefers an action.
    """
    if np.abs(flow.advantages(np.zeros(2))).max() > _TOLERANCE:
        raise ValueError("the uniform policies are no fixed point of this flow: the expert prefers an action")
    return stability_at(flow, np.zeros(2))[1][0] + flow.beta


def _corner(flow: GradientFlow, prob_a: tuple[float, ...]) -> FixedPoint:
    signs = 2 * np.array(prob_a) - 1
    gains = -signs * flow.advantages(signs * math.inf)
    return FixedPoint((prob_a[0], prob_a[1]), _kind(gains), (float(gains.max()), float(gains.min())))


def _roots(flow: GradientFlow) -> Iterator[Array]:
    """Every θ `[2]` where both advantages vanish, with repetitions; the uniform point first."""
    for start in [(0.0, 0.0), *product(_STARTS, repeat=2)]:
        found = root(flow.advantages, start, jac=flow.advantage_slopes, tol=1e-12)
        near_enough = flow.beta > 0 or np.abs(found.x).max() < _FARTHEST
        if near_enough and np.abs(flow.advantages(found.x)).max() < _TOLERANCE:
            yield found.x


def _isolated(flow: GradientFlow, roots: Iterable[Array]) -> list[FixedPoint]:
    kept: list[Array] = []
    points = []
    for theta in roots:
        if any(np.allclose(theta, other, rtol=0, atol=1e-4) for other in kept):
            continue
        singular = abs(np.linalg.det(flow.advantage_slopes(theta))) < _TOLERANCE
        if singular and np.abs(theta).max() > 1e-6:
            continue
        kept.append(theta)
        kind, eigenvalues = stability_at(flow, theta)
        first, second = expit(theta).tolist()
        points.append(FixedPoint((first, second), kind, eigenvalues))
    return points


def _kind(rates: Array) -> Stability:
    if (rates < -_TOLERANCE).all():
        return "stable"
    if (rates > _TOLERANCE).all():
        return "unstable"
    return "saddle" if (rates > _TOLERANCE).any() else "neutral"
