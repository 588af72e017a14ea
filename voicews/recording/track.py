"""One side of a recording: pieces of sound put at the time at which they sounded.  Pure."""

from __future__ import annotations

import sys
from array import array
from collections import deque

from voicews.audio.convert import Converter
from voicews.config import AudioFormat

__all__ = ["Track"]

_MISSING = 0.25
"""Seconds by which a piece must come late for the sound before it to be missing, and not only late."""
_SLIGHT = 0.005
"""Seconds by which a side may be out of step; more is set right in the next quiet piece."""
_QUIET = 300
"""The highest sample, of 32768, in a piece where nobody hears what is left out or put in."""


class Track:
    """Mono samples at one rate, each at its place in time; silence where there were none.

    Pieces come in the order in which they sounded.  Each tells when it ended, but not to the
    sample: threads are late at times, and a device's clock differs a little from ours.  So
    pieces follow each other without a seam for as long as that is true enough.  Where it is not,
    silence is put in or a little left out: at once if much is missing, in a quiet moment if not.

    Args:
        rate: samples per second that come out.
        window: how many pieces have to agree that the side is behind; where a piece can be late
            only by accident, the most punctual of them tells the truth.
        tolerance: seconds by which it may be out of step while somebody speaks.
    """

    def __init__(self, rate: int, *, window: int = 1, tolerance: float = 0.02) -> None:
        self._format = AudioFormat(rate)
        self._tolerance = round(tolerance * rate)
        self._slight = round(_SLIGHT * rate)
        self._missing = round(_MISSING * rate)
        self._gaps: deque[int] = deque(maxlen=window)
        self._converter: Converter | None = None
        self._delay = self._early = 0  # samples: of the filter, and those of them that are still to come
        self._taken = 0  # samples
        self._silent = True  # nothing was there to follow
        self._ready = _Ready()

    def add(self, pcm: bytes, format: AudioFormat, end: float) -> None:
        """Put a piece where it belongs.

        Args:
            pcm: whole samples.
            format: theirs; it may differ from piece to piece.
            end: seconds from the beginning of the track to the end of the piece.

        Raises:
            FormatUnsupported: the bytes are not whole samples.
        """
        if self._converter is None or self._converter.source != format:
            self._finish_run()
            self._converter = Converter(format, self._format)
            self._start_run()
        rate = self._format.rate
        gap = self._correction(round((end - format.seconds(pcm)) * rate) - self._end, pcm)
        if gap > 0:
            self._finish_run()
            self._ready.add_silence(2 * gap)
            self._start_run()
        elif gap < 0:
            pcm = pcm[format.bytes(-gap / rate) :]
        out = self._converter.process(pcm)
        early = min(self._early, len(out) // 2)
        self._early -= early
        self._ready.add(out[2 * early :])

    def take(self, until: int) -> bytes:
        """All samples from where the last call ended to the sample number ``until``.

        What comes later for this time comes too late.
        """
        size = 2 * (until - self._taken)
        if size <= 0:
            return b""
        if len(self._ready) < size:
            self._finish_run()
            self._start_run()
            self._silent = True
        taken = self._ready.take(size)
        self._taken = until
        return taken + bytes(size - len(taken))

    @property
    def _end(self) -> int:
        """The number of the sample after the last, counting what is still in the filter."""
        return self._taken + len(self._ready) // 2 + self._delay - self._early

    def _start_run(self) -> None:
        if self._converter is not None:
            self._delay = self._early = round(self._converter.delay * self._format.rate)

    def _finish_run(self) -> None:
        if self._converter is not None:
            tail = self._converter.flush()[2 * self._early :]
            # The filter rounds up what the sum of both does not.
            self._ready.add(tail[: 2 * (self._delay - self._early)])
        self._delay = self._early = 0

    def _correction(self, gap: int, pcm: bytes) -> int:
        """Samples to put in before a piece, or if negative, to leave out of it."""
        if gap > self._missing or self._silent:
            self._silent = False
            self._gaps.clear()
            return gap
        self._gaps.append(gap)
        steady = min(self._gaps)
        if steady > 0 and len(self._gaps) < (self._gaps.maxlen or 0):
            return 0
        if abs(steady) <= self._slight or (abs(steady) <= self._tolerance and not _is_quiet(pcm)):
            return 0
        self._gaps.clear()
        return steady


class _Ready:
    """Bytes that wait to be taken, in order.  Silence takes no room, however long it is."""

    def __init__(self) -> None:
        self._pieces: deque[bytearray | int] = deque()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, pcm: bytes) -> None:
        """Put sound at the end."""
        if not pcm:
            return
        if self._pieces and isinstance(last := self._pieces[-1], bytearray):
            last += pcm
        else:
            self._pieces.append(bytearray(pcm))
        self._size += len(pcm)

    def add_silence(self, size: int) -> None:
        """Put so many bytes of silence at the end."""
        self._pieces.append(size)
        self._size += size

    def take(self, size: int) -> bytes:
        """The first bytes, or all if there are fewer."""
        taken = bytearray()
        while self._pieces and len(taken) < size:
            first, wanted = self._pieces.popleft(), size - len(taken)
            if isinstance(first, bytearray):
                taken += first[:wanted]
                del first[:wanted]
                if first:
                    self._pieces.appendleft(first)
            else:
                taken += bytes(min(first, wanted))
                if first > wanted:
                    self._pieces.appendleft(first - wanted)
        self._size -= len(taken)
        return bytes(taken)


def _is_quiet(pcm: bytes) -> bool:
    samples = array("h", pcm)
    if sys.byteorder == "big":  # pragma: no cover - no such machine is at hand
        samples.byteswap()
    return not samples or (max(samples) <= _QUIET and min(samples) >= -_QUIET)
