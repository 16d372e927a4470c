"""What `import magail_trainer` offers."""

import subprocess
import sys
from functools import partial

import pytest
from gymnasium.spaces import Discrete

import magail_trainer as mt
from magail_trainer.errors import InputError
from tests.magail_trainer.toy_envs import RandomLengthEnv


@pytest.mark.parametrize("name", mt.__all__)
def test_every_name_is_there(name: str) -> None:
    assert name in dir(mt)
    assert callable(getattr(mt, name))


def test_other_names_are_not() -> None:
    assert not hasattr(mt, "imitate")


def test_the_package_and_its_datasets_need_no_torch() -> None:
    code = """
import sys, time
import magail_trainer as mt
assert time.process_time() < 0.3 and "numpy" not in sys.modules
mt.Trajectories, mt.make_env, mt.MagailConfig
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_env_is_made_from_its_name_or_from_what_makes_it() -> None:
    named = mt.make_env("coordination_env:coordination/matching-v0", num_actions=3)
    assert named.make().action_space("agent_0") == Discrete(3)
    assert mt.make_env(named, num_actions=4).kwargs == {"num_actions": 4}
    own = mt.make_env(RandomLengthEnv)
    assert own.id == "tests.magail_trainer.toy_envs:RandomLengthEnv"
    assert isinstance(own.make().unwrapped, RandomLengthEnv)


def test_what_has_no_name_to_remember_an_env_by_is_refused() -> None:
    with pytest.raises(InputError, match="by its name, or by a function or class that makes it"):
        mt.make_env(partial(RandomLengthEnv))
