"""Measures of a joint distribution of any number of agents: pure functions, `[..., A_1..A_N]` with leading axes."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from experiments.metrics import CONVENTION_THRESHOLD, Array, entropy


def marginals(joint: Array, *, num_agents: int) -> list[Array]:
    """Each agent's action probabilities, `[..., A_i]`."""
    agents = range(joint.ndim - num_agents, joint.ndim)
    return [joint.sum(axis=tuple(set(agents) - {agent})) for agent in agents]


def total_correlation(joint: Array, *, num_agents: int) -> Array:
    """Σ H(a_i) − H(a_1, …, a_N) in bits, `[...]`: zero for independent agents (Watanabe 1960).

    Of two agents it is their mutual information; of N that flip the same coin, N − 1 bits.
    """
    flat = joint.reshape(*joint.shape[: joint.ndim - num_agents], -1)
    alone = sum(entropy(of_agent) for of_agent in marginals(joint, num_agents=num_agents))
    return np.maximum((alone - entropy(flat)) / np.log(2), 0.0)  # rounding makes it -1e-16 for independent agents


def mass_on(joint: Array, cells: Iterable[tuple[int, ...]], *, num_agents: int) -> Array:
    """Probability that one of these joint actions is played, `[...]`; zero if there are none.

    Of the two conventions of the 2×2 matching game it is `coordination_rate`, P(AA) + P(BB).
    """
    leading = joint.shape[: joint.ndim - num_agents]
    return sum((joint[..., *cell] for cell in cells), start=np.zeros(leading))


def followed_convention(
    policies: Sequence[Array], conventions: Mapping[str, tuple[int, ...]], *, otherwise: str
) -> np.ndarray:
    """Which convention all agents follow, by name, `[...]`.

    That is the joint action of which every agent plays its part with probability `CONVENTION_THRESHOLD` or more.

    Args:
        policies: each agent's, `[..., A_i]`.
        conventions: joint actions by name.
        otherwise: the name for where there is none.
    """
    names = np.full(policies[0].shape[:-1], otherwise, dtype=f"<U{max(map(len, [otherwise, *conventions]))}")
    for name, cell in conventions.items():
        parts = [policy[..., action] for policy, action in zip(policies, cell, strict=True)]
        names[np.min(parts, axis=0) >= CONVENTION_THRESHOLD] = name
    return names
