"""Rollouts of the learner's policies in a vector env, sampled or enumerated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from magail_trainer.envs.steps import play_steps
from magail_trainer.envs.vector_env import VectorEnv
from magail_trainer.errors import InputError
from magail_trainer.learn.batch import Batch, equal_weights
from magail_trainer.learn.encoders import Codes
from magail_trainer.learn.policies import Policies
from magail_trainer.seeding import RunNoise, StepNoise

Finals = Mapping[tuple[str, ...], Mapping[str, np.ndarray]]
"""As `Rollout.final_observations`, `[copies, ...]`."""


@dataclass(frozen=True)
class Rollout:
    """Whole episodes of every run."""

    batch: Batch
    env_rewards: Mapping[str, Float[Tensor, "R B"]]
    """The env's own rewards, by agent."""
    ends: Mapping[str, Bool[Tensor, "R B"]] = field(default_factory=dict)
    """Whether an agent's episode ended at the step. This and the next two are for a critic, and empty without one."""
    terminated: Mapping[str, Bool[Tensor, "R B"]] = field(default_factory=dict)
    """Whether it ended by termination, not truncation."""
    final_observations: Mapping[tuple[str, ...], Mapping[str, Shaped[Tensor, "R E ..."]]] = field(default_factory=dict)
    """What all agents observed after the last action of some: by the agents that left together in every episode, then
    by agent. Whoever had left before observes what the env shows for the absent."""

    @property
    def mean_return(self) -> dict[str, Float[Tensor, " R"]]:
        """The undiscounted return of the env's own rewards, averaged over episodes, by agent."""
        weight, mean_length = self.batch.weight, 1
        if self.batch.num_steps > 1:  # enumerated one-step episodes may have weight 0 without being padding
            mean_length = (weight > 0).sum(-1) / self.batch.num_episodes
        return {agent: (weight * rewards).sum(-1) * mean_length for agent, rewards in self.env_rewards.items()}

    def part(self, episodes: slice) -> "Rollout":
        """The same consecutive episodes of every run, as views."""
        first, last, _ = episodes.indices(self.batch.num_episodes)
        steps = slice(first * self.batch.num_steps, last * self.batch.num_steps)
        env_rewards, ends, terminated = (
            {agent: values[:, steps] for agent, values in columns.items()}
            for columns in (self.env_rewards, self.ends, self.terminated)
        )
        final = {
            leaving: {agent: values[:, first:last] for agent, values in seen.items()}
            for leaving, seen in self.final_observations.items()
        }
        return Rollout(self.batch.part(episodes), env_rewards, ends, terminated, final)


class SampledRollouts:
    """Plays E episodes of each run in parallel, in R·E copies of the env.

    Episodes are independent and identically distributed. Every collection resets the env with seeds from each run's own
    stream: what a run sees does not depend on the other runs or on the length of their episodes (except in VMAS, whose
    copies share one random state).

    Args:
        for_critic: keep how episodes end, and the final observations.
        greedy: play each agent's likeliest action instead of sampling; a shared signal is still sampled.
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
        for_critic: bool = False,
        greedy: bool = False,
    ) -> None:
        self._env, self._codes = vector_env, codes
        self._episodes, self._device = episodes, device
        self._for_critic, self._greedy = for_critic, greedy
        self._env_noise = RunNoise(seeds, purpose, "env")
        self._action_noise = StepNoise(seeds, purpose, "actions")
        self._signal_noise = RunNoise(seeds, purpose, "signal")

    def state_dict(self) -> dict[str, Tensor]:
        """How far the random streams have come. The env is reset with new seeds in every collection."""
        drawn = (self._env_noise.drawn, *self._action_noise.drawn, self._signal_noise.drawn)
        return {"drawn": torch.tensor(drawn)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state_dict` returned."""
        env, rollouts, actions, signal = state["drawn"].tolist()
        self._env_noise.skip(env)
        self._action_noise.skip(rollouts, actions)
        self._signal_noise.skip(signal)

    @torch.no_grad()
    def collect(self, policies: Policies) -> Rollout:
        """Play each copy's episode to its end.

        Raises:
            InputError: an episode does not end.
        """
        seed = start_seeds(self._env_noise, self._episodes)
        left = {agent: np.zeros(self._env.num_envs, dtype=bool) for agent in policies.agents}
        playing, steps = np.ones(self._env.num_envs, dtype=bool), []
        final: Finals = {tuple(policies.agents): {}}
        signal = policies.draw_signal(self._signal_noise, self._episodes)
        for played in play_steps(self._env, partial(self._act, policies, signal, steps), seed=seed):
            rewards = {agent: self._for_runs(paid) for agent, paid in played.rewards.items()}
            steps[-1] |= {"left": left, "rewards": rewards, "playing": playing}
            ended = {agent: played.terminations[agent] | played.truncations[agent] for agent in policies.agents}
            leaving = {agent: playing & ended[agent] & ~left[agent] for agent in policies.agents}
            left = {agent: left[agent] | ended[agent] for agent in policies.agents}
            if self._for_critic:
                steps[-1] |= {"ends": leaving, "terminated": played.terminations}
                final = self._with_final(final, played.final_observations, leaving)
            playing = playing & ~np.logical_and.reduce(list(left.values()))
            if not playing.any():
                break
        return self._assemble(steps, final, signal)

    def _act(
        self,
        policies: Policies,
        signal: Int[Tensor, "R E"] | None,
        steps: list[dict[str, Any]],
        observations: dict[str, Any],
        masks: dict[str, np.ndarray],
        _: np.ndarray,
    ) -> dict[str, Any]:
        """The actions of all copies; the step joins `steps`."""
        uniform = self._uniform(policies, step=len(steps))
        step: dict[str, Any] = {"observations": self._encode(observations), "masks": self._masks(masks)}
        step["actions"] = policies.act(step["observations"], step["masks"], signal=signal, uniform=uniform)
        steps.append(step)
        return self._decode(step["actions"])

    def _encode(self, observations: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        codes = self._codes.observations.items()
        return {agent: self._for_runs(code.encode(observations[agent])) for agent, code in codes}

    def _masks(self, masks: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        return {agent: self._for_runs(masks[agent].astype(bool)) for agent in self._codes.actions if agent in masks}

    def _uniform(self, policies: Policies, *, step: int) -> Sequence[Float[Tensor, "R E _"]] | None:
        """The noise of each agent's action; None if greedy."""
        if self._greedy:
            return None
        noise = self._action_noise.uniform(step, sum(policies.noise_sizes), self._episodes)
        return torch.from_numpy(noise).to(self._device).movedim(1, -1).split(policies.noise_sizes, dim=-1)

    def _decode(self, actions: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
        flat = {agent: values.flatten(0, 1).cpu().numpy() for agent, values in actions.items()}
        return {agent: self._codes.actions[agent].decode(values) for agent, values in flat.items()}

    def _with_final(self, final: Finals, observations: Mapping[str, Any], leaving: Mapping[str, np.ndarray]) -> Finals:
        """The final observations with those of a step, in the copies where somebody is leaving."""
        if not any(gone.any() for gone in leaving.values()):
            return final
        codes = self._codes.observations.items()
        encoded = {agent: code.encode(observations[agent]) for agent, code in codes}
        following: Finals = {}
        for agents, seen in final.items():
            for together in _in_step(agents, leaving):
                following[together] = {
                    agent: _put(values, leaving[together[0]], seen.get(agent)) for agent, values in encoded.items()
                }
        return following

    def _assemble(
        self,
        steps: Sequence[Mapping[str, Any]],
        final: Finals,
        signal: Int[Tensor, "R E"] | None,
    ) -> Rollout:
        """Make the steps of each episode contiguous."""
        observations, actions, rewards = (
            {agent: _by_step([step[name][agent] for step in steps]) for agent in steps[0][name]}
            for name in ("observations", "actions", "rewards")
        )
        masks = {}
        for agent, mask in steps[-1]["masks"].items():  # a mask never disappears again
            everything = torch.ones_like(mask)
            masks[agent] = _by_step([step["masks"].get(agent, everything) for step in steps])
        present = _by_step([self._for_runs(step["playing"]) for step in steps])
        signal = None if signal is None else _by_step([signal] * len(steps))
        batch = Batch(observations, actions, equal_weights(present), len(steps), self._active(steps), masks, signal)
        if not self._for_critic:
            return Rollout(batch, rewards)
        ends, terminated = (
            {agent: _by_step([self._for_runs(step[name][agent]) for step in steps]) for agent in actions}
            for name in ("ends", "terminated")
        )
        final_observations = {
            leaving: {agent: self._for_runs(values) for agent, values in seen.items()}
            for leaving, seen in final.items()
        }
        return Rollout(batch, rewards, ends, terminated, final_observations)

    def _active(self, steps: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Whether an agent is still in the episode, by agent; empty if none leaves before the others."""
        if not any((step["playing"] & gone).any() for step in steps[1:] for gone in step["left"].values()):
            return {}
        return {
            agent: _by_step([self._for_runs(step["playing"] & ~step["left"][agent]) for step in steps])
            for agent in steps[0]["left"]
        }

    def _for_runs(self, values: Shaped[np.ndarray, "copies *rest"]) -> Shaped[Tensor, "R E *rest"]:
        return torch.from_numpy(values.reshape(-1, self._episodes, *values.shape[1:])).to(self._device)


def _in_step(agents: Sequence[str], leaving: Mapping[str, np.ndarray]) -> list[tuple[str, ...]]:
    """The agents in groups of those that are leaving in the same copies."""
    groups: dict[bytes, list[str]] = {}
    for agent in agents:
        groups.setdefault(leaving[agent].tobytes(), []).append(agent)
    return [tuple(group) for group in groups.values()]


def _put(
    values: Shaped[np.ndarray, "copies *rest"],
    chosen: Bool[np.ndarray, " copies"],
    before: Shaped[np.ndarray, "copies *rest"] | None,
) -> Shaped[np.ndarray, "copies *rest"]:
    """The values of the chosen copies among those from before, which are zeros at first."""
    chosen = chosen.reshape(-1, *[1] * (values.ndim - 1))
    return np.where(chosen, values, np.zeros_like(values) if before is None else before)


def start_seeds(noise: RunNoise, episodes: int) -> Int[np.ndarray, " copies"]:
    """The next seeds of R·E copies of an env: below 2^31, in aligned blocks of E, so that no two overlap in part."""
    block = (noise.uniform(1) * (2**31 // episodes)).astype(np.int64)
    return (block * episodes + np.arange(episodes)).ravel()


def _by_step(steps: Sequence[Shaped[Tensor, "R E *rest"]]) -> Shaped[Tensor, "R B *rest"]:
    """Stack T tensors `[R, E, ...]` into `[R, E·T, ...]`, the steps of each episode contiguous."""
    return steps[0] if len(steps) == 1 else torch.stack(list(steps), dim=2).flatten(1, 2)


class EnumeratedRollouts:
    """Every joint action of a one-step env, weighted by its probability: exact expectations, no sampling noise.

    Raises:
        InputError: the env has more than one observation or step.
    """

    def __init__(self, vector_env: VectorEnv, codes: Codes, *, num_runs: int, device: torch.device) -> None:
        for agent, code in codes.observations.items():
            if not code.is_constant:
                space = vector_env.observation_space(agent)
                raise InputError(f"--exact needs an env with one observation; that of {agent} is {space}.")
        if not codes.finite_actions:
            raise InputError("--exact needs finite action spaces.")
        sizes = [code.size for code in codes.finite_actions.values()]
        joint_actions = np.indices(sizes).reshape(len(sizes), -1)  # [N, joint actions], row-major
        observations, infos = vector_env.reset(seed=0)
        if any("action_mask" in info for info in infos.values()):
            raise InputError("--exact needs an env that allows every action; this one has action masks.")
        codes_and_rows = zip(codes.finite_actions.items(), joint_actions, strict=True)
        values = {agent: code.decode(row) for (agent, code), row in codes_and_rows}
        _, rewards, terminations, truncations, infos = vector_env.step(values)
        if not all((terminations[agent] | truncations[agent]).all() for agent in codes.actions):
            raise InputError("--exact needs an env whose episodes have one step.")
        encode = {agent: code.encode for agent, code in codes.observations.items()}
        self._rewards, self._actions, self._terminated, self._observations, self._final = (
            {
                agent: torch.from_numpy(values).to(device).expand(num_runs, *values.shape)
                for agent, values in columns.items()
            }
            for columns in (
                rewards,
                dict(zip(codes.actions, joint_actions, strict=True)),
                {agent: terminations[agent] for agent in codes.actions},
                {agent: encode[agent](observations[agent]) for agent in encode},
                {agent: encode[agent](infos[agent]["final_obs"]) for agent in encode},
            )
        )
        self._num_runs, self._device = num_runs, device
        self._ends = {agent: torch.ones_like(flags) for agent, flags in self._terminated.items()}

    @torch.no_grad()
    def collect(self, policies: Policies) -> Rollout:
        """Every joint action with every value of the signal, weighted by its probability."""
        num_joint = next(iter(self._ends.values())).shape[1]
        signal = torch.arange(policies.num_signals, device=self._device).repeat_interleave(num_joint)
        columns = (self._observations, self._actions, self._rewards, self._ends, self._terminated, self._final)
        observations, actions, rewards, ends, terminated, final = (
            {agent: _tiled(values, policies.num_signals) for agent, values in column.items()} for column in columns
        )
        weights = policies.signal(len(signal))
        signal = None if weights is None else signal.expand(self._num_runs, -1)
        distributions = policies(observations, signal=signal, actions=actions)
        log_probs = [distributions[agent].log_prob(actions[agent]) for agent in policies.agents]
        if weights is not None and signal is not None:
            log_probs.append(weights.log_prob(signal))
        batch = Batch(observations, actions, torch.stack(log_probs).sum(0).exp(), signal=signal)
        return Rollout(batch, rewards, ends, terminated, {tuple(policies.agents): final})

    def joint(self, policies: Policies) -> Float[Tensor, "R J"]:
        """The probability of every joint action, in row-major order of the agents' actions."""
        return self.collect(policies).batch.weight.unflatten(1, (policies.num_signals, -1)).sum(1)


def _tiled(values: Shaped[Tensor, "R J *rest"], times: int) -> Shaped[Tensor, "R K *rest"]:
    """All joint actions repeated `times` times."""
    return values if times == 1 else values.repeat(1, times, *[1] * (values.ndim - 2))
