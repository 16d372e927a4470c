"""The vector env against the single env, copy by copy, and against the payoff table."""

from typing import Any

import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from hypothesis import given
from hypothesis import strategies as st

from coordination_env import GAMES, MatrixGame, MatrixGameEnv, MatrixGameVectorEnv, matrix_game
from coordination_env.games import matching

CASES = [
    *(make() for make in GAMES.values()),
    matching(3, 2),
    MatrixGame("uneven", np.arange(36.0).reshape(3, 1, 3, 4), (("x",), ("l", "m", "r"), ("a", "b", "c", "d"))),
]


def random_actions(env: MatrixGameVectorEnv, rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {agent: rng.integers(env.action_space(agent).n, size=env.num_envs) for agent in env.possible_agents}


@given(game=st.sampled_from(CASES), num_envs=st.integers(1, 5), horizon=st.integers(1, 4), seed=st.integers(0, 2**32))
def test_every_copy_does_what_the_single_env_does(game: MatrixGame, num_envs: int, horizon: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    vector = MatrixGameVectorEnv(game, num_envs, horizon=horizon)
    singles = [MatrixGameEnv(game, horizon=horizon) for _ in range(num_envs)]
    observations, infos = vector.reset(seed=seed)
    starts = [single.reset(seed=seed) for single in singles]
    for agent in vector.possible_agents:
        assert observations[agent].tolist() == [start[0][agent] for start in starts]
        assert infos[agent] == {}
    for _ in range(2 * horizon + 1):
        actions = random_actions(vector, rng)
        observations, rewards, terminations, truncations, infos = vector.step(actions)
        for copy, single in enumerate(singles):
            reached, *rest = single.step({agent: action[copy] for agent, action in actions.items()})
            shown = reached if single.agents else single.reset()[0]
            for agent in vector.possible_agents:
                assert infos[agent]["final_obs"][copy] == reached[agent]
                assert observations[agent][copy] == shown[agent]
                got = [array[agent][copy] for array in (rewards, terminations, truncations)]
                assert got == [expected[agent] for expected in rest[:3]]


@given(game=st.sampled_from(CASES), seed=st.integers(0, 2**32))
def test_rewards_and_observations_by_the_payoff_table(game: MatrixGame, seed: int) -> None:
    env = MatrixGameVectorEnv(game, 7, horizon=2)
    env.reset()
    actions = random_actions(env, np.random.default_rng(seed))
    observations, rewards, _, _, _ = env.step(actions)
    for copy, joint in enumerate(zip(*actions.values(), strict=True)):
        assert [rewards[agent][copy] for agent in env.possible_agents] == game.payoffs[:, *joint].tolist()
        before = list(np.ndindex(game.num_actions)).index(tuple(int(action) for action in joint))
        assert {int(observations[agent][copy]) for agent in env.possible_agents} == {1 + before}


@pytest.mark.parametrize("horizon", [1, 2])
def test_shapes_types_and_spaces(horizon: int) -> None:
    env = matrix_game.vector_env(3, game="rock_paper_scissors", horizon=horizon)
    single = matrix_game.parallel_env("rock_paper_scissors", horizon=horizon)
    assert env.num_envs == 3
    assert env.possible_agents == single.possible_agents
    observations, _ = env.reset()
    results = env.step(random_actions(env, np.random.default_rng(0)))
    finals = {agent: info["final_obs"] for agent, info in results[4].items()}
    wanted = (np.int64, np.int64, np.int64, np.float64, np.bool_, np.bool_)
    for arrays, dtype in zip((observations, results[0], finals, *results[1:4]), wanted, strict=True):
        assert list(arrays) == env.possible_agents
        assert all(array.shape == (3,) and array.dtype == dtype for array in arrays.values())
    for agent in env.possible_agents:
        assert env.observation_space(agent) is env.observation_space(agent)
        assert env.observation_space(agent) == single.observation_space(agent)
        assert env.action_space(agent) == single.action_space(agent)
        assert all(env.observation_space(agent).contains(value) for value in results[0][agent])


def test_returned_arrays_belong_to_the_caller() -> None:
    env = matrix_game.vector_env(4, horizon=2)

    def arrays(results: tuple[Any, ...]) -> list[np.ndarray]:
        *dicts, infos = results
        return [array for d in dicts for array in d.values()] + [i["final_obs"] for i in infos.values() if i]

    actions = random_actions(env, np.random.default_rng(0))
    returned = arrays(env.reset()) + arrays(env.step(actions)) + arrays(env.step(actions))
    for index, array in enumerate(returned):
        assert array.flags.writeable
        assert not any(np.shares_memory(array, other) for other in [*returned[:index], *actions.values()])


def test_reset_in_mid_episode_restarts_all_copies() -> None:
    env = matrix_game.vector_env(2, horizon=2)
    env.reset()
    actions = random_actions(env, np.random.default_rng(0))
    env.step(actions)
    env.reset()
    assert not env.step(actions)[2]["agent_0"].any()
    assert env.step(actions)[2]["agent_0"].all()


def test_seeds_are_taken_in_every_form() -> None:
    env = matrix_game.vector_env(3)
    for seed in (None, 5, [1, 2, 3], (1, 2, 3)):
        assert env.reset(seed, {"option": 1})[0]["agent_0"].tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match=r"seed must be None, an int or 3 ints, got \[1, 2\]"):
        env.reset(seed=[1, 2])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.array([0, 5, 0]), r"agent_1 must be an integer array of shape \[3\] from 0 to 1, got 5 in copy 1"),
        (np.array([0, 0, -1]), "got -1 in copy 2"),
        (np.zeros(3), r"got float64 of shape \[3\]"),
        (np.zeros(2, dtype=int), r"got int64 of shape \[2\]"),
        (np.zeros((3, 1), dtype=int), r"got int64 of shape \[3, 1\]"),
        (np.zeros(1, dtype=int), r"got int64 of shape \[1\]"),  # numpy would broadcast these two
        (0, r"got int64 of shape \[\]"),
    ],
)
def test_bad_actions_are_named(bad: Any, message: str) -> None:
    env = matrix_game.vector_env(3)
    env.reset()
    with pytest.raises(ValueError, match=message):
        env.step({"agent_0": np.zeros(3, dtype=int), "agent_1": bad})


def test_missing_and_unknown_agents_and_calls_out_of_order() -> None:
    env, zeros = matrix_game.vector_env(3), np.zeros(3, dtype=int)
    with pytest.raises(ResetNeeded, match=r"reset\(\) before step\(\)"):
        env.step({"agent_0": zeros, "agent_1": zeros})
    env.reset()
    for actions in ({"agent_0": zeros}, {"agent_0": zeros, "agent_1": zeros, "agent_2": zeros}):
        with pytest.raises(ValueError, match="one action for each of"):
            env.step(actions)
    env.close()


@pytest.mark.parametrize("num_envs", [0, -1, 2.0, None])
def test_there_must_be_copies(num_envs: Any) -> None:
    with pytest.raises(ValueError, match="num_envs must be an integer of at least 1, got"):
        matrix_game.vector_env(num_envs)
