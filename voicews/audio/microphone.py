"""The microphone, by way of PyAudio."""

from __future__ import annotations

import logging
import threading
import time

from voicews.audio.base import AudioSource
from voicews.audio.convert import Framer
from voicews.audio.portaudio import COMMON_RATES, Stream, open_stream
from voicews.config import AudioFormat
from voicews.errors import DeviceLostError, InvalidState

__all__ = ["Microphone"]

log = logging.getLogger(__name__)


class Microphone(AudioSource):
    """Captures from a sound device.

    The device is opened in the wanted format if it has it, else at a rate and with a number of
    channels that it has, and converted.  Reading blocks, which of PyAudio's two ways is the
    one that loses nothing when the interpreter is busy.

    Sound servers hand a program that has stood still all that it missed.  Up to a quarter of a
    second of that is delivered at once; more is stale, and dropped until the sound is live again.

    Args:
        device: None for the system's default, an index, or a part of the name in any case;
            ``voicews devices`` lists them.
        rate: open the device at this rate (Hz) and no other; None finds one.

    Attributes:
        overflows: times that sound was lost or skipped.
    """

    _BACKLOG = 0.25
    """Seconds that may come at once.  Sound servers deliver in blocks of up to 0.2 s."""
    _GAP = 0.15
    """Seconds by which the sound must fall behind the clock to count as lost."""
    _DRIFT = 0.002
    """Seconds per second that a device's clock may differ from ours."""

    def __init__(self, device: int | str | None = None, rate: int | None = None) -> None:
        self._device = device
        self._rate = rate
        self._handover = threading.Lock()
        self._openings = 0
        self._stream: Stream | None = None
        self._owner: threading.Thread | None = None

    def open(self, format: AudioFormat, frame_samples: int) -> None:
        """Open the device; takes up to 0.3 s.

        If another thread has it open and hangs in the driver, that stream is left to it, for
        closing it would crash, and a new one is opened.

        Raises:
            BackendMissing: PyAudio is not there; the message says how to install it.
            DeviceNotFound: there is no such device; the message lists those there are.
            FormatUnsupported: the device has no rate that could be used.
            DeviceLostError: another thread hangs in the sound system, or has opened it meanwhile.
            AudioError: the device does not open.
        """
        with self._handover:
            self._openings += 1
            mine = self._openings
            old, self._stream = self._stream, None
        if old is not None:
            old.leave()
        frame = frame_samples / format.rate
        stream = open_stream("input", self._device, self._formats(format), frame)
        with self._handover:
            if mine == self._openings:
                self._begin(stream, format, frame_samples)
                return
        stream.close()
        raise DeviceLostError("another thread has opened the microphone meanwhile")

    def _begin(self, stream: Stream, format: AudioFormat, frame_samples: int) -> None:
        log.info("microphone %r opened: %s", stream.device.name, stream.format)
        self._framer = Framer(stream.format, format, frame_samples)
        self._owner = threading.current_thread()
        self._at_once = 0.0
        self._started: float | None = None
        self._captured = self._behind = 0.0
        self._stream = stream

    def _formats(self, wanted: AudioFormat) -> list[AudioFormat]:
        """What to try: the wanted format first, then whatever costs least to convert."""
        rates = (self._rate,) if self._rate is not None else (wanted.rate, *COMMON_RATES)
        channels = (wanted.channels, 3 - wanted.channels)
        return list(dict.fromkeys(AudioFormat(rate, count) for rate in rates for count in channels))

    def read(self) -> bytes:
        """Wait for the next frame.

        Raises:
            DeviceLostError: the device has stopped; close and open again.
            InvalidState: the microphone is not open.
        """
        stream = self._stream
        if stream is None:
            raise InvalidState("read() on a Microphone that is not open")
        while (frame := self._framer.take()) is None:
            samples = self._framer.needs
            before = time.monotonic()
            raw = stream.read(samples)
            now = time.monotonic()
            if self._stream is not stream:
                raise DeviceLostError("this thread hung in the microphone's driver, and was replaced")
            if not self._is_stale(samples / stream.format.rate, before, now):
                self._framer.add(raw)
        return frame

    def _is_stale(self, seconds: float, before: float, now: float) -> bool:
        """Judge by the time that a frame took to come whether it is live; count what was lost."""
        live = now - before >= seconds / 2
        was_stale = self._at_once > self._BACKLOG
        self._captured += seconds
        if live:
            self._count_losses(seconds, now)
            self._at_once = 0.0
        else:
            self._at_once += seconds
        stale = self._at_once > self._BACKLOG
        if stale and not was_stale:
            self.overflows += 1
            self._framer.clear()
            log.warning("the microphone was not read for a while; stale sound is dropped")
        return stale

    def _count_losses(self, seconds: float, now: float) -> None:
        """Notice sound that never came: PyAudio can tell of an overflow only by closing the stream.

        Live frames run a fixed time behind the clock.  Where that time jumps, sound is missing.
        """
        if self._started is None:
            self._started, self._captured = now, 0.0
        behind = now - self._started - self._captured
        if behind - self._behind > self._GAP:
            self.overflows += 1
            self._behind = behind
            log.warning("the microphone lost sound")
        self._behind = min(behind, self._behind + self._DRIFT * seconds)

    def close(self) -> None:
        """Give the device back.

        Raises:
            InvalidState: another thread has it open and still runs.
            DeviceLostError: another thread hangs in the sound system.
        """
        if self._stream is None:
            return
        owner = self._owner
        if owner is not threading.current_thread() and owner is not None and owner.is_alive():
            raise InvalidState(f"the microphone belongs to thread {owner.name!r}, which has to close it")
        stream, self._stream = self._stream, None
        stream.close()

    def __repr__(self) -> str:
        return f"Microphone({'' if self._device is None else repr(self._device)})"
