"""Behavioural cloning: make the expert's actions likely in the expert's observations (Pomerleau 1991)."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from magail_trainer.batch import Batch, ExpertBatches
from magail_trainer.config import MagailConfig
from magail_trainer.losses import expected
from magail_trainer.optimizers import RunAdam
from magail_trainer.policies import IndependentPolicies


def cloning_loss(policies: IndependentPolicies, expert: Batch) -> Float[Tensor, " R"]:
    """−Σ_agents E_expert[log π(a|o)]: behavioural cloning (Pomerleau 1991)."""
    loss = torch.zeros_like(expert.weight[:, 0])
    for agent, policy in policies(expert.observations, expert.masks).items():
        loss = loss - expected(policy.log_prob(expert.actions[agent]), expert.weight_of(agent))
    return loss


def behavioural_cloning(
    policies: IndependentPolicies,
    demonstrations: ExpertBatches,
    config: MagailConfig,
    *,
    updates: int,
    num_runs: int,
) -> Iterator[Float[Tensor, " R"]]:
    """Train `policies` in place by maximum likelihood; one update per item, its loss before the update.

    The learning rate falls to 0 in a line. Nothing stops early: on the particle envs, a policy cloned for long on
    few demonstrations returns more than one that was stopped when the likelihood of others began to fall.

    Args:
        policies: π_i for each agent.
        demonstrations: the expert's steps.
        config: `lr_cloning`.
        updates: how many.
        num_runs: R
    """
    lr = torch.full((num_runs,), config.lr_cloning, device=next(policies.parameters()).device)
    optimizer = RunAdam(policies.parameters(), lr=lr)
    for update in range(updates):
        loss = cloning_loss(policies, demonstrations.minibatch())
        optimizer.descend(loss, lr_scale=1 - update / updates)
        yield loss.detach()
