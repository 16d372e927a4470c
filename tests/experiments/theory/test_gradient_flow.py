"""The flow against the trainer's own losses, finite differences, and numbers worked out by hand."""

import math
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit
from torch import Tensor

from experiments.matching.metrics import product_joint
from experiments.theory.fixed_points import critical_beta
from experiments.theory.gradient_flow import (
    REWARDS,
    GradientFlow,
    frozen_at_uniform,
    joint_of,
    optimal_logits,
    theta_of,
)
from magail_trainer.learn import losses
from magail_trainer.learn.config import RewardStyle

BIMODAL = np.array([[0.5, 0.0], [0.0, 0.5]])
NOISY = np.array([[0.45, 0.05], [0.05, 0.45]])
STYLES: tuple[RewardStyle, ...] = get_args(RewardStyle)

cells = arrays(np.float64, (2, 2), elements=st.sampled_from([0.0, 0.02, 0.3, 1.0]))
experts = cells.filter(lambda weights: weights.sum() > 0).map(lambda weights: weights / weights.sum())
thetas = arrays(np.float64, (2,), elements=st.floats(-4, 4))


@st.composite
def flows(draw: st.DrawFn) -> GradientFlow:
    expert, style, beta = draw(experts), draw(st.sampled_from(STYLES)), draw(st.sampled_from([0.0, 0.3, 2.0]))
    return frozen_at_uniform(expert, style, beta) if draw(st.booleans()) else GradientFlow(expert, style, beta)


@pytest.mark.parametrize("style", STYLES)
def test_rewards_are_the_trainers_with_their_slopes(style: RewardStyle) -> None:
    logit = torch.linspace(-12, 12, 49, dtype=torch.float64, requires_grad=True)
    reward = losses.REWARDS[style](logit)
    (slope,) = torch.autograd.grad(reward.sum(), logit)
    at = logit.detach().numpy()
    np.testing.assert_allclose(REWARDS[style].value(at), reward.detach().numpy(), atol=1e-12)
    np.testing.assert_allclose(REWARDS[style].slope(at), slope.numpy(), atol=1e-12)


@pytest.mark.parametrize("style", STYLES)
def test_velocity_is_a_small_step_up_the_trainers_objective(style: RewardStyle) -> None:
    """Every joint action with its exact weight, through the losses that training uses."""
    prob_a, beta, rate = np.array([0.3, 0.8]), 0.4, 1e-6
    flow = GradientFlow(NOISY, style, beta)
    reward = torch.tensor(REWARDS[style].value(flow.logits(theta_of(prob_a))).reshape(1, 4))
    weight = torch.tensor(joint_of(theta_of(prob_a)).reshape(1, 4))
    table = torch.tensor(np.stack([np.log(prob_a), np.log(1 - prob_a)], axis=-1), requires_grad=True)
    loss = -_objective(table, reward, weight, beta)
    (gradient,) = torch.autograd.grad(loss, table)
    after = (table - rate * gradient).detach().softmax(-1)[:, 0].numpy()
    np.testing.assert_allclose((after - prob_a) / rate, flow.velocity(prob_a), rtol=1e-4)


def _objective(table: Tensor, reward: Tensor, weight: Tensor, beta: float) -> Tensor:
    log_probs, total = table.log_softmax(-1), torch.zeros((), dtype=torch.float64)
    for agent, actions in enumerate((torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1]))):
        entropy = -(log_probs[agent].exp() * log_probs[agent]).sum().expand(1, 4)
        chosen = log_probs[agent][actions].unsqueeze(0)
        objective = losses.policy_objective(
            chosen, None, reward, entropy, torch.tensor([beta], dtype=torch.float64), clip=0.0
        )
        total = total + losses.expected(objective, weight).sum()
    return total


@given(flows(), thetas)
def test_slopes_are_those_of_the_advantages_and_symmetric(flow: GradientFlow, theta: np.ndarray) -> None:
    step = 1e-6
    moved = [
        (flow.advantages(theta + step * axis) - flow.advantages(theta - step * axis)) / (2 * step) for axis in np.eye(2)
    ]
    slopes = flow.advantage_slopes(theta)
    np.testing.assert_allclose(slopes, np.stack(moved, axis=-1), rtol=1e-4, atol=1e-6)
    slope_p = slopes / (expit(theta) * expit(-theta))
    assert slope_p[0, 1] == pytest.approx(slope_p[1, 0], abs=1e-9)


@given(thetas)
def test_with_an_optimal_discriminator_airl_descends_the_reverse_kl_divergence(theta: np.ndarray) -> None:
    def reverse_kl(prob_a: np.ndarray) -> float:
        joint = product_joint([np.array([p, 1 - p]) for p in prob_a])
        return float((joint * np.log(joint / NOISY)).sum())

    prob_a, step = expit(theta), 1e-7
    descent = [
        -(reverse_kl(prob_a + step * axis) - reverse_kl(prob_a - step * axis)) / (2 * step) for axis in np.eye(2)
    ]
    np.testing.assert_allclose(GradientFlow(NOISY, "airl").advantages(theta), descent, rtol=1e-4, atol=1e-5)


def test_a_flow_takes_a_whole_field_at_once() -> None:
    square, flow = np.random.default_rng(0).uniform(0.01, 0.99, size=(3, 5, 2)), GradientFlow(BIMODAL, "gail", 0.2)
    velocity = flow.velocity(square)
    assert velocity.shape == (3, 5, 2)
    assert flow.advantage_slopes(theta_of(square)).shape == (3, 5, 2, 2)
    for index in np.ndindex(3, 5):
        np.testing.assert_allclose(velocity[index], flow.velocity(square[index]))


def test_gail_with_an_optimal_discriminator_pushes_back_to_the_mixed_point() -> None:
    """The slope in p of the advantage along the diagonal at ½ is 2 (log 3 − 4/3) = −0.469."""
    flow, step = GradientFlow(BIMODAL, "gail", logit_bound=math.inf), 1e-6
    above, below = (flow.advantages(theta_of(np.full(2, 0.5 + sign * step)))[0] for sign in (1, -1))
    assert (above - below) / (2 * step) == pytest.approx(2 * (math.log(3) - 4 / 3), abs=1e-6)
    assert critical_beta(flow) == pytest.approx((math.log(3) - 4 / 3) / 2)  # −0.117: no β is needed


SURE = 10.0  # of the discriminator, as a logit


@pytest.mark.parametrize(
    ("style", "bound", "beta"),
    [
        ("gail", math.inf, math.log(3) / 2),  # 0.549
        ("gail", SURE, (math.log(3) - math.log1p(math.exp(-SURE))) / 2),
        ("symmetric", math.inf, 2 / 3),
        ("non_saturating", SURE, (math.log(2 / 3) + math.log1p(math.exp(SURE))) / 2),  # 4.80, and grows with the bound
        ("airl", SURE, (math.log(2) + SURE) / 2),  # 5.35, the same
    ],
)
def test_critical_beta_of_a_frozen_discriminator(style: RewardStyle, bound: float, beta: float) -> None:
    """Half of the reward of matching, r(2/3) − r(0): log(3)/2 is that of gail."""
    assert critical_beta(frozen_at_uniform(BIMODAL, style, logit_bound=bound)) == pytest.approx(beta, abs=1e-12)


def test_critical_beta_of_symmetric_with_an_optimal_discriminator() -> None:
    assert critical_beta(GradientFlow(BIMODAL, "symmetric", logit_bound=math.inf)) == pytest.approx(2 / 9)


def test_optimal_logits_by_hand() -> None:
    logits = optimal_logits(np.array([[0.7, 0.0], [0.1, 0.2]]), theta_of(np.array([0.5, 0.2])))
    np.testing.assert_allclose(logits, [[math.log(7), -math.inf], [0.0, math.log(0.5)]], atol=1e-12)


def test_logits_stay_within_the_bound_even_at_the_corners() -> None:
    flow = GradientFlow(BIMODAL, "airl", logit_bound=3.0)
    np.testing.assert_allclose(flow.logits(np.full(2, -math.inf)), [[3.0, -3.0], [-3.0, math.log(0.5)]])
    np.testing.assert_allclose(flow.advantages(np.full(2, -math.inf)), [-3.0 - math.log(0.5)] * 2)
    frozen = GradientFlow(BIMODAL, "airl", frozen_logits=np.full((2, 2), 9.0), logit_bound=3.0)
    np.testing.assert_array_equal(frozen.logits(np.zeros((4, 2))), np.full((4, 2, 2), 3.0))


@pytest.mark.parametrize("expert", [np.full((2, 3), 1 / 6), np.full((2, 2), 0.3), np.array([[1.5, -0.5], [0, 0]])])
def test_anything_but_a_2x2_distribution_is_refused(expert: np.ndarray) -> None:
    with pytest.raises(ValueError, match="2×2"):
        GradientFlow(expert, "gail")
