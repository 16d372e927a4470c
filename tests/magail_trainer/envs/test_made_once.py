"""How often envs are made: once to see what they are, and once for each copy that is played. All are closed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Discrete, MultiDiscrete

from magail_trainer.data.joint_policies import RandomJointPolicy
from magail_trainer.envs.registry import EnvEntry
from magail_trainer.envs.vector_env import ParallelEnvCopies
from magail_trainer.errors import EnvError, InputError
from magail_trainer.learn.encoders import suits_tables
from tests.magail_trainer.clock_env import ClockEnv
from tests.magail_trainer.commands import magail
from tests.magail_trainer.toy_envs import MaskedEnv

SMALL = ("--network", "mlp", "--hidden", 4, "--epochs", 2, "--warm_start", 0, "--rollout_episodes", 3, "--seeds", 1)
ME = __name__


class Counted(ClockEnv):
    """Counts how many there are, and how many there have been."""

    made = opened = 0
    limit = 10**6

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if Counted.made == Counted.limit:
            raise RuntimeError("no licence is left")
        Counted.made, Counted.opened, self._open = Counted.made + 1, Counted.opened + 1, True

    def close(self) -> None:
        Counted.opened -= self._open
        self._open = False


class Boundless(Counted):
    """No table suits it."""

    def action_space(self, agent: str) -> Any:
        raise InputError("it does not say what it takes")


def boundless_vector_env(num_envs: int) -> ParallelEnvCopies:
    return ParallelEnvCopies(lambda: Counted(continuous=True), num_envs)


def expert(env: Any) -> RandomJointPolicy:
    assert env._open
    return RandomJointPolicy(env)


@pytest.fixture(autouse=True)
def none_is_left_open() -> Iterator[None]:
    Counted.made = Counted.opened = 0
    yield
    assert Counted.opened == 0


def made_by(*args: object) -> int:
    """How many envs a command makes."""
    Counted.made = 0
    assert magail(*args) == 0
    assert Counted.opened == 0
    return Counted.made


def test_every_command_makes_one_env_besides_the_copies_that_it_plays(tmp_path: Path) -> None:
    data, run, env = tmp_path / "data", tmp_path / "run", ("--env", f"{ME}:Counted")
    assert made_by("record", *env, "--expert", f"{ME}:expert", "--episodes", 2, "--output", data) == 1 + 1
    assert made_by("record", *env, "--episodes", 2, "--output", tmp_path / "other") == 1 + 1
    assert made_by("train", *env, "--dataset", data, "--output", run, *SMALL) == 1 + 3
    clone = ("clone", *env, "--dataset", data, "--updates", 1, "--seeds", 1, "--hidden", 4)
    assert made_by(*clone, "--output", tmp_path / "clone") == 1
    assert made_by("check-env", f"{ME}:Counted") == 1 + 1 + 2  # two for the same seed
    # The random joint policy, the likeliest and drawn actions, in 2 copies each.
    assert made_by("evaluate", run, "--episodes", 2) == 1 + 3 * 2
    # Of the two random and two trained players of either side, no one needs an env; the opponents are made twice.
    against = ("--opponents", f"{ME}:expert", "--side", "a")
    assert made_by("evaluate", run, "--episodes", 2, *against) == 1 + 2 + 4 * 2
    played = ("record", *env, "--expert", run, "--episodes", 2, "--output", tmp_path / "played")
    assert made_by(*played) == 1 + 1


def test_worker_processes_make_the_copies(tmp_path: Path) -> None:
    data, env = tmp_path / "data", ("--env", f"{ME}:Counted")
    assert made_by("record", *env, "--episodes", 2, "--output", data) == 1 + 1
    train = ("train", *env, "--dataset", data, "--output", tmp_path / "run", *SMALL, "--processes", 2)
    assert made_by(*train) == 1


def test_what_an_env_is_is_known_from_one_copy() -> None:
    entry = EnvEntry("counted", Counted)
    with entry.opened() as env:
        assert Counted.opened == 1
        assert list(entry.possible_agents) == env.possible_agents == ["a", "b"]
    assert entry.action_space("b") == Discrete(3)
    assert not suits_tables(entry)
    assert Counted.made == 1


@pytest.mark.parametrize(
    "entry",
    [
        EnvEntry("boundless", Boundless),
        EnvEntry("native", Counted, make_native=boundless_vector_env),
        EnvEntry("masked", lambda: _of_masked_numbers()),
    ],
    ids=lambda entry: entry.id,
)
def test_what_is_refused_is_closed(entry: EnvEntry) -> None:
    with pytest.raises(InputError):
        entry.make_vector(2)
    with pytest.raises(InputError), entry.opened():
        raise InputError("what the user does with it is refused")
    assert Counted.made > 0


def _of_masked_numbers() -> Counted:
    env: Any = Counted()
    env.action_space = lambda agent: MultiDiscrete([2, 2])
    env.observation_space = lambda agent: MaskedEnv().observation_space("agent_0")
    return env


def test_copies_are_closed_if_one_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Counted, "limit", 3)
    with pytest.raises(EnvError, match=r"^counted raised RuntimeError when it was made: no licence is left\.$"):
        EnvEntry("counted", Counted).make_vector(5)
    assert Counted.made == 3


def test_a_training_that_is_refused_closes_its_copies(tmp_path: Path) -> None:
    env = ("--env", f"{ME}:Counted")
    assert magail("record", *env, "--episodes", 2, "--output", tmp_path / "data") == 0
    train = ("train", *env, "--dataset", tmp_path / "data", "--output", tmp_path / "run", *SMALL, "--exact")
    assert magail(*train, "--gradient_penalty", 0) == 2
    assert np.isclose(Counted.opened, 0)
