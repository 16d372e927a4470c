"""Many copies of an environment behind PettingZoo's parallel API with one more axis.

A `VectorEnv` takes and returns the dicts of a `ParallelEnv`, keyed by agent, with a leading axis E (copies) on every
array. A copy's episode is over when every agent is terminated or truncated; the copy is then reset within the same
step: the observation returned is the first of the next episode, and `infos[agent]["final_obs"]` holds the one that the
step led to.

Agents may leave before the others. The step at which one leaves still returns its last observation, in
`infos[agent]["final_obs"]` as well. From then on, to the end of the episode, its termination or truncation stays True,
its rewards are zeros, its observations too (or the space's lowest value, where that has no zero), and the actions
passed for it are ignored.

An env that allows some actions only says so in `infos[agent]["action_mask"]`, int8 `[E, n]`: 1 where the action is
allowed in the observation returned. It is there from the first mask on; rows without a mask are all ones.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, Protocol, runtime_checkable

import numpy as np
from gymnasium.spaces import Discrete, MultiDiscrete, Space
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array, iterate
from pettingzoo import ParallelEnv

from magail_trainer.envs.flatten_observations import refused_mask
from magail_trainer.errors import InputError

Seeds = int | Sequence[int] | np.ndarray | None
StepResult = tuple[dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any], dict[str, dict[str, Any]]]


@runtime_checkable
class VectorEnv(Protocol):
    """The interface of E copies of an environment. Modules may offer their own; see `ParallelEnvCopies`.

    Every call returns new arrays, which the caller may keep.
    """

    num_envs: int
    possible_agents: list[str]

    def observation_space(self, agent: str) -> Space:
        """The space of one copy."""
        ...

    def action_space(self, agent: str) -> Space:
        """The space of one copy."""
        ...

    def reset(self, seed: Seeds = None) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Start a new episode in every copy: observations `[E, ...]` and infos (action masks alone), by agent.

        Args:
            seed: one seed per copy; or one number s, for the seeds s, s+1, …; or None, to go on with the present
                random state.
        """
        ...

    def step(self, actions: dict[str, Any]) -> StepResult:
        """Step every copy with the actions `[E, ...]` of each agent; those of agents that have left are ignored.

        Returns:
            observations `[E, ...]`, rewards `[E]`, terminations `[E]`, truncations `[E]`, infos; each by agent.
            `infos[agent]["final_obs"]`, `[E, ...]`, is always there; `infos[agent]["action_mask"]`, `[E, n]`, is
            there for agents that may not do everything.
        """
        ...

    def close(self) -> None:
        """Close the copies."""
        ...


class ParallelEnvCopies:
    """A `VectorEnv` made of copies of any PettingZoo `ParallelEnv`, stepped one after another.

    Raises:
        InputError: an agent joins late, or the env's `agents` are not those that are neither terminated nor truncated.
    """

    def __init__(self, make_env: Callable[[], ParallelEnv], num_envs: int) -> None:
        self._envs: list[ParallelEnv] = []
        self.num_envs = num_envs
        try:
            for _ in range(num_envs):
                self._envs.append(make_env())
            self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        self.possible_agents: list[str] = list(self._envs[0].possible_agents)
        self._spaces = {agent: self._envs[0].observation_space(agent) for agent in self.possible_agents}
        self._batched_action_space = {
            agent: batch_space(self.action_space(agent), self.num_envs) for agent in self.possible_agents
        }
        self._ended = {  # terminations and truncations of the present episodes
            agent: (np.zeros(self.num_envs, dtype=np.bool_), np.zeros(self.num_envs, dtype=np.bool_))
            for agent in self.possible_agents
        }
        self._masks: dict[str, np.ndarray] = {}

    def observation_space(self, agent: str) -> Space:
        """The space of one copy."""
        return self._spaces[agent]

    def action_space(self, agent: str) -> Space:
        """The space of one copy."""
        return self._envs[0].action_space(agent)

    def reset(self, seed: Seeds = None) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Start a new episode in every copy; see `VectorEnv.reset`."""
        observations = [self._reset_copy(copy, number) for copy, number in enumerate(seeds_of(seed, self.num_envs))]
        for flags in self._ended.values():
            for flag in flags:
                flag[:] = False
        infos: dict[str, dict[str, Any]] = {agent: {} for agent in self.possible_agents}
        return self._batch(observations), self._with_masks(infos)

    def step(self, actions: dict[str, Any]) -> StepResult:
        """Step every copy; see `VectorEnv.step`. Of the copies' own infos, the action masks alone are kept."""
        per_agent = {
            agent: list(iterate(self._batched_action_space[agent], actions[agent])) for agent in self.possible_agents
        }
        rewards = {agent: np.zeros(self.num_envs) for agent in self.possible_agents}
        following, final, over = [], [], []
        for copy, env in enumerate(self._envs):
            acting = [agent for agent in self.possible_agents if not self._has_left(agent, copy)]
            step = env.step({agent: per_agent[agent][copy] for agent in acting})
            self._take_in(copy, acting, step, rewards)
            seen = {agent: step[0][agent] for agent in acting if agent in step[0]}
            if self._goes_on(copy):
                final.append(seen)
                following.append(seen)
                self._keep_masks(copy, {agent: step[4].get(agent, {}) for agent in env.agents})
            else:
                final.append(deepcopy(seen))  # some envs reset their observations in place
                following.append(self._reset_copy(copy, None))
                over.append(copy)
        terminations, truncations = (
            {agent: flags[index].copy() for agent, flags in self._ended.items()} for index in range(2)
        )
        for flags in self._ended.values():
            for flag in flags:
                flag[over] = False
        final_batch = self._batch(final)
        infos: dict[str, dict[str, Any]] = {agent: {"final_obs": final_batch[agent]} for agent in self.possible_agents}
        return self._batch(following), rewards, terminations, truncations, self._with_masks(infos)

    def close(self) -> None:
        """Close every copy."""
        for env in self._envs:
            env.close()

    def _has_left(self, agent: str, copy: int) -> bool:
        terminated, truncated = self._ended[agent]
        return bool(terminated[copy] or truncated[copy])

    def _take_in(self, copy: int, acting: list[str], step: tuple, rewards: dict[str, np.ndarray]) -> None:
        """Keep the rewards and flags of the agents that acted."""
        _, paid, terminated, truncated, _ = step
        for agent in acting:
            flags = self._ended[agent]
            try:
                rewards[agent][copy] = paid[agent]
                flags[0][copy], flags[1][copy] = terminated[agent], truncated[agent]
            except KeyError:
                raise InputError(
                    f"The env gives {agent} no reward, termination or truncation at a step that it acts in; "
                    "expected all three."
                ) from None
            if agent not in step[0] and not self._has_left(agent, copy):
                raise InputError(f"The env gives {agent} no observation while it plays on; expected one.")

    def _goes_on(self, copy: int) -> bool:
        """Whether the copy's episode goes on. Its `agents` must be the ones that have not left."""
        listed = self._envs[copy].agents
        staying = [agent for agent in self.possible_agents if not self._has_left(agent, copy)]
        if set(listed) == set(staying):
            return bool(staying)
        if not staying:
            raise InputError(
                f"The env leaves {listed} in its agents at the end of an episode; expected none once every agent is "
                "terminated or truncated."
            )
        if not listed:
            raise InputError(
                f"The env ends an episode without a termination or truncation of {staying[0]}; "
                "expected one for every agent."
            )
        for agent in staying:
            if agent not in listed:
                raise InputError(
                    f"{agent} is absent while {listed[0]} plays on, and was neither terminated nor truncated; "
                    "expected agents that leave to be."
                )
        late = next(agent for agent in listed if agent not in staying)
        raise InputError(f"{late} is among the env's agents after it has left; expected agents not to come back.")

    def _reset_copy(self, copy: int, seed: int | None) -> dict[str, Any]:
        env = self._envs[copy]
        observations, infos = env.reset(seed=seed)
        absent = [agent for agent in self.possible_agents if agent not in env.agents]
        if absent:
            raise InputError(
                f"{absent[0]} is absent when an episode starts; expected agents that are there from the start."
            )
        self._keep_masks(copy, infos)
        return observations

    def _keep_masks(self, copy: int, infos: dict[str, Any]) -> None:
        for mask in self._masks.values():
            mask[copy] = 1
        for agent, info in infos.items():
            given = info.get("action_mask") if agent in self._spaces else None
            if given is None:
                continue
            if not isinstance(space := self.action_space(agent), Discrete):
                raise refused_mask(agent, space)
            shape = (int(space.n),)
            if np.shape(given) != shape:
                raise InputError(f"The action mask of {agent} has shape {np.shape(given)}; expected {shape}.")
            if agent not in self._masks:
                self._masks[agent] = np.ones((self.num_envs, *shape), dtype=np.int8)
            self._masks[agent][copy] = np.asarray(given) != 0

    def _with_masks(self, infos: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for agent, mask in self._masks.items():
            infos[agent]["action_mask"] = mask.copy()
        return infos

    def _batch(self, observations: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """`[E, ...]` by agent; for agents that were given none zeros, or the space's lowest value if it has no 0."""
        batch = {}
        for agent, space in self._spaces.items():
            items = [observation.get(agent, _ABSENT) for observation in observations]
            if any(item is _ABSENT for item in items):
                filler = next(iter(iterate(batch_space(space, 1), create_empty_array(space, 1, fn=np.zeros))))
                if not space.contains(filler) and isinstance(space, Discrete | MultiDiscrete):
                    filler = filler + space.start
                items = [filler if item is _ABSENT else item for item in items]
            batch[agent] = concatenate(space, items, create_empty_array(space, self.num_envs))
        return batch


_ABSENT = object()


def episode_over(terminations: dict[str, np.ndarray], truncations: dict[str, np.ndarray]) -> np.ndarray:
    """`[E]` bool: in which copies every agent is terminated or truncated.

    Args:
        terminations: `[E]` by agent, from `VectorEnv.step`.
        truncations: `[E]` by agent.
    """
    return np.logical_and.reduce([terminations[agent] | truncations[agent] for agent in terminations])


def seeds_of(seed: Seeds, num_envs: int) -> list[int | None]:
    """One seed for each of `num_envs` copies, from what `VectorEnv.reset` takes.

    Raises:
        ValueError: as many seeds were given as there are copies, more or less.
    """
    if seed is None:
        return [None] * num_envs
    if isinstance(seed, int | np.integer):
        return [int(seed) + copy for copy in range(num_envs)]
    if len(seed) != num_envs:
        raise ValueError(f"There are {len(seed)} seeds for {num_envs} copies; expected one for each.")
    return [int(number) for number in seed]


def draw_allowed(mask: np.ndarray, space: Space, rng: np.random.Generator) -> np.ndarray:
    """Draw one of the allowed actions for each copy, uniformly: `[E]`.

    Args:
        mask: `[E, n]`, not 0 where an action is allowed. A row without any allows the first action.
        space: the action space of one copy, a Discrete.
        rng: where the chance comes from.
    """
    assert isinstance(space, Discrete)
    return space.start + np.argmax(np.where(mask, rng.random(mask.shape), -1.0), axis=1)
