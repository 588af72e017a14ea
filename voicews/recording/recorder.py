"""The recorder: it takes part in a conversation, and writes down what it hears."""

from __future__ import annotations

import atexit
import logging
import math
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from voicews.audio.base import AudioSink, AudioSource
from voicews.callables import safe_repr
from voicews.commands import Command, EndTurn, InterruptResponse, SendText, StartTurn
from voicews.config import AudioFormat
from voicews.errors import ConfigError, InvalidState, RecordingError
from voicews.events import Event
from voicews.threads.callbacks import Callbacks, EventStream

if TYPE_CHECKING:
    from voicews.recording.writer import Writer

__all__ = ["Recorder"]

log = logging.getLogger(__name__)

_HOUR = 3600.0
_LAST_WORDS = 2.0
"""Seconds that a recording which is ending gets before the next may begin."""
_AT_EXIT = 2.0
"""Seconds that the interpreter's end waits for what is being written."""


class Recorder:
    """Records the conversations of a client, both sides and all that happens.

    ::

        voice = VoiceClient("ws://localhost:8765", recorder=Recorder("recordings"))

    Each time the client is opened, two files with the next free number are made in the folder:
    ``conversation-001.wav``, in stereo, with the microphone as it was sent on the left and the
    loudspeaker as it was heard on the right; and ``conversation-001.jsonl``, with a line for each
    event.  Both begin with the same moment.  A microphone that is muted is silent.

    The files are written by a thread of their own, ``voicews-recorder``.  If the disk does not
    keep pace, sound is left out and told in :class:`~voicews.FramesDropped` events; if it is full,
    the recording ends with a :class:`~voicews.RecordingFailed` event, and the conversation goes on.
    A program that is killed leaves files that can be played, up to its last second.

    Args:
        folder: where the files go; it is made if it does not exist.
        rate: samples per second of the WAV file, 4000 to 192000; None takes the higher of what
            the server wants to hear and what it sends.
        part: seconds after which the recording goes on in the next two files, 1 or more, so that
            no file grows without end; a file never gets larger than a WAV file can be.

    Raises:
        ConfigError: an argument is wrong.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, rate: int | None = None, part: float = _HOUR
    ) -> None:
        if rate is not None:
            AudioFormat(rate)
        if isinstance(part, bool) or not isinstance(part, int | float) or not 1 <= part < math.inf:
            raise ConfigError(
                f"`part` is {safe_repr(part)}; it must be a number of seconds, at least 1 (86400 for a day)"
            )
        if not isinstance(folder, str | os.PathLike) or str(folder) == "" or "\0" in str(folder):
            raise ConfigError(f'`folder` is {safe_repr(folder)}; it must be a path, such as "recordings"')
        self._folder = Path(folder)
        self._rate = rate
        self._part = part
        self._lock = threading.Lock()
        self._writer: Writer | None = None

    @property
    def folder(self) -> Path:
        """Where the files go."""
        return self._folder

    @property
    def path(self) -> Path | None:
        """The WAV file that is being written, or was last; None before the first."""
        writer = self._writer
        return None if writer is None else writer.path

    def note(self, text: str) -> None:
        """Write a remark of your own among the events, with the present time; any thread.

        Does nothing while no conversation is recorded.

        Raises:
            ConfigError: it is not text.
        """
        from voicews.recording.remarks import Remark

        if not isinstance(text, str):
            raise ConfigError(f"`text` is {safe_repr(text)}; it must be a string")
        self.write(Remark(text))

    def write(self, event: Event) -> None:
        """Write any event among the client's own, at its own time; any thread.

        Does nothing while no conversation is recorded.

        Raises:
            ConfigError: it is not an event.
        """
        if not isinstance(event, Event):  # else the thread that writes would end over it
            raise ConfigError(f"`event` is {safe_repr(event)}; it must be an Event of voicews")
        writer = self._writer
        if writer is not None:
            writer.put(event)

    def ended_within(self, seconds: float | None = None) -> bool:
        """Wait until the files of the last conversation are complete; True if they are.

        ``VoiceClient.close()`` does that by itself.
        """
        writer = self._writer
        return writer is None or writer.ended_within(seconds)

    def __repr__(self) -> str:
        return f"Recorder({str(self._folder)!r})"

    # -- for the client -----------------------------------------------------------------------

    def microphone(self, source: AudioSource, is_muted: Callable[[], bool]) -> AudioSource:
        """The microphone that the client has to use instead."""
        from voicews.recording.taps import TappedSource

        return TappedSource(source, self._note_captured, is_muted)

    def speaker(self, sink: AudioSink) -> AudioSink:
        """The loudspeaker likewise."""
        from voicews.recording.taps import TappedSink

        return TappedSink(sink, self._note_heard)

    def begin(self, callbacks: Callbacks, server: str, *formats: AudioFormat) -> None:
        """Record from now on, until the callbacks have ended.

        Args:
            callbacks: what tells the events.
            server: what is to be written down of it: the name of its dialect.
            formats: what goes up, and what comes down.

        Raises:
            RecordingError: the files cannot be made.
            InvalidState: it records another client, or cannot end the last recording.
        """
        from voicews.recording.part import MOST_SAMPLES
        from voicews.recording.writer import Writer

        with self._lock:
            last = self._writer
            if last is not None and not last.ended_within(_LAST_WORDS if last.ending else 0):
                raise InvalidState(
                    "this Recorder still writes another conversation; each client needs one of its own"
                )
            rate = self._rate or max(each.rate for each in formats)
            most = round(min(MOST_SAMPLES, self._part * rate))
            try:
                writer = Writer(self._folder, rate, most, server, callbacks.emit)
            except OSError as error:
                why = "it is a file" if self._folder.is_file() else error.strerror or error
                raise RecordingError(
                    f"cannot record in {self._folder}: {why}; choose another folder"
                ) from error
            self._writer = writer
        writer.ear = _Ear(writer)
        callbacks.attach(writer.ear)
        _writers.add(writer)
        writer.start()

    def told(self, command: Command) -> None:
        """The user said something other than aloud; any thread."""
        from voicews.recording.remarks import Said

        if isinstance(command, SendText):
            self.write(Said(type(command).__name__, command.text))
        elif isinstance(command, StartTurn | EndTurn | InterruptResponse):
            self.write(Said(type(command).__name__))

    def _note_captured(self, pcm: bytes, format: AudioFormat, end: float) -> None:
        """Runs on the capture thread."""
        writer = self._writer
        if writer is not None:
            writer.put_sound("microphone", pcm, format, end)

    def _note_heard(self, pcm: bytes, format: AudioFormat, end: float) -> None:
        """Runs on the player thread."""
        writer = self._writer
        if writer is not None:
            writer.put_sound("speaker", pcm, format, end)


class _Ear(EventStream[Event]):
    """Hears every event when it is told, however slow the callbacks are."""

    def __init__(self, writer: Writer) -> None:
        super().__init__(Event, 1)
        self._writer = writer

    def feed(self, event: Event) -> None:
        self._writer.put(event)

    def close(self) -> None:
        super().close()
        self._writer.stop()


_writers: weakref.WeakSet[Writer] = weakref.WeakSet()


@atexit.register
def _complete() -> None:
    """Clients that nobody closed have been closed by now: what they said last is still to be written."""
    for writer in list(_writers):
        # In the child of a fork it is not alive, and its locks may be held for ever.
        if writer.is_alive():
            writer.stop()
            if not writer.ended_within(_AT_EXIT):
                log.warning("at exit: %s is not complete", writer.path)
