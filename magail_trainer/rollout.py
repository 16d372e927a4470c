"""The learner's side: policies and a vector env make a batch, sampled or enumerated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from magail_trainer.batch import Batch, equal_weights
from magail_trainer.encoding import Codes
from magail_trainer.errors import InputError
from magail_trainer.policies import IndependentPolicies
from magail_trainer.seeding import RunNoise, StepNoise
from magail_trainer.vector_env import VectorEnv

_MAX_EPISODE_STEPS = 100_000


@dataclass(frozen=True)
class Rollout:
    """Whole episodes of every run."""

    batch: Batch
    env_rewards: Mapping[str, Float[Tensor, "R B"]]
    """What the env itself pays, by agent."""

    @property
    def mean_return(self) -> dict[str, Float[Tensor, " R"]]:
        """The mean over a run's episodes of the env's own return, undiscounted, by agent."""
        weight, mean_length = self.batch.weight, 1
        if self.batch.num_steps > 1:  # in enumerated episodes, all of one step, a weight of 0 is no padding
            mean_length = (weight > 0).sum(-1) / self.batch.num_episodes
        return {agent: (weight * rewards).sum(-1) * mean_length for agent, rewards in self.env_rewards.items()}


class SampledRollouts:
    """Plays E episodes of every run side by side, R·E copies of the env in all.

    The episodes of a run are played independently and alike: some of them are as good a sample as any others. Every
    collection starts from `reset` with seeds of the run's own stream: what a run sees depends neither on the
    other runs nor on how long their episodes are.
    """

    def __init__(
        self,
        vector_env: VectorEnv,
        codes: Codes,
        *,
        seeds: Sequence[int],
        episodes: int,
        device: torch.device,
        purpose: str = "rollouts",
    ) -> None:
        self._env, self._codes = vector_env, codes
        self._episodes, self._device = episodes, device
        self._env_noise = RunNoise(seeds, purpose, "env")
        self._action_noise = StepNoise(seeds, purpose, "actions")

    @torch.no_grad()
    def collect(self, policies: IndependentPolicies) -> Rollout:
        """Play each copy's episode to its end.

        Raises:
            InputError: an episode does not end.
        """
        # Seeds below 2^31, in blocks of one for each episode, so that no two rollouts share some of them.
        block = (self._env_noise.uniform(1) * (2**31 // self._episodes)).astype(np.int64)
        observations, _ = self._env.reset(seed=(block * self._episodes + np.arange(self._episodes)).ravel())
        playing, steps = np.ones(self._env.num_envs, dtype=bool), []
        while playing.any():
            if len(steps) == _MAX_EPISODE_STEPS:
                raise InputError(f"An episode goes on after {_MAX_EPISODE_STEPS} steps; expected an env with an end.")
            rows = {
                agent: self._for_runs(code.encode(observations[agent]))
                for agent, code in self._codes.observations.items()
            }
            actions = self._draw_actions(policies, rows, step=len(steps))
            observations, rewards, terminations, truncations, _ = self._env.step(self._decode(actions))
            steps.append((rows, actions, {agent: self._for_runs(paid) for agent, paid in rewards.items()}, playing))
            first = policies.agents[0]
            playing = playing & ~(terminations[first] | truncations[first])
        observations, actions, rewards = (
            {agent: _by_step([step[part][agent] for step in steps]) for agent in policies.agents} for part in range(3)
        )
        present = _by_step([self._for_runs(step[3]) for step in steps])
        return Rollout(Batch(observations, actions, equal_weights(present), len(steps)), rewards)

    def _draw_actions(
        self, policies: IndependentPolicies, observations: Mapping[str, Int[Tensor, "R E"]], *, step: int
    ) -> dict[str, Int[Tensor, "R E"]]:
        noise = self._action_noise.uniform(step, len(observations), self._episodes)
        uniform = torch.from_numpy(noise).to(self._device)
        distributions = policies(observations)
        return {agent: distributions[agent].sample(uniform[:, i]) for i, agent in enumerate(policies.agents)}

    def _decode(self, actions: Mapping[str, Int[Tensor, "R E"]]) -> dict[str, np.ndarray]:
        rows = {agent: row.flatten().cpu().numpy() for agent, row in actions.items()}
        return {agent: self._codes.actions[agent].decode(row) for agent, row in rows.items()}

    def _for_runs(self, values: Shaped[np.ndarray, " copies"]) -> Shaped[Tensor, "R E"]:
        return torch.from_numpy(values.reshape(-1, self._episodes)).to(self._device)


def _by_step(steps: Sequence[Shaped[Tensor, "R E"]]) -> Shaped[Tensor, "R B"]:
    """T times `[R, E]` to `[R, E·T]`: the steps of each episode next to each other."""
    return steps[0] if len(steps) == 1 else torch.stack(list(steps), dim=-1).flatten(1)


class EnumeratedRollouts:
    """Every joint action of a one-step env with its exact probability: training without sampling noise.

    Raises:
        InputError: the env has more than one observation or step.
    """

    def __init__(
        self,
        vector_env: VectorEnv,
        codes: Codes,
        *,
        num_runs: int,
        device: torch.device,
    ) -> None:
        for agent, code in codes.observations.items():
            if code.size > 1:
                raise InputError(f"--exact needs an env with one observation; that of {agent} has {code.size} values.")
        sizes = [code.size for code in codes.actions.values()]
        joint_actions = np.indices(sizes).reshape(len(sizes), -1)  # [N, joint actions], row-major
        vector_env.reset(seed=0)
        values = {
            agent: code.decode(row) for (agent, code), row in zip(codes.actions.items(), joint_actions, strict=True)
        }
        _, rewards, terminations, truncations, _ = vector_env.step(values)
        if not all((terminations[agent] | truncations[agent]).all() for agent in codes.actions):
            raise InputError("--exact needs an env whose episodes have one step.")
        self._rewards, self._actions = (
            {agent: torch.from_numpy(row).to(device).expand(num_runs, -1) for agent, row in rows.items()}
            for rows in (rewards, dict(zip(codes.actions, joint_actions, strict=True)))
        )
        self._observations = {agent: torch.zeros_like(self._actions[agent]) for agent in codes.actions}

    @torch.no_grad()
    def collect(self, policies: IndependentPolicies) -> Rollout:
        """Weight every joint action with the product of the agents' probabilities."""
        distributions = policies(self._observations)
        log_probs = [distributions[agent].log_prob(self._actions[agent]) for agent in policies.agents]
        weight = torch.stack(log_probs).sum(0).exp()
        return Rollout(Batch(self._observations, self._actions, weight), self._rewards)
