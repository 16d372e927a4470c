"""The policy step: REINFORCE, or PPO with generalised advantages, by configuration; the reward comes from outside.

Schulman et al. 2017, "Proximal Policy Optimization Algorithms" (arXiv 1707.06347). With one pass over one minibatch, no
clipping and no critic, it is REINFORCE.
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


@dataclass(frozen=True)
class PolicyStatistics:
    """Of the first update of a step."""

    loss: Float[Tensor, " R"]
    entropy: Mapping[str, Float[Tensor, "R B"]]
    """Of the policy in each sample, in nats, by agent."""
    weight: Mapping[str, Float[Tensor, "R B"]]
    """Of these samples, by agent."""


@dataclass(frozen=True)
class _Targets:
    """What an update aims at, by agent, `[R, B]` each; they stay as they are while the policies change."""

    advantage: Mapping[str, Tensor]
    log_prob: Mapping[str, Tensor]
    value: Mapping[str, Tensor]
    value_target: Mapping[str, Tensor]
    signal_advantage: Tensor | None = None
    """`[R, E]`, where there is a signal: what its value was worth to all agents together."""
    signal_log_prob: Tensor | None = None


class PolicyStep:
    """Improves policies, and a critic where there is one, on rollouts with rewards.

    Args:
        policies: trained in place.
        critic: values by agent, from the observations; trained in place.
        beta: weight of the policies' entropy, one per run.
        config: everything else.
        lr_policy: learning rates of the policies, one per run; by default the config's for all.
    """

    def __init__(
        self,
        policies: Policies,
        critic: nn.Module | None,
        beta: Float[Tensor, " R"],
        config: MagailConfig,
        *,
        lr_policy: Float[Tensor, " R"] | None = None,
    ) -> None:
        self._policies, self._critic, self._beta, self._config = policies, critic, beta, config
        norm = config.max_grad_norm
        lr_policy = torch.full_like(beta, config.lr_policy) if lr_policy is None else lr_policy
        self._optimizer = RunAdam(policies.parameters(), lr=lr_policy, max_norm=norm)
        if critic is not None:
            lr = torch.full_like(beta, config.lr_critic)
            self._critic_optimizer = RunAdam(critic.parameters(), lr=lr, max_norm=norm)
        self._return_scale = ReturnScale(config.discount, centred=not config.allow_variable_horizon)

    @property
    def episodes(self) -> slice:
        """Which episodes of a rollout a step learns from."""
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
            rollout: of the present policies.
            rewards: of each step, by agent.
            epoch: from 1, for the schedules.
            demonstrations: where there is to be a cloning term: expert minibatches.
        """
        config, first = self._config, None
        left = 1 - (epoch - 1) / config.epochs
        lr_scale = left if config.lr_schedule == "linear" else 1.0
        beta = self._beta * left if config.beta_schedule == "linear" else self._beta
        held = epoch <= config.warm_critic  # the policies wait until the critic knows something
        targets = self._targets(rollout, rewards)
        for _ in range(config.policy_epochs):
            for episodes in self._minibatches(rollout.batch):
                steps = slice(episodes.start * rollout.batch.num_steps, episodes.stop * rollout.batch.num_steps)
                batch = rollout.batch.part(episodes)
                loss, statistics = self._policy_loss(batch, targets, steps, beta)
                loss = loss + self._signal_loss(batch, targets, episodes, beta)
                first = first or statistics
                if demonstrations is not None and not held:
                    weight = config.cloning * demonstrations.num_demonstrations / 100
                    loss = loss + weight * cloning_loss(self._policies, demonstrations.minibatch())
                if not held:
                    self._optimizer.descend(loss, lr_scale=lr_scale)
                if self._critic is not None:
                    self._critic_optimizer.descend(self._value_loss(batch, targets, steps), lr_scale=lr_scale)
        assert first is not None
        return first

    def _minibatches(self, batch: Batch) -> Iterator[slice]:
        """Consecutive episodes, which are independent and alike; no shuffling makes them more so."""
        size = -(-batch.num_episodes // (1 if self._config.exact else self._config.policy_minibatches))
        for first in range(0, batch.num_episodes, size):
            yield slice(first, min(first + size, batch.num_episodes))

    def _policy_loss(
        self, batch: Batch, targets: _Targets, steps: slice, beta: Float[Tensor, " R"]
    ) -> tuple[Float[Tensor, " R"], PolicyStatistics]:
        loss, entropies, weights = torch.zeros_like(beta), {}, {}
        for agent, policy in self._policies.of(batch).items():
            entropy, weights[agent] = policy.entropy(), batch.weight_of(agent)
            old = targets.log_prob[agent][:, steps] if agent in targets.log_prob else None
            log_prob, advantage = policy.log_prob(batch.actions[agent]), targets.advantage[agent][:, steps]
            objective = policy_objective(log_prob, old, advantage, entropy, beta, clip=self._config.clip)
            loss = loss - expected(objective, weights[agent])
            entropies[agent] = entropy.detach()
        return loss, PolicyStatistics(loss.detach(), entropies, weights)

    def _signal_loss(
        self, batch: Batch, targets: _Targets, episodes: slice, beta: Float[Tensor, " R"]
    ) -> Float[Tensor, " R"]:
        """The same for the weights of a shared signal: it is drawn with an episode's first step, and counts like it."""
        weights, advantage = self._policies.signal(batch.num_episodes), targets.signal_advantage
        if weights is None or batch.signal is None or advantage is None:
            return torch.zeros_like(beta)
        old = None if targets.signal_log_prob is None else targets.signal_log_prob[:, episodes]
        log_prob = weights.log_prob(batch.of_episode(batch.signal))
        arguments = (log_prob, old, advantage[:, episodes], weights.entropy(), beta)
        return -expected(policy_objective(*arguments, clip=self._config.clip), batch.of_episode(batch.weight))

    def _value_loss(self, batch: Batch, targets: _Targets, steps: slice) -> Float[Tensor, " R"]:
        assert self._critic is not None
        loss = torch.zeros_like(self._beta)
        for agent, value in self._critic(batch.observations).items():
            old, target = targets.value[agent][:, steps], targets.value_target[agent][:, steps]
            error = value_loss(value, old, target, clip=self._config.value_clip)
            loss = loss + expected(error, batch.weight_of(agent))
        return loss

    @torch.no_grad()
    def _targets(self, rollout: Rollout, rewards: Mapping[str, Float[Tensor, "R B"]]) -> _Targets:
        config, batch = self._config, rollout.batch
        gae_lambda = 1.0 if self._critic is None else config.gae_lambda
        if batch.active:  # who has left earns nothing more
            rewards = {agent: reward * batch.active[agent] for agent, reward in rewards.items()}
        if config.normalize_rewards:
            rewards = self._return_scale.scale(rewards, batch)
        values, next_values = self._values(rollout)
        advantage, target = {}, {}
        for agent, reward in rewards.items():
            rows, value, following = (batch.by_episode(part) for part in (reward, values[agent], next_values[agent]))
            ends = torch.zeros_like(rows, dtype=torch.bool)  # without values, padding with 0 is end enough
            if rollout.ends:
                ends = _by_episode(rollout.ends[agent], batch)
            estimate = generalized_advantage(
                rows, value, following, ends, discount=config.discount, gae_lambda=gae_lambda
            )
            weight = batch.weight_of(agent)
            if config.baseline == "batch":
                estimate = estimate - step_mean(estimate, _by_episode(weight, batch))
            advantage[agent] = estimate.flatten(1)
            target[agent] = advantage[agent] + values[agent]
            if config.normalize_advantages:
                advantage[agent] = normalized(advantage[agent], weight)
        log_prob, signal_advantage, signal_log_prob = {}, None, None
        if batch.signal is not None:
            signal_advantage = torch.stack([batch.of_episode(values) for values in advantage.values()]).mean(0)
        if config.clip > 0:
            distributions = self._policies.of(batch)
            log_prob = {agent: policy.log_prob(batch.actions[agent]) for agent, policy in distributions.items()}
            weights = self._policies.signal(batch.num_episodes)
            if weights is not None and batch.signal is not None:
                signal_log_prob = weights.log_prob(batch.of_episode(batch.signal))
        return _Targets(advantage, log_prob, values, target, signal_advantage, signal_log_prob)

    def _values(self, rollout: Rollout) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Of the observations acted on and of those that followed, `[R, B]` by agent; all 0 without a critic."""
        batch = rollout.batch
        if self._critic is None:
            zero = torch.zeros_like(batch.weight)
            return dict.fromkeys(batch.actions, zero), dict.fromkeys(batch.actions, zero)
        values = self._critic(batch.observations)
        final_values = self._critic(rollout.final_observations)
        following = {}
        for agent, value in values.items():
            of_episode = _by_episode(value, batch)
            following_step = torch.cat([of_episode[..., 1:], torch.zeros_like(of_episode[..., :1])], dim=-1)
            ends, terminated = (_by_episode(flags[agent], batch) for flags in (rollout.ends, rollout.terminated))
            at_end = final_values[agent].unsqueeze(-1) * ~terminated
            following[agent] = torch.where(ends, at_end, following_step).flatten(1)
        return values, following


class ReturnScale:
    """Divides rewards by the running deviation of the discounted return, per run and agent.

    They are `centred` before where all lives are equally long. Elsewhere that would be another task: it would make a
    reward for each step that is lived a reward for none.
    """

    _DECAY = 0.95

    def __init__(self, discount: float, *, centred: bool) -> None:
        self._discount, self._centred, self._square = discount, centred, {}

    def scale(self, rewards: Mapping[str, Float[Tensor, "R B"]], batch: Batch) -> dict[str, Float[Tensor, "R B"]]:
        """Rewards whose returns have a mean square of about 1."""
        return {agent: self._scale(agent, reward, batch) for agent, reward in rewards.items()}

    def _scale(self, agent: str, reward: Float[Tensor, "R B"], batch: Batch) -> Float[Tensor, "R B"]:
        weight = batch.weight_of(agent)
        if self._centred:
            reward = reward - expected(reward, weight).unsqueeze(-1)
        reward = reward * (weight > 0)  # the absent earn nothing
        by_episode = batch.by_episode(reward)
        zero = torch.zeros_like(by_episode)
        returns = generalized_advantage(
            by_episode, zero, zero, zero.bool(), discount=self._discount, gae_lambda=1.0
        ).flatten(1)
        square = expected(returns.square(), weight)
        kept = self._square.get(agent)
        self._square[agent] = square if kept is None else self._DECAY * kept + (1 - self._DECAY) * square
        return reward / (self._square[agent].sqrt().unsqueeze(-1) + 1e-8)


def _by_episode(values: Float[Tensor, "R B"] | Bool[Tensor, "R B"], batch: Batch) -> Tensor:
    return values.unflatten(1, (-1, batch.num_steps))
