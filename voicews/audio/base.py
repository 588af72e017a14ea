"""What a microphone and a loudspeaker have to do for voicews.

Each object is opened, used and closed by one thread, and may be opened again after it was
closed.  An implementation therefore needs no lock of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from voicews.config import AudioFormat

__all__ = ["AudioSink", "AudioSource"]


class AudioSource(ABC):
    """Where captured sound comes from."""

    overflows: int = 0
    """Times that the device lost or skipped sound because it was not read in time."""

    @abstractmethod
    def open(self, format: AudioFormat, frame_samples: int) -> None:
        """Get ready to deliver frames of ``frame_samples`` samples per channel in ``format``.

        If another thread still hangs in :meth:`read`, as some drivers do when their device dies,
        the old device is left to it, to be given back when it returns, and a new one opened.

        Raises:
            AudioError: the device cannot be had; the message says what to do.
        """

    @abstractmethod
    def read(self) -> bytes | None:
        """Wait for the next frame, for about one frame's length at most.

        Returns:
            ``frame_samples`` samples, or None at the end (a file has one), also when asked again.
            None at all (``b""``) counts as a failure of the device.

        Raises:
            AudioError: the device has failed.
        """

    @abstractmethod
    def close(self) -> None:
        """Give the device back.  Closing what is not open does nothing."""


class AudioSink(ABC):
    """Where received sound goes.

    Attributes:
        lead: seconds of sound that the player may write ahead of what is heard.
        attention: seconds after which the player calls :meth:`pending` again while sound is being heard
            and no new sound comes.  A device that is fed there needs it often; one that keeps house by
            itself saves 150 wake-ups a second with a larger value.
        underruns: times that sound ran out while more was to come.
    """

    lead: float = 0.2
    attention: float = 0.005
    underruns: int = 0

    @abstractmethod
    def open(self, format: AudioFormat) -> None:
        """Get ready for sound in ``format``.

        If another thread still hangs in a call, the old device is left to it, to be given back
        when it returns.

        Raises:
            AudioError: the device cannot be had; the message says what to do.
        """

    @abstractmethod
    def write(self, pcm: bytes) -> None:
        """Take whole samples to play after all that was written before.

        Blocks for the sound's own length at most.

        Raises:
            AudioError: the device has failed.
        """

    @abstractmethod
    def pending(self) -> float:
        """Seconds of written sound that have not been heard yet; 0 once all has left the device.

        The player calls it every ``attention`` seconds while there is any: the place for a
        device's housekeeping.

        Raises:
            AudioError: the device has failed.
        """

    @property
    @abstractmethod
    def position(self) -> float:
        """Seconds of written sound that have been heard since :meth:`open`; never goes back."""

    @abstractmethod
    def flush(self) -> float:
        """Be silent now: forget all that was written and not heard.  Returns :attr:`position`."""

    @abstractmethod
    def close(self) -> None:
        """Be silent and give the device back.  Closing what is not open does nothing."""
