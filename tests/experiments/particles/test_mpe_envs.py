"""The batched particle envs do what mpe2's do, number for number."""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from experiments.mpe_envs import find_parallel_env
from magail_trainer.envs.registry import resolve
from magail_trainer.envs.vector_env import ParallelEnvCopies, VectorEnv
from magail_trainer.errors import InputError

pytest.importorskip("mpe2")

CASES = [
    ("simple_spread", {}),
    ("simple_spread", {"N": 2, "local_ratio": 0.3, "max_cycles": 7}),
    ("simple_speaker_listener", {"max_cycles": 10}),
    ("simple_push", {"max_cycles": 10}),
    ("simple_tag", {"max_cycles": 10}),
    ("simple_tag", {"num_good": 2, "num_adversaries": 1, "num_obstacles": 0, "max_cycles": 30}),
]
COPIES = 8


def module(name: str) -> ModuleType:
    return import_module(f"experiments.mpe_envs.{name}")


def draw(env: VectorEnv, rng: np.random.Generator) -> dict[str, Any]:
    """Actions that come in runs, so that agents get somewhere: towards the right in one step of two."""
    actions = {}
    for agent in env.possible_agents:
        count = int(getattr(env.action_space(agent), "n"))  # noqa: B009  # Space has no n
        drawn = rng.integers(count, size=env.num_envs)
        actions[agent] = np.where(rng.random(env.num_envs) < 0.5, min(2, count - 1), drawn)
    return actions


def assert_equal(ours: Any, theirs: Any) -> None:
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        if isinstance(value, dict):
            assert_equal(ours[key], value)
        else:
            assert ours[key].dtype == value.dtype
            np.testing.assert_array_equal(ours[key], value)


@pytest.mark.parametrize("seed", [0, 1, [11, 3, 5, 2, 7, 19, 4, 4]], ids=str)
@pytest.mark.parametrize(("name", "kwargs"), CASES)
def test_it_agrees_with_copies_of_mpe2(name: str, kwargs: dict[str, Any], seed: int | list[int]) -> None:
    ours = module(name).vector_env(COPIES, **kwargs)
    copies = ParallelEnvCopies(lambda: module(name).parallel_env(**kwargs), COPIES)
    assert ours.possible_agents == copies.possible_agents
    for agent in ours.possible_agents:
        assert ours.observation_space(agent) == copies.observation_space(agent)
        assert ours.action_space(agent) == copies.action_space(agent)
    rng, over = np.random.default_rng(0), 0
    for given in (seed, None):  # the second reset comes in the middle of an episode and goes on with the random state
        assert_equal(ours.reset(seed=given)[0], copies.reset(seed=given)[0])
        for _ in range(32):
            actions = draw(ours, rng)
            step = ours.step(actions)
            for got, expected in zip(step, copies.step(actions), strict=True):
                assert_equal(got, expected)
            over += bool(step[3][ours.possible_agents[0]].all())
    copies.close()
    assert over == 2 * (32 // kwargs.get("max_cycles", 25))


@pytest.mark.parametrize("name", ["simple_spread", "simple_speaker_listener", "simple_push", "simple_tag"])
def test_every_call_returns_new_arrays(name: str) -> None:
    env = module(name).vector_env(3, max_cycles=4)
    kept, copied = [], []
    rng = np.random.default_rng(0)
    for index in range(10):
        observations, *rest = env.step(draw(env, rng)) if index else env.reset(seed=0)
        finals = [info["final_obs"] for info in rest[-1].values() if info]
        arrays = [*observations.values(), *finals, *(array for values in rest[:-1] for array in values.values())]
        assert not any(np.shares_memory(one, other) for one in arrays for other in [*kept, *arrays] if one is not other)
        kept += arrays
        copied += [array.copy() for array in arrays]
    for array, copy in zip(kept, copied, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [("simple_spread", {"continuous_actions": True}), ("simple_tag", {"terminate_on_success": True})],
)
def test_what_it_does_not_know_is_left_to_mpe2(name: str, kwargs: dict[str, Any]) -> None:
    env = module(name).vector_env(2, **kwargs)
    assert isinstance(env, ParallelEnvCopies)
    env.close()


def test_the_trainer_finds_it() -> None:
    entry = resolve("experiments.mpe_envs.simple_spread", {"N": 2})
    assert entry.has_native_vector_env
    assert entry.make().possible_agents == ["agent_0", "agent_1"]


@pytest.mark.parametrize("wrong", [np.full(3, 5), np.full(3, -1), np.zeros(2, dtype=np.int64), np.zeros(3)], ids=str)
def test_wrong_actions_are_refused(wrong: np.ndarray) -> None:
    env = module("simple_spread").vector_env(3)
    env.reset(seed=0)
    right = np.zeros(3, dtype=np.int64)
    with pytest.raises(InputError, match=r"action.* of agent_1"):
        env.step({"agent_0": right, "agent_1": wrong, "agent_2": right})


def test_a_missing_mpe2_is_one_clear_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mpe2.simple_spread_v3", None)
    with pytest.raises(InputError, match=r"need mpe2 .*install the extra `mpe`"):
        find_parallel_env("simple_spread_v3")
