"""Who has the floor: whether this is a moment in which nobody would miss the connection."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from voicews.commands import Command, InterruptResponse
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

__all__ = ["Expiring", "Floor", "Interruptions", "Quiet"]


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


class Interruptions:
    """Sees to it that what the user interrupts is silent from then on, and told once; any thread.

    Between the user's wish and the session's knowing of it, sound of the same answer still comes.  Some
    servers then confirm the interruption, which must not count as another.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unsaid: Command | None = None
        self._unconfirmed = self._confirming = self._told = False

    def begin(self, command: InterruptResponse | None) -> None:
        """The user interrupts, and the session will be told by this command; None if it cannot be."""
        with self._lock:
            self._unsaid = command
            self._unconfirmed = command is not None
            self._confirming = self._told = False

    def end(self, commands: Iterable[Command]) -> None:
        """These have left the outbox: from now on it is the session that knows which sound is wanted."""
        with self._lock:
            if any(command is self._unsaid for command in commands):
                self._unsaid = None

    def play(self, feed: Callable[[], None]) -> None:
        """Play what has come, unless it belongs to what was interrupted."""
        with self._lock:  # so that no feed is on its way when the interruption goes on to silence it
            if self._unsaid is None:
                feed()

    def answer_began(self) -> None:
        """What is interrupted from now on is another answer."""
        with self._lock:
            if self._unsaid is None:
                self._unconfirmed = False

    def heard(self) -> None:
        """The server says that its answer was interrupted: by itself, or to confirm the user's wish."""
        with self._lock:
            self._confirming, self._unconfirmed = self._unconfirmed, False

    def is_news(self) -> bool:
        """The sound is silent now; False if the user was told of that very interruption before."""
        with self._lock:
            again, self._told = self._confirming and self._told, True
            return not again
