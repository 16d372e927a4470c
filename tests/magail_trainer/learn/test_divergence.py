"""Runs that diverge are named and frozen in the epoch in which they do, and the others go on bit for bit."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from magail_trainer.data.run_folder import healthy, read_table
from magail_trainer.envs.registry import resolve
from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.divergence import Divergence
from magail_trainer.learn.runs import Runs
from magail_trainer.learn.trainer import Trainer
from magail_trainer.learn.training import Trained, save_run, train_with_history
from magail_trainer.play.players import record_expert
from tests.magail_trainer.clock_env import SMALL, clock, clock_dataset, seeded, tabular
from tests.magail_trainer.commands import magail

torch.set_num_threads(1)
THIRTY = Runs.grid(betas=(0.0, 0.01, 0.1), seeds=range(10))
TABLES = tabular(rollout_episodes=8, batch_size=4, epochs=110)


class Spoils:
    """The logit as the reward; after so many calls, infinity in place of that of one run."""

    def __init__(self, calls: int, run: int) -> None:
        self.calls, self.run = calls, run

    def __call__(self, logit: Tensor) -> Tensor:
        self.calls -= len(logit) == len(THIRTY)
        return logit.index_fill(0, torch.tensor(self.run), torch.inf) if self.calls < 0 else logit


def trained(trainer: Trainer, at: int = 0, spoil: Callable[[Trainer], None] | None = None) -> Trained:
    """Trained to the end; after epoch `at` something spoils it."""
    records = trainer.records()

    def spoilt_records() -> object:
        for record in records:
            yield record
            if spoil is not None and record.epoch == at:
                spoil(trainer)

    trainer.records = spoilt_records  # type: ignore[method-assign, assignment]
    return Trained(trainer, train_with_history(trainer, log_every=10))


def assert_others_equal(spoilt: Trained, whole: Trained, run: int, folder: Path) -> None:
    """In parameters, history and the rows of `runs.csv`, bit for bit; the one is finite, NaN, and marked."""
    others = np.arange(len(whole.trainer.runs)) != run
    for name, module in whole.trainer.modules.items():
        for key, values in module.state_dict().items():
            mine = spoilt.trainer.modules[name].state_dict()[key]
            if values.shape[0] == len(others):
                assert torch.equal(mine[others], values[others]), key
                assert mine[run].isfinite().all()
    for name, values in whole.history.items():
        mine = spoilt.history[name] if name == "epoch" else spoilt.history[name][:, others]
        assert mine.tobytes() == (values if name == "epoch" else values[:, others]).tobytes(), name
    rows = []
    for result, place in ((spoilt, folder / "spoilt"), (whole, folder / "whole")):
        place.mkdir()
        save_run(place, result.trainer, result.history)
        rows.append([line.split(",") for line in (place / "runs.csv").read_text().splitlines()])
    assert [row[:-1] for row in rows[0][: run + 1] + rows[0][run + 2 :]] == rows[1][: run + 1] + rows[1][run + 2 :]
    assert rows[0][0][-1] == "diverged"
    assert [row[-1] for row in rows[0][1:]] == [str(epoch) for epoch in spoilt.diverged]
    assert set(rows[0][run + 1][2:-1]) == {"nan"}


def test_one_of_thirty_diverges_at_epoch_100(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = resolve("coordination_env:coordination/matching-v0")
    dataset = record_expert(entry, "bimodal", episodes=20)
    config = replace(TABLES, reward_style="airl", baseline="batch")
    spoilt, whole = (
        trained(Trainer(entry, dataset, THIRTY, config, reward=Spoils(calls, run=17))) for calls in (99, 10**6)
    )
    assert whole.diverged.tolist() == [0] * 30
    assert spoilt.diverged.tolist() == [100 * (run == 17) for run in range(30)]
    assert_others_equal(spoilt, whole, 17, tmp_path)
    for name in ("policy_loss", "discriminator_loss", "return/agent_0"):
        rows = np.isnan(spoilt.history[name][:, 17])
        assert rows.tolist() == [epoch >= 100 for epoch in spoilt.history["epoch"]]
    (line,) = capsys.readouterr().err.strip().splitlines()
    why = "β=0.01, seed 7: policy_loss is nan at epoch 100."
    assert line == f"{why} This run has diverged and is frozen; the others go on."


def set_to(number: float, part: str = "policies") -> Callable[[Trainer], None]:
    def spoil(trainer: Trainer) -> None:
        next(iter(trainer.modules[part].parameters())).data[1] = number

    return spoil


@pytest.mark.parametrize(
    ("algorithm", "continuous", "number"),
    [("magail", True, 3e38), ("magail", False, np.nan), ("cloning", False, 3e38), ("rl", True, 3e38)],
)
def test_perceptrons_diverge_alone(algorithm: str, continuous: bool, number: float, tmp_path: Path) -> None:  # noqa: FBT001
    entry, config = clock(continuous=continuous), replace(SMALL, epochs=5)
    dataset = None if algorithm == "rl" else clock_dataset(entry)
    updates = 6 if algorithm == "cloning" else None
    make = lambda: Trainer(entry, dataset, seeded(0, 1, 2), config, algorithm=algorithm, updates=updates)  # type: ignore[arg-type]  # noqa: E731
    spoilt, whole = trained(make(), 3, set_to(number)), trained(make())
    assert spoilt.diverged.tolist() == [0, 4, 0]
    assert_others_equal(spoilt, whole, 1, tmp_path)


@pytest.mark.parametrize("part", ["discriminator", "critic"])
def test_each_part_is_watched(part: str, tmp_path: Path) -> None:
    make = lambda: Trainer(clock(), clock_dataset(clock()), seeded(0, 1, 2), replace(SMALL, epochs=6))  # noqa: E731
    spoilt, whole = trained(make(), 3, set_to(-np.inf, part)), trained(make())
    assert spoilt.diverged.tolist() == [0, 4, 0]
    assert_others_equal(spoilt, whole, 1, tmp_path)


def test_a_run_may_diverge_from_the_start_in_the_warm_start_and_in_the_last_update(
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = Trainer(clock(), clock_dataset(clock()), seeded(0, 1), SMALL)
    set_to(np.nan)(first)
    assert trained(first).diverged.tolist() == [0, 1]
    assert "seed 1: a parameter of the policies is nan at the start. " in capsys.readouterr().err
    warm = Trainer(clock(), clock_dataset(clock()), seeded(0, 1), replace(SMALL, lr_cloning=1e38, max_grad_norm=0.0))
    assert trained(warm).diverged.tolist() == [1, 1]
    assert "seed 1: cloning_loss is nan at update 2 of the warm start. " in capsys.readouterr().err
    for algorithm in ("rl", "cloning"):
        config = replace(SMALL, epochs=1, lr_policy=1e38, lr_cloning=1e38, lr_schedule="constant")
        dataset = None if algorithm == "rl" else clock_dataset(clock())
        last = Trainer(clock(), dataset, seeded(0, 1), config, algorithm=algorithm, updates=1 if dataset else None)
        assert trained(last).diverged.tolist() == [1, 1]
        assert all(parameter.abs().max() < 1e30 for parameter in last.policies.parameters())


def test_a_run_may_diverge_by_its_own_learning_rate() -> None:
    rates = np.array([0.01, 1e38, 0.01])
    entry = resolve("coordination_env:coordination/matching-v0")
    dataset = record_expert(entry, "bimodal", episodes=20)
    config = MagailConfig(network="mlp", epochs=4, rollout_episodes=8, batch_size=4, hidden=(8,), warm_start=0)
    runs = Runs(seed=np.arange(3), beta=np.zeros(3), lr_policy=rates)
    result = trained(Trainer(entry, dataset, runs, config))
    assert (result.diverged > 0).tolist() == [False, True, False]


def test_what_is_saved_goes_on() -> None:
    runs, weights = seeded(0, 1, 2), torch.nn.Parameter(torch.zeros(3, 2))

    def watch() -> Divergence:
        divergence = Divergence(runs, {"policies": [weights]}, device=torch.device("cpu"))
        divergence.begin()
        return divergence

    one = watch()
    weights.data += 1
    one.check(1, {"loss": torch.zeros(3)}, when="epoch 1")
    weights.data += 1
    one.check(2, {"loss": torch.tensor([0.0, torch.inf, 0.0])}, when="epoch 2")  # by the parameters of epoch 1
    assert weights.tolist() == [[2, 2], [0, 0], [2, 2]]
    weights.data += 1
    other = Divergence(runs, {"policies": [weights]}, device=torch.device("cpu"))
    weights.data -= 1
    other.load_state_dict(one.state_dict())
    other.begin()
    weights.data += torch.tensor([[torch.nan], [1], [1]])
    other.check(3, {"loss": torch.zeros(3)}, when="epoch 3")  # the parameters of epoch 3 alone
    assert weights.tolist() == [[2, 2], [0, 0], [3, 3]]
    assert other.epochs.tolist() == [3, 2, 0]


def test_the_table_is_marked_only_if_a_run_diverged() -> None:
    runs, weights = seeded(0, 1), torch.nn.Parameter(torch.zeros(2, 1))
    divergence = Divergence(runs, {"policies": [weights]}, device=torch.device("cpu"))
    divergence.begin()
    table = {**runs.columns, "count": np.array([3, 4]), "convention": np.array(["A", "BB"])}
    assert list(divergence.mark(table)) == list(table)
    divergence.check(7, {"loss": torch.tensor([0.0, torch.nan])}, when="epoch 7")
    marked = divergence.mark(table)
    assert {name: column.tolist() for name, column in marked.items()} == {
        "beta": [0.01, 0.01],
        "seed": [0, 1],
        "count": [3.0, pytest.approx(np.nan, nan_ok=True)],
        "convention": ["A", "diverged"],
        "diverged": [0, 7],
    }
    assert healthy(marked).tolist() == [True, False]
    assert healthy(table).all()


def spoils_run_1(logit: Tensor) -> Tensor:
    """A reward of one's own that is NaN in the second of three runs."""
    return logit.index_fill(0, torch.tensor(1), torch.nan) if len(logit) == 3 else logit


def test_commands_name_the_run_exit_with_3_and_never_play_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env, run = ("--env", "coordination_env:coordination/matching-v0"), tmp_path / "run"
    assert magail("record", *env, "--expert", "bimodal", "--episodes", 20, "--output", tmp_path / "data") == 0
    own = ("--reward_style", f"{__name__}:spoils_run_1", "--epochs", 5, "--seeds", 3, 4, 5)
    assert magail("train", *env, "--dataset", tmp_path / "data", "--output", run, *own) == 3
    out, err = capsys.readouterr()
    assert "β=0, seed 4: policy_loss is nan at epoch 1." in err
    assert err.endswith("1 of 3 runs diverged and are left out.\n")
    assert "nan" not in out
    assert read_table(run / "runs.csv")["diverged"].tolist() == [0, 1, 0]
    assert magail("evaluate", run, "--episodes", 5, "--output", tmp_path / "table.csv") == 0
    assert "Left out, for they diverged: β=0, seed 4.\n" in capsys.readouterr().out
    assert read_table(tmp_path / "table.csv")["seed"].tolist() == [3, 5]
    play = ("record", *env, "--expert", run, "--episodes", 5, "--expert_args", "run=1", "--output", tmp_path / "more")
    assert magail(*play) == 2
    assert "(β=0, seed 4) diverged in training" in capsys.readouterr().err
