"""Command lines of any program of the project: what is parsed, what is said, and with which status it exits."""

import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from magail_trainer.cli.command_line import key_values, parse, run_command, this_command
from magail_trainer.errors import InputError
from magail_trainer.folders import new_folder
from magail_trainer.importing import import_named
from magail_trainer.text import aligned, counted, display_path


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5
    """How fast."""

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise InputError(f"--rate must not be negative, not {self.rate}.")


@dataclass(frozen=True)
class Play:
    """Play."""

    game: str
    """Which one; this text is long, so that it has to be wrapped when it is shown in a box that is 80 letters wide."""
    output: Path
    """Where to."""
    style: Literal["slow", "fast"] = "slow"
    """How."""
    seeds: tuple[int, ...] = (1, 2)
    """Decide all chance."""
    inner: Inner = field(default_factory=Inner)
    quiet: bool = False
    """Say nothing."""


@dataclass(frozen=True)
class Stop:
    """Stop."""


COMMANDS: dict[str, type] = {"play": Play, "stop": Stop}
GOOD = ["play", "--game", "go", "--output", "x"]


class Terminal(io.TextIOWrapper):
    """What tyro takes for a terminal: it colours its messages then, and draws boxes as the encoding allows."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)

    def isatty(self) -> bool:
        return True


def test_flags_subcommands_and_nested_settings_are_read() -> None:
    args = [*GOOD, "--style", "fast", "--seeds", "5", "--rate", "2", "--quiet"]
    assert parse(COMMANDS, prog="toy", args=args) == Play("go", Path("x"), "fast", (5,), Inner(2.0), quiet=True)
    assert parse(COMMANDS, prog="toy", args=["stop"]) == Stop()
    assert parse(Play, prog="toy", args=GOOD[1:]) == Play("go", Path("x"))


def test_a_switch_has_its_opposite_only_where_it_is_asked_for() -> None:
    assert parse(COMMANDS, prog="toy", args=[*GOOD, "--no-quiet"], flag_pairs=True).quiet is False
    assert parse(COMMANDS, prog="toy", args=[*GOOD, "--quiet"], flag_pairs=True).quiet is True
    with pytest.raises(InputError, match="Unrecognized options: --no-quiet"):
        parse(COMMANDS, prog="toy", args=[*GOOD, "--no-quiet"])


@pytest.mark.parametrize("terminal", [None, "utf-8", "ascii"])
@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([*GOOD, "--bogus", "3"], "Unrecognized options: --bogus, 3; for full helptext, run toy --help"),
        (
            [*GOOD, "--stile", "3"],
            "Unrecognized options: --stile, 3; perhaps you meant: --style {slow,fast}; "
            "for full helptext, run toy --help",
        ),
        (
            [*GOOD, "--style", "wild"],
            "invalid choice 'wild' for argument '--style'. Expected one of ('slow', 'fast'); "
            "for full helptext, run toy play --help",
        ),
        (
            [*GOOD, "--rate", "x"],
            "Error parsing --rate: could not convert string to float: 'x'; for full helptext, see toy --help",
        ),
        ([*GOOD, "--rate", "-1"], "--rate must not be negative, not -1.0; for full helptext, see toy --help"),
        (
            [*GOOD, "--rate"],
            "Missing value for argument '--rate'. Expected 1 values; for full helptext, run toy play --help",
        ),
        (
            ["play"],
            "Missing from toy play: --game STR --output PATH; for full helptext, run: toy play --help",
        ),
        ([], "Expected one of {play, stop}; for full helptext, run toy --help"),
        (
            ["dance"],
            "Unrecognized options: dance; available subcommands: play, stop; for full helptext, run toy --help",
        ),
    ],
)  # fmt: skip
def test_a_mistake_on_the_command_line_is_one_sentence(
    args: list[str], message: str, terminal: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    if terminal:
        monkeypatch.setattr("sys.stdout", Terminal(encoding=terminal))
    with pytest.raises(InputError) as error:
        parse(COMMANDS, prog="toy", args=args)
    assert str(error.value) == message


def exit_status(execute: Any, args: list[str]) -> Any:
    with pytest.raises(SystemExit) as stop:
        run_command(COMMANDS, execute, prog="toy", args=args)
    return stop.value.code


def raising(error: BaseException) -> Any:
    def execute(_: Any) -> None:
        raise error

    return execute


def test_the_exit_status_is_what_the_command_returns_or_zero(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(lambda _: None, ["stop"]) == 0
    assert exit_status(lambda _: 1, ["stop"]) == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (InputError("β is odd."), 2, "toy: β is odd.\n"),
        (InputError("Two\nlines."), 2, "toy: Two lines.\n"),
        (KeyboardInterrupt(), 130, "toy: interrupted.\n"),
    ],
)
def test_the_users_mistake_and_ctrl_c_are_one_line_without_a_traceback(
    error: BaseException, status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_status(raising(error), ["stop"]) == status
    assert capsys.readouterr() == ("", message)


def test_a_progress_bar_ends_before_the_message_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    def bar() -> Iterator[None]:
        try:
            yield
        finally:
            print("end of the bar", file=sys.stderr)

    def execute(_: Any) -> None:
        for _ in bar():
            raise KeyboardInterrupt

    assert exit_status(execute, ["stop"]) == 130
    assert capsys.readouterr().err.startswith("end of the bar\ntoy: interrupted")


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_command(COMMANDS, raising(ZeroDivisionError()), prog="toy", args=["stop"])


def test_help_is_printed_and_no_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(raising(AssertionError()), ["play", "--help"]) == 0
    out, err = capsys.readouterr()
    assert "--game" in out
    assert err == ""


def test_pairs_are_json_where_they_can_be() -> None:
    pairs = ("ratio=0.7", "n=3", "flag=true", "name=x", "joint=[[1, 0]]", "text=a=b", "empty=", 'quoted="3"')
    assert key_values(pairs, flag="--args") == {
        "ratio": 0.7, "n": 3, "flag": True, "name": "x", "joint": [[1, 0]], "text": "a=b", "empty": "", "quoted": "3",
    }  # fmt: skip


@pytest.mark.parametrize("pair", ["ratio", "=3", "two words=3", ""])
def test_what_is_no_pair_is_refused(pair: str) -> None:
    with pytest.raises(InputError, match=f"--args takes NAME=VALUE pairs, not '{pair}'"):
        key_values([pair], flag="--args")


def test_the_command_can_be_pasted_into_a_shell() -> None:
    assert this_command("python -m toy", ["--name", "two words", "$HOME"]) == "python -m toy --name 'two words' '$HOME'"


def test_paths_below_the_working_directory_are_shown_relative_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert display_path(tmp_path / "a" / "b") == "a/b"
    assert display_path("../other") == "../other"


def test_one_thing_is_counted_in_the_singular() -> None:
    assert [counted(number, "run") for number in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]
    assert [counted(number, "symmetry", "symmetries") for number in (1, 2)] == ["1 symmetry", "2 symmetries"]


def test_a_table_is_aligned() -> None:
    table = {"name": ["a", "longer"], "n": [1, 10], "value": [-0.00001, 12.5], "t": ["x", ""]}
    assert aligned(table) == [
        "name     n    value  t",
        "a        1   0.0000  x",
        "longer  10  12.5000",
    ]
    assert aligned({"a": [], "b": []}) == ["a  b"]


@dataclass(frozen=True)
class Nothing:
    """Takes no flags."""


def ends_with(execute: Callable[[Nothing], None]) -> int | str | None:
    with pytest.raises(SystemExit) as stop:
        run_command(Nothing, execute, prog="prog", args=[])
    return stop.value.code


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_command_that_is_told_to_end_leaves_no_unfinished_folder(name: str, status: int, tmp_path: Path) -> None:
    number = getattr(signal, name)

    def execute(_: Nothing) -> None:
        with new_folder(tmp_path / "out", marker="marker"):
            os.kill(os.getpid(), number)

    before = signal.signal(number, signal.SIG_DFL)
    try:
        assert ends_with(execute) == status
        assert list(tmp_path.iterdir()) == []
    finally:
        signal.signal(number, before)


def test_a_hang_up_that_nohup_has_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert ends_with(lambda _: os.kill(os.getpid(), signal.SIGHUP)) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("error", [None, InputError("no"), KeyboardInterrupt()])
def test_the_process_is_left_as_it_was(
    error: BaseException | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "neighbour.py").touch()
    before_path = ["", *(entry for entry in sys.path if entry)]
    monkeypatch.setattr(sys, "path", [*before_path])

    def execute(_: Nothing) -> None:
        assert (stream.errors, "" in sys.path) == ("replace", False)
        import_named("neighbour")
        assert sys.path[-1] == ""
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        if error is not None:
            raise error

    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        ends_with(execute)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert (stream.errors, sys.path) == ("strict", before_path)
    finally:
        signal.signal(signal.SIGTERM, before)
        sys.modules.pop("neighbour", None)
