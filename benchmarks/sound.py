"""A microphone and a loudspeaker of pure time, the same for every client.

They know nothing of voicews, so that the clients it is compared with can use them without it.
A frame begins with the time at which it was complete, in nanoseconds of CLOCK_MONOTONIC, which
all processes of a machine share.
"""

from __future__ import annotations

import math
import os
import struct
import time
from array import array

__all__ = ["RATE", "STAMP", "TONE", "Ear", "Mouth", "stamped"]

RATE = 16_000
STAMP = struct.Struct("!q")
TONE = array("h", (round(8000 * math.sin(math.tau * 440 * n / RATE)) for n in range(10 * RATE))).tobytes()
"""Ten seconds of 440 Hz."""
_CUSHION = 0.036
"""Seconds of sound that a loudspeaker has in hand: what voicews' own gathers at 16 kHz."""


def stamped(at: int, size: int, noise: bytes = os.urandom(65536)) -> bytes:
    """A frame of sound that was complete ``at`` (nanoseconds)."""
    return STAMP.pack(at) + noise[: size - STAMP.size]


class Mouth:
    """A microphone on a clock of its own: it completes frames whether somebody reads them or not.

    Args:
        samples: of a frame.
        rate: samples per second.
        speed: how much faster than real time it works.
    """

    def __init__(self, samples: int, *, rate: int = RATE, speed: float = 1.0) -> None:
        self._size = 2 * samples
        self._length = round(samples / rate / speed * 1e9)
        self._due = time.monotonic_ns()

    def read(self) -> bytes:
        """Wait until the next frame is complete."""
        self._due += self._length
        wait = self._due - time.monotonic_ns()
        if wait > 0:
            time.sleep(wait / 1e9)  # noqa: TID251 - it is the device's clock
        return stamped(self._due, self._size)


class Ear:
    """A loudspeaker that notes when sound reaches it, and when it would have run dry.

    Args:
        rate: samples per second.
    """

    def __init__(self, rate: int = RATE) -> None:
        self._rate = rate
        self.heard: list[tuple[int, int]] = []
        self.dry: list[int] = []
        self._end = 0

    def hear(self, pcm: bytes) -> None:
        """Take a frame of 16-bit mono."""
        now = time.monotonic_ns()
        self.heard.append((STAMP.unpack_from(pcm)[0], now))
        if now > self._end:
            if self._end:
                self.dry.append(now)
            self._end = now + int(_CUSHION * 1e9)
        self._end += len(pcm) * 1_000_000_000 // (2 * self._rate)

    def read(self, text: str) -> None:
        """Take words that tell when they were pushed, where there is no sound to hear."""
        self.heard.append((int(text), time.monotonic_ns()))
