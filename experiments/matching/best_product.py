"""The nearest that independent agents can come to a joint distribution: a lower bound for every learner.

In KL divergence no search is needed: the nearest product is that of the joint's own marginals, at a distance of its
mutual information (see `experiments.matching.metrics.kl_split`).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from experiments.matching.metrics import Array, js_distance, marginals_of, product_joint

RANDOM_STARTS = 8
"""Random starting points of the search, beside one near each pure joint action."""


class BestProduct(NamedTuple):
    """The product of independent policies that comes nearest to a joint distribution."""

    distance: float
    """Jensen–Shannon distance, base 2, in [0, 1]."""
    marginals: list[Array]
    """The policy of each agent, `[A_i]`."""


def best_product_js(joint: Array) -> BestProduct:
    """The product of independent policies nearest to `joint`, `[A_1, ..., A_N]`, in JS distance.

    The problem is not convex, and its minimum may lie on the border: at a pure joint action for a 70/30 mixture of AA
    and BB. So every pure joint action is a candidate, and L-BFGS-B starts near each of them and at a few random points.
    The time grows with the number of joint actions; 2×2 takes some tens of milliseconds. The result is deterministic;
    among equally near products, that of the joint's own marginals comes first, then a pure one.
    """

    def distance(marginals: Sequence[Array]) -> float:
        return float(js_distance(product_joint(marginals), joint))

    def divergence(roots: Array) -> float:  # smooth at zero, where the distance has a kink
        return distance(_marginals(roots, joint.shape)) ** 2

    corners = list(_pure_products(joint.shape))
    found = [minimize(divergence, start, method="L-BFGS-B", tol=1e-15).x for start in _starts(corners)]
    candidates = [
        marginals_of(joint, num_agents=joint.ndim),
        *corners,
        *(_marginals(roots, joint.shape) for roots in found),
    ]
    # Rounded, so that the order of the candidates decides ties, not the last bit.
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
    """Arguments of `_marginals`: one near each corner but inside, where no slope is zero, and random ones."""
    near_corners = [0.4 + 0.6 * np.concatenate(corner) for corner in corners]
    random = np.random.default_rng(0).uniform(0.1, 0.9, size=(RANDOM_STARTS, near_corners[0].size))
    return [*near_corners, *random]
