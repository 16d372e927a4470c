"""Spaces as features and as continuous actions, against Gymnasium's own `flatten`."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from magail_trainer.envs.registry import EnvEntry, resolve
from magail_trainer.errors import InputError
from magail_trainer.learn.encoders import Codes, ContinuousSpace, FeatureSpace, FiniteSpace, suits_tables
from tests.magail_trainer.clock_env import ClockEnv, clock

torch.set_num_threads(1)

OBSERVATIONS = [
    spaces.Box(-3, 3, (4,), np.float32),
    spaces.Box(-3, 3, (2, 3), np.float64),
    spaces.Box(0, 255, (2, 3), np.uint8),
    spaces.Box(0, 1, (), np.float32),
    spaces.Discrete(4),
    spaces.Discrete(3, start=-5),
    spaces.MultiDiscrete([2, 3, 4]),
    spaces.MultiDiscrete([2, 3], start=[10, -1]),
    spaces.MultiDiscrete(np.array([[2, 1], [3, 2]])),
    spaces.MultiBinary(3),
    spaces.MultiBinary([2, 2]),
]


@pytest.mark.parametrize("space", OBSERVATIONS, ids=str)
def test_features_are_what_gymnasium_flattens_to_in_batches_of_any_shape(space: spaces.Space) -> None:
    code = FeatureSpace(space, "observation space of a")
    space.seed(0)
    values = [space.sample() for _ in range(6)]
    flat = np.stack([np.asarray(spaces.flatten(space, value)) for value in values])
    assert code.size == spaces.flatdim(space) == flat.shape[-1]
    np.testing.assert_allclose(code.encode(np.stack(values)), flat, rtol=1e-6)
    np.testing.assert_allclose(code.encode(np.asarray(values[0])), flat[0], rtol=1e-6)
    batch = np.stack(values).reshape(2, 3, *(space.shape or ()))
    np.testing.assert_allclose(code.encode(batch), flat.reshape(2, 3, -1), rtol=1e-6)
    assert code.encode(batch).dtype == np.float32


def test_features_by_hand() -> None:
    assert FeatureSpace(spaces.Discrete(3, start=-5), "x").encode(np.array([-5, -3])).tolist() == [[1, 0, 0], [0, 0, 1]]
    assert FeatureSpace(spaces.MultiDiscrete([2, 3]), "x").encode(np.array([1, 2])).tolist() == [0, 1, 0, 0, 1]


@pytest.mark.parametrize(
    ("space", "value"),
    [
        (spaces.Discrete(3), -1),
        (spaces.Discrete(3), 3),
        (spaces.Discrete(3, start=5), 4),
        (spaces.MultiDiscrete([2, 3]), [2, 0]),  # which is another number's place
        (spaces.MultiDiscrete([2, 3]), [0, -1]),
    ],
)
def test_a_value_outside_is_no_features_of_another(space: spaces.Space, value: object) -> None:
    with pytest.raises(ValueError, match="outside the space"):
        FeatureSpace(space, "x").encode(np.array([value]))


@pytest.mark.parametrize("shape", [(8, 8, 3), (16, 16), (4, 16, 16, 3)])
def test_refuses_an_image_naming_the_agent(shape: tuple[int, ...]) -> None:
    image = spaces.Box(0, 255, shape, np.uint8)
    with pytest.raises(InputError) as refusal:
        FeatureSpace(image, "observation space of agent_7")
    assert str(refusal.value).startswith(f"The observation space of agent_7 is {image}, an image; expected numbers")
    with pytest.raises(InputError, match=r"is Dict.*Tuple.*, with an image; expected numbers"):
        FeatureSpace(spaces.Dict({"eyes": spaces.Tuple([image])}), "x")


def test_bytes_and_numbers_in_a_grid_are_no_images() -> None:
    assert FeatureSpace(spaces.Box(0, 255, (8,), np.uint8), "x").size == 8
    assert FeatureSpace(spaces.Box(0, 1, (7, 7, 3), np.float32), "x").size == 147


@pytest.mark.parametrize("space", [spaces.Text(3), spaces.Dict({"x": spaces.Text(2)})], ids=["text", "dict"])
def test_refuses_what_are_no_numbers(space: spaces.Space) -> None:
    with pytest.raises(InputError, match=r"^The x is .*; expected Box, .* MultiBinary, or a Dict or Tuple of these\.$"):
        FeatureSpace(space, "x")


BOXES = [
    spaces.Box(-2, 6, (3,), np.float32),
    spaces.Box(np.array([[0.0, -1.0], [5.0, 2.0]]), np.array([[1.0, 1.0], [9.0, 2.0]]), dtype=np.float64),
    spaces.Box(0, 10, (2,), np.int32),
    spaces.Box(-128, 127, (2,), np.int8),
    spaces.Box(-1e30, 1e30, (1,), np.float32),
]


@pytest.mark.parametrize("space", BOXES, ids=str)
@given(seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=15)
def test_a_continuous_action_comes_back_from_its_code_and_lies_in_its_space(space: spaces.Box, seed: int) -> None:
    code = ContinuousSpace(space, "action space of a")
    space.seed(seed)
    values = np.stack([space.sample() for _ in range(4)])
    scaled = code.encode(values)
    assert scaled.shape == (4, code.size)
    assert np.abs(scaled).max() <= 1 + 1e-6
    spread = (space.high.astype(float) - space.low).max()
    np.testing.assert_allclose(code.decode(scaled).astype(float), values.astype(float), atol=2e-6 * spread)
    wild = np.random.default_rng(seed).normal(0, 5, (4, code.size)).astype(np.float32)
    played = code.decode(wild)
    assert all(space.contains(value) for value in played)
    clipped = code.features(torch.from_numpy(wild)).numpy()
    np.testing.assert_allclose(code.decode(clipped).astype(float), played.astype(float))
    assert np.abs(clipped).max() <= 1


def test_scaling_by_hand() -> None:
    code = ContinuousSpace(spaces.Box(-1, 5, (1,), np.float32), "x")
    assert code.encode(np.array([[-1.0], [2.0], [5.0]])).tolist() == [[-1], [0], [1]]
    assert code.decode(np.array([[-7.0], [0.5], [3.0]], dtype=np.float32)).tolist() == [[-1], [3.5], [5]]
    integers = ContinuousSpace(spaces.Box(0, 10, (1,), np.int64), "x")
    assert integers.decode(integers.encode(np.arange(11)[:, np.newaxis])).ravel().tolist() == list(range(11))


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_a_number_that_is_fixed_tells_nobody_apart(dtype: type) -> None:
    code = ContinuousSpace(spaces.Box(np.array([0, 2], dtype), np.array([4, 2], dtype), dtype=dtype), "x")
    played = torch.tensor([[1.0, -0.7], [1.0, 0.9]])
    assert code.features(played).tolist() == code.encode(code.decode(played.numpy())).tolist() == [[1, -1], [1, -1]]


@pytest.mark.parametrize(
    ("space", "is_constant"),
    [
        (spaces.Discrete(1), True),
        (spaces.Discrete(2), False),
        (spaces.MultiDiscrete([1, 1]), True),
        (spaces.MultiDiscrete([1, 2]), False),
        (spaces.MultiBinary(1), False),
        (spaces.Box(2.5, 2.5, (2,)), True),
        (spaces.Box(0, 1, (1,)), False),
    ],
    ids=str,
)
def test_a_space_with_one_value_is_known_whatever_its_code(space: spaces.Space, *, is_constant: bool) -> None:
    assert FeatureSpace(space, "x").is_constant == is_constant
    if not isinstance(space, spaces.Box) or is_constant:
        assert FiniteSpace(space, "x").is_constant == is_constant


@pytest.mark.parametrize("space", [spaces.Box(-np.inf, np.inf, (1,)), spaces.Box(0, np.inf, (1,))], ids=str)
def test_refuses_a_box_without_bounds(space: spaces.Box) -> None:
    with pytest.raises(InputError, match=r"^The action space of a is Box.*; expected finite bounds\.$"):
        ContinuousSpace(space, "action space of a")


def of_spaces(observation: spaces.Space, action: spaces.Space) -> EnvEntry:
    class Changed(ClockEnv):
        """The clock with other spaces."""

        def observation_space(self, agent: str) -> spaces.Space:
            return observation

        def action_space(self, agent: str) -> spaces.Space:
            return action

    return EnvEntry("changed", Changed)


def test_codes_for_an_mlp() -> None:
    codes = Codes.of(clock(), network="mlp")
    assert {agent: (type(code), code.size) for agent, code in codes.actions.items()} == {
        "a": (FiniteSpace, 3),
        "b": (FiniteSpace, 3),
    }
    assert [code.size for code in codes.observations.values()] == [3, 3]
    assert list(codes.finite_actions) == ["a", "b"]
    continuous = Codes.of(clock(continuous=True), network="mlp")
    assert all(isinstance(code, ContinuousSpace) for code in continuous.actions.values())
    assert continuous.finite_actions == {}


def test_a_huge_action_space_is_refused_by_its_size() -> None:
    huge = of_spaces(spaces.Discrete(2), spaces.Discrete(100_000))
    with pytest.raises(InputError) as refusal:
        Codes.of(huge, network="mlp")
    assert str(refusal.value) == "The action space of a has 100,000 values; expected at most 4,096."


def test_an_action_that_is_no_number_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"^The action space of a is Text.*; expected Discrete, .* or Box\.$"):
        Codes.of(of_spaces(spaces.Discrete(2), spaces.Text(3)), network="mlp")


def test_tables_suit_small_finite_spaces() -> None:
    assert suits_tables(resolve("coordination_env:coordination/matching-v0"))
    assert suits_tables(of_spaces(spaces.Discrete(10), spaces.Discrete(10)))  # 10⁴ joint values
    assert not suits_tables(of_spaces(spaces.Discrete(11), spaces.Discrete(10)))
    assert not suits_tables(clock())


def test_an_action_is_one_hot_for_a_network() -> None:
    code = FiniteSpace(spaces.Discrete(3), "x")
    assert code.features(torch.tensor([[2, 0]])).tolist() == [[[0, 0, 1], [1, 0, 0]]]
