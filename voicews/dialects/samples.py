"""Sound whose messages may be cut anywhere, even within a sample."""

from __future__ import annotations

from voicews.config import AudioFormat

__all__ = ["WholeSamples"]


class WholeSamples:
    """Gives out whole samples, and keeps what was cut off for the next message.

    Args:
        format: of the sound.
    """

    def __init__(self, format: AudioFormat) -> None:
        self.format = format
        self._split = b""

    def take(self, pcm: bytes) -> bytes:
        """All whole samples that are in; perhaps none."""
        pcm = self._split + pcm
        whole = len(pcm) - len(pcm) % self.format.bytes_per_sample
        self._split = pcm[whole:]
        return pcm[:whole]

    def forget(self) -> None:
        """A sample that was never completed would shift all of the next answer by a byte."""
        self._split = b""
