"""What is said about environments. (`check_vector_env` is tested in test_check_vector_env.py.)"""

from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Text, Tuple
from pettingzoo import ParallelEnv

from magail_trainer.envs.registry import EnvEntry, resolve
from magail_trainer.errors import EnvError, InputError
from magail_trainer.play.check_env import check_env
from tests.magail_trainer.toy_envs import DyingEnv, MaskedEnv, RandomLengthEnv, StillListedEnv


class Spaces(ParallelEnv):
    """One agent in whatever spaces; one step."""

    metadata = {"name": "spaces_v0"}  # noqa: RUF012

    def __init__(self, observation: Space, action: Space, reward: float = 0.0) -> None:
        self.possible_agents, self.agents = ["agent_0"], []
        self._observation, self._action, self._reward = observation, action, reward

    def observation_space(self, agent: str) -> Space:
        return self._observation

    def action_space(self, agent: str) -> Space:
        return self._action

    def reset(self, seed: int | None = None, options: dict | None = None) -> Any:
        self.agents = ["agent_0"]
        return {"agent_0": self._observation.sample()}, {"agent_0": {}}

    def step(self, actions: dict[str, Any]) -> Any:
        assert actions["agent_0"] in self._action
        self.agents = []
        return tuple({"agent_0": value} for value in (self._observation.sample(), self._reward, True, False, {}))


def entry_of(observation: Space, action: Space, reward: float = 0.0) -> EnvEntry:
    return EnvEntry("toy", Spaces, {"observation": observation, "action": action, "reward": reward})


BOX = Box(-1, 1, (2,), np.float32)


def out_of_ports() -> ParallelEnv:
    raise OSError("no port is free")


def test_all_that_is_to_be_said_of_an_env_that_agents_leave() -> None:
    assert check_env(EnvEntry("toy:dying", DyingEnv, {"lengths": (2, 3)}), steps=30).facts == [
        "toy:dying: 2 agents, agent_0, agent_1",
        "agent_0 observes Box(0.0, 100.0, (3,), float32)",
        "agent_0 acts in Discrete(2)",
        "agent_0 can be trained with MLPs (no tables: its observations are not from a finite space)",
        "agent_1 observes Box(0.0, 100.0, (3,), float32)",
        "agent_1 acts in Discrete(2)",
        "agent_1 can be trained with MLPs (no tables: its observations are not from a finite space)",
        "vector env: copies stepped one by one",
        "episodes: 10 played, each 3 steps long (a fixed length)",
        "endings of 10 episodes: agent_0 termination in 10 and truncation in 0; "
        "agent_1 termination in 0 and truncation in 10",
        "agents that leave early: agent_0 (training takes that without --allow_variable_horizon only if it is always "
        "at the same step)",
        "seeds: the same seed gives the same episodes",
        "action masks: none",
    ]


def test_of_an_env_with_masks_and_one_of_its_own() -> None:
    lines = check_env(EnvEntry("toy:masked", MaskedEnv), steps=1000).facts
    assert "agent_0 observes Box(0.0, 10.0, (2,), float32)" in lines
    assert "action masks: agent_0" in lines
    assert "episodes: 20 played, each 3 steps long (a fixed length)" in lines
    lines = check_env(resolve("coordination_env:coordination/matching-v0")).facts
    assert "vector env: the env's own" in lines
    assert "agent_1 can be trained with tables or MLPs" in lines
    assert "episodes: 20 played, each 1 step long (a fixed length)" in lines
    assert "endings: termination in 20 and truncation in 0 of 20 episodes" in lines


def test_of_episodes_of_any_length_or_without_an_end() -> None:
    lines = check_env(EnvEntry("toy", RandomLengthEnv)).facts
    assert "episodes: 20 played, 1 to 5 steps long, which training takes with --allow_variable_horizon alone" in lines
    assert "agent_0" not in " ".join(lines)
    dying = EnvEntry("toy", DyingEnv, {"lengths": (99, 98)})
    lines = check_env(dying, steps=1).facts
    assert "episodes: none ended within 50 steps" in lines
    assert not [line for line in lines if line.startswith("endings")]
    assert "episodes: 1 played, 99 steps long" in check_env(dying, steps=2).facts


@pytest.mark.parametrize("reward", [float("nan"), float("inf")])
def test_of_rewards_that_are_no_numbers(reward: float) -> None:
    (refusal,) = check_env(entry_of(BOX, Discrete(2), reward)).refusals
    assert refusal.endswith(
        f"gives agent_0 the reward {reward} in step 1; expected a finite number of size below 1e+30."
    )


@pytest.mark.parametrize(
    ("observation", "action", "networks"),
    [
        (Discrete(3), Discrete(2), "tables or MLPs"),
        (MultiBinary(3), MultiDiscrete([2, 3]), "tables or MLPs"),
        (Box(1, 1, (2,), np.float32), Discrete(2), "tables or MLPs"),
        (BOX, Discrete(2), "MLPs (no tables: its observations are not from a finite space)"),
        (Discrete(3), BOX, "MLPs (no tables: its actions are not from a finite space)"),
        (
            Box(0, 1, (4, 4), np.float32),
            MultiBinary(2),
            "MLPs (no tables: its observations are not from a finite space)",
        ),
        (Dict({"a": Discrete(2)}), BOX, "MLPs (no tables: its observations are not from a finite space)"),
    ],
)
def test_spaces_that_can_be_trained_with(observation: Space, action: Space, networks: str) -> None:
    entry = entry_of(observation, action)
    report = check_env(entry)
    assert report.refusals == []
    assert f"agent_0 can be trained with {networks}" in report.facts


@pytest.mark.parametrize(
    ("observation", "action", "sentences"),
    [
        (
            Box(0, 255, (8, 8, 3), np.uint8), Discrete(2),
            ["The observation space of agent_0 is Box(0, 255, (8, 8, 3), uint8), an image; expected numbers"],
        ),
        (
            Text(3), Discrete(2),
            [
                "The observation space of agent_0 is Text(1, 3, charset=",
                "expected Box, Discrete, MultiDiscrete, MultiBinary, or a Dict or Tuple of these.",
            ],
        ),
        (
            BOX, Box(-np.inf, 1, (1,), np.float32),
            ["The action space of agent_0 is Box(-inf, 1.0, (1,), float32); expected finite bounds."],
        ),
        (
            Text(1), Tuple([Discrete(2)]),
            ["observation space of agent_0 is Text", "action space of agent_0 is Tuple(Discrete(2)); expected Discr"],
        ),
    ],
)  # fmt: skip
def test_spaces_that_cannot(observation: Space, action: Space, sentences: list[str]) -> None:
    entry = entry_of(observation, action)
    report = check_env(entry)
    refusals = report.refusals
    assert all(sentence in " ".join(refusals) for sentence in sentences)
    assert len(refusals) == 1 + isinstance(action, Tuple)
    assert "agent_0 can be trained with neither tables nor MLPs (see below)" in report.facts


def test_what_cannot_be_described_is_refused() -> None:
    with pytest.raises(InputError, match="number of steps must be at least 1, not 0"):
        check_env(EnvEntry("toy", DyingEnv), steps=0)
    with pytest.raises(EnvError, match=r"^toy raised OSError when it was made: no port is free\.$"):
        check_env(EnvEntry("toy", out_of_ports))


def test_what_an_env_does_wrong_is_a_refusal_beside_the_facts() -> None:
    report = check_env(EnvEntry("toy", StillListedEnv))
    assert "left acts in Discrete(2)" in report.facts
    (refusal,) = report.refusals
    assert refusal.startswith("toy leaves ['left', 'right'] in its agents at the end of an episode (in step 5)")
