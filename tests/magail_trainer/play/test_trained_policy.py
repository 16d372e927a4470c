"""Trained policies as joint policies, alone and against others."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from magail_trainer.data.joint_policies import RandomJointPolicy, Sides
from magail_trainer.data.recording import record
from magail_trainer.data.run_folder import write_checkpoint, write_config, write_table
from magail_trainer.envs.registry import resolve
from magail_trainer.errors import InputError
from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.runs import Runs
from magail_trainer.learn.trainer import Trainer
from magail_trainer.play.load_runs import load_runs
from magail_trainer.play.players import make_joint_policy
from magail_trainer.play.trained_policy import TrainedJointPolicy
from tests.magail_trainer.saved_runs import play_a, saved

torch.set_num_threads(1)

MATCHING = resolve("coordination_env:coordination/matching-v0")
REACH = resolve("tests.magail_trainer.reach_env:ReachEnv")
MASKED = resolve("tests.magail_trainer.toy_envs:MaskedEnv")
TINY = MagailConfig(network="mlp", hidden=(8,), epochs=1, rollout_episodes=4, batch_size=4)


def test_runs_that_differ_in_a_learning_rate_are_read_back(tmp_path: Path) -> None:
    runs = Runs(seed=np.array([3, 3]), beta=np.zeros(2), lr_policy=np.array([0.1, 0.01]))
    trainer = Trainer(MATCHING, None, runs, MagailConfig(network="tabular"))
    write_table(tmp_path / "runs.csv", runs.columns)
    write_checkpoint(tmp_path, {"policies": trainer.policies})
    write_config(tmp_path, trainer.describe())
    read = load_runs(tmp_path)
    assert {name: column.tolist() for name, column in read.runs.columns.items()} == {
        "beta": [0.0, 0.0],
        "seed": [3, 3],
        "lr_policy": [0.1, 0.01],
    }
    for name, values in read.alone(1).state_dict().items():
        assert torch.equal(values, trainer.policies.state_dict()[name][1:])


@pytest.fixture(scope="module")
def matching(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("matching"), MATCHING, MagailConfig(network="tabular"), play_a)


@pytest.fixture(scope="module")
def reach(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("reach"), REACH, TINY)


def test_each_run_plays_with_its_own_probabilities(matching: Path) -> None:
    def share_of_a(**arguments: Any) -> float:
        policy = make_joint_policy(str(matching), MATCHING, arguments)
        return 1 - float(record(MATCHING, policy, episodes=2000, seed=0).actions["agent_0"].mean())

    assert share_of_a() == pytest.approx(0.9, abs=4 * np.sqrt(0.09 / 2000))
    assert (share_of_a(run=1), share_of_a(run=2), share_of_a(greedy=True)) == (0, 1, 1)


def test_the_seed_of_the_recording_decides_what_is_drawn(reach: Path) -> None:
    def play(seed: int, **arguments: Any) -> list:
        policy = TrainedJointPolicy(REACH, reach, **arguments)
        return record(REACH, policy, episodes=5, seed=seed).actions["right"].tolist()

    assert play(0) == play(0) != play(1)
    assert play(0, run=1) != play(0) != play(0, greedy=True)
    assert play(0, greedy=True) == play(0, greedy=True)


def test_one_run_alone_acts_as_it_does_among_the_others(reach: Path) -> None:
    trained = load_runs(reach)
    features = torch.randn(3, 6, 2, generator=torch.Generator().manual_seed(0))
    together = trained.policies(dict.fromkeys(trained.policies.agents, features))
    for run in range(3):
        alone = trained.alone(run)(dict.fromkeys(trained.policies.agents, features[run : run + 1]))
        for agent in trained.policies.agents:
            actions = together[agent].mode()
            torch.testing.assert_close(
                alone[agent].log_prob(actions[run : run + 1])[0], together[agent].log_prob(actions)[run]
            )


def test_forbidden_actions_are_never_played(tmp_path: Path) -> None:
    folder = saved(tmp_path, MASKED, TINY)  # the env breaks down at one
    for greedy in (False, True):
        policy = TrainedJointPolicy(MASKED, folder, greedy=greedy)
        actions = record(MASKED, policy, episodes=30, seed=0).actions["agent_0"].reshape(30, 3)
        assert (actions != np.arange(3)).all()


def test_the_manifest_says_which_run_played(matching: Path) -> None:
    parameters = TrainedJointPolicy(MATCHING, matching, run=2).parameters
    assert len(parameters.pop("checkpoint_sha256")) == 64
    assert parameters == {
        "env": {"id": MATCHING.id, "kwargs": {}}, "run": 2, "seed": 5, "beta": 1.0, "greedy": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"run": 3}, "has runs 0 to 2, and no run 3"),
        ({"run": -1}, "has runs 0 to 2, and no run -1"),
        ({"run": True}, "from 0, not run=True"),
        ({"run": "best"}, "from 0, not run='best'"),
        ({"greedy": 1}, "takes greedy=true or greedy=false, not 1"),
        ({"rum": 1}, "takes the arguments run and greedy, not 'rum'"),
    ],
)
def test_refuses_arguments(arguments: dict[str, Any], reason: str, matching: Path) -> None:
    with pytest.raises(InputError, match=reason) as error:
        make_joint_policy(str(matching), MATCHING, arguments)
    assert "\n" not in str(error.value)


def test_refuses_a_run_of_another_env_and_a_folder_without_a_run(matching: Path, tmp_path: Path) -> None:
    for entry in (resolve(MATCHING.id, {"horizon": 2}), REACH):
        with pytest.raises(InputError, match=r"was trained in coordination_env:coordination/matching-v0, not in"):
            make_joint_policy(str(matching), entry, {})
    with pytest.raises(InputError, match="is no run folder"):
        make_joint_policy(str(tmp_path), MATCHING, {})


def test_sides_play_what_each_of_the_two_chooses(matching: Path) -> None:
    never, always = (TrainedJointPolicy(MATCHING, matching, run=run) for run in (1, 2))
    played = record(MATCHING, Sides(never, always, ["agent_1"]), episodes=8, seed=0)
    assert {agent: values.tolist() for agent, values in played.actions.items()} == {
        "agent_0": [0] * 8, "agent_1": [1] * 8,
    }  # fmt: skip
    described = played.origin.policy["parameters"]
    assert (described["side"], described["first"]["parameters"]["run"]) == (["agent_1"], 1)


def test_sides_show_the_masks_to_those_who_take_them(tmp_path: Path) -> None:
    folder, env = saved(tmp_path, MASKED, TINY), MASKED.make()
    for first in (TrainedJointPolicy(MASKED, folder), RandomJointPolicy(env)):
        sides = Sides(first, RandomJointPolicy(env), ["agent_1"])
        assert len(record(MASKED, sides, episodes=20, seed=0)) == 20
    env.close()


def test_sides_draw_from_streams_of_their_own() -> None:
    env = REACH.make()
    both = Sides(RandomJointPolicy(env), RandomJointPolicy(env), ["left"])
    both.begin(4, np.random.default_rng(0))
    ours, theirs = both._first._rng, both._second._rng  # type: ignore[attr-defined]
    assert ours.random() != theirs.random()
