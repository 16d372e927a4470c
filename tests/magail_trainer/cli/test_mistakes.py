"""Mistakes that the command `magail` refuses, in one sentence and without a trace in the folder."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from magail_trainer.data.trajectories import Trajectories
from tests.damage import seal_anew
from tests.magail_trainer.commands import MATCHING, contents, refused

TOY = "tests.magail_trainer.toy_envs"
Capture = pytest.CaptureFixture[str]

RECORD_MISTAKES: list[tuple[list[object], str]] = [
    (["--env", "nowhere"], "'nowhere' names no environment"),
    (["--env", "coordination_env:coordination/nothing-v0"], "not found in registry"),
    (["--env", "json:nothing"], "names no environment"),
    (["--env", "json"], "has no parallel_env"),
    (
        ["--env", f"{TOY}:SenselessEnv", "--env-args", "number=many"],
        "SenselessEnv with {'number': 'many'} raised TypeError in step 1: '>' not supported between",
    ),
    (["--env", f"{TOY}:EarlyExitEnv"], "EarlyExitEnv leaves ['left'] in its agents"),
    (["--env-args", "players=3"], "cannot be made with {'players': 3}"),
    (["--env-args", "render_mode=ansi"], "cannot be made with {'render_mode': 'ansi'}"),
    (["--env-args", "horizon"], "--env-args takes NAME=VALUE pairs, not 'horizon'"),
    (["--env-args", "horizon=0"], "horizon"),
    (["--expert", "nobody"], "has no expert 'nobody'; expected one of random, mixed"),
    (["--expert", "nowhere:x"], "cannot be imported"),
    (["--expert", "bimodal", "--expert-args", "ratio=2"], "ratio must be a number from 0 to 1, got 2"),
    (["--expert", "bimodal", "--expert-args", "ratoi=0.5"], "ratoi"),
    (["--episodes", 0], "episodes must be at least 1, not 0"),
    (["--episodes", "many"], "--episodes: invalid literal"),
    (["--seed", -1], "seed must be at least 0, not -1"),
    (["--sead", 1], "Unrecognized options: --sead, 1; perhaps you meant: --seed INT"),
    (["--output"], "Missing value for argument '--output'"),
]


@pytest.mark.parametrize(("mistake", "reason"), RECORD_MISTAKES, ids=str)
def test_record_refuses(mistake: list[object], reason: str, tmp_path: Path, capsys: Capture) -> None:
    command = ("record", "--env", MATCHING, "--episodes", 3, "--output", tmp_path / "data")
    assert reason in refused(capsys, *command, *mistake)
    assert contents(tmp_path) == {}


TRAIN_MISTAKES: list[tuple[list[object], str]] = [
    (["--env", "nowhere"], "'nowhere' names no environment"),
    (["--env", "coordination_env:coordination/stag_hunt-v0"], "in coordination_env:coordination/matching-v0, not"),
    (["--env-args", "horizon=2"], "not in coordination_env:coordination/matching-v0 {'horizon': 2}"),
    (["--betas", -0.5], "--betas must be numbers from 0 to below 1e+30, not -0.5"),
    (["--betas", "high"], "Error parsing --betas"),
    (["--seeds"], "--seeds is empty"),
    (["--seeds", -1], "seed must be at least 0, not -1"),
    (["--seeds", 0.5], "Error parsing --seeds"),
    (["--epochs", 0], "magail: --epochs must be at least 1, not 0"),
    (["--log-every", 0], "--log_every must be at least 1"),
    (["--device", "abacus"], "--device abacus cannot be used"),
    (["--bogus"], "Unrecognized options: --bogus"),
    (["--dataset", "nowhere"], "'nowhere' is no dataset"),
    (["--dataset", "None"], "--dataset is missing: name a recorded one to imitate, or learn without (--algorithm rl)"),
    (["--algorithm", "rl"], "reads no dataset; leave out --dataset"),
    (["--processes", 0], "The number of processes must be at least 1, not 0"),
    (["--network", "tree"], "--network must be one of auto, tabular, mlp, or module:callable, not 'tree'"),
]  # fmt: skip


@pytest.mark.parametrize(("mistake", "reason"), TRAIN_MISTAKES, ids=str)
def test_train_refuses(mistake: list[object], reason: str, made: Path, tmp_path: Path, capsys: Capture) -> None:
    command = ("train", "--env", MATCHING, "--dataset", made / "data", "--output", tmp_path / "run", "--epochs", 3)
    assert reason in refused(capsys, *command, *mistake)
    assert contents(tmp_path) == {}


def flip_a_bit(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[200] ^= 1
    file.write_bytes(data)


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


DATASET_DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "altered shard": (lambda data: flip_a_bit(data / "shard-00000.npz"), "was altered or cut short"),
    "truncated shard": (lambda data: os.truncate(data / "shard-00000.npz", 500), "was altered or cut short"),
    "missing shard": (lambda data: (data / "shard-00000.npz").unlink(), "cannot be read"),
    "altered manifest": (lambda data: replace(data / "manifest.json", '"seed": 0', '"seed": 1'), "was altered"),
    "truncated manifest": (lambda data: os.truncate(data / "manifest.json", 500), "is not the JSON"),
    "foreign": (lambda data: (data / "manifest.json").write_text('{"env": "Pong"}'), "no dataset of this version"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DATASET_DAMAGE)
def test_a_damaged_dataset_is_refused_by_train_and_inspect(
    damage: str, made: Path, tmp_path: Path, capsys: Capture
) -> None:
    data, (harm, reason) = tmp_path / "data", DATASET_DAMAGE[damage]
    Trajectories.load(made / "data").save(data)
    harm(data)
    before = contents(tmp_path)
    for command in (("inspect", data), ("train", "--env", MATCHING, "--dataset", data, "--output", tmp_path / "run")):
        message = refused(capsys, *command)
        assert reason in message
        assert str(data) in message
    assert contents(tmp_path) == before


def test_a_dataset_of_an_env_whose_spaces_have_changed_is_refused(made: Path, tmp_path: Path, capsys: Capture) -> None:
    recorded = Trajectories.load(made / "data")
    three = {
        "observation": {"type": "Discrete", "n": 1, "start": 0},
        "action": {"type": "Discrete", "n": 3, "start": 0},
    }
    object.__setattr__(recorded.origin, "spaces", {"agent_0": three, "agent_1": three})
    recorded.save(tmp_path / "data")
    command = ("train", "--env", MATCHING, "--dataset", tmp_path / "data", "--output", tmp_path / "run")
    assert "the env has" in refused(capsys, *command)
    assert not (tmp_path / "run").exists()


def test_results_are_not_overwritten_nor_written_below_a_file(made: Path, tmp_path: Path, capsys: Capture) -> None:
    before = contents(made)
    (tmp_path / "file").write_text("text")
    commands = (("record", "--env", MATCHING), ("train", "--env", MATCHING, "--dataset", made / "data", "--epochs", 2))
    for command in commands:
        for taken in (made / "data", made / "run"):
            assert "already holds files" in refused(capsys, *command, "--output", taken)
        assert "is a file" in refused(capsys, *command, "--output", tmp_path / "file")
        assert "Cannot write to" in refused(capsys, *command, "--output", tmp_path / "file" / "below")
    # A dataset is no run folder, and the other way round: not even --overwrite replaces it.
    record, train = commands
    assert "not replaced" in refused(capsys, *record, "--output", made / "run", "--overwrite")
    assert "not replaced" in refused(capsys, *train, "--output", made / "data", "--overwrite")
    assert contents(made) == before
    assert contents(tmp_path) == {"file": b"text"}


RUN_DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda run: (run / "config.json").unlink(), "is no run folder"),
    "foreign config": (lambda run: (run / "config.json").write_text("{}"), "is no run folder"),
    "config without env": (lambda run: replace(run / "config.json", '"env"', '"enf"'), "'env.id'"),
    "unknown env": (lambda run: replace(run / "config.json", MATCHING, "nowhere"), "nowhere:parallel_env; add --trust"),
    "other env": (lambda run: replace(run / "config.json", '"kwargs": {}', '"kwargs": {"horizon": 2}'), "does not fit"),
    "no table": (lambda run: (run / "runs.csv").unlink(), "cannot be read"),
    "table without seeds": (lambda run: replace(run / "runs.csv", "seed", "sead"), "'seed'"),
    "too many runs": (lambda run: replace(run / "runs.csv", "\n0.0,3,", "\n0.0,4,1,1,1,1,1,1\n0.0,3,"), "does not fit"),
    "no checkpoint": (lambda run: (run / "checkpoint" / "policies.npz").unlink(), "cannot be read"),
    "empty checkpoint": (lambda run: os.truncate(run / "checkpoint" / "policies.npz", 0), "is not the npz file"),
    "truncated checkpoint": (lambda run: os.truncate(run / "checkpoint" / "policies.npz", 300), "is not the npz file"),
}  # fmt: skip


@pytest.mark.parametrize("damage", RUN_DAMAGE)
def test_evaluate_refuses_a_damaged_run(damage: str, made: Path, tmp_path: Path, capsys: Capture) -> None:
    run, (harm, reason) = tmp_path / "run", RUN_DAMAGE[damage]
    for name, data in contents(made / "run").items():
        if data is not None:
            (run / name).parent.mkdir(parents=True, exist_ok=True)
            (run / name).write_bytes(data)
    harm(run)
    missing = damage.startswith("no ") or damage == "foreign config"
    assert (reason if missing else "was altered") in refused(capsys, "evaluate", run, "--episodes", 5)
    if not missing:
        seal_anew(run / "config.json")
        assert reason in refused(capsys, "evaluate", run, "--episodes", 5)


@pytest.mark.parametrize(
    ("mistake", "reason"),
    [(["--episodes", 0], "at least 1, not 0"), (["--seed", -1], "at least 0, not -1"), (["--bogus"], "Unrecognized")],
)
def test_evaluate_refuses(mistake: list[object], reason: str, made: Path, capsys: Capture) -> None:
    assert reason in refused(capsys, "evaluate", made / "run", *mistake)


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ([], "Expected one of {check-env, record, augment, inspect, train, clone, evaluate}"),
        (["frobnicate"], "available subcommands: check-env, record, augment, inspect, train, clone, evaluate"),
        (["record"], "Missing from magail record: --env STR --output PATH"),
        (["train"], "Missing: --env, --output"),
        (["inspect"], "Missing from magail inspect: PATH"),
        (["inspect", "nowhere"], "'nowhere' is no dataset"),
        (["inspect", "one", "two"], "Unrecognized options: two"),
        (["evaluate", "nowhere"], "'nowhere' is no run folder"),
    ],
)
def test_commands_that_say_too_little_or_too_much_are_refused(args: list[object], reason: str, capsys: Capture) -> None:
    assert reason in refused(capsys, *args)
