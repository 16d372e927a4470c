"""Lives of unequal length, which leak reward."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from pettingzoo import ParallelEnv

from magail_trainer.data.joint_policies import RandomJointPolicy
from magail_trainer.data.recording import record
from magail_trainer.data.trajectories import Trajectories
from magail_trainer.envs.registry import EnvEntry
from magail_trainer.errors import InputError
from magail_trainer.learn.batch import Batch, equal_weights
from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.fixed_horizon import EPISODES, FixedHorizon
from magail_trainer.learn.runs import Runs
from magail_trainer.learn.trainer import Trainer
from tests.magail_trainer.toy_envs import DyingEnv


class SurvivalEnv(ParallelEnv):
    """Pays 1 for each of at most 12 steps; who plays 0 is gone, and with nobody left the episode is over."""

    metadata = {"name": "survival_v0"}  # noqa: RUF012

    def __init__(self, agents: tuple[str, ...] = ("a",)) -> None:
        self.possible_agents = list(agents)

    def observation_space(self, agent: str) -> Box:
        return Box(0, 1, (1,), np.float32)

    def action_space(self, agent: str) -> Discrete:
        return Discrete(4)

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict]:
        self.agents, self._time = list(self.possible_agents), 0
        return self._observed(), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, Any]) -> tuple[dict, dict, dict, dict, dict]:
        self._time += 1
        acting = list(self.agents)
        gone = {agent: bool(actions[agent] == 0) for agent in acting}
        over = dict.fromkeys(acting, self._time == 12)
        outcome = (self._observed(), dict.fromkeys(acting, 1.0), gone, over, {agent: {} for agent in acting})
        self.agents = [agent for agent in acting if not (gone[agent] or over[agent])]
        return outcome

    def _observed(self) -> dict[str, np.ndarray]:
        return {agent: np.full(1, self._time / 12, np.float32) for agent in self.agents}


def played(lengths: list[int], active: dict[str, list[int]] | None = None, *, num_steps: int = 3) -> Batch:
    """One run's episodes of these lengths, in which agents are there for these numbers of steps."""
    steps = torch.arange(num_steps)
    of = {name: (steps < torch.tensor(lives).unsqueeze(1)).reshape(1, -1) for name, lives in (active or {}).items()}
    present = (steps < torch.tensor(lengths).unsqueeze(1)).reshape(1, -1)
    return Batch({}, {}, equal_weights(present), num_steps=num_steps, active=of)


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        (played([3, 3]), None),
        (played([3, 2]), "The episodes last from 2 to 3 steps for the learner and 3 for the expert"),
        (played([2, 2], num_steps=2), "The episodes last 2 steps for the learner and 3 for the expert"),
        (played([1, 1], num_steps=1), "The episodes last 1 steps for the learner and 3 for the expert"),
        (played([3, 3], {"a": [3, 3]}), None),
        (played([3, 3], {"a": [3, 1]}), "a is there for from 1 to 3 steps for the learner and 3 for the expert"),
    ],
)
def test_the_learner_lives_as_long_as_the_expert(batch: Batch, said: str | None) -> None:
    horizon = FixedHorizon({EPISODES: 3})
    if said is None:
        horizon.check(batch)
    else:
        with pytest.raises(InputError, match=said):
            horizon.check(batch)


def test_who_left_with_the_expert_leaves_with_the_learner() -> None:
    horizon = FixedHorizon({EPISODES: 3, "a": 2})
    horizon.check(played([3, 3], {"a": [2, 2]}))
    for stays in (played([3, 3]), played([3, 3], {"a": [3, 3]})):
        with pytest.raises(InputError, match="a is there for 3 steps for the learner and 2 for the expert"):
            horizon.check(stays)


def test_enumerated_actions_of_no_weight_are_no_short_episodes() -> None:
    enumerated = Batch({}, {}, torch.tensor([[1.0, 0.0]]))
    FixedHorizon({EPISODES: 1}).check(enumerated)
    with pytest.raises(InputError, match="for the learner and 2 for the expert"):
        FixedHorizon({EPISODES: 2}).check(enumerated)


def test_an_agent_that_leaves_sooner_or_later_is_refused_and_one_that_leaves_on_time_is_not() -> None:
    fixed = EnvEntry("dying", DyingEnv)
    assert len(FixedHorizon.of(record(fixed, RandomJointPolicy(fixed.make()), episodes=4, seed=0)).steps) > 1
    entry = EnvEntry("survival", SurvivalEnv, {"agents": ("a", "b")})
    recorded = record(entry, RandomJointPolicy(entry.make()), episodes=200, seed=0)
    with pytest.raises(InputError, match="The episodes last from 1 to 12 steps for the expert"):
        FixedHorizon.of(recorded)
    first, second = np.flatnonzero(recorded.lengths == 12)[:2]
    assert set(FixedHorizon.of(recorded[first : first + 1]).steps) == {EPISODES, "b"}
    both = Trajectories.concatenate([recorded[first : first + 1], recorded[second : second + 1]])
    with pytest.raises(InputError, match=r"is there for from \d+ to \d+ steps for the expert"):
        FixedHorizon.of(both)


@pytest.mark.parametrize("scaled", [True, False])
def test_the_envs_own_reward_for_each_step_is_one_for_living_long(scaled: bool) -> None:  # noqa: FBT001
    entry = EnvEntry("survival", SurvivalEnv)
    config = replace(
        MagailConfig(network="mlp"),
        epochs=10,
        rollout_episodes=32,
        hidden=(16,),
        normalize_rewards=scaled,
        lr_policy=1e-2,
    )
    trainer = Trainer(entry, None, Runs.grid(betas=(0.0,), seeds=(0, 1)), config)
    returns = [record.metrics["return/a"] for record in trainer.train()]
    assert (returns[0] < 6).all()  # by chance (1 - 0.75^12) / 0.25 = 3.9
    assert (returns[-1] > 10).all()  # of 12
