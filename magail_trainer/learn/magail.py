"""Multi-agent generative adversarial imitation learning (MAGAIL).

Song, Ren, Sadigh & Ermon, "Multi-Agent Generative Adversarial Imitation Learning", NeurIPS 2018 (arXiv 1807.09936).

A discriminator D learns to distinguish the expert's observations and actions from the learner's; the policies learn
to fool it. The expert has label 1: D = sigmoid(logit) is the probability that a transition is the expert's, so a high
logit is a high reward. (The paper uses the opposite labels; the game is the same.)

All R runs of a sweep train at once, along the leading axis of every tensor, and are independent of each other.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from magail_trainer.learn.batch import Batch, ExpertBatches
from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.discriminators import Discriminator, weight_for
from magail_trainer.learn.losses import Reward, discriminator_loss, expected
from magail_trainer.learn.optimizers import RunAdam
from magail_trainer.learn.policies import Policies
from magail_trainer.learn.ppo import PolicyStep
from magail_trainer.learn.rollout import Rollout
from magail_trainer.learn.state import TrainingState
from magail_trainer.learn.zero_sum import Contrast, expert_against_learner


@runtime_checkable
class Rollouts(Protocol):
    """Where the learner's batches come from: sampled through the env, or enumerated."""

    def collect(self, policies: Policies) -> Rollout:
        """Whole episodes of the current policies."""
        ...


@dataclass(frozen=True)
class EpochRecord:
    """Measurements of one epoch, still on the device."""

    epoch: int
    """Counted from 1."""
    rollout: Rollout
    """Collected before this epoch's updates."""
    losses: Mapping[str, Float[Tensor, " R"]]
    """By name: the discriminator's last update and the policies' first."""
    entropy: Mapping[str, Float[Tensor, "R B"]]
    """Policy entropy per sample in the policies' first update, in nats, by agent."""
    weight: Mapping[str, Float[Tensor, "R B"]]
    """Weights of these samples, by agent."""

    @property
    def metrics(self) -> dict[str, Float[Tensor, " R"]]:
        """One value per run for each metric; computed lazily, since few epochs are logged."""
        return {
            **self.losses,
            **{f"entropy/{agent}": expected(values, self.weight[agent]) for agent, values in self.entropy.items()},
            **{f"return/{agent}": value for agent, value in self.rollout.mean_return.items()},
        }


def magail(
    policies: Policies,
    discriminator: Discriminator,
    critic: nn.Module | None,
    rollouts: Rollouts,
    demonstrations: ExpertBatches,
    beta: Float[Tensor, " R"],
    config: MagailConfig,
    *,
    reward: Reward,
    contrast: Contrast = expert_against_learner,
    lr_policy: Float[Tensor, " R"] | None = None,
    lr_disc: Float[Tensor, " R"] | None = None,
    state: TrainingState | None = None,
) -> Iterator[EpochRecord]:
    """Train `policies` and `discriminator` in place (algorithm 1 of the paper), one epoch per item.

    Args:
        policies: π_i for each agent.
        discriminator: D, shared by all agents or one per agent.
        critic: the value baseline of the advantages, if any.
        rollouts: plays the policies.
        demonstrations: the expert's transitions.
        beta: weight of the entropy bonus, one per run.
        config: all other settings.
        reward: maps discriminator logits to rewards.
        contrast: the two batches that the discriminator learns to distinguish.
        lr_policy: learning rate of the policies, one per run; by default the config's.
        lr_disc: learning rate of the discriminator, one per run; by default the config's.
        state: of the training; epochs that it has done are not done again.
    """
    lr_disc = torch.full_like(beta, config.lr_disc) if lr_disc is None else lr_disc
    decay = config.disc_weight_decay
    state = state or TrainingState()
    optimizer = RunAdam(discriminator.parameters(), lr=lr_disc, weight_decay=decay)
    discriminator_optimizer = state.join("discriminator_optimizer", optimizer)
    policy_step = PolicyStep(policies, critic, beta, config, lr_policy=lr_policy, state=state)
    penalised = config.gradient_penalty > 0
    cloning = demonstrations if config.cloning > 0 else None

    loss_d = torch.zeros_like(beta)
    for epoch in range(state.epoch + 1, config.epochs + 1):
        # Play the policies.
        rollout = rollouts.collect(policies)

        # Discriminator: up on the expert, down on the learner.
        for learner in _minibatches(rollout.batch, config):
            high, low = contrast(policies, demonstrations.minibatch(), learner)
            high_logit, low_logit = discriminator(high), discriminator(low)
            loss_d = torch.zeros_like(beta)
            for name, logit in high_logit.items():
                weights = [weight_for(discriminator, name, batch) for batch in (high, low)]
                loss_d = loss_d + discriminator_loss(
                    logit, weights[0], low_logit[name], weights[1], label_smoothing=config.label_smoothing
                )
            penalty = config.gradient_penalty * discriminator.gradient_penalty(high, low) if penalised else 0
            discriminator_optimizer.descend(loss_d + penalty)

        # Reward: from the updated discriminator's logit of each transition.
        learnt_from = rollout.part(policy_step.episodes)
        rewards = discriminator_rewards(discriminator, learnt_from.batch, reward)

        # Policies: REINFORCE or PPO on that reward, plus β times the entropy.
        statistics = policy_step.update(learnt_from, rewards, epoch=epoch, demonstrations=cloning)

        losses = {"discriminator_loss": loss_d.detach(), "policy_loss": statistics.loss}
        state.epoch = epoch
        yield EpochRecord(epoch, rollout, losses, statistics.entropy, statistics.weight)


@torch.no_grad()
def discriminator_rewards(
    discriminator: Discriminator, batch: Batch, reward: Reward
) -> dict[str, Float[Tensor, "R B"]]:
    """The reward of each step, by agent: `reward` of its discriminator's logit, negated for opposed agents."""
    rewards = {name: reward(logit) for name, logit in discriminator(batch).items()}
    return {
        agent: -rewards[name] if agent in discriminator.opposed else rewards[name]
        for agent, name in discriminator.rewarded_by.items()
    }


def _minibatches(batch: Batch, config: MagailConfig) -> Iterator[Batch]:
    """The learner's episodes for each discriminator update, consecutive from the first on; an exact batch is whole.

    The policies learn from the last episodes, so given enough of them D and the policies use different ones.
    """
    size = batch.num_episodes if config.exact else min(config.batch_size, batch.num_episodes)
    fit = batch.num_episodes // size
    for update in range(config.disc_updates):
        first = update % fit * size
        yield batch.part(slice(first, first + size))


def reinforcement_learning(
    policies: Policies,
    critic: nn.Module | None,
    rollouts: Rollouts,
    beta: Float[Tensor, " R"],
    config: MagailConfig,
    *,
    lr_policy: Float[Tensor, " R"] | None = None,
    state: TrainingState | None = None,
) -> Iterator[EpochRecord]:
    """Train `policies` in place on the env's own rewards, by the same policy step; makes experts to imitate."""
    state = state or TrainingState()
    policy_step = PolicyStep(policies, critic, beta, config, lr_policy=lr_policy, state=state)
    for epoch in range(state.epoch + 1, config.epochs + 1):
        rollout = rollouts.collect(policies)
        learnt_from = rollout.part(policy_step.episodes)
        statistics = policy_step.update(learnt_from, learnt_from.env_rewards, epoch=epoch)
        losses = {"policy_loss": statistics.loss}
        state.epoch = epoch
        yield EpochRecord(epoch, rollout, losses, statistics.entropy, statistics.weight)
