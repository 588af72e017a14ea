"""What the buffers threw away, told in turns instead of frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from voicews.events import Event, FramesDropped

__all__ = ["Drops"]

_TOLD = ("overflow", "stale")
"""The other causes are somebody's wish, such as an interruption."""


class Drops:
    """Compares the buffers' counts with what was told.

    Args:
        counts: by buffer, what gives its number of dropped items by cause.
        emit: tells the user's callbacks.
    """

    def __init__(
        self, counts: Mapping[str, Callable[[], Mapping[str, int]]], emit: Callable[[Event], None]
    ) -> None:
        self._counts = counts
        self._emit = emit
        self._told: dict[tuple[str, str], int] = {}

    def counts(self) -> dict[str, Mapping[str, int]]:
        """What was thrown away: by buffer, then by cause."""
        return {buffer: count() for buffer, count in self._counts.items()}

    def tell(self) -> None:
        """Emit a :class:`FramesDropped` for each number that has grown."""
        for buffer, causes in self.counts().items():
            for cause in _TOLD:
                total = causes.get(cause, 0)
                new = total - self._told.get((buffer, cause), 0)
                if new:
                    self._told[buffer, cause] = total
                    self._emit(FramesDropped(buffer, cause, new))
