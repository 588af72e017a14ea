"""Where a conversation stands: pure bookkeeping over its events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from voicews.cli.meter import QUIETEST, loudness
from voicews.events import (
    AudioReceived,
    Disconnected,
    Event,
    Interrupted,
    PlaybackFinished,
    PlaybackStarted,
    ResponseDone,
    ResponseStarted,
    SpeechStarted,
    SpeechStopped,
    Token,
    Transcript,
)

__all__ = ["Turn", "Turns"]


@dataclass
class Turn:
    """One answer and what it answers.  Times are monotonic seconds."""

    understood: str = ""
    """The user's words as the server understood them."""
    answer: str = ""
    heard_ms: int = 0
    """Milliseconds of the answer that were played."""
    after_server: float | None = None
    """Seconds from the server's "speech stopped" to the first sound."""
    after_speech: float | None = None
    """Seconds from the end of the speech itself to the first sound."""

    def take_over(self, late: Turn) -> None:
        """Add sound that came after a pause."""
        self.heard_ms += late.heard_ms
        self.after_server = late.after_server if self.after_server is None else self.after_server
        self.after_speech = late.after_speech if self.after_speech is None else self.after_speech


class Turns:
    """Follows a conversation.

    Args:
        speech_ended_at: gives the monotonic time of the last sound of speech that was
            captured, where that is known.

    Attributes:
        finished: the turns whose answer has been sent and played to the end; after :meth:`end` also
            one that was cut short by the end of the conversation.
        active_at: monotonic time of the last sign that somebody is speaking.
        silence_at: monotonic time at which silence came from the server; None once sound did.
        began_at: monotonic time at which the last answer began; None before the first.
        understood_at: monotonic time of the last final transcript of the user's words.
    """

    def __init__(self, speech_ended_at: Callable[[], float | None] = lambda: None) -> None:
        self._speech_ended_at = speech_ended_at
        self.finished: list[Turn] = []
        self.active_at = 0.0
        self.silence_at: float | None = None
        self.began_at: float | None = None
        self.understood_at: float | None = None
        self._turn = Turn()
        self._stopped_at: float | None = None
        self._answering = False
        self._open = False
        self._sounding = False
        self._shown = False
        # Of the present answer: it was announced or has words; it has sound that is no silence.
        self._worded = self._audible = False
        self._answers_are_marked = False

    @property
    def idle(self) -> bool:
        """True while no answer is being sent or played."""
        return not self._answering

    def hear(self, event: Event) -> None:
        """Take note of an event."""
        match event:
            case SpeechStopped():
                self._stopped_at = event.at
            case Transcript(role="user", text=text, final=True):
                self.understood_at = event.at
                self._turn.understood = f"{self._turn.understood} {text}".strip()
            case ResponseStarted() | Token():
                self._begin(event.at)
                self._open = self._worded = self._answers_are_marked = True
            case Transcript(role="assistant", text=text, final=True):
                self._begin(event.at)
                self._turn.answer = text
                self._shown = self._worded = True
            case AudioReceived() | PlaybackStarted():
                self._begin(event.at)
                if isinstance(event, AudioReceived) and not self._sounding:
                    self._first_sound(event.at)
                self._sounding = True
            case PlaybackFinished(heard_ms=heard):
                self._turn.heard_ms += heard
                self._sounding = False
            case ResponseDone():
                self._open = False
                self._shown = True
            case Interrupted(heard_ms=heard):
                self._turn.heard_ms += heard or 0
                self._open = self._sounding = False
            case Disconnected():
                self._open = False
                self._stopped_at = None
            case SpeechStarted() | Transcript():
                pass
            case _:
                return
        if isinstance(event, AudioReceived):
            self.silence_at = event.at if loudness(event.pcm) == QUIETEST else None
            self._audible |= self.silence_at is None
        if self.silence_at != event.at and not isinstance(event, Disconnected):
            self.active_at = event.at
        if self._answering and not self._open and not self._sounding:
            self._finish()

    def end(self) -> None:
        """The conversation is over: an answer whose words were all there counts, heard or not."""
        if self._answering and self._shown:
            self._finish()

    def _finish(self) -> None:
        """Sound alone is an answer of a server that announces none; else it belongs to the one before."""
        turn, self._turn = self._turn, Turn()
        if self._worded or (self._audible and not self._answers_are_marked):
            self.finished.append(turn)
        else:
            self._turn.understood = turn.understood
            if self.finished:
                self.finished[-1].take_over(turn)
        self._answering = self._shown = self._worded = self._audible = False

    def _begin(self, at: float) -> None:
        if not self._answering:
            self._answering = True
            self.began_at = at

    def _first_sound(self, at: float) -> None:
        if self._turn.after_speech is None and (ended := self._speech_ended_at()) is not None:
            self._turn.after_speech = at - ended
        if self._stopped_at is not None:
            self._turn.after_server = at - self._stopped_at
            self._stopped_at = None

    def median_of(self, time: Callable[[Turn], float | None]) -> float | None:
        """The median of a time over the finished turns that have it."""
        times = [seconds for turn in self.finished if (seconds := time(turn)) is not None]
        return median(times) if times else None
