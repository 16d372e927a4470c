"""`module:callable`: how a command line names code of the user's own, and how a folder names a known package's."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from magail_trainer.errors import InputError

PROJECT = ("coordination_env", "magail_trainer", "experiments")
KNOWN = (*PROJECT, "pettingzoo", "mpe2", "vmas")
"""The packages that a folder may name, whoever made it."""

_HOME = Path(__file__).resolve().parents[1]
"""Where the packages of this project lie."""


class NotKnown(Exception):
    """A module is not of a known package, or the package is not where it was installed."""


def import_callable(name: str, *, what: str) -> Callable[..., Any]:
    """The callable that `module:callable` names. The module is imported, so its code runs.

    Args:
        name: such as `my_module:MyExpert`.
        what: begins the sentence if it cannot be had, such as `The expert`.

    Raises:
        InputError: the name has another form, the module cannot be imported, or has no such callable.
    """
    module_name, colon, attribute = name.partition(":")
    if not (module_name and colon and attribute):
        raise InputError(f"{what} must be module:callable, not {name!r}.")
    try:
        found = getattr(import_module(module_name), attribute)
    except InputError:  # the module itself says what it lacks
        raise
    except Exception as error:  # whatever the user's module raises
        raise InputError(f"{what} {name!r} cannot be imported: {str(error).rstrip('.')}.") from error
    if not callable(found):
        raise InputError(f"{what} {name!r} is a {type(found).__name__}; expected something to call.")
    return found


def import_known(module_name: str) -> ModuleType:
    """Import a module of a known package, as it was installed.

    Raises:
        NotKnown: it is of another package, or its package is not installed. Then nothing of it was imported.
    """
    root, *inner = module_name.split(".")
    if root not in KNOWN or not all(part.isidentifier() and not part.startswith("__") for part in inner):
        raise NotKnown(module_name)
    with installed_only(*([str(_HOME)] if root in PROJECT else [])):
        try:
            package = import_module(root)
        except ModuleNotFoundError as error:
            if error.name != root:
                raise
            raise NotKnown(module_name) from error
    place = _place(package)
    if place is None or (place != _HOME if root in PROJECT else place == _working_directory()):
        raise NotKnown(module_name)
    with installed_only():
        return import_module(module_name)


@contextmanager
def installed_only(*first: str) -> Iterator[None]:
    """Import nothing from the working directory, where anybody's files may lie; from `first` before all else."""
    before, here = sys.path[:], _working_directory()
    sys.path[:] = [*first, *(entry for entry in before if Path(entry).is_absolute() and Path(entry).resolve() != here)]
    try:
        yield
    finally:
        sys.path[:] = before


def _working_directory() -> Path | None:
    try:
        return Path.cwd().resolve()
    except OSError:  # it was removed
        return None


def _place(package: ModuleType) -> Path | None:
    """The folder in which a package or a module of one file lies; None of one without a file."""
    origin = getattr(package.__spec__, "origin", None)
    if origin is None:
        return None
    file = Path(origin).resolve()
    return file.parents[1] if hasattr(package, "__path__") else file.parent
