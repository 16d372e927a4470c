"""Scenarios of VMAS against VMAS itself."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiDiscrete

from magail_trainer.data.joint_policies import RandomJointPolicy
from magail_trainer.data.recording import record
from magail_trainer.envs.registry import EnvEntry, resolve
from magail_trainer.envs.testing import check_vector_env
from magail_trainer.envs.vmas import VmasParallelEnv, VmasVectorEnv, agent_names, import_vmas
from magail_trainer.errors import InputError
from tests.magail_trainer.toy_envs import official_test

try:
    vmas: Any = import_vmas()
except InputError:
    pytest.skip("VMAS is not installed", allow_module_level=True)

AGENTS = ["agent_0", "agent_1", "agent_2"]


def draw(env: VmasVectorEnv, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {agent: rng.integers(9, size=env.num_envs) for agent in env.possible_agents}


def test_copies_do_what_vmas_does_and_are_truncated_together() -> None:
    ours = VmasVectorEnv("simple_spread", 3, max_steps=4)
    theirs = vmas.make_env("simple_spread", 3, continuous_actions=False, max_steps=4, seed=0)
    seen, expected = ours.reset(seed=[7, 1, 2])[0], theirs.reset(seed=7)
    state = list(type(theirs).vmas_random_state)
    for step in range(1, 9):
        for agent, observation in zip(AGENTS, expected, strict=True):
            np.testing.assert_array_equal(seen[agent], observation.numpy())
        actions = draw(ours, step)
        seen, rewards, terminations, truncations, infos = ours.step(actions)
        type(theirs).vmas_random_state[:] = state
        expected, paid, done, _ = theirs.step([torch.as_tensor(actions[agent])[:, None] for agent in AGENTS])
        assert done.tolist() == [step % 4 == 0] * 3
        for agent, observation, reward in zip(AGENTS, expected, paid, strict=True):
            np.testing.assert_array_equal(infos[agent]["final_obs"], observation.numpy())
            np.testing.assert_array_equal(rewards[agent], reward.numpy())
            assert rewards[agent].dtype == np.float64
            assert truncations[agent].tolist() == [step % 4 == 0] * 3
            assert not terminations[agent].any()
        if step % 4 == 0:
            assert (seen["agent_0"] != infos["agent_0"]["final_obs"]).any(axis=1).all()
            expected = theirs.reset()
        state = list(type(theirs).vmas_random_state)


def test_a_copy_that_terminates_is_reset_alone() -> None:
    """In `balance` an episode is over when the package falls to the ground: at its own time in each copy."""
    env = VmasVectorEnv("balance", 6, max_steps=200)
    before, _ = env.reset(seed=0)
    length, ended_alone = np.zeros(6, dtype=int), 0
    for step in range(150):
        before, _, terminations, truncations, infos = env.step(draw(env, step))
        length += 1
        assert (truncations["agent_0"] == (length == 200)).all()
        for agent in env.possible_agents:
            np.testing.assert_array_equal(terminations[agent], terminations["agent_0"])
        changed = (before["agent_0"] != infos["agent_0"]["final_obs"]).any(axis=1)
        np.testing.assert_array_equal(changed, terminations["agent_0"])
        ended_alone += 0 < changed.sum() < 6
        length[changed] = 0
    assert ended_alone > 3
    assert len(set(length)) > 1


def test_the_first_seed_decides_for_all_copies() -> None:
    first, second = VmasVectorEnv("simple_spread", 2), VmasVectorEnv("simple_spread", 2)
    seen = first.reset(seed=[3, 4])[0]["agent_0"]
    np.testing.assert_array_equal(seen, second.reset(seed=3)[0]["agent_0"])
    assert (seen[0] != seen[1]).any()
    assert (seen != second.reset(seed=[4, 3])[0]["agent_0"]).any()


def test_envs_have_random_numbers_of_their_own() -> None:
    alone = VmasVectorEnv("simple_spread", 2)
    alone.reset(seed=3)
    expected = [alone.reset()[0]["agent_0"] for _ in range(3)]
    env, other = VmasVectorEnv("simple_spread", 2), VmasVectorEnv("simple_spread", 2)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    env.reset(seed=3)
    for seen in expected:
        other.reset()
        np.testing.assert_array_equal(env.reset()[0]["agent_0"], seen)
    assert torch.equal(torch.get_rng_state(), state)
    assert (env.reset()[0]["agent_0"] != other.reset()[0]["agent_0"]).any()


def test_what_was_returned_does_not_change_with_the_next_step() -> None:
    env = VmasVectorEnv("simple_spread", 2, max_steps=3)
    kept = [env.reset(seed=0)[0]["agent_0"]]
    before = [kept[0].copy()]
    for step in range(6):
        seen, rewards, _, truncations, infos = env.step(draw(env, step))
        kept += [seen["agent_0"], rewards["agent_0"], truncations["agent_0"], infos["agent_0"]["final_obs"]]
        before += [array.copy() for array in kept[-4:]]
        assert not np.shares_memory(seen["agent_0"], infos["agent_0"]["final_obs"])
        truncations["agent_1"][:] = True  # the caller may write to what it got
    for ours, theirs in zip(kept, before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


# One copy


@pytest.mark.parametrize("scenario", ["simple_spread", "simple_speaker_listener", "balance"])
def test_a_lone_copy_does_what_one_copy_of_the_vector_env_does(scenario: str) -> None:
    settings = {"max_steps": 10}
    check_vector_env(VmasVectorEnv(scenario, 1, **settings), lambda: VmasParallelEnv(scenario, **settings), steps=35)


@pytest.mark.parametrize("kwargs", [{}, {"continuous_actions": True}], ids=["discrete", "continuous"])
def test_a_lone_copy_passes_the_official_test(kwargs: dict[str, Any]) -> None:
    official_test(VmasParallelEnv("simple_spread", max_steps=15, **kwargs))


def test_spaces() -> None:
    env = VmasParallelEnv("simple_speaker_listener")
    assert env.possible_agents == ["speaker_0", "listener_0"]
    assert env.observation_space("listener_0") == Box(-np.inf, np.inf, (11,), np.float32)
    assert (env.action_space("speaker_0"), env.action_space("listener_0")) == (Discrete(27), Discrete(9))
    several = VmasVectorEnv("simple_speaker_listener", 2, multidiscrete_actions=True)
    assert several.action_space("speaker_0") == MultiDiscrete([3, 3, 3])
    assert VmasVectorEnv("simple_spread", 2, continuous_actions=True).action_space("agent_1") == Box(
        -1, 1, (2,), np.float32
    )


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["agent_0", "agent_1"], ["agent_0", "agent_1"]),
        (["agent 0", "agent 1"], ["agent_0", "agent_1"]),
        (["agent_blue_0", "agent_blue_1"], ["agentblue_0", "agentblue_1"]),
        (["lead_adversary_0", "adversary_1"], ["leadadversary_0", "adversary_1"]),
        (["a", "a", "a1", "7"], ["a_0", "a_1", "a_2", "agent_7"]),
    ],
)
def test_names_are_those_that_pettingzoo_wants(names: list[str], expected: list[str]) -> None:
    assert agent_names(names) == expected


# By name


def test_a_scenario_by_name() -> None:
    entry = resolve("vmas:simple_spread", {"n_agents": 2})
    assert entry.id == "vmas:simple_spread"
    assert entry.kwargs == {"max_steps": 25, "continuous_actions": False, "n_agents": 2}
    assert entry.has_native_vector_env
    assert entry.experts == {}
    env = entry.make_vector(5, processes=3)
    assert isinstance(env.vector_env, VmasVectorEnv)
    assert (env.num_envs, env.possible_agents) == (5, ["agent_0", "agent_1"])
    assert isinstance(entry.make(), VmasParallelEnv)
    assert resolve("vmas:simple_spread", {"max_steps": 3}).kwargs["max_steps"] == 3


def test_a_recording() -> None:
    entry = resolve("vmas:simple_spread", {"max_steps": 5})
    one, two = (record(entry, RandomJointPolicy(entry.make()), episodes=6, seed=1, num_envs=3) for _ in range(2))
    assert one.lengths.tolist() == [5] * 6
    assert one.truncations["agent_2"].sum() == 6
    np.testing.assert_array_equal(one.observations["agent_1"], two.observations["agent_1"])
    assert (one.observations["agent_1"][0] != one.observations["agent_1"][6]).any()


def broken(entry: EnvEntry) -> None:
    with pytest.raises(InputError) as vector:
        entry.make_vector(2)
    with pytest.raises(InputError) as single:
        entry.make()
    assert str(vector.value) == str(single.value)
    assert "\n" not in str(single.value)
    raise single.value


@pytest.mark.parametrize(
    ("kwargs", "reason"),
    [
        ({"colour": "red"}, "cannot be made with .*'colour': 'red'"),
        ({"seed": 3}, "seed cannot be set for a VMAS env"),
        ({"wrapper": "gymnasium"}, "wrapper cannot be set"),
        ({"continuous_actions": True, "multidiscrete_actions": True}, "cannot be made with .*multidiscrete"),
    ],
)
def test_arguments_that_the_scenario_refuses_are_named(kwargs: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        broken(resolve("vmas:simple_spread", kwargs))


@pytest.mark.parametrize("scenario", ["nothing", "", "../simple_spread"])
def test_a_scenario_that_vmas_does_not_have_is_refused(scenario: str) -> None:
    with pytest.raises(InputError, match=f"VMAS has no scenario '{scenario}'; expected one of asym_joint, balance"):
        resolve(f"vmas:{scenario}")


def test_without_vmas_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vmas", None)
    with pytest.raises(InputError, match=r"VMAS is not installed .*'magail-coordination\[vmas\]'") as error:
        resolve("vmas:simple_spread")
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_nothing_is_printed_when_vmas_is_imported() -> None:
    code = "from magail_trainer.envs.registry import resolve; resolve('vmas:simple_spread').make_vector(2).reset()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
