"""Joint policies, as played by `record`: one policy sees all observations and chooses all agents' actions."""

from collections.abc import Collection
from typing import Any, Protocol, runtime_checkable

import numpy as np
from gymnasium.vector.utils import batch_space
from pettingzoo import ParallelEnv

from magail_trainer.envs.registry import EnvEntry
from magail_trainer.envs.vector_env import draw_allowed


@runtime_checkable
class JointPolicy(Protocol):
    """Anything with a name, parameters and these two methods can be recorded.

    With the attribute `takes_action_masks = True`, `act` is also called with the keyword `action_masks`, int8 `[E, n]`
    by agent (1: allowed), whenever the env has any.
    """

    name: str
    parameters: dict[str, Any]
    """Plain JSON, for the manifest."""

    def begin(self, num_episodes: int, rng: np.random.Generator) -> None:
        """Called once, before `num_episodes` episodes are played; all randomness must come from `rng`."""
        ...

    def act(self, observations: dict[str, Any], *, episode: np.ndarray, step: np.ndarray) -> dict[str, Any]:
        """The actions of every agent in E copies of the env.

        Args:
            observations: `[E, ...]` by agent.
            episode: `[E]`, the index of the episode that each copy is playing.
            step: `[E]`, the number of steps played in it so far.

        Returns:
            actions `[E, ...]` by agent.
        """
        ...


class RandomJointPolicy:
    """Every agent samples its action space, or its allowed actions, uniformly and independently."""

    name = "random"
    takes_action_masks = True

    def __init__(self, env: ParallelEnv | EnvEntry) -> None:
        self._spaces = {agent: env.action_space(agent) for agent in env.possible_agents}
        self._batched: dict[str, Any] = {}
        self.parameters: dict[str, Any] = {}

    def begin(self, num_episodes: int, rng: np.random.Generator) -> None:
        """Seed every agent's draws from `rng`."""
        self._rng, self._batched = rng, {}

    def act(
        self,
        observations: dict[str, Any],
        *,
        episode: np.ndarray,
        step: np.ndarray,
        action_masks: dict[str, np.ndarray] | None = None,
    ) -> dict[str, Any]:
        """Sample actions `[E, ...]` by agent, from those that `action_masks` (`[E, n]` by agent) allow."""
        if not self._batched:
            self._batched = {agent: batch_space(space, len(episode)) for agent, space in self._spaces.items()}
            for space in self._batched.values():
                space.seed(int(self._rng.integers(2**31)))
        actions = {agent: space.sample() for agent, space in self._batched.items()}
        for agent, mask in (action_masks or {}).items():
            actions[agent] = draw_allowed(mask, self._spaces[agent], self._rng)
        return actions


class Sides:
    """Two joint policies that play against each other, each for the agents of its side.

    Both see all observations and choose for all agents; only the actions of their own side are played.

    Args:
        first: plays the agents in `side`.
        second: plays the others.
        side: agents of the first policy.
    """

    name = "sides"
    takes_action_masks = True

    def __init__(self, first: JointPolicy, second: JointPolicy, side: Collection[str]) -> None:
        self._first, self._second, self._side = first, second, tuple(side)
        described = [{"name": policy.name, "parameters": policy.parameters} for policy in (first, second)]
        self.parameters: dict[str, Any] = {"side": list(side), "first": described[0], "second": described[1]}

    def begin(self, num_episodes: int, rng: np.random.Generator) -> None:
        """Give each policy its own random stream."""
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
        """Actions `[E, ...]` by agent; each policy gets the masks if it takes them."""
        first, second = (
            ask(policy, observations, action_masks or {}, episode=episode, step=step)
            for policy in (self._first, self._second)
        )
        return {agent: (first if agent in self._side else second)[agent] for agent in second}


def ask(
    policy: JointPolicy, observations: dict[str, Any], action_masks: dict[str, np.ndarray], **where: np.ndarray
) -> dict[str, Any]:
    """The policy's actions; it gets the action masks if there are any and it takes them."""
    if action_masks and getattr(policy, "takes_action_masks", False):
        act: Any = policy.act
        return act(observations, action_masks=action_masks, **where)
    return policy.act(observations, **where)
