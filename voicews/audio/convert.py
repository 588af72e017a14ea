"""From one :class:`AudioFormat` to another."""

from __future__ import annotations

from voicews.audio.resample import Resampler
from voicews.config import AudioFormat
from voicews.errors import FormatUnsupported

__all__ = ["Converter", "Framer", "blend", "require_whole_samples"]


def require_whole_samples(pcm: bytes | bytearray | memoryview, format: AudioFormat) -> None:
    """Refuse half a sample, which would turn all that follows into noise.

    Raises:
        FormatUnsupported: the bytes are not whole samples of all channels.
    """
    if len(pcm) % format.bytes_per_sample:
        raise FormatUnsupported(
            f"{len(pcm)} bytes are not whole samples of {format}, of {format.bytes_per_sample} bytes each"
        )


def blend(first: bytes, second: bytes, channels: int) -> bytes:
    """Two pieces of the same length as one: it begins as the first and ends as the second."""
    import numpy as np

    before = np.frombuffer(first, "<i2").reshape(-1, channels).astype(np.float32)
    after = np.frombuffer(second, "<i2").reshape(-1, channels)
    share = np.linspace(0.0, 1.0, len(before), dtype=np.float32)[:, None]
    return (before + (after - before) * share).round().astype("<i2").tobytes()


class Converter:
    """Changes the rate and the number of channels, in a stream.

    Stereo becomes mono as the mean of both channels; mono becomes stereo by doubling.  What is
    equal costs nothing and needs no numpy.
    """

    def __init__(self, source: AudioFormat, target: AudioFormat) -> None:
        self.source = source
        self.target = target
        # Mixing down first, or doubling last, leaves the filter one channel to work on.
        self._resampler = Resampler(source.rate, target.rate, min(source.channels, target.channels))

    @property
    def idle(self) -> bool:
        """True if there is nothing to convert."""
        return self.source == self.target

    @property
    def delay(self) -> float:
        """Seconds by which the output lags behind the input."""
        return self._resampler.delay

    def inputs_for(self, outputs: int) -> int:
        """The least number of input samples that makes the next :meth:`process` give this many."""
        return self._resampler.inputs_for(outputs)

    def process(self, pcm: bytes) -> bytes:
        """Convert whole samples.

        Raises:
            FormatUnsupported: the bytes are not whole samples of the source's format.
        """
        require_whole_samples(pcm, self.source)
        if self.source.channels > self.target.channels:
            pcm = _to_mono(pcm)
        pcm = self._resampler.process(pcm)
        return _to_stereo(pcm) if self.source.channels < self.target.channels else pcm

    def flush(self) -> bytes:
        """What is still in the filter; then start anew."""
        tail = self._resampler.flush()
        return _to_stereo(tail) if self.source.channels < self.target.channels else tail


class Framer:
    """Converts, and cuts what comes out into frames of one length.

    Where the rate goes up, one sample in can be several out: what is too much for a frame is
    the beginning of the next.
    """

    def __init__(self, source: AudioFormat, target: AudioFormat, frame_samples: int) -> None:
        self._converter = Converter(source, target)
        self._sample_bytes = target.bytes_per_sample
        self._frame_bytes = frame_samples * self._sample_bytes
        self._ready = bytearray()

    @property
    def needs(self) -> int:
        """Samples of the source that complete the next frame; 0 if it is complete."""
        missing = self._frame_bytes - len(self._ready)
        return self._converter.inputs_for(missing // self._sample_bytes) if missing > 0 else 0

    def add(self, pcm: bytes) -> None:
        """Convert whole samples.

        Raises:
            FormatUnsupported: the bytes are not whole samples of the source's format.
        """
        self._ready += self._converter.process(pcm)

    def finish(self) -> None:
        """No more will come: make what is left a frame, filled up with silence."""
        self._ready += self._converter.flush()
        self._ready += bytes(-len(self._ready) % self._frame_bytes)

    def take(self) -> bytes | None:
        """The next frame, or None if it is not complete."""
        if len(self._ready) < self._frame_bytes:
            return None
        frame = bytes(self._ready[: self._frame_bytes])
        del self._ready[: self._frame_bytes]
        return frame

    def clear(self) -> None:
        """Forget what was not taken."""
        self._converter.flush()
        self._ready.clear()


def _to_mono(pcm: bytes) -> bytes:
    import numpy as np

    stereo = np.frombuffer(pcm, "<i2").reshape(-1, 2)
    mean: bytes = ((stereo[:, 0].astype(np.int32) + stereo[:, 1]) // 2).astype("<i2").tobytes()
    return mean


def _to_stereo(pcm: bytes) -> bytes:
    import numpy as np

    return np.repeat(np.frombuffer(pcm, "<i2"), 2).tobytes()
