"""What stands in a recording beside the events that the client tells."""

from __future__ import annotations

from dataclasses import dataclass

from voicews.events import Event

__all__ = ["Muted", "RecordingFinished", "RecordingStarted", "Remark", "Said", "Unmuted"]


@dataclass(frozen=True)
class RecordingStarted(Event):
    """The first line."""

    time: str
    """By the clock on the wall, in UTC: ISO 8601."""
    rate: int
    part: int
    """The number of the files."""
    goes_on: bool
    """True if the part before holds the beginning of the same conversation."""
    server: str
    """The dialect."""


@dataclass(frozen=True)
class RecordingFinished(Event):
    """The last line of a part that was not cut short."""

    dropped: int
    """Pieces of sound, and events, that were left out because the disk did not keep pace."""


@dataclass(frozen=True)
class Remark(Event):
    """What the program had to say."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Said(Event):
    """The user spoke up in another way than aloud."""

    command: str
    """Its class: SendText, StartTurn, EndTurn or InterruptResponse."""
    text: str | None = None


@dataclass(frozen=True)
class Muted(Event):
    """From here on silence is sent."""


@dataclass(frozen=True)
class Unmuted(Event):
    """From here on the microphone's sound is sent."""
