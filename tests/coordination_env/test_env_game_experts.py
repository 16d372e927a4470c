"""Experts that follow from a game's payoffs."""

from collections import Counter
from typing import Any

import numpy as np
import pettingzoo
import pytest
from pettingzoo.utils import BaseParallelWrapper

from coordination_env import GAMES, game_experts, matching_v0, matrix_game
from coordination_env.equilibria import pure_nash_equilibria
from coordination_env.games import matching


def env_of(name: str) -> Any:
    return pettingzoo.make("parallel", f"coordination/{name}-v0")


@pytest.mark.parametrize(
    ("name", "joint"),
    [
        ("matching", [[0.5, 0], [0, 0.5]]),
        ("stag_hunt", [[0.5, 0], [0, 0.5]]),
        ("battle_of_the_sexes", [[0.5, 0], [0, 0.5]]),
        ("chicken", [[0, 0.5], [0.5, 0]]),
        ("prisoners_dilemma", [[0, 0], [0, 1]]),
    ],
)
def test_pure_equilibria(name: str, joint: Any) -> None:
    np.testing.assert_array_equal(game_experts.pure_equilibria(env_of(name)).joint, joint)


def test_conventions_of_many_agents_are_only_those_that_all_keep() -> None:
    policy = game_experts.pure_equilibria(matching_v0.parallel_env(num_agents=4))
    assert (policy.joint[0, 0, 0, 0], policy.joint[1, 1, 1, 1]) == (0.5, 0.5)
    payoffs = matching(4).payoffs
    assert pure_nash_equilibria(payoffs, strict=True) == [(0, 0, 0, 0), (1, 1, 1, 1)]
    assert (0, 0, 1, 1) in pure_nash_equilibria(payoffs)  # nobody alone can repair it


def test_a_ratio_is_the_share_of_the_first_equilibrium() -> None:
    policy = game_experts.pure_equilibria(env_of("chicken"), ratio=0.7)
    np.testing.assert_allclose(policy.joint, [[0, 0.7], [0.3, 0]])
    assert policy.parameters == {"ratio": 0.7, "joint": policy.joint.tolist()}
    three = game_experts.pure_equilibria(matching_v0.parallel_env(num_actions=3), ratio=0.5)
    np.testing.assert_allclose(three.joint, np.diag([0.5, 0.25, 0.25]))


def test_the_correlated_equilibrium_of_chicken_is_played_in_exact_proportions() -> None:
    policy = game_experts.correlated_equilibrium(env_of("chicken"))
    policy.begin(300, np.random.default_rng(0))
    actions = policy.act({}, episode=np.arange(300), step=np.zeros(300, dtype=int))
    played = Counter(zip(*(column.tolist() for column in actions.values()), strict=True))
    assert played == {(0, 0): 100, (0, 1): 100, (1, 0): 100}


@pytest.mark.parametrize("name", GAMES)
def test_every_game_offers_experts_that_say_what_they_play(name: str) -> None:
    module = matching_v0 if name == "matching" else matrix_game
    for expert in ("mixed", "correlated_equilibrium", "pure_equilibria"):
        if expert == "pure_equilibria" and name in ("matching_pennies", "rock_paper_scissors"):
            continue
        policy = module.EXPERTS[expert](env_of(name))
        assert policy.name == expert
        assert policy.parameters["joint"] == policy.joint.tolist()


@pytest.mark.parametrize("name", ["matching_pennies", "rock_paper_scissors"])
def test_a_game_without_conventions_has_no_such_expert(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} has no strict pure equilibrium"):
        game_experts.pure_equilibria(env_of(name))


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match="ratio divides several equilibria, and prisoners_dilemma has one"):
        game_experts.pure_equilibria(env_of("prisoners_dilemma"), ratio=0.5)
    with pytest.raises(ValueError, match=r"ratio must be a number from 0 to 1, got 1.5"):
        game_experts.pure_equilibria(env_of("chicken"), ratio=1.5)
    stranger: Any = BaseParallelWrapper(env_of("chicken"))
    assert game_experts.correlated_equilibrium(stranger).name == "correlated_equilibrium"  # a wrapper may lie between
    stranger.env.game = None
    with pytest.raises(ValueError, match="payoffs of a MatrixGame"):
        game_experts.correlated_equilibrium(stranger)
