"""Losses and rewards against numbers worked out by hand, and against slow loops."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from magail_trainer.learn.losses import (
    REWARDS,
    airl_reward,
    discriminator_loss,
    expected,
    gail_reward,
    generalized_advantage,
    gradient_penalty,
    non_saturating_reward,
    normalized,
    policy_objective,
    symmetric_reward,
    value_loss,
)

torch.set_num_threads(1)

LOG_3 = math.log(3)  # the logit at which D = 3/4
probabilities = st.lists(st.floats(0.01, 1), min_size=4, max_size=4).map(lambda w: [x / sum(w) for x in w])


def row(*values: float) -> Tensor:
    return torch.tensor([values], dtype=torch.float64)


def test_discriminator_loss_by_hand() -> None:
    # Run 0: the expert at D = 1/2 and 3/4, the learner at D = 3/4. Run 1: everything at D = 1/2, some of it unweighted.
    loss = discriminator_loss(
        torch.tensor([[0.0, LOG_3], [0.0, 99.0]]),
        torch.tensor([[0.25, 0.75], [1.0, 0.0]]),
        torch.tensor([[LOG_3, LOG_3, LOG_3], [0.0, 0.0, -99.0]]),
        torch.tensor([[0.5, 0.25, 0.25], [0.5, 0.5, 0.0]]),
    )
    first = -0.25 * math.log(1 / 2) - 0.75 * math.log(3 / 4) - math.log(1 / 4)
    torch.testing.assert_close(loss, torch.tensor([first, 2 * math.log(2)]))


def test_discriminator_loss_stays_finite_where_a_sigmoid_saturates() -> None:
    one = row(1.0)
    assert discriminator_loss(row(-500.0), one, row(500.0), one).item() == 1000
    assert discriminator_loss(row(500.0), one, row(-500.0), one).item() == pytest.approx(0)


@given(probabilities, probabilities)
@settings(deadline=None)
def test_discriminator_gradient_vanishes_at_the_log_ratio_and_only_there(
    expert: list[float], learner: list[float]
) -> None:
    p_expert, p_learner = row(*expert), row(*learner)
    logit = (p_expert / p_learner).log().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator_loss(logit, p_expert, logit, p_learner).sum(), logit)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-12, rtol=0)
    # The loss is convex in each logit: above the optimum the gradient is positive, below it negative.
    for shift in (-0.5, 0.5):
        moved = (logit.detach() + shift).requires_grad_()
        (gradient,) = torch.autograd.grad(discriminator_loss(moved, p_expert, moved, p_learner).sum(), moved)
        assert (gradient * shift > 0).all()


def test_label_smoothing_by_hand() -> None:
    # D = 3/4 for the expert and 1/2 for the learner; a tenth of each label is wrong.
    loss = discriminator_loss(row(LOG_3), row(1.0), row(0.0), row(1.0), label_smoothing=0.1)
    by_hand = -0.9 * math.log(3 / 4) - 0.1 * math.log(1 / 4) + math.log(2)
    torch.testing.assert_close(loss, torch.tensor([by_hand], dtype=torch.float64))


@given(probabilities, probabilities, st.floats(0.01, 0.4))
@settings(deadline=None, max_examples=30)
def test_smoothed_labels_are_balanced_at_a_bounded_logit(
    expert: list[float], learner: list[float], smoothing: float
) -> None:
    p_expert, p_learner = row(*expert), row(*learner)
    high = ((1 - smoothing) * p_expert + smoothing * p_learner) / (p_expert + p_learner)
    logit = (high / (1 - high)).log().requires_grad_()
    loss = discriminator_loss(logit, p_expert, logit, p_learner, label_smoothing=smoothing)
    (gradient,) = torch.autograd.grad(loss.sum(), logit)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-12, rtol=0)
    assert logit.abs().max() < math.log((1 - smoothing) / smoothing)


def test_the_gradient_penalty_by_hand() -> None:
    gradients = torch.tensor([[[3.0, 4.0], [0.0, 1.0]], [[0.0, 0.5], [9.0, 9.0]]])  # norms 5 and 1; 1/2 and any
    weight = torch.tensor([[0.25, 0.75], [1.0, 0.0]])
    torch.testing.assert_close(gradient_penalty(gradients, weight), torch.tensor([4.0, 0.25]))


def test_the_gradient_penalty_of_a_flat_judge_has_a_finite_gradient() -> None:
    slope = torch.zeros(1, 1, 2, requires_grad=True)
    (second,) = torch.autograd.grad(gradient_penalty(slope, torch.ones(1, 1)).sum(), slope)
    assert second.isfinite().all()


@pytest.mark.parametrize(
    ("reward", "at_zero", "at_log_3", "low", "high"),
    [
        (non_saturating_reward, math.log(1 / 2), math.log(3 / 4), -500, 0),
        (gail_reward, math.log(2), math.log(4), 0, 500),
        (airl_reward, 0, LOG_3, -500, 500),
        (symmetric_reward, 0, 1 / 2, -1, 1),
    ],
)
def test_rewards_by_hand(
    reward: Callable[[Tensor], Tensor], at_zero: float, at_log_3: float, low: float, high: float
) -> None:
    torch.testing.assert_close(reward(row(0, LOG_3, -500, 500)), row(at_zero, at_log_3, low, high))


@given(st.floats(-30, 30))
@settings(deadline=None)
def test_the_two_rewards_add_up_to_the_logit(logit: float) -> None:
    # log D - log(1 - D) is what D is the sigmoid of.
    both = REWARDS["non_saturating"](row(logit)) + REWARDS["gail"](row(logit))
    torch.testing.assert_close(both, row(logit), atol=1e-12, rtol=0)


def reward_to_go(rewards: Tensor, *, discount: float) -> Tensor:
    """The advantage over nothing, with all of the future."""
    nothing = torch.zeros_like(rewards)
    return generalized_advantage(rewards, nothing, nothing, nothing.bool(), discount=discount, gae_lambda=1.0)


def test_reward_to_go_by_hand() -> None:
    rewards = torch.tensor([[[1.0, 2.0, 4.0], [8.0, 2.0, 0.0]], [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]])  # [R, E, T]
    to_go = torch.tensor([[[3.0, 4.0, 4.0], [9.0, 2.0, 0.0]], [[1.0, 0.0, 0.0], [0.25, 0.5, 1.0]]])
    before = rewards.clone()
    torch.testing.assert_close(reward_to_go(rewards, discount=0.5), to_go)
    torch.testing.assert_close(rewards, before)


@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 6)),
    discount=st.sampled_from([0.0, 0.3, 0.99, 1.0]),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=40)
def test_reward_to_go_is_the_discounted_sum_of_what_is_left(
    shape: tuple[int, int, int], discount: float, seed: int
) -> None:
    rewards = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    slow = torch.zeros_like(rewards)
    for run, episode, step in torch.cartesian_prod(*(torch.arange(n) for n in shape)).reshape(-1, 3).tolist():
        for later in range(step, shape[2]):
            slow[run, episode, step] += discount ** (later - step) * rewards[run, episode, later]
    torch.testing.assert_close(reward_to_go(rewards, discount=discount), slow)


def test_expected_by_hand() -> None:
    values, weight = torch.tensor([[0.2, 0.6], [0.5, 9.0]]), torch.tensor([[0.25, 0.75], [1.0, 0.0]])
    torch.testing.assert_close(expected(values, weight), torch.tensor([0.5, 0.5]))


def test_policy_objective_by_hand() -> None:
    log_prob = torch.tensor([[-1.0, -2.0], [-3.0, -9.0]])
    returns = torch.tensor([[4.0, -1.0], [2.0, 7.0]])
    entropy = torch.tensor([[0.5, 0.6], [0.7, 0.1]])
    objective = policy_objective(log_prob, None, returns, entropy, torch.tensor([0.0, 10.0]))
    torch.testing.assert_close(objective, torch.tensor([[-4.0, 2.0], [-6.0 + 7.0, -63.0 + 1.0]]))


def test_the_objectives_gradient_is_reinforce_and_leaves_the_returns_alone() -> None:
    logits = row(0.0, LOG_3).requires_grad_()  # probabilities 1/4 and 3/4
    returns = row(5.0, -2.0).requires_grad_()
    objective = policy_objective(logits.log_softmax(-1), None, returns * 1, row(0.0, 0.0), torch.zeros(1))
    loss = -expected(objective, row(0.25, 0.75))
    for_logits, for_returns = torch.autograd.grad(loss.sum(), (logits, returns), allow_unused=True)
    # -Σ w G (onehot - p): 1/4 · 5 · (3/4, -3/4) + 3/4 · -2 · (-1/4, 1/4) = (1.3125, -1.3125)
    torch.testing.assert_close(for_logits, row(-1.3125, 1.3125))
    assert for_returns is None


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


def float_row(*values: float) -> Tensor:
    return torch.tensor([values])


def test_value_loss_by_hand() -> None:
    value, old, target = float_row(1.0, 3.0, -2.0), float_row(0.0, 2.9, 0.0), float_row(2.0, 0.0, -1.0)
    torch.testing.assert_close(value_loss(value, old, target), float_row(0.5, 4.5, 0.5))
    # Held to 0.2 around the old values: 0.2, 3.0 and -0.2, whose errors are 1.8, 3 and 0.8; the larger error counts.
    torch.testing.assert_close(value_loss(value, old, target, clip=0.2), float_row(1.62, 4.5, 0.5))


def test_a_clipped_value_is_not_pushed_on_but_may_come_back() -> None:
    old, target = float_row(0.0, 0.0), float_row(2.0, -2.0)
    value = float_row(1.0, 1.0).requires_grad_()  # both 0.9 beyond the bound; the first moved towards its target
    (gradient,) = torch.autograd.grad(value_loss(value, old, target, clip=0.1).sum(), value)
    torch.testing.assert_close(gradient, float_row(0.0, 3.0))


def test_normalised_values_have_mean_0_and_deviation_1_in_each_run_by_its_weights() -> None:
    values = torch.tensor([[1.0, 3.0, 100.0], [5.0, 5.0, 8.0]])
    weight = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.25, 0.25]])
    # Run 0: mean 2, deviation 1. Run 1: mean 5.75, deviation √(0.75 · 0.75² + 0.25 · 2.25²) = √1.6875.
    deviation = 1.6875**0.5
    expected = torch.tensor([[-1.0, 1.0, 98.0], [-0.75 / deviation, -0.75 / deviation, 2.25 / deviation]])
    torch.testing.assert_close(normalized(values, weight), expected)


def test_values_that_are_all_the_same_become_0() -> None:
    assert normalized(torch.full((1, 4), 7.0), torch.full((1, 4), 0.25)).tolist() == [[0, 0, 0, 0]]
