"""The policy step: PPO with generalised advantages, for given rewards.

Schulman et al. 2017, "Proximal Policy Optimization Algorithms" (arXiv 1707.06347). One pass over one minibatch without
clipping and critic is REINFORCE.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from magail_trainer.learn.batch import Batch, ExpertBatches
from magail_trainer.learn.behavioural_cloning import cloning_loss
from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.losses import (
    expected,
    generalized_advantage,
    normalized,
    policy_objective,
    step_mean,
    value_loss,
)
from magail_trainer.learn.optimizers import RunAdam
from magail_trainer.learn.policies import Policies
from magail_trainer.learn.rollout import Rollout
from magail_trainer.learn.state import TrainingState


@dataclass(frozen=True)
class PolicyStatistics:
    """Measured in the first update of a step; `entropy` per sample, in nats, and its `weight` by agent."""

    loss: Float[Tensor, " R"]
    entropy: Mapping[str, Float[Tensor, "R B"]]
    weight: Mapping[str, Float[Tensor, "R B"]]


@dataclass(frozen=True)
class Targets:
    """Fixed inputs of all updates of a step: `[R, B]` by agent, and `[R, E]` for a shared signal."""

    advantage: Mapping[str, Tensor]
    log_prob: Mapping[str, Tensor]
    """Of the actions, under the policies that played them; empty without clipping."""
    value: Mapping[str, Tensor]
    value_target: Mapping[str, Tensor]
    signal_advantage: Tensor | None = None
    """The agents' mean advantage at the first step of each episode."""
    signal_log_prob: Tensor | None = None


class PolicyStep:
    """Improves policies, and a critic if there is one, on rollouts with rewards.

    Args:
        policies: trained in place.
        critic: maps observations to values by agent; trained in place.
        beta: weight of the entropy bonus, one per run.
        config: all other settings.
        lr_policy: learning rate of the policies, one per run; by default the config's.
        state: of the training, which the optimisers and the scale of the returns join.
    """

    def __init__(
        self,
        policies: Policies,
        critic: nn.Module | None,
        beta: Float[Tensor, " R"],
        config: MagailConfig,
        *,
        lr_policy: Float[Tensor, " R"] | None = None,
        state: TrainingState | None = None,
    ) -> None:
        self._policies, self._critic, self._beta, self._config = policies, critic, beta, config
        norm = config.max_grad_norm
        lr_policy = torch.full_like(beta, config.lr_policy) if lr_policy is None else lr_policy
        join = (state or TrainingState()).join
        self._optimizer = join("policy_optimizer", RunAdam(policies.parameters(), lr=lr_policy, max_norm=norm))
        if critic is not None:
            lr = torch.full_like(beta, config.lr_critic)
            self._critic_optimizer = join("critic_optimizer", RunAdam(critic.parameters(), lr=lr, max_norm=norm))
        scale = ReturnScale(config.discount, num_runs=len(beta), centred=not config.allow_variable_horizon)
        self._return_scale = join("return_scale", scale)

    @property
    def episodes(self) -> slice:
        """The episodes of a rollout that a step learns from."""
        config = self._config
        return slice(None if config.exact else -config.batch_size * config.policy_minibatches, None)

    def update(
        self,
        rollout: Rollout,
        rewards: Mapping[str, Float[Tensor, "R B"]],
        *,
        epoch: int,
        demonstrations: ExpertBatches | None = None,
    ) -> PolicyStatistics:
        """All updates of one epoch.

        Args:
            rollout: of the current policies.
            rewards: of each step, by agent.
            epoch: counted from 1, for the schedules.
            demonstrations: expert minibatches for a cloning term; None for no such term.
        """
        config, first = self._config, None
        remaining = 1 - (epoch - 1) / config.epochs
        lr_scale = remaining if config.lr_schedule == "linear" else 1.0
        beta = self._beta * remaining if config.beta_schedule == "linear" else self._beta
        frozen = epoch <= config.warm_critic  # train the critic before it steers the policies
        if config.normalize_rewards:
            rewards = self._return_scale.scale(rewards, rollout.batch)
        targets = policy_targets(self._policies, self._critic, rollout, rewards, config)
        num_minibatches = 1 if config.exact else config.policy_minibatches
        for _ in range(config.policy_epochs):
            for episodes in minibatches(rollout.batch.num_episodes, num_minibatches):
                steps = slice(episodes.start * rollout.batch.num_steps, episodes.stop * rollout.batch.num_steps)
                batch = rollout.batch.part(episodes)
                loss, statistics = policy_loss(self._policies, batch, targets, steps, beta, clip=config.clip)
                loss = loss + signal_loss(self._policies, batch, targets, episodes, beta, clip=config.clip)
                first = first or statistics
                if demonstrations is not None and not frozen:
                    weight = config.cloning * demonstrations.num_demonstrations / 100
                    loss = loss + weight * cloning_loss(self._policies, demonstrations.minibatch())
                if not frozen:
                    self._optimizer.descend(loss, lr_scale=lr_scale)
                if self._critic is not None:
                    loss = critic_loss(self._critic, batch, targets, steps, clip=config.value_clip)
                    self._critic_optimizer.descend(loss, lr_scale=lr_scale)
        assert first is not None
        return first


def minibatches(num_episodes: int, number: int) -> Iterator[slice]:
    """Consecutive episodes, unshuffled: they are independent and identically distributed."""
    size = -(-num_episodes // number)
    for first in range(0, num_episodes, size):
        yield slice(first, min(first + size, num_episodes))


@torch.no_grad()
def policy_targets(
    policies: Policies,
    critic: nn.Module | None,
    rollout: Rollout,
    rewards: Mapping[str, Float[Tensor, "R B"]],
    config: MagailConfig,
) -> Targets:
    """Advantages and the critic's targets from the rewards of each step by agent."""
    batch, gae_lambda = rollout.batch, 1.0 if critic is None else config.gae_lambda
    values, next_values = values_of(critic, rollout)
    advantage, value_target = {}, {}
    for agent, reward in rewards.items():
        if agent in batch.active:  # agents that have left earn nothing
            reward = reward * batch.active[agent]
        rows, value, following = (batch.by_episode(part) for part in (reward, values[agent], next_values[agent]))
        ends = torch.zeros_like(rows, dtype=torch.bool)  # without a critic, zero padding ends an episode
        if rollout.ends:
            ends = _by_episode(rollout.ends[agent], batch)
        estimate = generalized_advantage(rows, value, following, ends, discount=config.discount, gae_lambda=gae_lambda)
        weight = batch.weight_of(agent)
        if config.baseline == "batch":
            estimate = estimate - step_mean(estimate, _by_episode(weight, batch))
        advantage[agent] = estimate.flatten(1)
        value_target[agent] = advantage[agent] + values[agent]
        if config.normalize_advantages:
            advantage[agent] = normalized(advantage[agent], weight)
    log_prob, signal_advantage, signal_log_prob = {}, None, None
    if batch.signal is not None:
        signal_advantage = torch.stack([batch.of_episode(values) for values in advantage.values()]).mean(0)
    if config.clip > 0:
        distributions = policies.in_batch(batch)
        log_prob = {agent: policy.log_prob(batch.actions[agent]) for agent, policy in distributions.items()}
        weights = policies.signal(batch.num_episodes)
        if weights is not None and batch.signal is not None:
            signal_log_prob = weights.log_prob(batch.of_episode(batch.signal))
    return Targets(advantage, log_prob, values, value_target, signal_advantage, signal_log_prob)


def values_of(critic: nn.Module | None, rollout: Rollout) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """V(s_t) and V(s_{t+1}), `[R, B]` by agent; all 0 without a critic.

    The next value is 0 where an episode terminated. Where an agent was truncated, it is its value of what all agents
    observed then, though others may have played on.
    """
    batch = rollout.batch
    if critic is None:
        zero = torch.zeros_like(batch.weight)
        return dict.fromkeys(batch.actions, zero), dict.fromkeys(batch.actions, zero)
    values, following = critic(batch.observations), {}
    final_values = {}
    for leaving, observations in rollout.final_observations.items():
        at_end = critic(observations)
        final_values |= {agent: at_end[agent] for agent in leaving}
    for agent, value in values.items():
        steps = _by_episode(value, batch)
        following_step = torch.cat([steps[..., 1:], torch.zeros_like(steps[..., :1])], dim=-1)
        ends, terminated = (_by_episode(flags[agent], batch) for flags in (rollout.ends, rollout.terminated))
        at_end = final_values[agent].unsqueeze(-1) * ~terminated
        following[agent] = torch.where(ends, at_end, following_step).flatten(1)
    return values, following


def policy_loss(
    policies: Policies, batch: Batch, targets: Targets, steps: slice, beta: Float[Tensor, " R"], *, clip: float
) -> tuple[Float[Tensor, " R"], PolicyStatistics]:
    """The negative objective, summed over agents, on the minibatch `steps` of the targets."""
    loss, entropies, weights = torch.zeros_like(beta), {}, {}
    for agent, policy in policies.in_batch(batch).items():
        entropy, weights[agent] = policy.entropy(), batch.weight_of(agent)
        old = targets.log_prob[agent][:, steps] if agent in targets.log_prob else None
        log_prob, advantage = policy.log_prob(batch.actions[agent]), targets.advantage[agent][:, steps]
        objective = policy_objective(log_prob, old, advantage, entropy, beta, clip=clip)
        loss = loss - expected(objective, weights[agent])
        entropies[agent] = entropy.detach()
    return loss, PolicyStatistics(loss.detach(), entropies, weights)


def signal_loss(
    policies: Policies, batch: Batch, targets: Targets, episodes: slice, beta: Float[Tensor, " R"], *, clip: float
) -> Float[Tensor, " R"]:
    """The negative objective of a shared signal, weighted as the first step of its episode; 0 without a signal."""
    weights, advantage = policies.signal(batch.num_episodes), targets.signal_advantage
    if weights is None or batch.signal is None or advantage is None:
        return torch.zeros_like(beta)
    old = None if targets.signal_log_prob is None else targets.signal_log_prob[:, episodes]
    log_prob = weights.log_prob(batch.of_episode(batch.signal))
    objective = policy_objective(log_prob, old, advantage[:, episodes], weights.entropy(), beta, clip=clip)
    return -expected(objective, batch.of_episode(batch.weight))


def critic_loss(critic: nn.Module, batch: Batch, targets: Targets, steps: slice, *, clip: float) -> Float[Tensor, " R"]:
    """The critic's value loss on a minibatch, summed over agents."""
    loss = torch.zeros_like(batch.weight[:, 0])
    for agent, value in critic(batch.observations).items():
        old, target = targets.value[agent][:, steps], targets.value_target[agent][:, steps]
        loss = loss + expected(value_loss(value, old, target, clip=clip), batch.weight_of(agent))
    return loss


class ReturnScale:
    """Divides rewards by the running standard deviation of the discounted return, per run and agent.

    `centred` subtracts their mean first. Only episodes of equal length allow that: otherwise it changes the task,
    since it removes a reward for each step survived.
    """

    _DECAY = 0.95

    def __init__(self, discount: float, *, num_runs: int, centred: bool) -> None:
        self._discount, self._num_runs, self._centred = discount, num_runs, centred
        self._square: dict[str, Tensor] = {}

    def state_dict(self) -> dict[str, Tensor]:
        """The mean squares `[R]`, by agent."""
        return {f"square/{agent}": square for agent, square in self._square.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state_dict` returned; a ValueError if it is of another number of runs."""
        for name, square in state.items():
            if square.shape != (self._num_runs,):
                raise ValueError(f"{name} has shape {tuple(square.shape)}")
        self._square = {name.removeprefix("square/"): square for name, square in state.items()}

    def scale(self, rewards: Mapping[str, Float[Tensor, "R B"]], batch: Batch) -> dict[str, Float[Tensor, "R B"]]:
        """Rewards whose returns have a mean square of about 1."""
        return {agent: self._scale(agent, reward, batch) for agent, reward in rewards.items()}

    def _scale(self, agent: str, reward: Float[Tensor, "R B"], batch: Batch) -> Float[Tensor, "R B"]:
        weight = batch.weight_of(agent)
        if self._centred:
            reward = reward - expected(reward, weight).unsqueeze(-1)
        reward = reward * (weight > 0)  # agents that have left earn nothing
        by_episode = batch.by_episode(reward)
        zero = torch.zeros_like(by_episode)
        returns = generalized_advantage(by_episode, zero, zero, zero.bool(), discount=self._discount, gae_lambda=1.0)
        square = expected(returns.flatten(1).square(), weight)
        average = self._square.get(agent)
        self._square[agent] = square if average is None else self._DECAY * average + (1 - self._DECAY) * square
        return reward / (self._square[agent].sqrt().unsqueeze(-1) + 1e-8)


def _by_episode(values: Float[Tensor, "R B"] | Bool[Tensor, "R B"], batch: Batch) -> Tensor:
    return values.unflatten(1, (-1, batch.num_steps))
