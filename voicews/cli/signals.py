"""Ctrl+C and SIGTERM: one exception for both, raised where the command can end cleanly."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Stopped", "held", "stoppable"]

_PATIENCE = 10.0
"""Seconds in which a further signal is not heard, so that it does not disturb the closing that
the first one asked for; every step of that closing has a deadline of its own."""


class Stopped(KeyboardInterrupt):
    """The user, or the system, wants the command to end.

    Attributes:
        exit_code: 128 and the signal's number, as shells count: 130 or 143.
    """

    def __init__(self, number: int) -> None:
        self.exit_code = 128 + number
        super().__init__(signal.Signals(number).name)


@contextmanager
def stoppable() -> Iterator[None]:
    """Within, SIGINT and SIGTERM raise :class:`Stopped` in the main thread.

    Elsewhere than in the main thread, which alone may set handlers, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    first: float | None = None

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal first
        now = time.monotonic()
        if first is not None and now - first < _PATIENCE:
            return
        first = now
        raise Stopped(number)

    old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


@contextmanager
def held() -> Iterator[None]:
    """Within, SIGINT and SIGTERM wait; the first of them comes at the end.

    For imports and the loading of models: there is code in which an exception is only printed,
    and native code that makes a failure of its own out of it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    old = {
        number: signal.signal(number, lambda number, _frame: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])
