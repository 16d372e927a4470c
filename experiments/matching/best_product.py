"""How near independent agents can come to a joint distribution: the limit that a learner is held against.

In the KL divergence no search is needed: the nearest product is that of the joint's own marginals, at a distance of its
mutual information (see `experiments.matching.metrics.kl_split`).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from experiments.matching.metrics import Array, js_distance, marginals_of, product_joint, total_variation

RANDOM_STARTS = 8
"""Random starting points of a search, beside one near each pure joint action."""

_ROUNDINGS = (0.1, 1e-3, 1e-5, 1e-7)
"""How round the corners of |x| are made, one after the other, for a search that needs slopes."""


class BestProduct(NamedTuple):
    """The product of independent policies that comes nearest to a joint distribution."""

    distance: float
    """Jensen–Shannon distance, base 2, or total variation; in [0, 1]."""
    marginals: list[Array]
    """The policy of each agent, `[A_i]`."""


def best_product_js(joint: Array) -> BestProduct:
    """Nearest that agents with independent policies can come to `joint`, `[A_1, ..., A_N]`, in JS distance.

    The problem is not convex, and its minimum may lie on the border: at a pure joint action for a 70/30 mixture of AA
    and BB. So all pure joint actions are tried as they are, and L-BFGS-B runs from near each of them and from a few
    random points. The time grows with the number of joint actions; 2×2 takes some tens of milliseconds. The same
    input gives the same output; of equally near products, the one of the joint's own marginals comes first, then a
    pure one.
    """

    def divergence(roots: Array) -> float:  # smooth where the distance has a kink, at zero
        return float(js_distance(product_joint(_marginals(roots, joint.shape)), joint)) ** 2

    return _nearest(joint, js_distance, [divergence])


def best_product_tv(joint: Array) -> BestProduct:
    """The same in total variation, to six digits; 2×2 takes about a second.

    The answer is another one than in JS distance: for half AA, half BB, it is √2 − 1, where both agents play the same
    action with probability √½.
    """

    def smoothed(roots: Array, rounding: float) -> float:
        gap = product_joint(_marginals(roots, joint.shape)) - joint
        return float(np.sqrt(gap**2 + rounding**2).sum()) / 2

    stages = [lambda roots, rounding=rounding: smoothed(roots, rounding) for rounding in _ROUNDINGS]
    return _nearest(joint, total_variation, stages)


def _nearest(
    joint: Array, distance_of: Callable[[Array, Array], Array], stages: Sequence[Callable[[Array], float]]
) -> BestProduct:
    """The nearest of all products tried; a search minimises the functions of `stages` one after the other."""
    corners = list(_pure_products(joint.shape))

    def distance(marginals: Sequence[Array]) -> float:
        return float(distance_of(product_joint(marginals), joint))

    def search(start: Array) -> list[Array]:
        for objective in stages:
            start = minimize(objective, start, method="L-BFGS-B", tol=1e-15).x
        return _marginals(start, joint.shape)

    candidates = [marginals_of(joint, num_agents=joint.ndim), *corners, *map(search, _starts(corners))]
    # Rounded, so that ties between the candidates are decided by their order and not by the last bit.
    best = min(candidates, key=lambda marginals: round(distance(marginals), 9))
    return BestProduct(distance(best), best)


def _marginals(roots: Array, shape: Sequence[int]) -> list[Array]:
    """Square roots of weights, `[A_1 + ... + A_N]`, any real numbers -> one distribution `[A_i]` per agent.

    Squares reach a probability of zero at a finite point, which a softmax does not.
    """
    return [part**2 / (part**2).sum() for part in np.split(roots, np.cumsum(shape)[:-1])]


def _pure_products(shape: Sequence[int]) -> Iterator[list[Array]]:
    """Every pure joint action, as one distribution `[A_i]` per agent."""
    for joint_action in np.ndindex(*shape):
        yield [np.eye(size)[action] for size, action in zip(shape, joint_action, strict=True)]


def _starts(corners: Sequence[Sequence[Array]]) -> list[Array]:
    """Starting points of `_marginals`: one near each corner but inside, where no slope is zero, and random ones."""
    near_corners = [0.4 + 0.6 * np.concatenate(corner) for corner in corners]
    random = np.random.default_rng(0).uniform(0.1, 0.9, size=(RANDOM_STARTS, near_corners[0].size))
    return [*near_corners, *random]
