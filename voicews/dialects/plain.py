"""The plain dialect: sound as it is, and small JSON messages about it.

A binary message is raw 16-bit PCM, in either direction.  A text message is a JSON object
whose ``type`` says what it is; ``docs/reference/plain.md`` lists them all.  Nothing of it
is required: a server that only sends sound back is understood, and so is one that only
sends ``{"text": "…"}``.  JSON in a binary message, WAV files, and numbers that are written
as text are understood too.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

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
from voicews.dialects.base import Dialect, Request, Session, bare_url, unsupported
from voicews.dialects.messages import Json, clean, loose_number, loose_truth, parsed, written
from voicews.dialects.samples import ServedSound
from voicews.dialects.settings import checked_headers, checked_texts, checked_url
from voicews.errors import (
    ConfigError,
    ConnectionClosed,
    FormatUnsupported,
    LocalProtocolError,
    RemoteProtocolError,
    ServiceError,
    VoicewsError,
)
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
_LONGEST_SHOWN = 120
"""Characters of a server's message that an error shows."""
_READABLE = 32
"""Characters from which on readable text cannot be sound by chance."""
_NO_BREAKS = str.maketrans("", "", "\t\r\n")
_SILENT = 2.0
"""Seconds of our own sound without any of the server's, after which the interrupted answer is over."""


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
        checked_url("Plain.url", self.url)
        for name in ("input_format", "output_format"):
            if not isinstance(getattr(self, name), AudioFormat):
                raise ConfigError(
                    f"Plain.{name} is {safe_repr(getattr(self, name))}; it must be an AudioFormat"
                )
        for name in ("subprotocols", "text_keys", "final_keys"):
            object.__setattr__(self, name, checked_texts(f"Plain.{name}", getattr(self, name)))
        object.__setattr__(self, "headers", checked_headers("Plain.headers", self.headers))
        if self.resume and isinstance(self.hello, str):
            raise ConfigError(
                "Plain.hello must be a mapping or None where resume is True, to take the history"
            )
        for name in ("hello", "eof"):
            value = getattr(self, name)
            if isinstance(value, Mapping):
                object.__setattr__(self, name, self._checked_json(name, value))

    @staticmethod
    def _checked_json(name: str, value: Mapping[str, Any]) -> Json:
        """A copy, so that nobody can change it later.  The value is never shown: it may hold a token."""
        try:
            return dict(json.loads(written(value)))
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
        return written(hello)


class _PlainSession(Session):
    """One connection's rules."""

    def __init__(self, dialect: Plain, hello: str | None) -> None:
        self._dialect = dialect
        self._to_send: list[str | bytes] = [] if hello is None else [hello]
        self._ready = not dialect.await_ready
        self._finishing = False
        self._finished = False
        self._sound = ServedSound(dialect.output_format)
        self._answer = io.StringIO()
        self._partials: dict[Role, str] = {}
        """What either side is saying and no final transcript has told yet."""
        self._responding = False
        self._told_answer = False
        self._hushed = False
        self._marks_answers = False
        """True if the server says when an answer begins: that tells a new one from the rest of an old."""
        self._silent = 0.0
        self._understood = False
        self._first_unknown: str | None = None
        self._unexplained = False

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
                self._silent += self._dialect.input_format.seconds(pcm)
                if self._silent >= _SILENT:
                    self._new_turn()
            case SendText(text=text):
                self._new_turn()
                self._say(type="text", text=text)
            case StartTurn():
                self._new_turn()
                self._say(type="start_of_turn")
            case EndTurn():
                self._new_turn()
                self._say(type="end_of_turn")
            case InterruptResponse():
                # What is under way belongs to the answer that nobody wants to hear.
                self._hushed, self._silent = self._responding, 0.0
                self._say(type="interrupt")
            case TruncateResponse(heard_ms=heard_ms):
                self._say(type="truncate", heard_ms=heard_ms)
            case SendMessage(data=data):
                self._to_send.append(written(data) if isinstance(data, Mapping) else data)
            case _:
                raise unsupported("Plain", command, _ACCEPTS)

    def _new_turn(self) -> None:
        """Listen again after an interruption, unless the server itself will say when a new answer begins."""
        if not self._marks_answers:
            self._hushed = False

    def _say(self, **message: Any) -> None:
        self._to_send.append(written(message))

    def finish(self) -> None:
        if self._finishing:
            return
        self._finishing = True
        eof = self._dialect.eof
        if eof is None or not self._ready:
            self._finished = True
        else:
            self._to_send.append(eof if isinstance(eof, str) else written(eof))

    def classify(self, error: VoicewsError) -> VoicewsError:
        """A server that hangs up in good order leaves no error; one that speaks another language may
        well do so, and that has to be said somewhere."""
        if isinstance(error, ConnectionClosed) and error.code == 1000 and error.by_peer:
            self._unexplained = not (self._understood or self._finishing)
        return error

    def last_words(self, *, resumes: bool) -> list[Event]:
        """What was only told as it may still change, and why nothing was understood at all."""
        told: list[Event] = [Transcript(role, text) for role, text in self._partials.items() if text.strip()]
        self._partials.clear()
        if self._unexplained:
            self._unexplained = False
            first = self._first_unknown
            sent = "nothing" if first is None else f"nothing that is known here, at first {first!r}"
            told.append(
                ServerError(
                    f"the server closed the connection (code 1000), having sent {sent}; if it does not speak "
                    "the plain dialect, choose the one that it speaks"
                )
            )
        return told

    # -- what the server says ---------------------------------------------------------------

    def receive(self, message: str | bytes) -> list[Event]:
        """Understand a message.

        Raises:
            ServiceError: the server reported an error and called it fatal.
            RemoteProtocolError: it announced sound that cannot be played.
        """
        if isinstance(message, bytes):
            text = _text_in(message)
            if text is None:
                self._understood = True
                return self._hear(message)
            message = text
        data = parsed(message.lstrip("\ufeff"))
        kind = data.get("type") if isinstance(data, dict) else ()
        understand = _KINDS.get(kind) if isinstance(kind, str | None) else None
        events = understand(self, data) if understand else None
        if events is None:
            self._first_unknown = self._first_unknown or message[:_LONGEST_SHOWN]
            return [Message(data)]
        self._understood = True
        return events

    def _hear(self, message: bytes) -> list[Event]:
        self._silent = 0.0
        try:
            pcm, spoken_in = self._sound.take(message)
        except FormatUnsupported as error:
            return [ServerError(str(error), "sound_format")]
        return [AudioReceived(pcm, spoken_in)] if pcm and not self._hushed else []

    def _greeted(self, data: Json) -> list[Event] | None:
        told = [name for name in ("sample_rate", "channels") if data.get(name) is not None]
        if data["type"] == "metadata" and not told:
            return None
        numbers = {name: loose_number(data[name]) for name in told}
        announced = self._sound.format
        try:
            rate, channels = (
                int(given if (given := numbers.get(name)) is not None else known)
                for name, known in (("sample_rate", announced.rate), ("channels", announced.channels))
            )
            announced = AudioFormat(rate, channels)
        except (ConfigError, OverflowError) as error:
            shown = " and ".join(f"{name} of {str(data[name])[:20]}" for name in told)
            raise RemoteProtocolError(
                f"the server announced a {shown}, which cannot be played; "
                "the rate must be from 4000 to 192000 Hz, with 1 or 2 channels"
            ) from error
        self._sound.announce(announced)
        self._ready = True
        return [
            ServerError(
                f"the server announced a {name} of {json.dumps(data[name])[:_LONGEST_SHOWN]}, which is not a "
                f"number; its sound is taken for {announced}",
                "sound_format",
            )
            for name, number in numbers.items()
            if number is None
        ]

    def _speech_started(self, data: Json) -> list[Event]:
        self._new_turn()
        return [SpeechStarted()]

    def _speech_stopped(self, data: Json) -> list[Event]:
        self._new_turn()
        return [SpeechStopped()]

    def _transcript(self, data: Json) -> list[Event] | None:
        text, speaker = self._text(data), data.get("role")
        role = _ROLES.get(speaker.strip().lower()) if isinstance(speaker, str) else None
        if text is None or (role is None and speaker is not None):
            return None
        role = role or "user"
        said = (loose_truth(data.get(key)) for key in self._dialect.final_keys)
        final = next((one for one in said if one is not None), data.get("type") != "partial")
        if final:
            self._partials.pop(role, None)
        else:
            self._partials[role] = text
        if final and role == "assistant":
            self._told_answer = True
        elif final:
            self._new_turn()
        return [Transcript(role, text, final)]

    def _response_started(self, data: Json) -> list[Event]:
        self._begin_answer()
        self._responding = self._marks_answers = True
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
        text = text or self._answer.getvalue() or self._partials.get("assistant", "")
        told = self._told_answer
        self._begin_answer()
        return [Transcript("assistant", text)] if text.strip() and not told else []

    def _begin_answer(self) -> None:
        self._sound.forget()
        self._answer = io.StringIO()
        self._partials.pop("assistant", None)
        self._responding = self._told_answer = self._hushed = False

    def _error(self, data: Json) -> list[Event]:
        inner = data.get("error")
        told = inner if isinstance(inner, dict) else data
        reason = next(
            (value for value in (told.get("message"), inner, self._text(told)) if isinstance(value, str)),
            None,
        )
        if reason is None:
            # Better a reason in braces than none.
            rest = {name: value for name, value in data.items() if name not in ("type", "code", "fatal")}
            reason = json.dumps(rest, ensure_ascii=False)[:_LONGEST_SHOWN] if rest else "it did not say why"
        code = told.get("code")
        if isinstance(code, str):
            code = clean(code)
        elif isinstance(code, bool) or not isinstance(code, int):
            code = None
        if loose_truth(told.get("fatal")) or loose_truth(data.get("fatal")):
            raise ServiceError(clean(reason), code=code, fatal=True)
        return [ServerError(clean(reason), code)]

    def _finished_too(self, data: Json) -> list[Event]:
        self._finished = self._finishing
        return []

    def _text(self, data: Json) -> str | None:
        for key in self._dialect.text_keys:
            text = data.get(key)
            if isinstance(text, str):
                return clean(text)
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
    "finished": _PlainSession._finished_too,
}
"""What the server can say.  None from one of these: not in our vocabulary after all."""


def _text_in(message: bytes) -> str | None:
    """The JSON in a binary message; None if it is sound.

    No sound begins with a brace and is readable text to its end, unless it is very short.
    """
    start = message[:16].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start.startswith((b"{", b"[")):
        return None
    try:
        text = message.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        return None
    data = parsed(text)
    is_json = isinstance(data, dict | list) and bool(data)
    readable = len(text) >= _READABLE and text.translate(_NO_BREAKS).isprintable()
    return text if is_json or readable else None
