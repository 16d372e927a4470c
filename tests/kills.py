"""Processes that are killed, as by `kill -9`, at their n-th change of the disk.

A change is a write, an open for writing, an fsync, a rename, a mkdir, a deletion. The killed process is forked from the
tests, which have imported everything, so that a kill costs milliseconds.
"""

import builtins
import io
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CALLS = ("fsync", "rename", "replace", "mkdir", "rmdir", "unlink", "remove", "write")
"""Of `os`; its `open` counts where it may write."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass
class Disk:
    """Counts the changes of a process, but not of those that it starts.

    Args:
        kill_at: the change at which it dies; 0 for none. Of a write, half is done.
    """

    kill_at: int = 0
    calls: int = 0

    def count(self) -> None:
        """Count a change; it is the last one of a process that is to be killed."""
        if self._counts():
            self.calls += 1
            if self.calls == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    @property
    def next_is_last(self) -> bool:
        """Whether the process is to be killed at its next change."""
        return self._counts() and self.calls + 1 == self.kill_at

    def _counts(self) -> bool:
        return os.getpid() == self._parent

    def enter(self) -> None:
        """Begin, for the rest of this process."""
        self._parent = os.getpid()
        for name in _CALLS:
            setattr(os, name, self._counting(getattr(os, name)))
        os_open, real_open = os.open, io.open

        def low_open(path: Any, flags: int, *args: Any, **more: Any) -> int:
            if flags & _WRITING:
                self.count()
            return os_open(path, flags, *args, **more)

        def high_open(file: Any, mode: str = "r", *args: Any, **more: Any) -> Any:
            if not set(mode) & set("wax+"):
                return real_open(file, mode, *args, **more)
            return _open_counted(self, file, mode, *args, **more)

        os.open = low_open  # type: ignore[assignment]
        builtins.open = io.open = high_open  # type: ignore[assignment]

    def _counting(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            self.count()
            return real(*args, **more)

        return call


class _CountedFile(io.FileIO):
    """A file that counts its writes; the last one gets only half of its data to the disk."""

    disk: Disk

    def write(self, data: Any, /) -> int:
        if self.disk.next_is_last:
            super().write(bytes(data)[: len(data) // 2])
        self.disk.count()
        return super().write(data)


def _open_counted(
    disk: Disk,
    file: Any,
    mode: str,
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,  # noqa: FBT001, FBT002 - as the real one has it
    opener: Any = None,
) -> Any:
    """What `open` returns, around a `_CountedFile`."""
    disk.count()
    raw = _CountedFile(file, mode.replace("b", "").replace("t", ""), closefd, opener)
    raw.disk = disk
    if buffering == 0:
        return raw
    buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
    if "b" in mode:
        return buffered
    return io.TextIOWrapper(buffered, encoding or "utf-8", errors, newline, line_buffering=buffering == 1)


KILLED = -signal.SIGKILL
LEFT = 10.0
"""Seconds in which the processes that a killed one has started must have ended."""


def status_of(action: Callable[[], object], disk: Disk | None = None, *, log: Path = Path(os.devnull)) -> int:
    """Do something in a forked process; its exit status, or minus the signal that killed it.

    Args:
        action: may raise SystemExit, as a command does.
        disk: kills it.
        log: gets what it prints.

    Raises:
        AssertionError: a process that it had started outlives it.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    child = os.fork()
    if child == 0:
        status = 70
        try:
            os.setsid()
            _redirect(log)
            if disk is not None:
                disk.enter()
            status = _exit_code(action)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    _, waited = os.waitpid(child, 0)
    _await_end_of(child)
    return os.waitstatus_to_exitcode(waited)


def _exit_code(action: Callable[[], object]) -> int:
    try:
        action()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 70
    return 0


def _redirect(log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(descriptor, number)
    sys.stdout, sys.stderr = (io.TextIOWrapper(io.FileIO(number, "w"), "utf-8") for number in (1, 2))


def _await_end_of(group: int) -> None:
    end = time.monotonic() + LEFT
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.002)
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    raise AssertionError("A process outlives the one that started it.")


def strays(folder: Path) -> list[str]:
    """Hidden files and folders, at any depth."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(".*"))


def sample(total: int, number: int) -> Sequence[int]:
    """So many of the calls 1 to `total`, evenly, with the first and the last ones."""
    return sorted({1 + round(index * (total - 1) / max(1, number - 1)) for index in range(min(total, number))})
