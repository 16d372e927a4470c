"""Generalised advantages, the critic's loss and normalisation, by hand and against slow loops."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from magail_trainer.learn.losses import generalized_advantage, normalized, value_loss

torch.set_num_threads(1)


def test_by_hand_over_a_termination_a_truncation_and_what_pads() -> None:
    # λ = 1/2 and discount 1/2, so what is one step later counts a quarter.
    rewards = torch.tensor([[[1.0, 2.0, 4.0], [1.0, 2.0, 0.0], [1.0, 2.0, 0.0]]])
    values = torch.tensor([[[2.0, 4.0, 6.0], [2.0, 4.0, 0.0], [2.0, 4.0, 0.0]]])
    following = torch.tensor([[[4.0, 6.0, 0.0], [4.0, 0.0, 0.0], [4.0, 8.0, 0.0]]])  # the last is cut, worth 8
    ends = torch.tensor([[[0, 0, 1], [0, 1, 0], [0, 1, 0]]]) > 0
    # δ: 1 + 2 - 2 = 1, 2 + 3 - 4 = 1, 4 - 6 = -2; 1, 2 - 4 = -2; 1, 2 + 4 - 4 = 2.
    expected = torch.tensor([[[1 + 0.5 / 4, 1 - 2 / 4, -2.0], [1 - 2 / 4, -2.0, 0.0], [1 + 2 / 4, 2.0, 0.0]]])
    out = generalized_advantage(rewards, values, following, ends, discount=0.5, gae_lambda=0.5)
    torch.testing.assert_close(out, expected)


def test_nothing_flows_back_over_an_end_though_the_steps_after_it_are_not_zero() -> None:
    rewards, zero = torch.tensor([[[1.0, 1.0, 99.0, 99.0]]]), torch.zeros(1, 1, 4)
    ends = torch.tensor([[[False, True, False, False]]])
    out = generalized_advantage(rewards, zero, zero, ends, discount=1.0, gae_lambda=1.0)
    assert out[0, 0, :2].tolist() == [2, 1]


@given(st.integers(0, 99), st.sampled_from([0.0, 0.5, 0.9, 1.0]), st.sampled_from([0.0, 0.7, 1.0]))
@settings(deadline=None, max_examples=30)
def test_is_the_weighted_sum_of_the_temporal_differences(seed: int, discount: float, gae_lambda: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    rewards, values, following = (torch.randn(2, 3, 6, generator=generator, dtype=torch.float64) for _ in range(3))
    ends = torch.rand(2, 3, 6, generator=generator) < 0.25
    before = [tensor.clone() for tensor in (rewards, values, following)]
    out = generalized_advantage(rewards, values, following, ends, discount=discount, gae_lambda=gae_lambda)
    for run, episode, step in torch.cartesian_prod(*(torch.arange(n) for n in (2, 3, 6))).tolist():
        total, factor = 0.0, 1.0
        for later in range(step, 6):
            place = run, episode, later
            total += factor * (rewards[place] + discount * following[place] - values[place]).item()
            if ends[place]:
                break
            factor *= discount * gae_lambda
        assert out[run, episode, step].item() == pytest.approx(total, abs=1e-12)
    for tensor, old in zip((rewards, values, following), before, strict=True):
        assert torch.equal(tensor, old)


def test_with_lambda_1_the_values_in_between_cancel_and_the_target_is_the_return() -> None:
    rewards, values = torch.tensor([[[1.0, 2.0, 4.0]]]), torch.tensor([[[7.0, -3.0, 5.0]]])
    following, ends = torch.tensor([[[-3.0, 5.0, 10.0]]]), torch.tensor([[[False, False, True]]])
    advantage = generalized_advantage(rewards, values, following, ends, discount=0.5, gae_lambda=1.0)
    returns = torch.tensor([[[1 + 1 + 1 + 10 / 8, 2 + 2 + 10 / 4, 4 + 10 / 2]]])
    torch.testing.assert_close(advantage + values, returns)


def row(*values: float) -> Tensor:
    return torch.tensor([values])


def test_value_loss_by_hand() -> None:
    value, old, target = row(1.0, 3.0, -2.0), row(0.0, 2.9, 0.0), row(2.0, 0.0, -1.0)
    torch.testing.assert_close(value_loss(value, old, target), row(0.5, 4.5, 0.5))
    # Held to 0.2 around the old values: 0.2, 3.0 and -0.2, whose errors are 1.8, 3 and 0.8; the larger error counts.
    torch.testing.assert_close(value_loss(value, old, target, clip=0.2), row(1.62, 4.5, 0.5))


def test_a_clipped_value_is_not_pushed_on_but_may_come_back() -> None:
    old, target = row(0.0, 0.0), row(2.0, -2.0)
    value = row(1.0, 1.0).requires_grad_()  # both 0.9 beyond the bound; the first moved towards its target
    (gradient,) = torch.autograd.grad(value_loss(value, old, target, clip=0.1).sum(), value)
    torch.testing.assert_close(gradient, row(0.0, 3.0))


def test_normalised_values_have_mean_0_and_deviation_1_in_each_run_by_its_weights() -> None:
    values = torch.tensor([[1.0, 3.0, 100.0], [5.0, 5.0, 8.0]])
    weight = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.25, 0.25]])
    # Run 0: mean 2, deviation 1. Run 1: mean 5.75, deviation √(0.75 · 0.75² + 0.25 · 2.25²) = √1.6875.
    deviation = 1.6875**0.5
    expected = torch.tensor([[-1.0, 1.0, 98.0], [-0.75 / deviation, -0.75 / deviation, 2.25 / deviation]])
    torch.testing.assert_close(normalized(values, weight), expected)


def test_values_that_are_all_the_same_become_0() -> None:
    assert normalized(torch.full((1, 4), 7.0), torch.full((1, 4), 0.25)).tolist() == [[0, 0, 0, 0]]
