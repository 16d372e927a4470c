"""Observations outside their spaces, and numbers that are not finite: refused, or said once."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space
from pettingzoo import ParallelEnv

from magail_trainer.data.joint_policies import RandomJointPolicy
from magail_trainer.data.recording import record
from magail_trainer.envs.checked_vector_env import CheckedVectorEnv
from magail_trainer.envs.registry import EnvEntry
from magail_trainer.envs.vector_env import ParallelEnvCopies, VectorEnv
from magail_trainer.errors import EnvError
from magail_trainer.learn.trainer import Trainer
from magail_trainer.play.check_env import check_env
from tests.magail_trainer.clock_env import AGENTS, SMALL, ClockEnv, clock, clock_dataset, seeded


class FaultyClock(ClockEnv):
    """In one step something given to `b` is `value`."""

    def __init__(self, *, what: str, value: float, at: int = 2) -> None:
        super().__init__()
        self._what, self._value, self._at = what, value, at

    def _observe(self) -> dict[str, Any]:
        observations = super()._observe()
        if self._what == "observation" and self._step == self._at:
            observations["b"][1] = self._value
        return observations

    def step(self, actions: dict[str, Any]) -> tuple[dict, dict, dict, dict, dict]:
        result = super().step(actions)
        if self._what == "reward" and self._step == self._at:
            result[1]["b"] = self._value
        return result


def faulty(**kwargs: Any) -> EnvEntry:
    return EnvEntry("clock", FaultyClock, kwargs)


NOT_FINITE = [
    ("observation", 0, np.nan, "an observation with nan at [1] in reset"),
    ("observation", 2, np.inf, "an observation with inf at [1] in step 2"),
    ("observation", 4, -np.inf, "an observation with -inf at [1] in step 4"),
    ("reward", 4, np.nan, "the reward nan in step 4; expected a finite number of size below 1e+30."),
]


@pytest.mark.parametrize(("what", "at", "value", "said"), NOT_FINITE)
def test_what_is_not_finite_is_refused_by_all_commands_alike(what: str, at: int, value: float, said: str) -> None:
    trainer = Trainer(clock(), clock_dataset(clock(), episodes=2), seeded(0), replace(SMALL, warm_start=0))
    trainer.entry = entry = faulty(what=what, value=value, at=at)
    (refusal,) = check_env(entry).refusals
    assert refusal.startswith(f"{entry.name} gives b {said}")
    with pytest.raises(EnvError) as recording:
        record(entry, RandomJointPolicy(entry), episodes=2, seed=0)
    with pytest.raises(EnvError) as training:
        list(trainer.train())
    assert str(recording.value) == str(training.value) == refusal


class Shows(ParallelEnv):
    """Two steps; what it observes in the second is given."""

    metadata = {"name": "shows_v0"}  # noqa: RUF012

    def __init__(self, space: Space, first: Any, second: Any) -> None:
        self.possible_agents, self.agents = ["a"], []
        self._space, self._seen = space, (first, second, first)

    def observation_space(self, agent: str) -> Space:
        return self._space

    def action_space(self, agent: str) -> Space:
        return Discrete(2)

    def reset(self, seed: int | None = None, options: dict | None = None) -> Any:
        self.agents, self._step = ["a"], 0
        return {"a": self._seen[0]}, {"a": {}}

    def step(self, actions: dict[str, Any]) -> Any:
        self._step += 1
        ended = self._step == 2
        self.agents = [] if ended else ["a"]
        return {"a": self._seen[self._step]}, {"a": 0.0}, {"a": ended}, {"a": False}, {"a": {}}


def shows(*args: Any) -> EnvEntry:
    return EnvEntry("shows", lambda: Shows(*args))


def played(entry: EnvEntry) -> None:
    record(entry, RandomJointPolicy(entry), episodes=3, seed=0)


F32 = np.float32


@pytest.mark.parametrize(
    ("space", "first", "second", "said"),
    [
        (Box(-1, 1, (2,), F32), [0, 0], [0, 1e6], "with 1000000.0 at [1] in step 1, which is outside Box("),
        (Box(-1, 1, (), F32), 0, -4, "the observation -4.0 in step 1"),
        (Box(np.array([0, 5], F32), np.array([1, 5], F32)), [0, 5], [0, 6], "an observation with 6.0 at [1]"),
        (Discrete(3), 0, 7, "the observation 7 in step 1, which is outside Discrete(3)"),
        (Discrete(3, start=2), 2, 1, "the observation 1 in step 1"),
        (MultiDiscrete([2, 3]), [1, 2], [2, 2], "an observation with 2 at [0] in step 1"),
        (MultiBinary(2), [0, 1], [0, 2], "an observation with 2 at [1] in step 1"),
        (Dict({"p": Discrete(3)}), {"p": 0}, {"p": 3}, "the observation {'p': 3} in step 1; expected one of Dict("),
        (Dict({"p": Box(0, 1, (1,), F32)}), {"p": [0]}, {"p": [9]}, "an observation with 9.0 at [0] in step 1"),
        (Box(0, 255, (2,), np.uint8), [0, 9], np.array([0, 256]), "[ 0 256] of dtype int64 in step 1; expected one"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_far_outside_its_space_is_refused(space: Space, first: Any, second: Any, said: str) -> None:
    entry = shows(space, first, second)
    with pytest.raises(EnvError) as error:
        played(entry)
    assert str(error.value).startswith("shows gives a ")
    assert said in str(error.value)
    assert check_env(entry).refusals == [str(error.value)]


@pytest.mark.parametrize(
    ("space", "second", "said"),
    [
        (Box(-1, 1, (2,), F32), [0, 1 + 1e-6], ""),
        (Box(-0.7, 0.7, (1,), F32), np.array([0.7], np.float64), ""),
        (Box(-np.inf, np.inf, (1,), F32), [3e38], ""),
        (Box(-1, 1, (2,), F32), [0, 1.5], "shows gives a an observation with 1.5 at [1] in step 1, which is"),
        (Box(0, 3, (1,), np.int64), [5], "shows gives a an observation with 5 at [0] in step 1"),
        (Box(0, np.inf, (1,), F32), [-1e9], "an observation with -1000000000.0 at [0] in step 1"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_a_little_outside_a_box_is_said_once(
    space: Space, second: Any, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = shows(space, np.zeros(space.shape or ()), second)
    played(entry)
    played(entry)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == bool(said)
    assert not said or said in lines[0]
    report = check_env(entry)
    assert report.refusals == []
    assert report.facts[-1:] == lines or not said
    assert capsys.readouterr().err == ""


def test_all_else_is_passed_on() -> None:
    def passed(env: VectorEnv) -> Iterator[Any]:
        yield env.reset(seed=3)
        for step in range(6):
            yield env.step({agent: np.array([step % 3, 1]) for agent in AGENTS})
        yield env.num_envs, env.possible_agents, env.observation_space("a"), env.action_space("b")

    bare, wrapped = ParallelEnvCopies(ClockEnv, 2), clock().make_vector(2)
    assert isinstance(wrapped, VectorEnv)
    for ours, theirs in zip(passed(wrapped), passed(bare), strict=True):
        np.testing.assert_equal(ours, theirs)
    wrapped.close()


class Native(ParallelEnvCopies):
    """A vector env of a user's own, which is not as it should be."""

    def reset(self, seed: Any = None) -> Any:
        observations, infos = super().reset(seed)
        return {**observations, "b": observations["b"][:1]}, infos

    def step(self, actions: dict[str, Any]) -> Any:
        raise SystemExit(3)


def test_native_vector_envs_are_checked_too() -> None:
    env = CheckedVectorEnv(Native(ClockEnv, 2), "mine")
    with pytest.raises(EnvError, match=r"^mine gives b .*; expected numbers of shape \(2, 3\)\.$"):
        env.reset(seed=0)
    with pytest.raises(EnvError, match=r"^mine raised SystemExit in step 1: 3\.$"):
        env.step({})
