"""Descriptions of spaces: plain JSON that tells different spaces apart."""

import json

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from magail_trainer.envs.registry import EnvEntry
from magail_trainer.envs.spaces import check_values, describe_space, finite_space
from magail_trainer.errors import InputError
from tests.magail_trainer.toy_envs import SignallingEnv

bounds = st.sampled_from([-np.inf, -1.0, 0.1, 2.0, np.inf])
shapes = st.sampled_from([(), (1,), (2,), (2, 1)])


@st.composite
def boxes(draw: st.DrawFn) -> spaces.Box:
    low, high = sorted([draw(bounds), draw(bounds)])
    return spaces.Box(low, high, draw(shapes), draw(st.sampled_from([np.float32, np.float64])))


some_spaces = st.one_of(
    st.builds(spaces.Discrete, st.integers(1, 3), start=st.integers(-1, 1)),
    st.builds(spaces.MultiDiscrete, st.lists(st.integers(1, 3), min_size=1, max_size=2)),
    st.builds(spaces.MultiBinary, st.sampled_from([1, 2, (2, 1)])),
    boxes(),
)


@given(some_spaces, some_spaces)
def test_spaces_have_one_description_exactly_if_they_are_equal(first: spaces.Space, second: spaces.Space) -> None:
    # MultiBinary(1) and MultiBinary([1]) differ for Gymnasium alone; their values do not.
    assert (describe_space(first) == describe_space(second)) == (first == second)


@given(some_spaces)
def test_descriptions_survive_json(space: spaces.Space) -> None:
    description = describe_space(space)
    assert json.loads(json.dumps(description, allow_nan=False)) == description


@given(some_spaces)
def test_a_finite_space_is_found_again_in_its_description(space: spaces.Space) -> None:
    found = finite_space(describe_space(space))
    assert (found is None) == isinstance(space, spaces.Box)
    assert found is None or describe_space(found) == describe_space(space)


def test_bounds_that_differ_by_coordinate_are_all_kept() -> None:
    box = spaces.Box(np.array([0.0, -1.0]), np.array([1.0, 1.0]), dtype=np.float64)
    assert describe_space(box) == {
        "type": "Box", "low": ["0.0", "-1.0"], "high": "1.0", "shape": [2], "dtype": "float64"
    }  # fmt: skip


def test_agents_keep_their_order() -> None:
    described = EnvEntry("signalling", SignallingEnv).describe_spaces()
    assert list(described) == ["speaker", "listener"]
    assert described["listener"]["action"] == {"type": "Discrete", "n": 4, "start": 0}


def test_a_space_that_is_no_plain_array_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="Dict space cannot be recorded"):
        describe_space(spaces.Dict({"x": spaces.Discrete(2)}))


@pytest.mark.parametrize(
    ("space", "good", "bad"),
    [
        (spaces.Discrete(2, start=5), [5, 6], [5, 4]),
        (spaces.Discrete(3), [0, 2], [0, 0.5]),
        (spaces.Discrete(3), [0, 2], [3, 0]),
        (spaces.MultiDiscrete([2, 3]), [[1, 2], [0, 0]], [[2, 0], [0, 0]]),
        (spaces.MultiBinary(2), [[1, 0], [0, 0]], [[2, 0], [0, 0]]),
        (spaces.Box(-1, 1, (1,)), [[0.5], [-1]], [[0.5], [np.nan]]),
    ],
)
def test_values_outside_their_space_are_refused(space: spaces.Space, good: list, bad: list) -> None:
    check_values(np.array(good), space, 2, "actions of a")
    with pytest.raises(InputError, match=r"The actions of a hold .* which is not in"):
        check_values(np.array(bad), space, 2, "actions of a")
    with pytest.raises(InputError, match="The actions of a have shape"):
        check_values(np.array(good), space, 3, "actions of a")
