"""A microphone and a loudspeaker whose sound is also told to somebody else.

They do on the device's thread what they must, and no more: look at the clock, and hand over
what they have in hand.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from voicews.audio.base import AudioSink, AudioSource
from voicews.config import AudioFormat

__all__ = ["Note", "TappedSink", "TappedSource"]

Note = Callable[[bytes, AudioFormat, float], None]
"""Takes samples, their format, and the monotonic time at which the last of them sounded."""


class TappedSource(AudioSource):
    """A microphone that is listened to.

    Args:
        inner: the microphone.
        note: called with each frame; with an empty one where it is muted.
        is_muted: asked per frame.
    """

    def __init__(self, inner: AudioSource, note: Note, is_muted: Callable[[], bool]) -> None:
        self._inner = inner
        self._note = note
        self._is_muted = is_muted
        self._opening = object()
        self._format = AudioFormat()

    def open(self, format: AudioFormat, frame_samples: int) -> None:
        """Open the microphone."""
        self._opening = object()
        self._inner.open(format, frame_samples)
        self._format = format

    def read(self) -> bytes | None:
        """Its next frame."""
        opening, wanted = self._opening, self._format
        pcm = self._inner.read()
        # A thread that comes back from a driver in which it was left has nothing to say any more.
        if opening is self._opening:
            self.overflows = self._inner.overflows
            if pcm:
                self._note(b"" if self._is_muted() else pcm, wanted, time.monotonic())
        return pcm

    def close(self) -> None:
        """Close it."""
        self._inner.close()

    def __repr__(self) -> str:
        return repr(self._inner)


class _Played:
    """What was written since a loudspeaker was opened and is not known to have been heard."""

    def __init__(self, format: AudioFormat) -> None:
        self.format = format
        self.unheard = bytearray()
        self.heard = 0
        """Samples."""
        self.until = math.inf
        """Monotonic time at which, as far as is known, the last of them will have been heard."""


class TappedSink(AudioSink):
    """A loudspeaker that is listened to: what it was given is told once it was heard.

    Args:
        inner: the loudspeaker.
        note: called with each piece that was heard.
    """

    _PIECE = 0.1
    """Seconds that are worth a call."""

    def __init__(self, inner: AudioSink, note: Note) -> None:
        self._inner = inner
        self._note = note
        self._played = _Played(AudioFormat())
        self.lead = inner.lead

    def open(self, format: AudioFormat) -> None:
        """Open the loudspeaker."""
        self._played = _Played(format)
        self._inner.open(format)
        self.lead = self._inner.lead

    def write(self, pcm: bytes) -> None:
        """Play."""
        played = self._played
        played.unheard += pcm
        try:
            self._inner.write(pcm)
        except BaseException:
            del played.unheard[len(played.unheard) - len(pcm) :]
            raise
        self.underruns = self._inner.underruns

    def pending(self) -> float:
        """Seconds that are not heard yet."""
        played = self._played
        pending = self._inner.pending()
        if played is self._played:
            if pending > 0:
                played.until = time.monotonic() + pending
            self._tell(played, self._PIECE if pending > 0 else 0.0)
        return pending

    @property
    def position(self) -> float:
        """Seconds that have been heard."""
        return self._inner.position

    def flush(self) -> float:
        """Be silent now."""
        played = self._played
        heard = self._inner.flush()
        if played is self._played:
            self._tell(played, 0.0)
            played.unheard.clear()
        return heard

    def close(self) -> None:
        """Close it."""
        played = self._played
        if played.unheard:
            self._tell(played, 0.0)
            played.unheard.clear()
        self._inner.close()

    def _tell(self, played: _Played, least: float) -> None:
        """Hand over what has been heard since the last time, if it is worth it."""
        if not played.unheard:
            return
        sound = played.format
        position, now = self._inner.position, time.monotonic()
        there = len(played.unheard) // sound.bytes_per_sample
        due = min(sound.samples(position) - played.heard, there)
        if due <= 0 or due < min(sound.samples(least), there):
            return
        size = due * sound.bytes_per_sample
        pcm = bytes(played.unheard[:size])
        del played.unheard[:size]
        played.heard += due
        # Where nothing is left, it may have been silent for a while.
        self._note(pcm, sound, now if played.unheard else min(now, played.until))

    def __repr__(self) -> str:
        return repr(self._inner)
