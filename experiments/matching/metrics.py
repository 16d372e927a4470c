"""Measures of what learned policies do together: pure functions of probability arrays.

Every function broadcasts over leading axes `...` (runs, epochs). `A_i` is the number of actions of agent i; a joint
distribution has one trailing axis per agent. Nothing here samples.
"""

from collections.abc import Iterable, Mapping, Sequence
from string import ascii_lowercase
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from scipy.special import entr, rel_entr

Array = NDArray[np.float64]

CONVENTION_THRESHOLD = 0.9
"""A run follows a convention when every agent plays its action with at least this probability."""

MATCH = 0.05
"""A run matches its expert when the JS distance of the joint distributions is below this."""


def product_joint(marginals: Sequence[Array]) -> Array:
    """Joint distribution of agents that act independently: one `[..., A_i]` per agent -> `[..., A_1, ..., A_N]`."""
    axes = ascii_lowercase[: len(marginals)]
    return np.einsum(f"{','.join('...' + axis for axis in axes)}->...{axes}", *marginals)


def entropy(probs: Array) -> Array:
    """Shannon entropy in nats, with 0 log 0 = 0: `[..., A]` -> `[...]`."""
    return entr(probs).sum(axis=-1)


def marginals_of(joint: Array, *, num_agents: int = 2) -> list[Array]:
    """Each agent's marginal: `[..., A_1, ..., A_N]` -> one `[..., A_i]` per agent."""
    axes = ascii_lowercase[:num_agents]
    return [np.einsum(f"...{axes}->...{axis}", joint) for axis in axes]


def mutual_information(joint: Array, *, num_agents: int = 2) -> Array:
    """Mutual information in bits between the agents' actions: `[..., A_1, ..., A_N]` -> `[...]`.

    I(a_1; a_2) = KL(joint ‖ product of its marginals), Cover and Thomas (2006), equation 2.28; of more than two agents
    it is their total correlation (Watanabe 1960), the same divergence.
    """
    independent = product_joint(marginals_of(joint, num_agents=num_agents))
    bits = _sum_cells(rel_entr(joint, independent), num_agents) / np.log(2)
    return np.maximum(bits, 0.0)  # rounding makes it -1e-16 for independent agents


class KLSplit(NamedTuple):
    """Where a learner's KL divergence from the expert comes from, in bits, `[...]` each.

    kl = irreducible + marginals − recovered. Independent policies recover nothing.
    """

    kl: Array
    """KL(P_E ‖ q), the total."""
    irreducible: Array
    """I_E, the expert's own mutual information: what independent policies can never remove (the second failure)."""
    marginals: Array
    """Σ_i KL(p_i ‖ q_i), from marginals that differ from the expert's: the cost of a collapse (the first failure)."""
    recovered: Array
    """E_expert[log q / Π q_i]: how much of the expert's correlation the learner's correlation explains. At most I_E
    where the marginals are right; negative for a learner that is correlated in another way."""


def kl_split(joint: Array, expert_joint: Array) -> KLSplit:
    """Split KL(P_E ‖ q) by cause: `[..., A_1, ..., A_N]` against `[A_1, ..., A_N]`.

    For independent policies, KL(P_E ‖ Π q_i) = I_E + Σ_i KL(p_i ‖ q_i), since log P_E / Π q_i = log P_E / Π p_i +
    Σ_i log p_i / q_i, and log p_i / q_i is a function of one agent's action. For other policies, whose joint need not
    be a product, E_expert[log q / Π q_i] is subtracted.

    Where a learner never does what the expert does, `kl` is ∞, and so is `marginals` if an agent by itself never does
    it. Nothing is clipped: the median over runs is defined all the same, the mean is not. Where both are ∞, `recovered`
    is NaN. A softmax never gets there.
    """
    num_agents = expert_joint.ndim
    joint, expert_joint = np.asarray(joint, dtype=np.float64), np.asarray(expert_joint, dtype=np.float64)
    kl = _sum_cells(rel_entr(expert_joint, joint), num_agents) / np.log(2)
    pairs = zip(
        marginals_of(expert_joint, num_agents=num_agents), marginals_of(joint, num_agents=num_agents), strict=True
    )
    marginals = np.sum([rel_entr(expert, learner).sum(axis=-1) for expert, learner in pairs], axis=0) / np.log(2)
    irreducible = np.full_like(kl, mutual_information(expert_joint, num_agents=num_agents))
    with np.errstate(invalid="ignore"):
        return KLSplit(kl, irreducible, marginals, irreducible + marginals - kl)


def total_variation(joint: Array, reference: Array) -> Array:
    """½ Σ |joint − reference|, in [0, 1]: `[..., A_1, ..., A_N]` against `[A_1, ..., A_N]` -> `[...]`."""
    return _sum_cells(np.abs(joint - reference), np.ndim(reference)) / 2


def pooled_joint(joint: Array) -> Array:
    """The mean over runs: `[R, A_1, ..., A_N]` -> `[A_1, ..., A_N]`.

    It can look like the expert although no run does: runs that play AA and runs that play BB pool to a mixture that
    none of them plays. Always show it beside the runs.
    """
    return np.mean(joint, axis=0)


def js_distance(joint: Array, reference: Array) -> Array:
    """Jensen–Shannon distance (the root of the divergence), base 2 and so in [0, 1], to a reference distribution.

    `[..., A_1, ..., A_N]` against `[A_1, ..., A_N]` -> `[...]`.

    Raises ValueError if the trailing axes of `joint` are not those of `reference`.
    """
    joint, reference = np.asarray(joint, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    leading = joint.shape[: joint.ndim - reference.ndim]
    if joint.shape != leading + reference.shape:
        raise ValueError(f"a joint of shape {joint.shape} does not end in the reference's shape {reference.shape}")
    p, q = joint.reshape(*leading, -1), reference.reshape(-1)
    with np.errstate(invalid="ignore"):
        distance = jensenshannon(p, q, base=2, axis=-1)  # pyright: ignore[reportCallIssue]  (the stub lacks axis)
    # Between equal distributions the divergence may round to -1e-17, whose root is NaN. A NaN in the input stays NaN.
    return np.where(np.isnan(distance) & np.isclose(p, q).all(axis=-1), 0.0, distance)[()]


def mass_on(joint: Array, cells: Iterable[tuple[int, ...]], *, num_agents: int) -> Array:
    """Probability of any of these joint actions, `[...]`; zero without any.

    On the two conventions of the 2×2 matching game it is `coordination_rate`, P(AA) + P(BB).
    """
    leading = joint.shape[: joint.ndim - num_agents]
    return sum((joint[..., *cell] for cell in cells), start=np.zeros(leading))


def followed_convention(
    policies: Sequence[Array], conventions: Mapping[str, tuple[int, ...]], *, otherwise: str
) -> np.ndarray:
    """The name of the convention that all agents follow with probability `CONVENTION_THRESHOLD` or more, `[...]`.

    Args:
        policies: each agent's, `[..., A_i]`.
        conventions: joint actions by name.
        otherwise: the name where they follow none.
    """
    names = np.full(policies[0].shape[:-1], otherwise, dtype=f"<U{max(map(len, [otherwise, *conventions]))}")
    for name, cell in conventions.items():
        parts = [policy[..., action] for policy, action in zip(policies, cell, strict=True)]
        names[np.min(parts, axis=0) >= CONVENTION_THRESHOLD] = name
    return names


def _sum_cells(values: Array, num_agents: int) -> Array:
    """Sum over all joint actions: `[..., A_1, ..., A_N]` -> `[...]`."""
    return values.sum(axis=tuple(range(-num_agents, 0)))
