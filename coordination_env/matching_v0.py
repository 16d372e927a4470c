"""The matching game as a PettingZoo module.

    from coordination_env import matching_v0
    env = matching_v0.parallel_env()

Everybody earns 1 when all agents choose the same action, else 0; by default two agents choose A (0) or B (1), once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pettingzoo import AECEnv
from pettingzoo.utils.conversions import parallel_to_aec

from coordination_env import experts, game_experts, matrix_game
from coordination_env.games import matching
from coordination_env.matrix_game import MatrixGameEnv
from coordination_env.vector_env import MatrixGameVectorEnv

EXPERTS = {
    "mixed": experts.mixed,
    "bimodal": experts.bimodal,
    "asymmetric": experts.asymmetric,
    "noisy": experts.noisy,
    "all_AA": experts.all_AA,
    "correlated_equilibrium": game_experts.correlated_equilibrium,
    "pure_equilibria": game_experts.pure_equilibria,
    "joint": experts.joint,
}


def parallel_env(
    *, num_agents: int = 2, num_actions: int = 2, horizon: int = 1, render_mode: str | None = None
) -> MatrixGameEnv:
    """The matching game, everybody at once. Raises ValueError for fewer than 2 agents, 2 actions or 1 step."""
    return MatrixGameEnv(matching(num_agents, num_actions), horizon=horizon, render_mode=render_mode)


def raw_env(**kwargs: Any) -> AECEnv[str, np.int64, Any]:
    """The matching game with agents acting in turn; takes the arguments of `parallel_env`."""
    return parallel_to_aec(parallel_env(**kwargs))


def env(**kwargs: Any) -> AECEnv[str, np.int64, Any]:
    """`raw_env` in PettingZoo's usual wrappers; takes the arguments of `parallel_env`."""
    return matrix_game.wrapped(raw_env(**kwargs))


def vector_env(num_envs: int, *, num_agents: int = 2, num_actions: int = 2, horizon: int = 1) -> MatrixGameVectorEnv:
    """`num_envs` copies of the matching game stepped at once."""
    return MatrixGameVectorEnv(matching(num_agents, num_actions), num_envs, horizon=horizon)
