"""The scripted experts of the particle envs earn what they are said to earn."""

from functools import cache
from importlib import import_module
from itertools import product
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from experiments.particles.experts import _walk_apart, reachable, walk
from magail_trainer.data.joint_policies import JointPolicy, RandomJointPolicy
from magail_trainer.envs.registry import resolve
from magail_trainer.play.players import make_joint_policy

pytest.importorskip("mpe2")

EPISODES = 600
STEPS = 25
ENVS = ["simple_spread", "simple_speaker_listener", "simple_push", "simple_tag"]


def module(name: str) -> ModuleType:
    return import_module(f"experiments.mpe_envs.{name}")


def make(name: str, expert: str) -> JointPolicy:
    return {"random": RandomJointPolicy, **module(name).EXPERTS}[expert](module(name).parallel_env())


def returns(name: str, *experts: JointPolicy, episodes: int = EPISODES) -> dict[str, np.ndarray]:
    """Returns `[episodes]` by agent. Of several experts, the first plays the adversaries and the second the rest."""
    env = module(name).vector_env(episodes)
    observations, _ = env.reset(seed=0)
    for expert in experts:
        expert.begin(episodes, np.random.default_rng(0))
    total = {agent: np.zeros(episodes) for agent in env.possible_agents}
    for step in range(STEPS):
        where = {"episode": np.arange(episodes), "step": np.full(episodes, step)}
        played = [expert.act(observations, **where) for expert in experts]
        actions = {agent: played[0 if agent.startswith("adversary") else -1][agent] for agent in total}
        observations, rewards, *_ = env.step(actions)
        for agent, reward in rewards.items():
            total[agent] += reward
    return total


@cache
def team(name: str, expert: str) -> float:
    return float(np.sum(list(returns(name, make(name, expert)).values()), axis=0).mean())


@pytest.mark.parametrize(
    ("name", "expert", "low", "high"),
    [
        ("simple_speaker_listener", "random", -88.0, -74.0),
        ("simple_speaker_listener", "scripted", -17.0, -13.5),
        ("simple_spread", "random", -83.0, -77.0),
        ("simple_spread", "cheapest", -22.0, -19.5),
        ("simple_spread", "fixed", -28.5, -25.0),
        ("simple_spread", "coin", -28.5, -25.0),
    ],
)
def test_team_returns(name: str, expert: str, low: float, high: float) -> None:
    assert low < team(name, expert) < high


@pytest.mark.parametrize(
    ("name", "best", "floor", "score"),
    [
        ("simple_speaker_listener", "scripted", "centroid", 0.76),
        ("simple_speaker_listener", "scripted", "noop", 0.20),
        ("simple_spread", "cheapest", "nearest", 0.54),
        ("simple_spread", "cheapest", "noop", 0.11),
    ],
)
def test_floors(name: str, best: str, floor: str, score: float) -> None:
    random, expert = team(name, "random"), team(name, best)
    assert (team(name, floor) - random) / (expert - random) == pytest.approx(score, abs=0.04)


@pytest.mark.parametrize(("name", "adversary", "agent"), [("simple_push", 15.0, 15.0), ("simple_tag", 15.0, 10.0)])
def test_opponents_each_do_better_than_random(name: str, adversary: float, agent: float) -> None:
    """By at least so much, against an opponent that plays at random."""
    scripted, random = make(name, "scripted"), make(name, "random")
    neither = returns(name, random)
    chase, flee = returns(name, scripted, random), returns(name, random, scripted)
    assert chase["adversary_0"].mean() - neither["adversary_0"].mean() > adversary
    assert flee["agent_0"].mean() - neither["agent_0"].mean() > agent


@pytest.mark.parametrize("name", ENVS)
def test_actions_fit_and_depend_on_the_rng_alone(name: str) -> None:
    env, single = module(name).vector_env(5), module(name).parallel_env()
    observations, _ = env.reset(seed=0)
    for expert, factory in module(name).EXPERTS.items():
        where: dict[str, Any] = {"episode": np.array([4, 0, 1, 2, 3]), "step": np.zeros(5, dtype=np.int64)}
        played = []
        for _ in range(2):
            policy = factory(single)
            assert isinstance(policy, JointPolicy)
            assert policy.name == expert
            policy.begin(5, np.random.default_rng(3))
            played.append(policy.act(observations, **where))
        for agent in env.possible_agents:
            assert played[0][agent].shape == (5,)
            assert all(env.action_space(agent).contains(action) for action in played[0][agent])
            np.testing.assert_array_equal(played[0][agent], played[1][agent])


def test_the_coin_shifts_everybody_alike() -> None:
    coin, fixed = make("simple_spread", "coin"), make("simple_spread", "fixed")
    coin.begin(3000, np.random.default_rng(0))
    shares = np.bincount(coin.shifts) / 3000  # type: ignore[attr-defined]
    np.testing.assert_allclose(shares, 1 / 3, atol=0.03)
    env = module("simple_spread").vector_env(3000)
    observations, _ = env.reset(seed=0)
    where: dict[str, Any] = {"episode": np.arange(3000)[::-1], "step": np.zeros(3000, dtype=np.int64)}
    tossed, straight = coin.act(observations, **where), fixed.act(observations, **where)
    same = np.all([tossed[agent] == straight[agent] for agent in env.possible_agents], axis=0)
    assert same[coin.shifts[::-1] == 0].all()  # type: ignore[attr-defined]
    assert same.mean() < 0.5


def test_no_joint_action_costs_less_than_the_one_that_is_taken() -> None:
    """A slow twin: every joint action, for each state by itself."""
    rng, (targets, velocities) = np.random.default_rng(1), np.random.default_rng(0).normal(size=(2, 40, 3, 2))
    positions = 0.2 * rng.normal(size=(40, 3, 2))
    taken = _walk_apart(targets, velocities, positions)
    crowded = 0
    for state in range(40):
        after = reachable(velocities[state])  # [A, 5, 2]
        costs = {}
        for joint in product(range(5), repeat=3):
            moved = [after[agent, action] for agent, action in enumerate(joint)]
            ends = [position + step for position, step in zip(positions[state], moved, strict=True)]
            gaps = [np.linalg.norm(ends[i] - ends[j]) for i in range(3) for j in range(i)]
            misses = [np.sum((step - target) ** 2) for step, target in zip(moved, targets[state], strict=True)]
            costs[joint] = sum(misses) + sum(2.0 * max(0.35 - gap, 0) for gap in gaps)
        assert min(costs, key=lambda joint: costs[joint]) == tuple(taken[state])
        crowded += tuple(taken[state]) != tuple(walk(targets[state], velocities[state]))
    assert crowded > 5  # in which somebody makes way


def test_seven_agents_are_too_many_to_plan_for() -> None:
    entry = resolve("experiments.mpe_envs.simple_spread", {"N": 7})
    with pytest.raises(ValueError, match="at most 6 agents, not 7"):
        make_joint_policy("fixed", entry, {})
    assert make_joint_policy("nearest", entry, {}).name == "nearest"


def test_four_agents_cover_four_landmarks() -> None:
    spread = module("simple_spread")
    env = spread.vector_env(50, N=4, max_cycles=60)
    expert = spread.EXPERTS["cheapest"](spread.parallel_env(N=4))
    observations, _ = env.reset(seed=0)
    for step in range(50):
        actions = expert.act(observations, episode=np.arange(50), step=np.full(50, step))
        observations, *_ = env.step(actions)
    landmarks = np.stack([observations[agent][:, 4:12].reshape(50, 4, 2) for agent in env.possible_agents])
    uncovered = np.linalg.norm(landmarks, axis=-1).min(axis=0)
    assert (uncovered < 0.2).mean() > 0.9


def test_continuous_actions_are_refused() -> None:
    entry = resolve("experiments.mpe_envs.simple_spread", {"continuous_actions": True})
    with pytest.raises(ValueError, match="discrete actions"):
        make_joint_policy("cheapest", entry, {})
