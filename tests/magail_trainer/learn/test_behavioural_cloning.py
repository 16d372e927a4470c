"""Behavioural cloning: tables become the recorded frequencies, perceptrons learn what can be learnt."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from magail_trainer.learn.agent_policies import TabularPolicy
from magail_trainer.learn.batch import Batch
from magail_trainer.learn.behavioural_cloning import behavioural_cloning
from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.demonstrations import Demonstrations
from magail_trainer.learn.encoders import Codes
from magail_trainer.learn.policies import IndependentPolicies, Policies, make_policies
from magail_trainer.learn.ppo import cloning_loss
from tests.magail_trainer.clock_env import AGENTS, SMALL, clock, clock_dataset, generator, seeded

torch.set_num_threads(1)


class Whole:
    """All there is, each time."""

    num_demonstrations = 100

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def minibatch(self) -> Batch:
        return self.batch


def tables(runs: int = 2) -> IndependentPolicies:
    policies: dict[str, nn.Module] = {
        agent: TabularPolicy(torch.randn(runs, 3, 2, generator=generator(seed))) for seed, agent in enumerate(AGENTS)
    }
    return IndependentPolicies(policies)


def recorded(runs: int = 2) -> Batch:
    """In observation 0, `a` plays 1 in 3 of 4 steps; in observation 1 in 1 of 2. `b` has left in the last two."""
    seen, played = torch.tensor([0, 0, 0, 0, 1, 1]), torch.tensor([1, 1, 0, 1, 1, 0])
    there = torch.tensor([1, 1, 1, 1, 0, 0]) > 0
    observations, actions = (dict.fromkeys(AGENTS, column.expand(runs, -1)) for column in (seen, played))
    active = {"a": torch.ones(runs, 6).bool(), "b": there.expand(runs, -1)}
    return Batch(observations, actions, torch.full((runs, 6), 1 / 6), active=active)


def test_the_loss_by_hand() -> None:
    policies: dict[str, nn.Module] = {agent: TabularPolicy(torch.zeros(1, 3, 2)) for agent in AGENTS}
    policies["b"] = TabularPolicy(torch.tensor([[[0.0, np.log(3)], [9.0, 9.0], [9.0, 9.0]]]))
    loss = cloning_loss(IndependentPolicies(policies), recorded(1))
    # `a`: log 2 at each step. `b`, while it is there: 1 with 3/4 three times, 0 with 1/4 once.
    assert loss.item() == pytest.approx(np.log(2) - (3 * np.log(3 / 4) + np.log(1 / 4)) / 4)


def test_tables_become_the_recorded_frequencies_and_leave_alone_what_was_not_recorded() -> None:
    policies = tables()
    start = policies.policies["a"].logits.detach().clone()  # type: ignore[operator, union-attr]
    config = MagailConfig(network="tabular", lr_cloning=0.1)
    losses = list(behavioural_cloning(policies, Whole(recorded()), config, updates=400, num_runs=2))
    probs = {agent: policy.logits.softmax(-1)[..., 1] for agent, policy in policies.policies.items()}  # type: ignore[operator, union-attr]
    for run in range(2):
        np.testing.assert_allclose(probs["a"][run, :2].detach(), [3 / 4, 1 / 2], atol=1e-3)
        assert probs["b"][run, 0].item() == pytest.approx(3 / 4, abs=1e-3)
    assert torch.equal(policies.policies["a"].logits[:, 2], start[:, 2])  # type: ignore[index, union-attr]
    assert len(losses) == 400
    assert (losses[-1] < losses[0]).all()
    assert not losses[0].requires_grad


def cloned(policies: Policies, *, continuous: bool, updates: int) -> tuple[Demonstrations, list[Tensor]]:
    entry = clock(continuous=continuous)
    codes, dataset = Codes.of(entry, network="mlp"), clock_dataset(entry)
    config = replace(SMALL, lr_cloning=0.01)
    demonstrations = Demonstrations(dataset, codes, seeds=[0, 1], batch_size=8, device=torch.device("cpu"))
    policies.fit_normalizers(demonstrations.all)
    return demonstrations, list(behavioural_cloning(policies, demonstrations, config, updates=updates, num_runs=2))


def test_a_perceptron_learns_a_separable_task() -> None:
    policies = make_policies(Codes.of(clock(), network="mlp"), seeded(0, 1), replace(SMALL, hidden=(32,)))
    demonstrations, losses = cloned(policies, continuous=False, updates=150)
    batch = demonstrations.all
    for agent, distribution in policies(batch.observations).items():
        probs = distribution.log_prob(batch.actions[agent]).exp()
        assert probs.min() > 0.9
    assert losses[0].tolist() == pytest.approx([2 * np.log(3)] * 2, abs=0.05)


def test_a_gaussian_learns_a_number() -> None:
    codes = Codes.of(clock(continuous=True), network="mlp")
    policies = make_policies(codes, seeded(0, 1), replace(SMALL, hidden=(32,)))
    demonstrations, _ = cloned(policies, continuous=True, updates=250)
    batch = demonstrations.all
    for agent, distribution in policies(batch.observations).items():
        assert (distribution.mode() - batch.actions[agent]).abs().max() < 0.1
        assert policies.policies[agent].log_std.max() < -1.5  # type: ignore[union-attr, operator]


def test_a_nan_in_one_run_leaves_the_other_bit_identical() -> None:
    codes, results = Codes.of(clock(), network="mlp"), []
    for spoil in (False, True):
        policies = make_policies(codes, seeded(0, 1), SMALL)
        if spoil:
            next(iter(policies.parameters())).data[1] = torch.nan
        cloned(policies, continuous=False, updates=5)
        results.append([parameter.detach() for parameter in policies.parameters()])
    for healthy, spoilt in zip(*results, strict=True):
        assert torch.equal(healthy[0], spoilt[0])
        assert not torch.equal(healthy[1], spoilt[1])
