"""Any normal-form game as a PettingZoo environment.

    from coordination_env import matrix_game
    env = matrix_game.parallel_env("stag_hunt", render_mode="ansi")

`env` and `raw_env` are its AEC forms, `vector_env` plays many copies at once, and `EXPERTS` holds the scripted joint
policies that make sense in every game: independent and uniform, from its correlated equilibrium, from its conventions,
or any.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import logger
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Box, Discrete
from pettingzoo import AECEnv, ParallelEnv
from pettingzoo.utils import wrappers
from pettingzoo.utils.conversions import parallel_to_aec

from coordination_env import experts, game_experts, rendering
from coordination_env.games import MatrixGame, named_game
from coordination_env.repeated_game import NOTHING_PLAYED, RepeatedGame
from coordination_env.vector_env import MatrixGameVectorEnv

EXPERTS = {
    "mixed": experts.mixed,
    "correlated_equilibrium": game_experts.correlated_equilibrium,
    "pure_equilibria": game_experts.pure_equilibria,
    "joint": experts.joint,
}


class MatrixGameEnv(ParallelEnv[str, np.int64, Any]):
    """A matrix game played `horizon` times, everybody at once; then the episode terminates for all.

    See `RepeatedGame` for the observations. Raises ValueError for an unknown render mode or a bad horizon.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - the base class types it so
        "name": "matrix_game_v0",
        "render_modes": ["human", "ansi", "rgb_array"],
        "is_parallelizable": True,
        "render_fps": 2,
    }

    def __init__(self, game: MatrixGame, *, horizon: int = 1, render_mode: str | None = None) -> None:
        modes = self.metadata["render_modes"]
        if render_mode is not None and render_mode not in modes:
            raise ValueError(f"render_mode must be None or one of {modes}, got {render_mode!r}.")
        self._rule = RepeatedGame(game, horizon=horizon)
        self.game = game
        self.metadata = {**self.metadata, "name": f"{game.name}_v0"}
        self.render_mode = render_mode
        self.possible_agents = self._rule.agents
        self.agents: list[str] = []
        self.state_space = Box(0.0, 1.0, (2 + self._rule.num_joint_actions,), np.float32)
        self._steps: int | None = None
        self._joint: int | None = None  # row-major index of the last joint action

    def observation_space(self, agent: str) -> Discrete:
        """One state if the horizon is 1, else 1 + prod(A)."""
        return self._rule.observation_spaces[agent]

    def action_space(self, agent: str) -> Discrete:
        """The agent's A_i actions."""
        return self._rule.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.int64], dict[str, dict[str, Any]]]:
        """Start an episode. The game has no randomness of its own: `seed` and `options` change nothing."""
        self.agents = self.possible_agents[:]
        self._steps, self._joint = 0, None
        return dict.fromkeys(self.agents, np.int64(NOTHING_PLAYED)), {agent: {} for agent in self.agents}

    def step(
        self, actions: Mapping[str, int | np.integer[Any]]
    ) -> tuple[dict[str, np.int64], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """Play one joint action; after the episode has ended, five empty dicts.

        Raises ValueError for bad actions and ResetNeeded before the first reset.
        """
        steps = self._steps_so_far("step")
        if not self.agents:
            return {}, {}, {}, {}, {}
        joint = self._rule.joint_index(actions, shape=())
        agents, finished = self.agents, steps + 1 == self._rule.horizon
        observation: np.int64 = self._rule.observation(joint)
        self._steps, self._joint = steps + 1, int(joint)
        if finished:
            self.agents = []
        if self.render_mode == "human":
            self.render()
        return (
            dict.fromkeys(agents, observation),
            dict(zip(agents, self._rule.rewards(joint).tolist(), strict=True)),
            dict.fromkeys(agents, finished),
            dict.fromkeys(agents, False),
            {agent: {} for agent in agents},
        )

    def state(self) -> np.ndarray:
        """Float32 `[1 + prod(A) + 1]`: what was played last, one-hot (nothing first), and the share of steps done."""
        steps = self._steps_so_far("state")
        state = np.zeros(self.state_space.shape, dtype=np.float32)
        state[0 if self._joint is None else 1 + self._joint] = 1.0
        state[-1] = steps / self._rule.horizon
        return state

    def render(self) -> str | np.ndarray | None:
        """The payoff table with the last joint action marked: a string, a picture `[H, W, 3]` uint8, or printed."""
        steps = self._steps_so_far("render")
        if self.render_mode is None:
            logger.warn(f"{self} was made without a render_mode: choose one of {self.metadata['render_modes']}.")
            return None
        heading = f"{self.game.name}, step {steps:{len(str(self._rule.horizon))}} of {self._rule.horizon}"
        shown = (self.game, self.possible_agents, self._joint, heading)
        if self.render_mode == "rgb_array":
            return rendering.as_picture(*shown)
        text = rendering.as_text(*shown)
        if self.render_mode == "ansi":
            return text
        print(text)
        return None

    def close(self) -> None:
        """Nothing to release."""

    def _steps_so_far(self, method: str) -> int:
        if self._steps is None:
            raise ResetNeeded(f"Call reset() before {method}().")
        return self._steps


def parallel_env(
    game: str | MatrixGame = "matching", *, horizon: int = 1, render_mode: str | None = None
) -> MatrixGameEnv:
    """The environment of a game, or of a named one. Raises ValueError for an unknown name."""
    return MatrixGameEnv(named_game(game), horizon=horizon, render_mode=render_mode)


def raw_env(game: str | MatrixGame = "matching", **kwargs: Any) -> AECEnv[str, np.int64, Any]:
    """The same game with agents acting in turn, each blind to the others' moves of that step (PettingZoo's AEC API)."""
    return parallel_to_aec(parallel_env(game, **kwargs))


def env(game: str | MatrixGame = "matching", **kwargs: Any) -> AECEnv[str, np.int64, Any]:
    """`raw_env` in PettingZoo's usual wrappers, which refuse bad actions and calls out of order."""
    return wrapped(raw_env(game, **kwargs))


def vector_env(num_envs: int, *, game: str | MatrixGame = "matching", horizon: int = 1) -> MatrixGameVectorEnv:
    """`num_envs` copies stepped at once."""
    return MatrixGameVectorEnv(named_game(game), num_envs, horizon=horizon)


def wrapped(aec_env: AECEnv[str, np.int64, Any]) -> AECEnv[str, np.int64, Any]:
    """An AEC environment in the two wrappers that PettingZoo's own discrete games use."""
    return wrappers.OrderEnforcingWrapper(wrappers.AssertOutOfBoundsWrapper(aec_env))
