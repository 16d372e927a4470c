"""Nobody is handed an array that is kept: envs and policies may write into whatever they get."""

from typing import Any

import numpy as np
import pytest
import torch

from magail_trainer.data.recording import record
from magail_trainer.data.trajectories import FIELDS
from magail_trainer.envs.registry import EnvEntry
from magail_trainer.envs.vector_env import ParallelEnvCopies
from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.encoders import Codes
from magail_trainer.learn.policies import make_policies
from magail_trainer.learn.rollout import Rollout, SampledRollouts
from magail_trainer.learn.runs import Runs
from tests.magail_trainer.reach_env import ReachEnv, Reachers

torch.set_num_threads(1)


def scribble(values: Any) -> None:
    """Overwrite all arrays in dicts and tuples."""
    if isinstance(values, dict | tuple):
        for value in values.values() if isinstance(values, dict) else values:
            scribble(value)
    elif isinstance(values, np.ndarray):
        values.fill(0)


class Scribbling:
    """Overwrites the actions that it is given, and what it has returned before."""

    _returned: Any = ()

    def reset(self, *args: Any, **kwargs: Any) -> Any:
        scribble(self._returned)
        self._returned = super().reset(*args, **kwargs)  # type: ignore[misc]
        return self._returned

    def step(self, actions: dict[str, Any]) -> Any:
        following = super().step(actions)  # type: ignore[misc]
        scribble(actions)
        scribble(self._returned)
        self._returned = following
        return following


class Scribbles(Scribbling, ReachEnv):
    """An env."""


class ScribblingVector(Scribbling, ParallelEnvCopies):
    """A native vector env."""

    def __init__(self, num_envs: int) -> None:
        super().__init__(ReachEnv, num_envs)


class ScribblingReachers(Reachers):
    """An expert that overwrites what it observes."""

    def act(self, observations: dict[str, Any], *, episode: np.ndarray, step: np.ndarray) -> dict[str, Any]:
        chosen = super().act(observations, episode=episode, step=step)
        scribble(observations)
        return chosen


ENTRIES = {
    "env": EnvEntry("reach", Scribbles),
    "processes": EnvEntry("reach", Scribbles),
    "native": EnvEntry("reach", ReachEnv, make_native=ScribblingVector),
}


@pytest.mark.parametrize("kind", ENTRIES)
def test_recordings_and_rollouts_are_those_of_an_env_that_writes_nowhere(kind: str) -> None:
    processes = 2 if kind == "processes" else 1
    plain = EnvEntry("reach", ReachEnv)
    expected = record(plain, Reachers(ReachEnv()), episodes=5, seed=0, num_envs=2)
    policy = ScribblingReachers(ReachEnv())
    recorded = record(ENTRIES[kind], policy, episodes=5, seed=0, num_envs=2, processes=processes)
    for name in FIELDS:
        for agent, values in getattr(expected, name).items():
            np.testing.assert_array_equal(getattr(recorded, name)[agent], values, err_msg=f"{name} of {agent}")
    _assert_same(*(_rollout(entry, processes) for entry in (ENTRIES[kind], plain)))


def _rollout(entry: EnvEntry, processes: int) -> Rollout:
    runs, codes = Runs.grid(betas=(0.0,), seeds=(0, 1)), Codes.of(entry, network="mlp")
    policies = make_policies(codes, runs, MagailConfig(hidden=(4,)).settled("mlp"))
    vector_env = entry.make_vector(6, processes=processes)
    try:
        rollouts = SampledRollouts(
            vector_env, codes, seeds=[0, 1], episodes=3, device=torch.device("cpu"), for_critic=True
        )
        first = rollouts.collect(policies)
        rollouts.collect(policies)
        return first
    finally:
        vector_env.close()


def _assert_same(one: Rollout, other: Rollout) -> None:
    for name in ("observations", "actions"):
        for agent, values in getattr(one.batch, name).items():
            assert torch.equal(values, getattr(other.batch, name)[agent]), (name, agent)
    for agent in one.env_rewards:
        assert torch.equal(one.env_rewards[agent], other.env_rewards[agent])
        assert torch.equal(one.terminated[agent], other.terminated[agent])
    for agents, seen in one.final_observations.items():
        assert all(torch.equal(values, other.final_observations[agents][agent]) for agent, values in seen.items())
