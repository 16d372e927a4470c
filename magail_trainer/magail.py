"""Multi-agent generative adversarial imitation learning (MAGAIL).

Song, Ren, Sadigh & Ermon, "Multi-Agent Generative Adversarial Imitation Learning", NeurIPS 2018 (arXiv 1807.09936).

A discriminator D learns to tell the expert's observations and actions from the learner's; the policies learn to be
taken for the expert. Here the expert is 1: D = sigmoid(logit) is the probability that an expert did it, so a high
logit is a high reward. (The paper's D is high for the learner, and its policies descend; the game is the same.)

All R runs of a sweep train at once, along the leading axis of every tensor; they share nothing but the clock.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from magail_trainer.batch import Batch
from magail_trainer.config import MagailConfig
from magail_trainer.discriminators import Discriminator
from magail_trainer.losses import REWARDS, discriminator_loss, expected, policy_objective, reward_to_go
from magail_trainer.optimizers import RunAdam
from magail_trainer.policies import IndependentPolicies
from magail_trainer.rollout import Rollout


@runtime_checkable
class Rollouts(Protocol):
    """Where the learner's batches come from: sampled through the env, or enumerated."""

    def collect(self, policies: IndependentPolicies) -> Rollout:
        """Whole episodes of the present policies."""
        ...


@runtime_checkable
class ExpertBatches(Protocol):
    """Where the expert's batches come from."""

    def minibatch(self) -> Batch:
        """Some recorded episodes, or their whole distribution."""
        ...


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch measured, on the device, not yet read back."""

    epoch: int
    """From 1; the parameters have had this many updates."""
    rollout: Rollout
    """What was played before the updates of this epoch."""
    discriminator_loss: Float[Tensor, " R"]
    policy_loss: Float[Tensor, " R"]
    entropy: Mapping[str, Float[Tensor, "R B"]]
    """Of the policy in each sample of its step's batch, in nats, by agent."""
    weight: Float[Tensor, "R B"]
    """Of these samples."""

    @property
    def metrics(self) -> dict[str, Float[Tensor, " R"]]:
        """One number per run under each name. Worked out when asked for, since few epochs are logged."""
        return {
            "discriminator_loss": self.discriminator_loss,
            "policy_loss": self.policy_loss,
            **{f"entropy/{agent}": expected(values, self.weight) for agent, values in self.entropy.items()},
            **{f"return/{agent}": value for agent, value in self.rollout.mean_return.items()},
        }


def magail(
    policies: IndependentPolicies,
    discriminator: Discriminator,
    rollouts: Rollouts,
    demonstrations: ExpertBatches,
    beta: Float[Tensor, " R"],
    config: MagailConfig,
) -> Iterator[EpochRecord]:
    """Train `policies` and `discriminator` in place (algorithm 1 of the paper), one epoch per item.

    Args:
        policies: π_i for each agent.
        discriminator: its judges.
        rollouts: plays the policies.
        demonstrations: the expert's steps.
        beta: weight of the policies' entropy, one per run.
        config: everything else.
    """
    policy_optimizer = RunAdam(policies.parameters(), lr=torch.full_like(beta, config.lr_policy))
    discriminator_optimizer = RunAdam(discriminator.parameters(), lr=torch.full_like(beta, config.lr_disc))
    reward_of = REWARDS[config.reward_style]

    # Each update sees some of a run's episodes. Which ones does not matter, for they are alike; the first and the last,
    # so that D and the policies learn from different ones where there are enough. An exact batch is used whole.
    size = None if config.exact else config.batch_size
    for_discriminator, for_policies = slice(size), slice(None if size is None else -size, None)

    for epoch in range(1, config.epochs + 1):
        # Play the policies.
        rollout = rollouts.collect(policies)

        # Discriminator: up on the expert, down on the learner.
        expert, learner = demonstrations.minibatch(), rollout.batch.part(for_discriminator)
        expert_logit, learner_logit = discriminator(expert), discriminator(learner)
        loss_d = torch.zeros_like(beta)
        for judge, logit in expert_logit.items():
            loss_d = loss_d + discriminator_loss(logit, expert.weight, learner_logit[judge], learner.weight)
        discriminator_optimizer.descend(loss_d)

        # Reward: what the new discriminator says of each (observation, action) that was played.
        batch = rollout.batch.part(for_policies)
        returns = _discriminator_returns(discriminator, batch, reward_of, config.discount)

        # Policies: REINFORCE on that reward, plus β times the entropy.
        entropy, objective = {}, torch.zeros_like(batch.weight)
        for agent, policy in policies(batch.observations).items():
            entropy[agent] = policy.entropy()
            log_prob = policy.log_prob(batch.actions[agent])
            to_go = returns[discriminator.judge_of[agent]]
            objective = objective + policy_objective(log_prob, to_go, entropy[agent], beta)
        loss_pi = -expected(objective, batch.weight)
        policy_optimizer.descend(loss_pi)

        entropy = {agent: values.detach() for agent, values in entropy.items()}
        yield EpochRecord(epoch, rollout, loss_d.detach(), loss_pi.detach(), entropy, batch.weight)


@torch.no_grad()
def _discriminator_returns(
    discriminator: Discriminator, batch: Batch, reward_of: Callable[[Tensor], Tensor], discount: float
) -> dict[str, Float[Tensor, "R B"]]:
    """The discounted sum of a judge's rewards from each step of an episode on, by judge."""
    return {
        judge: reward_to_go(batch.by_episode(reward_of(logit)), discount=discount).flatten(1)
        for judge, logit in discriminator(batch).items()
    }
