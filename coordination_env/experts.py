"""Scripted joint policies: experts whose joint distribution over actions is known exactly.

A joint policy has `begin(num_episodes, rng)`, called once, and `act(observations, episode=, step=)`, called for every
step of E copies with integer arrays `[E]`; it also has a `name` and `parameters` for the record. What follows ignores
the observations, so that any environment with `Discrete` actions can be played.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Discrete
from numpy.typing import ArrayLike, NDArray
from pettingzoo import ParallelEnv

from coordination_env.checks import check_share

Env = ParallelEnv[str, Any, Any]
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


class ScriptedJointPolicy:
    """Plays joint actions from one distribution, the same at every step.

    For each step a deck of `num_episodes` joint actions is dealt, one per episode, when the step is first reached. The
    decks are dealt in the order of the steps from a stream of their own: what is played depends on `rng` alone, not on
    how many copies play at once, nor in what order.

    Attributes:
        joint: `[A_1..A_N]`, the probability of every joint action.
        exact: `[A_1..A_N]` bool, the joint actions whose number in a deck is their share of it, up to rounding (largest
            remainder). The places left over are filled by independent draws from the other joint actions.
        parameters: what a dataset's manifest should say about the policy, `joint` included; JSON values.

    Raises:
        ValueError: if `joint` does not have one axis per agent or is not a distribution.
    """

    def __init__(
        self,
        name: str,
        agents: Sequence[str],
        joint: ArrayLike,
        *,
        exact: bool | BoolArray,
        parameters: dict[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.agents = list(agents)
        self.joint = _distribution(joint)
        if self.joint.ndim != len(self.agents):
            raise ValueError(
                f"joint must have one axis per agent in {self.agents}, got shape {list(self.joint.shape)}."
            )
        self.exact = np.broadcast_to(exact, self.joint.shape)
        self.parameters = {**(parameters or {}), "joint": self.joint.tolist()}
        self._num_episodes = 0
        self._rng: np.random.Generator | None = None
        self._decks = np.empty((0, 0), dtype=np.int64)  # [steps dealt so far, num_episodes]

    def begin(self, num_episodes: int, rng: np.random.Generator) -> None:
        """Prepare for `num_episodes` episodes. Takes a child of `rng`, and so does not share its later draws."""
        self._num_episodes = num_episodes
        self._rng = rng.spawn(1)[0]
        self._decks = np.empty((0, num_episodes), dtype=np.int64)

    def act(self, observations: dict[str, Any], *, episode: IntArray, step: IntArray) -> dict[str, IntArray]:
        """The actions `{agent: [E]}` of copies that are at step `step[e]` of episode `episode[e]`.

        Raises RuntimeError before `begin`, IndexError for an episode that was not announced to it.
        """
        while len(self._decks) <= np.max(step, initial=-1):
            self._decks = np.concatenate([self._decks, self._deal()[np.newaxis]])
        cells = self._decks[step, episode]
        return dict(zip(self.agents, np.unravel_index(cells, self.joint.shape), strict=True))

    def _deal(self) -> IntArray:
        """The row-major index of one joint action per episode, `[num_episodes]`."""
        if self._rng is None:
            raise RuntimeError(f"Call begin() of the joint policy {self.name!r} before act().")
        weights, fixed = self.joint.ravel(), np.flatnonzero(self.exact)
        free = np.flatnonzero(~self.exact)
        *counts, num_free = _apportion(np.append(weights[fixed], weights[free].sum()), self._num_episodes)
        deck = np.repeat(fixed, counts)
        if num_free:
            drawn = self._rng.choice(free, size=num_free, p=weights[free] / weights[free].sum())
            deck = np.concatenate([deck, drawn])
        return self._rng.permutation(deck)


def mixed(env: Env) -> ScriptedJointPolicy:
    """Every agent uniformly at random, independently of the others and of the other episodes."""
    shape = _num_actions(env)
    return ScriptedJointPolicy("mixed", env.possible_agents, np.full(shape, 1 / np.prod(shape)), exact=False)


def bimodal(env: Env, *, ratio: float = 0.5) -> ScriptedJointPolicy:
    """All play A in `ratio` of the episodes and all play B in the rest, in exactly these proportions."""
    return _two_conventions("bimodal", env, ratio)


def asymmetric(env: Env, *, ratio: float = 0.7) -> ScriptedJointPolicy:
    """`bimodal` with a preferred convention."""
    return _two_conventions("asymmetric", env, ratio)


def noisy(env: Env, *, ratio: float = 0.5, noise: float = 0.1) -> ScriptedJointPolicy:
    """`bimodal`, but in exactly the share `noise` of the episodes the agents fail to match.

    Which of the joint actions that do not match is then played is decided by a fair draw in each such episode.
    """
    ratio, noise = check_share("ratio", ratio), check_share("noise", noise)
    conventions = _conventions(env, ratio)
    matched = _all_equal(conventions.shape)
    joint = (1 - noise) * conventions + noise * ~matched / np.count_nonzero(~matched)
    parameters = {"ratio": ratio, "noise": noise}
    return ScriptedJointPolicy("noisy", env.possible_agents, joint, exact=matched, parameters=parameters)


def all_AA(env: Env) -> ScriptedJointPolicy:
    """Everybody always plays the first action, A."""
    joint = np.zeros(_num_actions(env))
    joint.flat[0] = 1.0
    return ScriptedJointPolicy("all_AA", env.possible_agents, joint, exact=True)


def joint(env: Env, *, joint: ArrayLike, exact: bool = True) -> ScriptedJointPolicy:
    """Any distribution over joint actions, given as nested lists `[A_1..A_N]`.

    In exact proportions, or with `exact=False` by independent draws. Raises ValueError for a shape that is not the
    environment's, or values that are not a distribution.
    """
    distribution, shape = _distribution(joint), _num_actions(env)
    if distribution.shape != shape:
        raise ValueError(f"joint must have shape {list(shape)}, as the actions do, got {list(distribution.shape)}.")
    return ScriptedJointPolicy("joint", env.possible_agents, distribution, exact=exact, parameters={"exact": exact})


def _two_conventions(name: str, env: Env, ratio: float) -> ScriptedJointPolicy:
    ratio = check_share("ratio", ratio)
    joint = _conventions(env, ratio)
    return ScriptedJointPolicy(name, env.possible_agents, joint, exact=True, parameters={"ratio": ratio})


def _conventions(env: Env, ratio: float) -> FloatArray:
    """`[A_1..A_N]`: the share `ratio` on everybody playing A, the rest on everybody playing B."""
    shape = _num_actions(env)
    if min(shape) < 2 or len(shape) < 2:
        raise ValueError(f"Two conventions need two agents with two actions each, got action counts {shape}.")
    joint = np.zeros(shape)
    joint[(0,) * len(shape)] = ratio
    joint[(1,) * len(shape)] = 1 - ratio
    return joint


def _all_equal(shape: tuple[int, ...]) -> BoolArray:
    """`[A_1..A_N]`: whether a joint action has everybody choose the same."""
    first, *others = np.indices(shape)
    return np.all([first == other for other in others], axis=0)


def _num_actions(env: Env) -> tuple[int, ...]:
    counts = []
    for agent in env.possible_agents:
        space = env.action_space(agent)
        if not isinstance(space, Discrete):
            raise ValueError(f"A scripted joint policy needs Discrete actions, but {agent} has {space}.")
        counts.append(int(space.n))
    return tuple(counts)


def _distribution(joint: ArrayLike) -> FloatArray:
    """A float array that sums to one. Raises ValueError for anything that does not nearly do so."""
    try:
        weights = np.array(joint, dtype=np.float64)
    except (TypeError, ValueError):  # ragged lists, or no numbers
        raise ValueError(f"joint must be nested lists of numbers with a regular shape, got {joint!r}.") from None
    if not (weights >= 0).all() or abs(weights.sum() - 1) > 1e-6:  # "not all" refuses NaN too
        raise ValueError(f"joint must be probabilities that sum to 1, got {weights.tolist()}.")
    return weights / weights.sum()


def _apportion(shares: FloatArray, total: int) -> IntArray:
    """Whole numbers `[K]` that sum to `total` and are nearest to `shares * total`, by the largest remainder."""
    quotas = np.round(shares * total, 9)  # so that a share such as 0.1 + 0.2 cannot win a place by its last bit
    counts = np.floor(quotas).astype(np.int64)
    first_served = np.argsort(counts - quotas, kind="stable")
    counts[first_served[: total - counts.sum()]] += 1
    return counts
