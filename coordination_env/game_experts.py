"""Scripted joint policies that follow from a game's payoffs: its correlated equilibrium and its conventions.

They take any environment that has a `MatrixGame` under `game`, wrapped or not.
"""

from __future__ import annotations

import numpy as np

from coordination_env import correlated_equilibria
from coordination_env.checks import check_share
from coordination_env.equilibria import pure_nash_equilibria
from coordination_env.experts import Env, ScriptedJointPolicy
from coordination_env.games import MatrixGame


def correlated_equilibrium(env: Env) -> ScriptedJointPolicy:
    """The correlated equilibrium with the greatest sum of payoffs, the flattest of several, in exact proportions.

    In chicken a third each of who swerves: both, the first, the second. See `correlated_equilibria`.
    """
    joint = correlated_equilibria.correlated_equilibrium(_game(env).payoffs)
    return ScriptedJointPolicy("correlated_equilibrium", env.possible_agents, joint, exact=True)


def pure_equilibria(env: Env, *, ratio: float | None = None) -> ScriptedJointPolicy:
    """One convention in each episode: the strict pure equilibria, equally often, in exact proportions.

    In the battle of the sexes half ballet and half fight; in chicken the two take turns at swerving; `bimodal` in the
    matching game. With `ratio` that is the share of the first equilibrium, and the others have equal shares of the
    rest.

    Raises ValueError if the game has no strict pure equilibrium, or but one and a ratio.
    """
    game = _game(env)
    conventions = pure_nash_equilibria(game.payoffs, strict=True)
    if not conventions:
        raise ValueError(f"{game.name} has no strict pure equilibrium.")
    if ratio is not None and len(conventions) == 1:
        raise ValueError(f"ratio divides several equilibria, and {game.name} has one.")
    share = 1 / len(conventions) if ratio is None else check_share("ratio", ratio)
    joint = np.zeros(game.num_actions)
    for cell in conventions[1:]:
        joint[cell] = (1 - share) / (len(conventions) - 1)
    joint[conventions[0]] = share
    parameters = {} if ratio is None else {"ratio": share}
    return ScriptedJointPolicy("pure_equilibria", env.possible_agents, joint, exact=True, parameters=parameters)


def _game(env: Env) -> MatrixGame:
    game = getattr(env.unwrapped, "game", None)
    if not isinstance(game, MatrixGame):
        raise ValueError(f"This expert follows from the payoffs of a MatrixGame, and {env} has none.")
    return game
