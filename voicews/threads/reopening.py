"""When a lost sound device is asked for again."""

from __future__ import annotations

import time

from voicews.backoff import Backoff

__all__ = ["REOPENING", "Reopening"]

REOPENING = Backoff(initial=0.2, factor=2.0, cap=5.0, jitter=0.0, max_attempts=None)
"""The delays; a device must have worked for ``stable_after`` seconds to begin with the first again."""


class Reopening:
    """The backoff of one device; used by the thread that owns it."""

    def __init__(self) -> None:
        self._attempt = 0
        self._opened_at = time.monotonic()
        self._again_at: float | None = None

    def lost(self) -> None:
        """The device has failed."""
        if time.monotonic() - self._opened_at >= REOPENING.stable_after:
            self._attempt = 0
        self.missing()

    def missing(self) -> None:
        """It could not be opened again."""
        self._again_at = time.monotonic() + REOPENING.delay(self._attempt)
        self._attempt += 1

    def opened(self) -> None:
        """It works."""
        self._opened_at = time.monotonic()
        self._again_at = None

    @property
    def due(self) -> bool:
        """True when it should be tried now."""
        return self._again_at is not None and time.monotonic() >= self._again_at

    @property
    def remaining(self) -> float | None:
        """Seconds until then; None if the device works."""
        return None if self._again_at is None else max(0.0, self._again_at - time.monotonic())
