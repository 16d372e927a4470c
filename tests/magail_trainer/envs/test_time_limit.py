"""`max_episode_steps`: envs that do not end are cut off, and the limit is part of what an env is."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Space

from magail_trainer.data.joint_policies import RandomJointPolicy
from magail_trainer.data.recording import record
from magail_trainer.data.trajectories import Trajectories
from magail_trainer.envs.registry import EnvEntry, resolve
from magail_trainer.errors import InputError
from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.training import clone, train
from magail_trainer.play.check_env import check_env
from magail_trainer.play.evaluate_run import evaluate_run
from magail_trainer.play.players import record_expert
from tests.magail_trainer.reach_env import ReachEnv
from tests.magail_trainer.toy_envs import DyingEnv, official_test

NAME = "tests.magail_trainer.envs.test_time_limit:Endless"


class Endless(ReachEnv):
    """Never ends by itself."""

    def __init__(self) -> None:
        super().__init__(steps=-1)

    def observation_space(self, agent: str) -> Space:
        return Box(-np.inf, np.inf, (2,), np.float32)


def test_a_limit_truncates_whoever_is_still_there() -> None:
    """agent_0 leaves at step 2 by itself, agent_2 at step 3; agent_1, which would stay for 9 steps, is cut off at 4."""
    entry = EnvEntry("dying", DyingEnv, {"lengths": (2, 9, 3)}).limited(max_episode_steps=4)
    recorded = record(entry, RandomJointPolicy(entry), episodes=3, seed=0)
    assert recorded.lengths.tolist() == [4, 4, 4]
    assert recorded.truncations["agent_1"].tolist() == [False, False, False, True] * 3
    assert recorded.terminations["agent_1"].tolist() == [False] * 12
    assert recorded.terminations["agent_0"].tolist() == [False, True, True, True] * 3
    with_end = record(EnvEntry("dying", DyingEnv), RandomJointPolicy(entry), episodes=3, seed=0)
    later = record(
        EnvEntry("dying", DyingEnv).limited(max_episode_steps=9), RandomJointPolicy(entry), episodes=3, seed=0
    )
    np.testing.assert_array_equal(with_end.rewards["agent_1"], later.rewards["agent_1"])  # it never comes to the limit


def test_a_limited_env_keeps_to_pettingzoos_rules() -> None:
    official_test(EnvEntry("reach", ReachEnv).limited(max_episode_steps=3).make())


def test_a_native_vector_env_cannot_be_cut_off_and_gives_way_to_copies() -> None:
    entry = resolve("coordination_env:coordination/matching-v0", {"horizon": 10}).limited(max_episode_steps=3)
    assert not entry.has_native_vector_env
    assert record(entry, RandomJointPolicy(entry), episodes=2, seed=0).lengths.tolist() == [3, 3]


@pytest.mark.parametrize("limit", [0, -3, 2.5, "4"])
def test_limits_are_numbers_above_0(limit: Any) -> None:
    with pytest.raises(InputError, match="max_episode_steps must be a whole number of at least 1, not"):
        EnvEntry("reach", ReachEnv).limited(max_episode_steps=limit)
    with pytest.raises(InputError, match="timeout must be a number of seconds above 0, not 0"):
        EnvEntry("reach", ReachEnv).limited(timeout=0.0)


def test_the_limit_is_remembered_and_told_apart_from_another(tmp_path: Path) -> None:
    demonstrations = record_expert(NAME, episodes=6, output=tmp_path / "data", max_episode_steps=5)
    loaded = Trajectories.load(tmp_path / "data")
    assert loaded.lengths.tolist() == demonstrations.lengths.tolist() == [5] * 6
    assert loaded.origin.env == {"id": NAME, "kwargs": {}, "max_episode_steps": 5}
    config = MagailConfig(epochs=1, rollout_episodes=4, batch_size=4)
    for limit, name in ((None, NAME), (4, f"{NAME} with max_episode_steps=4")):
        with pytest.raises(InputError) as refusal:
            train(NAME, tmp_path / "data", seeds=(0,), config=config, max_episode_steps=limit)
        expected = f"The dataset was recorded in {NAME} with max_episode_steps=5, not in {name}; record one"
        assert str(refusal.value).startswith(expected)
    for fit, arguments in ((train, {"config": config}), (clone, {"updates": 2})):
        run: Any = tmp_path / fit.__name__
        fit(NAME, tmp_path / "data", seeds=(0,), output=run, max_episode_steps=5, **arguments)  # type: ignore[operator]
        as_trained = evaluate_run(run, episodes=4)
        shorter = evaluate_run(run, episodes=4, max_episode_steps=2)
        assert as_trained.returns["sampled", "left"] < shorter.returns["sampled", "left"]  # it pays less than 0
        (remark,) = shorter.remarks
        assert f"was recorded in {NAME} with max_episode_steps=5, not in {NAME} with max_episode_steps=2" in remark
        again = record_expert(NAME, str(run), episodes=2, max_episode_steps=7)
        assert again.lengths.tolist() == [7, 7]


def test_an_env_without_an_end_is_named_by_check_env_and_by_whoever_plays_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refusal = "No episode ended within 150 steps; --max_episode_steps N cuts episodes off."
    assert check_env(NAME, steps=3).refusals == [refusal]
    assert check_env(NAME, steps=3, max_episode_steps=7).refusals == []
    monkeypatch.setattr("magail_trainer.envs.steps._LONG", 20)
    monkeypatch.setattr("magail_trainer.envs.steps.MAX_EPISODE_STEPS", 50)
    with pytest.raises(InputError, match="An episode goes on after 50 steps; --max_episode_steps N cuts"):
        record_expert(NAME, episodes=1)
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("An episode of copy 0")]
    assert [line.split(" has gone on for ")[1].split(" steps;")[0] for line in said] == ["20", "40"]
