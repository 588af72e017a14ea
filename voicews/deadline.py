"""A point in time by which several steps together have to be done."""

from __future__ import annotations

import time

__all__ = ["Deadline"]


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
