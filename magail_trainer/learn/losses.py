"""Losses and rewards: pure functions of tensors, one value per run.

Sum them over the runs before `backward`: a mean would scale every gradient by 1/R.

log D is logsigmoid(logit) and log(1 − D) is logsigmoid(−logit). Not −softplus(logit): on the CPU its last bit depends
on an element's position in the tensor, and so on which other runs are in the sweep.
"""

from collections.abc import Callable, Mapping
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from magail_trainer.errors import InputError
from magail_trainer.importing import import_callable
from magail_trainer.learn.config import RewardStyle

Reward = Callable[[Tensor], Tensor]
"""Maps logits to rewards of the same shape. A high logit means expert."""


def expected(values: Float[Tensor, "R B"], weight: Float[Tensor, "R B"]) -> Float[Tensor, " R"]:
    """Σ weight · value: a sample mean, or an exact expectation."""
    return (weight * values).sum(-1)


def discriminator_loss(
    expert_logit: Float[Tensor, "R B"],
    expert_weight: Float[Tensor, "R B"],
    learner_logit: Float[Tensor, "R C"],
    learner_weight: Float[Tensor, "R C"],
    *,
    label_smoothing: float = 0.0,
) -> Float[Tensor, " R"]:
    """−E_expert[log D] − E_learner[log(1 − D)], with D = sigmoid(logit): binary cross entropy with expert = 1.

    The discriminator's objective in Goodfellow et al. 2014 (equation 1) and, with opposite labels, in MAGAIL (Song et
    al. 2018, equation 8). The optimal logit is log p_expert / p_learner.

    With smoothing s the labels are 1 − s for the expert and s for the learner, which bounds the optimal logit.
    """
    expert = expected(logsigmoid(expert_logit), expert_weight)
    learner = expected(logsigmoid(-learner_logit), learner_weight)
    if label_smoothing == 0:
        return -expert - learner
    flipped_expert = expected(logsigmoid(-expert_logit), expert_weight)
    flipped_learner = expected(logsigmoid(learner_logit), learner_weight)
    kept = 1 - label_smoothing
    return -kept * (expert + learner) - label_smoothing * (flipped_expert + flipped_learner)


def non_saturating_reward(logit: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """log D: at most 0."""
    return logsigmoid(logit)


def gail_reward(logit: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """−log(1 − D): at least 0 (Ho & Ermon 2016, with expert = 1)."""
    return -logsigmoid(-logit)


def airl_reward(logit: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """log D − log(1 − D), the logit itself: of either sign (Fu et al. 2018, equation 3)."""
    return logit


def symmetric_reward(logit: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """2D − 1: between −1 and 1, as in the code released with the MAGAIL paper."""
    return 2 * logit.sigmoid() - 1


REWARDS: Mapping[RewardStyle, Reward] = {
    "non_saturating": non_saturating_reward,
    "gail": gail_reward,
    "airl": airl_reward,
    "symmetric": symmetric_reward,
}


def reward_function(style: RewardStyle | str) -> Reward:
    """The reward function of a style, or your own as `module:callable`, such as

        def clipped(logit):
            return logit.clamp(-2, 2)

    Raises:
        InputError: your function fails or changes the shape.
    """
    if ":" in style:
        return checked_reward(import_callable(style, what="--reward_style"), name=style)
    return REWARDS[cast(RewardStyle, style)]


def checked_reward(reward: Reward, *, name: str) -> Reward:
    """A user's reward function, tried on logits `[2, 3]`.

    Raises:
        InputError: it fails or changes the shape.
    """
    try:
        rewards = reward(torch.zeros(2, 3))
    except Exception as error:  # user code may raise anything
        raise InputError(f"--reward_style {name} cannot be used: {error}") from error
    if not isinstance(rewards, Tensor) or rewards.shape != (2, 3):
        raise InputError(f"--reward_style {name} must make rewards [2, 3] of logits [2, 3]; it made {rewards!r}.")
    return reward


def generalized_advantage(
    rewards: Float[Tensor, "R E T"],
    values: Float[Tensor, "R E T"],
    next_values: Float[Tensor, "R E T"],
    ends: Bool[Tensor, "R E T"],
    *,
    discount: float,
    gae_lambda: float,
) -> Float[Tensor, "R E T"]:
    """A_t = Σ_k (discount · λ)^k δ_{t+k}, with δ_t = r_t + discount · V(s_{t+1}) − V(s_t).

    Schulman et al. 2016, equation 16. With λ = 1 and no values it is the discounted return to go.

    Args:
        rewards: r_t; 0 beyond the end of an episode.
        values: V(s_t).
        next_values: V(s_{t+1}); 0 where the episode terminated, the final observation's value where it was truncated.
        ends: whether the episode ends at the step, by termination or truncation.
    """
    advantages = rewards + discount * next_values - values
    keep = discount * gae_lambda * (~ends).to(advantages.dtype)
    for step in range(rewards.shape[-1] - 2, -1, -1):
        advantages[..., step] += keep[..., step] * advantages[..., step + 1]
    return advantages


def policy_objective(
    log_prob: Float[Tensor, "R B"],
    old_log_prob: Float[Tensor, "R B"] | None,
    advantage: Float[Tensor, "R B"],
    entropy: Float[Tensor, "R B"],
    beta: Float[Tensor, " R"],
    *,
    clip: float = 0.0,
) -> Float[Tensor, "R B"]:
    """The policy's surrogate objective plus the entropy bonus β · H(π(·|o)) (Williams & Peng 1991), in nats.

    With `clip` = 0 it is log π(a|o) · A, whose gradient is REINFORCE (Williams 1992). Otherwise it is PPO's
    min(ρA, clip(ρ, 1 ± clip)A) with ρ = π(a|o) / π_old(a|o) (Schulman et al. 2017, equation 7).
    """
    advantage = advantage.detach()
    if clip == 0 or old_log_prob is None:
        surrogate = log_prob * advantage
    else:
        ratio = (log_prob - old_log_prob).exp()
        surrogate = torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
    return surrogate + beta.unsqueeze(-1) * entropy


def value_loss(
    value: Float[Tensor, "R B"], old_value: Float[Tensor, "R B"], target: Float[Tensor, "R B"], *, clip: float = 0.0
) -> Float[Tensor, "R B"]:
    """(V − target)² / 2; with `clip`, the larger of that and the same with V within ±clip of its old value."""
    error = (value - target).square()
    if clip > 0:
        near = old_value + (value - old_value).clamp(-clip, clip)
        error = torch.maximum(error, (near - target).square())
    return error / 2


def step_mean(values: Float[Tensor, "R E T"], weight: Float[Tensor, "R E T"]) -> Float[Tensor, "R 1 T"]:
    """The weighted mean over the episodes at each step: a baseline without a critic (Williams 1992).

    A sample contributes to its own baseline, which scales the expected gradient by 1 − 1/E.
    """
    total = weight.sum(1, keepdim=True).clamp(min=torch.finfo(weight.dtype).tiny)
    return (weight * values).sum(1, keepdim=True) / total


def normalized(
    values: Float[Tensor, "R B"], weight: Float[Tensor, "R B"], *, eps: float = 1e-8
) -> Float[Tensor, "R B"]:
    """Values standardised per run: weighted mean 0 and standard deviation 1."""
    centred = values - expected(values, weight).unsqueeze(-1)
    return centred / (expected(centred.square(), weight).sqrt().unsqueeze(-1) + eps)


def gradient_penalty(gradients: Float[Tensor, "R B F"], weight: Float[Tensor, "R B"]) -> Float[Tensor, " R"]:
    """E[(‖∂logit/∂input‖ − 1)²] between the expert's inputs and the learner's (Gulrajani et al. 2017, equation 3)."""
    norm = (gradients.square().sum(-1) + 1e-12).sqrt()
    return expected((norm - 1).square(), weight)
