"""The one exception that stands for a mistake in what the user gave, and a part of its sentences."""

from collections.abc import Mapping
from typing import Any


class InputError(ValueError):
    """Something that the user gave cannot be used.

    The message is one sentence that names the value and says what was expected. The command line prints it and exits
    with status 2; library code lets it pass.
    """


def with_arguments(arguments: Mapping[str, Any]) -> str:
    """What follows "cannot be made": the arguments, if there are any."""
    return f" with {dict(arguments)}" if arguments else ""
