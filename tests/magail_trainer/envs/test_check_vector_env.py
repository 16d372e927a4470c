"""The check that a vector env does the same as its copies: what passes, and what is found."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Space
from pettingzoo import ParallelEnv

from coordination_env import matching_v0, matrix_game
from coordination_env.games import GAMES
from magail_trainer.envs.flatten_observations import PlainEnv
from magail_trainer.envs.testing import check_vector_env
from magail_trainer.envs.vector_env import ParallelEnvCopies
from tests.magail_trainer.toy_envs import DyingEnv, MaskedEnv, RandomLengthEnv, SignallingEnv


@pytest.mark.parametrize("horizon", [1, 2, 3])
@pytest.mark.parametrize("game", sorted(GAMES))
def test_native_vector_envs_of_matrix_games_equal_their_copies(game: str, horizon: int) -> None:
    vector_env: Any = matrix_game.vector_env(3, game=game, horizon=horizon)
    check_vector_env(vector_env, lambda: matrix_game.parallel_env(game, horizon=horizon), steps=10)


@pytest.mark.parametrize("horizon", [1, 2, 3])
def test_the_native_vector_env_of_matching_equals_its_copies(horizon: int) -> None:
    kwargs: dict[str, Any] = {"num_agents": 3, "num_actions": 4, "horizon": horizon}
    vector_env: Any = matching_v0.vector_env(5, **kwargs)
    check_vector_env(vector_env, lambda: matching_v0.parallel_env(**kwargs))


@pytest.mark.parametrize(
    "make_env",
    [
        RandomLengthEnv,
        SignallingEnv,
        lambda: RandomLengthEnv(nested=True),
        DyingEnv,
        lambda: PlainEnv(MaskedEnv()),
    ],
)
def test_copies_pass_their_own_check(make_env: Callable[[], ParallelEnv]) -> None:
    check_vector_env(ParallelEnvCopies(make_env, 3), make_env)


class WrongSpace(ParallelEnvCopies):
    def action_space(self, agent: str) -> Space:
        return Box(-1, 2, (3,), np.float32) if agent == "right" else super().action_space(agent)


class WrongAgents(ParallelEnvCopies):
    def __init__(self, make_env: Callable[[], ParallelEnv], num_envs: int) -> None:
        super().__init__(make_env, num_envs)
        self.possible_agents = self.possible_agents[::-1]


class WrongReset(ParallelEnvCopies):
    def reset(self, seed: Any = None) -> Any:
        return super().reset(None if seed is None else seed + 1)


class WrongStep(ParallelEnvCopies):
    """Breaks the part of `step`'s answer that `part` numbers, for `right` alone and its last copy alone."""

    part = 0

    def step(self, actions: dict[str, Any]) -> Any:
        result = super().step(actions)
        broken: Any = result[self.part]["right"]
        broken = broken["final_obs"] if self.part == 4 else broken
        broken[-1] = 1 - broken[-1]
        return result


class NoFinalObservation(ParallelEnvCopies):
    def step(self, actions: dict[str, Any]) -> Any:
        return *super().step(actions)[:4], {"left": {}, "right": {}}


@pytest.mark.parametrize(
    ("broken", "where"),
    [
        (WrongAgents, "agents"),
        (WrongSpace, "action space of right"),
        (WrongReset, "observations after reset"),
        (NoFinalObservation, "final_obs is missing"),
        *[
            (type("WrongPart", (WrongStep,), {"part": part}), f"{name} after step 0, right")
            for part, name in enumerate(["observations", "rewards", "terminations", "truncations", "infos"])
        ],
    ],
)
def test_the_check_finds_what_is_broken(broken: type[ParallelEnvCopies], where: str) -> None:
    with pytest.raises(AssertionError, match=where):
        check_vector_env(broken(RandomLengthEnv, 3), RandomLengthEnv)


def test_the_check_finds_a_game_with_other_payoffs() -> None:
    vector_env: Any = matrix_game.vector_env(3, game="chicken")
    with pytest.raises(AssertionError, match="rewards after step"):
        check_vector_env(vector_env, lambda: matrix_game.parallel_env("stag_hunt"))
