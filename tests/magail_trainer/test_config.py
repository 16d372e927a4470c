"""Settings refuse what makes no sense, in one sentence that names the flag and the value."""

from typing import Any

import pytest

from magail_trainer.config import MagailConfig
from magail_trainer.errors import InputError

NOT_A_NUMBER, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("epochs", 0, "at least 1"),
        ("epochs", -5, "at least 1"),
        ("rollout_episodes", 0, "at least 1"),
        ("batch_size", 0, "at least 1"),
        *((name, value, "a positive number") for name in ("lr_policy", "lr_disc") for value in (0.0, -1.0, INFINITE)),
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


def test_refuses_an_unknown_reward() -> None:
    config = MagailConfig()
    object.__setattr__(config, "reward_style", "airl")  # past beartype, which would refuse it first
    with pytest.raises(InputError) as refusal:
        config.__post_init__()
    assert str(refusal.value) == "--reward_style must be one of non_saturating, gail, not 'airl'."


def test_the_defaults_are_the_seeds() -> None:
    config = MagailConfig()
    assert (config.epochs, config.rollout_episodes, config.batch_size) == (4000, 200, 32)
    assert (config.lr_policy, config.lr_disc, config.reward_style) == (0.01, 0.01, "non_saturating")
    assert (config.policy_init_uniform, config.exact) == (False, False)


@pytest.mark.parametrize("discount", [0.0, 1.0])
def test_the_ends_of_the_discount_are_allowed(discount: float) -> None:
    assert MagailConfig(discount=discount).discount == discount
