"""The loop in which every env is played: by a recorder, by the learner, and by `check_env`."""

import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from magail_trainer.envs.vector_env import Seeds, VectorEnv, episode_over
from magail_trainer.errors import InputError

MAX_EPISODE_STEPS = 100_000
"""Longest episode that is played without a limit of its own."""
_LONG = 10_000
"""Steps of an episode after which it is said that it goes on."""

Act = Callable[[dict[str, Any], dict[str, np.ndarray], np.ndarray], dict[str, Any]]
"""Takes observations `[E, ...]` and action masks `[E, n]` by agent, and the number of steps that each episode has had,
`[E]`; returns actions `[E, ...]` by agent."""


@dataclass(frozen=True)
class Step:
    """One step of E copies; every dict is keyed by agent."""

    observations: dict[str, Any]
    """`[E, ...]`: what was acted on."""
    masks: dict[str, np.ndarray]
    """`[E, n]`: which actions were allowed, where the env says so."""
    actions: dict[str, Any]
    """`[E, ...]`"""
    rewards: dict[str, np.ndarray]
    """`[E]`"""
    terminations: dict[str, np.ndarray]
    """`[E]`"""
    truncations: dict[str, np.ndarray]
    """`[E]`"""
    final_observations: dict[str, Any]
    """`[E, ...]`: what the step led to."""
    over: np.ndarray
    """`[E]` bool: whose episode ended. Its copy has begun another one."""


def play_steps(vector_env: VectorEnv, act: Act, *, seed: Seeds) -> Iterator[Step]:
    """Play one episode after another in every copy, until nobody asks for a step any more.

    Args:
        vector_env: E copies.
        act: called once for each step.
        seed: of the copies' first episodes, `[E]`.

    Raises:
        InputError: an episode does not end within `MAX_EPISODE_STEPS`.
    """
    observations, infos = deepcopy(vector_env.reset(seed=seed))
    lengths = np.zeros(vector_env.num_envs, dtype=np.int64)
    while True:
        _watch(lengths)
        masks = {agent: info["action_mask"] for agent, info in infos.items() if "action_mask" in info}
        # Nobody is handed what is kept: some envs scale actions in place or fill the same arrays at every step, and a
        # policy may normalise its observations in place.
        actions = act(deepcopy(observations), masks, lengths)
        following, rewards, terminations, truncations, infos = deepcopy(vector_env.step(deepcopy(actions)))
        final = {agent: infos[agent]["final_obs"] for agent in vector_env.possible_agents}
        over = episode_over(terminations, truncations)
        yield Step(observations, masks, actions, rewards, terminations, truncations, final, over)
        observations, lengths = following, np.where(over, 0, lengths + 1)


def _watch(lengths: np.ndarray) -> None:
    """Say now and then that an episode goes on, and at last refuse it; `lengths` are the copies' steps, `[E]`."""
    steps = int(lengths.max())
    if steps >= MAX_EPISODE_STEPS:
        raise InputError(f"An episode goes on after {steps:,} steps; --max_episode_steps N cuts episodes off.")
    if steps and steps % _LONG == 0:
        how_long = f"An episode of copy {lengths.argmax()} has gone on for {steps:,} steps"
        tqdm.write(f"{how_long}; --max_episode_steps N cuts episodes off.", file=sys.stderr)
