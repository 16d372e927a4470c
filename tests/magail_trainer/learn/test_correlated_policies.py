"""Policies with a shared signal, and autoregressive ones: joint distributions by hand, gradients by autograd."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete
from torch import Tensor, nn

from magail_trainer.data.recording import record
from magail_trainer.data.run_folder import write_checkpoint, write_config, write_table
from magail_trainer.envs.registry import resolve
from magail_trainer.errors import InputError
from magail_trainer.learn.agent_policies import TabularPolicy
from magail_trainer.learn.batch import Batch
from magail_trainer.learn.behavioural_cloning import behavioural_cloning, cloning_loss
from magail_trainer.learn.config import MagailConfig, PolicyStyle
from magail_trainer.learn.demonstrations import ExactDemonstrations
from magail_trainer.learn.encoders import Codes, FiniteSpace
from magail_trainer.learn.losses import step_mean
from magail_trainer.learn.policies import AutoregressivePolicies, Policies, SharedSignalPolicies, make_policies
from magail_trainer.learn.ppo import PolicyStep
from magail_trainer.learn.rollout import EnumeratedRollouts, SampledRollouts
from magail_trainer.learn.runs import Runs
from magail_trainer.learn.trainer import Trainer
from magail_trainer.play.players import make_joint_policy
from magail_trainer.play.trained_policy import TrainedJointPolicy
from tests.magail_trainer.clock_env import AGENTS, SMALL, clock, clock_dataset, seeded

torch.set_num_threads(1)

CPU = torch.device("cpu")
MATCHING = resolve("coordination_env:coordination/matching-v0")
PLAYERS: tuple[str, ...] = ("agent_0", "agent_1")
CELLS: dict[str, list[int]] = {"agent_0": [0, 0, 1, 1], "agent_1": [0, 1, 0, 1]}
"""The joint actions, row by row."""
SIGNAL = MagailConfig(network="tabular", policy="shared_signal", signals=2)
STYLES: tuple[PolicyStyle, ...] = ("shared_signal", "autoregressive")


def coin() -> SharedSignalPolicies:
    """On heads, 3 of 4 times, both are likely to play A; on tails agent_0 never does."""
    logits = {"agent_0": [[0.9, 0.1], [1e-30, 1.0]], "agent_1": [[0.8, 0.2], [0.3, 0.7]]}
    given = [FiniteSpace(Discrete(2), "signal")]
    tables: dict[str, nn.Module] = {
        agent: TabularPolicy(torch.tensor([rows]).log(), given=given) for agent, rows in logits.items()
    }
    return SharedSignalPolicies(tables, torch.tensor([[0.75, 0.25]]).log())


def follower() -> AutoregressivePolicies:
    """agent_1 likes to do what agent_0 did, A more so."""
    given = Codes.of(MATCHING).actions["agent_0"]
    tables: dict[str, nn.Module] = {
        "agent_0": TabularPolicy(torch.tensor([[[0.6, 0.4]]]).log()),
        "agent_1": TabularPolicy(torch.tensor([[[0.9, 0.1], [0.2, 0.8]]]).log(), given=[given]),
    }
    return AutoregressivePolicies(tables)


def enumerated(num_runs: int = 1) -> EnumeratedRollouts:
    return EnumeratedRollouts(MATCHING.make_vector(4), Codes.of(MATCHING), num_runs=num_runs, device=CPU)


def sampled(episodes: int) -> SampledRollouts:
    vector_env = MATCHING.make_vector(episodes)
    return SampledRollouts(vector_env, Codes.of(MATCHING), seeds=[0], episodes=episodes, device=CPU)


COIN_JOINT = [
    0.75 * 0.9 * 0.8, 0.75 * 0.9 * 0.2, 0.75 * 0.1 * 0.8 + 0.25 * 0.3, 0.75 * 0.1 * 0.2 + 0.25 * 0.7
]  # fmt: skip
FOLLOWER_JOINT = [0.6 * 0.9, 0.6 * 0.1, 0.4 * 0.2, 0.4 * 0.8]


@pytest.mark.parametrize(("policies", "joint"), [(coin(), COIN_JOINT), (follower(), FOLLOWER_JOINT)])
def test_the_joint_distribution_by_hand_and_as_it_is_drawn(policies: Policies, joint: list[float]) -> None:
    np.testing.assert_allclose(enumerated().joint(policies)[0].detach(), joint, atol=1e-6)
    actions = sampled(20_000).collect(policies).batch.actions
    cells = (2 * actions["agent_0"] + actions["agent_1"])[0].numpy()
    error = 4 * np.sqrt(np.array(joint) * (1 - np.array(joint)) / 20_000)
    assert (np.abs(np.bincount(cells, minlength=4) / 20_000 - joint) < error).all()


@pytest.mark.parametrize(("policies", "joint"), [(coin(), COIN_JOINT), (follower(), FOLLOWER_JOINT)])
def test_a_run_folder_plays_the_same_joint_distribution(tmp_path: Path, policies: Policies, joint: list[float]) -> None:
    shared = isinstance(policies, SharedSignalPolicies)
    config = SIGNAL if shared else MagailConfig(network="tabular", policy="autoregressive")
    trainer = Trainer(MATCHING, None, Runs.grid(betas=(0.0,), seeds=(0,)), config)
    trainer.policies.load_state_dict(policies.state_dict())
    write_table(tmp_path / "runs.csv", {"beta": np.zeros(1), "seed": np.zeros(1, dtype=np.int64)})
    write_checkpoint(tmp_path, {"policies": trainer.policies})
    write_config(tmp_path, trainer.describe())
    played = record(MATCHING, TrainedJointPolicy(MATCHING, tmp_path), episodes=20_000, seed=1).actions
    frequencies = np.bincount(2 * played["agent_0"] + played["agent_1"], minlength=4) / 20_000
    assert (np.abs(frequencies - joint) < 4 * np.sqrt(np.array(joint) * (1 - np.array(joint)) / 20_000)).all()


def test_the_likeliest_actions_are_those_of_the_signal_or_of_what_was_done_before() -> None:
    observations = {agent: torch.zeros(1, 2, dtype=torch.int64) for agent in PLAYERS}
    signal = torch.tensor([[0, 1]])
    actions = coin().act(observations, {}, signal=signal, uniform=None)
    assert [actions[agent].tolist() for agent in PLAYERS] == [[[0, 1]], [[0, 1]]]
    actions = follower().act(observations, {}, signal=None, uniform=None)
    assert [actions[agent].tolist() for agent in PLAYERS] == [[[0, 0]], [[0, 0]]]


@pytest.mark.parametrize("baseline", ["none", "batch"])
@pytest.mark.parametrize("make", [coin, follower])
def test_the_exact_policy_gradient_is_that_of_the_expected_reward(make: type, baseline: str) -> None:
    config = replace(SIGNAL, exact=True, baseline=baseline, normalize_rewards=False)
    paid = torch.tensor([0.3, -1.0, 2.0, 0.7])
    policies, rollouts = make(), enumerated()
    rollout = rollouts.collect(policies)
    rewards = dict.fromkeys(PLAYERS, paid.repeat(policies.num_signals).unsqueeze(0))
    step = PolicyStep(policies, None, torch.zeros(1), config)
    step._optimizer.descend = lambda loss, lr_scale: loss.sum().backward()  # type: ignore[method-assign, assignment]
    step.update(rollout, rewards, epoch=1)
    slow = make()
    joint = torch.zeros(1, 4)
    for value in range(slow.num_signals):
        signal = torch.full((1, 4), value)
        actions = {agent: torch.tensor([cells]) for agent, cells in CELLS.items()}
        observations = {agent: torch.zeros(1, 4, dtype=torch.int64) for agent in PLAYERS}
        distributions = slow(observations, signal=signal, actions=actions)
        log_prob = torch.stack([distributions[agent].log_prob(actions[agent]) for agent in PLAYERS]).sum(0)
        weights = slow.signal(4)
        joint = joint + (log_prob if weights is None else log_prob + weights.log_prob(signal)).exp()
    (-(joint * paid).sum()).backward()
    for fast, by_hand in zip(policies.parameters(), slow.parameters(), strict=True):
        torch.testing.assert_close(fast.grad, by_hand.grad, atol=1e-6, rtol=1e-4)


def test_a_signal_stays_for_the_episode_and_splits_with_it() -> None:
    entry = clock()
    codes = Codes.of(entry, network="mlp")
    policies = make_policies(codes, seeded(0, 1), replace(SMALL, policy="shared_signal"))
    vector_env = entry.make_vector(2 * 16)
    batch = SampledRollouts(vector_env, codes, seeds=[0, 1], episodes=16, device=CPU).collect(policies).batch
    assert batch.signal is not None
    signal = batch.signal.unflatten(1, (16, 4))
    assert (signal == signal[..., :1]).all()
    assert len(signal[0, :, 0].unique()) > 1
    assert torch.equal(batch.of_episode(batch.signal), signal[..., 0])
    part = batch.part(slice(3, 5))
    assert part.signal is not None
    assert torch.equal(part.signal, signal[:, 3:5].flatten(1))


def two_step_demonstrations() -> Batch:
    """Three episodes of two steps, in the one observation of the matching game; the second step of the last is void."""
    rows, played = torch.zeros(1, 6, dtype=torch.int64), torch.tensor([[0, 0, 1, 1, 0, 0]])
    weight = torch.tensor([[0.2, 0.2, 0.2, 0.2, 0.2, 0.0]])
    other = torch.tensor([[0, 1, 1, 1, 1, 0]])
    return Batch(dict.fromkeys(PLAYERS, rows), {"agent_0": played, "agent_1": other}, weight, num_steps=2)


def test_cloning_with_a_signal_climbs_the_likelihood_of_the_episodes() -> None:
    expert, policies, slow = two_step_demonstrations(), coin(), coin()
    cloning_loss(policies, expert).sum().backward()
    weights, likelihood = slow.signal_logits.softmax(-1)[0], []
    for episode in ([0, 1], [2, 3], [4]):
        of_signals: list[Tensor] = []
        for value in range(2):
            probs = {agent: slow.policies[agent].logits[0, value].softmax(-1) for agent in PLAYERS}  # type: ignore[index, union-attr]
            steps = [probs[agent][expert.actions[agent][0, step]] for step in episode for agent in PLAYERS]
            of_signals.append(weights[value] * torch.stack(steps).prod())
        likelihood.append(torch.stack(of_signals).sum().log())
    (-0.2 * torch.stack(likelihood).sum()).backward()
    for fast, by_hand in zip(policies.parameters(), slow.parameters(), strict=True):
        torch.testing.assert_close(fast.grad, by_hand.grad)


def test_cloning_with_a_signal_copies_a_correlated_expert() -> None:
    dataset = record(MATCHING, make_joint_policy("asymmetric", MATCHING, {}), episodes=100, seed=0)
    codes, runs = Codes.of(MATCHING), Runs.grid(betas=(0.0,), seeds=(0, 1))
    expert = ExactDemonstrations(dataset, codes, num_runs=2, device=CPU)
    for style in STYLES:
        config = MagailConfig(network="tabular", policy=style, lr_cloning=0.3)
        policies = make_policies(codes, runs, config)
        list(behavioural_cloning(policies, expert, config, updates=60, num_runs=2))
        np.testing.assert_allclose(enumerated(2).joint(policies).detach(), [[0.7, 0, 0, 0.3]] * 2, atol=0.02)


@pytest.mark.parametrize("style", STYLES)
def test_a_run_alone_equals_the_same_run_in_company(style: PolicyStyle) -> None:
    dataset = record(MATCHING, make_joint_policy("bimodal", MATCHING, {}), episodes=100, seed=0)
    config = MagailConfig(network="tabular", policy=style, epochs=6, baseline="batch")

    def trained(*seeds: int) -> dict[str, Tensor]:
        trainer = Trainer(MATCHING, dataset, Runs.grid(betas=(0.1,), seeds=seeds), config)
        list(trainer.train())
        return trainer.policies.state_dict()

    alone, together = trained(7), trained(3, 7, 11)
    for name, values in alone.items():
        assert torch.equal(values[0], together[name][1])
        assert not torch.equal(together[name][0], together[name][1])


def test_a_signal_has_as_many_values_as_were_asked_for() -> None:
    for signals in (2, 5):
        config = MagailConfig(network="tabular", policy="shared_signal", signals=signals)
        policies = make_policies(Codes.of(MATCHING), Runs.grid(betas=(0.0,), seeds=(0,)), config)
        assert policies.num_signals == signals
        assert all(policy.logits.shape == (1, signals, 2) for policy in policies.policies.values())  # type: ignore[union-attr]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("continuous", [False, True])
def test_perceptrons_train_with_everything_that_there_is(style: PolicyStyle, *, continuous: bool) -> None:
    entry = clock(continuous=continuous)
    trainer = Trainer(entry, clock_dataset(entry), seeded(0, 1), replace(SMALL, policy=style))
    before = {name: values.clone() for name, values in trainer.policies.state_dict().items()}
    records = list(trainer.train())
    after = trainer.policies.state_dict()
    assert all(values.isfinite().all() for values in after.values())
    assert all(value.isfinite().all() for value in records[-1].metrics.values())
    assert all(not torch.equal(before[name], after[name]) for name in after if "normalizer" not in name)
    assert ("signal_logits" in after) == (style == "shared_signal")
    assert list(trainer.policies.agents) == list(AGENTS)


def test_the_discriminator_does_not_see_the_signal() -> None:
    entry = clock()
    trainer = Trainer(entry, clock_dataset(entry), seeded(0), replace(SMALL, policy="shared_signal"))
    vector_env = entry.make_vector(8)
    rollouts = SampledRollouts(vector_env, trainer.codes, seeds=[0], episodes=8, device=CPU)
    batch = rollouts.collect(trainer.policies).batch
    assert batch.signal is not None
    other = replace(batch, signal=1 + batch.signal)
    for name, logit in trainer.discriminator(batch).items():
        assert torch.equal(logit, trainer.discriminator(other)[name])


def test_settings_without_effect_are_refused() -> None:
    with pytest.raises(InputError, match="--signals 3 needs --policy shared_signal"):
        MagailConfig(network="tabular", signals=3)
    with pytest.raises(InputError, match="--signals must be at least 2, not 1"):
        MagailConfig(network="tabular", policy="shared_signal", signals=1)
    with pytest.raises(InputError, match="--baseline batch needs --critic none"):
        replace(SMALL, baseline="batch")


def test_the_batch_baseline_by_hand() -> None:
    values = torch.tensor([[[1.0, 5.0], [3.0, 9.0]]])
    weight = torch.tensor([[[0.25, 0.5], [0.25, 0.0]]])
    assert step_mean(values, weight).tolist() == [[[2.0, 5.0]]]


def test_agents_that_see_different_things_cannot_share() -> None:
    config = replace(SMALL, policy="autoregressive", share_parameters="all")
    with pytest.raises(InputError, match="a and b cannot share parameters"):
        make_policies(Codes.of(clock(), network="mlp"), seeded(0), config)
