"""A training that was stopped and goes on ends as one that never was."""

import hashlib
import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from torch import Tensor

import magail_trainer as mt
from magail_trainer.data.run_folder import checkpoints_in, read_table
from magail_trainer.data.trajectories import Trajectories
from magail_trainer.envs.registry import EnvEntry, resolve
from magail_trainer.errors import InputError
from magail_trainer.files import write_arrays
from magail_trainer.learn.checkpoints import Checkpoints
from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.trainer import Trainer
from magail_trainer.learn.training import resume, train_with_history
from magail_trainer.sealed import with_hash
from tests.magail_trainer.clock_env import SMALL, clock, clock_dataset, seeded, tabular
from tests.magail_trainer.commands import MATCHING, contents, magail, refused
from tests.magail_trainer.envs.test_same_seed import Ignores
from tests.magail_trainer.reach_env import ReachEnv

torch.set_num_threads(1)

TABLES = tabular(epochs=12, policy_init_uniform=False)
CASES: dict[str, tuple[MagailConfig, dict[str, Any]]] = {
    "tables": (TABLES, {}),
    "tables with a signal": (replace(TABLES, policy="shared_signal", signals=3, warm_start=5), {}),
    "exact tables": (replace(TABLES, exact=True), {}),
    "perceptrons": (replace(SMALL, epochs=6, normalize_rewards=True, gradient_penalty=0.1, warm_start=4), {}),
    "zero-sum": (replace(SMALL, epochs=4, discriminator="zero_sum", sides="b:a"), {}),
    "rl": (replace(SMALL, epochs=6), {"algorithm": "rl"}),
    "cloning with a signal": (
        replace(SMALL, policy="shared_signal", signals=2, signal_starts=2),
        {"algorithm": "cloning", "updates": 12},
    ),
}


def played(name: str) -> tuple[EnvEntry, Trajectories]:
    if "tables" in name:
        entry = resolve(MATCHING, {"horizon": 1 if "exact" in name else 3})
        return entry, mt.record(entry, "bimodal", episodes=20, seed=0)
    entry = clock()
    return entry, clock_dataset(entry)


def stop_at(epoch: int, how: Callable[[], None]) -> Callable[[Any], dict[str, Tensor]]:
    """A measure that measures nothing, and stops the training when an epoch is done."""

    def measure(record: Any) -> dict[str, Tensor]:
        if record.epoch == epoch:
            how()
        return {}

    return measure


def killed() -> None:
    raise RuntimeError("killed")


def everything(trainer: Trainer) -> dict[str, Tensor]:
    """All parameters, and all of the state but the time."""
    state = {**{name: module.state_dict() for name, module in trainer.modules.items()}, **trainer.state.state_dict()}
    del state["progress"]["cpu_seconds"]
    return {f"{part}.{name}": value for part, values in state.items() for name, value in values.items()}


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("name", CASES)
def test_it_ends_bitwise_as_one_that_never_was(name: str, every: int, tmp_path: Path) -> None:
    (config, more), (entry, dataset) = CASES[name], played(name)

    def trainer() -> Trainer:
        return Trainer(entry, None if more.get("algorithm") == "rl" else dataset, seeded(0, 1), config, **more)

    undisturbed = trainer()
    history = train_with_history(undisturbed, log_every=2)
    with pytest.raises(RuntimeError, match="killed"):
        train_with_history(
            trainer(), log_every=2, measure=stop_at(4, killed), checkpoints=Checkpoints(tmp_path, every=every)
        )
    kept = checkpoints_in(tmp_path)
    assert len(kept) <= 2
    assert kept[-1].name == ("update-00000003" if "cloning" in name else "epoch-00000003")
    again = trainer()
    resumed = train_with_history(again, log_every=2, checkpoints=Checkpoints(tmp_path, every=every))
    assert again.state.resumed
    for key, values in history.items():
        np.testing.assert_array_equal(values, resumed[key], err_msg=key)
    ours, theirs = everything(undisturbed), everything(again)
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        assert torch.equal(value.flatten(), theirs[key].flatten()), key
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == history["epoch"].tolist()
    assert lines[-1]["policy_loss" if "policy_loss" in history else "cloning_loss"] == pytest.approx(
        history["policy_loss" if "policy_loss" in history else "cloning_loss"][-1].tolist()
    )


class IgnoresFarAway(Ignores):
    """Its features need a scaling, which no two looks at random episodes find alike."""

    def __init__(self) -> None:
        super().__init__()
        self._box = Box(-np.inf, np.inf, (2,), np.float64)

    def _observe(self) -> dict[str, Any]:
        return {agent: 1e8 + seen.astype(np.float64) for agent, seen in super()._observe().items()}


@pytest.mark.parametrize(("env", "said"), [(ReachEnv, False), (Ignores, True), (IgnoresFarAway, True)])
def test_of_an_env_that_ignores_its_seed_it_says_so(
    env: type, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, said: bool
) -> None:
    entry, config = EnvEntry("toy", env), replace(SMALL, epochs=3)
    scalings = []
    for how in (killed, lambda: None):
        trainer = Trainer(entry, None, seeded(0), config, algorithm="rl")
        with suppress(RuntimeError):
            measure, checkpoints = stop_at(2, how), Checkpoints(tmp_path, every=1)
            train_with_history(trainer, log_every=1, measure=measure, checkpoints=checkpoints)
        scalings.append(trainer.describe().get("feature_scaling"))
    assert scalings[0] == scalings[1]
    assert ("Going on after epoch 1. The env ignores its seed" in capsys.readouterr().err) == said


def test_it_can_stop_in_the_warm_start(tmp_path: Path) -> None:
    entry, config = clock(), replace(SMALL, epochs=3, warm_start=9)
    dataset = clock_dataset(entry)
    undisturbed, stopped, again = (Trainer(entry, dataset, seeded(0, 1), config) for _ in range(3))
    history = train_with_history(undisturbed, log_every=1)
    checkpoints = Checkpoints(tmp_path, every=2)
    with checkpoints.of(stopped, log_every=1):
        save = stopped.after_update

        def save_or_die() -> None:
            save()
            if stopped.state.updates == 7:
                killed()

        stopped.after_update = save_or_die
        with pytest.raises(RuntimeError, match="killed"):
            next(stopped.train())
    assert [path.name for path in checkpoints_in(tmp_path)] == ["update-00000004", "update-00000006"]
    resumed = train_with_history(again, log_every=1, checkpoints=Checkpoints(tmp_path, every=2))
    for key, values in history.items():
        np.testing.assert_array_equal(values, resumed[key], err_msg=key)


SIGNALS: dict[int, list[int]] = {}
"""Call of the reward -> the signals that the process then gets."""
CALLS = 0


def reward_with_signals(logit: Tensor) -> Tensor:
    """log D, and what `SIGNALS` says; called once in an epoch."""
    global CALLS
    CALLS += 1
    for number in SIGNALS.get(CALLS, []):
        os.kill(os.getpid(), number)
    return torch.nn.functional.logsigmoid(logit)


TRAIN = (
    *("train", "--env", MATCHING, "--seeds", 0, 1, "--epochs", 12, "--log_every", 1, "--checkpoint_every", 5),
    *("--reward_style", "tests.magail_trainer.learn.test_checkpoints:reward_with_signals"),
)


@pytest.fixture(autouse=True)
def heed_ctrl_c() -> Iterator[None]:
    """Tests that are started in the background may ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    mt.record(MATCHING, "bimodal", episodes=40, seed=0).save(tmp_path / "data")
    return tmp_path / "data"


def train_with_signals(folder: Path, signals: dict[int, list[int]], *more: object) -> int:
    """Run TRAIN into `folder`, with the dataset beside it, and signals in some epochs; its exit status."""
    global CALLS
    CALLS = 0
    SIGNALS.update({epoch + 1: numbers for epoch, numbers in signals.items()})  # the first call checks the reward
    try:
        return magail(*TRAIN, "--dataset", folder.with_name("data"), "--output", folder, *more)
    finally:
        SIGNALS.clear()


def results(folder: Path) -> dict[str, bytes | None]:
    """All files but the settings, which name the folder."""
    return {name: data for name, data in contents(folder).items() if name != "config.json"}


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_lets_the_epoch_finish_and_names_the_checkpoint(
    number: int, status: int, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_with_signals(tmp_path / "whole", {}) == 0
    assert train_with_signals(tmp_path / "run", {7: [number]}) == status
    checkpoint = tmp_path / ".run.magail-partial" / "checkpoints" / "epoch-00000007"
    err = capsys.readouterr().err
    assert (
        f"Stopped after epoch 7; checkpoint: {checkpoint}. Go on with magail train --resume {tmp_path / 'run'}." in err
    )
    assert not (tmp_path / "run").exists()
    assert magail("evaluate", tmp_path / "run", "--episodes", 5) == 0
    assert f"The training is not finished; this is its checkpoint {checkpoint}." in capsys.readouterr().out
    assert magail("evaluate", checkpoint, "--episodes", 5) == 0
    assert magail("train", "--resume", tmp_path / "run") == 0
    assert "Going on after epoch 7." in capsys.readouterr().err
    assert results(tmp_path / "run") == results(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "run", "whole"]
    before = contents(tmp_path)
    assert magail("train", "--resume", tmp_path / "run") == 0
    assert "run is finished; there is nothing to go on with." in capsys.readouterr().out
    assert contents(tmp_path) == before


def test_a_second_signal_stops_at_once(data: Path, tmp_path: Path) -> None:
    assert train_with_signals(tmp_path / "run", {3: [signal.SIGTERM, signal.SIGTERM]}) == 143
    assert [path.name for path in tmp_path.iterdir()] == ["data"]  # no epoch with a checkpoint was done


def test_the_same_command_goes_on_too(data: Path, tmp_path: Path) -> None:
    assert train_with_signals(tmp_path / "whole", {}) == 0
    assert train_with_signals(tmp_path / "run", {6: [signal.SIGTERM]}) == 143
    assert train_with_signals(tmp_path / "run", {}) == 0
    assert results(tmp_path / "run") == results(tmp_path / "whole")


def test_another_training_neither_goes_on_nor_takes_the_name(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_with_signals(tmp_path / "run", {6: [signal.SIGTERM]}) == 143
    before = contents(tmp_path)
    other = ("--dataset", data, "--output", tmp_path / "run", "--lr_policy", 0.5)
    assert "was begun with other settings or data and stopped after epoch 6" in refused(capsys, *TRAIN, *other)
    assert contents(tmp_path) == before
    assert magail(*TRAIN, *other, "--overwrite") == 0
    assert "Going on" not in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "run"]


@pytest.mark.parametrize("file", ["state/rollouts.npz", "config.json"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    file: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_with_signals(tmp_path / "whole", {}) == 0
    assert train_with_signals(tmp_path / "run", {7: [signal.SIGTERM]}) == 143
    newest = checkpoints_in(tmp_path / ".run.magail-partial")[-1]
    (newest / file).write_bytes(b"PK")
    assert magail("train", "--resume", tmp_path / "run") == 0
    said = capsys.readouterr().err
    assert re.search(rf"{Path(file).name}' .*So an earlier", said)
    assert "Going on after epoch 5." in said
    assert results(tmp_path / "run") == results(tmp_path / "whole")
    assert train_with_signals(tmp_path / "third", {7: [signal.SIGTERM]}) == 143
    for checkpoint in checkpoints_in(tmp_path / ".third.magail-partial"):
        (checkpoint / "history.npz").write_bytes(b"")
    assert "are damaged" in refused(capsys, "train", "--resume", tmp_path / "third")


def test_resume_never_starts_anew(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train_with_signals(tmp_path / "run", {}) == 0
    assert train_with_signals(tmp_path / "run", {6: [signal.SIGTERM]}, "--overwrite", "--lr_policy", 0.5) == 143
    mt.record(MATCHING, "bimodal", episodes=40, seed=7).save(tmp_path / "other")
    before = contents(tmp_path)
    resuming = ("train", "--resume", tmp_path / "run", "--dataset", tmp_path / "other")
    assert "was begun with other settings or data" in refused(capsys, *resuming)
    assert contents(tmp_path) == before


def test_what_python_describes_is_kept_by_who_goes_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = {"seeds": (0,), "config": TABLES, "description": {"note": "mine"}, "output": tmp_path / "run"}
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "log", lambda _: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            mt.train(MATCHING, data, **how)
    trained = resume(tmp_path / "run")
    assert trained is not None
    assert trained.trainer.state.resumed
    assert json.loads((tmp_path / "run" / "config.json").read_text())["note"] == "mine"


def test_resume_believes_no_checkpoint_blindly(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train_with_signals(tmp_path / "run", {6: [signal.SIGTERM]}) == 143
    older, newest = checkpoints_in(tmp_path / ".run.magail-partial")
    (older / "config.json").unlink()
    content = json.loads((newest / "config.json").read_text())
    for name, value in {"device": 3, "progress": {}, "algorithm": None, "training": {"lr_policy": "x"}}.items():
        (newest / "config.json").write_text(json.dumps(with_hash({**content, name: value})))
        refused(capsys, "train", "--resume", tmp_path / "run", "--trust")
    for part, arrays in (
        ("policy_optimizer", {"steps": np.array(3)}),
        ("policy_optimizer", {**np.load(newest / "state/policy_optimizer.npz"), "steps": np.array(-3)}),
        ("return_scale", {"square/agent_0": np.ones((1, 2), np.float32)}),
        ("divergence", {"epochs": np.zeros(3, np.int64), "proved": np.zeros((3, 1), np.float32)}),
    ):
        state = newest / "state" / f"{part}.npz"
        whole = state.read_bytes()
        write_arrays(state, arrays)
        files = {**content["files"], f"state/{part}.npz": hashlib.sha256(state.read_bytes()).hexdigest()}
        (newest / "config.json").write_text(json.dumps(with_hash({**content, "files": files})))
        assert magail("train", "--resume", tmp_path / "run", "--trust") == 2
        what = part.replace("_", " ")
        assert f"magail: The {what} of the checkpoint does not fit its training" in capsys.readouterr().err
        state.write_bytes(whole)


def test_resume_says_what_it_lacks(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "There is no checkpoint of" in refused(capsys, "train", "--resume", tmp_path / "nothing")
    assert "--epochs does not go with --resume" in refused(capsys, "train", "--resume", tmp_path, "--epochs", 3)
    assert train_with_signals(tmp_path / "run", {6: [signal.SIGTERM]}) == 143
    data.rename(tmp_path / "moved")
    assert "'" + str(data) + "' is no dataset" in refused(capsys, "train", "--resume", tmp_path / "run")
    assert magail("train", "--resume", tmp_path / "run", "--dataset", tmp_path / "moved") == 0
    assert read_table(tmp_path / "run" / "runs.csv")["seed"].tolist() == [0, 1]


def test_parts_from_python_go_on_only_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = mt.record(MATCHING, "bimodal", episodes=40, seed=0)
    how = {"seeds": (0, 1), "config": TABLES, "checkpoint_every": 2, "log_every": 1, "reward": reward_with_signals}
    whole = mt.train(MATCHING, dataset, **how)
    global CALLS
    CALLS = 0
    SIGNALS[5] = [signal.SIGINT]
    with pytest.raises(KeyboardInterrupt):
        mt.train(MATCHING, dataset, output=tmp_path / "run", **how)
    SIGNALS.clear()
    assert "Go on with the same call in Python." in capsys.readouterr().err
    with pytest.raises(InputError, match="handed in from Python; call train there again"):
        resume(tmp_path / "run")
    again = mt.train(MATCHING, dataset, output=tmp_path / "run", **how)
    assert again.trainer.state.resumed
    for key, values in whole.history.items():
        np.testing.assert_array_equal(values, again.history[key])
