"""The official checks of PettingZoo, for every registered game, one-step and repeated.

Warnings are recorded here and compared with the two that a Discrete observation brings, whatever pytest's own
configuration lets pass.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pettingzoo
import pytest
from pettingzoo.test import (
    api_test,
    parallel_api_test,
    parallel_seed_test,
    render_test,
    seed_test,
    state_test,
)

import coordination_env

HARMLESS = ("Observation is not a NumPy array", "Observation numpy array is all zeros")
IDS = [f"coordination/{name}-v0" for name in coordination_env.GAMES]

pytestmark = [pytest.mark.parametrize("env_id", IDS), pytest.mark.parametrize("horizon", [1, 3])]


@contextmanager
def only_harmless_warnings() -> Iterator[None]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    assert [str(w.message) for w in caught if not str(w.message).startswith(HARMLESS)] == []


def maker(env_type: Any, env_id: str, horizon: int) -> Any:
    return partial(pettingzoo.make, env_type, env_id, horizon=horizon)


def test_parallel_api(env_id: str, horizon: int) -> None:
    with only_harmless_warnings():
        parallel_api_test(maker("parallel", env_id, horizon)(), num_cycles=20)


def test_aec_api(env_id: str, horizon: int) -> None:
    with only_harmless_warnings():
        api_test(maker("aec", env_id, horizon)(), num_cycles=20)


def test_seeds(env_id: str, horizon: int) -> None:
    with only_harmless_warnings():
        seed_test(maker("aec", env_id, horizon), num_cycles=20)
        parallel_seed_test(maker("parallel", env_id, horizon), num_cycles=20)


def test_state(env_id: str, horizon: int) -> None:
    with only_harmless_warnings():
        state_test(maker("aec", env_id, horizon)(), maker("parallel", env_id, horizon)())


def test_render(env_id: str, horizon: int) -> None:
    with only_harmless_warnings():
        render_test(maker("aec", env_id, horizon))
