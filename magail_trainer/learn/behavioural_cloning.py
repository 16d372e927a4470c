"""Behavioural cloning: make the expert's actions likely in the expert's observations (Pomerleau 1991)."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from magail_trainer.learn.batch import Batch, ExpertBatches
from magail_trainer.learn.config import CloningConfig
from magail_trainer.learn.optimizers import RunAdam
from magail_trainer.learn.policies import Policies
from magail_trainer.learn.state import TrainingState


def cloning_loss(policies: Policies, expert: Batch) -> Float[Tensor, " R"]:
    """−Σ_agents E_expert[log π(a|o)]: behavioural cloning (Pomerleau 1991).

    If the agents share an unobserved signal z, it is the loss of expectation maximisation (Dempster, Laird and Rubin
    1977): the loss under each value of z, weighted by the posterior of z given the whole episode. Its gradient is that
    of the episodes' marginal likelihood. If the batch has a signal, inferred by `signal_inference`, the loss is that
    of actions and signal jointly.
    """
    if policies.num_signals == 1:
        return losses_of_episodes(policies, expert)[0].sum(-1)
    if expert.signal is not None:
        return _losses_with_signal(policies, expert, expert.signal)[0].sum(-1)
    losses, log_joint = [], []
    for value in range(policies.num_signals):
        signal = torch.full_like(expert.weight, value, dtype=torch.int64)
        loss, log_prob = _losses_with_signal(policies, expert, signal)
        losses.append(loss)
        log_joint.append(log_prob)
    responsibility = torch.stack(log_joint).detach().softmax(0)
    return (responsibility * torch.stack(losses)).sum(0).sum(-1)


def _losses_with_signal(
    policies: Policies, expert: Batch, signal: Int[Tensor, "R B"]
) -> tuple[Float[Tensor, "R E"], Float[Tensor, "R E"]]:
    """`losses_of_episodes` given a signal, with the signal's own log-probability in both."""
    loss, log_prob = losses_of_episodes(policies, replace(expert, signal=signal))
    weights = policies.signal(expert.num_episodes)
    assert weights is not None
    log_weight = weights.log_prob(expert.of_episode(signal))
    return loss - expert.of_episode(expert.weight) * log_weight, log_prob + log_weight


def losses_of_episodes(policies: Policies, expert: Batch) -> tuple[Float[Tensor, "R E"], Float[Tensor, "R E"]]:
    """Each episode's share of the loss, and the log-probability of all its actions."""
    loss, total = torch.zeros_like(expert.of_episode(expert.weight)), torch.zeros_like(expert.of_episode(expert.weight))
    for agent, policy in policies.in_batch(expert).items():
        log_prob, weight = policy.log_prob(expert.actions[agent]), expert.weight_of(agent)
        loss = loss - expert.by_episode(weight * log_prob).sum(-1)
        total = total + expert.by_episode((weight > 0) * log_prob).sum(-1)
    return loss, total


def behavioural_cloning(
    policies: Policies,
    demonstrations: ExpertBatches,
    config: CloningConfig,
    *,
    updates: int,
    num_runs: int,
    state: TrainingState | None = None,
) -> Iterator[Float[Tensor, " R"]]:
    """Train `policies` in place by maximum likelihood; yields the loss before each update.

    The learning rate decays linearly to 0. There is no early stopping: on the particle envs with few demonstrations,
    long cloning earns higher returns than stopping when the held-out likelihood starts to fall.

    Args:
        policies: π_i for each agent.
        demonstrations: the expert's transitions.
        config: `lr_cloning`.
        updates: number of updates.
        num_runs: R
        state: of the training; updates that it has done are not done again.
    """
    lr = torch.full((num_runs,), config.lr_cloning, device=next(policies.parameters()).device)
    state = state or TrainingState()
    optimizer = state.join("cloning_optimizer", RunAdam(policies.parameters(), lr=lr))
    for update in range(state.updates, updates):
        loss = cloning_loss(policies, demonstrations.minibatch())
        optimizer.descend(loss, lr_scale=1 - update / updates)
        state.updates = update + 1
        yield loss.detach()
