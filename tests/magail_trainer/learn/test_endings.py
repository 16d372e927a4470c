"""How episodes end, who has left and what is allowed: rollouts against single envs, step by step."""

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete
from pettingzoo import ParallelEnv

from magail_trainer.data.recording import record
from magail_trainer.envs.registry import EnvEntry, resolve
from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.demonstrations import Demonstrations
from magail_trainer.learn.encoders import Codes
from magail_trainer.learn.policies import make_policies
from magail_trainer.learn.ppo import values_of
from magail_trainer.learn.rollout import EnumeratedRollouts, Rollout, SampledRollouts
from magail_trainer.play.players import make_joint_policy
from magail_trainer.seeding import stream
from tests.magail_trainer.clock_env import AGENTS, SMALL, ClockEnv, clock, clock_dataset, seeded
from tests.magail_trainer.toy_envs import DyingEnv, MaskedEnv

torch.set_num_threads(1)

CPU = torch.device("cpu")
DYING, MASKED = EnvEntry("dying", DyingEnv), EnvEntry("masked", MaskedEnv, {"in_infos": True})


def play(entry: EnvEntry, seeds: list[int], episodes: int, config: MagailConfig = SMALL) -> Rollout:
    """A first collection of untrained policies."""
    codes = Codes.of(entry, network="mlp")
    policies = make_policies(codes, seeded(*seeds), config)
    vector_env = entry.make_vector(len(seeds) * episodes)
    sampled = SampledRollouts(vector_env, codes, seeds=seeds, episodes=episodes, device=CPU, for_critic=True)
    return sampled.collect(policies)


def env_seed(seed: int, episode: int, episodes: int) -> int:
    """With which a first collection resets a copy."""
    block = int(stream(seed, "rollouts", "env").random(1, dtype=np.float32)[0] * (2**31 // episodes))
    return block * episodes + episode


def replay(env: ParallelEnv, rollout: Rollout, run: int, episode: int, seed: int, codes: Codes) -> list[tuple]:
    """The steps of a single env in which the actions of the rollout are played once more."""
    observations, _ = env.reset(seed=seed)
    steps = []
    while env.agents:
        place = episode * rollout.batch.num_steps + len(steps)
        chosen = {}
        for agent in env.agents:
            action = codes.actions[agent].decode(rollout.batch.actions[agent][run, place].unsqueeze(0).numpy())[0]
            chosen[agent] = int(action) if isinstance(env.action_space(agent), Discrete) else action
        following, *results, _ = env.step(chosen)
        steps.append((place, observations, following, *results))
        observations = following
    return steps


@pytest.mark.parametrize(
    "entry", [clock(spread=3), clock(spread=3, continuous=True), DYING], ids=lambda e: str(e.kwargs)
)
def test_ends_terminations_and_final_observations_are_those_of_single_envs(entry: EnvEntry) -> None:
    seeds, episodes = [3, 11], 6
    rollout, codes = play(entry, seeds, episodes), Codes.of(entry, network="mlp")
    agents = list(codes.actions)
    expected_ends = {agent: torch.zeros_like(rollout.ends[agent]) for agent in agents}
    kinds, lengths = set(), set()
    for run, seed in enumerate(seeds):
        for episode in range(episodes):
            env = entry.make()
            steps = replay(env, rollout, run, episode, env_seed(seed, episode, episodes), codes)
            lengths.add(len(steps))
            for place, observations, following, rewards, terminated, truncated in steps:
                for agent in rewards:
                    seen = rollout.batch.observations[agent][run, place].numpy()
                    np.testing.assert_allclose(seen, observations[agent], rtol=1e-6)
                    assert rollout.env_rewards[agent][run, place].item() == pytest.approx(rewards[agent], rel=1e-6)
                    if terminated[agent] or truncated[agent]:
                        expected_ends[agent][run, place] = True
                        assert rollout.terminated[agent][run, place] == terminated[agent]
                        kinds.add(terminated[agent])
                        if agent in following:
                            (final,) = [seen for who, seen in rollout.final_observations.items() if agent in who]
                            for other, seen in final.items():
                                absent = np.zeros_like(following[agent])
                                np.testing.assert_allclose(seen[run, episode], following.get(other, absent), rtol=1e-6)
    for agent, ends in expected_ends.items():
        assert torch.equal(rollout.ends[agent], ends)
    assert kinds == {True, False}
    assert len(lengths) > 1 or entry is DYING


def test_who_has_left_is_not_active_earns_nothing_and_has_no_weight() -> None:
    rollout = play(DYING, [0, 1], 3)
    batch = rollout.batch
    assert batch.num_steps == 4
    for agent, length in zip(("agent_0", "agent_1", "agent_2"), (2, 4, 3), strict=True):
        there = torch.arange(4).repeat(3).expand(2, -1) < length
        assert torch.equal(batch.active[agent], there)
        assert not rollout.env_rewards[agent][~there].any()
        torch.testing.assert_close(batch.weight_of(agent), there / (3.0 * length))
        assert torch.equal(rollout.ends[agent], torch.arange(4).repeat(3).expand(2, -1) == length - 1)
        assert torch.equal(rollout.terminated[agent] & rollout.ends[agent], rollout.ends[agent] & (agent == "agent_0"))
    part = rollout.part(slice(1, 3))
    assert torch.equal(part.batch.active["agent_0"], batch.active["agent_0"][:, 4:])
    assert list(rollout.final_observations) == [("agent_0",), ("agent_1",), ("agent_2",)]
    final, of_part = (one.final_observations["agent_2",]["agent_1"] for one in (rollout, part))
    assert torch.equal(of_part, final[:, 1:])
    assert (final[..., 1] == 3).all()  # agent_1 plays on when agent_2 leaves at step 3
    assert torch.equal(part.ends["agent_1"], rollout.ends["agent_1"][:, 4:])


class Digits(torch.nn.Module):
    """A centralised critic that reads every agent's clock: 1 for a step of agent_0, 10 for one of agent_1, …"""

    def forward(self, observations: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        value = sum(10**place * seen[..., 1] for place, seen in enumerate(observations.values()))
        return dict.fromkeys(observations, value)  # type: ignore[arg-type]


def test_who_is_cut_off_early_bootstraps_from_what_all_observe_then() -> None:
    """agent_1 is cut off at step 2 and agent_2 at step 3, when agent_1 is absent; agent_0 terminates at step 4."""
    rollout = play(EnvEntry("dying", DyingEnv, {"lengths": (4, 2, 3)}), [0, 1], 2)
    values, following = values_of(Digits(), rollout)
    assert values["agent_0"][0, :4].tolist() == [0, 111, 222, 303]
    assert following["agent_0"][0, :4].tolist() == [111, 222, 303, 0]
    assert following["agent_1"][0, :2].tolist() == [111, 222]
    assert following["agent_2"][1, 4:7].tolist() == [111, 222, 303]


def test_agents_that_leave_together_share_their_last_observations() -> None:
    rollout = play(clock(spread=3), [0, 1], 4)
    assert list(rollout.final_observations) == [tuple(AGENTS)]


def test_demonstrations_know_who_has_left_and_show_what_a_rollout_shows() -> None:
    dataset = record(DYING, make_joint_policy("random", DYING, {}), episodes=5, seed=0)
    codes = Codes.of(DYING, network="mlp")
    expert = Demonstrations(dataset, codes, seeds=[0], batch_size=5, device=CPU).minibatch()
    learner = play(DYING, [0], 5).batch
    for agent in codes.actions:
        assert torch.equal(expert.active[agent], learner.active[agent])
        # The drawn number tells the episodes apart; all else must look alike, after the leaving too.
        ours, theirs = (batch.observations[agent][..., :2] for batch in (expert, learner))
        assert torch.equal(ours, theirs)


def test_nobody_leaves_early_where_all_leave_together() -> None:
    assert play(clock(spread=3), [0], 4).batch.active == {}
    dataset = clock_dataset(clock(spread=3))
    demonstrations = Demonstrations(
        dataset, Codes.of(clock(), network="mlp"), seeds=[0], batch_size=4, device=CPU
    ).minibatch()
    assert demonstrations.active == {}


def test_masks_flow_from_the_env_into_the_probabilities() -> None:
    rollout, codes = play(MASKED, [0, 5], 20), Codes.of(MASKED, network="mlp")
    batch = rollout.batch
    step = torch.arange(3).repeat(20)
    assert list(batch.masks) == ["agent_0"]
    assert torch.equal(batch.masks["agent_0"], (torch.arange(4) != step.unsqueeze(-1)).expand(2, -1, -1))
    assert (batch.actions["agent_0"] != step).all()  # the env breaks down at the others
    assert set(batch.actions["agent_0"].flatten().tolist()) == {0, 1, 2, 3}
    policies = make_policies(codes, seeded(0, 5), SMALL)
    with_masks, without = policies(batch.observations, batch.masks), policies(batch.observations)
    allowed = batch.masks["agent_0"]
    kept = without["agent_0"].probs * allowed  # type: ignore[attr-defined]
    torch.testing.assert_close(with_masks["agent_0"].probs, kept / kept.sum(-1, keepdim=True))  # type: ignore[attr-defined]
    torch.testing.assert_close(batch.part(slice(3, 9)).masks["agent_0"], allowed[:, 9:27])
    chosen = torch.tensor([[4, 2], [0, 1]])
    assert torch.equal(batch.select(chosen).masks["agent_0"][0, :3], allowed[0, 12:15])


class LateMaskEnv(MaskedEnv):
    """Says nothing about what is allowed until the second step."""

    def reset(self, seed: int | None = None, options: dict | None = None) -> tuple[dict[str, Any], dict[str, dict]]:
        observations, infos = super().reset(seed)
        return observations, {agent: {} for agent in infos}


def test_a_mask_that_comes_late_is_kept_all_the_same() -> None:
    entry = EnvEntry("late", LateMaskEnv, {"in_infos": True, "lenient": True})
    masks = play(entry, [0], 4).batch.masks["agent_0"].unflatten(1, (4, 3))
    assert masks[0, :, 0].all()  # before there was one
    assert not masks[0, :, 1, 1].any()
    assert not masks[0, :, 2, 2].any()


@pytest.mark.parametrize("continuous", [False, True])
def test_an_action_stands_beside_the_observation_it_was_chosen_in(continuous: bool) -> None:  # noqa: FBT001
    entry = clock(continuous=continuous)
    codes, dataset = Codes.of(entry, network="mlp"), clock_dataset(entry)
    batch = Demonstrations(dataset, codes, seeds=[0, 1], batch_size=8, device=CPU).minibatch()
    for index, agent in enumerate(AGENTS):
        step, _, last = batch.observations[agent].unbind(-1)
        right = ((step + index) % 3).numpy()
        played = codes.actions[agent].decode(batch.actions[agent].numpy()).reshape(right.shape)
        np.testing.assert_allclose(played, right, atol=1e-5)
        before = np.where(step > 0, (step + index - 1) % 3, 0)
        np.testing.assert_allclose(last.numpy(), before, atol=1e-5)
    assert torch.equal(batch.observations["a"][0, :, 0], torch.arange(4.0).repeat(8))
    # The same of what the learner plays: what it observes next is what it has just done.
    learner = play(entry, [0, 1], 5).batch
    for agent in AGENTS:
        seen = learner.observations[agent].unflatten(1, (5, 4))
        played = codes.actions[agent].decode(learner.actions[agent].flatten(0, 1).numpy()).reshape(2, 5, 4)
        assert torch.equal(seen[..., 0], torch.arange(4.0).expand(2, 5, 4))
        np.testing.assert_allclose(seen[..., 1:, 2].numpy(), played[..., :-1], atol=1e-6)
        assert (seen[..., 1] == seen[..., :1, 1]).all()  # one episode's number


def test_greedy_rollouts_play_the_likeliest_action() -> None:
    entry, codes = clock(), Codes.of(clock(), network="mlp")
    policies = make_policies(codes, seeded(0, 1), SMALL)
    rollouts = SampledRollouts(entry.make_vector(8), codes, seeds=[0, 1], episodes=4, device=CPU, greedy=True)
    batch = rollouts.collect(policies).batch
    for agent, distribution in policies(batch.observations).items():
        assert torch.equal(batch.actions[agent], distribution.mode())


def test_a_rollout_without_a_critic_keeps_no_ends_and_is_the_same() -> None:
    codes = Codes.of(clock(spread=3), network="mlp")
    policies = make_policies(codes, seeded(3, 11), SMALL)
    vector_env = clock(spread=3).make_vector(12)
    rollout = SampledRollouts(vector_env, codes, seeds=[3, 11], episodes=6, device=CPU).collect(policies)
    assert rollout.ends == rollout.terminated == rollout.final_observations == {}
    with_ends = play(clock(spread=3), [3, 11], 6)
    for agent in AGENTS:
        assert torch.equal(rollout.batch.actions[agent], with_ends.batch.actions[agent])


def test_the_enumerated_rollout_observes_what_the_env_shows() -> None:
    entry = resolve("coordination_env:coordination/matching-v0")
    codes = Codes.of(entry, network="mlp")
    rollouts = EnumeratedRollouts(entry.make_vector(4), codes, num_runs=2, device=CPU)
    rollout = rollouts.collect(make_policies(codes, seeded(0, 1), SMALL))
    batch = rollout.batch
    (final,) = rollout.final_observations.values()
    assert final["agent_1"].shape == batch.observations["agent_0"].shape == (2, 4, 1)
    assert rollout.ends["agent_0"].all()
    assert rollout.terminated["agent_1"].all()
    assert (batch.observations["agent_0"] == 1).all()  # a Discrete(1), one-hot
    torch.testing.assert_close(batch.weight.sum(-1), torch.ones(2))


def test_the_clock_pays_what_it_says() -> None:
    env = ClockEnv()
    env.reset(seed=0)
    rewards = [sum(env.step({"a": step % 3, "b": (step + 1) % 3})[1].values()) for step in range(4)]
    assert rewards == [2, 2, 2, 2]
    assert env.agents == []
