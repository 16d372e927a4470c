"""The Gymnasium side: the single env by check_env, the vector env against SyncVectorEnv."""

import copy
import pickle
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Discrete, MultiDiscrete
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given
from hypothesis import strategies as st

from coordination_env.gymnasium_env import TeamMatchingEnv, TeamMatchingVectorEnv

ENV_ID = "coordination_env:coordination/Matching-v0"


@pytest.mark.parametrize("render_mode", [None, "human", "ansi", "rgb_array"])
@pytest.mark.parametrize("horizon", [1, 3])
def test_check_env_has_nothing_to_say(render_mode: str | None, horizon: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(ENV_ID, horizon=horizon, render_mode=render_mode).unwrapped)


@pytest.mark.parametrize(
    ("num_agents", "action", "reward"),
    [(2, [0, 0], 1.0), (2, [1, 0], 0.0), (2, [1, 1], 1.0), (3, [1, 1, 1], 1.0), (3, [1, 1, 0], 0.0)],
)
def test_the_team_earns_one_or_nothing(num_agents: int, action: list[int], reward: float) -> None:
    env = gymnasium.make(ENV_ID, num_agents=num_agents)
    assert env.action_space == MultiDiscrete([2] * num_agents)
    assert env.observation_space == Discrete(1)
    assert env.reset(seed=0) == (0, {})
    result = env.step(np.array(action))
    assert result == (0, reward, True, False, {})
    assert type(result[1]) is float


def test_rendering_passes_through() -> None:
    env = gymnasium.make(ENV_ID, render_mode="ansi")
    env.reset()
    env.step(np.array([1, 1]))
    assert "played B, B: payoffs 1, 1" in str(env.render())


@given(
    arguments=st.fixed_dictionaries(
        {"num_agents": st.integers(2, 3), "num_actions": st.integers(2, 3), "horizon": st.integers(1, 3)}
    ),
    num_envs=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
def test_native_vector_env_equals_sync_vector_env(arguments: dict[str, Any], num_envs: int, seed: int) -> None:
    native = TeamMatchingVectorEnv(num_envs, **arguments)
    sync = SyncVectorEnv([lambda: TeamMatchingEnv(**arguments)] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)
    assert native.metadata["autoreset_mode"] is sync.metadata["autoreset_mode"]
    for attribute in ("single_action_space", "action_space", "single_observation_space", "observation_space"):
        assert getattr(native, attribute) == getattr(sync, attribute)
    assert_same(native.reset(seed=seed), sync.reset(seed=seed))
    rng = np.random.default_rng(seed)
    for _ in range(2 * arguments["horizon"] + 1):
        actions = rng.integers(arguments["num_actions"], size=(num_envs, arguments["num_agents"]))
        observed = native.step(actions)
        assert observed[0] in native.observation_space
        assert_same(observed, sync.step(actions))


def assert_same(left: Any, right: Any) -> None:
    """Equal values, types, dtypes and structure."""
    assert type(left) is type(right)
    if isinstance(left, dict):
        assert left.keys() == right.keys()
        for key in left:
            assert_same(left[key], right[key])
    elif isinstance(left, tuple):
        for a, b in zip(left, right, strict=True):
            assert_same(a, b)
    elif isinstance(left, np.ndarray):
        assert (left.dtype, left.shape) == (right.dtype, right.shape)
        if left.dtype == object:
            assert [type(a) for a in left] == [type(b) for b in right]
        np.testing.assert_array_equal(left, right)
    else:
        assert left == right


def test_make_vec_takes_the_native_one() -> None:
    envs = gymnasium.make_vec(ENV_ID, num_envs=3, horizon=2)
    assert isinstance(envs, TeamMatchingVectorEnv)
    assert envs.num_envs == 3
    envs.reset(seed=5)
    assert envs.np_random_seed == 5
    envs.reset(seed=[1, 2, 3])  # pyright: ignore[reportArgumentType]
    _, rewards, terminations, truncations, infos = envs.step(np.array([[0, 0], [0, 1], [1, 1]]))
    assert rewards.tolist() == [1, 0, 1]
    assert not terminations.any()
    assert not truncations.any()
    assert infos == {}
    observations, _, terminations, _, infos = envs.step(np.array([[0, 0], [0, 1], [1, 1]]))
    assert terminations.all()
    assert observations.tolist() == [0, 0, 0]
    assert infos["final_obs"].tolist() == [1, 2, 4]
    envs.close()


def test_make_vec_can_still_be_asked_for_sync() -> None:
    envs = gymnasium.make_vec(ENV_ID, num_envs=2, vectorization_mode="sync", num_actions=3)
    assert isinstance(envs, SyncVectorEnv)
    assert envs.single_action_space == MultiDiscrete([3, 3])
    envs.close()


def test_bad_calls_are_refused_in_one_sentence() -> None:
    single, envs = TeamMatchingEnv(), TeamMatchingVectorEnv(2)
    with pytest.raises(ResetNeeded, match="no episode is on"):
        single.step(np.array([0, 0]))
    with pytest.raises(ResetNeeded, match=r"Call reset\(\)"):
        envs.step(np.array([[0, 0], [0, 0]]))
    single.reset()
    envs.reset()
    with pytest.raises(ValueError, match="action of agent_1 must be one integer from 0 to 1, got"):
        single.step(np.array([0, 2]))
    with pytest.raises(ValueError, match=r"must have shape \[2\], got \[3\]"):
        single.step(np.array([0, 0, 0]))
    with pytest.raises(ValueError, match=r"must have shape \[2, 2\], got \[2\]"):
        envs.step(np.array([0, 0]))
    with pytest.raises(ValueError, match=r"agent_0 .* got 2 in copy 1"):
        envs.step(np.array([[0, 0], [2, 0]]))
    single.step(np.array([0, 0]))
    with pytest.raises(ResetNeeded, match="no episode is on"):
        single.step(np.array([0, 0]))
    with pytest.raises(ValueError, match="reset_mask'] is not supported"):
        envs.reset(options={"reset_mask": np.array([True, False])})


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_copies(duplicate: Any) -> None:
    env = TeamMatchingEnv(horizon=2)
    env.reset()
    env.step(np.array([1, 0]))
    twin = duplicate(env)
    assert twin.step(np.array([1, 1])) == env.step(np.array([1, 1])) == (4, 1.0, True, False, {})
