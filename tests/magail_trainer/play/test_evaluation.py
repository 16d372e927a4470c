"""Playing trained policies: the counts are those of the policies, and nothing else decides them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from magail_trainer.data.recording import record
from magail_trainer.data.run_folder import write_checkpoint, write_config, write_table
from magail_trainer.envs.registry import resolve
from magail_trainer.errors import InputError
from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.runs import Runs
from magail_trainer.learn.trainer import Trainer
from magail_trainer.play.evaluation import evaluate, evaluation_rollouts, joint_action_counts
from magail_trainer.play.load_runs import load_runs
from magail_trainer.play.players import make_joint_policy
from tests.damage import seal_anew

torch.set_num_threads(1)

PROB_A = {"agent_0": (0.9, 0.5, 0.2), "agent_1": (0.7, 0.5, 0.4)}


def make_trainer(**kwargs: Any) -> Trainer:
    """Three runs of which the last two share a seed, with the probabilities above in every observation."""
    entry = resolve("coordination_env:coordination/matching-v0", kwargs)
    dataset = record(entry, make_joint_policy("mixed", entry, {}), episodes=4, seed=0)
    runs = Runs(seed=np.array([3, 5, 5]), beta=np.array([0.0, 0.0, 1.0]))
    trainer = Trainer(entry, dataset, runs, MagailConfig(network="tabular", epochs=1))
    with torch.no_grad():
        for agent, probs in PROB_A.items():
            p = torch.tensor(probs).view(3, 1, 1)
            trainer.policies.policies[agent].logits.copy_(torch.cat([p, 1 - p], dim=-1).log())  # type: ignore[operator, union-attr]
    return trainer


def save(trainer: Trainer, folder: Path) -> Path:
    """A run folder as `magail train` leaves it."""
    write_table(folder / "runs.csv", {"beta": trainer.runs.beta, "seed": trainer.runs.seed})
    write_checkpoint(folder, {"policies": trainer.policies})
    write_config(folder, trainer.describe())
    return folder


def table_of(folder: Path, *, episodes: int, seed: int) -> dict[str, list]:
    return evaluate(load_runs(folder), episodes=episodes, seed=seed).table()


def expected_joint() -> np.ndarray:
    """`[R, 4]`"""
    first, second = (np.array([PROB_A[agent], 1 - np.array(PROB_A[agent])]).T for agent in PROB_A)
    return np.einsum("ra,rb->rab", first, second).reshape(3, 4)


def test_the_checkpoint_plays_with_the_probabilities_of_the_policies(tmp_path: Path) -> None:
    episodes = 5050  # not a multiple of those played at once
    table = table_of(save(make_trainer(), tmp_path), episodes=episodes, seed=0)
    assert list(table) == [
        "beta",
        "seed",
        "return_agent_0",
        "return_agent_1",
        "return_team",
        "greedy_return_agent_0",
        "greedy_return_agent_1",
        "greedy_return_team",
        "P(0, 0)",
        "P(0, 1)",
        "P(1, 0)",
        "P(1, 1)",
    ]
    assert (table["beta"], table["seed"]) == ([0.0, 0.0, 1.0], [3, 5, 5])
    shares, expected = np.array([table[f"P{cell}"] for cell in np.ndindex(2, 2)]).T, expected_joint()
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert (abs(shares - expected) < 4 * np.sqrt(expected * (1 - expected) / episodes)).all()
    np.testing.assert_allclose(shares * episodes, np.round(shares * episodes), atol=1e-6)
    np.testing.assert_allclose(table["return_agent_0"], shares[:, 0] + shares[:, 3], atol=1e-6)
    assert table["return_agent_1"] == table["return_agent_0"]
    assert table["return_team"] == [2 * value for value in table["return_agent_0"]]
    # Both play A, 0 at the tie, or B.
    np.testing.assert_allclose(table["greedy_return_agent_0"], 1)


def test_longer_episodes_add_up_to_their_return_and_count_every_step(tmp_path: Path) -> None:
    table = table_of(save(make_trainer(horizon=3), tmp_path), episodes=450, seed=1)
    shares = np.array([table[f"P{cell}"] for cell in np.ndindex(2, 2)]).T
    np.testing.assert_allclose(table["return_agent_0"], 3 * (shares[:, 0] + shares[:, 3]), atol=1e-5)
    expected = expected_joint()
    assert (abs(shares - expected) < 4 * np.sqrt(expected * (1 - expected) / (3 * 450))).all()


def test_counts_by_hand() -> None:
    trainer = make_trainer()
    (rollout,) = evaluation_rollouts(trainer.entry, trainer.codes, trainer.policies, trainer.runs, episodes=7)
    counts = joint_action_counts(rollout, trainer.codes)
    left = {"agent_1": torch.arange(rollout.batch.weight.shape[1]).expand_as(rollout.batch.weight) < 3}
    first = joint_action_counts(replace(rollout, batch=replace(rollout.batch, active=left)), trainer.codes)
    assert first.sum(axis=1).tolist() == [3] * len(first)  # agent_1 has left the other samples
    assert (first <= counts).all()
    slow = np.zeros((3, 4))
    for run in range(3):
        for first, second in zip(*(rollout.batch.actions[agent][run].tolist() for agent in PROB_A), strict=True):
            slow[run, 2 * first + second] += 1
    np.testing.assert_array_equal(counts, slow)
    assert counts.sum() == 21


def test_the_same_seed_plays_the_same_and_another_seed_does_not(tmp_path: Path) -> None:
    folder = save(make_trainer(), tmp_path)
    first, again, other = (table_of(folder, episodes=300, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first["P(0, 0)"] != other["P(0, 0)"]


def test_no_two_batches_of_one_evaluation_and_none_of_training_share_their_noise() -> None:
    trainer = make_trainer()
    trained = next(trainer.train()).rollout
    trainer = make_trainer()
    rollouts = [
        *evaluation_rollouts(trainer.entry, trainer.codes, trainer.policies, trainer.runs, episodes=600),
        trained,
    ]
    played = [tuple(rollout.batch.actions["agent_0"][1].tolist()) for rollout in rollouts]
    assert len(set(played)) == len(played) == 4


@pytest.mark.parametrize(
    ("episodes", "seed", "message"),
    [
        (0, 0, "The number of evaluation episodes must be at least 1, not 0."),
        (5, -1, "A seed must be at least 0, not -1."),
    ],
)
def test_refuses_numbers_out_of_range(tmp_path: Path, episodes: int, seed: int, message: str) -> None:
    folder = save(make_trainer(), tmp_path)
    with pytest.raises(InputError) as refusal:
        table_of(folder, episodes=episodes, seed=seed)
    assert str(refusal.value) == message


def test_refuses_a_folder_without_a_run_or_with_a_checkpoint_of_another_env(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no run folder"):
        table_of(tmp_path / "nothing", episodes=1, seed=0)
    folder = save(make_trainer(), tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config["env"]["kwargs"] = {"num_actions": 3}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="was altered"):
        table_of(folder, episodes=1, seed=0)
    seal_anew(folder / "config.json")
    with pytest.raises(InputError, match="does not fit the env and runs of its folder"):
        table_of(folder, episodes=1, seed=0)
