"""Counters that the threads keep, and the snapshot that a user reads."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from voicews.events import Event

__all__ = ["Counters", "Stats", "quantile"]

_SAMPLES = 200


@dataclass(frozen=True)
class Stats(Event):
    """What has happened since the client was opened.

    What :meth:`~voicews.VoiceClient.stats` returns; also an event, every
    ``ClientConfig.stats_interval`` seconds, where that is set.  Times are in seconds where a name does
    not say otherwise; what has not been measured is None.  Minimum, median and 95th percentile are those
    of the newest 200 measurements.  ``str()`` is one line for a log.
    """

    seconds: float
    """Since ``open()``."""
    connections: int
    """Sessions that a server accepted."""
    reconnects: int
    """Those among them that came after a lost one."""
    outage: float
    """How long there was no session after the first one, the present outage included."""
    frames_captured: int
    """Of ``ClientConfig.frame`` seconds each."""
    frames_sent: int
    frames_dropped: Mapping[str, int]
    """By cause: "overflow" (the outbox was full), "stale" (too old), "lost" (its connection broke in
    the middle of it), "refused" (the dialect could not say it), "unsent" (left over at the end).  In the
    end captured = sent + dropped."""
    frames_waiting: int
    """In the outbox now."""
    outbox_ms: float
    """Milliseconds of sound that these are."""
    frames_received: int
    """Messages with sound."""
    sound_received: float
    """How long the sound in them lasts."""
    playback_ms: float
    """Milliseconds of it that wait for the loudspeaker, without the device's own buffer."""
    playback_dropped: Mapping[str, int]
    """Pieces of it, of 20 ms at most, that were not played, by cause: "overflow" (the playback buffer was
    full), "cleared" (an interruption), "superseded" (a new connection answers anew)."""
    events_waiting: int
    """For your callbacks."""
    events_dropped: Mapping[str, int]
    """Events that your callbacks were too slow for, by cause: "overflow"."""
    bytes_sent: int
    """On past and present connections, handshakes and WebSocket framing included, TLS not."""
    bytes_received: int
    overflows: int
    """Times that the microphone lost sound before we could read it."""
    underruns: int
    """Times that the loudspeaker ran dry in the middle of an answer."""
    rtt: float | None
    """The last round trip of a WebSocket ping."""
    rtt_min: float | None
    rtt_median: float | None
    rtt_p95: float | None
    response: float | None
    """The last time from the end of speech, as the server told it (:class:`~voicews.SpeechStopped`), to
    the first sound that came of the answer."""
    response_median: float | None
    response_p95: float | None

    def __str__(self) -> str:
        dropped = sum(self.frames_dropped.values())
        waiting = f"waiting {self.outbox_ms:.0f} ms out, {self.playback_ms:.0f} ms in"
        told = [
            f"{self.seconds:.1f} s",
            f"rtt {_ms(self.rtt_median)} (min {_ms(self.rtt_min)}, p95 {_ms(self.rtt_p95)})",
            f"response {_ms(self.response_median)} (p95 {_ms(self.response_p95)})",
            f"frames {self.frames_sent} sent, {self.frames_received} received, {dropped} dropped",
            waiting,
            f"overflows {self.overflows}, underruns {self.underruns}",
            f"reconnects {self.reconnects}, outage {self.outage:.1f} s",
        ]
        return "; ".join(told)


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.1f} ms"


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The value below which a share of the values lies, between two of them in proportion.

    Args:
        ordered: the values, smallest first.
        share: from 0 (the smallest) through 0.5 (the median) to 1 (the largest).

    Returns:
        It; None if there are no values.
    """
    if not ordered:
        return None
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


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

    def ordered(self, name: str) -> list[float]:
        """The measured times, shortest first."""
        with self._lock:
            samples = list(self._samples.get(name, ()))
        return sorted(samples)
