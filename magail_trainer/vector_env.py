"""Many copies of an environment behind PettingZoo's parallel API with one more axis.

A `VectorEnv` takes and returns the dicts of a `ParallelEnv`, keyed by agent, with a leading axis E (copies) on every
array. A copy whose episode ends is reset within the same step: the observation returned is then the first of the next
episode, and `infos[agent]["final_obs"]` holds the one that the step led to.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, Protocol, runtime_checkable

import numpy as np
from gymnasium.spaces import Space
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array, iterate
from pettingzoo import ParallelEnv

from magail_trainer.errors import InputError

Seeds = int | Sequence[int] | np.ndarray | None
StepResult = tuple[dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any], dict[str, dict[str, Any]]]


@runtime_checkable
class VectorEnv(Protocol):
    """What the trainer asks of E copies of an environment. Modules may offer their own; see `ParallelEnvCopies`.

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
        """Start a new episode in every copy: observations `[E, ...]` and infos, by agent.

        Args:
            seed: one seed per copy; or one number s, for the seeds s, s+1, …; or None, to go on with the present
                random state.
        """
        ...

    def step(self, actions: dict[str, Any]) -> StepResult:
        """Step every copy with the actions `[E, ...]` of each agent.

        Returns:
            observations `[E, ...]`, rewards `[E]`, terminations `[E]`, truncations `[E]`, infos; each by agent.
            `infos[agent]["final_obs"]`, `[E, ...]`, is always there.
        """
        ...

    def close(self) -> None:
        """Free what the copies hold."""
        ...


class ParallelEnvCopies:
    """A `VectorEnv` made of copies of any PettingZoo `ParallelEnv`, stepped one after another.

    Raises:
        InputError: an agent leaves before the others, or joins late, which the trainer does not handle.
    """

    def __init__(self, make_env: Callable[[], ParallelEnv], num_envs: int) -> None:
        self._envs = [make_env() for _ in range(num_envs)]
        self.num_envs = num_envs
        self.possible_agents: list[str] = list(self._envs[0].possible_agents)
        self._batched_action_space = {
            agent: batch_space(self.action_space(agent), num_envs) for agent in self.possible_agents
        }

    def observation_space(self, agent: str) -> Space:
        """The space of one copy."""
        return self._envs[0].observation_space(agent)

    def action_space(self, agent: str) -> Space:
        """The space of one copy."""
        return self._envs[0].action_space(agent)

    def reset(self, seed: Seeds = None) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Start a new episode in every copy; see `VectorEnv.reset`."""
        if seed is None:
            seeds: list[int | None] = [None] * self.num_envs
        elif isinstance(seed, int | np.integer):
            seeds = [int(seed) + copy for copy in range(self.num_envs)]
        else:
            seeds = [int(number) for number in seed]
        observations = [self._reset_copy(env, number) for env, number in zip(self._envs, seeds, strict=True)]
        return self._batch(observations), {agent: {} for agent in self.possible_agents}

    def step(self, actions: dict[str, Any]) -> StepResult:
        """Step every copy; see `VectorEnv.step`. The copies' own infos are dropped."""
        per_agent = {
            agent: list(iterate(self._batched_action_space[agent], actions[agent])) for agent in self.possible_agents
        }
        observations, final = [], []
        rewards, terminations, truncations = (
            {agent: np.empty(self.num_envs, dtype=dtype) for agent in self.possible_agents}
            for dtype in (np.float64, np.bool_, np.bool_)
        )
        for copy, env in enumerate(self._envs):
            step = env.step({agent: per_agent[agent][copy] for agent in self.possible_agents})
            for target, values in zip((rewards, terminations, truncations), step[1:4], strict=True):
                for agent in self.possible_agents:
                    target[agent][copy] = values[agent]
            goes_on = self._goes_on(env)
            if any(
                (terminations[agent][copy] or truncations[agent][copy]) == goes_on for agent in self.possible_agents
            ):
                raise InputError(
                    f"The env ends an episode for some agents only, or leaves {env.agents} in its agents at the end; "
                    "expected all agents to end together, and then none to be left."
                )
            final.append(step[0] if goes_on else deepcopy(step[0]))  # some envs reset their observations in place
            observations.append(step[0] if goes_on else self._reset_copy(env, None))
        final_batch = self._batch(final)
        infos = {agent: {"final_obs": final_batch[agent]} for agent in self.possible_agents}
        return self._batch(observations), rewards, terminations, truncations, infos

    def close(self) -> None:
        """Close every copy."""
        for env in self._envs:
            env.close()

    def _reset_copy(self, env: ParallelEnv, seed: int | None) -> dict[str, Any]:
        observations, _ = env.reset(seed=seed)
        self._goes_on(env)
        return observations

    def _goes_on(self, env: ParallelEnv) -> bool:
        if env.agents and set(env.agents) != set(self.possible_agents):
            absent = sorted(set(self.possible_agents) - set(env.agents))
            raise InputError(
                f"{absent[0]} is absent while {env.agents[0]} plays on; expected agents that start and end together."
            )
        return bool(env.agents)

    def _batch(self, observations: Sequence[dict[str, Any]]) -> dict[str, Any]:
        batch = {}
        for agent in self.possible_agents:
            space = self.observation_space(agent)
            items = [observation[agent] for observation in observations]
            batch[agent] = concatenate(space, items, create_empty_array(space, self.num_envs))
        return batch


def check_vector_env(
    vector_env: VectorEnv, make_env: Callable[[], ParallelEnv], *, steps: int = 50, seed: int = 0
) -> None:
    """Check that a vector env does what copies of the single env do, for the same seeds and random actions.

    Raises:
        AssertionError: it does not; the message says where.
    """
    copies = ParallelEnvCopies(make_env, vector_env.num_envs)
    agents = copies.possible_agents
    assert list(vector_env.possible_agents) == agents, f"agents {vector_env.possible_agents}, expected {agents}"
    action_spaces = {}
    for index, agent in enumerate(agents):
        assert vector_env.observation_space(agent) == copies.observation_space(agent), f"observation space of {agent}"
        assert vector_env.action_space(agent) == copies.action_space(agent), f"action space of {agent}"
        action_spaces[agent] = batch_space(copies.action_space(agent), copies.num_envs)
        action_spaces[agent].seed(seed + index)
    _assert_same(vector_env.reset(seed=seed)[0], copies.reset(seed=seed)[0], "observations after reset")
    names = ("observations", "rewards", "terminations", "truncations", "infos")
    for step in range(steps):
        actions = {agent: space.sample() for agent, space in action_spaces.items()}
        for name, ours, theirs in zip(names, vector_env.step(actions), copies.step(actions), strict=True):
            _assert_same(ours, theirs, f"{name} after step {step}")
    copies.close()


def _assert_same(ours: Any, theirs: Any, where: str) -> None:
    if isinstance(theirs, dict):
        for key, value in theirs.items():
            assert key in ours, f"{where}: {key} is missing"
            _assert_same(ours[key], value, f"{where}, {key}")
    elif isinstance(theirs, tuple):
        for index, value in enumerate(theirs):
            _assert_same(ours[index], value, f"{where}, {index}")
    else:
        assert np.shape(ours) == np.shape(theirs), f"{where}: shape {np.shape(ours)}, expected {np.shape(theirs)}"
        assert np.array_equal(ours, theirs), f"{where}: {ours}, expected {theirs}"
