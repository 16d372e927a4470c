"""Actions of several numbers with too many joint values: coded, drawn and learnt number by number."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, MultiBinary, MultiDiscrete, Space
from pettingzoo import ParallelEnv

from magail_trainer.data.recording import record
from magail_trainer.envs.registry import EnvEntry
from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.distributions import Categorical, Distribution, MultiCategorical
from magail_trainer.learn.encoders import Codes, FactoredSpace, FiniteSpace, action_code
from magail_trainer.learn.policies import sharing_groups
from magail_trainer.learn.trainer import Trainer
from tests.magail_trainer.clock_env import generator, seeded
from tests.magail_trainer.commands import magail

torch.set_num_threads(1)

SIZES = (3, 2, 4)


class LockEnv(ParallelEnv):
    """Two steps; both agents observe the step and turn three dials of 20 numbers each: (3, 11, 5 + step) is right."""

    metadata = {"name": "lock_v0"}  # noqa: RUF012

    def __init__(self, other: int = 20) -> None:
        self.possible_agents, self.agents = ["a", "b"], []
        self._other = other

    def observation_space(self, agent: str) -> Space:
        return Box(0, 2, (1,), np.float32)

    def action_space(self, agent: str) -> Space:
        return MultiDiscrete([20, 20, 20] if agent == "a" else [self._other, 20, 40 - self._other])

    def reset(self, seed: int | None = None, options: dict | None = None) -> tuple[dict, dict]:
        self.agents, self._step = self.possible_agents[:], 0
        return self._observe(), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, Any]) -> tuple[dict, dict, dict, dict, dict]:
        agents, right = self.agents, np.array([3, 11, 5 + self._step])
        rewards = {agent: float((actions[agent] == right).mean()) for agent in agents}
        self._step += 1
        over = self._step == 2
        self.agents = [] if over else agents
        flags = dict.fromkeys(agents, over), dict.fromkeys(agents, False)
        return self._observe(), rewards, *flags, {agent: {} for agent in agents}

    def _observe(self) -> dict[str, Any]:
        return {agent: np.array([self._step], np.float32) for agent in self.possible_agents}


class Burglar:
    """Opens the lock."""

    name = "burglar"

    def __init__(self, env: ParallelEnv) -> None:
        self.parameters: dict[str, Any] = {}

    def begin(self, num_episodes: int, rng: np.random.Generator) -> None:
        """Nothing is left to chance."""

    def act(self, observations: dict[str, Any], *, episode: np.ndarray, step: np.ndarray) -> dict[str, Any]:
        right = np.stack([np.full_like(step, 3), np.full_like(step, 11), 5 + step], axis=-1)
        return {"a": right, "b": right}


@pytest.mark.parametrize(
    "space",
    [
        MultiDiscrete([20, 20, 20]),
        MultiDiscrete(np.array([[70, 80], [2, 3]]), start=np.array([[1, -2], [0, 5]])),
        MultiBinary([2, 7]),
    ],
    ids=str,
)
def test_codes_of_large_spaces(space: Any) -> None:
    code = action_code(space, "action space of a")
    assert isinstance(code, FactoredSpace)
    space.seed(0)
    values = np.stack([space.sample() for _ in range(6)]).reshape(2, 3, *space.shape)
    digits = code.encode(values)
    assert digits.shape == (2, 3, int(np.prod(space.shape)))
    np.testing.assert_array_equal(code.decode(digits), values)
    features = code.features(torch.from_numpy(digits))
    assert features.shape == (2, 3, code.size)
    ones = [torch.eye(size)[digits[..., index]] for index, size in enumerate(code.sizes)]
    assert torch.equal(features, torch.cat(ones, dim=-1))
    for wrong in (values - 100, values + 100):
        with pytest.raises(ValueError, match="outside the space"):
            code.encode(wrong)


def test_small_spaces_are_numbered_as_before() -> None:
    assert isinstance(action_code(MultiDiscrete([16, 16, 16]), "x"), FiniteSpace)
    assert isinstance(action_code(MultiBinary(12), "x"), FiniteSpace)


def test_the_product_is_the_joint_distribution_of_its_parts() -> None:
    logits = torch.randn(2, 5, sum(SIZES), generator=generator())
    factored = MultiCategorical(logits, SIZES)
    assert isinstance(factored, Distribution)
    parts = [part.log_softmax(-1) for part in logits.split(SIZES, dim=-1)]
    joint = Categorical((parts[0][..., :, None, None] + parts[1][..., None, :, None] + parts[2][..., None, None, :])
                        .flatten(2))  # fmt: skip
    for number, digits in enumerate(product(*map(range, SIZES))):
        actions = torch.tensor(digits).expand(2, 5, -1)
        torch.testing.assert_close(factored.log_prob(actions), joint.log_prob(torch.full((2, 5), number)))
    torch.testing.assert_close(factored.entropy(), joint.entropy())
    mode = factored.mode()
    assert torch.equal((mode[..., 0] * SIZES[1] + mode[..., 1]) * SIZES[2] + mode[..., 2], joint.mode())


def test_it_draws_each_number_with_its_probability() -> None:
    logits = torch.randn(1, 1, sum(SIZES), generator=generator(1)).expand(1, 20_000, -1)
    drawn = MultiCategorical(logits, SIZES).sample(torch.rand(1, 20_000, 3, generator=generator(2)))
    assert drawn.shape == (1, 20_000, 3)
    for index, part in enumerate(logits[0, 0].split(SIZES)):
        share = torch.bincount(drawn[0, :, index], minlength=len(part)) / 20_000
        torch.testing.assert_close(share, part.softmax(-1), atol=0.02, rtol=0)
    assert abs(np.corrcoef(drawn[0].T.numpy())[0, 1]) < 0.03


def test_only_agents_with_the_same_numbers_share_a_network() -> None:
    for other, groups in ((20, [["a", "b"]]), (10, [["a"], ["b"]])):
        codes = Codes.of(EnvEntry("lock", LockEnv, {"other": other}), network="mlp")
        assert [code.size for code in codes.actions.values()] == [60, 60]
        assert sharing_groups(codes, MagailConfig(network="tabular")) == groups


@pytest.mark.parametrize("share", ["none", "auto"])
def test_perceptrons_learn_it(share: str) -> None:
    entry = EnvEntry("lock", LockEnv)
    dataset = record(entry, Burglar(entry.make()), episodes=8, seed=0)
    config = MagailConfig(network="mlp", epochs=2, hidden=(16,), warm_start=80, lr_cloning=0.03, rollout_episodes=8,
                          batch_size=2, share_parameters=share)  # fmt: skip
    records = list(Trainer(entry, dataset, seeded(0, 1), config).train())
    for agent in ("a", "b"):
        assert (records[-1].metrics[f"return/{agent}"] > 1.8).all()  # of 2; random earns 0.1


def test_record_train_and_evaluate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = f"{__name__}:"
    assert magail("check-env", f"{here}LockEnv") == 0
    assert "can be trained: yes" in capsys.readouterr().out
    env = ("--env", f"{here}LockEnv")
    assert magail("record", *env, "--expert", f"{here}Burglar", "--episodes", 4, "--output", tmp_path / "data") == 0
    few = ("--epochs", 1, "--hidden", 8, "--warm-start", 2, "--rollout-episodes", 4, "--seeds", 0, 1)
    data = ("--dataset", tmp_path / "data", "--output", tmp_path / "run")
    assert magail("train", *env, "--network", "mlp", *data, *few) == 0
    assert magail("evaluate", tmp_path / "run", "--episodes", 4) == 0
    assert "score" in capsys.readouterr().out.lower()
    again = ("--expert", tmp_path / "run", "--episodes", 3, "--output", tmp_path / "again")
    assert magail("record", *env, *again) == 0
