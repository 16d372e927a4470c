"""Continuous actions: torch's own Normal as the slow twin."""

import math

import pytest
import torch

from magail_trainer.learn.agent_policies import NeuralPolicy
from magail_trainer.learn.distributions import DiagonalGaussian, Distribution
from magail_trainer.learn.networks import Normalizer, Perceptron
from magail_trainer.seeding import stream
from tests.magail_trainer.clock_env import generator

torch.set_num_threads(1)


def some_gaussian() -> tuple[DiagonalGaussian, torch.distributions.Independent]:
    """Ours and torch's, of two runs, five samples and three numbers."""
    mean, log_std = torch.randn(2, 5, 3, generator=generator(0)), torch.randn(2, 1, 3, generator=generator(1))
    theirs = torch.distributions.Normal(mean, log_std.exp().expand_as(mean))
    return DiagonalGaussian(mean, log_std), torch.distributions.Independent(theirs, 1)


def test_density_and_entropy_are_torchs() -> None:
    ours, theirs = some_gaussian()
    actions = torch.randn(2, 5, 3, generator=generator(2))
    torch.testing.assert_close(ours.log_prob(actions), theirs.log_prob(actions))
    torch.testing.assert_close(ours.entropy(), theirs.entropy())
    assert isinstance(ours, Distribution)
    assert torch.equal(ours.mode(), theirs.mean)


def test_density_and_entropy_by_hand() -> None:
    gaussian = DiagonalGaussian(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[math.log(2.0), 0.0]]]))
    log_prob = -0.5 * 1.5**2 - math.log(2) - 0.5 * 0.5**2 - math.log(2 * math.pi)  # 1.5 and 0.5 deviations away
    assert gaussian.log_prob(torch.tensor([[[4.0, -0.5]]])).item() == pytest.approx(log_prob)
    assert gaussian.entropy().item() == pytest.approx(math.log(2 * math.pi * math.e) + math.log(2))


def test_draws_the_quantiles_of_the_noise() -> None:
    ours, theirs = some_gaussian()
    uniform = torch.rand(2, 5, 3, generator=generator(3))
    torch.testing.assert_close(ours.sample(uniform), theirs.base_dist.icdf(uniform), atol=1e-4, rtol=1e-4)
    single = DiagonalGaussian(torch.full((1, 3, 1), 10.0), torch.full((1, 1, 1), math.log(2)))
    drawn = single.sample(torch.tensor([[[0.5], [0.8413447], [0.0227501]]]))
    torch.testing.assert_close(drawn, torch.tensor([[[10.0], [12.0], [6.0]]]))
    edges = ours.sample(torch.tensor([0.0, 0.5, 1 - 2**-24]).expand(2, 5, 3))
    assert edges.isfinite().all()


def test_draws_have_the_mean_and_the_deviation_of_their_run() -> None:
    size = 40_000
    gaussian = DiagonalGaussian(torch.tensor([0.5, -1.0]).view(2, 1, 1).expand(2, size, 1), torch.zeros(2, 1, 1) - 1)
    drawn = gaussian.sample(torch.rand(2, size, 1, generator=generator()))
    error = 4 * math.exp(-1) / size**0.5
    torch.testing.assert_close(drawn.mean(1), torch.tensor([[0.5], [-1.0]]), atol=error, rtol=0)
    torch.testing.assert_close(drawn.std(1), torch.full((2, 1), math.exp(-1)), atol=error, rtol=0)


def test_the_score_of_mean_and_deviation_by_hand() -> None:
    mean, log_std = torch.tensor([[[1.0]]], requires_grad=True), torch.tensor([[[math.log(2)]]], requires_grad=True)
    log_prob = DiagonalGaussian(mean, log_std).log_prob(torch.tensor([[[4.0]]]))
    for_mean, for_log_std = torch.autograd.grad(log_prob.sum(), (mean, log_std))
    assert for_mean.item() == pytest.approx(3 / 4)  # (a - μ) / σ²
    assert for_log_std.item() == pytest.approx(9 / 4 - 1)  # ((a - μ) / σ)² - 1


def test_a_policy_of_continuous_actions_draws_one_number_for_each_of_them() -> None:
    network = Perceptron((4, 2), [stream(seed, "x") for seed in range(3)], last_scale=1.0)
    log_std = torch.nn.Parameter(torch.full((3, 1, 2), -0.5))
    policy = NeuralPolicy(network, Normalizer(3, 4), log_std=log_std)
    features = torch.randn(3, 6, 4, generator=generator())
    distribution = policy(features)
    assert policy.noise_size == 2
    assert distribution.sample(torch.rand(3, 6, 2)).shape == (3, 6, 2)
    torch.testing.assert_close(distribution.mode(), network(features))
    assert len(list(policy.parameters())) == 3  # weights, biases and the deviation
