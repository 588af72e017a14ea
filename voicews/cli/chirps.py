"""Marks in sound: chirps that are found again in what a server sends back, even if it has changed it.

A mark is six short sweeps, each up or down in one of four bands; which ones, tells the marks apart.
Sweeps survive what servers do to sound: other rates, codecs, gain, a little noise.  Telephone bandwidth
is enough.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from voicews.config import AudioFormat

if TYPE_CHECKING:
    import numpy as np

    Samples = np.ndarray[Any, np.dtype[np.float64]]

__all__ = ["MARKS", "MARK_SECONDS", "Found", "Recogniser", "mark"]

_WORDS = ("215736", "204056", "065607", "406135", "206427", "275217", "461504", "262130")
"""Two of them, however shifted, have at most two sweeps in common."""
MARKS = len(_WORDS)
_SWEEP = 0.05
_LOWEST, _BAND = 400.0, 700.0
_LEVEL = 0.25
MARK_SECONDS = _SWEEP * 6
_LIKE = 0.65
"""Correlation from which sound counts as a mark; parts of two different ones have 0.58 at most."""
_FAINT = 1e-3
"""Loudness (-60 dB) below which nothing is looked for."""


@cache
def _wave(number: int, rate: int) -> Samples:
    import numpy as np

    count = round(_SWEEP * rate)
    time = np.arange(count) / rate
    edge = np.minimum(1.0, np.minimum(time, time[::-1]) / 0.004)
    sweeps = []
    for digit in _WORDS[number % MARKS]:
        band, down = divmod(int(digit), 2)
        begin, slope = _LOWEST + _BAND * (band + down), (-1 if down else 1) * _BAND / _SWEEP
        sweeps.append(edge * np.sin(2 * np.pi * (begin + slope * time / 2) * time))
    return np.concatenate(sweeps)


def mark(number: int, format: AudioFormat) -> bytes:
    """The sound of a mark, ``MARK_SECONDS`` long; after ``MARKS`` of them they repeat."""
    import numpy as np

    mono = np.round(_wave(number, format.rate) * _LEVEL * 32767).astype("<i2")
    return np.repeat(mono, format.channels).tobytes()


@dataclass(frozen=True)
class Found:
    """A mark that came back."""

    number: int
    """From 0 to ``MARKS`` - 1."""
    at: float
    """When the message with its end came; monotonic."""
    likeness: float
    """From 0.65 to 1."""


class Recogniser:
    """Finds marks in a stream of sound that comes in pieces.

    Args:
        format: of the sound.
    """

    def __init__(self, format: AudioFormat) -> None:
        import numpy as np

        self.format = format
        self._waves = [_wave(number, format.rate) for number in range(MARKS)]
        self._length = len(self._waves[0])
        self._spectra: tuple[int, list[Any]] = (0, [])
        self._held: Samples = np.zeros(0)
        self._held_from = 0
        self._pieces: deque[tuple[int, float]] = deque()
        self._best: tuple[int, int, float] | None = None

    def feed(self, pcm: bytes, at: float) -> None:
        """Take the next piece, and when it came (monotonic)."""
        import numpy as np

        whole = len(pcm) - len(pcm) % self.format.bytes_per_sample
        sound = np.frombuffer(pcm[:whole], "<i2").reshape(-1, self.format.channels).mean(axis=1) / 32768
        self._held = np.concatenate([self._held, sound])
        self._pieces.append((self._held_from + len(self._held), at))

    def look(self, *, last: bool = False) -> list[Found]:
        """The marks that have come to their end since the last look.

        Args:
            last: nothing will follow; else a mark is told once it is sure that none is more like it.
        """
        import numpy as np

        starts = len(self._held) - self._length + 1
        found: list[Found] = []
        if starts > 0:
            likeness = self._likeness()
            which = likeness.argmax(axis=0)
            best = likeness.max(axis=0)
            for place in np.flatnonzero(best >= _LIKE):
                self._consider(self._held_from + int(place), int(which[place]), float(best[place]), found)
            self._held = self._held[starts:]
            self._held_from += starts
        if self._best and (last or self._held_from > self._best[0] + self._length // 2):
            found.append(self._settle())
        while len(self._pieces) > 1 and self._pieces[0][0] <= self._held_from:
            self._pieces.popleft()
        return found

    def _consider(self, place: int, number: int, likeness: float, found: list[Found]) -> None:
        if self._best and place > self._best[0] + self._length // 2:
            found.append(self._settle())
        if self._best is None or likeness > self._best[2]:
            self._best = (place, number, likeness)

    def _settle(self) -> Found:
        assert self._best is not None
        (place, number, likeness), self._best = self._best, None
        end = place + self._length
        at = next((at for until, at in self._pieces if until >= end), self._pieces[-1][1])
        return Found(number, at, likeness)

    def _likeness(self) -> Samples:
        """By mark and by place where it would begin: the normalised correlation, its sign left out."""
        import numpy as np

        held, length = self._held, self._length
        size = 1 << (len(held) + length - 1).bit_length()
        if self._spectra[0] != size:
            self._spectra = (size, [np.conj(np.fft.rfft(wave, size)) for wave in self._waves])
        spectrum = np.fft.rfft(held, size)
        starts = len(held) - length + 1
        power = np.concatenate([[0.0], np.cumsum(held**2)])
        energy = power[length:] - power[:-length]
        loud = np.sqrt(np.maximum(energy, _FAINT**2 * length))
        rows = []
        for wave, turned in zip(self._waves, self._spectra[1], strict=True):
            product = np.fft.irfft(spectrum * turned, size)[:starts]
            rows.append(np.abs(product) / (loud * np.sqrt(np.sum(wave**2))))
        return np.array(rows)
