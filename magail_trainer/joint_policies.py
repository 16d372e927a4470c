"""Joint policies: what `record` plays. One policy chooses the actions of all agents, and may see all observations."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

import numpy as np
from gymnasium.vector.utils import batch_space
from pettingzoo import ParallelEnv

from magail_trainer.env_ids import EnvEntry
from magail_trainer.errors import InputError
from magail_trainer.vector_env import draw_allowed


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

    def __init__(self, env: ParallelEnv) -> None:
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


def make_joint_policy(expert: str, entry: EnvEntry, arguments: dict[str, Any]) -> JointPolicy:
    """Make a joint policy from its name.

    Args:
        expert: `random`; a name in the `EXPERTS` of the env's module; or `module:callable`, a factory of your own.
        entry: the env. A factory is called with one copy of it, and with `arguments` as keywords.
        arguments: what is set about the policy.

    Raises:
        InputError: there is no such policy, or it refuses the arguments.
    """
    factory = _find_factory(expert, entry)
    env = entry.make()
    try:
        policy = factory(env, **arguments)
    except (TypeError, ValueError) as error:
        raise InputError(f"The expert {expert!r} cannot be made with {arguments}: {error}") from error
    finally:
        env.close()
    missing = [name for name in ("name", "parameters", "begin", "act") if not hasattr(policy, name)]
    if missing:
        raise InputError(f"The expert {expert!r} makes a {type(policy).__name__} without {', '.join(missing)}.")
    return policy


def _find_factory(expert: str, entry: EnvEntry) -> Callable[..., Any]:
    offered: dict[str, Callable[..., JointPolicy]] = {"random": RandomJointPolicy, **entry.experts}
    if expert in offered:
        return offered[expert]
    module_name, colon, attribute = expert.partition(":")
    if not colon:
        raise InputError(
            f"{entry.id} has no expert {expert!r}; expected one of {', '.join(offered)}, or module:callable."
        )
    try:
        factory = getattr(import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise InputError(f"The expert {expert!r} cannot be imported: {error}.") from error
    if not callable(factory):
        raise InputError(
            f"The expert {expert!r} is a {type(factory).__name__}; expected something to call with the env."
        )
    return factory
