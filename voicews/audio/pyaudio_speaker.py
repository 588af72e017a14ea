"""A loudspeaker by way of PyAudio, for programs that keep the interpreter busy."""

from __future__ import annotations

import logging
import threading
import time

from voicews.audio.base import AudioSink
from voicews.audio.clock import PlaybackClock
from voicews.audio.convert import Converter, require_whole_samples
from voicews.audio.portaudio import COMMON_RATES, Stream, open_stream
from voicews.config import AudioFormat
from voicews.errors import DeviceLostError, InvalidState

__all__ = ["PyAudioSpeaker"]

log = logging.getLogger(__name__)


class PyAudioSpeaker(AudioSink):
    """Plays on a sound device by blocking writes.

    Takes less of the processor than :class:`Speaker` and stands a busy interpreter better, notices
    at once that its device has gone, and leaves ``pygame.mixer`` to the program.  Up to 60 ms of
    sound are with the device, where what was written ahead is not.  :meth:`write` waits for the
    device, so give it short pieces if you want to be able to flush.

    Args:
        device: None for the system's default, an index, or a part of the name in any case;
            ``voicews devices`` lists them.

    Attributes:
        underruns: times that the sound ran out and went on within half a second.
    """

    _PIECE = 0.02
    """Seconds written at a time, and the period that the device is asked for."""
    _LEAD_IN = 0.01
    """Seconds of silence before the first sound."""

    def __init__(self, device: int | str | None = None) -> None:
        self._device = device
        self._handover = threading.Lock()
        self._openings = 0
        self._stream: Stream | None = None
        self._owner: threading.Thread | None = None
        self._clock = PlaybackClock()

    def open(self, format: AudioFormat) -> None:
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
        formats = dict.fromkeys(
            AudioFormat(rate, channels)
            for rate in (format.rate, *COMMON_RATES)
            for channels in (format.channels, 3 - format.channels)
        )
        stream = open_stream("output", self._device, list(formats), self._PIECE)
        try:
            stream.stop()
        except BaseException:
            stream.close()
            raise
        with self._handover:
            if mine == self._openings:
                self._begin_anew(stream, format)
                return
        stream.close()
        raise DeviceLostError("another thread has opened the loudspeaker meanwhile")

    def _begin_anew(self, stream: Stream, format: AudioFormat) -> None:
        log.info("loudspeaker %r opened: %s", stream.device.name, stream.format)
        self._running = False
        self._format = format
        self._converter = Converter(format, stream.format)
        self._owner = threading.current_thread()
        self._clock = PlaybackClock(self._PIECE + self._LEAD_IN)
        self._begun = self._wrote_at = 0.0
        self._stream = stream

    def write(self, pcm: bytes) -> None:
        """Hand these samples to the device, waiting while its buffer is full.

        Raises:
            DeviceLostError: the device has stopped; close and open again.
            FormatUnsupported: the bytes are not whole samples.
            InvalidState: the speaker is not open in this thread.
        """
        stream = self._require_stream("write")
        require_whole_samples(pcm, self._format)
        if not pcm:
            return
        now = time.monotonic()
        idle = not self._clock.pending(now)
        if self._clock.add(self._format.seconds(pcm), now):
            self.underruns += 1
        if idle or not self._running:
            self._begin(stream)
        step = self._format.bytes(self._PIECE)
        for start in range(0, len(pcm), step):
            piece = pcm[start : start + step]
            stream.write(self._converter.process(piece))
            self._begun += self._format.seconds(piece)
        self._wrote_at = time.monotonic()

    def _begin(self, stream: Stream) -> None:
        """Start from an empty buffer; some servers swallow the first milliseconds of a stream."""
        if self._running:
            stream.stop()
        stream.start()
        self._running = True
        self._begun = self._LEAD_IN
        stream.write(bytes(stream.format.bytes(self._LEAD_IN)))

    def pending(self) -> float:
        """Seconds of written sound that have not been heard, reckoned by the clock.

        Raises:
            DeviceLostError: the device has stopped; close and open again.
            InvalidState: the speaker is not open in this thread.
        """
        stream = self._require_stream("pending")
        stream.require_right_of_way()
        now = time.monotonic()
        if self._running and self._begun < self._PIECE and now - self._wrote_at >= self._PIECE:
            # The device starts with a full period only, and so little is not one.
            stream.write(bytes(stream.format.bytes(self._PIECE)))
            self._begun += self._PIECE
        return self._clock.pending(now)

    @property
    def position(self) -> float:
        """Seconds of written sound that have been heard, reckoned by the clock: good to some 20 ms."""
        return self._clock.position(time.monotonic())

    def flush(self) -> float:
        """Be silent: the device's own delay later nothing is heard.  Returns :attr:`position`.

        Raises:
            DeviceLostError: the device has stopped; close and open again.
            InvalidState: the speaker is not open in this thread.
        """
        stream = self._require_stream("flush")
        if self._running:
            self._running = False
            stream.stop()
        return self._clock.forget(time.monotonic())

    def close(self) -> None:
        """Be silent and give the device back.

        Raises:
            InvalidState: another thread has it open and still runs.
            DeviceLostError: another thread hangs in the sound system.
        """
        if self._stream is None:
            return
        owner = self._owner
        if owner is not threading.current_thread() and owner is not None and owner.is_alive():
            raise InvalidState(f"the speaker belongs to thread {owner.name!r}, which has to close it")
        self._clock.forget(time.monotonic())
        stream, self._stream = self._stream, None
        stream.close()

    def _require_stream(self, what: str) -> Stream:
        if self._stream is None:
            raise InvalidState(f"{what}() on a PyAudioSpeaker that is not open")
        if self._owner is not threading.current_thread():
            raise InvalidState(f"{what}() on a PyAudioSpeaker that another thread has opened")
        return self._stream

    def __repr__(self) -> str:
        return f"PyAudioSpeaker({'' if self._device is None else repr(self._device)})"
