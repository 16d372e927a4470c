"""Nothing is lost and nothing is left behind, at whatever change of the disk a command is killed."""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path

import pytest
import torch

from experiments.matching import correlation
from experiments.matching.settings import CorrelationConfig
from magail_trainer.cli import main
from magail_trainer.data.run_folder import CONFIG, finished_or_newest, open_run
from magail_trainer.folders import recover
from tests.kills import KILLED, Disk, sample, status_of, strays
from tests.magail_trainer.commands import MATCHING, contents

torch.set_num_threads(1)

Action = Callable[[], object]


@dataclass(frozen=True)
class Command:
    """What is killed, and what then goes on.

    Args:
        begin: makes `folder/out` from `folder/data`, if it needs any.
        again: makes the same after a kill, one by one until one succeeds.
        replaces: makes what stands at `folder/out` before.
    """

    begin: Callable[[Path], object]
    again: Callable[[Path], list[Action]]
    replaces: Callable[[Path], object] | None = None


def magail(*words: object) -> Callable[[Path], object]:
    """A command that writes `folder/out`."""
    return lambda folder: main([*(str(word) for word in words), "--output", str(folder / "out")])


def rerun(begin: Callable[[Path], object]) -> Callable[[Path], list[Action]]:
    return lambda folder: [partial(begin, folder)]


def going_on(begin: Callable[[Path], object], command: str) -> Callable[[Path], list[Action]]:
    """`--resume`, and where there is nothing to go on with, the same command."""
    return lambda folder: [
        lambda: main([command, "--resume", str(folder / "out")]),
        partial(begin, folder),
    ]


def check_kills(folder: Path, command: Command, calls: Iterable[int] | None = None) -> int:
    """Kill a command at some of its changes of the disk, by default at all; return how many there were.

    After each kill, what stood there before is there or what the command makes, whole; and doing it again ends as if
    nobody had been killed.
    """
    out, log = folder / "out", folder.parent / f"{folder.name}.log"
    old = prepare(folder, command)
    assert status_of(lambda: command.begin(folder), log=log) in (0, 1), log.read_text()
    new, kept = contents(out), folder.parent / f"{folder.name}-old"
    assert strays(folder) == []
    kills = 0
    for call in count(1) if calls is None else calls:
        shutil.rmtree(out)
        if old is not None:
            shutil.copytree(kept, out)
        log.write_text("")
        status = status_of(lambda: command.begin(folder), Disk(call), log=log)
        if status in (0, 1):
            break
        assert status == KILLED, log.read_text()
        kills += 1
        check_whole(out, old, new)
        for again in command.again(folder):
            status = status_of(again, log=log)
            if contents(out) == new:
                break
        assert contents(out) == new, f"killed at call {call}: {log.read_text()}"
        assert strays(folder) == [], f"killed at call {call}"
        assert status in (0, 1, 2), log.read_text()
    return kills


def prepare(folder: Path, command: Command) -> dict[str, bytes | None] | None:
    if command.replaces is None:
        return None
    assert status_of(partial(command.replaces, folder)) in (0, 1)
    shutil.copytree(folder / "out", folder.parent / f"{folder.name}-old")
    return contents(folder / "out")


def check_whole(out: Path, old: dict[str, bytes | None] | None, new: dict[str, bytes | None]) -> None:
    """What a reader finds after a kill is the old or the new, or a checkpoint as it was written."""
    recover(out)
    if old is not None:
        assert contents(out) in (old, new)
    newest = finished_or_newest(out)
    if (newest / CONFIG).exists():
        open_run(newest).verify()


def training(command: str, *words: object) -> Callable[[Path], object]:
    """A command that learns from `folder/data`."""
    how = ("--env", MATCHING, "--seeds", 0, 1, "--log_every", 1, "--checkpoint_every", 2)
    return lambda folder: magail(command, *how, "--dataset", folder / "data", *words)(folder)


RECORD = ("record", "--env", MATCHING, "--expert", "bimodal", "--episodes", 20)
TRAIN, CLONE = ("train", "--epochs", 5), ("clone", "--updates", 5)
OTHER_DATA = magail("record", "--env", MATCHING, "--episodes", 10)
OTHER_RUN = training("train", "--epochs", 1, "--lr_policy", 0.5)
OVER = "--overwrite"

COMMANDS = {
    "record": Command(magail(*RECORD), rerun(magail(*RECORD))),
    "record --overwrite": Command(magail(*RECORD, OVER), rerun(magail(*RECORD, OVER)), OTHER_DATA),
    "train": Command(training(*TRAIN), rerun(training(*TRAIN))),
    "train --resume": Command(training(*TRAIN), going_on(training(*TRAIN), "train")),
    "train --overwrite": Command(training(*TRAIN, OVER), rerun(training(*TRAIN, OVER)), OTHER_RUN),
    "train --overwrite --resume": Command(training(*TRAIN, OVER), going_on(training(*TRAIN, OVER), "train"), OTHER_RUN),
    "clone": Command(training(*CLONE), rerun(training(*CLONE))),
    "clone --resume": Command(training(*CLONE), going_on(training(*CLONE), "clone")),
    "clone --overwrite": Command(training(*CLONE, OVER), rerun(training(*CLONE, OVER)), OTHER_RUN),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a dataset `data`."""
    (tmp_path / "work").mkdir()
    data = ("record", "--env", MATCHING, "--expert", "bimodal", "--episodes", 40, "--output")
    assert status_of(lambda: main([*map(str, data), str(tmp_path / "work" / "data")])) == 0
    return tmp_path / "work"


@pytest.mark.parametrize(("name", "total"), [("record --overwrite", 40), ("train --resume", 400)])
def test_a_command_that_is_killed_at_some_changes(name: str, total: int, folder: Path) -> None:
    assert check_kills(folder, COMMANDS[name], sample(total, 6)) == 6


EVERY = 15
"""One of so many changes; 1 takes half an hour."""


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_is_killed_at_any_change(name: str, folder: Path) -> None:
    assert check_kills(folder, COMMANDS[name], range(1, 1000, EVERY)) > 30 // EVERY


def sweep(folder: Path) -> None:
    """A small cell, the table and the figure."""
    config = CorrelationConfig(expert_types=("bimodal",), policies=("independent",), seeds=2, epochs=10)
    correlation.main(replace(config, output=folder / "out"))


@pytest.mark.slow
def test_a_sweep_that_is_killed_at_many_changes(folder: Path) -> None:
    assert check_kills(folder, Command(sweep, rerun(sweep)), range(1, 1000, 2 * EVERY)) > 5
