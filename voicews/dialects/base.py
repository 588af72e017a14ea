"""How a dialect plugs in.

A :class:`Dialect` is a server's address and settings; a :class:`Session` is the pure state
machine of one connection to it.  Neither knows a socket, a thread, a clock or chance: what
is said goes in as commands, what the server sends goes in as messages, and out come
messages to send and events to tell.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import urlsplit

from voicews.commands import (
    Command,
    EndTurn,
    InterruptResponse,
    SendAudio,
    SendMessage,
    SendText,
    StartTurn,
    ToolResult,
    TruncateResponse,
)
from voicews.config import AudioFormat
from voicews.errors import Unsupported, VoicewsError
from voicews.events import Event, SoundOffered
from voicews.history import History
from voicews.tools import Tool

__all__ = ["Dialect", "Fetch", "Request", "Session", "Sound", "bare_url", "unsupported"]

Fetch = Callable[[str, Mapping[str, str]], bytes]
"""Gets what lies at an address over HTTP, with these headers: the body.  Raises ``VoicewsError``."""
Sound = tuple[bytes, AudioFormat]
"""Samples, interleaved, and what they are."""

_IN_WORDS: Mapping[type[Command], str] = {
    SendAudio: "sound",
    SendText: "text",
    StartTurn: "the beginning of a turn",
    EndTurn: "the end of a turn",
    InterruptResponse: "interruptions",
    TruncateResponse: "how much of an answer was heard",
    ToolResult: "results of tools",
    SendMessage: "messages in the server's own words",
}


def unsupported(dialect: str, command: Command, accepts: Collection[type[Command]]) -> Unsupported:
    """The error for a command that a dialect cannot send, in the words of who gave it.

    Args:
        dialect: its name.
        command: what cannot be sent.
        accepts: what can be.
    """
    kind = type(command)
    given = f"{_IN_WORDS[kind]} ({kind.__name__})" if kind in _IN_WORDS else kind.__name__
    only = "only listens" if SendText not in accepts else "is not made for that"
    rest = ", ".join(f"{words} ({one.__name__})" for one, words in _IN_WORDS.items() if one in accepts)
    return Unsupported(
        f"{dialect} cannot send {given}: its server {only}. What can be sent is {rest or 'nothing'}"
    )


def bare_url(url: str) -> str:
    """The part of a URL that can be shown to anybody: without user, password, query and fragment.

    Of what is no URL, and so may be anything, nothing is left.
    """
    try:
        parts = urlsplit(url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        port = f":{parts.port}" if parts.port is not None else ""
    except (ValueError, TypeError, AttributeError):
        return ""
    return f"{parts.scheme}://{host}{port}{parts.path}" if host else ""


@dataclass(frozen=True)
class Request:
    """What a WebSocket handshake asks for."""

    url: str = field(repr=False)
    """``ws://`` or ``wss://``; its query may hold a token, so it is not shown."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    subprotocols: Sequence[str] = field(default=(), repr=False)


class Dialect(ABC):
    """A server's address, settings and language: frozen, and safe to share between clients."""

    key_variables: ClassVar[Sequence[str]] = ()
    """Variables of the environment that a key is taken from, the first one first."""
    restores: ClassVar[str] = "nothing"
    """What a new connection takes up of the conversation of the one before, in a few words."""

    @property
    def answers(self) -> bool:
        """True (the default) if the server answers; False if it only writes down what it hears."""
        return True

    @property
    @abstractmethod
    def input_format(self) -> AudioFormat:
        """What the server wants to hear."""

    @property
    @abstractmethod
    def output_format(self) -> AudioFormat:
        """What it is expected to answer in; each :class:`AudioReceived` says what it really is."""

    @property
    @abstractmethod
    def accepts(self) -> frozenset[type[Command]]:
        """The commands that can be said in this dialect."""

    @abstractmethod
    def request(self) -> Request:
        """Asked anew for each attempt, so that a token can be fresh."""

    def prepare(self, fetch: Fetch) -> Request:
        """What the client asks for: the :meth:`request`, for which something may have to be fetched first.

        Runs on the receiver thread, where it may wait.

        Args:
            fetch: goes by the client's proxy and TLS settings, and ends with the attempt.
        """
        return self.request()

    @abstractmethod
    def begin(self, previous: Session | None, history: History, tools: Sequence[Tool] = ()) -> Session:
        """Make the state machine of a new connection.

        Args:
            previous: that of the connection before, which was lost; None at first.
            history: what has been said so far.
            tools: the functions that the server may call, by :class:`~voicews.events.ToolCall`.
        """

    def collect(self, offer: SoundOffered, fetch: Fetch) -> Sound:
        """Fetch an answer's sound, and decode it.  Runs on a thread of its own, where it may wait.

        Args:
            offer: where the sound is.
            fetch: goes by the client's proxy and TLS settings, shows no header and no client certificate
                to another server than ours, and ends with the connection.

        Raises:
            VoicewsError: it cannot be had; the session is told.
        """
        raise Unsupported(f"{type(self).__name__} has nothing to fetch")

    def classify(self, error: VoicewsError) -> VoicewsError:
        """Overrule what an error means, by returning another one (a fatal
        :class:`~voicews.errors.ServiceError` for a close code of the vendor's, say)."""
        return error


class Session(ABC):
    """The rules of one connection.  The client calls it from several threads, under one lock."""

    tick_interval: float | None = None
    """Seconds between calls of :meth:`tick`; None if it needs none."""

    @property
    @abstractmethod
    def ready(self) -> bool:
        """True once the server has accepted us; no command is given before."""

    @property
    @abstractmethod
    def finished(self) -> bool:
        """True once :meth:`finish` was called and the server's last words are in."""

    @abstractmethod
    def send(self, command: Command) -> None:
        """Say something.

        Raises:
            Unsupported: the dialect cannot say it.
        """

    @abstractmethod
    def receive(self, message: str | bytes) -> list[Event]:
        """Understand a message.

        Raises:
            RemoteProtocolError: it is nonsense.  Never raises anything else but
                :class:`~voicews.errors.ServiceError`, for an error that ends the connection.
        """

    @abstractmethod
    def messages_to_send(self) -> list[str | bytes]:
        """What has to go to the server now.

        Asked once it may begin, after each tick and command, and after a message in which it understood
        something else than sound.
        """

    @abstractmethod
    def finish(self) -> None:
        """Say that nothing more will come."""

    def collected(self, offer: SoundOffered, sound: Sound | VoicewsError) -> list[Event]:
        """Take what :meth:`Dialect.collect` brought for an offer of this session, or why it failed."""
        return []

    def last_words(self, *, resumes: bool) -> list[Event]:
        """What is still to be told when the connection is over, whatever ended it.

        An utterance that was told as it may still change, and that the server never finished, becomes a
        final :class:`~voicews.events.Transcript` here: so were its words, as far as anybody knows.

        Args:
            resumes: True if a new connection follows, whose session gets this one as ``previous``; an
                utterance that goes on there, because its sound is sent again, is not told yet.
        """
        return []

    def classify(self, error: VoicewsError) -> VoicewsError:
        """What the end of this very connection means, where that depends on what was said before: what
        :meth:`Dialect.classify` gets to judge.  Called once, with what ended it."""
        return error

    def tick(self, now: float) -> list[Event]:
        """Called every :attr:`tick_interval` seconds with a monotonic time; returns what there is to tell
        although the server says nothing."""
        return []
