"""How fast a discriminator must learn for the mixed point to be stable, when policies and discriminator move together.

Gradient flow on the discriminator's cross entropy (`magail_trainer.learn.losses.discriminator_loss`), ρ = lr_disc /
lr_policy times as fast as the policies, lies between a frozen and an optimal discriminator:

    dp_i/dt = 2 p_i² (1 − p_i)² A_i,    dl(c)/dt = ρ (P_E(c) − (P_E(c) + q(c)) sigmoid(l(c))).

It has the fixed points of the flow with the optimal discriminator. Linearised at uniform policies and an expert of half
AA, half BB, only one mode can grow: both agents drift to the same action by ε while the logits of AA and BB move by ±a,

    dε/dt = (Δ − 2β)/4 ε + r'/8 a,    da/dt = −ρ (2/3 ε + a/6),

where Δ = r(AA) − r(AB) is the reward of matching and r' its slope at the logit log 2. The mixed point is stable
if and only if Δ − 2β < 2 r' (the condition of the optimal discriminator) and

    ρ > 3/2 (Δ − 2β).

With gail, Δ = log 3 and r' = 2/3: stable above ρ = 1.648 at β = 0, and at any ρ above β = log(3)/2. With symmetric,
Δ = 4/3 and r' = 4/9: at no ρ below β = 2/9. With log D and airl, Δ grows with the discriminator's certainty that AB is
not the expert's, and so does the β = Δ/2 − r' below which no ρ is enough.

The trainer uses Adam, which divides every parameter's gradient by its size. Near the mixed point the mean gradient
vanishes and that size is sampling noise; so Adam is about this flow with every row divided by the standard deviation of
one sample's gradient: `optimizer="adam"`. It moves the boundary of gail at β = 0 to √2. Neither model is exact: both
neglect momentum, the effect of noise on a weakly stable point over thousands of epochs, the time that the logits need
from their start at zero, and the corners, which may attract at any ρ far from the mixed point. Where the mixed point is
unstable, the policies need not settle at a convention: they may circle, chased by the discriminator.
"""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import root_scalar
from scipy.special import expit

from experiments.matching.metrics import Array
from experiments.theory.fixed_points import critical_beta
from experiments.theory.gradient_flow import LOGIT_BOUND, GradientFlow, frozen_at_uniform, joint_of, joint_slopes
from magail_trainer.learn.config import RewardStyle

Optimizer = Literal["gradient", "adam"]

BIMODAL = np.array([[0.5, 0.0], [0.0, 0.5]])

_SLOWEST, _FASTEST = 1e-6, 1e6
_BETAS = (-100.0, 100.0)  # brackets every critical β


def mixed_point_is_stable(
    reward_style: RewardStyle,
    beta: float,
    speed_ratio: float,
    *,
    expert_joint: Array = BIMODAL,
    logit_bound: float = LOGIT_BOUND,
    optimizer: Optimizer = "gradient",
) -> bool:
    """Whether uniform policies, with a discriminator that is optimal there, return after a small perturbation.

    Args:
        reward_style: the reward of the policies.
        beta: weight of the entropy bonus.
        speed_ratio: ρ = lr_disc / lr_policy.
        expert_joint: `[2, 2]`
        logit_bound: see `GradientFlow`.
        optimizer: plain gradient flow, or Adam with sampling noise; see above.

    Raises:
        ValueError: uniform policies are no fixed point, as for an expert that prefers an action.
    """
    flow = GradientFlow(expert_joint, reward_style, beta, logit_bound=logit_bound)
    critical_beta(flow)  # raises
    return _growth(flow, speed_ratio, optimizer) < 0


def critical_speed_ratio(
    reward_style: RewardStyle,
    beta: float,
    *,
    expert_joint: Array = BIMODAL,
    logit_bound: float = LOGIT_BOUND,
    optimizer: Optimizer = "gradient",
) -> float:
    """The ρ = lr_disc / lr_policy above which the mixed point is stable: 0 if it always is, ∞ if it never is.

    Arguments and errors as in `mixed_point_is_stable`.
    """
    optimal = GradientFlow(expert_joint, reward_style, beta, logit_bound=logit_bound)
    frozen = frozen_at_uniform(expert_joint, reward_style, beta, logit_bound=logit_bound)
    if critical_beta(optimal) >= beta:
        return math.inf
    if critical_beta(frozen) <= beta:
        return 0.0
    ends = (math.log(_SLOWEST), math.log(_FASTEST))
    found = root_scalar(lambda log_ratio: _growth(optimal, math.exp(log_ratio), optimizer), bracket=ends, xtol=1e-12)
    return math.exp(found.root)


def critical_beta_at_speed(
    reward_style: RewardStyle,
    speed_ratio: float,
    *,
    expert_joint: Array = BIMODAL,
    logit_bound: float = LOGIT_BOUND,
    optimizer: Optimizer = "gradient",
) -> float:
    """The β above which the mixed point is stable with a discriminator of speed ρ; negative if it always is.

    It is unique, since the entropy bonus damps the growing mode at the same rate for every speed. Arguments and errors
    as in `mixed_point_is_stable`; also ValueError for ρ = 0, at which perturbed logits never return.
    """
    if not speed_ratio > 0:
        raise ValueError(f"expected a positive speed, got {speed_ratio}; a frozen discriminator has `critical_beta`")

    def growth(beta: float) -> float:
        return _growth(GradientFlow(expert_joint, reward_style, beta, logit_bound=logit_bound), speed_ratio, optimizer)

    critical_beta(GradientFlow(expert_joint, reward_style, 0.0, logit_bound=logit_bound))  # raises
    return float(root_scalar(growth, bracket=_BETAS, xtol=1e-12).root)


def coupled_jacobian(flow: GradientFlow, theta: Array, speed_ratio: float, optimizer: Optimizer = "gradient") -> Array:
    """The Jacobian of (p_0, p_1, logits) at a fixed point θ `[2]` of the flow with an optimal discriminator.

    `[2 + C, 2 + C]`, in units of the policies' learning rate, with C logits within the bound.
    """
    logits, joint, slopes = flow.logits(theta), joint_of(theta), joint_slopes(theta)
    moving = np.abs(logits) < flow.logit_bound
    held = GradientFlow(flow.expert_joint, flow.reward_style, flow.beta, logits, flow.logit_bound)
    factor = expit(theta) * expit(-theta)  # p (1 − p)
    of_policies = np.hstack(
        [held.advantage_slopes(theta) / factor, (slopes * flow.reward.slope(logits))[:, moving]],
    ) * (2 * factor[:, None] ** 2)
    of_logits = -speed_ratio * np.hstack(
        [
            (expit(logits) * slopes)[:, moving].T,
            np.diag(((flow.expert_joint + joint) * expit(logits) * expit(-logits))[moving]),
        ]
    )
    if optimizer == "adam":
        of_policies, of_logits = (
            rows / noise[:, None]
            for rows, noise in zip((of_policies, of_logits), _gradient_noise(flow, theta, moving), strict=True)
        )
    return np.vstack([of_policies, of_logits])


def _growth(flow: GradientFlow, speed_ratio: float, optimizer: Optimizer) -> float:
    """The largest growth rate of a small perturbation at the uniform point."""
    return float(np.linalg.eigvals(coupled_jacobian(flow, np.zeros(2), speed_ratio, optimizer)).real.max())


def _gradient_noise(flow: GradientFlow, theta: Array, moving: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Standard deviation of one sample's gradient: of each policy's logit `[2]`, and of each moving logit `[C]`.

    Batches of the same size for both, as in training, scale both alike.
    """
    logits, joint, prob_a = flow.logits(theta), joint_of(theta), expit(theta)
    score = np.array([1.0, 0.0]) - prob_a[:, None]  # d(log π)/dθ_A of A and of B, [2, 2]
    squares = np.stack([score[0][:, None] ** 2 * np.ones(2), np.ones((2, 1)) * score[1] ** 2])
    of_policies = np.sqrt((squares * joint * flow.reward.value(logits) ** 2).sum(axis=(-2, -1)))
    expert, kept = flow.expert_joint, expit(logits)
    of_logits = np.sqrt(expert * (1 - expert) * (1 - kept) ** 2 + joint * (1 - joint) * kept**2)
    return of_policies, of_logits[moving]
