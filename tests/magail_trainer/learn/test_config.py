"""Settings refuse what makes no sense, in one sentence that names the flag and the value."""

import json
from dataclasses import asdict
from typing import Any

import pytest

from magail_trainer.errors import InputError
from magail_trainer.learn.config import MagailConfig, at_least_passes

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
        MagailConfig(network="tabular", **{name: value})
    assert str(refusal.value) == f"--{name} must be {expected}, not {value}."


def test_refuses_an_unknown_reward() -> None:
    config = MagailConfig(network="tabular")
    object.__setattr__(config, "reward_style", "fair")  # past beartype, which would refuse it first
    with pytest.raises(InputError) as refusal:
        config.__post_init__()
    assert str(refusal.value) == "--reward_style must be one of non_saturating, gail, airl, symmetric, not 'fair'."


def test_the_defaults_are_the_seeds() -> None:
    config = MagailConfig(network="tabular")
    assert (config.epochs, config.rollout_episodes, config.batch_size) == (4000, 200, 32)
    assert (config.lr_policy, config.lr_disc, config.reward_style) == (0.01, 0.01, "non_saturating")
    assert (config.policy_init_uniform, config.exact) == (False, False)


@pytest.mark.parametrize("discount", [0.0, 1.0])
def test_the_ends_of_the_discount_are_allowed(discount: float) -> None:
    assert MagailConfig(network="tabular", discount=discount).discount == discount


@pytest.mark.parametrize(
    "config",
    [MagailConfig(network="mlp"), MagailConfig(network="tabular", hidden=(7,), share_parameters="a,b", cloning=0.25)],
)
def test_reads_the_settings_that_were_written_as_json(config: MagailConfig) -> None:
    assert MagailConfig.read(json.loads(json.dumps(asdict(config)))) == config


def test_reads_the_settings_of_an_older_version_and_leaves_out_those_of_a_newer_one() -> None:
    assert MagailConfig.read({"epochs": 7, "exact": True, "colour": "red"}) == MagailConfig(
        network="tabular", epochs=7, exact=True
    )


def test_what_a_network_leaves_open_has_its_default_and_what_is_set_stays() -> None:
    tables, perceptrons = MagailConfig(network="tabular", clip=0.3), MagailConfig(network="mlp", epochs=7)
    assert (tables.clip, tables.epochs, tables.critic, tables.warm_start) == (0.3, 4000, "none", 0)
    assert (perceptrons.clip, perceptrons.epochs, perceptrons.critic) == (0.2, 7, "centralised")


def test_auto_takes_the_defaults_of_the_network_that_is_found() -> None:
    auto = MagailConfig(epochs=7, lr_disc=0.5)
    for network in ("tabular", "mlp"):
        assert auto.settled(network) == MagailConfig(network=network, epochs=7, lr_disc=0.5)


def test_more_passes_are_refused_only_where_nothing_is_clipped() -> None:
    assert MagailConfig(network="mlp", policy_epochs=5).clip == 0.2
    assert MagailConfig(policy_epochs=5).settled("mlp").policy_epochs == 5
    with pytest.raises(InputError, match="--policy_epochs 5 needs --clip"):
        MagailConfig(policy_epochs=5).settled("tabular")


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("network", "auto, tabular, mlp"),
        ("critic", "none, centralised, decentralised"),
        ("discriminator", "joint, per_agent, own_view_joint_action, zero_sum"),
        ("lr_schedule", "constant, linear"),
    ],
)
def test_refuses_an_unknown_choice(name: str, choices: str) -> None:
    config = MagailConfig(network="tabular")
    object.__setattr__(config, name, "other")
    with pytest.raises(InputError) as refusal:
        config.__post_init__()
    assert str(refusal.value) == f"--{name} must be one of {choices}, not 'other'."


@pytest.mark.parametrize(
    ("episodes", "batch_size", "expected"),
    [(10, 32, 200), (200, 32, 200), (201, 32, 201), (9600, 32, 9600), (9600, 64, 4800), (9600, 20_000, 200)],
)
def test_large_datasets_are_passed_over_as_often_by_hand(episodes: int, batch_size: int, expected: int) -> None:
    assert at_least_passes(200, 32, episodes=episodes, batch_size=batch_size) == expected
