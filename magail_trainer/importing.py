"""`module:callable`: how a command line names code of the user's own."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from magail_trainer.errors import InputError


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
