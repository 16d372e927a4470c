"""Matrix games as PettingZoo and Gymnasium environments, with scripted experts and equilibrium analysis.

Importing the package registers `coordination/matching-v0` and its siblings with PettingZoo, and
`coordination/Matching-v0`, the team's view of the matching game, with Gymnasium:

    import coordination_env, pettingzoo
    env = pettingzoo.make("parallel", "coordination/matching-v0")
"""

import gymnasium
import pettingzoo

from coordination_env import correlated_equilibria, equilibria, experts, game_experts, games, matching_v0, matrix_game
from coordination_env.experts import ScriptedJointPolicy
from coordination_env.games import GAMES, MatrixGame
from coordination_env.matrix_game import MatrixGameEnv
from coordination_env.vector_env import MatrixGameVectorEnv

__all__ = [
    "GAMES",
    "MatrixGame",
    "MatrixGameEnv",
    "MatrixGameVectorEnv",
    "ScriptedJointPolicy",
    "correlated_equilibria",
    "equilibria",
    "experts",
    "game_experts",
    "games",
    "matching_v0",
    "matrix_game",
]


def _register() -> None:
    """Register every id once: a second time, as after a reload, would warn."""
    for name in GAMES:
        env_id = f"coordination/{name}-v0"
        if env_id in pettingzoo.parallel_registry:
            continue
        module, kwargs = ("matching_v0", {}) if name == "matching" else ("matrix_game", {"game": name})
        pettingzoo.register("parallel", env_id, f"coordination_env.{module}:parallel_env", kwargs=kwargs)
        pettingzoo.register("aec", env_id, f"coordination_env.{module}:env", kwargs=kwargs)
    if "coordination/Matching-v0" not in gymnasium.registry:
        gymnasium.register(
            "coordination/Matching-v0",
            entry_point="coordination_env.gymnasium_env:TeamMatchingEnv",
            vector_entry_point="coordination_env.gymnasium_env:TeamMatchingVectorEnv",
        )


_register()
