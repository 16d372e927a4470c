"""The boundary in the discriminator's speed: closed forms, the nonlinear flow itself, the table of measured runs."""

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.special import expit

from experiments.theory.discriminator_speed import (
    BIMODAL,
    Optimizer,
    coupled_jacobian,
    critical_beta_at_speed,
    critical_speed_ratio,
    mixed_point_is_stable,
)
from experiments.theory.gradient_flow import GradientFlow
from magail_trainer.learn.config import RewardStyle

NOISY = np.array([[0.45, 0.05], [0.05, 0.45]])


@pytest.mark.parametrize("beta", [0.0, 0.1, 0.25, 0.5])
def test_critical_speed_of_gail_is_three_halves_of_log_3_less_two_beta(beta: float) -> None:
    ratio = critical_speed_ratio("gail", beta, logit_bound=math.inf)
    assert ratio == pytest.approx(1.5 * (math.log(3) - 2 * beta))
    assert not mixed_point_is_stable("gail", beta, 0.99 * ratio)
    assert mixed_point_is_stable("gail", beta, 1.01 * ratio)


def test_under_adams_noise_the_boundary_of_gail_is_the_root_of_two() -> None:
    """One sample's gradient: log 3 / √8 for a policy, 1/3 for the logit of AA. So 1.648 · (1/3) / (log 3 / √8)."""
    for beta in (0.0, 0.3):
        expected = math.sqrt(2) * (1 - 2 * beta / math.log(3))
        assert critical_speed_ratio("gail", beta, logit_bound=math.inf, optimizer="adam") == pytest.approx(expected)


def test_critical_speed_of_symmetric() -> None:
    """3/2 (4/3 − 2β), but at no speed below β = 2/9, and at any above 2/3."""
    assert critical_speed_ratio("symmetric", 0.22) == math.inf
    assert critical_speed_ratio("symmetric", 0.25, logit_bound=math.inf) == pytest.approx(1.25)
    assert critical_speed_ratio("symmetric", 0.67) == 0.0
    assert not mixed_point_is_stable("symmetric", 0.0, 1e4)
    assert mixed_point_is_stable("symmetric", 0.67, 1e-4)


@pytest.mark.parametrize("optimizer", ["gradient", "adam"])
@pytest.mark.parametrize(
    ("reward_style", "lr_policy", "lr_disc", "stays_mixed"),
    [
        ("gail", 0.01, 0.001, False),
        ("gail", 0.01, 0.01, False),
        ("gail", 0.01, 0.1, True),
        ("gail", 0.001, 0.01, True),
        ("non_saturating", 0.01, 0.001, False),
        ("non_saturating", 0.01, 0.1, False),
        ("non_saturating", 0.001, 0.01, False),
        ("non_saturating", 0.001, 0.1, False),
    ],
)
def test_the_table_of_measured_collapses(
    reward_style: RewardStyle, lr_policy: float, lr_disc: float, *, stays_mixed: bool, optimizer: Optimizer
) -> None:
    """Bimodal, β = 0, uniform start, 4000 epochs of Adam, 50 seeds each: coordination .99 or more, or .5."""
    assert mixed_point_is_stable(reward_style, 0.0, lr_disc / lr_policy, optimizer=optimizer) == stays_mixed


def test_log_d_can_be_stable_only_while_the_discriminator_is_hardly_sure() -> None:
    """The reward of matching must be below 2 r' = 2/3: log(2/3) + log(1 + e^L) < 2/3, so L < 0.655."""
    limit = math.log(1.5 * math.exp(2 / 3) - 1)
    assert limit < math.log(2)  # so sure is it of AA at its optimum: never
    assert critical_speed_ratio("non_saturating", 0.0, logit_bound=1.0) == math.inf
    assert critical_speed_ratio("airl", 0.0, logit_bound=2.0) == math.inf


def velocity(state: np.ndarray, expert: np.ndarray, beta: float, speed_ratio: float) -> np.ndarray:
    """The nonlinear flow of p_0, p_1 and four logits under gail, written out action by action."""
    (p, r), logits = state[:2], state[2:].reshape(2, 2)
    reward = np.logaddexp(0, logits)
    first = (r * reward[0, 0] + (1 - r) * reward[0, 1]) - (r * reward[1, 0] + (1 - r) * reward[1, 1])
    second = (p * reward[0, 0] + (1 - p) * reward[1, 0]) - (p * reward[0, 1] + (1 - p) * reward[1, 1])
    joint = np.outer([p, 1 - p], [r, 1 - r])
    moves = [2 * (x * (1 - x)) ** 2 * (a - beta * math.log(x / (1 - x))) for x, a in ((p, first), (r, second))]
    return np.array([*moves, *(speed_ratio * (expert - (expert + joint) * expit(logits))).ravel()])


@pytest.mark.parametrize("beta", [0.0, 0.2])
def test_the_jacobian_is_that_of_the_nonlinear_flow(beta: float) -> None:
    flow, theta = GradientFlow(NOISY, "gail", beta), np.zeros(2)
    state = np.concatenate([[0.5, 0.5], flow.logits(theta).ravel()])
    np.testing.assert_allclose(velocity(state, NOISY, beta, 3.0), 0.0, atol=1e-12)
    step = 1e-6
    columns = [
        (velocity(state + step * axis, NOISY, beta, 3.0) - velocity(state - step * axis, NOISY, beta, 3.0)) / (2 * step)
        for axis in np.eye(6)
    ]
    np.testing.assert_allclose(coupled_jacobian(flow, theta, 3.0), np.stack(columns, axis=-1), atol=1e-8)


@pytest.mark.parametrize(("speed_ratio", "comes_back"), [(1.3, False), (2.0, True)])
def test_a_small_push_grows_below_the_critical_speed_and_dies_above(speed_ratio: float, *, comes_back: bool) -> None:
    start = np.array([0.505, 0.505, math.log(2), -30.0, -30.0, math.log(2)])
    path = solve_ivp(
        lambda _, state: velocity(state, BIMODAL, 0.0, speed_ratio), (0, 150), start, rtol=1e-8, atol=1e-10
    )
    late = np.abs(path.y[0, path.t > 100] - 0.5).max()
    assert late < 0.004 if comes_back else late > 0.01


def test_an_expert_that_prefers_an_action_is_refused() -> None:
    with pytest.raises(ValueError, match="no fixed point"):
        mixed_point_is_stable("gail", 0.0, 1.0, expert_joint=np.array([[0.7, 0.0], [0.0, 0.3]]))


@pytest.mark.parametrize("ratio", [1e-5, 0.1, 0.5, 1.0, 1.5])
def test_the_critical_beta_of_a_speed_is_the_inverse_of_the_critical_speed(ratio: float) -> None:
    beta = critical_beta_at_speed("gail", ratio, logit_bound=math.inf)
    assert beta == pytest.approx(math.log(3) / 2 - ratio / 3, abs=1e-6)  # ρ = 3/2 (Δ - 2β)
    assert critical_speed_ratio("gail", beta, logit_bound=math.inf) == pytest.approx(ratio, rel=1e-4)


def test_a_fast_discriminator_needs_no_entropy_with_gail_and_some_with_symmetric() -> None:
    assert critical_beta_at_speed("gail", 10.0, logit_bound=math.inf) < 0
    assert critical_beta_at_speed("symmetric", 100.0, logit_bound=math.inf) == pytest.approx(2 / 9, abs=1e-6)
    with pytest.raises(ValueError, match=r"expected a positive speed, got 0\.0"):
        critical_beta_at_speed("gail", 0.0)
