"""The recorder thread: it alone touches the files of a recording, after their beginning."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from voicews.buffers import DropOldestQueue, ShutDown
from voicews.config import AudioFormat
from voicews.errors import RecordingError, ThreadUnavailable
from voicews.events import Event, FramesDropped, RecordingFailed
from voicews.recording.lines import to_json
from voicews.recording.part import Part
from voicews.recording.remarks import Muted, RecordingFinished, RecordingStarted, Unmuted
from voicews.recording.track import Track
from voicews.threads.callbacks import EventStream, is_droppable
from voicews.threads.worker import Worker

__all__ = ["Sound", "Writer"]

log = logging.getLogger(__name__)

_HELD = 2000
"""Pieces and events that wait for a slow disk: about half a minute."""
_INTERVAL = 0.25
"""Seconds between two looks at what has come."""
_BEHIND = 1.0
"""Seconds that the files are behind: sound and events are told after they happened."""
_BLOCK = 1.0
"""Seconds written at a time, so that a program that stood still for an hour makes no huge block."""
_TELL = 1.0
"""Seconds between two events about what was left out."""


@dataclass(frozen=True)
class Sound:
    """What was captured or heard."""

    device: Literal["microphone", "speaker"]
    pcm: bytes = field(repr=False)
    """Empty for a muted microphone."""
    format: AudioFormat
    end: float
    """Monotonic seconds."""


class Writer(Worker):
    """One recording, from the opening of a client to its end.

    Args:
        folder: where the files go.
        rate: samples per second of the WAV files.
        most: samples of one file.
        server: a name to write down.
        emit: tells the user's callbacks.

    Raises:
        OSError: the files cannot be made.

    Attributes:
        ear: what hears the events; kept here, for nobody else keeps it.
    """

    def __init__(
        self, folder: Path, rate: int, most: int, server: str, emit: Callable[[Event], None]
    ) -> None:
        super().__init__("recorder")
        self.ear: EventStream[Event] | None = None
        self._folder = folder
        self._rate = rate
        self._most = most
        self._server = server
        self._emit = emit
        self._queue: DropOldestQueue[Sound | Event] = DropOldestQueue(_HELD, droppable=_may_go)
        self._began = time.monotonic()
        # Below: used by the recorder thread only.
        self._sides = {
            "microphone": Track(rate, window=100, tolerance=0.1),
            "speaker": Track(rate),
        }
        self._muted = False
        self._written = 0
        self._part_from = 0
        self._waiting: list[Event] = []
        self._told = 0
        self._tell_at = 0.0
        self._part = Part(folder, rate)
        self._begin_part()

    # -- from other threads -------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """The present WAV file."""
        return self._part.path

    @property
    def ending(self) -> bool:
        """True once it has been asked to end."""
        return self._ending.is_set()

    def start(self) -> None:
        """Begin to write; raises as :meth:`Worker.start`, and has no file open then."""
        try:
            super().start()
        except ThreadUnavailable:
            self._queue.shutdown(immediate=True)
            self._part.abandon()
            raise

    def put(self, item: Sound | Event) -> None:
        """Take what has happened; never waits."""
        try:
            self._queue.put(item)
        except ShutDown:
            log.debug("%s came after the end of the recording", type(item).__name__)
        except queue.Full:
            self._queue.count_drop("overflow")

    def put_sound(
        self, device: Literal["microphone", "speaker"], pcm: bytes, format: AudioFormat, end: float
    ) -> None:
        """Take what has been captured or heard likewise."""
        self.put(Sound(device, pcm, format, end))

    # -- the recorder thread ------------------------------------------------------------------

    def work(self) -> None:
        """Write until asked to end, and then what is left."""
        try:
            ending = False
            while not ending:
                ending = self._ending.wait(_INTERVAL)
                now = time.monotonic()
                for item in self._queue.drain():
                    self._take(item)
                self._write_until(now if ending else now - _BEHIND)
                self._tell_drops(now)
            self._end_part()
        except OSError as error:
            self._give_up(
                RecordingError(
                    f"cannot write {self.path}: {error.strerror or error}; make room, or choose "
                    "another folder"
                ),
                error,
            )
        finally:
            self._queue.shutdown(immediate=True)
            self._part.abandon()

    def failed(self, error: BaseException) -> None:
        """A bug of ours must not pass for a recording that went well."""
        log.error("the recorder thread failed", exc_info=error)
        self._emit(RecordingFailed(str(self.path), error))

    def _give_up(self, failure: RecordingError, error: OSError) -> None:
        failure.__cause__ = error
        log.error("%s", failure)
        self._emit(RecordingFailed(str(self.path), failure))

    def _take(self, item: Sound | Event) -> None:
        if isinstance(item, Event):
            self._waiting.append(item)
            return
        if item.device == "microphone":
            self._note_muting(item)
        if item.pcm:
            self._sides[item.device].add(item.pcm, item.format, item.end - self._began)

    def _note_muting(self, frame: Sound) -> None:
        muted = not frame.pcm
        if muted is not self._muted:
            self._muted = muted
            mark = Muted() if muted else Unmuted()
            object.__setattr__(mark, "at", frame.end)
            self._waiting.append(mark)

    def _write_until(self, moment: float) -> None:
        until = int((moment - self._began) * self._rate)
        while self._written < until:
            step = min(until, self._written + round(_BLOCK * self._rate), self._part_from + self._most)
            left, right = (side.take(step) for side in self._sides.values())
            self._part.write_sound(left, right)
            self._written = step
            if step - self._part_from >= self._most:
                self._write_events(self._moment(step))
                self._end_part()
                self._part = Part(self._folder, self._rate)
                self._part_from = step
                self._begin_part()
        self._write_events(moment)
        self._part.flush()

    def _moment(self, sample: int) -> float:
        return self._began + sample / self._rate

    def _write_events(self, until: float) -> None:
        """Those that happened by then, in their order: threads tell them in another at times."""
        due = sorted((event for event in self._waiting if event.at <= until), key=lambda event: event.at)
        self._waiting = [event for event in self._waiting if event.at > until]
        for event in due:
            self._write_event(event)

    def _write_event(self, event: Event) -> None:
        self._part.write_line(to_json(event, self._moment(self._part_from)))

    def _begin_part(self) -> None:
        begun = self._moment(self._part_from)
        wall = datetime.now(UTC).timestamp() - (time.monotonic() - begun)
        started = RecordingStarted(
            time=datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds"),
            rate=self._rate,
            part=self._part.number,
            goes_on=self._part_from > 0,
            server=self._server,
        )
        object.__setattr__(started, "at", begun)
        self._write_event(started)
        self._part.flush()

    def _end_part(self) -> None:
        finished = RecordingFinished(self._dropped)
        object.__setattr__(finished, "at", self._moment(self._written))
        self._write_event(finished)
        self._part.close()

    @property
    def _dropped(self) -> int:
        return self._queue.dropped.get("overflow", 0)

    def _tell_drops(self, now: float) -> None:
        dropped = self._dropped
        if dropped > self._told and now >= self._tell_at:
            self._emit(FramesDropped("recording", "overflow", dropped - self._told))
            self._told, self._tell_at = dropped, now + _TELL


def _may_go(item: Sound | Event) -> bool:
    return isinstance(item, Sound) or is_droppable(item)
