"""The supervisor's clock: several points in time, of which the next one ends its wait."""

from __future__ import annotations

import time

__all__ = ["Alarms"]


class Alarms:
    """Points in time by name."""

    def __init__(self) -> None:
        self._times: dict[str, float] = {}

    def set(self, name: str, seconds: float | None) -> None:
        """Ring ``seconds`` from now; with None never."""
        if seconds is None:
            self.clear(name)
            return
        self._times[name] = time.monotonic() + seconds

    def is_set(self, name: str) -> bool:
        """True if it will ring."""
        return name in self._times

    def clear(self, *names: str) -> None:
        """Do not ring."""
        for name in names:
            self._times.pop(name, None)

    def next(self) -> float | None:
        """Seconds until the first rings; None if none is set."""
        return max(0.0, min(self._times.values()) - time.monotonic()) if self._times else None

    def due(self) -> str | None:
        """The first of those that ring now, which then has rung; None if none does.

        Only one, for what is done about it may move or clear the others.
        """
        first = min(self._times, key=lambda name: self._times[name], default=None)
        if first is None or self._times[first] > time.monotonic():
            return None
        self.clear(first)
        return first
