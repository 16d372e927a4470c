"""The policy step: PPO's objective by hand, what becomes of values at the end of an episode, schedules."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from magail_trainer.learn.agent_policies import NeuralPolicy, TabularPolicy
from magail_trainer.learn.batch import Batch, equal_weights
from magail_trainer.learn.behavioural_cloning import cloning_loss
from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.losses import policy_objective
from magail_trainer.learn.networks import Normalizer, Perceptron
from magail_trainer.learn.policies import IndependentPolicies
from magail_trainer.learn.ppo import PolicyStep, ReturnScale, Targets, minibatches, policy_targets, values_of
from magail_trainer.learn.rollout import Rollout
from magail_trainer.seeding import stream
from tests.magail_trainer.clock_env import generator

torch.set_num_threads(1)

REINFORCE = MagailConfig(network="tabular", epochs=10, discount=0.5)


def test_the_clipped_objective_by_hand() -> None:
    # Ratios 1.5, 1.1 and 0.5, each with an advantage of 2 and of -2; they are kept between 0.8 and 1.2.
    ratio = torch.tensor([[1.5, 1.1, 0.5] * 2])
    advantage = torch.tensor([[2.0] * 3 + [-2.0] * 3])
    old = torch.full((1, 6), math.log(0.3))
    log_prob = (ratio.log() + old).requires_grad_()
    objective = policy_objective(log_prob, old, advantage, torch.zeros(1, 6), torch.zeros(1), clip=0.2)
    torch.testing.assert_close(objective, torch.tensor([[2.4, 2.2, 1.0, -3.0, -2.2, -1.6]]))
    (gradient,) = torch.autograd.grad(objective.sum(), log_prob)
    # Ratio times advantage, but 0 where the step has gone far enough in the right direction.
    torch.testing.assert_close(gradient, torch.tensor([[0.0, 2.2, 1.0, -3.0, -2.2, 0.0]]))


def test_the_first_gradient_of_the_clipped_objective_is_reinforces() -> None:
    log_prob = torch.randn(2, 5, generator=generator()).requires_grad_()
    advantage, entropy = torch.randn(2, 5, generator=generator(1)), torch.zeros(2, 5)
    gradients = []
    for old, clip in ((None, 0.0), (log_prob.detach(), 0.2)):
        objective = policy_objective(log_prob, old, advantage, entropy, torch.zeros(2), clip=clip)
        gradients.append(torch.autograd.grad(objective.sum(), log_prob)[0])
    torch.testing.assert_close(*gradients)
    torch.testing.assert_close(gradients[0], advantage)


class Values(nn.Module):
    """A critic that reads each agent's value off a table of its observation; in place of a network."""

    def __init__(self, runs: int = 1) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.arange(10.0).expand(runs, -1).clone())

    def forward(self, observations: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {agent: self.table.gather(1, rows) for agent, rows in observations.items()}


def some_rollout(*, leaving: bool = False) -> Rollout:
    """Three episodes of up to three steps: one terminates at step 3, one at step 2, one is cut at step 2.

    Where `a` is `leaving`, it leaves after the first step of the last episode by truncation.
    """
    present = torch.tensor([[1, 1, 1, 1, 1, 0, 1, 1, 0]]) > 0
    rows = torch.tensor([[1, 2, 3, 4, 5, 9, 6, 7, 9]])
    ends, terminated = (
        torch.tensor([flags]) > 0 for flags in ([0, 0, 1, 0, 1, 0, 0, 1, 0], [0, 0, 1, 0, 1, 1, 0, 0, 1])
    )
    there, final, of_a = present, torch.tensor([[9, 9, 8]]), ends
    if leaving:
        there = torch.tensor([[1, 1, 1, 1, 1, 0, 1, 0, 0]]) > 0
        of_a = torch.tensor([[0, 0, 1, 0, 1, 0, 1, 0, 0]]) > 0
    observations, actions = {"a": rows, "b": rows}, {"a": rows % 2, "b": (rows + 1) % 2}
    active = {"a": there, "b": present} if leaving else {}
    batch = Batch(observations, actions, equal_weights(present), 3, active)
    rewards = dict.fromkeys("ab", torch.ones(1, 9))
    seen = {"a": final, "b": final}
    finals = {("a",): seen, ("b",): seen} if leaving else {("a", "b"): seen}
    return Rollout(batch, rewards, {"a": of_a, "b": ends}, dict.fromkeys("ab", terminated), finals)


def tables(runs: int = 1) -> IndependentPolicies:
    return IndependentPolicies(
        {agent: TabularPolicy(torch.randn(runs, 10, 2, generator=generator(seed))) for seed, agent in enumerate("ab")}
    )


def step_of(config: MagailConfig, critic: nn.Module | None, policies: IndependentPolicies | None = None) -> PolicyStep:
    return PolicyStep(policies or tables(), critic, torch.tensor([0.1]), config)


def targets_of(rollout: Rollout, config: MagailConfig, critic: nn.Module | None) -> Targets:
    return policy_targets(tables(), critic, rollout, rollout.env_rewards, config)


def test_a_cut_episode_goes_on_at_its_final_observations_value_and_a_terminated_one_does_not() -> None:
    rollout = some_rollout()
    values, following = values_of(Values(), rollout)
    assert values["a"].tolist() == [[1, 2, 3, 4, 5, 9, 6, 7, 9]]
    present = rollout.batch.weight[0] > 0
    assert following["a"][0][present].tolist() == [2, 3, 0, 5, 0, 7, 8]
    targets = targets_of(rollout, replace(REINFORCE, gae_lambda=0.0), Values())
    # With λ = 0 the advantage is 1 + next / 2 - value, and the target is 1 + next / 2.
    torch.testing.assert_close(targets.advantage["a"][0][present], torch.tensor([1, 0.5, -2, -0.5, -4, -1.5, -2]))
    torch.testing.assert_close(targets.value_target["a"][0][present], torch.tensor([2, 2.5, 1, 3.5, 1, 4.5, 5]))


def test_the_return_of_a_cut_episode_counts_what_would_have_followed() -> None:
    rollout = some_rollout()
    targets, present = targets_of(rollout, REINFORCE, Values()), rollout.batch.weight[0] > 0
    returns = [1 + 0.5 + 0.25, 1 + 0.5, 1, 1.5, 1, 1 + 0.5 + 8 / 4, 1 + 8 / 2]
    torch.testing.assert_close(targets.value_target["b"][0][present], torch.tensor(returns))


@pytest.mark.parametrize("critic", [None, Values()])
def test_who_has_left_earns_nothing_more(critic: nn.Module | None) -> None:
    rollout = some_rollout(leaving=True)
    if critic is None:  # the ends are kept for a critic alone
        rollout = Rollout(rollout.batch, rollout.env_rewards)
    advantage = targets_of(rollout, REINFORCE, critic).advantage
    value, left = (6, 1 + 8 / 2) if critic is not None else (0, 1)  # its last step pays 1, and then it is cut
    assert advantage["a"][0, 6].item() == pytest.approx(left - value)
    staying = 1 + 0.5 + (8 / 4 if critic is not None else 0) - value
    assert advantage["b"][0, 6].item() == pytest.approx(staying)


def test_who_has_left_is_not_learnt_from() -> None:
    policies, rollout = tables(), some_rollout(leaving=True)
    before = {agent: policy.logits.detach().clone() for agent, policy in policies.policies.items()}  # type: ignore[operator, union-attr]
    step_of(REINFORCE, None, policies).update(rollout, rollout.env_rewards, epoch=1)
    moved = {
        agent: (policy.logits - before[agent]).abs().sum(-1)[0].nonzero().flatten().tolist()  # type: ignore[operator]
        for agent, policy in policies.policies.items()
    }
    assert moved == {"a": [1, 2, 3, 4, 5, 6], "b": [1, 2, 3, 4, 5, 6, 7]}


def test_centred_rewards_of_who_has_left_stay_0_without_a_critic() -> None:
    rollout = Rollout(some_rollout(leaving=True).batch, {})  # no ends, as they are kept for a critic alone
    reward = torch.tensor([[1.0, 3.0, 2.0, 2.0, 2.0, 0.0, 5.0, 100.0, 0.0]])  # of mean 2.5 while `a` is there
    scaled = ReturnScale(0.5, num_runs=1, centred=True).scale(dict.fromkeys("ab", reward), rollout.batch)
    advantage = policy_targets(tables(), None, rollout, scaled, REINFORCE).advantage["a"]
    # Its last steps in the first and in the last episode: as far from the mean as their rewards, in one unit.
    assert advantage[0, 6].item() / advantage[0, 2].item() == pytest.approx((5 - 2.5) / (2 - 2.5))


def test_ppo_of_one_pass_without_clipping_or_critic_is_reinforce() -> None:
    rollout = some_rollout()
    policies, twin = tables(), tables()
    statistics = step_of(REINFORCE, None, policies).update(rollout, rollout.env_rewards, epoch=1)
    clipped = step_of(replace(REINFORCE, clip=0.2), None, twin)
    clipped.update(rollout, rollout.env_rewards, epoch=1)
    for ours, theirs in zip(policies.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
    # And both are Adam's first step, the learning rate, up the gradient of Σ w log π G + β H by hand.
    fresh = tables()
    by_hand = torch.zeros(1)
    returns = torch.tensor([[1.75, 1.5, 1, 1.5, 1, 0, 1.5, 1, 0]])
    for agent, distribution in fresh(rollout.batch.observations).items():
        log_prob = distribution.log_prob(rollout.batch.actions[agent])
        by_hand = by_hand - (rollout.batch.weight * (log_prob * returns + 0.1 * distribution.entropy())).sum(-1)
    torch.testing.assert_close(statistics.loss, by_hand.detach())
    gradients = torch.autograd.grad(by_hand.sum(), list(fresh.parameters()))
    for start, gradient, ours in zip(fresh.parameters(), gradients, policies.parameters(), strict=True):
        torch.testing.assert_close(ours, start - 0.01 * gradient.sign(), atol=1e-5, rtol=0)


def test_an_advantage_is_measured_by_weights_and_normalised_for_each_agent() -> None:
    config, rollout = replace(REINFORCE, normalize_advantages=True), some_rollout(leaving=True)
    rewards = dict.fromkeys("ab", torch.randn(1, 9, generator=generator()))
    advantage = policy_targets(tables(), None, rollout, rewards, config).advantage
    for agent in "ab":
        weight = rollout.batch.weight_of(agent)
        assert (weight * advantage[agent]).sum().item() == pytest.approx(0, abs=1e-6)
        assert (weight * advantage[agent].square()).sum().item() == pytest.approx(1, rel=1e-4)


def test_rewards_are_centred_and_scaled_by_the_deviation_of_the_return() -> None:
    batch = some_rollout().batch
    reward = torch.tensor([[3.0, 1.0, 2.0, 2.0, 2.0, 50.0, 2.0, 2.0, 50.0]])  # of mean 2 without what pads
    scaled = ReturnScale(1.0, num_runs=1, centred=True).scale({"a": reward, "b": reward}, batch)
    # Centred 1, -1, 0, …: the returns to go are 0, -1, 0, …, whose mean square is 1/7.
    present = batch.weight[0] > 0
    expected = torch.tensor([1.0, -1, 0, 0, 0, 0, 0]) * math.sqrt(7)
    torch.testing.assert_close(scaled["a"][0][present], expected)
    assert torch.equal(scaled["a"], scaled["b"])


def test_the_scale_runs_slowly() -> None:
    batch, scale = some_rollout().batch, ReturnScale(0.0, num_runs=1, centred=True)
    signs = torch.tensor([[1.0, -1.0, 1.0, -1.0, 1.0, 0.0, -1.0, 0.0, 0.0]])  # mean 0, mean square 6/7
    first = scale.scale({"a": signs}, batch)["a"]
    second = scale.scale({"a": 10 * signs}, batch)["a"]
    assert first[0, 0].item() == pytest.approx((7 / 6) ** 0.5)
    assert second[0, 0].item() == pytest.approx(10 / math.sqrt((0.95 + 0.05 * 100) * 6 / 7))


class Expert:
    """Has one minibatch."""

    num_demonstrations = 100

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def minibatch(self) -> Batch:
        return self.batch


def test_the_policies_wait_for_a_warm_critic() -> None:
    policies, critic, rollout = tables(), Values(), some_rollout()
    start, values = [parameter.clone() for parameter in policies.parameters()], critic.table.clone()
    step = step_of(replace(REINFORCE, warm_critic=2, cloning=0.5, policy_epochs=3, clip=0.2), critic, policies)
    for epoch in (1, 2):
        step.update(rollout, rollout.env_rewards, epoch=epoch, demonstrations=Expert(rollout.batch))
        assert all(torch.equal(*pair) for pair in zip(start, policies.parameters(), strict=True))
        assert not torch.equal(values, critic.table)
    step.update(rollout, rollout.env_rewards, epoch=3, demonstrations=Expert(rollout.batch))
    assert not any(torch.equal(*pair) for pair in zip(start, policies.parameters(), strict=True))


class Spy:
    """In place of RunAdam: keeps what it is asked to descend."""

    def __init__(self, parameters: Any, lr: Tensor, **settings: float) -> None:
        self.settings, self.steps = settings, []

    def descend(self, loss: Tensor, *, lr_scale: float = 1.0) -> None:
        self.steps.append((loss.detach().item(), lr_scale))


def test_the_learning_rates_and_the_bonus_fall_in_a_line_and_cloning_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("magail_trainer.learn.ppo.RunAdam", Spy)
    policies, rollout = tables(), some_rollout()
    nothing = {agent: torch.zeros(1, 9) for agent in "ab"}
    linear = replace(REINFORCE, epochs=4, lr_schedule="linear", beta_schedule="linear", cloning=3.0, max_grad_norm=0.7)
    step = step_of(linear, Values(), policies)
    for epoch in (1, 2, 4):
        step.update(rollout, nothing, epoch=epoch, demonstrations=Expert(rollout.batch))
    entropy = sum(
        (rollout.batch.weight * p.entropy()).sum().item() for p in policies(rollout.batch.observations).values()
    )
    cloning = cloning_loss(policies, rollout.batch).item()
    steps = step._optimizer.steps  # type: ignore[attr-defined]
    assert [scale for _, scale in steps] == [1, 0.75, 0.25]
    targets = policy_targets(policies, Values(), rollout, nothing, linear)
    reinforce = sum(
        (rollout.batch.weight * policy.log_prob(rollout.batch.actions[agent]) * targets.advantage[agent]).sum().item()
        for agent, policy in policies(rollout.batch.observations).items()
    )
    for (loss, scale), left in zip(steps, (1, 0.75, 0.25), strict=True):
        assert loss == pytest.approx(-reinforce - 0.1 * left * entropy + 3.0 * cloning, rel=1e-5)
        assert scale == left
    assert step._critic_optimizer.steps[0][1] == 1  # type: ignore[attr-defined]
    assert step._optimizer.settings == {"max_norm": 0.7}  # type: ignore[attr-defined]


def test_the_cloning_term_is_in_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("magail_trainer.learn.ppo.RunAdam", Spy)
    policies, rollout, losses = tables(), some_rollout(), []
    for cloning in (0.0, 3.0):
        config = replace(REINFORCE, clip=0.2, policy_epochs=2, policy_minibatches=3, cloning=cloning)
        step = step_of(config, None, policies)
        step.update(rollout, rollout.env_rewards, epoch=1, demonstrations=Expert(rollout.batch))
        losses.append([loss for loss, _ in step._optimizer.steps])  # type: ignore[attr-defined]
    assert len(losses[0]) == 2 * 3
    assert np.subtract(*reversed(losses)) == pytest.approx(3.0 * cloning_loss(policies, rollout.batch).item(), rel=1e-4)


@pytest.mark.parametrize(("number", "expected"), [(1, [3]), (2, [2, 1]), (3, [1, 1, 1]), (5, [1, 1, 1])])
def test_every_pass_goes_through_all_episodes(number: int, expected: list[int]) -> None:
    slices = list(minibatches(3, number))
    assert [part.stop - part.start for part in slices] == expected
    assert slices[0].start == 0
    assert slices[-1].stop == 3


def test_a_nan_in_one_runs_policy_leaves_the_others_bit_identical() -> None:
    def trained(*, spoil: bool) -> list[Tensor]:
        network = Perceptron((4, 8, 2), [stream(seed, "x") for seed in range(3)], last_scale=1.0)
        policies = IndependentPolicies({"a": NeuralPolicy(network, Normalizer(3, 4))})
        if spoil:
            network.weights[0].data[1] = torch.nan
        features, rows = torch.randn(3, 6, 4, generator=generator()), torch.randint(2, (3, 6), generator=generator())
        batch = Batch({"a": features}, {"a": rows}, torch.full((3, 6), 1 / 6))
        config = replace(REINFORCE, clip=0.2, max_grad_norm=0.5, normalize_advantages=True, policy_epochs=3)
        reward = {"a": torch.randn(3, 6, generator=generator(4))}
        PolicyStep(policies, None, torch.full((3,), 0.1), config).update(Rollout(batch, reward), reward, epoch=1)
        return [parameter.detach() for parameter in policies.parameters()]

    for healthy, spoilt in zip(trained(spoil=False), trained(spoil=True), strict=True):
        assert torch.equal(healthy[[0, 2]], spoilt[[0, 2]])
