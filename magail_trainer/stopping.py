"""Signals that ask a training to stop: it finishes what it is doing first."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class StopRequest:
    """Whether a signal has asked to stop."""

    def __init__(self) -> None:
        self.number: int | None = None

    def stop(self) -> NoReturn:
        """End as the signal would have ended the program: by KeyboardInterrupt, or SystemExit with its exit status."""
        assert self.number is not None
        if self.number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + self.number)


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Take the first signal that would end the program as a request; a second one ends it at once.

    Ignored signals stay ignored. Outside the main thread, which alone gets signals, nothing changes.
    """
    request, before = StopRequest(), dict[int, Any]()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)
        before.clear()

    def take(number: int, _: object) -> None:
        request.number = number
        restore()

    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, take)
    try:
        yield request
    finally:
        restore()
