"""No microphone and no loudspeaker, but in real time: for machines without sound, and for tests."""

from __future__ import annotations

import time

from voicews.audio.base import AudioSink, AudioSource
from voicews.audio.clock import Pacer, PlaybackClock
from voicews.audio.convert import require_whole_samples
from voicews.config import AudioFormat
from voicews.errors import InvalidState

__all__ = ["NullSink", "SilenceSource"]


class SilenceSource(AudioSource):
    """Delivers silence at the pace of a microphone, without end."""

    def __init__(self) -> None:
        self._frame = b""
        self._pacer: Pacer | None = None

    def open(self, format: AudioFormat, frame_samples: int) -> None:
        """Begin; no device is touched."""
        self._frame = bytes(frame_samples * format.bytes_per_sample)
        self._pacer = Pacer(frame_samples / format.rate)

    def read(self) -> bytes:
        """Wait for the next frame of silence.

        Raises:
            InvalidState: the source is not open.
        """
        if self._pacer is None:
            raise InvalidState("read() on a SilenceSource that is not open")
        self._pacer.wait()
        return self._frame

    def close(self) -> None:
        """End."""
        self._pacer = None

    def __repr__(self) -> str:
        return "SilenceSource()"


class NullSink(AudioSink):
    """Takes sound at the pace of a loudspeaker and lets nobody hear it."""

    attention = 0.05

    def __init__(self) -> None:
        self._format: AudioFormat | None = None
        self._clock = PlaybackClock()

    def open(self, format: AudioFormat) -> None:
        """Begin; no device is touched."""
        self._format = format
        self._clock = PlaybackClock()

    def write(self, pcm: bytes) -> None:
        """Count these samples as playing.  Does not block.

        Raises:
            InvalidState: the sink is not open.
            FormatUnsupported: the bytes are not whole samples.
        """
        if self._format is None:
            raise InvalidState("write() on a NullSink that is not open")
        require_whole_samples(pcm, self._format)
        if pcm and self._clock.add(self._format.seconds(pcm), time.monotonic()):
            self.underruns += 1

    def pending(self) -> float:
        """Seconds of written sound whose time has not passed yet."""
        return self._clock.pending(time.monotonic())

    @property
    def position(self) -> float:
        """Seconds of written sound whose time has passed."""
        return self._clock.position(time.monotonic())

    def flush(self) -> float:
        """Forget what has not passed yet."""
        return self._clock.forget(time.monotonic())

    def close(self) -> None:
        """End; :attr:`position` stays."""
        if self._format is not None:
            self.flush()
            self._format = None

    def __repr__(self) -> str:
        return "NullSink()"
