"""Every setting does something."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from magail_trainer.data.joint_policies import make_joint_policy
from magail_trainer.data.recording import record
from magail_trainer.data.trajectories import Trajectories
from magail_trainer.envs.registry import EnvEntry, resolve
from magail_trainer.errors import InputError
from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.runs import Runs
from magail_trainer.learn.trainer import Trainer, choose_network
from tests.magail_trainer.clock_env import SMALL, clock, clock_dataset, seeded

OF_TABLES = {
    "epochs": 13,
    "rollout_episodes": 60,
    "batch_size": 31,
    "lr_policy": 0.02,
    "lr_disc": 0.02,
    "reward_style": "gail",
    "policy_init_uniform": True,
    "discount": 0.5,
    "exact": True,
    "policy": "autoregressive",
    "baseline": "batch",
}
OF_PERCEPTRONS = {
    "epochs": 4,
    "rollout_episodes": 9,
    "batch_size": 3,
    "lr_policy": 0.02,
    "lr_disc": 0.02,
    "lr_critic": 0.02,
    "lr_schedule": "constant",
    "beta_schedule": "linear",
    "reward_style": "symmetric",
    "policy_init_uniform": True,
    "discount": 0.5,
    "hidden": (9,),
    "share_parameters": "none",
    "critic": "decentralised",
    "policy_epochs": 3,
    "policy_minibatches": 3,
    "clip": 0.01,
    "value_clip": 0.01,
    "gae_lambda": 0.5,
    "normalize_advantages": False,
    "normalize_rewards": False,
    "max_grad_norm": 0.01,
    "discriminator": "per_agent",
    "disc_updates": 3,
    "gradient_penalty": 10.0,
    "disc_weight_decay": 0.5,
    "label_smoothing": 0.2,
    "warm_start": 4,
    "warm_passes": 9,
    "warm_critic": 0,
    "lr_cloning": 0.02,
    "cloning": 2.0,
}
ELSEWHERE = {"network", "own_network", "allow_variable_horizon", "sides", "signals", "signal_starts"}


def test_every_setting_has_a_change_to_test() -> None:
    assert {*OF_TABLES, *OF_PERCEPTRONS, *ELSEWHERE} == {field.name for field in fields(MagailConfig)}


def trained(entry: EnvEntry, dataset: Trajectories, runs: Runs, config: MagailConfig) -> dict[str, np.ndarray]:
    """What the policies have become."""
    trainer = Trainer(entry, dataset, runs, config)
    for _ in trainer.train():
        pass
    return {name: values.numpy() for name, values in trainer.policies.state_dict().items()}


def assert_all_differ(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> None:
    for name in before:
        learnt = not name.endswith(("mean", "scale"))  # what the expert's observations are like
        assert not learnt or not np.array_equal(before[name], after[name]), name


@pytest.mark.parametrize("name", OF_TABLES)
def test_every_setting_of_tables_has_an_effect(name: str) -> None:
    entry = resolve("coordination_env:coordination/matching-v0", {"horizon": 2} if name == "discount" else {})
    dataset = record(entry, make_joint_policy("asymmetric", entry, {}), episodes=100, seed=0)
    config, runs = (
        MagailConfig(network="tabular", epochs=12, rollout_episodes=50),
        Runs.grid(betas=(0.0,), seeds=(42, 123)),
    )
    change: dict[str, Any] = {name: OF_TABLES[name]}
    assert_all_differ(trained(entry, dataset, runs, config), trained(entry, dataset, runs, replace(config, **change)))


@pytest.fixture(scope="module")
def recorded() -> Trajectories:
    return clock_dataset(clock())


@pytest.fixture(scope="module")
def as_they_are(recorded: Trajectories) -> dict[str, np.ndarray]:
    return trained(clock(), recorded, seeded(0, 1), SMALL)


@pytest.mark.parametrize("name", OF_PERCEPTRONS)
def test_every_setting_of_perceptrons_has_an_effect(
    name: str, recorded: Trajectories, as_they_are: dict[str, np.ndarray]
) -> None:
    change: dict[str, Any] = {name: OF_PERCEPTRONS[name]}
    assert change[name] != getattr(SMALL, name)
    assert_all_differ(as_they_are, trained(clock(), recorded, seeded(0, 1), replace(SMALL, **change)))


def test_the_network_is_chosen_by_the_spaces() -> None:
    assert choose_network(clock()) == "mlp"
    matching = resolve("coordination_env:coordination/matching-v0")
    assert choose_network(matching) == "tabular"


OWN = """
from torch import nn

def tanh(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, outputs))

def narrow(inputs, outputs):
    return nn.Linear(inputs, 1)
"""


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "networks_of_mine.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    return "networks_of_mine"


def test_a_network_of_ones_own_is_trained(own_module: str, recorded: Trajectories) -> None:
    config = replace(SMALL, own_network=f"{own_module}:tanh")
    trainer = Trainer(clock(), recorded, seeded(0, 1), config)
    modules = (trainer.policies, trainer.discriminator, trainer.critic)
    start = [parameter.clone() for module in modules if module is not None for parameter in module.parameters()]
    assert {tuple(parameter.shape)[1:] for parameter in start if parameter.ndim == 2} >= {(8,)}
    assert not start[0][0].equal(start[0][1])  # each run has its own start
    for _ in trainer.train():
        pass
    after = [parameter for module in modules if module is not None for parameter in module.parameters()]
    assert not any(before.equal(now) for before, now in zip(start, after, strict=True))


@pytest.mark.parametrize(("name", "reason"), [("narrow", "not"), ("missing", "missing"), ("", "")])
def test_a_network_that_does_not_fit_is_refused(
    name: str, reason: str, own_module: str, recorded: Trajectories
) -> None:
    with pytest.raises(InputError, match=f"--own_network {own_module}:{name}.*{reason}"):
        Trainer(clock(), recorded, seeded(0, 1), replace(SMALL, own_network=f"{own_module}:{name}"))
