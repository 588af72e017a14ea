"""A change of sampling rate, block by block and without a seam.

A polyphase FIR filter: a windowed sinc, evaluated only where an output sample lies.  With a
half width of 16 periods of the lower rate its group delay is 1 ms at 16 kHz, where recursive
block resamplers hold back 15 ms and more; simpler means (linear interpolation, or audioop's
``ratecv``) let everything above the new Nyquist frequency fold back into speech.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from voicews.config import AudioFormat
from voicews.errors import FormatUnsupported

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Resampler"]

_HALF_WIDTH = 16
"""Periods of the lower rate on either side: the filter's sharpness against its delay."""
_CUTOFF = 0.46
"""The -6 dB point as a share of the lower rate: flat up to 0.4 of it, and down by 80 dB from 0.54 of
it, so that what folds back lands above 0.46 of it, where speech has next to nothing."""
_BETA = 8.0
"""Kaiser's shape parameter: side lobes below -80 dB."""
_SLICE = 8192
"""Samples per step, so that a whole file does not become one huge matrix."""


class Resampler:
    """Converts signed 16-bit sound from one rate to another.

    Every input sample has its effect at once: ``n`` samples give ``n * out_rate / in_rate`` of
    them, rounded up over all that came before.  Blocks of any lengths give the same output as
    the whole signal at once.  Needs numpy, which is imported here and not with the module.

    Args:
        in_rate: samples per second that go in, 4000 to 192000.
        out_rate: samples per second that come out, 4000 to 192000.
        channels: 1 or 2, interleaved.

    Raises:
        ConfigError: a number is out of its range.
    """

    def __init__(self, in_rate: int, out_rate: int, channels: int = 1) -> None:
        self._source = AudioFormat(in_rate, channels)
        self._target = AudioFormat(out_rate, channels)
        divisor = math.gcd(in_rate, out_rate)
        self._up, self._down = out_rate // divisor, in_rate // divisor
        self._taps = math.ceil(2 * _HALF_WIDTH * max(1.0, in_rate / out_rate))
        self._filters = self._design() if self._up != self._down else None
        self._start_over()

    @property
    def delay(self) -> float:
        """Seconds by which the output lags behind the input."""
        return 0.0 if self._filters is None else self._taps / 2 / self._source.rate

    def inputs_for(self, outputs: int) -> int:
        """The least number of input samples that makes the next :meth:`process` give this many."""
        if outputs < 1:
            return 0
        return ((outputs - 1) * self._down + self._next) // self._up + 1

    def process(self, pcm: bytes) -> bytes:
        """Convert whole samples.

        Raises:
            FormatUnsupported: the bytes are not whole samples.
        """
        if len(pcm) % self._source.bytes_per_sample:
            raise FormatUnsupported(f"{len(pcm)} bytes are not whole samples of {self._source}")
        if self._filters is None or not pcm:
            return bytes(pcm)
        import numpy as np

        samples = np.frombuffer(pcm, "<i2").reshape(-1, self._source.channels)
        parts = [
            self._step(samples[start : start + _SLICE], self._filters)
            for start in range(0, len(samples), _SLICE)
        ]
        return np.concatenate(parts).tobytes()

    def flush(self) -> bytes:
        """What is still in the filter, as if silence followed; then start anew."""
        silence = bytes(self._taps // 2 * self._source.bytes_per_sample)
        tail = self.process(silence) if self._filters is not None else b""
        self._start_over()
        return tail

    def _start_over(self) -> None:
        self._past: NDArray[np.float64] | None = None
        # Where the next output lies after the first sample to come, in units of 1/up of a sample.
        self._next = 0

    def _design(self) -> NDArray[np.float64]:
        """One filter per phase: row p is what to weigh the last ``taps`` samples with."""
        import numpy as np

        length = self._taps * self._up
        cutoff = _CUTOFF * min(1.0, self._up / self._down) / self._up
        steps = np.arange(length) - (length - 1) / 2
        prototype = np.sinc(2 * cutoff * steps) * np.kaiser(length, _BETA)
        phases = prototype.reshape(self._taps, self._up).T[:, ::-1]
        return np.ascontiguousarray(phases / phases.sum(axis=1, keepdims=True))

    def _step(self, samples: NDArray[np.int16], filters: NDArray[np.float64]) -> NDArray[np.int16]:
        import numpy as np

        if self._past is None:
            self._past = np.zeros((self._taps - 1, self._source.channels))
        signal = np.concatenate([self._past, samples])
        places = np.arange(self._next, len(samples) * self._up, self._down)
        self._next += len(places) * self._down - len(samples) * self._up
        self._past = signal[len(signal) - (self._taps - 1) :]
        windows = np.lib.stride_tricks.sliding_window_view(signal, self._taps, axis=0)
        if self._up == 1:
            mixed = windows[places] @ filters[0]
        else:
            mixed = np.einsum("oct,ot->oc", windows[places // self._up], filters[places % self._up])
        rounded: NDArray[np.int16] = np.clip(np.rint(mixed), -32768, 32767).astype("<i2")
        return rounded
