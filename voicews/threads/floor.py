"""Who has the floor: whether this is a moment in which nobody would miss the connection."""

from __future__ import annotations

from dataclasses import dataclass

from voicews.events import (
    Event,
    Interrupted,
    PlaybackFinished,
    PlaybackStarted,
    ResponseDone,
    ResponseStarted,
    SpeechStarted,
    SpeechStopped,
)

__all__ = ["Expiring", "Floor", "Quiet"]


@dataclass(frozen=True)
class Expiring:
    """News for the supervisor: the server has announced the end of this connection's session."""

    generation: int
    seconds: float


@dataclass(frozen=True)
class Quiet:
    """News for the supervisor: nobody speaks, and no answer is due."""


class Floor:
    """Follows the events of a conversation; pure."""

    def __init__(self) -> None:
        self._speaking = False
        self._answering = False
        self._playing = False

    @property
    def quiet(self) -> bool:
        """True if neither side speaks and no answer is due."""
        return not (self._speaking or self._answering or self._playing)

    def follow(self, event: Event) -> None:
        """Take note of an event."""
        match event:
            case SpeechStarted():
                self._speaking = True
            case SpeechStopped():
                self._speaking, self._answering = False, True
            case ResponseStarted():
                self._answering = True
            case ResponseDone():
                self._answering = False
            case PlaybackStarted():
                self._playing = True
            case PlaybackFinished():
                self._playing = False
            case Interrupted():
                self._answering = self._playing = False

    def reset(self) -> None:
        """The connection is gone, and with it the turn; what plays goes on playing."""
        self._speaking = self._answering = False
