"""Time as sound sees it: what has been heard by now, and when the next frame is due."""

from __future__ import annotations

import math
import threading
import time

__all__ = ["SAME_UTTERANCE", "Pacer", "PlaybackClock"]

SAME_UTTERANCE = 0.5
"""Sound that goes on within so many seconds after it ran out belonged to the same utterance: the
silence between was a hole and not an end."""


class PlaybackClock:
    """How much of what was written has been heard, judged by time alone.

    Pure: times are monotonic seconds that the caller gives.

    Args:
        latency: seconds from writing to an idle device until it is heard.
    """

    def __init__(self, latency: float = 0.0) -> None:
        self.latency = latency
        self._written = 0.0
        self._heard = 0.0
        self._end = -math.inf

    def add(self, seconds: float, now: float) -> bool:
        """Sound was written; True if it comes too late to go on without a hole."""
        late = self._end <= now < self._end + SAME_UTTERANCE
        self._end = max(self._end, now + self.latency) + seconds
        self._written += seconds
        return late

    def pending(self, now: float) -> float:
        """Seconds until all that was written has been heard."""
        return max(0.0, self._end - now)

    def position(self, now: float) -> float:
        """Seconds of written sound that have been heard; never goes back."""
        self._heard = max(self._heard, self._written - self.pending(now))
        return self._heard

    def forget(self, now: float) -> float:
        """What has not been heard never will be.  Returns :meth:`position`."""
        self._written = self.position(now)
        self._end = -math.inf
        return self._written

    def correct(self, earliest: float, latest: float) -> None:
        """The device has shown that all will have been heard between these two times."""
        self._end = min(max(self._end, earliest), latest)


class Pacer:
    """Makes a source that is no device deliver its frames at the pace of one.

    Args:
        seconds: length of a frame.
    """

    _SLACK = 0.25
    """A consumer that is further behind than this (seconds) is not made to catch up."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._due = time.monotonic()
        self._never = threading.Event()

    def wait(self) -> None:
        """Wait until the next frame would have been captured: a frame's length at most."""
        now = time.monotonic()
        self._due += self._seconds
        if self._due < now - self._SLACK:
            self._due = now
        self._never.wait(max(0.0, min(self._due - now, self._seconds)))
