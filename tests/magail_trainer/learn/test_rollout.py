"""Rollouts: whole episodes through the env, sampled with the runs' own noise, or enumerated exactly."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from pettingzoo import ParallelEnv
from torch import Tensor

from magail_trainer.envs.registry import EnvEntry, resolve
from magail_trainer.errors import InputError
from magail_trainer.learn.agent_policies import TabularPolicy
from magail_trainer.learn.encoders import Codes, FiniteSpace
from magail_trainer.learn.policies import IndependentPolicies
from magail_trainer.learn.rollout import EnumeratedRollouts, SampledRollouts
from magail_trainer.seeding import stream

torch.set_num_threads(1)

CPU = torch.device("cpu")
MATCHING = "coordination_env:coordination/matching-v0"


class Counting(ParallelEnv):
    """Episodes of 1 to 4 steps, by chance; the observation is the step. `y` can end its episode early with action 2.

    `x` earns 10 · step + its action, `y` a random half or whole.
    """

    metadata = {"name": "counting_v0"}  # noqa: RUF012

    def __init__(self) -> None:
        self.possible_agents = ["x", "y"]
        self.agents: list[str] = []
        self._rng = np.random.default_rng()

    def observation_space(self, agent: str) -> Discrete:
        return Discrete(5)

    def action_space(self, agent: str) -> Discrete:
        return Discrete(2 if agent == "x" else 3)

    def reset(self, seed: int | None = None, options: dict | None = None) -> tuple[dict[str, int], dict[str, dict]]:
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self.agents, self._step, self._length = ["x", "y"], 0, int(self._rng.integers(1, 5))
        return {"x": 0, "y": 0}, {"x": {}, "y": {}}

    def step(self, actions: dict[str, Any]) -> tuple[dict, dict, dict, dict, dict]:
        rewards = {"x": 10.0 * self._step + actions["x"], "y": float(self._rng.choice([0.5, 1.0]))}
        self._step += 1
        terminated, truncated = self._step == self._length, bool(actions["y"] == 2)
        if terminated or truncated:
            self.agents = []
        terminations, truncations = (dict.fromkeys(("x", "y"), value) for value in (terminated, truncated))
        return {"x": self._step, "y": self._step}, rewards, terminations, truncations, {"x": {}, "y": {}}


COUNTING = EnvEntry("counting", Counting)


def policies_for(codes: Codes, runs: int, *, seed: int = 0, scale: float = 1.0) -> IndependentPolicies:
    """Random logits, other ones in each run."""
    generator = torch.Generator().manual_seed(seed)
    return IndependentPolicies(
        {
            agent: TabularPolicy(scale * torch.randn(runs, code.size, codes.actions[agent].size, generator=generator))
            for agent, code in codes.observations.items()
        }
    )


def sampled(entry: EnvEntry, seeds: list[int], episodes: int) -> SampledRollouts:
    codes = Codes.of(entry)
    vector_env = entry.make_vector(len(seeds) * episodes)
    return SampledRollouts(vector_env, codes, seeds=seeds, episodes=episodes, device=CPU)


def play_slowly(actions: dict[str, Tensor], seeds: list[int], episodes: int, num_steps: int) -> list[list[list[tuple]]]:
    """Replay a first collection's actions in single copies: (step, reward of x, reward of y) by run and episode."""
    played = []
    for run, seed in enumerate(seeds):
        block = int(stream(seed, "rollouts", "env").random(1, dtype=np.float32)[0] * (2**31 // episodes))
        played.append([])
        for episode in range(episodes):
            env, rows = Counting(), []
            observations, _ = env.reset(seed=block * episodes + episode)
            while env.agents:
                place = episode * num_steps + len(rows)
                chosen = {agent: int(actions[agent][run, place]) for agent in ("x", "y")}
                following, rewards, *_ = env.step(chosen)
                rows.append((observations["x"], rewards["x"], rewards["y"]))
                observations = following
            played[-1].append(rows)
    return played


def test_episodes_of_unequal_length_are_those_of_single_envs_padded_with_weight_0() -> None:
    seeds, episodes = [3, 11, 3], 6
    rollout = sampled(COUNTING, seeds, episodes).collect(policies_for(Codes.of(COUNTING), 3))
    slow = play_slowly(dict(rollout.batch.actions), seeds, episodes, rollout.batch.num_steps)
    lengths = [[len(rows) for rows in run] for run in slow]
    assert rollout.batch.num_steps == max(max(run) for run in lengths) > 1
    assert len({length for run in lengths for length in run}) > 1
    by_episode = rollout.batch.weight.unflatten(1, (episodes, rollout.batch.num_steps))
    for run in range(3):
        total = sum(lengths[run])
        for episode, rows in enumerate(slow[run]):
            weight = by_episode[run, episode].tolist()
            assert weight == pytest.approx([1 / total] * len(rows) + [0.0] * (rollout.batch.num_steps - len(rows)))
            first = episode * rollout.batch.num_steps
            for step, (observation, *rewards) in enumerate(rows):
                for agent, reward in zip(("x", "y"), rewards, strict=True):
                    assert rollout.batch.observations[agent][run, first + step] == observation
                    assert rollout.env_rewards[agent][run, first + step] == reward
        for index, agent in enumerate(("x", "y")):
            mean = np.mean([sum(row[1 + index] for row in rows) for rows in slow[run]])
            assert rollout.mean_return[agent][run].item() == pytest.approx(mean, rel=1e-5)
    torch.testing.assert_close(rollout.batch.weight.sum(-1), torch.ones(3))


def test_actions_are_drawn_from_the_policy_of_their_run_and_observation() -> None:
    codes = Codes.of(COUNTING)
    policies = policies_for(codes, 2)
    rollouts = sampled(COUNTING, [0, 1], 300)
    rollout = rollouts.collect(policies)
    for agent, distribution in policies(rollout.batch.observations).items():
        probs = distribution.probs.detach()
        for run in range(2):
            for step in range(2):
                here = (rollout.batch.weight[run] > 0) & (rollout.batch.observations[agent][run] == step)
                count, drawn = int(here.sum()), rollout.batch.actions[agent][run][here]
                expected = probs[run][here][0]
                for action, probability in enumerate(expected.tolist()):
                    error = (probability * (1 - probability) / count) ** 0.5
                    assert abs((drawn == action).double().mean().item() - probability) < 4 * error


def test_agents_and_episodes_draw_independently() -> None:
    entry = resolve(MATCHING)
    codes = Codes.of(entry)
    rollout = sampled(entry, [0], 20_000).collect(policies_for(codes, 1, scale=0.0))
    joint = 2 * rollout.batch.actions["agent_0"][0] + rollout.batch.actions["agent_1"][0]
    frequencies = torch.bincount(joint, minlength=4) / 20_000
    assert (frequencies - 0.25).abs().max() < 4 * (0.1875 / 20_000) ** 0.5
    neighbours = (rollout.batch.actions["agent_0"][0][1:] == rollout.batch.actions["agent_0"][0][:-1]).double().mean()
    assert abs(neighbours - 0.5) < 4 * 0.5 / 20_000**0.5


def test_every_run_plays_exactly_its_episodes_anew_each_time() -> None:
    entry = resolve(MATCHING)
    rollouts, policies = sampled(entry, [0, 1, 2], 200), policies_for(Codes.of(entry), 3)
    first, second = rollouts.collect(policies), rollouts.collect(policies)
    for rollout in (first, second):
        assert rollout.batch.num_steps == 1
        assert rollout.batch.weight.shape == (3, 200)
        torch.testing.assert_close(rollout.batch.weight, torch.full((3, 200), 1 / 200))
        actions = rollout.batch.actions
        matched = (actions["agent_0"] == actions["agent_1"]).double()
        assert torch.equal(rollout.env_rewards["agent_0"], matched)
        torch.testing.assert_close(rollout.mean_return["agent_1"], matched.mean(-1))
    assert not torch.equal(first.batch.actions["agent_0"], second.batch.actions["agent_0"])


@pytest.mark.parametrize("company", [[8], [1, 8, 30, 8], [8, *range(20, 50)]])
def test_a_run_plays_the_same_episodes_in_any_company_though_others_play_longer_ones(company: list[int]) -> None:
    codes, place = Codes.of(COUNTING), company.index(8)
    mine = policies_for(codes, 1, seed=1)
    others = policies_for(codes, len(company), seed=2)
    with torch.no_grad():
        for agent, policy in others.policies.items():
            policy.logits[:, :, -1] -= 9  # type: ignore[operator, index]  they do not end early, and so play longer
            policy.logits[place] = mine.policies[agent].logits[0]  # type: ignore[operator, index]
        mine.policies["y"].logits[..., 2] += 4  # type: ignore[operator, index]
        others.policies["y"].logits[place, :, 2] += 4  # type: ignore[operator, index]
    alone, together = sampled(COUNTING, [8], 12), sampled(COUNTING, company, 12)
    shorter = 0
    for _ in range(5):
        ours, theirs = alone.collect(mine), together.collect(others)
        shorter += ours.batch.num_steps < theirs.batch.num_steps
        for agent in ("x", "y"):
            for one, many in (
                (ours.batch.actions[agent], theirs.batch.actions[agent]),
                (ours.env_rewards[agent], theirs.env_rewards[agent]),
            ):
                present, kept = ours.batch.weight[0] > 0, theirs.batch.weight[place] > 0
                assert torch.equal(one[0][present], many[place][kept])
    assert len(company) == 1 or shorter > 0


def test_an_episode_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("magail_trainer.envs.steps.MAX_EPISODE_STEPS", 3)
    entry = resolve(MATCHING, {"horizon": 4})
    with pytest.raises(InputError, match="goes on after 3 steps"):
        sampled(entry, [0], 2).collect(policies_for(Codes.of(entry), 1))


def enumerated(entry: EnvEntry, runs: int) -> EnumeratedRollouts:
    codes = Codes.of(entry)
    vector_env = entry.make_vector(int(np.prod([code.size for code in codes.actions.values()])))
    return EnumeratedRollouts(vector_env, codes, num_runs=runs, device=CPU)


@pytest.mark.parametrize(
    ("env_id", "kwargs"),
    [
        (MATCHING, {}),
        (MATCHING, {"num_agents": 3, "num_actions": 2}),
        ("coordination_env:coordination/rock_paper_scissors-v0", {}),
    ],
)
def test_enumeration_weighs_every_joint_action_with_the_product_of_probabilities(
    env_id: str, kwargs: dict[str, int]
) -> None:
    entry = resolve(env_id, kwargs)
    codes, env = Codes.of(entry), entry.make()
    policies, rollouts = policies_for(codes, 2), enumerated(entry, 2)
    rollout = rollouts.collect(policies)
    batch = rollout.batch
    probs = {agent: policy.logits.softmax(-1)[:, 0] for agent, policy in policies.policies.items()}  # type: ignore[operator, index]
    shape = [code.size for code in codes.actions.values()]
    for run in range(2):
        expected_return = dict.fromkeys(codes.actions, 0.0)
        for place, joint in enumerate(np.ndindex(*shape)):
            chosen = dict(zip(codes.actions, joint, strict=True))
            weight = math.prod([probs[agent][run, action].item() for agent, action in chosen.items()])
            assert batch.weight[run, place].item() == pytest.approx(weight, rel=1e-5)
            env.reset()
            _, rewards, *_ = env.step(chosen)
            for agent, action in chosen.items():
                assert batch.actions[agent][run, place] == action
                assert rollout.env_rewards[agent][run, place] == rewards[agent]
                expected_return[agent] += weight * rewards[agent]
        for agent, value in expected_return.items():
            assert rollout.mean_return[agent][run].item() == pytest.approx(value, abs=1e-6)
    torch.testing.assert_close(batch.weight.sum(-1), torch.ones(2))


def test_a_joint_action_that_is_never_played_does_not_shorten_the_episodes() -> None:
    entry = resolve(MATCHING)
    policies = policies_for(Codes.of(entry), 1, scale=0.0)
    with torch.no_grad():
        for policy in policies.policies.values():
            policy.logits[..., 0] = 60.0  # type: ignore[operator, index]
    rollout = enumerated(entry, 1).collect(policies)
    assert rollout.batch.weight[0, 3] == 0
    assert rollout.mean_return["agent_0"].item() == pytest.approx(1)


def test_enumeration_follows_the_policies_as_they_change() -> None:
    entry = resolve(MATCHING)
    policies, rollouts = policies_for(Codes.of(entry), 1, scale=0.0), enumerated(entry, 1)
    assert rollouts.collect(policies).batch.weight.tolist() == [[0.25] * 4]
    with torch.no_grad():
        policies.policies["agent_0"].logits[..., 0] = float(np.log(3))  # type: ignore[operator, index]
    torch.testing.assert_close(rollouts.collect(policies).batch.weight, torch.tensor([[0.375, 0.375, 0.125, 0.125]]))


class ManySteps(Counting):
    """Two steps and nothing to see."""

    def observation_space(self, agent: str) -> Discrete:
        return Discrete(1)

    def reset(self, seed: int | None = None, options: dict | None = None) -> tuple[dict[str, int], dict[str, dict]]:
        result = super().reset(seed=seed)
        self._length = 2
        return {"x": 0, "y": 0}, result[1]

    def step(self, actions: dict[str, Any]) -> tuple[dict, dict, dict, dict, dict]:
        return {"x": 0, "y": 0}, *super().step({**actions, "y": 0})[1:]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (COUNTING, "--exact needs an env with one observation; that of x is Discrete(5)."),
        (EnvEntry("many", ManySteps), "--exact needs an env whose episodes have one step."),
    ],
)
def test_enumeration_refuses_more_than_one_observation_or_step(entry: EnvEntry, message: str) -> None:
    with pytest.raises(InputError) as refusal:
        enumerated(entry, 1)
    assert str(refusal.value) == message


class Watched(Counting):
    """One step, and one number to see, which is another one each time."""

    def observation_space(self, agent: str) -> Box:  # type: ignore[override]
        return Box(0, 5, (1,), np.float32)


def test_enumeration_refuses_a_single_number_that_has_many_values() -> None:
    entry = EnvEntry("watched", Watched)
    with pytest.raises(InputError, match=r"one observation; that of x is Box\(0\.0, 5\.0, \(1,\), float32\)\.$"):
        EnumeratedRollouts(entry.make_vector(6), Codes.of(entry, network="mlp"), num_runs=1, device=CPU)


def test_actions_reach_the_env_in_its_own_numbers() -> None:
    class Shifted(ManySteps):
        """Actions of x are 5 and 6."""

        def action_space(self, agent: str) -> Discrete:
            return Discrete(2, start=5) if agent == "x" else Discrete(3)

    codes = Codes.of(EnvEntry("shifted", Shifted))
    assert isinstance(codes.actions["x"], FiniteSpace)
    rollout = sampled(EnvEntry("shifted", Shifted), [0], 20).collect(policies_for(codes, 1, scale=0.0))
    first_step = rollout.env_rewards["x"][0].unflatten(0, (20, 2))[:, 0]
    assert set(rollout.batch.actions["x"][0].tolist()) == {0, 1}
    assert set(first_step.tolist()) == {5.0, 6.0}
