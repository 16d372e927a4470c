"""Settings: the defaults of each network, refusals, what an algorithm heeds; and each setting does something."""

import json
import pickle
from dataclasses import asdict, fields, replace
from typing import Any

import numpy as np
import pytest

from magail_trainer.data.recording import record
from magail_trainer.data.trajectories import Trajectories
from magail_trainer.envs.registry import EnvEntry, resolve
from magail_trainer.errors import InputError
from magail_trainer.learn.config import MagailConfig, as_run, at_least_passes, checked_algorithm, heeded
from magail_trainer.learn.runs import Runs
from magail_trainer.learn.trainer import Trainer, settle_network
from magail_trainer.play.players import make_joint_policy
from tests.magail_trainer.clock_env import SMALL, clock, clock_dataset, seeded, tabular

MATCHING = "coordination_env:coordination/matching-v0"
NOT_A_NUMBER, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("epochs", 0, "at least 1"),
        ("epochs", -5, "at least 1"),
        ("rollout_episodes", 0, "at least 1"),
        ("batch_size", 0, "at least 1"),
        *(
            (name, value, "a positive number")
            for name in ("lr_policy", "lr_disc", "lr_critic", "lr_cloning")
            for value in (0.0, -1.0, INFINITE)
        ),
        *((name, 0, "at least 1") for name in ("policy_epochs", "policy_minibatches", "disc_updates")),
        *(
            (name, value, "0 or a positive number")
            for name in ("clip", "value_clip", "max_grad_norm", "gradient_penalty", "disc_weight_decay", "cloning")
            for value in (-0.1, NOT_A_NUMBER, INFINITE)
        ),
        ("warm_start", -1, "0 or a positive number"),
        ("warm_critic", -1, "0 or a positive number"),
        ("gae_lambda", 1.5, "between 0 and 1"),
        ("label_smoothing", 0.5, "from 0 to below 0.5"),
        ("hidden", (8, 0), "widths of at least 1"),
        ("lr_policy", NOT_A_NUMBER, "a positive number"),
        ("discount", -0.1, "between 0 and 1"),
        ("discount", 1.1, "between 0 and 1"),
        ("discount", NOT_A_NUMBER, "between 0 and 1"),
    ],
)
def test_refuses_with_one_sentence_that_names_flag_and_value(name: str, value: Any, expected: str) -> None:
    with pytest.raises(InputError) as refusal:
        MagailConfig(**{name: value})
    assert str(refusal.value) == f"--{name} must be {expected}, not {value}."


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("network", "auto, tabular, mlp, or module:callable"),
        ("critic", "none, centralised, decentralised"),
        ("discriminator", "joint, per_agent, own_view_joint_action, zero_sum, or module:callable"),
        ("reward_style", "non_saturating, gail, airl, symmetric, or module:callable"),
        ("lr_schedule", "constant, linear"),
    ],
)
def test_refuses_an_unknown_choice(name: str, choices: str) -> None:
    with pytest.raises(InputError) as refusal:
        MagailConfig(**{name: "other"})
    assert str(refusal.value) == f"--{name} must be one of {choices}, not 'other'."


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"policy_epochs": 2}, "--policy_epochs 2 needs --clip"),
        ({"baseline": "batch", "network": "mlp"}, "--baseline batch needs --critic none"),
        ({"exact": True, "network": "mlp"}, "--exact has no pairs to take --gradient_penalty 0.02 between"),
        ({"critic": "centralised"}, "--critic centralised needs --network mlp"),
        ({"gradient_penalty": 0.1}, "--gradient_penalty 0.1 needs --network mlp; a table has no gradient"),
        ({"hidden": (8,)}, "--hidden needs --network mlp; each agent has a table of its own"),
        ({"share_parameters": "all"}, "--share_parameters needs --network mlp"),
        ({"network": "a:b", "policy_init_uniform": True}, "--policy_init_uniform cannot be had with a --network of"),
    ],
)
def test_refuses_settings_that_exclude_each_other(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=f"^{reason}"):
        MagailConfig(**{"network": "tabular"} | settings)


def test_the_defaults_of_tables_are_the_seeds() -> None:
    config = MagailConfig(network="tabular")
    assert (config.epochs, config.rollout_episodes, config.batch_size) == (4000, 200, 32)
    assert (config.lr_policy, config.lr_disc, config.reward_style) == (0.01, 0.01, "non_saturating")
    assert (config.policy_init_uniform, config.exact, config.clip, config.critic) == (False, False, 0, "none")


def test_the_defaults_of_perceptrons_are_ppos_in_python_as_on_the_command_line() -> None:
    config = MagailConfig(network="mlp", policy_epochs=5)
    assert (config.policy_epochs, config.clip, config.critic, config.warm_start) == (5, 0.2, "centralised", 200)
    assert MagailConfig(policy_epochs=5).settled("mlp") == config
    assert replace(MagailConfig(network="my_module:net"), network="mlp") == MagailConfig(network="mlp")


def test_before_the_network_is_known_its_defaults_are_not() -> None:
    config = MagailConfig(epochs=7)
    assert (config.network, config.epochs, config.batch_size) == ("auto", 7, 32)
    with pytest.raises(AttributeError, match="clip depends on the network"):
        _ = config.clip
    with pytest.raises(TypeError, match="MagailConfig has no epoch"):
        MagailConfig(epoch=7)
    assert settle_network(config, clock()).network == "mlp"
    assert settle_network(config, resolve(MATCHING)) == MagailConfig(network="tabular", epochs=7)
    assert settle_network(SMALL, clock()) is SMALL


def test_a_configuration_without_a_network_compares_prints_and_is_replaced() -> None:
    config = replace(MagailConfig(batch_size=8), epochs=3)
    assert config == MagailConfig(epochs=3, batch_size=8) != MagailConfig(epochs=4, batch_size=8)
    assert len({config, MagailConfig(batch_size=8, epochs=3), MagailConfig()}) == 2
    assert "epochs=3" in repr(config)
    assert config.settled("mlp") == MagailConfig(network="mlp", epochs=3, batch_size=8)
    assert pickle.loads(pickle.dumps(config)) == config
    assert replace(config, network="mlp").clip == 0.2
    assert MagailConfig() == MagailConfig(batch_size=32)


def test_reads_what_an_algorithm_wrote_although_defaults_in_the_gaps_exclude_each_other() -> None:
    ran = MagailConfig(network="mlp", exact=True, gradient_penalty=0)
    for algorithm in ("cloning", "rl"):
        assert MagailConfig.read(json.loads(json.dumps(heeded(ran, algorithm)))).exact


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("network", value) for value in (":", "x:", ":y", "tabular:y")),
        ("reward_style", "gail:y"),
        ("reward_style", abs),
    ],
)
def test_refuses_what_does_not_have_the_form_of_an_own_part(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"--{name} must be one of .*, or module:callable, not .*"):
        MagailConfig(**{name: value})


@pytest.mark.parametrize("algorithm", ["MAGAIL", "clone"])
def test_refuses_an_unknown_algorithm(algorithm: str) -> None:
    with pytest.raises(InputError, match=f"--algorithm must be one of magail, cloning, rl, not '{algorithm}'."):
        checked_algorithm(algorithm)


@pytest.mark.parametrize("config", [MagailConfig(network="tabular"), MagailConfig(network="mlp", hidden=(7,))], ids=str)
def test_reads_the_settings_that_were_written_as_json(config: MagailConfig) -> None:
    assert MagailConfig.read(json.loads(json.dumps(asdict(config)))) == config


def test_reads_the_settings_of_an_older_version_and_leaves_out_those_of_a_newer_one() -> None:
    expected = MagailConfig(network="tabular", epochs=7, exact=True)
    assert MagailConfig.read({"epochs": 7, "exact": True, "colour": "red", "own_network": ""}) == expected
    own = MagailConfig.read({"network": "mlp", "own_network": "module:net", "clip": 0.1})
    assert own == MagailConfig(network="module:net", clip=0.1)


def test_what_is_saved_is_what_ran() -> None:
    mlp = MagailConfig(network="mlp", epochs=5)
    ran = as_run(mlp, "magail", episodes=1000)
    assert (ran.warm_start, ran.warm_critic) == (1000, 2)  # 32 passes in batches of 32; half of the epochs
    assert as_run(ran, "magail", episodes=1000) == ran
    assert as_run(replace(mlp, warm_start=0), "magail", episodes=1000).warm_critic == 0
    rl = as_run(mlp, "rl")
    assert (rl.warm_start, rl.cloning, rl.allow_variable_horizon) == (0, 0, True)
    assert not {"lr_disc", "reward_style", "lr_cloning"} & heeded(rl, "rl").keys()
    cloning = heeded(as_run(mlp, "cloning"), "cloning")
    assert set(cloning) == {
        "network", "hidden", "share_parameters", "policy", "signals", "policy_init_uniform", "batch_size", "exact",
        "lr_cloning", "signal_starts",
    }  # fmt: skip
    trainer = Trainer(clock(), clock_dataset(clock()), seeded(0), mlp)
    assert trainer.describe()["training"]["warm_critic"] == 2


@pytest.mark.parametrize(
    ("episodes", "batch_size", "expected"),
    [(10, 32, 200), (200, 32, 200), (201, 32, 201), (9600, 32, 9600), (9600, 64, 4800), (9600, 20_000, 200)],
)
def test_large_datasets_are_passed_over_as_often_by_hand(episodes: int, batch_size: int, expected: int) -> None:
    assert at_least_passes(200, 32, episodes=episodes, batch_size=batch_size) == expected


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
ELSEWHERE = {"network", "allow_variable_horizon", "sides", "signals", "signal_starts"}


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
    entry = resolve(MATCHING, {"horizon": 2} if name == "discount" else {})
    dataset = record(entry, make_joint_policy("asymmetric", entry, {}), episodes=100, seed=0)
    config, runs = tabular(epochs=4, rollout_episodes=50), Runs.grid(betas=(0.0,), seeds=(42, 123))
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
