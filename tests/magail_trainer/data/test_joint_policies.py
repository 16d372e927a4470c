"""Joint policies by name, and the random one."""

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from pettingzoo import ParallelEnv

from magail_trainer.data.joint_policies import RandomJointPolicy
from magail_trainer.envs.registry import EnvEntry, resolve
from magail_trainer.errors import InputError
from magail_trainer.play.players import make_joint_policy
from tests.magail_trainer.toy_envs import RandomLengthEnv, Signallers

TOY = "tests.magail_trainer.toy_envs"


def test_random_draws_every_action_equally_often_and_independently() -> None:
    env = resolve("coordination_env:coordination/matching-v0").make()
    policy = RandomJointPolicy(env)
    policy.begin(4000, np.random.default_rng(0))
    actions = policy.act({}, episode=np.arange(4000), step=np.zeros(4000))
    joint = np.bincount(2 * actions["agent_0"] + actions["agent_1"], minlength=4) / 4000
    np.testing.assert_allclose(joint, 0.25, atol=0.03)  # four standard errors


def test_random_stays_in_the_action_spaces_whatever_they_are() -> None:
    env = RandomLengthEnv()
    policy = RandomJointPolicy(env)
    policy.begin(9, np.random.default_rng(0))
    actions = policy.act({}, episode=np.arange(9), step=np.zeros(9))
    assert actions["right"].shape == (9, 3)
    for agent, column in actions.items():
        assert all(env.action_space(agent).contains(action) for action in column)


def test_random_draws_anew_at_every_step_and_the_same_from_the_same_generator() -> None:
    def play(seed: int) -> list[list[int]]:
        policy = RandomJointPolicy(RandomLengthEnv())
        policy.begin(20, np.random.default_rng(seed))
        return [policy.act({}, episode=np.arange(20), step=np.zeros(20))["left"].tolist() for _ in range(2)]

    first, second = play(0)
    assert first != second
    assert [first, second] == play(0) != play(1)


@pytest.mark.parametrize("expert", ["signallers", f"{TOY}:Signallers"])
def test_an_expert_is_found_by_its_name_or_its_module(expert: str) -> None:
    policy = make_joint_policy(expert, resolve(TOY), {"shift": 2})
    assert isinstance(policy, Signallers)
    assert policy.parameters == {"shift": 2}


def entry_with(**experts: Callable[..., Any]) -> EnvEntry:
    module = ModuleType("toy")
    vars(module)["EXPERTS"] = experts
    return EnvEntry("toy", RandomLengthEnv, module=module)


def test_an_expert_named_for_its_argument_takes_no_other() -> None:
    def leaning(env: ParallelEnv, side: str) -> RandomJointPolicy:
        return RandomJointPolicy(env)

    entry = entry_with(leftmost=partial(leaning, side="left"))
    assert make_joint_policy("leftmost", entry, {}).name == "random"
    with pytest.raises(InputError, match="The expert 'leftmost' is the one with side=left, not side=right"):
        make_joint_policy("leftmost", entry, {"side": "right"})


def test_without_arguments_none_are_blamed() -> None:
    def shy(env: ParallelEnv) -> None:
        raise ValueError("not today")

    with pytest.raises(InputError, match="The expert 'shy' cannot be made: not today"):
        make_joint_policy("shy", entry_with(shy=shy), {})


def test_random_is_offered_for_every_env() -> None:
    assert isinstance(make_joint_policy("random", EnvEntry("toy", RandomLengthEnv), {}), RandomJointPolicy)


@pytest.mark.parametrize(
    ("expert", "arguments", "reason"),
    [
        ("nobody", {}, "no expert 'nobody'; expected one of random, signallers, module:callable, or a run folder"),
        ("nowhere:x", {}, "cannot be imported: No module named 'nowhere'"),
        (f"{TOY}:nobody", {}, "cannot be imported: .*no attribute 'nobody'"),
        (".relative:x", {}, "cannot be imported"),
        (":x", {}, "must be module:callable, not"),
        ("signallers", {"shfit": 2}, "cannot be made with .*shfit"),
        ("random", {"ratio": 2}, "cannot be made with .*ratio"),
        (f"{TOY}:not_an_env", {}, "is a str; expected something to call"),
        (f"{TOY}:Speechless", {}, "makes a Speechless without begin, act"),
    ],
)
def test_an_expert_that_is_none_is_refused_in_one_sentence(expert: str, arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason) as error:
        make_joint_policy(expert, resolve(TOY), arguments)
    assert "\n" not in str(error.value)
