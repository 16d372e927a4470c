"""Features in any unit and from any origin are learnt; ordinary ones keep every bit, and constant ones do no harm."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, Space
from pettingzoo import ParallelEnv

from magail_trainer.envs.registry import resolve
from magail_trainer.errors import InputError
from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.encoders import ContinuousSpace, FeatureSpace
from magail_trainer.learn.scaling import Scaling, fit_scaling, read_scalings
from magail_trainer.learn.training import clone, train
from magail_trainer.play.evaluate_run import evaluate_run
from magail_trainer.play.load_runs import load_runs
from magail_trainer.play.players import record_expert

torch.set_num_threads(1)

NAME = "tests.magail_trainer.learn.test_scaling:Sign"


class Sign(ParallelEnv):
    """One step: each agent sees offset ± scale, and a constant, and earns 1 for naming the sign."""

    metadata = {"name": "sign_v0"}  # noqa: RUF012

    def __init__(self, *, scale: float = 1.0, offset: float = 0.0, dtype: str = "float64") -> None:
        self.possible_agents, self.agents = ["a", "b"], []
        self._scale, self._offset, self._dtype = scale, offset, np.dtype(dtype)
        self._rng = np.random.default_rng()

    def observation_space(self, agent: str) -> Space:
        return Box(-np.inf, np.inf, (2,), self._dtype.type)

    def action_space(self, agent: str) -> Space:
        return Discrete(2)

    def reset(self, seed: int | None = None, options: dict | None = None) -> Any:
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self.agents = self.possible_agents[:]
        self._sign = dict(zip(self.agents, self._rng.choice([-1, 1], 2), strict=True))
        return self._observe(), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, Any]) -> Any:
        agents, self.agents = self.agents, []
        rewards = {agent: float(int(actions[agent]) == (self._sign[agent] > 0)) for agent in agents}
        ended = dict.fromkeys(agents, True)
        return self._observe(), rewards, ended, dict.fromkeys(agents, False), {agent: {} for agent in agents}

    def _observe(self) -> dict[str, Any]:
        return {
            agent: np.array([self._offset + self._scale * sign, self._offset], self._dtype)
            for agent, sign in self._sign.items()
        }


class Names:
    """Both name the sign."""

    name = "names"

    def __init__(self, env: Any, *, offset: float = 0.0) -> None:
        self.parameters: dict[str, Any] = {"offset": offset}

    def begin(self, num_episodes: int, rng: np.random.Generator) -> None:
        """Nothing is left to chance."""

    def act(self, observations: dict[str, Any], *, episode: np.ndarray, step: np.ndarray) -> dict[str, Any]:
        return {
            agent: (seen[:, 0] > self.parameters["offset"]).astype(np.int64) for agent, seen in observations.items()
        }


EXPERTS = {"names": Names}
UNITS = [(1e-6, 0.0, "float32"), (1e-4, 1.0, "float32"), (1e6, 0.0, "float32"), (1.0, 1e6, "float32")]
UNITS += [(1.0, 1e8, "float64"), (1e-6, 1e3, "float64")]


SMALL: dict[str, Any] = {"network": "mlp", "hidden": (8,)}


@pytest.mark.parametrize("unit", UNITS, ids=str)
def test_cloning_and_magail_learn_whatever_the_unit(unit: tuple[float, float, str]) -> None:
    scale, offset, dtype = unit
    entry = resolve(NAME, {"scale": scale, "offset": offset, "dtype": dtype})
    demonstrations = record_expert(entry, "names", episodes=100, seed=0, offset=offset)
    assert (demonstrations.returns["a"] == 1).all()
    cloned = clone(entry, demonstrations, updates=40, config=MagailConfig(**SMALL, lr_cloning=0.05), seeds=(0,))
    assert cloned.history["cloning_loss"][-1] < 0.01
    adversarial = {"rollout_episodes": 64, "warm_start": 0, "cloning": 0.0, "lr_policy": 0.02, "lr_disc": 0.02}
    config = MagailConfig(**SMALL, epochs=10, **adversarial)
    trained = train(entry, demonstrations, betas=(0.0,), config=config, seeds=(0,))
    assert trained.history["return/a"][-1] > 0.9


def test_reinforcement_learning_learns_it_too() -> None:
    entry = resolve(NAME, {"scale": 1e-5, "offset": 1e5})
    config = MagailConfig(**SMALL, epochs=15, rollout_episodes=64, lr_policy=0.03)
    trained = train(entry, None, algorithm="rl", betas=(0.0,), seeds=(0,), config=config)
    assert trained.history["return/a"][-1] > 0.9


@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_a_run_remembers_the_scaling(scale: float, tmp_path: Path) -> None:
    entry = resolve(NAME, {"scale": scale})
    demonstrations = record_expert(entry, "names", episodes=20)
    config = MagailConfig(**SMALL, lr_cloning=0.05)
    trained = clone(entry, demonstrations, updates=40, seeds=(0,), config=config, output=tmp_path / "run")
    loaded = load_runs(tmp_path / "run")
    assert bool(trained.trainer.codes.scalings) == ("feature_scaling" in loaded.config) == (scale < 1)
    seen = np.array([[scale, 0.0], [-scale, 0.0]])
    for agent, code in loaded.codes.observations.items():
        np.testing.assert_array_equal(code.encode(seen), trained.trainer.codes.observations[agent].encode(seen))
    assert evaluate_run(loaded, episodes=20).returns["sampled", "a"] == pytest.approx([1])
    assert (record_expert(entry, str(tmp_path / "run"), episodes=20).returns["b"] == 1).all()


@pytest.mark.parametrize(
    ("mean", "deviation", "dtype"),
    [(0.0, 1.0, "float32"), (3000.0, 1.0, "float32"), (-1.0, 2e-3, "float64"), (0.0, 1e9, "float32")],
)
def test_ordinary_features_keep_every_bit(mean: float, deviation: float, dtype: str) -> None:
    values = np.random.default_rng(0).normal(mean, deviation, (200, 3)).astype(dtype)
    assert fit_scaling(values) is None
    odd = values.astype(np.float64)
    odd[:, 1] += 1e8 * deviation
    scaling = fit_scaling(odd)
    assert scaling is not None
    code = FeatureSpace(Box(-np.inf, np.inf, (3,), np.float64), "x").scaled(scaling)
    np.testing.assert_array_equal(code.encode(odd)[:, [0, 2]], values[:, [0, 2]].astype(np.float32))


@pytest.mark.parametrize("value", [0.0, 0.1, -7.0, 5000.0])
def test_constant_features_and_rounding_errors_are_left_alone(value: float) -> None:
    constant = np.full((50, 1), value, np.float32)
    assert fit_scaling(constant) is None
    constant[::2] = np.nextafter(constant[0], np.float32(np.inf))
    assert fit_scaling(constant) is None
    assert fit_scaling(np.zeros((0, 4))) is None


def test_a_constant_far_away_is_moved_to_0_and_keeps_its_unit() -> None:
    scaling = fit_scaling(np.full((50, 1), 1e8))
    assert scaling is not None
    assert scaling(np.array([[1e8], [1e8 + 3]])).tolist() == [[0], [3]]


@pytest.mark.parametrize(
    "described",
    [
        [], {"c": {}}, {"a": {}}, {"a": {"offset": [0.0], "unit": [1.0]}},
        {"a": {"offset": [0.0, "x"], "unit": [1.0, 1]}},
        {"a": {"offset": [0.0, 1.0], "unit": [1.0, 0.0]}}, {"a": {"offset": [0.0, float("nan")], "unit": [1.0, 1.0]}},
    ],
)  # fmt: skip
def test_a_scaling_that_is_none_is_refused(described: Any) -> None:
    with pytest.raises(InputError, match="scaling of features is not as it was written"):
        read_scalings(described, {"a": 2, "b": 2})
    scaling = Scaling(np.array([1.0, 2.0]), np.array([0.5, 1e-9]))
    again = read_scalings({"b": scaling.describe()}, {"a": 2, "b": 2})["b"]
    np.testing.assert_array_equal(again.unit, scaling.unit)


def test_actions_far_from_0_are_encoded_in_double_precision() -> None:
    code = ContinuousSpace(Box(1e8, 1e8 + 1, (1,), np.float64), "x")
    assert code.encode(np.array([[1e8 + 0.25]])).tolist() == [[-0.5]]
