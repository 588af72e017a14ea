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
from voicews.errors import AudioError, BackendMissing, DeviceLostError, DeviceNotFound, FormatUnsupported
from voicews.events import CaptureFinished, DeviceLost, DeviceRestored, Event
from voicews.stats import Counters
from voicews.threads.device_worker import Abandoned, DeviceWorker
from voicews.threads.reopening import DeviceUser

__all__ = ["Capture"]

log = logging.getLogger(__name__)


class Capture(DeviceWorker):
    """Reads frames and puts them into the outbox.

    A microphone that fails after it has worked is replaced by silence until it can be
    opened again; one that ends, as a file does, is followed by silence: servers wait for
    sound that says that the user is quiet.

    Args:
        source: the microphone.
        format: what the server wants to hear.
        frame: seconds of one frame.
        patience: seconds that opening the microphone, and its first frame, may take.
        outbox: where the frames go.
        is_muted: asked per frame; a muted frame is sent as silence.
        emit: tells the user's callbacks.
        opened: called once the microphone (or its fallback) is open.
        fault: called with the error if it cannot be opened at first.
        fallback: taken in place of a microphone that does not exist, or whose library does not.
        awaits: True treats a microphone that cannot be opened at first as one that was lost.
        abandoned: a capture thread that hangs in the microphone; this one takes its place, and begins
            with silence and the attempt to open the microphone again.
    """

    def __init__(
        self,
        source: AudioSource,
        *,
        format: AudioFormat,
        frame: float,
        patience: float,
        outbox: DropOldestQueue[Command],
        counters: Counters,
        is_muted: Callable[[], bool],
        emit: Callable[[Event], None],
        opened: Callable[[AudioError | None], None],
        fault: Callable[[BaseException], None],
        fallback: AudioSource | None = None,
        awaits: bool = False,
        abandoned: Capture | None = None,
    ) -> None:
        super().__init__("capture", "microphone", patience, abandoned)
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
        self._awaits = awaits
        # Below: used by the capture thread only.
        self._present: AudioSource = source
        self._fresh = True

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
            if self._lost:
                self._be_silent()
                self._reopening.missing()
            elif not self._open_first():
                return
            try:
                while not self._ending.is_set():
                    self._step()
            except ShutDown:
                log.debug("the outbox is shut")
            finally:
                self._end(self._present)
        except Abandoned:
            self._come_back(self._source)

    def _step(self) -> None:
        if self._reopening.ready():
            self._reopen()
        try:
            pcm = self._in_device(self._read, self._patience if self._fresh else None)
        except AudioError as error:
            log.warning("microphone lost, sending silence: %s", error)
            self._lose(error)
            return
        self._fresh = False
        if pcm is None:
            self._give_back(self._present)
            self._emit(CaptureFinished())
            self._be_silent()
            return
        if self._is_muted():
            pcm = bytes(len(pcm))
        self._counters.add("frames_captured")
        try:
            self._outbox.put(SendAudio(pcm, time.monotonic()))
        except ShutDown:
            self._outbox.count_drop("unsent")
            raise

    def _open_first(self) -> bool:
        """False if that was not possible, and told as a fault."""
        try:
            self._open(self._source)
        except AudioError as error:
            hopeless = isinstance(error, BackendMissing | FormatUnsupported)
            if self._awaits and not hopeless:
                log.warning("no microphone yet, sending silence: %s", error)
                self._lose(error)
                self._opened(None)
            elif self._fallback is not None and isinstance(error, DeviceNotFound | BackendMissing):
                self._source = self._present = self._fallback
                self._open(self._source)
                self._opened(error)
            else:
                self._fault(error)
                return False
        else:
            self._opened(None)
        return True

    def _open(self, source: AudioSource) -> None:
        source.open(self._format, self._frame_samples)
        self._fresh = True

    def _lose(self, error: AudioError) -> None:
        self._give_back(self._present)
        self._be_silent()
        self._lost = True
        self._reopening.lost()
        self._emit(DeviceLost("microphone", error))

    def _be_silent(self) -> None:
        self._present = SilenceSource()
        self._open(self._present)

    def _read(self) -> bytes | None:
        return _something(self._present.read())

    def _try_out(self, trial: DeviceUser) -> None:
        self._source.open(self._format, self._frame_samples)
        try:
            if not trial.superseded:
                _something(self._source.read())
        finally:
            if not trial.superseded:
                self._source.close()

    def _reopen(self) -> None:
        try:
            self._in_device(lambda: self._open(self._source), self._patience)
        except AudioError as error:
            log.debug("the microphone is still away: %s", error)
            self._reopening.missing()
            return
        self._present = self._source
        self._lost = False
        self._reopening.opened()
        self._emit(DeviceRestored("microphone"))


def _something(pcm: bytes | None) -> bytes | None:
    """A frame without samples takes no time, and there would be thousands in a second."""
    if pcm is not None and not pcm:
        raise DeviceLostError("the microphone yields nothing", hangs=True)
    return pcm
