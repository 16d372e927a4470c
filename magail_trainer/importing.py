"""`module:callable`: how a command line names code of the user's own, and how a folder names a known package's."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from magail_trainer.errors import InputError

KNOWN = ("coordination_env", "experiments.mpe_envs", "pettingzoo", "mpe2")
"""The packages whose envs a folder may name, whoever made it."""
_NOT_KNOWN = ("pettingzoo.atari",)
"""Parts of them that it may not name: these run a ROM file that the env's arguments name."""
_OF_THIS_PROJECT = ("coordination_env", "experiments")

_HOME = Path(__file__).resolve().parents[1]
"""Where the packages of this project lie."""

SAFE_PATH = "PYTHONSAFEPATH"

_in_a_command = False


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
        found = getattr(import_named(module_name), attribute)
    except InputError:  # the module itself says what it lacks
        raise
    except (Exception, SystemExit) as error:  # whatever the user's module raises
        raise InputError(f"{what} {name!r} cannot be imported: {str(error).rstrip('.')}.") from error
    if not callable(found):
        raise InputError(f"{what} {name!r} is a {type(found).__name__}; expected something to call.")
    return found


def is_part(module_name: str, packages: tuple[str, ...]) -> bool:
    """Whether a module is one of the packages, or in one."""
    return f"{module_name}.".startswith(tuple(f"{package}." for package in packages))


def import_named(module_name: str) -> ModuleType:
    """Import a module that the user named; in a command, from the working directory if there is one of that name."""
    if not _in_a_command:
        return import_module(module_name)
    sys.path.insert(0, "")
    try:
        module = import_module(module_name)
    finally:
        with suppress(ValueError):  # the module took it away
            sys.path.remove("")
    if _working_directory() in _places(sys.modules[module_name.partition(".")[0]]) and "" not in sys.path:
        sys.path.append("")  # it may import its neighbours later, and in worker processes
    return module


@contextmanager
def imports_of_a_command() -> Iterator[None]:
    """Import from the working directory what the user names, as `python -m` does, and nothing else.

    A stranger's file in the working directory cannot take the place of a package that is imported later.
    """
    global _in_a_command
    before, here = sys.path[:], _working_directory()
    if here != _HOME:  # else this project may lie in no other place
        sys.path[:] = [entry for entry in before if entry and Path(entry).resolve() != here]
    _in_a_command, outer = True, _in_a_command
    try:
        yield
    finally:
        sys.path[:], _in_a_command = before, outer


def import_known(module_name: str) -> ModuleType:
    """Import a module of a known package, as it was installed.

    Raises:
        NotKnown: it is of another package, or its package is not installed. Then nothing of it was imported.
    """
    parts, root = module_name.split("."), module_name.partition(".")[0]
    is_plain = all(part.isidentifier() and not part.startswith("__") for part in parts)  # a __main__ would run
    if not is_plain or not is_part(module_name, KNOWN) or is_part(module_name, _NOT_KNOWN):
        raise NotKnown(module_name)
    is_ours = root in _OF_THIS_PROJECT
    with installed_only(*([str(_HOME)] if is_ours else [])):
        try:
            package = import_module(root)
        except ModuleNotFoundError as error:
            if error.name != root:
                raise
            raise NotKnown(module_name) from error
    places = _places(package)
    if places != {_HOME} if is_ours else not places or _working_directory() in places:
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


@contextmanager
def without_working_directory() -> Iterator[None]:
    """Keep a Python that is started within from its habit of looking in the working directory for its own modules."""
    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"
    try:
        yield
    finally:
        os.environ.pop(SAFE_PATH)
        if before is not None:
            os.environ[SAFE_PATH] = before


def _working_directory() -> Path | None:
    try:
        return Path.cwd().resolve()
    except OSError:  # it was removed
        return None


def _places(package: ModuleType) -> set[Path]:
    """The folders in which a package, or a module of one file, lies; none if it has no file."""
    files = getattr(package, "__path__", None) or filter(None, [getattr(package, "__file__", None)])
    return {Path(file).resolve().parent for file in files}
