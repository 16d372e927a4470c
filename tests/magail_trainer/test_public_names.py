"""What `import magail_trainer` offers."""

import math
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from gymnasium.spaces import Discrete

import magail_trainer as mt
from coordination_env import matching_v0
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
mt.Trajectories, mt.make_env, mt.MagailConfig, mt.record
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


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


def test_an_env_that_cannot_be_found_again_is_refused() -> None:
    with pytest.raises(InputError, match="<lambda> cannot be found again by its name"):
        mt.make_env(lambda: RandomLengthEnv())


def test_arguments_of_another_kind_are_refused() -> None:  # in a process where the shapes' checks do not come first
    code = """
from coordination_env import matching_v0
import magail_trainer as mt
for given in ({"seeds": 3}, {"betas": 0.1}, {"config": {}}):
    try:
        mt.train(matching_v0.parallel_env, None, algorithm="rl", **given)
    except ValueError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "--seeds must be a list of numbers, such as [3], not 3.",
        "--betas must be a list of numbers, such as [0.1], not 0.1.",
        "The settings must be a MagailConfig, not {}.",
    ]


def test_from_an_env_to_an_evaluation(tmp_path: Path) -> None:
    env = mt.make_env("coordination_env:coordination/matching-v0", horizon=2)
    assert mt.check_env(env).refusals == []
    assert "agent_0 observes Discrete(5)" in str(mt.check_env(env))
    demonstrations = mt.record(env, "bimodal", episodes=20, seed=1, output=tmp_path / "demos", ratio=0.5)
    assert mt.Trajectories.load(tmp_path / "demos").num_transitions == demonstrations.num_transitions == 40
    config = mt.MagailConfig(epochs=3, rollout_episodes=8)
    trained = mt.train(env, demonstrations, betas=[0.0, 1.0], seeds=[3, 4], config=config, output=tmp_path / "run")
    assert trained.history["discriminator_loss"].shape == (2, 4)
    table = mt.evaluate(tmp_path / "run", episodes=10).table()
    assert table["seed"] == [3, 4, 3, 4]
    with pytest.raises(InputError, match="has runs 0 to 3, and no run 99"):
        mt.load_runs(tmp_path / "run").alone(99)
    assert set(table) >= {"return_agent_0", "greedy_return_agent_0", "return_team"}
    again = mt.Trainer(env, demonstrations, mt.load_runs(tmp_path / "run").runs, config)
    for _ in again.train():
        pass
    parameters = [list(trainer.policies.parameters()) for trainer in (trained.trainer, again)]
    assert all(one.equal(other) for one, other in zip(*parameters, strict=True))
    cloned = mt.clone(env, tmp_path / "demos", updates=5, seeds=[1])
    assert cloned.history["cloning_loss"][-1] < cloned.history["cloning_loss"][0]


def test_an_env_is_made_of_a_function_and_its_expert_is_handed_in() -> None:
    env = mt.make_env(matching_v0.parallel_env, num_actions=3)

    class Last:
        """Everybody plays the last action."""

        name, parameters = "last", {}

        def begin(self, num_episodes: int, rng: np.random.Generator) -> None: ...

        def act(self, observations: dict, *, episode: np.ndarray, step: np.ndarray) -> dict:
            return dict.fromkeys(observations, np.full(len(episode), 2))

    demonstrations = mt.record(env, Last(), episodes=4)
    assert demonstrations.actions["agent_0"].tolist() == [2] * 4
    with pytest.raises(InputError, match="takes no arguments, such as 'ratio'"):
        mt.record(env, Last(), episodes=4, ratio=1)


def test_runs_that_diverged_are_left_out_of_an_evaluation_by_name(tmp_path: Path) -> None:
    env = mt.make_env("coordination_env:coordination/matching-v0")
    demonstrations = mt.record(env, "bimodal", episodes=20)
    mt.train(env, demonstrations, seeds=[1, 2, 3], config=mt.MagailConfig(epochs=3), output=tmp_path / "run")
    trained, whole = mt.load_runs(tmp_path / "run"), mt.evaluate(tmp_path / "run", episodes=10).table()
    parameter = next(trained.policies.parameters())
    parameter.data[1] = math.nan
    evaluation = mt.evaluate(trained, episodes=10)
    assert evaluation.remarks[-1] == "Left out, for they diverged: β=0, seed 2."
    for name, values in evaluation.table().items():
        assert values == [whole[name][0], whole[name][2]], name
    with pytest.raises(InputError, match=r"Run 1 of .* diverged"):
        trained.alone(1)
    parameter.data[:] = math.nan
    with pytest.raises(InputError, match=r"All runs of .* diverged"):
        mt.evaluate(trained, episodes=10)
