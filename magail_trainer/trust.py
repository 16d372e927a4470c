"""Whose code a folder may have imported and called.

A run folder names its env, and perhaps a network, a discriminator and a reward; a dataset names its env. Who reads one
that a stranger has made did not choose that code. It is imported if it belongs to a known package (`envs.recorded`), if
this user made the folder, or if the user says so: `--trust`, `trust=True`, or yes at the terminal.

What this user makes is noted outside of it: a line for each folder in `~/.local/state/magail/made` (or below
`$XDG_STATE_HOME`), the SHA-256 of what its `config.json` or `manifest.json` says. So a copy of a folder of one's own is
still one's own, and an altered one is not. All checkpoints of a training are one note, whatever was learnt by then, for
they name the same code; else a long training would crowd out the notes of all others.
"""

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from magail_trainer.errors import InputError, with_arguments

_MAX_NOTES = 1_000_000
"""Bytes of notes before the file is put aside; then the last one that was is forgotten."""

_MAX_CALL = 500
"""Characters of a call that are shown."""


@dataclass(frozen=True)
class Recorded:
    """What a folder says of itself, and whether it may name code."""

    folder: str | Path
    content: Mapping[str, Any]
    """All of its `config.json` or `manifest.json`."""
    trust: bool = False
    """Whether the reader trusts it."""

    def ask(self, name: str, arguments: Mapping[str, Any] | None = None) -> None:
        """Ask for leave to import what `module:attribute` names, and to call it.

        Args:
            name: as the folder has it; without a colon, a module whose `parallel_env` would be called.
            arguments: with what it would be called, where the folder says so.

        Raises:
            InputError: the folder is a stranger's, and the reader has not said that he trusts it.
        """
        if self.trust or is_noted(self.content):
            return
        module, colon, attribute = name.rpartition(":")
        module, attribute = (module, attribute) if colon else (attribute, "parallel_env")
        call = repr(f"{module}:{attribute}")[1:-1] + with_arguments(arguments or {})
        call = call.encode("ascii", "backslashreplace").decode()  # letters that look like others are seen
        shown = call if len(call) <= _MAX_CALL else f"{call[:_MAX_CALL]}…"
        wish = f"{str(self.folder)!r} was not made by you, and would import and call {shown}"
        if shown != call or not _agreed(f"{wish}.\nDo you trust that code? [y/N] "):
            raise InputError(f"{wish}; add --trust (in Python trust=True) if you trust that code.")


@cache
def _agreed(question: str) -> bool:
    """Whether the user says yes, at a terminal."""
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr)):
        return False
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def note(content: Mapping[str, Any]) -> None:
    """Note that this user makes a folder whose `config.json` or `manifest.json` says this."""
    line = _fingerprint(content)
    with suppress(OSError, RuntimeError):  # without a place for notes, --trust does
        if is_noted(content):
            return
        file = _notes()
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if file.exists() and file.stat().st_size > _MAX_NOTES:
            file.replace(_put_aside(file))
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line)  # one call, so that the lines of two processes do not mix
        finally:
            os.close(descriptor)


def is_noted(content: Mapping[str, Any]) -> bool:
    """Whether this user made a folder whose `config.json` or `manifest.json` says this."""
    with suppress(OSError, RuntimeError):
        file = _notes()
        line = _fingerprint(content)
        return any(each.is_file() and line in each.read_bytes() for each in (file, _put_aside(file)))
    return False


def _fingerprint(content: Mapping[str, Any]) -> bytes:
    """A line of the notes. Of what is said, not of the bytes that were read: only that is acted on."""
    if "progress" in content:  # a checkpoint
        content = {name: value for name, value in content.items() if name not in ("progress", "files", "sha256")}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest().encode() + b"\n"


def _notes() -> Path:
    """The file of the notes.

    Raises:
        RuntimeError: the user has no home.
    """
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    return (state if state.is_absolute() else Path.home() / ".local" / "state") / "magail" / "made"


def _put_aside(file: Path) -> Path:
    return file.with_name(f"{file.name}.old")
