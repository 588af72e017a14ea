"""What a callback can hear.

Events are frozen; register for them by class.  ``at`` is :func:`time.monotonic` when the
event was made and takes no part in equality.  ``str(event)`` is what a person would want
to read of it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from voicews.commands import Command
from voicews.config import AudioFormat
from voicews.history import Role
from voicews.lifecycle import State

__all__ = [
    "AudioReceived",
    "CallbackError",
    "CaptureFinished",
    "Connected",
    "DeviceLost",
    "DeviceRestored",
    "Disconnected",
    "Event",
    "FramesDropped",
    "Interrupted",
    "Message",
    "PlaybackFinished",
    "PlaybackStarted",
    "ReconnectFailed",
    "Reconnecting",
    "RecordingFailed",
    "ResponseDone",
    "ResponseStarted",
    "ServerError",
    "SessionExpiring",
    "SoundOffered",
    "SpeechStarted",
    "SpeechStopped",
    "StateChanged",
    "Token",
    "ToolCall",
    "ToolCallCancelled",
    "Transcript",
    "Undelivered",
    "Word",
]


@dataclass(frozen=True)
class Event:
    """The root: registering for it hears everything."""

    at: float = field(default_factory=time.monotonic, init=False, compare=False, repr=False)


# -- the connection -------------------------------------------------------------------


@dataclass(frozen=True)
class StateChanged(Event):
    """The client went from one state to another."""

    old: State
    new: State

    def __str__(self) -> str:
        return f"{self.old.name} -> {self.new.name}"


@dataclass(frozen=True)
class Connected(Event):
    """The server has accepted the session."""

    generation: int
    """Number of the connection, counted from 1."""
    resumed: bool
    """True if an earlier connection of this run was lost."""


@dataclass(frozen=True)
class Disconnected(Event):
    """A connection is over."""

    generation: int
    error: BaseException | None
    """What ended it; None if that was wanted."""


@dataclass(frozen=True)
class Reconnecting(Event):
    """The connection is lost; another attempt follows."""

    attempt: int
    """Counted from 1; 0 where the client moves because the session expires."""
    delay: float
    """Seconds until the attempt."""
    error: BaseException
    """What made it necessary."""
    lasted: float | None = None
    """Seconds that the session lasted which has just been lost, if that was less than
    ``Backoff.stable_after`` and there had been attempts before it: then these are counted on, and so
    ``attempt`` is more than 1.  Else None."""

    @property
    def note(self) -> str:
        """Why the attempts are counted on, in words for people; empty if they are not."""
        if self.lasted is None:
            return ""
        return f"the session lasted only {self.lasted:.1f} s, so earlier attempts still count"


@dataclass(frozen=True)
class ReconnectFailed(Event):
    """The last attempt that the backoff allows has failed; the run ends."""

    attempts: int
    error: BaseException


# -- the conversation -----------------------------------------------------------------


@dataclass(frozen=True)
class SpeechStarted(Event):
    """The server hears the user speak."""


@dataclass(frozen=True)
class SpeechStopped(Event):
    """The server considers the user's turn finished."""


@dataclass(frozen=True)
class Word:
    """One word of a transcript, and when it was said."""

    text: str
    start: float
    """Seconds of sound since the run's first; the count goes on over reconnects."""
    end: float
    """On the same clock."""
    confidence: float | None = None
    """The server's own, from 0 to 1; None if it does not tell."""
    speaker: int | None = None
    """Number of the voice, from 0, where the server tells voices apart; it may begin anew with a
    new connection."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Transcript(Event):
    """Words that were said; prints as its text."""

    role: Role
    text: str
    """All of the utterance so far: a later partial replaces an earlier one."""
    final: bool = True
    words: tuple[Word, ...] = field(default=(), compare=False, repr=False)
    """Its words one by one, from servers that tell when each was said; else empty."""
    replaces: str | None = None
    """The earlier final text that the server corrects with this one: an answer that was interrupted
    was not said to its end.  None for what is new."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Token(Event):
    """A further piece of the answer's text; prints as that piece."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class ResponseStarted(Event):
    """The server begins to answer."""


@dataclass(frozen=True)
class ResponseDone(Event):
    """The server has sent all of its answer; its sound may still be playing."""


@dataclass(frozen=True)
class AudioReceived(Event):
    """Sound has arrived and goes to the loudspeaker."""

    pcm: bytes = field(repr=False)
    """Samples, interleaved, in ``format``."""
    format: AudioFormat


@dataclass(frozen=True)
class SoundOffered(Event):
    """The answer's sound lies at an address; the client fetches it, and plays it if it can."""

    url: str = field(repr=False)
    """``http://`` or ``https://``; whoever knows it may hear the answer, so it is not shown."""
    mime_type: str = ""
    """What the server calls it, such as "audio/wav"."""


@dataclass(frozen=True)
class PlaybackStarted(Event):
    """The loudspeaker begins to play after silence."""


@dataclass(frozen=True)
class PlaybackFinished(Event):
    """All sound received so far has left the loudspeaker, and no more is expected soon.

    Told at once if the server has said that its answer is complete, else after half a second.
    """

    heard_ms: int
    """Milliseconds that left the loudspeaker since :class:`PlaybackStarted`; while it is lost, none do."""


@dataclass(frozen=True)
class Interrupted(Event):
    """The answer was cut off: by the server, or by ``interrupt()``.

    A dialect's session leaves ``heard_ms`` None; the client silences the loudspeaker and
    passes the event on with what was really heard.
    """

    heard_ms: int | None = None
    """Milliseconds of the answer that left the loudspeaker."""


@dataclass(frozen=True)
class ToolCall(Event):
    """The server asks for a function to be called."""

    call_id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class ToolCallCancelled(Event):
    """The server no longer wants the result of this call."""

    call_id: str


@dataclass(frozen=True)
class SessionExpiring(Event):
    """The server will end this session soon; the client moves to a new one by itself, at a
    quiet moment if there is one before."""

    seconds: float
    """How long the session will still live."""


@dataclass(frozen=True)
class ServerError(Event):
    """The service reported an error that did not end the connection."""

    message: str
    code: str | int | None = None

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.code is not None else self.message


@dataclass(frozen=True)
class Message(Event):
    """A message that the dialect has no word for."""

    data: Any
    """The parsed JSON, or the text if it was not JSON."""


# -- the machinery --------------------------------------------------------------------


@dataclass(frozen=True)
class CaptureFinished(Event):
    """The microphone has come to its end, as a WAV file does; silence is sent from here on."""


@dataclass(frozen=True)
class Undelivered(Event):
    """Something that you said did not reach the server, or perhaps not; it is not said again.

    Told of every command but captured sound.  A command counts as delivered once the server
    has answered a ping that went out after it, or our Close frame.
    """

    command: Command
    sent: bool
    """True: the connection was lost before the server confirmed it, so it may have arrived or
    not.  False: it certainly did not."""


@dataclass(frozen=True)
class FramesDropped(Event):
    """Sound was thrown away; told at most once a second."""

    buffer: str
    """"outbox" (towards the server), "playback", "events" or "recording"."""
    cause: str
    """"overflow" (the buffer was full) or "stale" (older than ``Buffers.max_audio_age``)."""
    count: int
    """How many since the last such event."""


@dataclass(frozen=True)
class DeviceLost(Event):
    """A sound device stopped working, or is not there yet (``ClientConfig.await_devices``)."""

    device: str
    """"microphone" or "speaker"."""
    error: BaseException


@dataclass(frozen=True)
class DeviceRestored(Event):
    """It works again."""

    device: str


@dataclass(frozen=True)
class RecordingFailed(Event):
    """The conversation goes on, but it is not recorded any more; what was recorded so far is kept."""

    path: str
    """The WAV file that ends here."""
    error: BaseException
    """Why, such as a :class:`~voicews.RecordingError` that says that the disk is full."""


@dataclass(frozen=True)
class CallbackError(Event):
    """One of your callbacks raised; the traceback is in the log."""

    callback: str
    event: Event
    error: BaseException
