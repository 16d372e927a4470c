"""The exact joint of learned policies: a slow twin, and double precision."""

from typing import Any

import numpy as np
import pytest
import torch

from experiments.matching.exact_play import exact_joint
from experiments.matching.metrics import mutual_information, product_joint
from magail_trainer.envs.registry import resolve
from magail_trainer.errors import InputError
from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.runs import Runs
from magail_trainer.learn.trainer import Trainer
from magail_trainer.play.evaluation import evaluation_rollouts, joint_action_counts

RUNS = Runs.grid(betas=(0.0,), seeds=(1, 2, 3))


def untrained(game: str, network: Any = "tabular", **kwargs: Any) -> Trainer:
    entry = resolve(f"coordination_env:coordination/{game}-v0", kwargs)
    trainer = Trainer(entry, None, RUNS, MagailConfig(network=network))
    with torch.no_grad():
        for parameter in trainer.policies.parameters():
            parameter.mul_(20)  # away from uniform
    return trainer


@pytest.mark.parametrize(("game", "kwargs"), [("rock_paper_scissors", {}), ("matching", {"num_agents": 3})])
def test_tables_multiply(game: str, kwargs: dict[str, int]) -> None:
    trainer = untrained(game, **kwargs)
    tables: list[Any] = [policy.logits for policy in trainer.policies.policies.values()]
    policies = [table[:, 0].detach().double().softmax(-1).numpy() for table in tables]
    np.testing.assert_allclose(exact_joint(trainer), product_joint(policies), atol=1e-15)


@pytest.mark.parametrize("network", ["tabular", "mlp"])
def test_what_is_played_is_what_was_worked_out(network: str) -> None:
    trainer = untrained("chicken", network)
    joint = exact_joint(trainer)
    np.testing.assert_allclose(joint.sum(axis=(1, 2)), 1, atol=1e-15)
    assert (mutual_information(joint) < 1e-14).all()  # in single precision 1e-8
    episodes = 4000
    rollouts = evaluation_rollouts(trainer.entry, trainer.codes, trainer.policies, RUNS, episodes=episodes)
    counts = sum(joint_action_counts(rollout, trainer.codes) for rollout in rollouts)
    played = np.asarray(counts).reshape(3, 2, 2) / episodes
    assert (abs(played - joint) < 4.5 * np.sqrt(joint * (1 - joint) / episodes) + 1e-9).all()


def test_the_policies_stay_as_they_are() -> None:
    trainer = untrained("chicken")
    exact_joint(trainer)
    assert {parameter.dtype for parameter in trainer.policies.parameters()} == {torch.float32}


def test_longer_episodes_are_refused() -> None:
    with pytest.raises(InputError, match="one observation"):
        exact_joint(untrained("chicken", horizon=2))
