"""Vosk's WebSocket server (``alphacep/vosk-server``): offline recognition, often on the same machine.

The server has no voice, no keys and no words about itself.  It answers each message of sound with
exactly one result, partial or final, and so each result tells up to where it has heard.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

from voicews.commands import Command, EndTurn, SendAudio, SendMessage
from voicews.config import AudioFormat
from voicews.dialects.base import Dialect, Request, Session, bare_url, unsupported
from voicews.dialects.messages import Json, clean, items_of, number_of, parsed, text_of
from voicews.dialects.settings import (
    checked_format,
    checked_headers,
    checked_json,
    checked_number,
    checked_text,
    checked_texts,
    checked_url,
)
from voicews.dialects.soundlog import SoundLog
from voicews.errors import ConnectionClosed, ServiceError, VoicewsError
from voicews.events import Event, Message, SpeechStarted, SpeechStopped, Transcript, Word
from voicews.history import History
from voicews.tools import Tool

__all__ = ["Vosk"]

_FAILED = 1011
"""The server's only way to report an error."""
_EOF = '{"eof" : 1}'
_RESET = '{"reset" : 1}'
_LARGEST = 500_000
"""Bytes of one message; the server's WebSocket library refuses more than twice as much."""
_MOST_OWED = 100_000
"""Answers; a server that never gives any must not fill the memory."""
_16_KHZ = AudioFormat(16000)


@dataclass(frozen=True, repr=False)
class Vosk(Dialect):
    """Transcription by a Vosk server.

    Example::

        Vosk("ws://raspberrypi.local:2700", phrases=["turn on", "turn off", "[unk]"])

    Raises:
        ConfigError: a setting is wrong.
    """

    restores: ClassVar[str] = "sound not yet understood is sent again"

    url: str = "ws://localhost:2700"
    """Of the server; its default port is 2700, and any path will do."""
    _: KW_ONLY
    input_format: AudioFormat = _16_KHZ
    """What is sent, one channel; default 16 kHz.  The server is told the rate, for its own default is
    8 kHz."""
    phrases: Sequence[str] = ()
    """If given, the only words that are recognised; "[unk]" among them stands for all others.  Needs a
    model with a dynamic graph, as the small ones have."""
    words: bool = True
    """True asks for each word's time and confidence; it comes with the final transcripts."""
    model: str | None = None
    """Path of a model on the server's machine; None (the default) is the one it was started with."""
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Further members of the server's ``config``, such as ``{"max_alternatives": 3}``."""
    chunk: float = 0.1
    """Seconds of sound in one message, at least; each costs the server a run of the recogniser and an
    answer.  0 sends every frame as it comes."""
    reset: bool = True
    """True ends a turn of push to talk with a message that servers from before 2025 do not know, and
    that some answer by hanging up.  False leaves the end of a turn to silence."""
    replay: float = 10.0
    """Seconds of sound, at most, that are sent again after a reconnect because no final transcript
    had told what was said in them; 0 sends none."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    """Headers of the handshake, for a server behind a proxy."""

    def __post_init__(self) -> None:
        checked_url("Vosk.url", self.url)
        checked_format("Vosk.input_format", self.input_format)
        object.__setattr__(self, "phrases", checked_texts("Vosk.phrases", self.phrases))
        if self.model is not None:
            checked_text("Vosk.model", self.model)
        object.__setattr__(self, "options", checked_json("Vosk.options", self.options))
        checked_number("Vosk.chunk", self.chunk, 0, "seconds")
        checked_number("Vosk.replay", self.replay, 0, "seconds")
        object.__setattr__(self, "headers", checked_headers("Vosk.headers", self.headers))

    def __repr__(self) -> str:
        return f"Vosk({bare_url(self.url)!r}, {self.input_format} up)"

    @property
    def output_format(self) -> AudioFormat:
        """Never used: this server has no voice."""
        return self.input_format

    @property
    def answers(self) -> bool:
        """False: it only writes down what it hears."""
        return False

    @property
    def accepts(self) -> frozenset[type[Command]]:
        """Sound, the end of a turn (where ``reset`` is True), and messages of your own."""
        return frozenset({SendAudio, EndTurn, SendMessage} if self.reset else {SendAudio, SendMessage})

    def request(self) -> Request:
        """The same for each attempt."""
        return Request(self.url, self.headers)

    def begin(self, previous: Session | None, history: History, tools: Sequence[Tool] = ()) -> Session:
        """After a loss, what no final transcript had told yet is sent again."""
        session = _VoskSession(self)
        if isinstance(previous, _VoskSession):
            session.go_on(previous)
        return session

    def config(self) -> Json:
        """What the server is told first."""
        config: Json = {"sample_rate": self.input_format.rate, "words": self.words}
        if self.phrases:
            config["phrase_list"] = list(self.phrases)
        if self.model is not None:
            config["model"] = self.model
        return {**config, **self.options}


class _VoskSession(Session):
    """One connection's rules."""

    def __init__(self, dialect: Vosk) -> None:
        self._dialect = dialect
        self._to_send: list[str | bytes] = [_written({"config": dialect.config()})]
        self._log = SoundLog(dialect.input_format, dialect.replay)
        self._chunk = bytearray()
        self._asked: deque[float] = deque(maxlen=_MOST_OWED)
        """For each answer that the server owes: the position up to which it will then have heard."""
        self._partial = ""
        self._risky = True
        """True after a text message, until the server has answered something: it may have been too much."""
        self._finishing = False
        self._finished = False

    def go_on(self, previous: _VoskSession) -> None:
        """Take up where a lost connection has ended."""
        unheard = b"".join(self._log.go_on(previous._log))
        for start in range(0, len(unheard), _LARGEST):
            self._to_send.append(unheard[start : start + _LARGEST])
            self._asked.append(self._dialect.input_format.seconds(min(start + _LARGEST, len(unheard))))
        self._partial = previous._partial if unheard else ""

    @property
    def ready(self) -> bool:
        return True

    @property
    def finished(self) -> bool:
        return self._finished

    def messages_to_send(self) -> list[str | bytes]:
        messages, self._to_send = self._to_send, []
        return messages

    def classify(self, error: VoicewsError) -> VoicewsError:
        """A server that fails at what we say would fail at it again."""
        if isinstance(error, ConnectionClosed) and error.code == _FAILED and self._risky:
            failed = ServiceError(
                "the server failed at a text message: the settings, the end of a turn, or one of yours; "
                "docs/dialects/vosk.md tells the usual reasons",
                code=_FAILED,
                fatal=True,
            )
            failed.__cause__ = error
            return failed
        return error

    def last_words(self, *, resumes: bool) -> list[Event]:
        """The last partial, unless its sound is sent again."""
        if not self._partial or (resumes and self._log.has_unheard):
            return []
        text, self._partial = self._partial, ""
        return [SpeechStopped(), Transcript("user", text)]

    # -- what we say ------------------------------------------------------------------------

    def send(self, command: Command) -> None:
        """Put a command into the server's words.

        Raises:
            Unsupported: the dialect has no word for it.
        """
        match command:
            case SendAudio(pcm=pcm, at=at):
                self._log.add(pcm, at)
                self._chunk += pcm
                if self._dialect.input_format.seconds(self._chunk) >= self._dialect.chunk:
                    self._say_chunk()
            case EndTurn() if self._dialect.reset:
                self._ask(_RESET)
            case SendMessage(data=data):
                self._ask(_written(data) if isinstance(data, Mapping) else data)
            case _:
                raise unsupported("Vosk", command, self._dialect.accepts)

    def _say_chunk(self) -> None:
        if self._chunk:
            self._to_send.append(bytes(self._chunk))
            self._asked.append(self._log.sent)
            self._chunk.clear()

    def _ask(self, message: str | bytes) -> None:
        """Say something that is answered, unless it is about the settings."""
        self._say_chunk()
        self._to_send.append(message)
        self._risky = isinstance(message, str)
        if isinstance(message, bytes) or "config" not in message:
            self._asked.append(self._log.sent)

    def finish(self) -> None:
        if not self._finishing:
            self._finishing = True
            self._ask(_EOF)

    # -- what the server says ---------------------------------------------------------------

    def receive(self, message: str | bytes) -> list[Event]:
        """Understand a message; what makes no sense becomes a :class:`Message`."""
        data = parsed(message)
        if isinstance(data, dict):
            if isinstance(data.get("text"), str):
                return self._final(data, data)
            if isinstance(data.get("alternatives"), list):
                return self._final(data, next(iter(items_of(data, "alternatives")), {}))
            if isinstance(data.get("partial"), str):
                return self._heard_so_far(clean(data["partial"]))
        return [Message(data)]

    def _answered(self) -> float:
        """The position up to which the server has heard.

        The server in C++ takes the settings for sound and answers them too; it is then one message
        ahead of the truth, and the answer to our last message comes when none is owed.
        """
        self._risky = False
        return self._asked.popleft() if self._asked else self._log.sent

    def _heard_so_far(self, text: str) -> list[Event]:
        self._answered()
        if not text or text == self._partial:
            return []
        began: list[Event] = [] if self._partial else [SpeechStarted()]
        self._partial = text
        return [*began, Transcript("user", text, final=False)]

    def _final(self, data: Json, best: Json) -> list[Event]:
        position, text = self._answered(), text_of(best, "text") or ""
        events: list[Event] = []
        if text and not self._partial:
            events.append(SpeechStarted())
        if text or self._partial:
            events += [SpeechStopped(), Transcript("user", text, words=self._words(best))]
        self._partial = ""
        self._log.heard(position)
        self._finished = self._finishing and not self._asked
        has_more = len(items_of(data, "alternatives")) > 1 or "spk" in data
        return [*events, Message(data)] if has_more else events

    def _words(self, best: Json) -> tuple[Word, ...]:
        words = []
        for word in items_of(best, "result"):
            text, start, end = text_of(word, "word"), number_of(word, "start"), number_of(word, "end")
            if text and start is not None and end is not None:
                time = self._log.time
                words.append(Word(text, time(start), time(end), number_of(word, "conf")))
        return tuple(words)


def _written(message: Mapping[str, Any]) -> str:
    """Spaced as the server's own control messages are: it compares them letter by letter."""
    return json.dumps(dict(message), allow_nan=False, separators=(", ", " : "))
