"""Many copies of an environment behind PettingZoo's parallel API with one more axis.

A `VectorEnv` takes and returns the dicts of a `ParallelEnv`, keyed by agent, with a leading axis E (copies) on every
array. A copy's episode is over when every agent is terminated or truncated; the copy is then reset within the same
step: the observation returned is the first of the next episode, and `infos[agent]["final_obs"]` holds the one that the
step led to.

Agents may leave before the others. The step at which one leaves still returns its last observation, in
`infos[agent]["final_obs"]` as well. From then on, to the end of the episode, its termination or truncation stays True,
its rewards are zeros, its observations too (or the value of its space that is closest to zero), and the actions passed
for it are ignored.

An env that allows some actions only says so in `infos[agent]["action_mask"]`, int8 `[E, n]`: 1 where the action is
allowed in the observation returned. It is there from the first mask on; rows without a mask are all ones.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import deepcopy
from typing import Any, Protocol, runtime_checkable

import numpy as np
from gymnasium.spaces import Box, Discrete, MultiDiscrete, Space
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array, iterate
from pettingzoo import ParallelEnv

from magail_trainer.envs.env_calls import EnvCall, close_env
from magail_trainer.envs.env_copy import EnvCopy, Spaces, same_space
from magail_trainer.errors import EnvError

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

    Args:
        make_env: makes one copy.
        num_envs: how many, E.
        name: of the env, for error messages.

    Raises:
        EnvError: here and in all methods: an env raises an error, or does not keep to PettingZoo's parallel API.
    """

    def __init__(self, make_env: Callable[[], ParallelEnv], num_envs: int, *, name: str = "The env") -> None:
        self.num_envs, self._name = num_envs, name
        self._copies: list[EnvCopy] = []
        self._bare = set[int]()
        try:
            for _ in range(num_envs):
                self._add(make_env())
            self._prepare()
        except BaseException:
            with suppress(EnvError):
                self.close()
            raise

    def _add(self, env: ParallelEnv) -> None:
        try:
            copy = EnvCopy(env, self._name)
        except BaseException:
            with suppress(EnvError):
                close_env(env, self._name, begun=False)
            raise
        self._copies.append(copy)
        with EnvCall(self._name, "asked for what it wraps"):
            bare = id(env.unwrapped)
        if bare in self._bare:
            raise EnvError(f"{self._name} is the same env each time that it is made; expected new ones.")
        self._bare.add(bare)
        check_same_spaces(copy.spaces, self._copies[0].spaces, f"A copy of {self._name}", "another copy")

    def _prepare(self) -> None:
        self.possible_agents: list[str] = list(self._copies[0].spaces)
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
        return self._copies[0].spaces[agent][0]

    def action_space(self, agent: str) -> Space:
        """The space of one copy."""
        return self._copies[0].spaces[agent][1]

    def reset(self, seed: Seeds = None) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Start a new episode in every copy; see `VectorEnv.reset`."""
        observations = [self._reset_copy(index, number) for index, number in enumerate(seeds_of(seed, self.num_envs))]
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
        for index, copy in enumerate(self._copies):
            returned = copy.step({agent: per_agent[agent][index] for agent in copy.staying})
            for agent, reward in returned.rewards.items():
                rewards[agent][index] = reward
                terminated, truncated = self._ended[agent]
                terminated[index], truncated[index] = returned.terminations[agent], returned.truncations[agent]
            if copy.staying:
                final.append(returned.observations)
                following.append(returned.observations)
                self._keep_masks(index, returned.masks)
            else:
                final.append(deepcopy(returned.observations))  # some envs reset their observations in place
                following.append(self._reset_copy(index, None))
                over.append(index)
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
        """Close every copy, also if one raises an error."""
        errors = []
        for copy in self._copies:
            try:
                copy.close()
            except EnvError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _reset_copy(self, index: int, seed: int | None) -> dict[str, Any]:
        observations, masks = self._copies[index].reset(seed)
        self._keep_masks(index, masks)
        return observations

    def _keep_masks(self, index: int, masks: dict[str, np.ndarray]) -> None:
        for mask in self._masks.values():
            mask[index] = 1
        for agent, given in masks.items():
            if agent not in self._masks:
                self._masks[agent] = np.ones((self.num_envs, *given.shape), dtype=np.int8)
            self._masks[agent][index] = given

    def _with_masks(self, infos: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for agent, mask in self._masks.items():
            infos[agent]["action_mask"] = mask.copy()
        return infos

    def _batch(self, observations: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """`[E, ...]` by agent; for agents that were given none zeros, or the value of the space that is closest."""
        batch = {}
        for agent in self.possible_agents:
            space = self.observation_space(agent)
            items = [observation.get(agent, _ABSENT) for observation in observations]
            if any(item is _ABSENT for item in items):
                items = [_filler(space) if item is _ABSENT else item for item in items]
            batch[agent] = concatenate(space, items, create_empty_array(space, self.num_envs))
        return batch


_ABSENT = object()


def _filler(space: Space) -> Any:
    """Zeros, or the value closest to them in a space that has none."""
    zeros = next(iter(iterate(batch_space(space, 1), create_empty_array(space, 1, fn=np.zeros))))
    if isinstance(space, Box):
        return np.clip(zeros, space.low, space.high)
    if not space.contains(zeros) and isinstance(space, Discrete | MultiDiscrete):
        return zeros + space.start
    return zeros


def check_same_spaces(ours: Spaces, theirs: Spaces, who: str, than: str) -> None:
    """Refuse agents or spaces that differ: what is learnt in one env is played in another.

    Args:
        ours: what each agent observes and plays.
        theirs: what they should be.
        who: has `ours`, at the beginning of the error message.
        than: who has `theirs`.

    Raises:
        EnvError: naming the difference.
    """
    if list(ours) != list(theirs):
        raise EnvError(f"{who} has the agents {list(ours)}, {than} {list(theirs)}.")
    for agent, spaces in ours.items():
        for what, mine, other in zip(("observation space", "action space"), spaces, theirs[agent], strict=True):
            if not same_space(mine, other):
                raise EnvError(f"{who} has the {what} {mine} for {agent}, {than} {other}.")


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
