"""Agents named by numbers, and spaces that do not begin at 0, from recording to evaluation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete, Space
from pettingzoo import ParallelEnv

from magail_trainer.data.trajectories import Trajectories
from magail_trainer.envs.registry import resolve
from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.training import clone, train
from magail_trainer.play.check_env import check_env
from magail_trainer.play.evaluate_run import evaluate_run
from magail_trainer.play.players import record_expert

torch.set_num_threads(1)

NAME = "tests.magail_trainer.test_numbers_for_names:Numbered"
START = {"0": 5, "1": -2}
SMALL: dict[str, Any] = {"epochs": 3, "rollout_episodes": 8, "batch_size": 8}


class Numbered(ParallelEnv):
    """Two steps. Agent "0" plays 5, 6 or 7 and agent "1" −2 or −1, but not its first action where `masked`.

    They observe their last action, or the number before their first. Whoever plays its last action earns 1.
    """

    metadata = {"name": "numbered_v0"}  # noqa: RUF012

    def __init__(self, *, masked: bool = False) -> None:
        self.possible_agents, self.agents, self._masked = ["0", "1"], [], masked
        self._actions = {"0": Discrete(3, start=5), "1": Discrete(2, start=-2)}

    def observation_space(self, agent: str) -> Space:
        return Discrete(4 if agent == "0" else 3, start=START[agent] - 1)

    def action_space(self, agent: str) -> Space:
        return self._actions[agent]

    def reset(self, seed: int | None = None, options: dict | None = None) -> Any:
        self.agents, self._step = self.possible_agents[:], 0
        return {agent: start - 1 for agent, start in START.items()}, self._infos()

    def step(self, actions: dict[str, Any]) -> Any:
        for agent, action in actions.items():
            assert self._actions[agent].contains(action), (agent, action)
            assert not self._masked or action != START[agent], "a forbidden action"
        self._step += 1
        ended = self._step == 2
        last = {agent: START[agent] + space.n - 1 for agent, space in self._actions.items()}
        rewards = {agent: float(action == last[agent]) for agent, action in actions.items()}
        agents, self.agents = self.agents, [] if ended else self.agents
        flags = dict.fromkeys(agents, ended)
        return dict(actions), rewards, flags, dict.fromkeys(agents, False), self._infos()

    def _infos(self) -> dict[str, Any]:
        if not self._masked:
            return {agent: {} for agent in START}
        return {
            agent: {"action_mask": np.array([0] + [1] * (int(space.n) - 1), np.int8)}
            for agent, space in self._actions.items()
        }


class Last:
    """Everybody plays the last action."""

    name = "last"

    def __init__(self, env: Any) -> None:
        self.parameters: dict[str, Any] = {}

    def begin(self, num_episodes: int, rng: np.random.Generator) -> None:
        """Nothing is left to chance."""

    def act(self, observations: dict[str, Any], *, episode: np.ndarray, step: np.ndarray) -> dict[str, Any]:
        return {"0": np.full(len(episode), 7), "1": np.full(len(episode), -1)}


EXPERTS = {"last": Last}


@pytest.mark.parametrize("network", ["tabular", "mlp"])
@pytest.mark.parametrize("masked", [False, True])
def test_from_recording_to_evaluation(network: str, masked: bool, tmp_path: Path) -> None:  # noqa: FBT001
    env = resolve(NAME, {"masked": masked})
    assert check_env(env).refusals == []
    random = record_expert(env, episodes=40)
    assert set(random.actions["0"].tolist()) == ({6, 7} if masked else {5, 6, 7})
    record_expert(env, "last", episodes=20, output=tmp_path / "data")
    data = Trajectories.load(tmp_path / "data")
    assert data.agents == ["0", "1"]
    assert data.observations["1"].tolist() == [-3, -1, -1] * 20
    config = MagailConfig(network=network, **SMALL)
    train(env, data, seeds=(0,), config=config, output=tmp_path / "run")
    cloned = clone(env, data, seeds=(0,), updates=60, config=MagailConfig(network=network, lr_cloning=0.1))
    assert cloned.history["cloning_loss"][-1] < 0.1
    evaluation = evaluate_run(tmp_path / "run", episodes=10, dataset=tmp_path / "data")
    assert set(evaluation.shares) == {(a, b) for a in (5, 6, 7) for b in (-2, -1)}
    forbidden = sum(share[0] for joint, share in evaluation.shares.items() if joint[0] == 5 or joint[1] == -2)
    assert forbidden == 0 or not masked
    against = evaluate_run(tmp_path / "run", episodes=5, opponents="last", side=["1"])
    assert against.rows["side"] == ["1"]
    assert (record_expert(env, str(tmp_path / "run"), episodes=5).actions["0"] >= 5).all()


def test_two_sides_named_by_numbers() -> None:
    data = record_expert(NAME, "last", episodes=20)
    for sides in ("", "1:0"):
        config = MagailConfig(network="tabular", discriminator="zero_sum", sides=sides, **SMALL)
        trained = train(NAME, data, seeds=(0,), config=config)
        assert trained.trainer.discriminator.opposed == (("0",) if sides else ("1",))
