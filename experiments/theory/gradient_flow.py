"""The noise-free gradient flow of adversarial imitation by two independent policies in a 2×2 game.

Agent i plays A with probability p_i = sigmoid(θ_i), so that the joint is q = (p_0, 1 − p_0) × (p_1, 1 − p_1). A
discriminator gives each joint action c the logit l(c), and with it the reward r(l); the payoffs of the game play no
role. Agent i's advantage of A over B, with the entropy bonus β H(p_i), is

    A_i = Σ_c ∂q(c)/∂p_i r(l(c)) − β θ_i,

and REINFORCE (Williams 1992) on a softmax of two logits gives dp_i/dt = 2 p_i² (1 − p_i)² A_i: one p_i (1 − p_i) from
each of d(log π)/dθ and dp/dθ, and a 2 since one logit rises as the other falls. Such positive factors change the time
that the flow takes, but neither its fixed points nor their stability: ∂A_i/∂p_j is symmetric, for every reward here is
∂/∂q of some Σ_c F(q(c)) or, with a frozen discriminator, a constant, and by Sylvester's law of inertia scaling a
symmetric matrix preserves the signs of its eigenvalues. For the policies alone, Adam, which divides each gradient by
its size, is such a factor too.

The discriminator is either frozen or, at every instant, optimal: l = log P_E / q (Goodfellow et al. 2014, proposition
1). Then l = −∞ for a joint action that the expert never plays, which a discriminator in training approaches but never
reaches: all logits are clipped to ±`logit_bound`. For the rewards gail and symmetric, which are finite at −∞, an
infinite bound gives the closed forms; for log D and the logit itself the results depend on the bound.
Shapes: `...` any leading axes, 2 agents, [2, 2] joint actions AA, AB, BA, BB.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import expit, log_expit

from experiments.matching.metrics import Array
from experiments.theory.settings import LOGIT_BOUND
from magail_trainer.errors import InputError
from magail_trainer.learn.config import RewardStyle

_SIGNS = np.array([1.0, -1.0])  # of A and B in the derivative of (p, 1 − p)
_CROSS = np.multiply.outer(_SIGNS, _SIGNS)  # ∂²q/∂p_0∂p_1


class RewardOfLogit(NamedTuple):
    """A reward as a function of the discriminator's logit, and its slope."""

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]


REWARDS: Mapping[RewardStyle, RewardOfLogit] = {
    "non_saturating": RewardOfLogit(log_expit, lambda logit: expit(-logit)),
    "gail": RewardOfLogit(lambda logit: -log_expit(-logit), expit),
    "airl": RewardOfLogit(lambda logit: logit, np.ones_like),
    "symmetric": RewardOfLogit(lambda logit: np.tanh(logit / 2), lambda logit: 2 * expit(logit) * expit(-logit)),
}
"""The trainer's rewards (`magail_trainer.learn.losses`), without torch and with slopes."""


def check_closed_form(reward: str) -> None:
    """Refuse a reward that the theory does not know, before anything is trained.

    Raises:
        InputError: it has no closed form here.
    """
    if reward not in REWARDS:
        raise InputError(f"The theory has closed forms for the rewards {', '.join(REWARDS)}, not for {reward!r}.")


@dataclass(frozen=True, eq=False)
class GradientFlow:
    """The flow for an expert, a reward, a β and a kind of discriminator.

    Raises:
        ValueError: the expert is not a distribution over 2×2 joint actions.
    """

    expert_joint: Array
    """`[2, 2]`"""
    reward_style: RewardStyle
    beta: float = 0.0
    """Weight of the entropy bonus, in nats."""
    frozen_logits: Array | None = None
    """`[2, 2]`: the logits of a frozen discriminator; None for one that is optimal at every instant."""
    logit_bound: float = LOGIT_BOUND
    """The largest absolute value of a logit."""

    def __post_init__(self) -> None:
        expert = np.asarray(self.expert_joint, dtype=np.float64)
        if expert.shape != (2, 2) or not np.isclose(expert.sum(), 1) or (expert < 0).any():
            raise ValueError(f"expected a distribution over 2×2 joint actions, got {self.expert_joint}")

    @property
    def reward(self) -> RewardOfLogit:
        """The reward as a function of the logit."""
        return REWARDS[self.reward_style]

    def logits(self, theta: Array) -> Array:
        """The discriminator's logits with the policies at θ, `[..., 2]` -> `[..., 2, 2]`."""
        if self.frozen_logits is not None:
            bounded = np.clip(self.frozen_logits, -self.logit_bound, self.logit_bound)
            return np.broadcast_to(bounded, (*np.shape(theta)[:-1], 2, 2))
        return np.clip(optimal_logits(self.expert_joint, theta), -self.logit_bound, self.logit_bound)

    def advantages(self, theta: Array) -> Array:
        """A_i, the advantage of A over B with the entropy bonus: `[..., 2]` -> `[..., 2]`.

        The pure corners are θ = ±∞; unless β = 0, the entropy bonus is infinite there and points inwards.
        """
        gain = np.einsum("...iab,...ab->...i", joint_slopes(theta), self.reward.value(self.logits(theta)))
        return gain - self.beta * theta if self.beta else gain

    def velocity(self, prob_a: Array) -> Array:
        """dp/dt of REINFORCE at P(A) inside (0, 1), `[..., 2]` -> `[..., 2]`, in units of the learning rate."""
        return 2 * (prob_a * (1 - prob_a)) ** 2 * self.advantages(theta_of(prob_a))

    def advantage_slopes(self, theta: Array) -> Array:
        """∂A_i/∂θ_j, `[..., 2]` -> `[..., 2, 2]`; the entropy bonus subtracts β from its eigenvalues.

        It is the Jacobian of dθ/dt = A, the same flow up to positive factors (the replicator's, dp/dt = p (1 − p) A).
        """
        logits, slopes = self.logits(theta), joint_slopes(theta)
        cross = np.einsum("ab,...ab->...", _CROSS, self.reward.value(logits))
        slope_p = cross[..., None, None] * (1 - np.eye(2))
        if self.frozen_logits is None:
            moving = np.abs(logits) < self.logit_bound  # a logit at the bound does not respond
            response = np.zeros_like(logits)  # dr/dq
            np.divide(-self.reward.slope(logits), joint_of(theta), out=response, where=moving)
            slope_p = slope_p + np.einsum("...iab,...jab,...ab->...ij", slopes, slopes, response)
        return slope_p * (expit(theta) * expit(-theta))[..., None, :] - self.beta * np.eye(2)


def theta_of(prob_a: Array) -> Array:
    """The logit of P(A): ±∞ at the ends."""
    with np.errstate(divide="ignore"):
        return np.log(prob_a) - np.log1p(-np.asarray(prob_a))


def joint_of(theta: Array) -> Array:
    """The joint of two independent policies, `[..., 2]` -> `[..., 2, 2]`."""
    return np.exp(_log_joint(theta))


def joint_slopes(theta: Array) -> Array:
    """∂q/∂p_i, `[..., 2]` -> `[..., 2 agents, 2, 2]`: how the joint changes as agent i plays A more often."""
    policies = np.stack([expit(theta), expit(-theta)], axis=-1)
    of_first = _SIGNS[:, None] * policies[..., 1, None, :]
    of_second = policies[..., 0, :, None] * _SIGNS
    return np.stack([of_first, of_second], axis=-3)


def optimal_logits(expert_joint: Array, theta: Array) -> Array:
    """log P_E / q, `[..., 2]` -> `[..., 2, 2]`; −∞ for joint actions that the expert never plays."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logits = np.log(expert_joint) - _log_joint(theta)
    return np.where(np.asarray(expert_joint) > 0, logits, -np.inf)


def frozen_at_uniform(
    expert_joint: Array, reward_style: RewardStyle, beta: float = 0.0, *, logit_bound: float = LOGIT_BOUND
) -> GradientFlow:
    """The flow with the discriminator frozen at its optimum against uniform policies."""
    logits = optimal_logits(expert_joint, np.zeros(2))
    return GradientFlow(expert_joint, reward_style, beta, logits, logit_bound)


def _log_joint(theta: Array) -> Array:
    """log q, exact where a probability would round to 0 or 1."""
    log_policies = np.stack([log_expit(theta), log_expit(-theta)], axis=-1)
    return log_policies[..., 0, :, None] + log_policies[..., 1, None, :]
