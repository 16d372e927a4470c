"""The scenarios of VMAS (https://github.com/proroklab/VectorizedMultiAgentSimulator) as environments of this package.

VMAS steps all copies of a scenario in one torch program. It has one seed for the whole batch: `reset` takes the first
of the seeds that it is given, so that the same first seed and the same number of copies make the same episodes, and a
copy played alone does not repeat what it did among others.
"""

import contextlib
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete, MultiDiscrete, Space
from pettingzoo import ParallelEnv

from magail_trainer.envs.vector_env import Seeds, StepResult, seeds_of
from magail_trainer.errors import InputError, with_arguments

DEFAULTS: dict[str, Any] = {"max_steps": 25, "continuous_actions": False}
"""As in MPE. Where an env is named `vmas:scenario`, these are its arguments unless others are given."""


def import_vmas() -> ModuleType:
    """VMAS itself, without what it and the old `gym` print when they are imported.

    Raises:
        InputError: it is not installed.
    """
    try:
        with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import vmas
    except ImportError as error:
        raise InputError(
            f"VMAS is not installed ({error}); expected the extra: pip install 'magail-coordination[vmas]'."
        ) from error
    return vmas


def check_scenario(scenario: str) -> None:
    """Check that VMAS has a scenario of this name.

    Raises:
        InputError: it has not, or is not installed.
    """
    vmas: Any = import_vmas()
    known = sorted([*vmas.scenarios, *vmas.mpe_scenarios, *vmas.debug_scenarios])
    if scenario not in known:
        raise InputError(f"VMAS has no scenario {scenario!r}; expected one of {', '.join(known)}.")


class VmasVectorEnv:
    """E copies of a VMAS scenario as a `VectorEnv`; what goes in and out is numpy.

    An agent is truncated when its copy has had `max_steps` steps, and terminated when the scenario says so; all agents
    of a copy end together. Each object has random numbers of its own, which it seeds by chance until `reset` is given
    a seed. Agents are named as VMAS names them, as far as PettingZoo's convention (`agent_0`) goes.

    Args:
        scenario: its name, `simple_spread` for example.
        num_envs: E.
        kwargs: for `vmas.make_env` (`max_steps`, `continuous_actions`, …) and the scenario itself.

    Raises:
        InputError: VMAS is not installed, has no such scenario, or the scenario does not take an argument.
    """

    def __init__(self, scenario: str, num_envs: int, **kwargs: Any) -> None:
        vmas: Any = import_vmas()
        check_scenario(scenario)
        for taken in ("wrapper", "dict_spaces", "terminated_truncated", "seed"):
            if taken in kwargs:
                raise InputError(f"{taken} cannot be set for a VMAS env; expected arguments of the scenario.")
        seed = int(np.random.default_rng().integers(2**31))
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("error", message="Scenario kwargs")  # a name that the scenario does not know
                warnings.filterwarnings("ignore", category=DeprecationWarning)
                settings = {**DEFAULTS, **kwargs}
                self._env = vmas.make_env(scenario, num_envs, seed=seed, terminated_truncated=True, **settings)
        except (TypeError, ValueError, AssertionError, UserWarning) as error:
            reason = str(error).partition(" This will turn")[0]
            raise InputError(
                f"The VMAS scenario {scenario} cannot be made{with_arguments(kwargs)}: {reason}"
            ) from error
        self.num_envs = num_envs
        self._random = list(type(self._env).vmas_random_state)
        self.possible_agents = agent_names([agent.name for agent in self._env.agents])
        pairs = zip(self.possible_agents, self._env.agents, strict=True)
        self._action_spaces = {name: _action_space(self._env.get_agent_action_space(agent)) for name, agent in pairs}
        with self._own_random_numbers():
            (seen,) = self._env.get_from_scenario(
                get_observations=True, get_rewards=False, get_infos=False, get_dones=False
            )
        self._observation_spaces = {
            name: Box(-np.inf, np.inf, array.shape[1:], np.float32) for name, array in self._numpy(seen).items()
        }

    def observation_space(self, agent: str) -> Space:
        """The space of one copy: a Box without bounds."""
        return self._observation_spaces[agent]

    def action_space(self, agent: str) -> Space:
        """The space of one copy: Discrete, a Box with `continuous_actions`, or MultiDiscrete."""
        return self._action_spaces[agent]

    def reset(self, seed: Seeds = None) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Start a new episode in every copy; see `VectorEnv.reset`. Only the first seed counts."""
        first = seeds_of(seed, self.num_envs)[0]
        with self._own_random_numbers():
            seen = self._env.reset(seed=first)
        return self._numpy(seen), {agent: {} for agent in self.possible_agents}

    def step(self, actions: dict[str, Any]) -> StepResult:
        """Step every copy with the actions `[E, ...]` of each agent; see `VectorEnv.step`."""
        chosen = [
            torch.as_tensor(np.asarray(actions[agent], dtype=space.dtype)).reshape(self.num_envs, -1)
            for agent, space in self._action_spaces.items()
        ]
        with self._own_random_numbers():
            seen, paid, terminated, truncated, _ = self._env.step(chosen)
            final = self._numpy(seen)
            terminated, truncated = terminated.cpu().numpy(), truncated.cpu().numpy()
            ended = terminated | truncated
            following = self._restart(np.flatnonzero(ended)) if ended.any() else None
        # Nothing that is returned may be an array that VMAS still writes to, or the same one twice.
        observations = {agent: array.copy() for agent, array in final.items()} if following is None else following
        agents = self.possible_agents
        rewards = {agent: one.cpu().numpy().astype(np.float64) for agent, one in zip(agents, paid, strict=True)}
        terminations = {agent: terminated.astype(np.bool_) for agent in agents}
        truncations = {agent: truncated.astype(np.bool_) for agent in agents}
        infos: dict[str, dict[str, Any]] = {agent: {"final_obs": final[agent]} for agent in agents}
        return observations, rewards, terminations, truncations, infos

    def close(self) -> None:
        """Nothing to release."""

    def _restart(self, copies: np.ndarray) -> dict[str, np.ndarray]:
        """Start a new episode in some copies; the observations of all."""
        if len(copies) == self.num_envs:
            return self._numpy(self._env.reset())
        for copy in copies:
            self._env.reset_at(int(copy), return_observations=False)
        (seen,) = self._env.get_from_scenario(
            get_observations=True, get_rewards=False, get_infos=False, get_dones=False
        )
        return self._numpy(seen)

    def _numpy(self, seen: Sequence[Any]) -> dict[str, np.ndarray]:
        """`[E, ...]` by agent; a dict of observations becomes one flat array."""
        arrays = {}
        for agent, observation in zip(self.possible_agents, seen, strict=True):
            if isinstance(observation, dict):
                observation = torch.cat([part.reshape(self.num_envs, -1) for part in observation.values()], dim=1)
            arrays[agent] = observation.detach().to(torch.float32).cpu().numpy()
        return arrays

    @contextlib.contextmanager
    def _own_random_numbers(self) -> Iterator[None]:
        """All VMAS envs of a process share one random state, whatever they are seeded with; lend it this one's."""
        shared = type(self._env).vmas_random_state
        shared[:] = self._random
        try:
            yield
        finally:
            self._random = list(shared)


class VmasParallelEnv(ParallelEnv):
    """One copy of a VMAS scenario as a PettingZoo `ParallelEnv`. Arguments and errors are those of `VmasVectorEnv`."""

    def __init__(self, scenario: str, **kwargs: Any) -> None:
        self._vector = VmasVectorEnv(scenario, 1, **kwargs)
        self.possible_agents = self._vector.possible_agents
        self.agents: list[str] = []
        self.render_mode = None
        self.metadata = {"name": f"vmas_{scenario}", "render_modes": [], "is_parallelizable": True}
        self._pending: dict[str, np.ndarray] | None = None

    def observation_space(self, agent: str) -> Space:
        """A Box without bounds."""
        return self._vector.observation_space(agent)

    def action_space(self, agent: str) -> Space:
        """Discrete, a Box with `continuous_actions`, or MultiDiscrete."""
        return self._vector.action_space(agent)

    def reset(self, seed: int | None = None, options: dict | None = None) -> tuple[dict[str, Any], dict[str, dict]]:
        """Start an episode: observations and empty infos, by agent. There are no options."""
        if seed is None and not self.agents and self._pending is not None:
            observations = self._pending  # the vector env has started this episode already
        else:
            observations, _ = self._vector.reset(seed=None if seed is None else [seed])
        self._pending = None
        self.agents = self.possible_agents[:]
        return {agent: array[0] for agent, array in observations.items()}, {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, Any]) -> tuple[dict[str, Any], dict, dict, dict, dict[str, dict]]:
        """Play one joint action: observations, rewards, terminations, truncations and empty infos, by agent."""
        if not self.agents:
            return {}, {}, {}, {}, {}
        agents = self.agents
        batched = {agent: np.asarray(actions[agent])[None] for agent in agents}
        following, rewards, terminations, truncations, infos = self._vector.step(batched)
        if terminations[agents[0]][0] or truncations[agents[0]][0]:
            self.agents, self._pending = [], following
        return (
            {agent: infos[agent]["final_obs"][0] for agent in agents},
            {agent: float(rewards[agent][0]) for agent in agents},
            {agent: bool(terminations[agent][0]) for agent in agents},
            {agent: bool(truncations[agent][0]) for agent in agents},
            {agent: {} for agent in agents},
        )

    def close(self) -> None:
        """Nothing to release."""


def agent_names(names: Sequence[str]) -> list[str]:
    """Names as PettingZoo wants them, lower-case letters and a number: `agent 0` and `agent_0` become `agent_0`.

    A number that is taken is replaced by the next free one.
    """
    made: list[str] = []
    for name in names:
        kind = re.sub("[^a-z]", "", name.lower()) or "agent"
        digits = re.search(r"\d+$", name)
        number = int(digits.group()) if digits else 0
        while f"{kind}_{number}" in made:
            number += 1
        made.append(f"{kind}_{number}")
    return made


def _action_space(space: Any) -> Space:
    """The space of the old `gym` as one of Gymnasium."""
    if hasattr(space, "n"):
        return Discrete(int(space.n))
    if hasattr(space, "nvec"):
        return MultiDiscrete(np.asarray(space.nvec))
    return Box(space.low, space.high, space.shape, np.float32)
