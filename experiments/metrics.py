"""What a pair of learned policies does: pure functions of probability arrays.

Every function broadcasts over leading axes `...` (runs, epochs). `A_i` is the number of actions of agent i; a joint
distribution has one trailing axis per agent. Inputs are probabilities: nothing here samples.
"""

from collections.abc import Iterator, Sequence
from string import ascii_lowercase, ascii_uppercase
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.spatial.distance import jensenshannon
from scipy.special import entr, rel_entr

Array = NDArray[np.float64]

CONVENTION_THRESHOLD = 0.9
"""A run follows a convention when every agent plays its action with at least this probability."""

RANDOM_STARTS = 8
"""Random starting points of `best_product_js`, beside one near each pure joint action."""


class BestProduct(NamedTuple):
    """The product of independent policies that comes nearest to a joint distribution."""

    distance: float
    """Jensen–Shannon distance, base 2, in [0, 1]."""
    marginals: list[Array]
    """The policy of each agent, `[A_i]`."""


def product_joint(marginals: Sequence[Array]) -> Array:
    """Joint distribution of agents that act independently: one `[..., A_i]` per agent -> `[..., A_1, ..., A_N]`."""
    axes = ascii_lowercase[: len(marginals)]
    return np.einsum(f"{','.join('...' + axis for axis in axes)}->...{axes}", *marginals)


def entropy(probs: Array) -> Array:
    """Shannon entropy in nats, with 0 log 0 = 0: `[..., A]` -> `[...]`."""
    return entr(probs).sum(axis=-1)


def mutual_information(joint: Array) -> Array:
    """Mutual information in bits between the actions of two agents: `[..., A_0, A_1]` -> `[...]`.

    I(a_0; a_1) = KL(joint ‖ product of its marginals), Cover and Thomas (2006), equation 2.28.
    """
    independent = joint.sum(axis=-1, keepdims=True) * joint.sum(axis=-2, keepdims=True)
    bits = rel_entr(joint, independent).sum(axis=(-2, -1)) / np.log(2)
    return np.maximum(bits, 0.0)  # rounding makes it -1e-16 for independent agents


def js_distance(joint: Array, reference: Array) -> Array:
    """Jensen–Shannon distance, base 2 and so in [0, 1], to one reference distribution.

    `joint` is `[..., A_1, ..., A_N]`, `reference` is `[A_1, ..., A_N]` and says how many trailing axes make one
    distribution; the result is `[...]`. It is the square root of the divergence, as SciPy has it.

    Raises ValueError if the trailing axes of `joint` are not those of `reference`.
    """
    joint, reference = np.asarray(joint, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    leading = joint.shape[: joint.ndim - reference.ndim]
    if joint.shape != leading + reference.shape:
        raise ValueError(f"a joint of shape {joint.shape} does not end in the reference's shape {reference.shape}")
    p, q = joint.reshape(*leading, -1), reference.reshape(-1)
    with np.errstate(invalid="ignore"):
        distance = jensenshannon(p, q, base=2, axis=-1)  # pyright: ignore[reportCallIssue]  (the stub lacks axis)
    # Between equal distributions the divergence may round to -1e-17, whose root SciPy reports as NaN. A NaN that
    # was in the input stays one.
    return np.where(np.isnan(distance) & np.isclose(p, q).all(axis=-1), 0.0, distance)[()]


def coordination_rate(joint: Array, *, num_agents: int = 2) -> Array:
    """Probability that all agents choose the same action, P(AA) + P(BB) + …: `[..., A, ..., A]` -> `[...]`.

    Raises ValueError if the agents have different numbers of actions.
    """
    return np.einsum(f"...{'a' * num_agents}->...", joint)


def convention(marginals: Sequence[Array]) -> NDArray[np.str_]:
    """Name of the convention that all agents follow: one `[..., A]` per agent -> `[...]`.

    The name is the action's letter once per agent, 'AA' or 'BB' in the 2×2 game, where every agent plays that action
    with probability `CONVENTION_THRESHOLD` or more; else 'neither'.

    Raises ValueError if the agents have different numbers of actions.
    """
    followed = np.stack(marginals).min(axis=0) >= CONVENTION_THRESHOLD
    names = [letter * len(marginals) for letter in ascii_uppercase[: followed.shape[-1]]]
    return np.select(list(np.moveaxis(followed, -1, 0)), names, default="neither")


def best_product_js(joint: Array) -> BestProduct:
    """Nearest that agents with independent policies can come to `joint`, `[A_1, ..., A_N]`, in JS distance.

    The problem is not convex, and its minimum may lie on the border: at a pure joint action for a 70/30 mixture of AA
    and BB. So all pure joint actions are tried as they are, and L-BFGS-B runs from near each of them and from a few
    random points. The time grows with the number of joint actions; 2×2 takes some tens of milliseconds. The same
    input gives the same output; of equally near products, the one of the joint's own marginals comes first, then a
    pure one.
    """
    shape = joint.shape

    def distance(marginals: Sequence[Array]) -> float:
        return float(js_distance(product_joint(marginals), joint))

    def divergence(roots: Array) -> float:
        return distance(_marginals(roots, shape)) ** 2  # smooth where the distance has a kink, at zero

    own = [joint.sum(axis=tuple(set(range(joint.ndim)) - {agent})) for agent in range(joint.ndim)]
    corners = list(_pure_products(shape))
    searched = [
        _marginals(minimize(divergence, start, method="L-BFGS-B", tol=1e-15).x, shape) for start in _starts(corners)
    ]
    # Rounded, so that ties between the candidates are decided by their order and not by the last bit.
    best = min([own, *corners, *searched], key=lambda marginals: round(distance(marginals), 9))
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
