"""Losses and rewards: pure functions of tensors, one value per run. Sum them over the runs before `backward`.

A sum gives R independent Adams; a mean would scale every gradient by 1/R.

log D is logsigmoid(logit) and log(1 − D) is logsigmoid(−logit). The latter is −softplus(logit) too, but on the CPU the
last bit of a softplus depends on where in the tensor a number stands, and so on which other runs there are.
"""

from collections.abc import Callable, Mapping

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from magail_trainer.config import RewardStyle


def expected(values: Float[Tensor, "R B"], weight: Float[Tensor, "R B"]) -> Float[Tensor, " R"]:
    """Σ weight · value: the mean of a sample, or the expectation over everything there is."""
    return (weight * values).sum(-1)


def discriminator_loss(
    expert_logit: Float[Tensor, "R B"],
    expert_weight: Float[Tensor, "R B"],
    learner_logit: Float[Tensor, "R C"],
    learner_weight: Float[Tensor, "R C"],
) -> Float[Tensor, " R"]:
    """−E_expert[log D] − E_learner[log(1 − D)], with D = sigmoid(logit): binary cross entropy with expert = 1.

    The discriminator's objective in Goodfellow et al. 2014 (equation 1) and, with the labels of Song et al. 2018
    turned round, in MAGAIL (equation 8). At its optimum the logit is log p_expert / p_learner.
    """
    return -expected(logsigmoid(expert_logit), expert_weight) - expected(logsigmoid(-learner_logit), learner_weight)


def non_saturating_reward(logit: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """log D: at most 0."""
    return logsigmoid(logit)


def gail_reward(logit: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """−log(1 − D): at least 0 (Ho & Ermon 2016, with expert = 1)."""
    return -logsigmoid(-logit)


REWARDS: Mapping[RewardStyle, Callable[[Tensor], Tensor]] = {
    "non_saturating": non_saturating_reward,
    "gail": gail_reward,
}


def reward_to_go(rewards: Float[Tensor, "R E T"], *, discount: float) -> Float[Tensor, "R E T"]:
    """G_t = Σ_{k ≥ t} discount^(k−t) r_k within each episode of at most T steps.

    Rewards beyond the end of a shorter episode must be 0.
    """
    returns = rewards.clone()
    for step in range(rewards.shape[-1] - 2, -1, -1):
        returns[..., step] += discount * returns[..., step + 1]
    return returns


def policy_objective(
    log_prob: Float[Tensor, "R B"],
    returns: Float[Tensor, "R B"],
    entropy: Float[Tensor, "R B"],
    beta: Float[Tensor, " R"],
) -> Float[Tensor, "R B"]:
    """log π(a|o) · G + β · H(π(·|o)), to be maximised.

    The gradient of the first term is REINFORCE without a baseline (Williams 1992); the second is the entropy bonus
    (Williams & Peng 1991), in nats.
    """
    return log_prob * returns.detach() + beta.unsqueeze(-1) * entropy
