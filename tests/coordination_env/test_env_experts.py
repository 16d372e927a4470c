"""Scripted joint policies: proportions, independence of how they are played, and refusals."""

import itertools
import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, Space
from hypothesis import given
from hypothesis import strategies as st
from pettingzoo import ParallelEnv

from coordination_env import ScriptedJointPolicy, experts, matching_v0
from coordination_env.matching_v0 import EXPERTS

ENV = matching_v0.parallel_env()


class ForeignEnv(ParallelEnv[str, Any, Any]):
    """Somebody else's environment: other names, other sizes."""

    def __init__(self, **spaces: Space[Any]) -> None:
        self.possible_agents = list(spaces)
        self._spaces = spaces

    def action_space(self, agent: str) -> Space[Any]:
        return self._spaces[agent]


def played(policy: ScriptedJointPolicy, num_episodes: int = 1000, seed: int = 0, step: int = 0) -> list[str]:
    """The joint action of every episode at one step, as letters."""
    policy.begin(num_episodes, np.random.default_rng(seed))
    episodes = np.arange(num_episodes)
    actions = policy.act({}, episode=episodes, step=np.full(num_episodes, step))
    return ["".join("ABCDEFG"[a] for a in joint) for joint in zip(*actions.values(), strict=True)]


@pytest.mark.parametrize(
    ("policy", "counts"),
    [
        (experts.bimodal(ENV), {"AA": 500, "BB": 500}),
        (experts.bimodal(ENV, ratio=0.123), {"AA": 123, "BB": 877}),
        (experts.bimodal(ENV, ratio=1), {"AA": 1000}),
        (experts.asymmetric(ENV), {"AA": 700, "BB": 300}),
        (experts.asymmetric(ENV, ratio=0.29), {"AA": 290, "BB": 710}),
        (experts.all_AA(ENV), {"AA": 1000}),
        (experts.noisy(ENV, noise=0), {"AA": 500, "BB": 500}),
        (experts.joint(ENV, joint=[[0.1, 0.2], [0.3, 0.4]]), {"AA": 100, "AB": 200, "BA": 300, "BB": 400}),
        (experts.bimodal(matching_v0.parallel_env(num_agents=3, num_actions=3)), {"AAA": 500, "BBB": 500}),
    ],
)
def test_exact_proportions_at_every_step(policy: ScriptedJointPolicy, counts: dict[str, int]) -> None:
    for seed in range(3):
        assert Counter(played(policy, seed=seed)) == counts
        assert Counter(played(policy, seed=seed, step=2)) == counts


def test_noisy_has_an_exact_share_of_mismatches_split_by_a_coin() -> None:
    splits = []
    for seed in range(40):
        counts = Counter(played(experts.noisy(ENV, ratio=0.6, noise=0.1), seed=seed))
        assert (counts["AA"], counts["BB"]) == (540, 360)
        assert counts["AB"] + counts["BA"] == 100
        splits.append(counts["AB"])
    # Binomial(100, 1/2): a mean of 40 has a standard error of 0.8, one draw a deviation of 5.
    assert abs(np.mean(splits) - 50) < 5
    assert 2.5 < np.std(splits) < 8


def test_noise_spreads_over_all_that_does_not_match() -> None:
    env = matching_v0.parallel_env(num_actions=3)
    counts = Counter(played(experts.noisy(env, noise=0.6), num_episodes=10_000))
    assert (counts["AA"], counts["BB"], counts["CC"]) == (2000, 2000, 0)
    mismatches = [counts[joint] for joint in ("AB", "AC", "BA", "BC", "CA", "CB")]
    assert sum(mismatches) == 6000
    assert all(abs(count - 1000) < 6 * 29 for count in mismatches)


def test_mixed_draws_independently() -> None:
    totals = [Counter(played(experts.mixed(ENV), num_episodes=4000, seed=seed)) for seed in range(20)]
    shares = np.array([[total[joint] for joint in ("AA", "AB", "BA", "BB")] for total in totals])
    np.testing.assert_allclose(shares.mean(axis=0), 1000, atol=5 * 27 / np.sqrt(20))
    assert (shares.std(axis=0) > 10).all()  # 27 for independent draws, 0 for exact proportions


def test_inexact_joint_draws_independently() -> None:
    policy = experts.joint(ENV, joint=[[0.5, 0], [0, 0.5]], exact=False)
    counts = [Counter(played(policy, seed=seed)) for seed in range(10)]
    assert len({count["AA"] for count in counts}) > 3
    assert all(set(count) == {"AA", "BB"} and abs(count["AA"] - 500) < 6 * 16 for count in counts)


def test_the_order_of_episodes_is_random() -> None:
    joint = played(experts.bimodal(ENV))
    switches = sum(a != b for a, b in itertools.pairwise(joint))
    assert abs(switches - 500) < 6 * 16
    assert joint != played(experts.bimodal(ENV), seed=1)
    assert joint != played(experts.bimodal(ENV), step=1)


@given(
    name=st.sampled_from(sorted(set(EXPERTS) - {"joint"})),
    seed=st.integers(0, 2**32),
    num_episodes=st.integers(1, 30),
    steps=st.integers(1, 3),
    data=st.data(),
)
def test_what_is_played_depends_on_the_rng_alone(
    name: str, seed: int, num_episodes: int, steps: int, data: st.DataObject
) -> None:
    policy = EXPERTS[name](ENV)
    cells = [(episode, step) for episode in range(num_episodes) for step in range(steps)]

    def table(order: list[tuple[int, int]], copies: int) -> dict[tuple[int, int], tuple[int, ...]]:
        rng = np.random.default_rng(seed)
        policy.begin(num_episodes, rng)
        actions = {}
        for start in range(0, len(order), copies):
            rng.random()  # the caller goes on using its generator
            batch = order[start : start + copies]
            episode, step = np.array(batch).T
            played = policy.act({}, episode=episode, step=step)
            actions |= dict(zip(batch, zip(*(a.tolist() for a in played.values()), strict=True), strict=True))
        return actions

    reference = table(cells, copies=1)
    assert table(cells, copies=len(cells)) == reference
    assert table(data.draw(st.permutations(cells)), copies=data.draw(st.integers(1, 7))) == reference


@given(weights=st.lists(st.integers(0, 50), min_size=4, max_size=4).filter(any), num_episodes=st.integers(0, 200))
def test_exact_counts_are_within_one_of_their_share(weights: list[int], num_episodes: int) -> None:
    joint = np.reshape(weights, (2, 2)) / np.sum(weights)
    counts = Counter(played(experts.joint(ENV, joint=joint), num_episodes))
    assert sum(counts.values()) == num_episodes
    for name, share in zip(("AA", "AB", "BA", "BB"), joint.ravel(), strict=True):
        assert abs(counts[name] - share * num_episodes) < 1


def test_largest_remainder_by_hand() -> None:
    # Shares of 7: 3.5, 2.1, 1.4. Whole parts 3, 2, 1; the place left goes to the remainder 0.5.
    counts = Counter(played(experts.joint(ENV, joint=[[0.5, 0.3], [0.2, 0.0]]), num_episodes=7))
    assert counts == {"AA": 4, "AB": 2, "BA": 1}
    # 3.5 and 1.5 tie, although the float 1 - 0.7 is above 0.3: the first joint action wins.
    assert Counter(played(experts.asymmetric(ENV, ratio=0.7), num_episodes=5)) == {"AA": 4, "BB": 1}


def test_joint_attribute_is_the_distribution_that_is_played() -> None:
    np.testing.assert_allclose(experts.mixed(ENV).joint, [[0.25, 0.25], [0.25, 0.25]])
    np.testing.assert_allclose(experts.asymmetric(ENV).joint, [[0.7, 0], [0, 0.3]])
    np.testing.assert_allclose(experts.noisy(ENV, ratio=0.5, noise=0.1).joint, [[0.45, 0.05], [0.05, 0.45]])
    rounded = experts.joint(ENV, joint=[[0.3333333, 0.3333333], [0.3333333, 0]])
    assert rounded.joint.sum() == pytest.approx(1, abs=1e-12)


def test_parameters_are_json_and_complete() -> None:
    noisy = experts.noisy(ENV, ratio=0.5, noise=0)
    assert json.loads(json.dumps(noisy.parameters)) == {"ratio": 0.5, "noise": 0.0, "joint": [[0.5, 0.0], [0.0, 0.5]]}
    numpy_ratio: Any = np.float32(0.25)
    assert json.loads(json.dumps(experts.bimodal(ENV, ratio=numpy_ratio).parameters))["ratio"] == 0.25
    assert experts.joint(ENV, joint=[[1, 0], [0, 0]], exact=False).parameters["exact"] is False


def test_any_env_with_discrete_actions_will_do() -> None:
    env = ForeignEnv(left_0=Discrete(2), right_0=Discrete(3))
    policy = experts.mixed(env)
    policy.begin(600, np.random.default_rng(0))
    actions = policy.act({}, episode=np.arange(600), step=np.zeros(600, dtype=int))
    assert list(actions) == ["left_0", "right_0"]
    assert all(array.dtype == np.int64 and array.flags.writeable for array in actions.values())
    assert len(set(zip(*(a.tolist() for a in actions.values()), strict=True))) == 6
    assert all(a.min() >= 0 and a.max() < n for a, n in zip(actions.values(), (2, 3), strict=True))
    with pytest.raises(ValueError, match="needs Discrete actions, but arm_0 has Box"):
        experts.mixed(ForeignEnv(arm_0=Box(0, 1)))
    with pytest.raises(ValueError, match=r"two agents with two actions each, got action counts \(1, 2\)"):
        experts.bimodal(ForeignEnv(left_0=Discrete(1), right_0=Discrete(2)))


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "half", None, True])
def test_ratio_and_noise_are_shares(value: Any) -> None:
    for make in (experts.bimodal, experts.asymmetric, experts.noisy):
        with pytest.raises(ValueError, match="ratio must be a number from 0 to 1, got"):
            make(ENV, ratio=value)
    with pytest.raises(ValueError, match="noise must be a number from 0 to 1, got"):
        experts.noisy(ENV, noise=value)


@pytest.mark.parametrize(
    ("joint", "message"),
    [
        ([0.5, 0.5], r"shape \[2, 2\], as the actions do, got \[2\]"),
        ([[0.5, 0.5]], r"got \[1, 2\]"),
        ([[0.5, 0.1], [0.1, 0.1]], "sum to 1, got"),
        ([[1.5, -0.5], [0, 0]], "sum to 1, got"),
        ([[float("nan"), 1], [0, 0]], "sum to 1, got"),
        ([[0.5], [0.25, 0.25]], "regular shape, got"),
        ("AA", "nested lists of numbers"),
    ],
)
def test_joint_must_be_a_distribution_over_the_joint_actions(joint: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        experts.joint(ENV, joint=joint)


def test_misuse_of_the_policy_itself() -> None:
    with pytest.raises(ValueError, match=r"one axis per agent in \['a'\], got shape \[1, 1\]"):
        ScriptedJointPolicy("x", ["a"], [[1.0]], exact=True)
    policy = experts.bimodal(ENV)
    with pytest.raises(RuntimeError, match=r"Call begin\(\) of the joint policy 'bimodal' before act"):
        policy.act({}, episode=np.array([0]), step=np.array([0]))
    policy.begin(3, np.random.default_rng(0))
    with pytest.raises(IndexError):
        policy.act({}, episode=np.array([3]), step=np.array([0]))


def test_global_randomness_is_left_alone() -> None:
    before = np.random.get_state()[1].tolist()  # noqa: NPY002  # pyright: ignore
    played(experts.mixed(ENV))
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002  # pyright: ignore
