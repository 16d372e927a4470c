"""An env whose right action depends on the step, its expert, and what trains small networks on it in no time."""

from functools import cache
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete, Space
from pettingzoo import ParallelEnv

from magail_trainer.data.recording import record
from magail_trainer.data.trajectories import Trajectories
from magail_trainer.envs.registry import EnvEntry
from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.runs import Runs

AGENTS: tuple[str, ...] = ("a", "b")
SMALL = MagailConfig(
    network="mlp", epochs=3, rollout_episodes=8, batch_size=2, hidden=(8,), lr_policy=0.01, lr_disc=0.01,
    lr_critic=0.01, lr_schedule="linear", beta_schedule="constant", reward_style="airl", discount=0.99,
    critic="centralised", policy_epochs=2, policy_minibatches=2, clip=0.2, gae_lambda=0.9, normalize_advantages=True,
    normalize_rewards=True, max_grad_norm=0.5, disc_updates=2, gradient_penalty=0.1, warm_start=3, warm_passes=0,
    warm_critic=1, lr_cloning=0.01, cloning=0.5, signal_starts=0,
)  # fmt: skip
"""Everything that there is, in small."""


class ClockEnv(ParallelEnv):
    """Four steps. An agent observes (the step, a number drawn for the episode, its last action).

    The right action at step t is (t + the agent's index) modulo 3, and pays 1. In `continuous` form an action is a
    number from -1 to 5; it pays its distance from the right one, negative. With `spread`, an episode has up to that
    many steps fewer, by chance, and `a` and `b` end by truncation where the number is over 1/2, else by termination.
    """

    metadata = {"name": "clock_v0"}  # noqa: RUF012

    def __init__(self, *, continuous: bool = False, spread: int = 0) -> None:
        self.possible_agents = list(AGENTS)
        self.agents: list[str] = []
        self._continuous, self._spread = continuous, spread
        self._rng = np.random.default_rng()

    def observation_space(self, agent: str) -> Space:
        return Box(-1, 5, (3,), np.float32)

    def action_space(self, agent: str) -> Space:
        return Box(-1, 5, (1,), np.float32) if self._continuous else Discrete(3)

    def reset(self, seed: int | None = None, options: dict | None = None) -> tuple[dict[str, Any], dict[str, dict]]:
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self.agents, self._step, self._last = list(AGENTS), 0, dict.fromkeys(AGENTS, 0.0)
        self._number, self._length = self._rng.random(), 4 - int(self._rng.integers(self._spread + 1))
        return self._observe(), {agent: {} for agent in AGENTS}

    def step(self, actions: dict[str, Any]) -> tuple[dict, dict, dict, dict, dict]:
        right = {agent: (self._step + index) % 3 for index, agent in enumerate(AGENTS)}
        self._last = {agent: float(np.squeeze(actions[agent])) for agent in AGENTS}
        distance = {agent: abs(self._last[agent] - right[agent]) for agent in AGENTS}
        rewards = {agent: -away if self._continuous else float(away == 0) for agent, away in distance.items()}
        self._step += 1
        ended = self._step == self._length
        cut = self._spread > 0 and self._number > 0.5
        self.agents = [] if ended else list(AGENTS)
        flags = (dict.fromkeys(AGENTS, ended and not cut), dict.fromkeys(AGENTS, ended and cut))
        return self._observe(), rewards, *flags, {agent: {} for agent in AGENTS}

    def _observe(self) -> dict[str, Any]:
        return {agent: np.array([self._step, self._number, self._last[agent]], np.float32) for agent in AGENTS}


class Clockwork:
    """Plays the right action, which it reads off the step that it observes."""

    name = "clockwork"

    def __init__(self, *, continuous: bool = False) -> None:
        self.parameters = {"continuous": continuous}

    def begin(self, num_episodes: int, rng: np.random.Generator) -> None:
        """Nothing is left to chance."""

    def act(self, observations: dict[str, Any], *, episode: np.ndarray, step: np.ndarray) -> dict[str, Any]:
        right = {agent: (observations[agent][:, 0] + index) % 3 for index, agent in enumerate(AGENTS)}
        if self.parameters["continuous"]:
            return {agent: values[:, np.newaxis].astype(np.float32) for agent, values in right.items()}
        return {agent: values.astype(np.int64) for agent, values in right.items()}


def clock(**kwargs: Any) -> EnvEntry:
    return EnvEntry("clock", ClockEnv, kwargs)


def clock_dataset(entry: EnvEntry, episodes: int = 20) -> Trajectories:
    return _recorded(episodes, **entry.kwargs)


@cache
def _recorded(episodes: int, **kwargs: Any) -> Trajectories:
    return record(clock(**kwargs), Clockwork(continuous=kwargs.get("continuous", False)), episodes=episodes, seed=0)


def seeded(*seeds: int, beta: float = 0.01) -> Runs:
    return Runs.grid(betas=(beta,), seeds=seeds)


def tabular(**settings: Any) -> MagailConfig:
    """The settings of tables, but for these."""
    return MagailConfig(network="tabular", **settings)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
