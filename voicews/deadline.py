"""A point in time by which several steps together have to be done."""

from __future__ import annotations

import math
import threading
import time
from numbers import Real
from typing import Any

from voicews.errors import ConfigError

__all__ = ["Deadline", "checked_timeout"]


def checked_timeout(timeout: float | None) -> float | None:
    """A timeout that a user gave: seconds, of which fewer than 0 are as 0, or None for no limit.

    Raises:
        ConfigError: it is anything else.
    """
    given: Any = timeout
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, Real) or not math.isfinite(given):
        raise ConfigError(
            f"the timeout is {given!r}; it must be a number of seconds, or None to wait as long as it takes"
        )
    return min(float(given), threading.TIMEOUT_MAX)


class Deadline:
    """So many seconds from now on; None is never.

    Example::

        deadline = Deadline(5.0)
        first.join(deadline.remaining())
        second.join(deadline.remaining())
    """

    __slots__ = ("_end",)

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    def remaining(self) -> float | None:
        """Seconds left, 0 once it has passed; None without an end."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    @property
    def passed(self) -> bool:
        """True once no time is left."""
        return self._end is not None and time.monotonic() >= self._end
