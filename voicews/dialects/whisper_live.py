"""WhisperLive (``collabora/WhisperLive``): Whisper on a server of one's own, heard while one speaks.

The server transcribes all it has not finished with again and again, and each time sends the last
finished segments, those told long ago included, and the one that may still change.  It hangs up
without finishing what it has when it is told that the sound is over; the last words are got by
waiting for them before.  Field names are those of whisper-live 0.10.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar, Literal

from voicews.callables import safe_repr
from voicews.commands import Command, SendAudio
from voicews.config import AudioFormat
from voicews.dialects.base import Dialect, Request, Session, bare_url, unsupported
from voicews.dialects.messages import (
    Json,
    items_of,
    loose_number,
    loose_truth,
    number_of,
    parsed,
    text_of,
    written,
)
from voicews.dialects.settings import (
    checked_headers,
    checked_json,
    checked_number,
    checked_text,
    checked_url,
    given_key,
)
from voicews.dialects.soundlog import SoundLog
from voicews.errors import (
    ConfigError,
    ConnectionClosed,
    LocalProtocolError,
    ServiceError,
    VoicewsError,
)
from voicews.events import (
    Event,
    Message,
    ServerError,
    SessionExpiring,
    SpeechStarted,
    SpeechStopped,
    Transcript,
    Word,
)
from voicews.history import History
from voicews.tools import Tool

__all__ = ["WhisperLive"]

_FORMAT = AudioFormat(16000)
_ACCEPTS: frozenset[type[Command]] = frozenset({SendAudio})
_END = b"END_OF_AUDIO"
_LARGEST = 5.0
"""Seconds of one message; the server's WebSocket library refuses more than a mebibyte."""
_LEAST = 1.0
"""Seconds of sound that the server needs before it listens at all."""
_ROUNDING = 0.01
"""Seconds by which a segment may seem to begin before the end of the one before."""
_FAR = 60.0
"""Seconds beyond the sound that was sent in which no segment can lie."""
_LONG_SILENT = 3.0
"""Seconds of digital silence after which nothing can be under way any more."""
_TICK = 0.25
"""Seconds between looks at whether the server has come to the end."""
_AGREED = 3
"""Equal results, one after the other, that are taken for final once all sound is sent; the first of
them may be of a run that had begun before."""
_ENOUGH = 8
"""Results after which the last is taken for final although they never agreed."""


@dataclass(frozen=True)
class _Segment:
    """Words that may still change; where they were said is unknown for those of a lost connection."""

    text: str
    start: float | None = None
    end: float | None = None

    def ends_before(self, start: float | None) -> bool:
        """True if what begins there is something else."""
        return self.end is not None and start is not None and start >= self.end - _ROUNDING


@dataclass(frozen=True, repr=False)
class WhisperLive(Dialect):
    """Transcription by a WhisperLive server.

    Example::

        WhisperLive("ws://whisper.local:9090", model="small.en", language="en")

    Raises:
        ConfigError: a setting is wrong.
    """

    restores: ClassVar[str] = "sound not yet understood is sent again"

    url: str = "ws://localhost:9090"
    """Of the server; its default port is 9090."""
    _: KW_ONLY
    model: str = "small"
    """Size or name of the Whisper model, which the server loads, and may have to fetch first; a server
    that was started with a model of its own ignores it."""
    language: str | None = None
    """Such as "de"; None (the default) has the server find out, which takes a while."""
    task: Literal["transcribe", "translate"] = "transcribe"
    """"translate": into English."""
    prompt: str | None = None
    """What was said before, or names and terms to expect; None (the default) for none."""
    use_vad: bool = True
    """True has the server leave out what is no speech; Whisper makes words up for silence."""
    words: bool = False
    """True asks for the time of each word in final transcripts."""
    same_output: int = 3
    """Number of equal results after which the server takes a segment for finished.  Its own default is
    10, which takes long; too few cut sentences at a pause."""
    encoding: Literal["float32", "int16"] = "float32"
    """How samples are sent.  "float32" (the default) is understood by all servers, "int16" is half as
    much and needs version 0.10."""
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Further members of the first message, such as ``{"hotwords": "voicews"}``."""
    key: str | None = field(default=None, repr=False)
    """Of a server started with ``--api_key``; None (the default) for none.  There is no usual variable
    of the environment for it."""
    chunk: float = 0.1
    """Seconds of sound in one message, at least; 0 sends every frame as it comes."""
    replay: float = 30.0
    """Seconds of sound, at most, that are sent again after a reconnect because no final transcript had
    told what was said in them; 0 sends none."""
    settle: float = 4.0
    """Seconds that one run of the transcription may take: after so many without a word from the server,
    at the end, it is taken to have none.  The client's ``Timeouts.close`` should be longer."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    """Further headers of the handshake; they win."""

    def __post_init__(self) -> None:
        checked_url("WhisperLive.url", self.url)
        checked_text("WhisperLive.model", self.model)
        for name in ("language", "prompt"):
            if getattr(self, name) is not None:
                checked_text(f"WhisperLive.{name}", getattr(self, name))
        for name, allowed in (("task", ("transcribe", "translate")), ("encoding", ("float32", "int16"))):
            value = getattr(self, name)
            if value not in allowed:
                wanted = " or ".join(map(repr, allowed))
                raise ConfigError(f"WhisperLive.{name} is {safe_repr(value)}; it must be {wanted}")
        checked_number("WhisperLive.same_output", self.same_output, 1, "results")
        object.__setattr__(self, "options", checked_json("WhisperLive.options", self.options))
        object.__setattr__(self, "key", given_key("WhisperLive.key", self.key or "", "", needed=False))
        for name in ("chunk", "replay", "settle"):
            checked_number(f"WhisperLive.{name}", getattr(self, name), 0, "seconds")
        object.__setattr__(self, "headers", checked_headers("WhisperLive.headers", self.headers))

    def __repr__(self) -> str:
        return f"WhisperLive({bare_url(self.url)!r}, model={self.model!r})"

    @property
    def input_format(self) -> AudioFormat:
        """16 kHz mono, always."""
        return _FORMAT

    @property
    def output_format(self) -> AudioFormat:
        """Never used: this server has no voice."""
        return _FORMAT

    @property
    def answers(self) -> bool:
        """False: it only writes down what it hears."""
        return False

    @property
    def accepts(self) -> frozenset[type[Command]]:
        """Sound alone: whatever else the server is sent ends the connection."""
        return _ACCEPTS

    def request(self) -> Request:
        """The same for each attempt."""
        shown = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        return Request(self.url, {**shown, **self.headers})

    def begin(self, previous: Session | None, history: History, tools: Sequence[Tool] = ()) -> Session:
        """After a loss, what no final transcript had told yet is sent again."""
        session = _WhisperLiveSession(self)
        if isinstance(previous, _WhisperLiveSession):
            session.go_on(previous)
        return session

    def classify(self, error: VoicewsError) -> VoicewsError:
        """The server closes with 1000 whatever the reason; unless we wanted it, it is worth another try."""
        if isinstance(error, ConnectionClosed) and error.code == 1000:
            unwanted = ServiceError("the server hung up without saying why", code=1000)
            unwanted.__cause__ = error
            return unwanted
        return error

    def setup(self) -> Json:
        """The first message."""
        setup: Json = {
            "uid": "voicews",
            "language": self.language,
            "task": self.task,
            "model": self.model,
            "use_vad": self.use_vad,
            "word_timestamps": self.words,
            "same_output_threshold": self.same_output,
            "audio_format": self.encoding,
            "initial_prompt": self.prompt,
        }
        return {**setup, **self.options}

    def encoded(self, pcm: bytes) -> bytes:
        """Samples as the server wants them."""
        if self.encoding == "int16":
            return pcm
        import numpy as np

        return (np.frombuffer(pcm, dtype="<i2").astype("<f4") / np.float32(32768)).tobytes()


class _WhisperLiveSession(Session):
    """One connection's rules.  Times of segments are the server's: seconds of sound on this connection."""

    def __init__(self, dialect: WhisperLive) -> None:
        self.tick_interval = None
        self._dialect = dialect
        self._to_send: list[str | bytes] = [written(dialect.setup())]
        self._log = SoundLog(_FORMAT, dialect.replay)
        self._ready = False
        self._unsaid: list[bytes] = []
        self._chunk = bytearray()
        self._silent = 0.0
        self._running: _Segment | None = None
        """What was last told as it may still change."""
        self._given_up: _Segment | None = None
        """What was told as final although the server had not finished it, and may yet do so."""
        self._told_until = 0.0
        # The end.
        self._finishing = self._finished = False
        self._news_at: float | None = None
        self._last_result: str | None = None
        self._agreed = self._results = self._results_before = 0

    def go_on(self, previous: _WhisperLiveSession) -> None:
        """Take up where a lost connection has ended."""
        unheard = b"".join(self._log.go_on(previous._log))
        size = _FORMAT.bytes(_LARGEST)
        self._unsaid = [unheard[start : start + size] for start in range(0, len(unheard), size)]
        if unheard and previous._running is not None:
            self._running = _Segment(previous._running.text)

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
        if not isinstance(command, SendAudio):
            raise unsupported("WhisperLive", command, _ACCEPTS)
        pcm = command.pcm
        length = _FORMAT.seconds(pcm)
        self._silent = self._silent + length if pcm.count(0) == len(pcm) else 0.0
        self._log.add(pcm, command.at)
        self._chunk += pcm
        if _FORMAT.seconds(self._chunk) >= self._dialect.chunk:
            self._say_chunk()

    def _say_chunk(self) -> None:
        if self._chunk:
            self._to_send.append(self._dialect.encoded(bytes(self._chunk)))
            self._chunk.clear()

    def finish(self) -> None:
        if self._finishing:
            return
        self._finishing = True
        if not self._ready:
            self._finished = True
            return
        self._say_chunk()
        if self._running is None and (self._log.sent == 0 or self._silent >= _LONG_SILENT):
            self._end()
            return
        # Words that came just now are too few for the server to listen to, unless something follows.
        self._to_send.append(self._dialect.encoded(bytes(_FORMAT.bytes(_LEAST))))
        self.tick_interval = _TICK

    def tick(self, now: float) -> list[Event]:
        """Notice that the server, which never says so, has no more words."""
        if not self._finishing or self._finished:
            return []
        if self._news_at is None or self._results > self._results_before:
            self._results_before, self._news_at = self._results, now
        if now - self._news_at >= self._dialect.settle:
            self._end()
            return self._give_up()
        return []

    def last_words(self, *, resumes: bool) -> list[Event]:
        """The last partial, unless its sound is sent again."""
        return [] if resumes and self._log.has_unheard else self._give_up()

    def _end(self) -> None:
        self._finished = True
        self.tick_interval = None
        self._to_send.append(_END)

    # -- what the server says ---------------------------------------------------------------

    def receive(self, message: str | bytes) -> list[Event]:
        """Understand a message; what makes no sense becomes a :class:`Message`.

        Raises:
            ServiceError: the server is full, or cannot load the model.
        """
        data = parsed(message)
        if not isinstance(data, dict):
            return [Message(data)]
        if isinstance(data.get("status"), str):
            return self._told_status(data)
        if isinstance(data.get("segments"), list):
            if not self._ready:
                self._begin()  # whoever transcribes has accepted us, and need not say so
            return self._heard(items_of(data, "segments"))
        match data.get("message"):
            case "SERVER_READY":
                self._begin()
                return []
            case "DISCONNECT":
                return [SessionExpiring(0.0)]
        return [Message(data)]

    def _begin(self) -> None:
        self._ready = True
        self._to_send += [self._dialect.encoded(pcm) for pcm in self._unsaid]
        self._unsaid = []

    def _told_status(self, data: Json) -> list[Event]:
        reason = text_of(data, "message") or "it did not say why"
        match data["status"]:
            case "WAIT":
                minutes = number_of(data, "message") or 0.0
                raise ServiceError(f"the server is full for about {minutes:.1f} minutes", code="WAIT")
            case "ERROR":
                raise ServiceError(reason, code="ERROR", fatal=True)
            case "WARNING":
                return [ServerError(reason, "WARNING")]
        return [Message(data)]

    def _heard(self, segments: Sequence[Json]) -> list[Event]:
        """Each result tells the newest finished segments, and the one that may still change.

        The server withdraws that one if it has the same words as the one before, or if it takes them
        for noise on second thoughts.  So words that are neither finished nor told again are final: their
        segment has vanished, or another begins after its end.
        """
        if self._finished:
            return []  # it is told already, and would be told twice
        events: list[Event] = []
        running: _Segment | None = None
        for place, segment in enumerate(segments, 1):
            # Servers from before 2025 do not say it: there all but the last are finished.
            completed = loose_truth(segment.get("completed"))
            if completed or (completed is None and place < len(segments)):
                events += self._completed(segment)
            else:
                running = self._told_to_run(segment)
        if self._running is not None and (running is None or self._running.ends_before(running.start)):
            events += self._give_up()
        if running is not None:
            if self._running is None:
                events.append(SpeechStarted())
            if self._running is None or self._running.text != running.text:
                events.append(Transcript("user", running.text, final=False))
            self._running = running
        if self._finishing:
            events += self._come_to_the_end(running.text if running is not None else "")
        return events

    def _told_to_run(self, segment: Json) -> _Segment | None:
        """The segment that may still change; None if it is blank, or told as final already."""
        text, start, end = (
            text_of(segment, "text"),
            self._place(segment, "start"),
            self._place(segment, "end"),
        )
        running = _Segment((text or "").strip(), start, end)
        is_old = end is not None and end <= self._told_until + _ROUNDING
        return running if running.text and not is_old and not self._is_given_up(running) else None

    def _place(self, segment: Json, key: str) -> float | None:
        """Where a segment begins or ends; None if that is far beyond all that was sent, for nothing that
        follows could be told from what is known already."""
        place = _seconds(segment, key)
        return place if place is not None and place <= self._log.sent + _FAR else None

    def _is_given_up(self, segment: _Segment) -> bool:
        """Whether these words, at this place, were told as final although they were not finished."""
        known = self._given_up
        return known is not None and not known.ends_before(segment.start) and known.text == segment.text

    def _completed(self, segment: Json) -> list[Event]:
        """Tell a finished segment, once."""
        start, end = self._place(segment, "start"), self._place(segment, "end")
        if start is None or end is None or start < self._told_until - _ROUNDING:
            return []
        events: list[Event] = []
        if self._running is not None and self._running.ends_before(start):
            events += self._give_up()
        self._told_until = max(end, self._told_until)
        text = (text_of(segment, "text") or "").strip()
        if text:
            events += self._final(_Segment(text, start, end), self._words(segment))
        self._log.heard(end)
        return events

    def _give_up(self) -> list[Event]:
        """What was told last is final, for the server says no more of it."""
        running = self._running
        if running is None:
            return []
        events = self._final(running)
        self._given_up = running
        if running.end is not None:
            self._log.heard(running.end)
        return events

    def _final(self, segment: _Segment, words: tuple[Word, ...] = ()) -> list[Event]:
        speaking, self._running = self._running is not None, None
        stopped: list[Event] = [SpeechStopped()] if speaking else []
        known, self._given_up = self._given_up, None
        if known is not None and not known.ends_before(segment.start):
            # The server has thought better of it.
            same = known.text == segment.text
            return [
                *stopped,
                *([] if same else [Transcript("user", segment.text, words=words, replaces=known.text)]),
            ]
        began: list[Event] = [] if speaking else [SpeechStarted()]
        return [*began, SpeechStopped(), Transcript("user", segment.text, words=words)]

    def _come_to_the_end(self, running: str) -> list[Event]:
        """All sound is sent: what the server says of it again and again is its last word."""
        self._results += 1
        self._agreed = self._agreed + 1 if running == self._last_result else 1
        self._last_result = running
        if self._agreed < _AGREED and self._results < _ENOUGH:
            return []
        self._end()
        return self._give_up()

    def _words(self, segment: Json) -> tuple[Word, ...]:
        words = []
        for word in items_of(segment, "words"):
            text, start, end = text_of(word, "word"), _seconds(word, "start"), _seconds(word, "end")
            if text and start is not None and end is not None:
                time = self._log.time
                words.append(Word(text.strip(), time(start), time(end), number_of(word, "probability")))
        return tuple(words)


def _seconds(data: Json, key: str) -> float | None:
    """The server writes times as text."""
    return number_of({key: loose_number(data.get(key))}, key)
