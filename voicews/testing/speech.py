"""How fakes hear and speak: what is loud is speech, and speech is a hum."""

from __future__ import annotations

import math
import struct

from voicews.config import AudioFormat

__all__ = ["Ear", "hum"]

_LOUD = 500
"""From this sample value on, sound counts as speech."""
_CHARACTERS_PER_SECOND = 20.0


class Ear:
    """Follows sound: how much there was, and who speaks since when.

    Args:
        format: of the sound.
    """

    def __init__(self, format: AudioFormat) -> None:
        self._format = format
        self.heard = 0.0
        """Seconds so far."""
        self.speaking = False
        """True from the first loud sound until :meth:`forget`."""
        self.began = 0.0
        """When, in seconds of sound, the speech began."""
        self.loud_until = 0.0
        """When the last loud sound ended."""

    @property
    def quiet(self) -> float:
        """Seconds since the last loud sound."""
        return self.heard - self.loud_until

    def hear(self, pcm: bytes) -> bool:
        """Take note of sound; True if speech begins with it."""
        whole = pcm[: len(pcm) // 2 * 2]
        loud = any(abs(sample) >= _LOUD for (sample,) in struct.iter_unpack("<h", whole))
        before = self.heard
        self.heard += self._format.seconds(pcm)
        if not loud:
            return False
        self.loud_until = self.heard
        begins, self.speaking = not self.speaking, True
        if begins:
            self.began = before
        return begins

    def forget(self) -> None:
        """The speech is over; the next loud sound begins another."""
        self.speaking = False


def hum(text: str, format: AudioFormat) -> bytes:
    """A quiet tone, as long as it takes to say this: 0.05 s for each character."""
    count = int(len(text) / _CHARACTERS_PER_SECOND * format.rate)
    tone = (int(3000 * math.sin(2 * math.pi * 440 * number / format.rate)) for number in range(count))
    return b"".join(struct.pack("<h", sample) * format.channels for sample in tone)
