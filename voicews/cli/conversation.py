"""One run of `talk` or `demo`: a client, its display, and where the conversation stands."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from voicews.audio import AudioSink, AudioSource
from voicews.cli.announcements import Figures, Note
from voicews.cli.display import Display, Renderer
from voicews.cli.failures import without_rich
from voicews.cli.json_lines import JsonLines
from voicews.cli.lines import Lines
from voicews.cli.meter import Meter, MeteredSink, MeteredSource
from voicews.cli.recorded_speech import RecordedSpeech
from voicews.cli.streams import tell
from voicews.cli.turns import Turns
from voicews.client import VoiceClient
from voicews.config import ClientConfig
from voicews.deadline import Deadline
from voicews.dialects.base import Dialect
from voicews.errors import InvalidState
from voicews.events import Connected, Event, StateChanged
from voicews.recording import Recorder
from voicews.threads.callbacks import EventStream

__all__ = ["Conversation"]

_HELD = 5000
_LOOK = 0.05
"""Seconds between looks at facts that come without an event, such as the end of a recording."""
_WELCOME = 1.0
"""Seconds for an event that is already under way."""


class Conversation:
    """A client that is shown and followed.

    Args:
        dialect: the server.
        source: the microphone.
        sink: the loudspeaker.
        config: the client's.
        json: show JSON lines.
        plain: show plain lines also on a terminal.
        record: the folder of a recording.
        out: where it is shown; None is standard output.

    Attributes:
        client: the client.
        turns: what has been said and answered.
        over: True once the client has ended by itself.
    """

    def __init__(
        self,
        dialect: Dialect,
        source: AudioSource,
        sink: AudioSink,
        config: ClientConfig,
        *,
        json: bool = False,
        plain: bool = False,
        record: Path | None = None,
        out: TextIO | None = None,
    ) -> None:
        self._recorder = None if record is None else Recorder(record)
        microphone, speaker = Meter(), Meter()
        self.client = VoiceClient(
            dialect,
            microphone=MeteredSource(source, microphone),
            speaker=MeteredSink(sink, speaker),
            config=config,
            recorder=self._recorder,
        )
        recorded = source if isinstance(source, RecordedSpeech) else None
        self.turns = Turns(lambda: recorded.speech_ended_at if recorded else None)
        self.over = False
        self._welcomed = False
        self._events = EventStream(Event, _HELD)
        renderer = _renderer(out or sys.stdout, json, plain, microphone, speaker, self._rtt)
        self._display = Display(renderer, broken=self.client.close)
        self.client.on(Event, self._hear)

    def shown(self) -> Display:
        """Within, everything is shown.

        Raises:
            OSError: it cannot be; a BrokenPipeError if nobody reads stdout any more.
        """
        return self._display

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Within, the conversation takes place; after it come the figures.

        Raises:
            VoicewsError: it could not be opened or closed.
        """
        try:
            self.client.open()
            # What is said from here on is shown after "connected", which comes on another thread.
            self.follow(lambda: self._welcomed, _WELCOME)
            yield
        finally:
            self.client.close()
            self._catch_up()
            if self.connected:
                self.show(self.figures())
            if self._recorder is not None and self._recorder.path is not None:
                folder = self._recorder.folder
                self.note(f"recorded in {self._recorder.path}; `voicews timeline {folder}` draws it")

    def _catch_up(self) -> None:
        """Count what came while nobody followed, up to the end."""
        with suppress(TimeoutError):
            while True:
                self.turns.hear(self._events.get(0))
        self.turns.end()

    @property
    def connected(self) -> bool:
        """True once a server has accepted a session."""
        try:
            return self.client.stats().connections > 0
        except InvalidState:  # never opened
            return False

    def follow(self, until: Callable[[], bool], seconds: float | None = None) -> bool:
        """Go on until a fact is true.

        Args:
            until: the fact; asked after each event, and every 50 ms.
            seconds: how long to wait for it at most.

        Returns:
            True once it is; False if the time has passed, or the server ended the conversation.

        Raises:
            VoicewsError: the client has failed.
        """
        deadline = Deadline(seconds)
        while not until():
            if deadline.passed or self.over:
                return False
            remaining = deadline.remaining()
            try:
                event = self._events.get(_LOOK if remaining is None else min(_LOOK, remaining))
            except TimeoutError:
                continue
            self.turns.hear(event)
            if isinstance(event, StateChanged) and event.new.ended:
                self.over = True
                self.client.wait(0)
        return True

    def note(self, text: str) -> None:
        """Show a remark, and record it."""
        remark = Note(text)
        self._display.show(remark)
        if self._recorder is not None:
            self._recorder.write(remark)

    def show(self, event: Event) -> None:
        """Show an announcement."""
        self._display.show(event)

    def figures(self) -> Figures:
        """What has been measured so far."""
        stats, turns = self.client.stats(), self.turns
        return Figures(
            seconds=stats.seconds,
            turns=len(turns.finished),
            rtt_median=stats.rtt_median,
            after_server_median=turns.median_of(lambda turn: turn.after_server),
            after_speech_median=turns.median_of(lambda turn: turn.after_speech),
            frames_sent=stats.frames_sent,
            frames_dropped=sum(stats.frames_dropped.values()),
            reconnects=max(0, stats.connections - 1),
        )

    def _hear(self, event: Event) -> None:
        """Runs on the client's callbacks thread."""
        self._display.show(event)
        self._welcomed |= isinstance(event, Connected)
        self._events.feed(event)

    def _rtt(self) -> float | None:
        """Runs on the display's thread."""
        try:
            return self.client.stats().rtt
        except InvalidState:
            return None


def _renderer(
    out: TextIO, json: bool, plain: bool, microphone: Meter, speaker: Meter, rtt: Callable[[], float | None]
) -> Renderer:
    if json:
        return JsonLines(out)
    # Nothing can be drawn on a dumb terminal, such as Emacs' shell or many a CI's.
    dumb = os.environ.get("TERM", "").lower() in ("dumb", "unknown")
    if plain or dumb or out is not sys.stdout or not out.isatty():
        return Lines(out)
    try:
        from voicews.cli.screen import Screen
    except ImportError:
        tell(without_rich())
        return Lines(out)
    return Screen(microphone, speaker, rtt)
