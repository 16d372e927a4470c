"""Joint policies: what `record` plays. One policy chooses the actions of all agents, and may see all observations."""

from collections.abc import Collection
from typing import Any, Protocol, runtime_checkable

import numpy as np
from gymnasium.vector.utils import batch_space
from pettingzoo import ParallelEnv

from magail_trainer.envs.registry import EnvEntry
from magail_trainer.envs.vector_env import draw_allowed


@runtime_checkable
class JointPolicy(Protocol):
    """Anything that has a name, parameters, and these two methods, can be recorded.

    A policy for envs that allow some actions only may also have the attribute `takes_action_masks = True`. Its `act` is
    then called with the further keyword `action_masks`, int8 `[E, n]` by agent (1: allowed), wherever there are any.
    """

    name: str
    parameters: dict[str, Any]
    """Plain JSON, for the manifest."""

    def begin(self, num_episodes: int, rng: np.random.Generator) -> None:
        """Called once, before `num_episodes` episodes are played; all chance comes from `rng`."""
        ...

    def act(self, observations: dict[str, Any], *, episode: np.ndarray, step: np.ndarray) -> dict[str, Any]:
        """The actions of every agent in E copies of the env.

        Args:
            observations: `[E, ...]` by agent.
            episode: `[E]`, which of the episodes each copy is playing, from 0.
            step: `[E]`, how many steps that episode has had.

        Returns:
            actions `[E, ...]` by agent.
        """
        ...


class RandomJointPolicy:
    """Every agent draws from its action space, uniformly and independently (Gymnasium's `Space.sample`).

    Where the env allows some actions only, it draws from those.
    """

    name = "random"
    takes_action_masks = True

    def __init__(self, env: ParallelEnv | EnvEntry) -> None:
        self._spaces = {agent: env.action_space(agent) for agent in env.possible_agents}
        self._batched: dict[str, Any] = {}
        self.parameters: dict[str, Any] = {}

    def begin(self, num_episodes: int, rng: np.random.Generator) -> None:
        """Take the seed of every agent's draws from `rng`."""
        self._rng, self._batched = rng, {}

    def act(
        self,
        observations: dict[str, Any],
        *,
        episode: np.ndarray,
        step: np.ndarray,
        action_masks: dict[str, np.ndarray] | None = None,
    ) -> dict[str, Any]:
        """Draw `[E, ...]` actions by agent, from those allowed by `action_masks`, `[E, n]` by agent."""
        if not self._batched:
            self._batched = {agent: batch_space(space, len(episode)) for agent, space in self._spaces.items()}
            for space in self._batched.values():
                space.seed(int(self._rng.integers(2**31)))
        actions = {agent: space.sample() for agent, space in self._batched.items()}
        for agent, mask in (action_masks or {}).items():
            actions[agent] = draw_allowed(mask, self._spaces[agent], self._rng)
        return actions


class Sides:
    """Two joint policies at one table: the first plays for some agents, the second for all others.

    Both see all observations and choose for all agents; of each, the actions of its own side are played.

    Args:
        first: plays for `side`.
        second: plays for the others.
        side: agents of the env.
    """

    name = "sides"
    takes_action_masks = True

    def __init__(self, first: JointPolicy, second: JointPolicy, side: Collection[str]) -> None:
        self._first, self._second, self._side = first, second, tuple(side)
        described = [{"name": policy.name, "parameters": policy.parameters} for policy in (first, second)]
        self.parameters: dict[str, Any] = {"side": list(side), "first": described[0], "second": described[1]}

    def begin(self, num_episodes: int, rng: np.random.Generator) -> None:
        """Give each of the two a stream of its own."""
        for policy, stream in zip((self._first, self._second), rng.spawn(2), strict=True):
            policy.begin(num_episodes, stream)

    def act(
        self,
        observations: dict[str, Any],
        *,
        episode: np.ndarray,
        step: np.ndarray,
        action_masks: dict[str, np.ndarray] | None = None,
    ) -> dict[str, Any]:
        """Actions `[E, ...]` by agent; each policy is shown the masks if it takes them."""
        first, second = (
            ask(policy, observations, action_masks or {}, episode=episode, step=step)
            for policy in (self._first, self._second)
        )
        return {agent: (first if agent in self._side else second)[agent] for agent in second}


def ask(
    policy: JointPolicy, observations: dict[str, Any], action_masks: dict[str, np.ndarray], **where: np.ndarray
) -> dict[str, Any]:
    """The policy's actions; it is shown the action masks if there are any and it says that it takes them."""
    if action_masks and getattr(policy, "takes_action_masks", False):
        act: Any = policy.act
        return act(observations, action_masks=action_masks, **where)
    return policy.act(observations, **where)
