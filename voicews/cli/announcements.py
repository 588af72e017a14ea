"""What a command itself has to tell, in the form of events: displays then know one kind of thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voicews.events import Event

__all__ = ["Check", "Figures", "Note", "TurnScore", "Verdict", "Written"]


@dataclass(frozen=True)
class Note(Event):
    """A remark about what the command is doing."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Written(Event):
    """What the user says in writing; few servers repeat it as a transcript."""

    text: str


@dataclass(frozen=True)
class Figures(Event):
    """What was measured in a conversation.  Times are in seconds; None was not measured."""

    seconds: float
    """Since the client was opened."""
    turns: int
    """Answers that were finished."""
    rtt_median: float | None
    """The round trip of a WebSocket ping."""
    after_server_median: float | None
    """From the server's "speech stopped" to the answer's first sound."""
    after_speech_median: float | None
    """From the last sound of the speech itself to the answer's first sound; of recordings only."""
    frames_sent: int
    frames_dropped: int
    reconnects: int


@dataclass(frozen=True)
class TurnScore(Event):
    """How one turn of the scripted conversation went.  Shares are from 0 to 1."""

    number: int
    said: str
    understood: str
    words: int
    words_right: float
    answer: str
    answer_right: bool
    sound_heard_as: str
    sound_word_errors: float
    after_speech: float | None
    """Seconds from the end of the speech to the answer's first sound."""


@dataclass(frozen=True)
class Check:
    """One thing that has to hold."""

    what: str
    found: str
    ok: bool


@dataclass(frozen=True)
class Verdict(Event):
    """Whether all that the demonstration promises has held."""

    checks: Sequence[Check]

    @property
    def ok(self) -> bool:
        """True if everything held."""
        return all(check.ok for check in self.checks)
