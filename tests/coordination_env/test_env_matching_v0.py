"""The PettingZoo module of the matching game, used as a README would."""

from typing import Any

import pytest
from gymnasium.spaces import Discrete
from pettingzoo import AECEnv, ParallelEnv

from coordination_env import matching_v0
from coordination_env.games import matching


@pytest.mark.parametrize(("first", "second", "reward"), [(0, 0, 1.0), (0, 1, 0.0), (1, 0, 0.0), (1, 1, 1.0)])
def test_the_seed_game(first: int, second: int, reward: float) -> None:
    env = matching_v0.parallel_env()
    assert isinstance(env, ParallelEnv)
    observations, _ = env.reset(seed=0)
    assert observations == {"agent_0": 0, "agent_1": 0}
    assert env.observation_space("agent_0") == Discrete(1)
    assert env.action_space("agent_0") == Discrete(2)
    _, rewards, terminations, truncations, _ = env.step({"agent_0": first, "agent_1": second})
    assert rewards == {"agent_0": reward, "agent_1": reward}
    assert all(terminations.values())
    assert not any(truncations.values())


def test_arguments_reach_the_game_in_all_four_forms() -> None:
    arguments: dict[str, Any] = {"num_agents": 3, "num_actions": 4, "horizon": 2}
    game = matching(3, 4)
    assert matching_v0.parallel_env(**arguments).game == game
    assert matching_v0.vector_env(5, **arguments).game == game
    assert matching_v0.vector_env(num_envs=5, **arguments).observation_space("agent_2") == Discrete(65)
    for make in (matching_v0.env, matching_v0.raw_env):
        env = make(**arguments)
        assert isinstance(env, AECEnv)
        assert env.unwrapped.game == game  # pyright: ignore[reportAttributeAccessIssue]
        assert env.observation_space("agent_0") == Discrete(65)


def test_three_agents_must_all_agree() -> None:
    env = matching_v0.parallel_env(num_agents=3)
    env.reset()
    assert env.step({"agent_0": 1, "agent_1": 1, "agent_2": 0})[1] == dict.fromkeys(env.possible_agents, 0.0)
    env.reset()
    assert env.step({"agent_0": 1, "agent_1": 1, "agent_2": 1})[1] == dict.fromkeys(env.possible_agents, 1.0)


def test_the_five_expert_types_of_the_seed_are_offered() -> None:
    assert list(matching_v0.EXPERTS) == [
        "mixed",
        "bimodal",
        "asymmetric",
        "noisy",
        "all_AA",
        "correlated_equilibrium",
        "pure_equilibria",
        "joint",
    ]
    for name in ("mixed", "bimodal", "asymmetric", "noisy", "all_AA"):
        assert matching_v0.EXPERTS[name](matching_v0.parallel_env()).name == name
