"""What follows from a seed: recordings, whatever an env makes of it; and what `check-env` says of envs without care."""

from typing import Any

import numpy as np
import pytest

from magail_trainer.data.joint_policies import RandomJointPolicy
from magail_trainer.data.recording import record
from magail_trainer.envs.registry import EnvEntry
from magail_trainer.envs.same_seed import plays_alike
from magail_trainer.play.check_env import check_env
from tests.magail_trainer.reach_env import ReachEnv
from tests.magail_trainer.toy_envs import DyingEnv, MaskedEnv, RandomLengthEnv


class Reseeds(ReachEnv):
    """Makes its random state anew at each reset, from whatever it is given."""

    def reset(self, seed: int | None = None, options: dict | None = None) -> Any:
        self._rng = np.random.default_rng(seed)
        return super().reset(None, options)


class Ignores(ReachEnv):
    """Looks at no seed."""

    def reset(self, seed: int | None = None, options: dict | None = None) -> Any:
        return super().reset(None, options)


class Remembers(ReachEnv):
    """Goals are further away in each episode, whatever the seed."""

    episodes = 0

    def reset(self, seed: int | None = None, options: dict | None = None) -> Any:
        super().reset(seed, options)
        self.episodes += 1
        self._way = {agent: way + self.episodes % 3 for agent, way in self._way.items()}
        return self._observe(), {agent: {} for agent in self.agents}


class Shares(ReachEnv):
    """Seeds the random state that all copies share."""

    shared = np.random.default_rng()

    def reset(self, seed: int | None = None, options: dict | None = None) -> Any:
        if seed is not None:
            Shares.shared = np.random.default_rng(seed)
        return super().reset(seed, options)

    def step(self, actions: dict[str, Any]) -> Any:
        self._way = {agent: way + self.shared.uniform() for agent, way in self._way.items()}
        return super().step(actions)


class OwnNoise(Shares):
    """Has random numbers of its own in each copy, which reset seeds."""

    def reset(self, seed: int | None = None, options: dict | None = None) -> Any:
        self.shared = np.random.default_rng(seed)
        return super().reset(seed, options)


@pytest.mark.parametrize("env", [ReachEnv, Reseeds, OwnNoise, RandomLengthEnv, DyingEnv, MaskedEnv])
def test_envs_whose_episodes_follow_from_the_seed(env: type) -> None:
    entry = EnvEntry("toy", env)
    assert plays_alike(entry)
    assert "seeds: the same seed gives the same episodes" in check_env(entry).facts


@pytest.mark.parametrize("env", [Ignores, Remembers, Shares])
def test_envs_whose_episodes_do_not(env: type) -> None:
    entry = EnvEntry("toy", env)
    assert not plays_alike(entry, seed=3)
    report = check_env(entry)
    assert "seeds: ignores its seed: the same seed gave other episodes" in report.facts
    assert report.warning == "ignores its seed: the same seed gave other episodes"
    assert report.refusals == []  # it can be trained in all the same


class OnlyOne(ReachEnv):
    """There is one at a time, as of a simulator that holds a port."""

    there = 0

    def __init__(self) -> None:
        super().__init__()
        if OnlyOne.there:
            raise FileExistsError("there is one already")
        OnlyOne.there = 1

    def close(self) -> None:
        OnlyOne.there = 0


def test_an_env_that_exists_once_is_played_twice() -> None:
    report = check_env(EnvEntry("toy", OnlyOne))
    assert (report.refusals, report.warning) == ([], "")
    assert OnlyOne.there == 0


@pytest.mark.parametrize("env", [ReachEnv, Reseeds])
@pytest.mark.parametrize("num_envs", [1, 3])
def test_every_episode_has_its_own_seed(env: type, num_envs: int) -> None:
    """An episode depends on the seed and its number, not on which copy plays it after which other."""
    entry = EnvEntry("toy", env)
    goals = []
    for copies in (num_envs, 2):
        recorded = record(entry, RandomJointPolicy(entry), episodes=7, seed=5, num_envs=copies)
        goals.append([episode.observations["left"][0, 0] for episode in recorded])
    assert goals[0] == goals[1]
    assert len(set(goals[0])) == 7
