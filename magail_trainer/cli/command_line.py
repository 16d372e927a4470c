"""Shared by all commands: arguments parsed by tyro, errors in one sentence, exit codes."""

import contextlib
import io
import json
import re
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, NoReturn, Union

import tyro

from magail_trainer.errors import InputError, Stopped
from magail_trainer.importing import imports_of_a_command

_COLOUR = re.compile("\x1b\\[[0-9;]*m")
_FRAME = re.compile("^│ |│$|^╰.*|[─-]{9,}")  # blanks and dashes if stdout has no Unicode
_QUOTED_HELP = " " * 8  # how far tyro indents it


def run_command(
    commands: type | dict[str, type],
    execute: Callable[[Any], int | None],
    *,
    prog: str,
    args: Sequence[str] | None = None,
    flag_pairs: bool = False,
) -> NoReturn:
    """Parse the arguments, execute, and exit: 0 for success, 2 for bad input, 130 if interrupted.

    Args:
        commands: a dataclass whose fields are the flags, or one such dataclass per subcommand.
        execute: called with the parsed dataclass; may return an exit status.
        prog: the program's name in help and messages.
        args: the arguments; those of the process by default.
        flag_pairs: see `parse`.
    """
    message = ""
    with _prepared_process():
        try:
            status = execute(parse(commands, prog=prog, args=args, flag_pairs=flag_pairs)) or 0
        except InputError as error:
            status, message = 2, str(error)
        except KeyboardInterrupt:
            status, message = 130, "interrupted."
        except BrokenPipeError:  # as in `magail inspect DIR | head`
            sys.stdout = None
            status = 0
        except OSError as error:  # such as a full disk
            status, message = 2, f"cannot read or write {error.filename or 'the output'}: {error.strerror or error}."
        if message:  # printed here, where the exception no longer holds a progress bar open
            print(f"{prog}: {' '.join(message.splitlines())}", file=sys.stderr)
        raise SystemExit(status)


@contextlib.contextmanager
def _prepared_process() -> Iterator[None]:
    """Import what is named from the working directory, print ? for unencodable characters, and clean up at SIGTERM.

    All three are undone at the end, since a longer-lived program may call `main`.
    """
    with contextlib.ExitStack() as undo:
        undo.enter_context(imports_of_a_command())
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                undo.callback(_reconfigure, stream, errors=stream.errors)
                stream.reconfigure(errors="replace")
        if threading.current_thread() is threading.main_thread():
            for name in ("SIGTERM", "SIGHUP"):
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # keep nohup's SIG_IGN
                    undo.callback(signal.signal, number, signal.SIG_DFL)
                    signal.signal(number, exit_by_signal)
        yield


def _reconfigure(stream: io.TextIOWrapper, *, errors: str | None) -> None:
    with contextlib.suppress(OSError, ValueError):  # closed by now
        stream.reconfigure(errors=errors)


def exit_by_signal(number: int, _: object) -> NoReturn:
    """A signal handler that exits with the shell's status for the signal, after cleaning up."""
    raise Stopped(128 + number)


def parse(
    commands: type | dict[str, type],
    *,
    prog: str,
    args: Sequence[str] | None = None,
    flag_pairs: bool = False,
) -> Any:
    """Read the command line into a dataclass.

    Args:
        commands: see `run_command`.
        prog: the program's name.
        args: the arguments; those of the process by default.
        flag_pairs: add `--no-x` to each switch `--x`, for switches that may be on by default.

    Raises:
        InputError: tyro's error message, as one sentence.
    """
    config = [tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes]
    if not flag_pairs:
        config.append(tyro.conf.FlagCreatePairsOff)
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            if isinstance(commands, dict):
                return tyro.cli(_subcommands(commands), prog=prog, args=args, config=config)
            return tyro.cli(commands, prog=prog, args=args, config=config)
    except SystemExit as stop:
        if stop.code == 0:  # --help
            raise
        raise InputError(_sentence(complaint.getvalue())) from None


def _subcommands(commands: dict[str, type]) -> Any:
    """A union type of the commands."""
    options = [Annotated[Any, tyro.conf.subcommand(name, constructor=command)] for name, command in commands.items()]
    return Union[(*options, Annotated[None, tyro.conf.Suppress])]  # tyro needs at least two


def key_values(pairs: Sequence[str], *, flag: str) -> dict[str, Any]:
    """Read `("ratio=0.7", "name=x")` as `{"ratio": 0.7, "name": "x"}`; values are JSON where they parse as JSON.

    Raises:
        InputError: a pair has no `=`.
    """
    values = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not (equals and key.isidentifier()):
            raise InputError(f"{flag} takes NAME=VALUE pairs, not {pair!r}.")
        try:
            values[key] = json.loads(text)
        except json.JSONDecodeError:
            values[key] = text
    return values


def this_command(prog: str, args: Sequence[str] | None = None) -> str:
    """The shell command that repeats this one, for `config.json`."""
    return shlex.join([*prog.split(), *(sys.argv[1:] if args is None else args)])


def _sentence(box: str) -> str:
    """tyro's boxed error message as one sentence, without its title and quoted help texts."""
    rows = [_FRAME.sub("", row) for row in _COLOUR.sub("", box).splitlines()[1:]]
    rows = [row.strip() for row in rows if not row.startswith(_QUOTED_HELP)]
    sections = [section.replace("\n", " ").rstrip(". ") for section in "\n".join(rows).strip().split("\n\n")]
    complaint, *advice = [section for section in sections if not section.startswith("Argument helptext")]
    complaint = re.sub(r"^Error parsing [^-]\S*: ", "", complaint)  # if tyro names no flag
    return "; ".join([complaint, *(section[0].lower() + section[1:] for section in advice)])
