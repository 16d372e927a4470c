"""Observations and rewards that are no finite numbers end a training with a sentence about who was given them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from magail_trainer.envs.finite_env import FiniteVectorEnv, check_finite
from magail_trainer.envs.registry import EnvEntry
from magail_trainer.envs.vector_env import VectorEnv
from magail_trainer.errors import InputError
from magail_trainer.learn.trainer import Trainer
from magail_trainer.play.check_env import check_env
from tests.magail_trainer.clock_env import AGENTS, SMALL, ClockEnv, clock, clock_dataset, seeded


class FaultyClock(ClockEnv):
    """From step 2 on, or in the first observation, or the last, something given to `b` is `value`."""

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


@pytest.mark.parametrize(
    ("what", "at", "value"),
    [("observation", 0, np.nan), ("observation", 2, np.inf), ("observation", 4, -np.inf), ("reward", 4, np.nan)],
)
def test_training_stops_with_a_sentence(what: str, at: int, value: float) -> None:
    trainer = Trainer(clock(), clock_dataset(clock(), episodes=2), seeded(0), replace(SMALL, warm_start=0))
    trainer.entry = faulty(what=what, value=value, at=at)
    article = "an" if what == "observation" else "a"
    reason = f"^The env gives b {article} {what} that is not finite \\({value}\\); expected numbers.$"
    with pytest.raises(InputError, match=reason):
        list(trainer.train())


@pytest.mark.parametrize(("what", "at"), [("observation", 0), ("observation", 2), ("observation", 4), ("reward", 4)])
def test_such_an_env_cannot_be_trained_in(what: str, at: int) -> None:
    report = check_env(faulty(what=what, value=float("nan"), at=at))
    assert f"{what}s: not finite for b" in report.facts
    assert report.refusals == [f"b is given {what}s that are not finite; expected numbers."]
    assert check_env(clock()).refusals == []


def test_all_else_is_passed_on() -> None:
    def played(env: VectorEnv) -> Iterator[Any]:
        yield env.reset(seed=3)
        for step in range(6):
            yield env.step({agent: np.array([step % 3, 1]) for agent in AGENTS})
        yield env.num_envs, env.possible_agents, env.observation_space("a"), env.action_space("b")

    bare, wrapped = clock().make_vector(2), FiniteVectorEnv(clock().make_vector(2))
    assert isinstance(wrapped, VectorEnv)
    for ours, theirs in zip(played(wrapped), played(bare), strict=True):
        np.testing.assert_equal(ours, theirs)
    wrapped.close()


def test_what_is_finite() -> None:
    for values in (np.zeros(0), np.array([1e308, 1e308]), np.array([3]), np.array(["nan"]), (np.nan,), np.float32(2)):
        check_finite(values, "That is one")
    with pytest.raises(InputError, match=r"^That is one that is not finite \(nan\)"):
        check_finite(np.array([[1e308, 1e308], [np.nan, 1.0]]), "That is one")
