"""A coin that no demonstration tells is found in them, by linear policies."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from magail_trainer.demonstrations import Demonstrations
from magail_trainer.encoding import Codes
from magail_trainer.recording import record
from magail_trainer.signal_inference import infer_signal
from magail_trainer.trainer import Trainer
from tests.magail_trainer.clock_env import AGENTS, SMALL, clock, seeded

torch.set_num_threads(1)

WITH_SIGNAL = replace(SMALL, policy="shared_signal", signals=2, signal_starts=3)


class Coin:
    """Heads: everybody plays 0 or 1, by the parity of the step. Tails: 1 or 2. One step of each alone tells little."""

    name = "coin"
    parameters: dict[str, Any] = {}  # noqa: RUF012

    def begin(self, num_episodes: int, rng: np.random.Generator) -> None:
        self.coin = rng.integers(2, size=num_episodes)
        self.noise = rng.integers(2, size=(num_episodes, 4, len(AGENTS)))

    def act(self, observations: dict[str, Any], *, episode: np.ndarray, step: np.ndarray) -> dict[str, Any]:
        return {agent: self.coin[episode] + self.noise[episode, step, index] for index, agent in enumerate(AGENTS)}


def test_the_coin_is_found_by_every_run_up_to_its_name() -> None:
    entry, coin = clock(), Coin()
    dataset, codes = record(entry, coin, episodes=60, seed=0), Codes.of(entry, network="mlp")
    expert = Demonstrations(dataset, codes, seeds=[0, 1], batch_size=8, device=torch.device("cpu")).all
    inferred = infer_signal(expert, codes, WITH_SIGNAL, seeds=[0, 1])
    assert inferred.signal.shape == (2, 60)
    assert inferred.log_likelihood.shape == (2, 3)
    for signal in inferred.signal.numpy():
        agreement = float((signal == coin.coin).mean())
        assert max(agreement, 1 - agreement) > 0.95  # eight noisy actions are sometimes all 1


def test_the_policies_are_cloned_under_the_signal_that_was_found() -> None:
    entry = clock()
    dataset = record(entry, Coin(), episodes=60, seed=0)
    trainer = Trainer(entry, dataset, seeded(0), replace(WITH_SIGNAL, hidden=(32,), lr_cloning=0.02, batch_size=60))
    list(trainer.clone(200))
    features = {agent: torch.zeros(1, 2, code.size) for agent, code in trainer.codes.observations.items()}
    played = trainer.policies(features, signal=torch.tensor([[0, 1]]))
    for agent in AGENTS:
        never = [played[agent].log_prob(torch.full((1, 2), action)).exp()[0].tolist() for action in (0, 2)]
        assert sorted(min(pair) < 0.1 < max(pair) for pair in never) == [True, True]  # 0 is for heads, 2 for tails


def test_an_inference_is_that_of_the_run_alone() -> None:
    entry = clock()
    dataset, codes = record(entry, Coin(), episodes=20, seed=0), Codes.of(entry, network="mlp")

    def inferred(*seeds: int) -> torch.Tensor:
        expert = Demonstrations(dataset, codes, seeds=list(seeds), batch_size=8, device=torch.device("cpu")).all
        return infer_signal(expert, codes, WITH_SIGNAL, seeds=seeds).signal

    assert torch.equal(inferred(5)[0], inferred(3, 5)[1])
