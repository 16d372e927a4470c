"""MatrixGameEnv: what the official checks overlook, and numbers worked out by hand."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Box, Discrete
from hypothesis import given
from hypothesis import strategies as st

from coordination_env import GAMES, MatrixGame, MatrixGameEnv, matrix_game
from coordination_env.games import matching

UNEVEN = MatrixGame("uneven", np.arange(12.0).reshape(2, 2, 3), (("u", "d"), ("l", "m", "r")))


def play(env: MatrixGameEnv, *joint: int) -> Any:
    return env.step(dict(zip(env.possible_agents, joint, strict=True)))


def test_one_step_game_by_hand() -> None:
    env = matrix_game.parallel_env("stag_hunt")
    observations, infos = env.reset(seed=1, options={"anything": 1})
    assert (observations, infos) == ({"agent_0": 0, "agent_1": 0}, {"agent_0": {}, "agent_1": {}})
    assert env.agents == ["agent_0", "agent_1"]
    observations, rewards, terminations, truncations, infos = play(env, 1, 0)
    assert observations == {"agent_0": 0, "agent_1": 0}
    assert rewards == {"agent_0": 3.0, "agent_1": 0.0}
    assert terminations == {"agent_0": True, "agent_1": True}
    assert truncations == {"agent_0": False, "agent_1": False}
    assert infos == {"agent_0": {}, "agent_1": {}}
    assert env.agents == []
    assert play(env, 1, 0) == ({}, {}, {}, {}, {})
    assert env.step({}) == ({}, {}, {}, {}, {})


def test_repeated_game_observes_the_last_joint_action() -> None:
    env = MatrixGameEnv(UNEVEN, horizon=3)
    assert env.observation_space("agent_0") == env.observation_space("agent_1") == Discrete(7)
    assert (env.action_space("agent_0"), env.action_space("agent_1")) == (Discrete(2), Discrete(3))
    env.reset()
    for joint, seen, ends in [((1, 0), 4, False), ((0, 2), 3, False), ((1, 2), 6, True)]:
        observations, rewards, terminations, _, _ = play(env, *joint)
        assert observations == {"agent_0": seen, "agent_1": seen}
        assert rewards == {"agent_0": float(seen - 1), "agent_1": float(seen + 5)}
        assert terminations == {"agent_0": ends, "agent_1": ends}


@given(name=st.sampled_from(sorted(GAMES)), horizon=st.integers(1, 4), seed=st.integers(0, 2**32))
def test_types_keys_and_spaces_at_every_step(name: str, horizon: int, seed: int) -> None:
    env, rng = matrix_game.parallel_env(name, horizon=horizon), np.random.default_rng(seed)
    observations, _ = env.reset()
    for step in range(1, horizon + 1):
        agents = env.agents
        assert agents == env.possible_agents
        joint = [int(rng.integers(env.action_space(agent).n)) for agent in agents]
        observations, rewards, terminations, truncations, infos = play(env, *joint)
        for result in (observations, rewards, terminations, truncations, infos):
            assert list(result) == agents
        for agent in agents:
            assert type(observations[agent]) is np.int64
            assert observations[agent] in env.observation_space(agent)
            assert type(rewards[agent]) is float
            assert terminations[agent] is (step == horizon)
            assert truncations[agent] is False
        assert list(rewards.values()) == env.game.payoffs[:, *joint].tolist()
    assert env.agents == []


def test_reset_in_mid_episode_starts_afresh() -> None:
    env = matrix_game.parallel_env("chicken", horizon=2)
    env.reset()
    play(env, 1, 1)
    assert env.reset()[0] == {"agent_0": 0, "agent_1": 0}
    assert env.state().tolist() == [1, 0, 0, 0, 0, 0]
    assert play(env, 0, 0)[2] == {"agent_0": False, "agent_1": False}


def test_state_tells_the_last_joint_action_and_the_time() -> None:
    env = matrix_game.parallel_env("chicken", horizon=2)
    assert env.state_space == Box(0.0, 1.0, (6,), np.float32)
    env.reset()
    play(env, 1, 0)
    assert env.state().tolist() == [0, 0, 0, 1, 0, 0.5]
    assert env.state() in env.state_space
    play(env, 0, 0)
    assert env.state().tolist() == [0, 1, 0, 0, 0, 1]


@pytest.mark.parametrize("bad", [2, -1, 0.0, None, "A", [0], np.array([0]), np.float32(1)])
def test_a_bad_action_is_named_with_its_agent(bad: object) -> None:
    env = matrix_game.parallel_env()
    env.reset()
    with pytest.raises(ValueError, match="action of agent_1 must be one integer from 0 to 1, got"):
        env.step({"agent_0": 0, "agent_1": bad})  # pyright: ignore[reportArgumentType]
    assert env.agents == env.possible_agents  # a refused step has not happened


@pytest.mark.parametrize("actions", [{}, {"agent_0": 0}, {"agent_0": 0, "agent_1": 0, "agent_2": 0}, {"a": 0, "b": 0}])
def test_actions_must_come_from_exactly_the_agents(actions: dict[str, int]) -> None:
    env = matrix_game.parallel_env()
    env.reset()
    with pytest.raises(ValueError, match=r"one action for each of \['agent_0', 'agent_1'\], got actions for"):
        env.step(actions)


def test_integers_of_any_kind_are_actions() -> None:
    env = matrix_game.parallel_env()
    ones: list[Any] = [1, np.int64(1), np.int32(1), np.uint8(1), np.array(1)]
    for one in ones:
        env.reset()
        assert env.step({"agent_0": 1, "agent_1": one})[1] == {"agent_0": 1.0, "agent_1": 1.0}


def test_order_of_calls() -> None:
    env = matrix_game.parallel_env(render_mode="ansi")
    for method, call in [("step", lambda: play(env, 0, 0)), ("state", env.state), ("render", env.render)]:
        with pytest.raises(ResetNeeded, match=rf"Call reset\(\) before {method}\(\)"):
            call()


@pytest.mark.parametrize("horizon", [0, -1, 1.5, "3", None, True])
def test_horizon_must_be_a_positive_integer(horizon: Any) -> None:
    with pytest.raises(ValueError, match="horizon must be an integer of at least 1, got"):
        MatrixGameEnv(matching(), horizon=horizon)


def test_unknown_render_mode_and_game() -> None:
    with pytest.raises(ValueError, match=r"render_mode must be None or one of .*'ansi'.*, got 'ascii'"):
        matrix_game.parallel_env(render_mode="ascii")
    for make in (matrix_game.parallel_env, matrix_game.raw_env, matrix_game.env):
        with pytest.raises(ValueError, match="Unknown game 'chess'"):
            make("chess")
    with pytest.raises(ValueError, match="Unknown game 'chess'"):
        matrix_game.vector_env(2, game="chess")


def test_metadata_names_the_game_without_touching_other_envs() -> None:
    assert matrix_game.parallel_env("stag_hunt").metadata["name"] == str(matrix_game.env("stag_hunt")) == "stag_hunt_v0"
    assert matrix_game.parallel_env().metadata["name"] == "matching_v0"
    assert MatrixGameEnv.metadata["name"] == "matrix_game_v0"
    assert not hasattr(matrix_game.parallel_env(), "max_cycles")  # parallel_api_test would overwrite it


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_goes_on_from_the_same_place_on_its_own(duplicate: Any) -> None:
    env = matrix_game.parallel_env("chicken", horizon=2, render_mode="ansi")
    env.reset()
    play(env, 1, 0)
    twin = duplicate(env)
    assert twin.state().tolist() == env.state().tolist()
    assert twin.render() == env.render()
    assert play(twin, 1, 1) == play(env, 1, 1)
    twin.reset()
    assert (twin.agents, env.agents) == (["agent_0", "agent_1"], [])


def test_the_aec_form_plays_the_same_game() -> None:
    env = matrix_game.env("battle_of_the_sexes")
    env.reset()
    for agent in env.possible_agents:
        assert env.agent_selection == agent
        assert env.last()[0] == 0  # the second agent does not see the first one's move
        env.step(1)
    assert env.rewards == {"agent_0": 1.0, "agent_1": 2.0}
    assert env.terminations == {"agent_0": True, "agent_1": True}
    env.reset()
    with pytest.raises(AssertionError, match="not in action space"):
        env.step(2)


def test_experts_of_any_game() -> None:
    env = matrix_game.parallel_env("rock_paper_scissors")
    assert sorted(matrix_game.EXPERTS) == ["correlated_equilibrium", "joint", "mixed", "pure_equilibria"]
    np.testing.assert_allclose(matrix_game.EXPERTS["mixed"](env).joint, np.full((3, 3), 1 / 9))
