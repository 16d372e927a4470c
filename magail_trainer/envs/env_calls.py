"""Calls of env code: what it raises becomes one sentence that names the env and the call."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Protocol, TypeVar, runtime_checkable

from tqdm import tqdm

from magail_trainer.errors import EnvError, InputError, Stopped, in_one_line
from magail_trainer.importing import NotKnown

_OURS = (InputError, NotKnown, KeyboardInterrupt, GeneratorExit, Stopped)
"""What is passed on: an env may refuse its arguments by an `InputError`, and the others are no faults of an env."""


def say_on_stderr(sentence: str) -> None:
    """Print a line, above a progress bar if there is one."""
    tqdm.write(sentence, file=sys.stderr)


class EnvCall:
    """A context that calls an env, or asks it for something.

    Args:
        name: of the env.
        where: which call it is, such as `in step 3`; or a function that is asked when an error is raised.

    Raises:
        EnvError: the env raises anything, `SystemExit` included.
    """

    __slots__ = ("_name", "_where")

    def __init__(self, name: str, where: str | Callable[[], str]) -> None:
        self._name, self._where = name, where

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, _OURS):
            return
        said = in_one_line(error)
        where = self._where if isinstance(self._where, str) else self._where()
        raised = f"{self._name} raised {type(error).__name__} {where}"
        raise EnvError(f"{raised}: {said}" if said else f"{raised}.") from error


def close_env(env: Any, name: str, *, begun: bool = True) -> None:
    """Close an env. One that has never been reset, and cannot be closed, is reset and closed.

    Args:
        env: anything; without a `close` nothing is done.
        name: of the env, for the error message.
        begun: whether it has been reset.

    Raises:
        EnvError: it raises an error.
    """
    close = getattr(env, "close", lambda: None)
    if not begun:
        with suppress(EnvError):
            with EnvCall(name, "in close"):
                close()
            return
        with suppress(EnvError), EnvCall(name, "in reset"):
            env.reset()
    with EnvCall(name, "in close"):
        close()


@runtime_checkable
class Closable(Protocol):
    """Anything with a `close`."""

    def close(self) -> None:
        """Release what is held."""
        ...


_Closable = TypeVar("_Closable", bound=Closable)


@contextmanager
def closed_after(env: _Closable, *, say: Callable[[str], None] = say_on_stderr) -> Iterator[_Closable]:
    """Close `env` in the end. What it raises then is said, so that nothing is lost that was played before.

    Args:
        env: what is closed.
        say: takes the sentence. There is none if another error is on its way.
    """
    try:
        yield env
    except BaseException:
        with suppress(EnvError):
            env.close()
        raise
    try:
        env.close()
    except EnvError as error:
        say(str(error))
