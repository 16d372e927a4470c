"""Values of finite spaces as row numbers and back."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from magail_trainer.errors import InputError
from magail_trainer.learn.encoders import ContinuousSpace, FeatureSpace, FiniteSpace, joint_row

torch.set_num_threads(1)


def _native(value: np.ndarray, space: spaces.Space) -> np.ndarray:
    """As the space itself would give it."""
    array = np.asarray(value, dtype=space.dtype)
    return array if isinstance(space, spaces.Box) else array[()]


FINITE = [
    (spaces.Discrete(4), 4),
    (spaces.Discrete(3, start=-5), 3),
    (spaces.Discrete(1, start=7), 1),
    (spaces.MultiDiscrete([2, 3, 4]), 24),
    (spaces.MultiDiscrete([2, 3], start=[10, -1]), 6),
    (spaces.MultiDiscrete(np.array([[2, 1], [3, 2]])), 12),
    (spaces.MultiBinary(3), 8),
    (spaces.MultiBinary([2, 2]), 16),
    (spaces.Box(2.5, 2.5, (2, 3)), 1),
    (spaces.Box(0.0, 0.0, ()), 1),
]


@pytest.mark.parametrize(("space", "size"), FINITE, ids=lambda case: str(case))
def test_numbers_every_value_once_and_decodes_it_again(space: spaces.Space, size: int) -> None:
    code = FiniteSpace(space, "observation space of a")
    rows = np.arange(size)
    values = code.decode(rows)
    assert code.size == size
    assert values.shape == (size, *(space.shape or ()))
    assert all(space.contains(_native(value, space)) for value in values)
    np.testing.assert_array_equal(code.encode(values), rows)
    assert code.encode(values).dtype == np.int64
    np.testing.assert_array_equal(code.decode(code.encode(values)), values)


@pytest.mark.parametrize(("space", "size"), FINITE, ids=lambda case: str(case))
def test_takes_single_values_and_batches_of_any_shape(space: spaces.Space, size: int) -> None:
    code = FiniteSpace(space, "observation space of a")
    space.seed(0)
    values = [space.sample() for _ in range(6)]
    single = [int(code.encode(np.asarray(value))) for value in values]
    assert all(0 <= row < size for row in single)
    batch = np.asarray(values).reshape(2, 3, *(space.shape or ()))
    np.testing.assert_array_equal(code.encode(batch), np.reshape(single, (2, 3)))
    np.testing.assert_array_equal(code.decode(np.reshape(single, (2, 3))), batch)


def test_numbers_by_hand() -> None:
    assert FiniteSpace(spaces.Discrete(3, start=-5), "x").encode(np.array([-5, -3])).tolist() == [0, 2]
    code = FiniteSpace(spaces.MultiDiscrete([2, 3], start=[10, -1]), "x")
    assert code.encode(np.array([[10, -1], [10, 1], [11, -1], [11, 1]])).tolist() == [0, 2, 3, 5]
    assert FiniteSpace(spaces.MultiBinary(3), "x").encode(np.array([1, 0, 1], dtype=np.int8)).tolist() == 5


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(0, 1, (2,)),
        spaces.Box(np.array([0.0, 1.0], dtype=np.float32), np.array([0.0, 2.0], dtype=np.float32)),
        spaces.Dict({"x": spaces.Discrete(2)}),
        spaces.Tuple([spaces.Discrete(2)]),
        spaces.Text(3),
    ],
    ids=lambda space: type(space).__name__,
)
def test_refuses_a_space_that_is_not_finite_in_one_sentence(space: spaces.Space) -> None:
    with pytest.raises(InputError) as refusal:
        FiniteSpace(space, "action space of agent_7")
    message = str(refusal.value)
    assert message.startswith("The action space of agent_7 is ")
    assert message.endswith("a table needs a finite one, such as Discrete.")


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5))
@settings(deadline=None, max_examples=40)
def test_joint_row_is_ravel_multi_index(sizes: list[int]) -> None:
    grid = np.array(list(itertools.product(*(range(size) for size in sizes)))).T
    joint = joint_row([torch.from_numpy(part.copy()) for part in grid], sizes)
    np.testing.assert_array_equal(joint.numpy(), np.ravel_multi_index(tuple(grid), sizes))


@pytest.mark.parametrize(
    ("make", "space", "why"),
    [
        (FeatureSpace, spaces.Discrete(2**60), "has 1,152,921,504,606,846,976 numbers or values; expected at most"),
        (FeatureSpace, spaces.Box(-1, 1, (100_001,)), "has 100,001 numbers or values; expected at most 100,000"),
        (ContinuousSpace, spaces.Box(-1, 1, (0,)), "expected at least one number"),
        (FiniteSpace, spaces.Box(-1, 1, (0,)), "a table needs a finite one"),
    ],
)
def test_refuses_spaces_that_are_too_large_or_empty(make: Any, space: spaces.Space, why: str) -> None:
    with pytest.raises(InputError, match=f"The space of a .*{why}"):
        make(space, "space of a")


def test_joint_row_refuses_a_size_too_few() -> None:
    with pytest.raises(ValueError, match="zip"):
        joint_row([torch.tensor([0]), torch.tensor([1])], [2])
