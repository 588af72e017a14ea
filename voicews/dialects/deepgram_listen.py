"""Deepgram's live transcription (Listen v1, the Nova models): speech goes up, words come back.

The server has no voice.  What it hears comes as hypotheses: a partial one replaces the partial
before it, a final one is a piece of an utterance, and the pieces are put together until the
server says that the speaker has paused.  Its clock begins anew with each connection; here the
times go on.  Field names and messages are those of Deepgram's own client, deepgram-sdk 7.17.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar, Literal
from urllib.parse import urlencode, urlsplit

from voicews.callables import safe_repr
from voicews.commands import Command, EndTurn, SendAudio, SendMessage
from voicews.config import AudioFormat
from voicews.dialects.base import Dialect, Request, Session, bare_url, unsupported
from voicews.dialects.deepgram import Keepalive, Key, Scheme, authorized, checked_key, linear16
from voicews.dialects.messages import (
    Json,
    items_of,
    loose_truth,
    number_of,
    object_of,
    parsed,
    text_of,
    written,
)
from voicews.dialects.settings import (
    checked_format,
    checked_headers,
    checked_number,
    checked_text,
    checked_texts,
    checked_url,
)
from voicews.dialects.soundlog import SoundLog
from voicews.errors import ConfigError, ConnectionClosed, ServiceError, VoicewsError
from voicews.events import Event, Message, ServerError, SpeechStarted, SpeechStopped, Transcript, Word
from voicews.history import History
from voicews.tools import Tool

__all__ = ["DeepgramListen"]

_ACCEPTS: frozenset[type[Command]] = frozenset({SendAudio, EndTurn, SendMessage})
_OURS = frozenset({"encoding", "sample_rate", "channels"})
"""Parameters that ``input_format`` decides."""
_REFUSED_WORDS = 4400
_REFUSED = frozenset({_REFUSED_WORDS, 4401})
"""Close codes with which servers of this language refuse parameters and keys (WhisperLiveKit does)."""
_LONGEST_UTTERANCE = 20_000
"""Characters after which an utterance is told although the server does not end it."""
_FAR = 1.0
"""Seconds by which the server may think that it heard more than was sent."""
_NEARLY = 0.02
"""Seconds by which the server's idea of how much it heard may fall short of ours."""

_16_KHZ = AudioFormat(16000)

Option = str | int | float | bool | Sequence[str]


@dataclass(frozen=True, repr=False)
class DeepgramListen(Dialect):
    """Transcription by Deepgram, or by a server that speaks its language.

    Example::

        DeepgramListen(language="de", keyterms=["voicews"])

    Raises:
        ConfigError: a setting is wrong, or the key is missing.
    """

    key_variables: ClassVar[Sequence[str]] = ("DEEPGRAM_API_KEY",)
    restores: ClassVar[str] = "sound not yet understood is sent again; times go on"

    model: str = "nova-3"
    """The model, by Deepgram's name for it."""
    _: KW_ONLY
    key: Key = field(default=None, repr=False)
    """The API key; None (the default) takes that of the environment, ``DEEPGRAM_API_KEY``, for Deepgram's
    own addresses, and none for any other server.  A function is asked before each attempt, for
    temporary tokens."""
    scheme: Scheme = "Token"
    """"Token" for API keys, "Bearer" for temporary tokens."""
    language: str | None = None
    """BCP-47 tag such as "de", or "multi"; None (the default) leaves it to the model."""
    input_format: AudioFormat = _16_KHZ
    """What is sent; default 16 kHz mono, which all servers of this language take."""
    interim_results: bool = True
    """True tells what was heard while it may still change."""
    vad_events: bool = True
    """True has the server say when it hears a voice begin."""
    endpointing: int | Literal[False] | None = None
    """Milliseconds of silence that end an utterance; False: silence ends none; None (the default)
    leaves it to the server."""
    utterance_end: int | None = 1000
    """Milliseconds without a new word that end an utterance, for rooms too loud to be silent: 1000
    (the default) or more; None looks at silence only.  Needs ``interim_results``."""
    smart_format: bool = True
    """True writes numbers, dates and punctuation as a reader expects them."""
    finalize: bool = True
    """True ends a turn of push to talk with Deepgram's ``Finalize``, at which other servers hang up
    (WhisperLiveKit, with 4400).  False leaves the end of a turn to silence."""
    keyterms: Sequence[str] = ()
    """Words that the model should expect, such as names."""
    options: Mapping[str, Option] = field(default_factory=dict, hash=False)
    """Further parameters of the address, by Deepgram's names: ``{"diarize_model": "latest"}``."""
    replay: float = 10.0
    """Seconds of sound, at most, that are sent again after a reconnect because the server had not
    yet said what it heard; 0 sends none."""
    pause_after: float | None = 5.0
    """Seconds of digital silence, as a muted client makes it, after which no more of it is sent: a
    small KeepAlive message holds the connection instead, which costs neither traffic nor minutes.
    Longer than ``utterance_end``, so that the last words are told first.  None sends all silence."""
    url: str = "wss://api.deepgram.com/v1/listen"
    """Of the server."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    """Further headers of the handshake; they win."""

    def __post_init__(self) -> None:
        name = type(self).__name__
        checked_url(f"{name}.url", self.url)
        if not isinstance(self.finalize, bool):
            raise ConfigError(f"{name}.finalize is {safe_repr(self.finalize)}; it must be True or False")
        checked_format(f"{name}.input_format", self.input_format, mono=False)
        checked_text(f"{name}.model", self.model)
        object.__setattr__(self, "headers", checked_headers(f"{name}.headers", self.headers))
        key = checked_key(f"{name}.key", self.key, self.url, self.scheme, self.headers)
        object.__setattr__(self, "key", key)
        object.__setattr__(self, "keyterms", checked_texts(f"{name}.keyterms", self.keyterms))
        object.__setattr__(self, "options", self._checked_options())
        if self.endpointing is not False:
            checked_number(f"{name}.endpointing", self.endpointing, 0, "milliseconds, False", optional=True)
        checked_number(f"{name}.utterance_end", self.utterance_end, 1000, "milliseconds", optional=True)
        if self.utterance_end is not None and not self.interim_results:
            raise ConfigError(f"{name}.utterance_end must be None where interim_results is False")
        checked_number(f"{name}.replay", self.replay, 0, "seconds")
        settled = (self.utterance_end or 0) / 1000
        checked_number(f"{name}.pause_after", self.pause_after, settled, "seconds", optional=True)

    def _checked_options(self) -> dict[str, Option]:
        if not isinstance(self.options, Mapping):
            raise ConfigError(
                f"DeepgramListen.options is {safe_repr(self.options)}; it must be a mapping such as "
                '{"punctuate": True}'
            )
        for name, value in self.options.items():
            if name in _OURS:
                raise ConfigError(f"DeepgramListen.options has {name!r}; input_format decides that")
            if not isinstance(value, str | int | float):
                checked_texts(f"DeepgramListen.options[{name!r}]", value)
        return dict(self.options)

    def __repr__(self) -> str:
        return f"DeepgramListen({bare_url(self.url)!r}, {self.model!r}, {self.input_format} up)"

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
        """Sound, the end of a turn (where ``finalize`` is True), and Deepgram's own messages such as
        ``Configure``."""
        return _ACCEPTS if self.finalize else _ACCEPTS - {EndTurn}

    def request(self) -> Request:
        """All settings are in the address; a function for the key is asked here."""
        headers = authorized(f"{type(self).__name__}.key", self.key, self.scheme, self.headers)
        joint = "&" if urlsplit(self.url).query else "?"
        return Request(f"{self.url}{joint}{urlencode(self._parameters())}", headers)

    def _parameters(self) -> list[tuple[str, str]]:
        given: dict[str, Option | None] = {
            "model": self.model,
            **linear16(self.input_format),
            "channels": self.input_format.channels,
            "language": self.language,
            "interim_results": self.interim_results,
            "vad_events": self.vad_events,
            "endpointing": self.endpointing,
            "utterance_end_ms": self.utterance_end,
            "smart_format": self.smart_format,
            "keyterm": self.keyterms,
            **self.options,
        }
        return [
            (name, str(part).lower() if isinstance(part, bool) else str(part))
            for name, value in given.items()
            if value is not None
            for part in ([value] if isinstance(value, str | int | float) else value)
        ]

    def begin(self, previous: Session | None, history: History, tools: Sequence[Tool] = ()) -> Session:
        """After a loss: unfinished utterances go on, and what had not been recognised is sent again."""
        session = _ListenSession(self)
        if isinstance(previous, _ListenSession):
            session.go_on(previous)
        return session

    def classify(self, error: VoicewsError) -> VoicewsError:
        """A refusal of the key or of a parameter by its own close code is fatal."""
        if isinstance(error, ConnectionClosed) and error.code in _REFUSED:
            refusal = ServiceError(error.reason or "the request was refused", code=error.code, fatal=True)
            refusal.__cause__ = error
            return refusal
        return error


class _Channel:
    """What is said on one channel of the sound."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.words: list[Word] = []
        self.guess: tuple[str, Sequence[Word]] = ("", ())
        """What was heard after the pieces and may still change."""
        self.speaking = False
        self.began = 0.0
        self.heard_until = 0.0
        self.turn_ends: float | None = None

    def carry(self, previous: _Channel, *, again: bool) -> None:
        """Go on with an utterance that a lost connection left unfinished.

        Args:
            again: whether the sound of the guess is sent again; if not, it is all that will be known.
        """
        self.pieces, self.words = list(previous.pieces), list(previous.words)
        if again:
            self.guess = previous.guess
        else:
            self.add(*previous.guess)
        self.speaking = previous.speaking

    def begin(self, position: float) -> list[Event]:
        """A voice is heard."""
        if self.speaking:
            return []
        self.speaking, self.began = True, position
        return [SpeechStarted()]

    def add(self, text: str, words: Sequence[Word]) -> None:
        """A piece that will not change any more."""
        self.guess = ("", ())
        if text:
            self.pieces.append(text)
            self.words.extend(words)

    def so_far(self, text: str = "", words: Sequence[Word] = (), *, final: bool = False) -> Transcript:
        """The utterance with, at its end, what may still change."""
        pieces = [*self.pieces, text] if text else self.pieces
        return Transcript("user", " ".join(pieces), final, words=(*self.words, *words))

    def end(self) -> list[Event]:
        """The speaker has paused."""
        events: list[Event] = [SpeechStopped()] if self.speaking else []
        if self.pieces:
            events.append(self.so_far(final=True))
        self.pieces, self.words, self.speaking = [], [], False
        return events

    def last_words(self) -> list[Event]:
        """Nothing more will be heard: what may still have changed did not."""
        self.add(*self.guess)
        return self.end()

    def turn_is_over(self, heard: float) -> bool:
        """True if all is heard that came before the end of a turn; told once."""
        if self.turn_ends is None or heard < self.turn_ends - _NEARLY:
            return False
        self.turn_ends = None
        return True

    @property
    def too_long(self) -> bool:
        """True if the server seems never to end it."""
        return sum(map(len, self.pieces)) > _LONGEST_UTTERANCE


class _ListenSession(Session):
    """One connection's rules."""

    tick_interval = 3.0
    """Deepgram hangs up after 10 s without a word; two intervals are well within that."""

    def __init__(self, dialect: DeepgramListen) -> None:
        self._dialect = dialect
        self._format = dialect.input_format
        multichannel = dialect.options.get("multichannel") in (True, "true")
        self._channels = [_Channel() for _ in range(self._format.channels if multichannel else 1)]
        self._to_send: list[str | bytes] = []
        self._keepalive = Keepalive()
        self._finishing = False
        self._finished = False
        self._log = SoundLog(self._format, dialect.replay)
        self._silence = 0
        self._finalized = False

    def go_on(self, previous: _ListenSession) -> None:
        """Take up where a lost connection has ended."""
        again = self._log.go_on(previous._log)
        for channel, before in zip(self._channels, previous._channels, strict=True):
            channel.carry(before, again=bool(again))
        self._to_send += again

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
        """A refusal of ``Finalize``: the server would refuse it again."""
        if self._finalized and isinstance(error, ConnectionClosed) and error.code == _REFUSED_WORDS:
            refusal = ServiceError(
                "the server does not know Finalize, which ends a turn of push to talk, and hung up "
                f"({error.reason or 'it did not say why'}); for such servers set finalize=False, and silence "
                "ends the turn",
                code=error.code,
                fatal=True,
            )
            refusal.__cause__ = error
            return refusal
        return error

    def last_words(self, *, resumes: bool) -> list[Event]:
        """What every channel was still saying; on a new connection it goes on."""
        left = () if resumes else [one for one in self._channels if one.pieces or one.guess[0]]
        return [event for channel in left for event in channel.last_words()]

    # -- what we say ------------------------------------------------------------------------

    def send(self, command: Command) -> None:
        """Put a command into the server's words.

        Raises:
            Unsupported: the dialect has no word for it.
        """
        match command:
            case SendAudio(pcm=pcm, at=at):
                self._speak(pcm, at)
            case EndTurn() if self._dialect.finalize:
                self._finalized = True
                self._end_turns()
                self._say(type="Finalize")
            case SendMessage(data=data):
                self._keepalive.spoke()
                self._to_send.append(written(data) if isinstance(data, Mapping) else data)
            case _:
                raise unsupported("DeepgramListen", command, self._dialect.accepts)

    def _say(self, **message: Any) -> None:
        self._keepalive.spoke()
        self._to_send.append(written(message))

    def _speak(self, pcm: bytes, at: float) -> None:
        self._silence = self._silence + len(pcm) if pcm.count(0) == len(pcm) else 0
        pause = self._dialect.pause_after
        if pause is not None and self._silence > self._format.bytes(pause):
            self._log.leave_out(pcm, at)
        else:
            self._keepalive.spoke()
            self._log.add(pcm, at)
            self._to_send.append(pcm)

    def _end_turns(self) -> None:
        for channel in self._channels:
            channel.turn_ends = self._log.sent

    def finish(self) -> None:
        if not self._finishing:
            self._finishing = True
            self._end_turns()
            self._say(type="CloseStream")

    def tick(self, now: float) -> list[Event]:
        """Hold the connection while no sound goes: a pause, a lost microphone."""
        if self._keepalive.due() and not self._finishing:
            self._to_send.append(written({"type": "KeepAlive"}))
        return []

    # -- what the server says ---------------------------------------------------------------

    def receive(self, message: str | bytes) -> list[Event]:
        """Understand a message; what makes no sense becomes a :class:`Message`."""
        data = parsed(message)
        kind = data.get("type") if isinstance(data, dict) else None
        understand = _KINDS.get(kind) if isinstance(kind, str) else None
        events = understand(self, data) if understand else None
        return [Message(data)] if events is None else events

    def _channel(self, data: Json, key: str) -> _Channel:
        """The one that a message is about: its index comes first in a list."""
        about = data.get(key)
        index = about[0] if isinstance(about, list) and about else 0
        known = isinstance(index, int) and 0 <= index < len(self._channels)
        return self._channels[index if known else 0]

    def _results(self, data: Json) -> list[Event] | None:
        heard = next(iter(items_of(object_of(data, "channel"), "alternatives")), {})
        text = text_of(heard, "transcript")
        if text is None:
            return None
        text = text.strip()
        channel, words = self._channel(data, "channel_index"), self._words(heard)
        start = number_of(data, "start") or 0.0
        until = start + (number_of(data, "duration") or 0.0)
        if until > self._log.sent + _FAR:
            until = 0.0  # it cannot have heard what was not sent
        pause = loose_truth(data.get("speech_final")) or loose_truth(data.get("from_finalize"))
        events: list[Event] = channel.begin(start) if text else []
        if not pause and not loose_truth(data.get("is_final")):
            if text:
                channel.guess = (text, words)
            return [*events, channel.so_far(text, words)] if text else events
        channel.add(text, words)
        self._note_heard(channel, until)
        # Asked in any case: it is told once.
        turn_is_over = channel.turn_is_over(until)
        if pause or turn_is_over or channel.too_long:
            return events + channel.end()
        return [*events, channel.so_far()] if text else events

    def _words(self, heard: Json) -> list[Word]:
        words = []
        for word in items_of(heard, "words"):
            text = text_of(word, "punctuated_word") or text_of(word, "word")
            start, end = number_of(word, "start"), number_of(word, "end")
            speaker = number_of(word, "speaker")
            if text and start is not None and end is not None:
                words.append(
                    Word(
                        text,
                        self._log.time(start),
                        self._log.time(end),
                        number_of(word, "confidence"),
                        None if speaker is None else int(speaker),
                    )
                )
        return words

    def _note_heard(self, channel: _Channel, until: float) -> None:
        channel.heard_until = max(channel.heard_until, until)
        self._log.heard(min(one.heard_until for one in self._channels))

    def _speech_started(self, data: Json) -> list[Event]:
        return self._channel(data, "channel").begin(number_of(data, "timestamp") or 0.0)

    def _utterance_end(self, data: Json) -> list[Event]:
        channel, last = self._channel(data, "channel"), number_of(data, "last_word_end")
        # A voice that began after the last word is already the next utterance.
        if channel.pieces or last is None or last >= channel.began:
            return channel.end()
        return []

    def _metadata(self, data: Json) -> list[Event]:
        # Some servers greet with one; only the one that sums up what we have sent is the last word.
        if not self._finishing or (self._log.sent and not number_of(data, "duration")):
            return []
        self._finished = True
        return [event for channel in self._channels for event in channel.last_words()]

    def _configured(self, data: Json) -> list[Event]:
        return []

    def _error(self, data: Json) -> list[Event]:
        reason = text_of(data, "description") or text_of(data, "message") or "it did not say why"
        return [ServerError(reason, text_of(data, "variant") or text_of(data, "code"))]


_KINDS: Mapping[str, Callable[[_ListenSession, Json], list[Event] | None]] = {
    "Results": _ListenSession._results,
    "SpeechStarted": _ListenSession._speech_started,
    "UtteranceEnd": _ListenSession._utterance_end,
    "Metadata": _ListenSession._metadata,
    "ConfigureSuccess": _ListenSession._configured,
    "ConfigureFailure": _ListenSession._error,
    "Error": _ListenSession._error,
}
"""What the server can say.  None from one of these: not in our vocabulary after all."""
