"""Structured observations as plain arrays, and masks where the package looks for them."""

from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Graph, MultiBinary, MultiDiscrete, Space, Text, Tuple
from pettingzoo import ParallelEnv

from magail_trainer.envs.flatten_observations import PlainEnv, _PlainSpace, plain
from magail_trainer.envs.registry import EnvEntry
from magail_trainer.errors import InputError
from tests.magail_trainer.toy_envs import DyingEnv, MaskedEnv, RandomLengthEnv, official_test

STRUCTURE = Dict(
    {
        "where": Box(-2, 2, (2, 1), np.float32),
        "kind": Discrete(3, start=4),
        "parts": Tuple((MultiBinary(2), MultiDiscrete([2, 3]))),
    }
)
VALUE = {
    "where": np.array([[0.5], [-1.5]], np.float32),
    "kind": np.int64(5),
    "parts": (np.array([0, 1], np.int8), np.array([1, 2])),
}
# Gymnasium sorts the keys: kind, parts, where.
FLAT = [0, 1, 0, 0, 1, 0, 1, 0, 0, 1, 0.5, -1.5]


class Observing(ParallelEnv):
    """One agent, which always observes the same thing, for one step."""

    metadata = {"name": "observing_v0"}  # noqa: RUF012

    def __init__(self, space: Space, value: Any, actions: Space | None = None) -> None:
        self.possible_agents, self.agents = ["agent_0"], []
        self._space, self._value, self._actions = space, value, actions or Discrete(2)

    def observation_space(self, agent: str) -> Space:
        return self._space

    def action_space(self, agent: str) -> Space:
        return self._actions

    def reset(self, seed: int | None = None, options: dict | None = None) -> Any:
        self.agents = ["agent_0"]
        return {"agent_0": self._value}, {"agent_0": {"kept": 1}}

    def step(self, actions: dict[str, Any]) -> Any:
        self.agents = []
        alone = ({"agent_0": value} for value in (self._value, 1.0, True, False, {"kept": 2}))
        return tuple(alone)


def test_nested_observations_become_one_flat_box() -> None:
    env = PlainEnv(Observing(STRUCTURE, VALUE))
    space = env.observation_space("agent_0")
    assert isinstance(space, Box)
    assert space.low.tolist() == [0] * 10 + [-2] * 2
    assert space.high.tolist() == [1] * 10 + [2] * 2
    for observations in (env.reset()[0], env.step({"agent_0": 0})[0]):
        np.testing.assert_array_equal(observations["agent_0"], FLAT)
        assert observations["agent_0"] in space


def test_the_mask_moves_to_the_infos_and_the_observation_stays_alone() -> None:
    space = Dict({"observation": Discrete(5), "action_mask": Box(0, 1, (2,), np.int8)})
    env = PlainEnv(Observing(space, {"observation": np.int64(4), "action_mask": np.array([0, 1], np.int8)}))
    assert env.observation_space("agent_0") == Discrete(5)
    observations, infos = env.reset()
    assert observations == {"agent_0": 4}
    assert infos["agent_0"]["action_mask"].tolist() == [0, 1]
    assert infos["agent_0"]["action_mask"].dtype == np.int8
    assert infos["agent_0"]["kept"] == 1
    observations, rewards, terminations, truncations, infos = env.step({"agent_0": 1})
    assert (observations, rewards, terminations, truncations) == (
        {"agent_0": 4}, {"agent_0": 1.0}, {"agent_0": True}, {"agent_0": False}
    )  # fmt: skip
    assert infos["agent_0"]["action_mask"].tolist() == [0, 1]
    assert infos["agent_0"]["kept"] == 2
    assert env.agents == []


def test_what_stands_beside_a_mask_is_flattened() -> None:
    mask = MultiBinary(2)
    nested = Dict({"observation": STRUCTURE, "action_mask": mask})
    env = PlainEnv(Observing(nested, {"observation": VALUE, "action_mask": np.array([1, 0], np.int8)}))
    observations, infos = env.reset()
    np.testing.assert_array_equal(observations["agent_0"], FLAT)
    assert infos["agent_0"]["action_mask"].tolist() == [1, 0]
    beside = Dict({"a": Discrete(2), "b": Box(0, 9, (1,), np.float32), "action_mask": mask})
    env = PlainEnv(
        Observing(beside, {"a": 1, "b": np.array([7], np.float32), "action_mask": np.array([1, 0], np.int8)})
    )
    np.testing.assert_array_equal(env.reset()[0]["agent_0"], [0, 1, 7])


def test_a_mask_for_other_actions_is_part_of_the_observation() -> None:
    value = {"observation": np.int64(1), "action_mask": np.array([1, 0], np.int8)}
    space = Dict({"observation": Discrete(2), "action_mask": MultiBinary(2)})
    observations, infos = PlainEnv(Observing(space, value, Discrete(3))).reset()
    np.testing.assert_array_equal(observations["agent_0"], [1, 0, 0, 1])
    assert infos == {"agent_0": {"kept": 1}}


class MaskInInfos(Observing):
    """Says in the infos that one of two numbers may not be played."""

    def reset(self, seed: int | None = None, options: dict | None = None) -> Any:
        observations, _ = super().reset(seed, options)
        return observations, {"agent_0": {"action_mask": np.array([1, 0], np.int8)}}


@pytest.mark.parametrize(
    "env",
    [
        Observing(Dict({"observation": Discrete(2), "action_mask": MultiBinary(2)}), {}, MultiDiscrete([2, 1])),
        MaskInInfos(Discrete(2), 0, MultiDiscrete([2, 1])),
    ],
    ids=["observed", "in the infos"],
)
def test_a_mask_that_nobody_would_heed_is_refused(env: ParallelEnv) -> None:
    sentence = (
        r"agent_0 has an action mask for MultiDiscrete\(\[2 1\]\); masks are supported for Discrete actions alone"
    )
    with pytest.raises(InputError, match=sentence):
        EnvEntry("masked", lambda: env).make_vector(1).reset()


@pytest.mark.parametrize("space", [Text(3), Graph(Box(0, 1, (1,)), None), Dict({"words": Text(3), "n": Discrete(2)})])
def test_what_cannot_be_flat_stays_as_it_is(space: Space) -> None:
    env = Observing(space, "abc")
    assert plain(env) is env


def test_only_envs_that_need_it_are_wrapped() -> None:
    for env in (RandomLengthEnv(), DyingEnv(), MaskedEnv(in_infos=True)):
        assert plain(env) is env
    for env in (RandomLengthEnv(nested=True), MaskedEnv()):
        assert isinstance(plain(env), PlainEnv)
        assert plain(env).unwrapped is env


@pytest.mark.parametrize("env", [Observing(STRUCTURE, VALUE), MaskedEnv(lenient=True)], ids=["structure", "mask"])
def test_plain_envs_pass_the_official_test(env: ParallelEnv) -> None:
    official_test(PlainEnv(env))


def test_the_toy_with_deaths_passes_the_official_test() -> None:
    official_test(DyingEnv())


def test_an_image_is_no_flat_part_of_anything() -> None:
    for image in (Box(0, 255, (4, 4, 3), np.uint8), Box(0, 255, (16, 16), np.uint8)):
        nested = Dict({"rgb": image, "x": Discrete(2)})
        assert _PlainSpace(nested, Discrete(2)).space is nested  # which the trainer refuses, as it does images
    assert _PlainSpace(Dict({"sonar": Box(0, 1, (7, 7, 3))}), Discrete(2)).space.shape == (147,)
