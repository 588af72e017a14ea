"""The plain dialect: sound as it is, and small JSON messages about it.

A binary message is raw 16-bit PCM, in either direction.  A text message is a JSON object
whose ``type`` says what it is; ``docs/reference/plain.md`` lists them all.  Nothing of it
is required: a server that only sends sound back is understood, and so is one that only
sends ``{"text": "…"}``.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlsplit

from voicews.callables import safe_repr
from voicews.commands import (
    Command,
    EndTurn,
    InterruptResponse,
    SendAudio,
    SendMessage,
    SendText,
    StartTurn,
    TruncateResponse,
)
from voicews.config import AudioFormat
from voicews.dialects.base import Dialect, Request, Session, bare_url
from voicews.errors import ConfigError, LocalProtocolError, RemoteProtocolError, ServiceError, Unsupported
from voicews.events import (
    AudioReceived,
    Event,
    Interrupted,
    Message,
    ResponseDone,
    ResponseStarted,
    ServerError,
    SpeechStarted,
    SpeechStopped,
    Token,
    Transcript,
)
from voicews.history import History, Role
from voicews.tools import Tool

__all__ = ["Plain"]

_16_KHZ = AudioFormat(16000)
_ACCEPTS: frozenset[type[Command]] = frozenset(
    {SendAudio, SendText, StartTurn, EndTurn, InterruptResponse, TruncateResponse, SendMessage}
)
_ROLES: Mapping[str, Role] = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "agent": "assistant",
    "ai": "assistant",
    "bot": "assistant",
    "model": "assistant",
}
_LONGEST_ANSWER = 1_000_000
"""Characters of an answer that are put together from its tokens; a server that never says that it
is done must not fill the memory."""
_HOST = re.compile(r"[A-Za-z][\w.-]*:\d{1,5}(/[\w./-]*)?")
"""What is meant for a URL by those who leave out the scheme; it can hold no credential."""
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")

Json = dict[str, Any]


@dataclass(frozen=True, repr=False)
class Plain(Dialect):
    """A server that speaks PCM and simple JSON.

    Example::

        Plain("wss://voice.example/talk", headers={"Authorization": f"Bearer {token}"},
              output_format=AudioFormat(24000))

    Raises:
        ConfigError: a setting is wrong; the message never shows a query or a credential.
    """

    restores: ClassVar[str] = "the history, in the hello, with `resume`"

    url: str
    """``ws://`` or ``wss://``."""
    _: KW_ONLY
    input_format: AudioFormat = _16_KHZ
    """What the server wants to hear; default 16 kHz mono."""
    output_format: AudioFormat = _16_KHZ
    """What it answers in, until a "ready" or "metadata" message gives another ``sample_rate``."""
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Further headers of the handshake, such as ``Authorization``."""
    subprotocols: Sequence[str] = ()
    """WebSocket subprotocols to offer, the preferred one first."""
    hello: Mapping[str, Any] | str | None = field(default=None, hash=False)
    """The first message of each connection.  A mapping is sent as JSON, and ``type`` ("hello"), ``rate``
    and ``channels`` (of ``input_format``) are added where they are missing; a string is sent as it is;
    None (the default) sends none."""
    resume: bool = False
    """True adds ``history``, a list of ``{"role", "text"}``, to the hello, and sends one also where
    ``hello`` is None: the server can take up a conversation whose connection was lost."""
    await_ready: bool = False
    """True says nothing after the hello until the server has sent its "ready" (or "metadata") message;
    by default a connection is ready as soon as it is open."""
    eof: Mapping[str, Any] | str | None = field(default=None, hash=False)
    """What to send when nothing more will come, as a mapping or word for word; the client then closes
    once the server has sent ``{"type": "finished"}``.  None (the default) just closes."""
    text_keys: Sequence[str] = ("text", "transcript", "transcription")
    """Where a transcript's, token's or answer's text is looked for; the first string found is taken."""
    final_keys: Sequence[str] = ("is_final", "final", "completed")
    """Where it is said whether a transcript is final; the first true or false found is taken.  One that
    says neither is final, unless its type is "partial"."""

    def __post_init__(self) -> None:
        self._check_url()
        for name in ("input_format", "output_format"):
            if not isinstance(getattr(self, name), AudioFormat):
                raise ConfigError(
                    f"Plain.{name} is {safe_repr(getattr(self, name))}; it must be an AudioFormat"
                )
        for name in ("subprotocols", "text_keys", "final_keys"):
            value = getattr(self, name)
            if isinstance(value, str) or not all(isinstance(word, str) for word in value):
                raise ConfigError(f"Plain.{name} is {safe_repr(value)}; it must be a sequence of strings")
            object.__setattr__(self, name, tuple(value))
        if not all(isinstance(part, str) for item in self.headers.items() for part in item):
            raise ConfigError("Plain.headers must have strings as names and values")
        object.__setattr__(self, "headers", dict(self.headers))
        if self.resume and isinstance(self.hello, str):
            raise ConfigError(
                "Plain.hello must be a mapping or None where resume is True, to take the history"
            )
        for name in ("hello", "eof"):
            value = getattr(self, name)
            if isinstance(value, Mapping):
                object.__setattr__(self, name, self._checked_json(name, value))

    def _check_url(self) -> None:
        try:
            parts = urlsplit(self.url)
            valid = (
                parts.scheme in ("ws", "wss") and parts.hostname and (parts.port != 0) and not parts.fragment
            )
        except (ValueError, TypeError, AttributeError):
            valid = False
        if not valid:
            shown = bare_url(self.url)
            given = f"{shown!r} (without its query)" if shown else "no such URL"
            hint = f"; did you mean ws://{self.url}?" if _HOST.fullmatch(str(self.url)) else ""
            raise ConfigError(
                f"Plain.url is {given}; it must be ws://host[:port]/path or wss://…, with no #fragment{hint}"
            )

    @staticmethod
    def _checked_json(name: str, value: Mapping[str, Any]) -> Json:
        """A copy, so that nobody can change it later.  The value is never shown: it may hold a token."""
        try:
            return dict(json.loads(_to_json(value)))
        except (TypeError, ValueError, RecursionError):
            raise ConfigError(
                f"Plain.{name} cannot be written as JSON; use strings, numbers, lists …"
            ) from None

    def __repr__(self) -> str:
        return f"Plain({bare_url(self.url)!r}, {self.input_format} up, {self.output_format} down)"

    @property
    def accepts(self) -> frozenset[type[Command]]:
        """All commands but :class:`~voicews.commands.ToolResult`."""
        return _ACCEPTS

    def request(self) -> Request:
        """The same for each attempt."""
        return Request(self.url, self.headers, self.subprotocols)

    def begin(self, previous: Session | None, history: History, tools: Sequence[Tool] = ()) -> Session:
        """A new connection's rules; all of the old one that matters is in the history."""
        return _PlainSession(self, self._first_message(history))

    def _first_message(self, history: History) -> str | None:
        if isinstance(self.hello, str):
            return self.hello
        if self.hello is None and not self.resume:
            return None
        hello: Json = {
            "type": "hello",
            "rate": self.input_format.rate,
            "channels": self.input_format.channels,
            **(self.hello or {}),
        }
        if self.resume:
            hello["history"] = [{"role": turn.role, "text": turn.text} for turn in history]
        return _to_json(hello)


class _PlainSession(Session):
    """One connection's rules."""

    def __init__(self, dialect: Plain, hello: str | None) -> None:
        self._dialect = dialect
        self._to_send: list[str | bytes] = [] if hello is None else [hello]
        self._ready = not dialect.await_ready
        self._finishing = False
        self._finished = False
        self._format = dialect.output_format
        self._split_sample = b""
        self._answer = io.StringIO()
        self._responding = False
        self._told_answer = False
        self._hushed = False

    @property
    def ready(self) -> bool:
        return self._ready

    @property
    def finished(self) -> bool:
        return self._finished

    def messages_to_send(self) -> list[str | bytes]:
        messages, self._to_send = self._to_send, []
        return messages

    # -- what we say ------------------------------------------------------------------------

    def send(self, command: Command) -> None:
        """Put a command into the server's words.

        Raises:
            Unsupported: the dialect has no word for it.
            LocalProtocolError: the session is not ready.
        """
        if not self._ready:
            raise LocalProtocolError(f"{type(command).__name__} before the server has said that it is ready")
        match command:
            case SendAudio(pcm=pcm):
                self._to_send.append(pcm)
            case SendText(text=text):
                self._say(type="text", text=text)
            case StartTurn():
                self._say(type="start_of_turn")
            case EndTurn():
                self._say(type="end_of_turn")
            case InterruptResponse():
                # What is under way belongs to the answer that nobody wants to hear.  Only a server
                # that tells where its answers begin and end can say when new sound is a new answer.
                self._hushed = self._responding
                self._say(type="interrupt")
            case TruncateResponse(heard_ms=heard_ms):
                self._say(type="truncate", heard_ms=heard_ms)
            case SendMessage(data=data):
                self._to_send.append(_to_json(data) if isinstance(data, Mapping) else data)
            case _:
                raise Unsupported(f"the plain dialect has no word for {type(command).__name__}")

    def _say(self, **message: Any) -> None:
        self._to_send.append(_to_json(message))

    def finish(self) -> None:
        if self._finishing:
            return
        self._finishing = True
        eof = self._dialect.eof
        if eof is None or not self._ready:
            self._finished = True
        else:
            self._to_send.append(eof if isinstance(eof, str) else _to_json(eof))

    # -- what the server says ---------------------------------------------------------------

    def receive(self, message: str | bytes) -> list[Event]:
        """Understand a message.

        Raises:
            ServiceError: the server reported an error and called it fatal.
            RemoteProtocolError: it announced a sample rate that cannot be played.
        """
        if isinstance(message, bytes):
            return self._hear(message)
        try:
            data = json.loads(message, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            return [Message(message)]
        if not isinstance(data, dict):
            return [Message(data)]
        kind = data.get("type")
        understand = _KINDS.get(kind) if isinstance(kind, str | None) else None
        events = understand(self, data) if understand else None
        return [Message(data)] if events is None else events

    def _hear(self, pcm: bytes) -> list[Event]:
        if self._hushed:
            return []
        pcm = self._split_sample + pcm
        whole = len(pcm) - len(pcm) % self._format.bytes_per_sample
        self._split_sample = pcm[whole:]
        return [AudioReceived(pcm[:whole], self._format)] if whole else []

    def _greeted(self, data: Json) -> list[Event] | None:
        rate = data.get("sample_rate")
        if isinstance(rate, int | float) and not isinstance(rate, bool):
            try:
                self._format = AudioFormat(int(rate), self._format.channels)
            except (ConfigError, ValueError, OverflowError) as error:
                raise RemoteProtocolError(
                    f"the server announced a sample_rate of {str(rate)[:20]}, which cannot be played; "
                    "it must be from 4000 to 192000 Hz"
                ) from error
        elif data["type"] == "metadata":
            return None
        self._split_sample = b""
        self._ready = True
        return []

    def _speech_started(self, data: Json) -> list[Event]:
        return [SpeechStarted()]

    def _speech_stopped(self, data: Json) -> list[Event]:
        return [SpeechStopped()]

    def _transcript(self, data: Json) -> list[Event] | None:
        text, speaker = self._text(data), data.get("role", "user")
        role = _ROLES.get(speaker.lower()) if isinstance(speaker, str) else None
        if text is None or role is None:
            return None
        final = next(
            (bool(data[key]) for key in self._dialect.final_keys if isinstance(data.get(key), int)),
            data.get("type") != "partial",
        )
        if final and role == "assistant":
            self._told_answer = True
        return [Transcript(role, text, final)]

    def _response_started(self, data: Json) -> list[Event]:
        self._begin_answer()
        self._responding = True
        return [ResponseStarted()]

    def _token(self, data: Json) -> list[Event] | None:
        text = self._text(data)
        if text is None:
            return None
        self._responding = True
        if self._answer.tell() < _LONGEST_ANSWER:
            self._answer.write(text)
        return [Token(text)]

    def _response_done(self, data: Json) -> list[Event]:
        return [*self._end_answer(self._text(data)), ResponseDone()]

    def _interrupted(self, data: Json) -> list[Event]:
        return [Interrupted(), *self._end_answer(self._text(data))]

    def _end_answer(self, text: str | None) -> list[Event]:
        """Tell the whole answer, unless the server did; it is what the history remembers."""
        text = text or self._answer.getvalue()
        told = self._told_answer
        self._begin_answer()
        return [Transcript("assistant", text)] if text.strip() and not told else []

    def _begin_answer(self) -> None:
        # A sample that was never completed would shift all of the next answer by a byte.
        self._split_sample = b""
        self._answer = io.StringIO()
        self._responding = self._told_answer = self._hushed = False

    def _error(self, data: Json) -> list[Event]:
        inner = data.get("error")
        told = inner if isinstance(inner, dict) else data
        reason = next(
            (value for value in (told.get("message"), inner, self._text(told)) if isinstance(value, str)),
            "it did not say why",
        )
        reason, code = _clean(reason), told.get("code")
        if isinstance(code, str):
            code = _clean(code)
        elif isinstance(code, bool) or not isinstance(code, int):
            code = None
        if told.get("fatal") is True or data.get("fatal") is True:
            raise ServiceError(reason, code=code, fatal=True)
        return [ServerError(reason, code)]

    def _last_words(self, data: Json) -> list[Event]:
        self._finished = self._finishing
        return []

    def _text(self, data: Json) -> str | None:
        for key in self._dialect.text_keys:
            text = data.get(key)
            if isinstance(text, str):
                return _clean(text)
        return None


_KINDS: Mapping[str | None, Callable[[_PlainSession, Json], list[Event] | None]] = {
    None: _PlainSession._transcript,
    "ready": _PlainSession._greeted,
    "metadata": _PlainSession._greeted,
    "speech_started": _PlainSession._speech_started,
    "speech_stopped": _PlainSession._speech_stopped,
    "transcript": _PlainSession._transcript,
    "transcription": _PlainSession._transcript,
    "partial": _PlainSession._transcript,
    "final": _PlainSession._transcript,
    "response_started": _PlainSession._response_started,
    "token": _PlainSession._token,
    "response_done": _PlainSession._response_done,
    "interrupted": _PlainSession._interrupted,
    "error": _PlainSession._error,
    "finished": _PlainSession._last_words,
}
"""What the server can say.  None from one of these: not in our vocabulary after all."""


def _to_json(message: Mapping[str, Any]) -> str:
    """Compact, and pure ASCII, so that no half of a surrogate pair can make the WebSocket refuse it."""
    return json.dumps(dict(message), allow_nan=False, separators=(",", ":"))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _clean(text: str) -> str:
    """JSON can escape half a surrogate pair, which nobody could print or send on."""
    return _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
