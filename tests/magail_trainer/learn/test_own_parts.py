"""Rewards, discriminators, networks and policies of the user's own: one file of theirs, none of ours."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from magail_trainer.data.recording import record
from magail_trainer.data.run_folder import read_config, read_table
from magail_trainer.data.trajectories import Trajectories
from magail_trainer.envs.registry import resolve
from magail_trainer.errors import InputError
from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.discriminators import make_discriminator
from magail_trainer.learn.distributions import Categorical
from magail_trainer.learn.encoders import Codes
from magail_trainer.learn.policies import IndependentPolicies
from magail_trainer.learn.trainer import Trainer
from magail_trainer.learn.training import clone, train
from magail_trainer.play.load_runs import load_runs
from magail_trainer.play.players import make_joint_policy
from tests.magail_trainer.clock_env import SMALL, clock, clock_dataset, seeded, tabular
from tests.magail_trainer.commands import magail

torch.set_num_threads(1)
MATCHING = resolve("coordination_env:coordination/matching-v0")

MINE = """
from torch import nn

from magail_trainer.learn.discriminators import Discriminators, NeuralDiscriminator, View, view_size
from magail_trainer.learn.networks import Perceptron, make_normalizers


def clipped(logit):
    return logit.clamp(-2, 2)


def mean(logit):
    return logit.mean()


def linear(codes, runs, config):
    view = View(list(codes.actions), list(codes.actions))
    network = Perceptron((view_size(view, codes), 1), runs.streams("linear"), last_scale=0.1)
    part = NeuralDiscriminator(network, view, codes, make_normalizers(codes, len(runs)))
    return Discriminators({"linear": part}, dict.fromkeys(codes.actions, "linear"))


def tanh(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, outputs))


def narrow(inputs, outputs):
    return nn.Linear(inputs, 1)


def nothing(*arguments):
    return None
"""


class Linear(nn.Module):
    noise_size = 1

    def __init__(self, num_runs: int, inputs: int, actions: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(num_runs, inputs, actions))

    def forward(self, observations: Tensor, mask: Tensor | None = None, given: Any = ()) -> Categorical:
        return Categorical((observations @ self.weights).log_softmax(-1))


@pytest.fixture(autouse=True)
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("mine", None)


def matching_dataset() -> Trajectories:
    return record(MATCHING, make_joint_policy("bimodal", MATCHING, {}), episodes=8, seed=0)


def test_parts_are_named_on_the_command_line_and_evaluated(tmp_path: Path) -> None:
    env = ("--env", "tests.magail_trainer.clock_env:ClockEnv")
    assert magail("record", *env, "--episodes", 8, "--output", tmp_path / "data") == 0
    parts = {"reward_style": "mine:clipped", "discriminator": "mine:linear", "network": "mine:tanh"}
    flags = [word for name, value in parts.items() for word in (f"--{name}", value)]
    small = ("--epochs", 2, "--rollout_episodes", 4, "--batch_size", 4, "--warm_start", 2, "--seeds", 0, 1)
    data = ("--dataset", tmp_path / "data")
    assert magail("train", *env, *data, *flags, *small, "--output", tmp_path / "run") == 0
    training = read_config(tmp_path / "run")["training"]
    assert {name: training[name] for name in parts} == parts
    assert training["clip"] == 0.2  # the defaults of perceptrons
    assert magail("evaluate", tmp_path / "run", "--episodes", 2) == 0


def test_an_own_network_is_that_of_all_parts_and_starts_differently_in_each_run() -> None:
    config = replace(SMALL, network="mine:tanh")
    trainer = Trainer(clock(), clock_dataset(clock()), seeded(0, 1), config)
    start = [values.clone() for module in trainer.modules.values() for values in module.parameters()]
    assert not start[0][0].equal(start[0][1])
    for _ in trainer.train():
        pass
    after = [values for module in trainer.modules.values() for values in module.parameters()]
    assert set(trainer.modules) == {"policies", "critic", "discriminator"}
    assert not any(before.equal(now) for before, now in zip(start, after, strict=True))


def test_parts_are_handed_over_in_python(tmp_path: Path) -> None:
    codes, runs = Codes.of(clock(), network="mlp"), seeded(0, 1)
    policies = IndependentPolicies({agent: Linear(2, 3, 3) for agent in codes.actions})
    discriminator = make_discriminator(codes, runs, replace(SMALL, discriminator="per_agent"))
    own: dict[str, Any] = {"policies": policies, "discriminator": discriminator, "reward": torch.tanh}
    trained = train(clock(), clock_dataset(clock()), seeds=(0, 1), config=SMALL, output=tmp_path / "run", **own)
    assert trained.trainer.policies is policies
    assert all(weights.any() for weights in policies.parameters())
    assert trained.trainer.discriminator is discriminator
    named = read_config(tmp_path / "run")["own_parts"]
    assert not {"reward_style", "discriminator"} & read_config(tmp_path / "run")["training"].keys()
    assert set(named) == {"policies", "discriminator", "reward"}
    assert named["policies"] == "magail_trainer.learn.policies:IndependentPolicies"
    with pytest.raises(InputError, match=r"has policies of your own, magail_trainer.*made in Python"):
        load_runs(tmp_path / "run")


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        ("network", "mine:narrow", "turns"),
        ("network", "mine:absent", "cannot be imported: module 'mine' has no attribute 'absent'"),
        ("network", "mine:nothing", r"makes a NoneType; expected a torch module\.$"),
        ("reward_style", "mine:mean", "must make rewards"),
        ("reward_style", "nowhere:mean", "cannot be imported: No module named 'nowhere'"),
        ("reward_style", "mine:linear", "cannot be used: linear"),
        ("discriminator", "mine:nothing", "is a NoneType; expected a Discriminator whose rewarded_by names a, b"),
        ("discriminator", "mine:clipped", "cannot be used: clipped"),
    ],
)
def test_parts_that_do_not_fit_are_refused_in_one_sentence(setting: str, value: str, reason: str) -> None:
    config: dict[str, Any] = {setting: value}
    with pytest.raises(InputError, match=f"^--{setting} .*{value}.* ?{reason}"):
        Trainer(clock(), clock_dataset(clock()), seeded(0, 1), replace(SMALL, **config))


def test_features_are_not_normalised_where_there_are_tables() -> None:
    with pytest.raises(InputError, match=r"^--discriminator mine:linear cannot be used: .* needs --network mlp"):
        Trainer(MATCHING, matching_dataset(), seeded(0), tabular(discriminator="mine:linear"))


def test_cloning_has_no_entropy_bonus_by_default() -> None:
    for network in ("mlp", "tabular"):
        settings: dict[str, Any] = {"config": MagailConfig(network=network), "seeds": (0,), "updates": 1}
        trained = train(MATCHING, matching_dataset(), algorithm="cloning", **settings)
        assert trained.trainer.runs.beta.tolist() == [0]


@pytest.mark.parametrize(
    ("agents", "num_runs", "actions", "reason"),
    [
        (("b", "a"), 2, 3, "are of b, a; expected Policies of a, b"),
        (("a", "b"), 3, 3, "expected 2 runs first"),
        (("a", "b"), 2, 4, "have 4 actions for a; expected 3"),
    ],
)
def test_own_policies_that_do_not_fit_are_refused(
    agents: tuple[str, ...], num_runs: int, actions: int, reason: str
) -> None:
    own = IndependentPolicies({agent: Linear(num_runs, 3, actions) for agent in agents})
    with pytest.raises(InputError, match=reason):
        Trainer(clock(), clock_dataset(clock()), seeded(0, 1), SMALL, policies=own)


def test_a_part_that_the_algorithm_does_not_use_is_refused() -> None:
    with pytest.raises(InputError, match=r"^The reward .* is not used by --algorithm cloning"):
        Trainer(clock(), clock_dataset(clock()), seeded(0), SMALL, algorithm="cloning", reward=torch.tanh)


def test_functions_train_as_the_commands_do(tmp_path: Path) -> None:
    env, words = "coordination_env:coordination/matching-v0", ("--epochs", 12, "--seeds", 0, 1)
    assert magail("record", "--env", env, "--expert", "bimodal", "--episodes", 20, "--output", tmp_path / "data") == 0
    data = ("--env", env, "--dataset", tmp_path / "data")
    assert magail("train", *data, *words, "--output", tmp_path / "a") == 0
    trained = train(env, tmp_path / "data", seeds=(0, 1), config=MagailConfig(epochs=12), output=tmp_path / "b")
    assert magail("train", *data, "--algorithm", "cloning", "--updates", 3, "--output", tmp_path / "c") == 0
    cloned = clone(env, tmp_path / "data", updates=3, output=tmp_path / "d")
    assert magail("clone", *data, "--updates", 3, "--output", tmp_path / "e") == 0
    for one, other in (("a", "b"), ("c", "d"), ("d", "e")):
        for name in ("runs.csv", "history.npz", "checkpoint/policies.npz"):
            assert (tmp_path / one / name).read_bytes() == (tmp_path / other / name).read_bytes(), name
        assert read_config(tmp_path / one)["training"] == read_config(tmp_path / other)["training"]
    assert trained.history["epoch"].tolist() == [1, 10, 12]
    final = read_table(tmp_path / "d" / "runs.csv")["cloning_loss"].astype(np.float32)
    np.testing.assert_array_equal(final, cloned.history["cloning_loss"][-1])
