"""Level meters: how loud the sound is that goes by, at the cost of one assignment per frame."""

from __future__ import annotations

import math
import sys
import time
from array import array

from voicews.audio.base import AudioSink, AudioSource
from voicews.config import AudioFormat

__all__ = ["QUIETEST", "Meter", "MeteredSink", "MeteredSource", "loudness"]

QUIETEST = -60.0
"""What counts as silence, in dB below full scale."""
_STALE = 0.15
"""Seconds after which the last frame says nothing about now."""


def loudness(pcm: bytes) -> float:
    """Root mean square of 16-bit samples in dB below full scale, not under :data:`QUIETEST`."""
    samples = array("h", pcm[: len(pcm) // 2 * 2])
    if sys.byteorder == "big":  # pragma: no cover - no such machine is at hand
        samples.byteswap()
    if not samples:
        return QUIETEST
    mean_square = sum(sample * sample for sample in samples) / len(samples)
    return max(QUIETEST, 10 * math.log10(mean_square / 32768**2)) if mean_square else QUIETEST


class Meter:
    """Keeps the last frame; works out its loudness only when somebody looks."""

    def __init__(self) -> None:
        self._last = (b"", 0.0)

    def note(self, pcm: bytes) -> None:
        """A frame goes by; the audio thread calls it."""
        self._last = (pcm, time.monotonic())

    @property
    def level(self) -> float:
        """From 0 (silence, or nothing goes by) to 1 (full scale), linear in decibels."""
        pcm, at = self._last
        if time.monotonic() - at > _STALE:
            return 0.0
        return 1 - loudness(pcm) / QUIETEST


class MeteredSource(AudioSource):
    """A microphone with a meter."""

    def __init__(self, inner: AudioSource, meter: Meter) -> None:
        self._inner = inner
        self._meter = meter

    def open(self, format: AudioFormat, frame_samples: int) -> None:
        """Open the microphone."""
        self._inner.open(format, frame_samples)

    def read(self) -> bytes | None:
        """Its next frame."""
        pcm = self._inner.read()
        self.overflows = self._inner.overflows
        if pcm is not None:
            self._meter.note(pcm)
        return pcm

    def close(self) -> None:
        """Close it."""
        self._inner.close()

    def __repr__(self) -> str:
        return repr(self._inner)


class MeteredSink(AudioSink):
    """A loudspeaker with a meter."""

    def __init__(self, inner: AudioSink, meter: Meter) -> None:
        self._inner = inner
        self._meter = meter
        self.lead = inner.lead

    def open(self, format: AudioFormat) -> None:
        """Open the loudspeaker."""
        self._inner.open(format)
        self.lead = self._inner.lead

    def write(self, pcm: bytes) -> None:
        """Play."""
        self._inner.write(pcm)
        self.underruns = self._inner.underruns
        self._meter.note(pcm)

    def pending(self) -> float:
        """Seconds that are not heard yet."""
        return self._inner.pending()

    @property
    def position(self) -> float:
        """Seconds that have been heard."""
        return self._inner.position

    def flush(self) -> float:
        """Be silent now."""
        return self._inner.flush()

    def close(self) -> None:
        """Close it."""
        self._inner.close()

    def __repr__(self) -> str:
        return repr(self._inner)
