"""The exceptions that stand for a mistake in what the user gave, and parts of their sentences."""

from collections.abc import Mapping
from typing import Any


class InputError(ValueError):
    """Something that the user gave cannot be used.

    The message is one sentence that names the value and says what was expected. The command line prints it and exits
    with status 2; library code lets it pass.
    """


class EnvError(InputError):
    """An env raises an error, or does not keep to PettingZoo's parallel API."""


class Stopped(SystemExit):
    """A signal ends the program: no exception of an env's own."""


def in_one_line(error: BaseException) -> str:
    """What an error says, without line breaks and control characters, with a full stop; empty if it says nothing."""
    try:
        said = str(error)
    except Exception:  # its class is at fault too
        return ""
    words = " ".join("".join(letter if letter.isprintable() else " " for letter in said).split())
    words = words if len(words) <= _LONG else f"{words[:_LONG]} …"
    return words if not words or words[-1] in ".!?" else f"{words}."


_LONG = 500


def with_arguments(arguments: Mapping[str, Any]) -> str:
    """What follows "cannot be made": the arguments, if there are any."""
    return f" with {dict(arguments)}" if arguments else ""
