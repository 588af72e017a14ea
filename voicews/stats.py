"""Counters that the threads keep, and the snapshot that a user reads."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Counters", "Stats"]

_SAMPLES = 200


@dataclass(frozen=True)
class Stats:
    """What has happened since the client was opened.  Times are in seconds."""

    seconds: float
    """Since ``open()``."""
    frames_captured: int
    frames_sent: int
    frames_dropped: Mapping[str, int]
    """By cause: "overflow" (the outbox was full), "stale" (too old), "lost" (its connection broke in
    the middle of it), "unsent" (left over at the end).  In the end captured = sent + dropped."""
    frames_waiting: int
    """In the outbox now."""
    bytes_sent: int
    """On finished and present connections, WebSocket framing included, TLS not."""
    bytes_received: int
    sound_received: float
    """Seconds of sound from the server."""
    sound_waiting: float
    """Seconds of it that wait for the loudspeaker, without the device's own buffer."""
    sound_dropped: int
    """Pieces of it that were thrown away because the playback buffer was full."""
    overflows: int
    """Times that the microphone lost sound before we could read it."""
    underruns: int
    """Times that the loudspeaker ran dry in the middle of an answer."""
    connections: int
    """Sessions that a server accepted."""
    rtt: float | None
    """The last round trip of a WebSocket ping; None before the first."""
    rtt_median: float | None
    response: float | None
    """The last time from :class:`SpeechStopped` to the answer's first sound."""
    response_median: float | None


class Counters:
    """Numbers that several threads add to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, float] = {}
        self._samples: dict[str, deque[float]] = {}

    def add(self, name: str, amount: float = 1) -> None:
        """Add to a number that starts at 0."""
        with self._lock:
            self._counts[name] = self._counts.get(name, 0) + amount

    def sample(self, name: str, seconds: float) -> None:
        """Note a measured time; the last 200 are kept."""
        with self._lock:
            self._samples.setdefault(name, deque(maxlen=_SAMPLES)).append(seconds)

    def count(self, name: str) -> int:
        """The number now."""
        return int(self.seconds(name))

    def seconds(self, name: str) -> float:
        """The same where it is not a whole number."""
        with self._lock:
            return self._counts.get(name, 0)

    def last(self, name: str) -> float | None:
        """The newest of the measured times."""
        with self._lock:
            samples = self._samples.get(name)
            return samples[-1] if samples else None

    def median(self, name: str) -> float | None:
        """Their median."""
        with self._lock:
            samples = self._samples.get(name)
            if not samples:
                return None
            ordered = sorted(samples)
            middle = len(ordered) // 2
            return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
