"""The capture thread: it alone touches the microphone, from open to close."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from voicews.audio.base import AudioSource
from voicews.audio.silence import SilenceSource
from voicews.buffers import DropOldestQueue, ShutDown
from voicews.commands import Command, SendAudio
from voicews.config import AudioFormat
from voicews.errors import AudioError, BackendMissing, DeviceNotFound
from voicews.events import CaptureFinished, DeviceLost, DeviceRestored, Event
from voicews.stats import Counters
from voicews.threads.reopening import Reopening
from voicews.threads.worker import Worker

__all__ = ["Capture"]

log = logging.getLogger(__name__)


class Capture(Worker):
    """Reads frames and puts them into the outbox.

    A microphone that fails after it has worked is replaced by silence until it can be
    opened again; one that ends, as a file does, is followed by silence: servers wait for
    sound that says that the user is quiet.

    Args:
        source: the microphone.
        format: what the server wants to hear.
        frame: seconds of one frame.
        outbox: where the frames go.
        is_muted: asked per frame; a muted frame is sent as silence.
        emit: tells the user's callbacks.
        opened: called once the microphone (or its fallback) is open.
        fault: called with the error if it cannot be opened at first.
        fallback: taken in place of a microphone that does not exist, or whose library does not.
    """

    def __init__(
        self,
        source: AudioSource,
        *,
        format: AudioFormat,
        frame: float,
        outbox: DropOldestQueue[Command],
        counters: Counters,
        is_muted: Callable[[], bool],
        emit: Callable[[Event], None],
        opened: Callable[[AudioError | None], None],
        fault: Callable[[BaseException], None],
        fallback: AudioSource | None = None,
    ) -> None:
        super().__init__("capture")
        self._source = source
        self._format = format
        self._frame_samples = format.samples(frame)
        self._outbox = outbox
        self._counters = counters
        self._is_muted = is_muted
        self._emit = emit
        self._opened = opened
        self._fault = fault
        self._fallback = fallback

    @property
    def overflows(self) -> int:
        """Times that the microphone lost sound."""
        return self._source.overflows

    def failed(self, error: BaseException) -> None:
        """A source that raises what it should not ends the run with that error."""
        log.error("the capture thread failed", exc_info=error)
        self._fault(error)

    def work(self) -> None:
        """Open, read until asked to end, close."""
        try:
            self._open_first()
        except AudioError as error:
            self._fault(error)
            return
        source, reopening = self._source, Reopening()
        try:
            while not self._ending.is_set():
                if reopening.due and self._reopen(reopening):
                    source.close()
                    source = self._source
                try:
                    pcm = source.read()
                except AudioError as error:
                    log.warning("microphone lost, sending silence: %s", error)
                    source.close()
                    reopening.lost()
                    self._emit(DeviceLost("microphone", error))
                    source = self._silence()
                    continue
                if pcm is None:
                    source.close()
                    self._emit(CaptureFinished())
                    source = self._silence()
                    continue
                self._deliver(pcm)
        except ShutDown:
            log.debug("the outbox is shut")
        finally:
            source.close()

    def _reopen(self, reopening: Reopening) -> bool:
        try:
            self._open(self._source)
        except AudioError as error:
            log.debug("the microphone is still away: %s", error)
            reopening.missing()
            return False
        reopening.opened()
        self._emit(DeviceRestored("microphone"))
        return True

    def _deliver(self, pcm: bytes) -> None:
        if self._is_muted():
            pcm = bytes(len(pcm))
        self._counters.add("frames_captured")
        self._outbox.put(SendAudio(pcm, time.monotonic()))

    def _open_first(self) -> None:
        try:
            self._open(self._source)
        except (DeviceNotFound, BackendMissing) as error:
            if self._fallback is None:
                raise
            self._source = self._fallback
            self._open(self._source)
            self._opened(error)
        else:
            self._opened(None)

    def _open(self, source: AudioSource) -> None:
        source.open(self._format, self._frame_samples)

    def _silence(self) -> AudioSource:
        source = SilenceSource()
        self._open(source)
        return source
