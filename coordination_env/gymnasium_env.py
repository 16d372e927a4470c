"""The matching game for single-agent software: one controller chooses the joint action for the team.

A Gymnasium environment has one scalar reward. The team's is the mean of the agents' rewards, not their sum, so that
matching pays 1 and a mismatch 0 whatever the number of agents.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.spaces import MultiDiscrete
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from coordination_env.games import matching
from coordination_env.matrix_game import MatrixGameEnv
from coordination_env.vector_env import MatrixGameVectorEnv


class TeamMatchingEnv(gymnasium.Env[np.int64, NDArray[np.int64]]):
    """One copy. An action is an integer array `[N]`, the choices of `agent_0`, `agent_1`, ...

    The observation is the one that every agent would see (see `RepeatedGame`). Raises ValueError as `matching` does.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - the base class types it so
        "render_modes": ["human", "ansi", "rgb_array"],
        "render_fps": 2,
    }

    def __init__(
        self, *, num_agents: int = 2, num_actions: int = 2, horizon: int = 1, render_mode: str | None = None
    ) -> None:
        self._env = MatrixGameEnv(matching(num_agents, num_actions), horizon=horizon, render_mode=render_mode)
        self._agents = self._env.possible_agents
        self.render_mode = render_mode
        self.observation_space = self._env.observation_space(self._agents[0])
        self.action_space = MultiDiscrete(list(self._env.game.num_actions))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.int64, dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed)
        observations, _ = self._env.reset(seed=seed, options=options)
        return observations[self._agents[0]], {}

    def step(self, action: NDArray[np.int64]) -> tuple[np.int64, float, bool, bool, dict[str, Any]]:
        """Play one joint action `[N]`. Raises ValueError for a bad one, ResetNeeded when no episode is on."""
        if not self._env.agents:
            raise ResetNeeded("Call reset() before step(): no episode is on.")
        choices = dict(zip(self._agents, _choices(action, shape=(len(self._agents),)), strict=True))
        observations, rewards, terminations, truncations, _ = self._env.step(choices)
        lead = self._agents[0]
        return observations[lead], float(np.mean(list(rewards.values()))), terminations[lead], truncations[lead], {}

    def render(self) -> Any:
        """See `MatrixGameEnv.render`."""
        return self._env.render()


class TeamMatchingVectorEnv(gymnasium.vector.VectorEnv[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]):
    """E copies at once; actions are integer arrays `[E, N]`.

    A copy whose episode ends starts the next in the same step (`AutoresetMode.SAME_STEP`); the observation that ended
    the old one is in `infos["final_obs"]`, as `gymnasium.vector.SyncVectorEnv` has it.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - the base class types it so
        "render_modes": [],
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(self, num_envs: int = 1, *, num_agents: int = 2, num_actions: int = 2, horizon: int = 1) -> None:
        self._env = MatrixGameVectorEnv(matching(num_agents, num_actions), num_envs, horizon=horizon)
        self._agents = self._env.possible_agents
        self.num_envs = self._env.num_envs
        self.single_observation_space = self._env.observation_space(self._agents[0])
        self.single_action_space = MultiDiscrete(list(self._env.game.num_actions))
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.int64], dict[str, Any]]:
        """Start all copies. Raises ValueError for a `reset_mask`: the copies keep step with each other."""
        if options and "reset_mask" in options:
            raise ValueError(
                "options['reset_mask'] is not supported: all copies start and end their episodes together."
            )
        super().reset(seed=seed if isinstance(seed, int) else None)
        observations, _ = self._env.reset(seed=seed, options=options)
        return observations[self._agents[0]], {}

    def step(
        self, actions: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Play one joint action per copy, `[E, N]`. Raises ValueError for bad ones."""
        columns = _choices(actions, shape=(self.num_envs, len(self._agents))).T
        choices = dict(zip(self._agents, columns, strict=True))
        observations, rewards, terminations, truncations, infos = self._env.step(choices)
        lead = self._agents[0]
        finished = terminations[lead]
        team_rewards = np.mean(list(rewards.values()), axis=0)
        team_infos = _final(infos[lead]["final_obs"], finished) if finished.any() else {}
        return observations[lead], team_rewards, finished, truncations[lead], team_infos


def _choices(actions: Any, *, shape: tuple[int, ...]) -> NDArray[Any]:
    choices = np.asarray(actions)
    if choices.shape != shape:
        raise ValueError(f"The joint action must have shape {list(shape)}, got {list(choices.shape)}.")
    return choices


def _final(observations: NDArray[np.int64], finished: NDArray[np.bool_]) -> dict[str, Any]:
    """The infos of ended episodes in Gymnasium's form: a mask `_key [E]` beside every key."""
    final_obs = np.array(list(observations), dtype=object)  # scalars of the observations' own dtype
    return {"final_obs": final_obs, "_final_obs": finished.copy(), "final_info": {}, "_final_info": finished.copy()}
