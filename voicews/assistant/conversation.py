"""One client's conversation: a thread that listens to the client, and one that answers.

The reader (:meth:`Conversation.run`) takes messages, finds turns in the sound, and cuts off
the answer when the user speaks over it.  The worker recognises, thinks and speaks, one thing
after the other.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from voicews.assistant.brain import Brain, pieces
from voicews.assistant.ears import RATE, Ears, Hearing
from voicews.assistant.response import Response
from voicews.assistant.speakable import SentenceSplitter
from voicews.assistant.turns import TurnDetector, TurnEnded, TurnSound, TurnStarted
from voicews.assistant.voice import Voice
from voicews.audio.convert import Converter
from voicews.buffers import DropOldestQueue, ShutDown
from voicews.config import AudioFormat
from voicews.errors import ConfigError, VoicewsError
from voicews.history import History, Turn

__all__ = ["AssistantConfig", "Conversation", "HungUp", "Line"]

log = logging.getLogger(__name__)

_EARS = AudioFormat(RATE)
_PIECE = 0.1  # seconds of sound in one message
_GONE_QUIET = 1.0  # seconds without a message that end a turn: a muted or finished source
_MARGIN = 0.3  # seconds that a client may play later than we think
_A_WORD = 0.6  # seconds of speech that cannot have been a noise
_LONGEST_TEXT = 4000  # characters of a written turn


class HungUp(Exception):
    """The connection is over."""


class Line(Protocol):
    """What a conversation needs of a connection."""

    def receive(self, timeout: float | None) -> str | bytes:
        """The next message; :class:`TimeoutError` or :class:`HungUp` if there is none."""

    def send(self, message: str | bytes) -> None:
        """Send a message; :class:`HungUp` if that is no longer possible.  Any thread."""


@dataclass(frozen=True, kw_only=True)
class AssistantConfig:
    """How the assistant converses.

    Raises:
        ConfigError: a number is out of its bounds.
    """

    hangover: float = 0.4
    """Seconds of silence that end a turn; longer for slow speakers, 0.15 to 5."""
    partials: float = 0.4
    """Seconds of speech between partial transcripts."""
    longest_turn: float = 60.0
    """Seconds after which a turn is taken as finished though the user still speaks."""
    interruptible: bool = True
    """False: it hears nothing while its answer plays.  For a loudspeaker that the microphone
    hears, where no echo cancelling is in between."""
    history: int = 50
    """Turns that are remembered for each client."""
    backlog: int = 32
    """Finished turns that may wait for an answer; what comes on top is refused with an error."""

    def __post_init__(self) -> None:
        for name, low, high in (
            ("hangover", 0.15, 5.0),
            ("partials", 0.1, 60.0),
            ("longest_turn", 1.0, 3600.0),
            ("history", 0, 100_000),
            ("backlog", 1, 10_000),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f"AssistantConfig.{name} is {value!r}; it must be from {low} to {high}")


class _SpokenTurn:
    """A turn's sound on its way from the reader to the worker."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fresh: list[tuple[bytes, bool]] = []
        self.seconds = 0.0
        self.voiced = 0.0
        # Only the reader uses these two …
        self.unread = 0.0
        self.settled = False
        # … and only the worker these.
        self.hearing: Hearing | None = None
        self.told = ""

    def add(self, pcm: bytes, voiced: bool) -> None:
        seconds = _EARS.seconds(pcm)
        with self._lock:
            self._fresh.append((pcm, voiced))
            self.seconds += seconds
            self.voiced += seconds * voiced
        self.unread += seconds

    def take(self) -> list[tuple[bytes, bool]]:
        with self._lock:
            fresh, self._fresh = self._fresh, []
            return fresh


@dataclass(frozen=True, eq=False)
class _Reread:
    """Tell what has been said so far."""

    turn: _SpokenTurn


@dataclass(frozen=True)
class _Finish:
    """The user has finished speaking."""

    turn: _SpokenTurn


@dataclass(frozen=True)
class _Written:
    """The user has written."""

    text: str


@dataclass(frozen=True)
class _Announce:
    """The brain speaks up by itself."""

    text: str


@dataclass(frozen=True)
class _LastWords:
    """The client says nothing more."""


_Job = _Reread | _Finish | _Written | _Announce | _LastWords


class _Cut(Exception):
    """The answer was cut off."""


class Conversation:
    """Converses with one client until it hangs up.

    Args:
        line: the connection.
        brain, ears, voice: what it thinks, hears and speaks with; shared with others.
        config: how it converses.
        name: begins the names of its threads.
        on_answer: called in the worker's thread after each answer.
    """

    def __init__(
        self,
        line: Line,
        *,
        brain: Brain,
        ears: Ears,
        voice: Voice,
        config: AssistantConfig,
        name: str,
        on_answer: Callable[[], None] = lambda: None,
    ) -> None:
        self._line = line
        self._brain = brain
        self._ears = ears
        self._voice = voice
        self._config = config
        self._on_answer = on_answer
        self._detector = TurnDetector(config.hangover)
        self._converter: Converter | None = None
        self._turn: _SpokenTurn | None = None
        self._no_more = False
        self._jobs: DropOldestQueue[_Job] = DropOldestQueue(
            config.backlog, droppable=lambda job: isinstance(job, _Reread)
        )
        self._worker = threading.Thread(target=self._work, name=f"{name}-answers", daemon=True)
        self._hearings: set[Hearing] = set()
        self._waiting: list[str] = []
        # Held while a piece of an answer is sent and noted, so that nothing of it can follow
        # the message that says that it was cut off.
        self._mouth = threading.RLock()
        self._response = Response()
        self._response.done = True
        self._history = History(config.history)

    # -- from other threads -----------------------------------------------------------------

    def announce(self, text: str) -> None:
        """Say something unasked, once the user is not speaking.  Returns at once."""
        self._put(_Announce(text))

    def hang_up(self) -> None:
        """Answer nothing more; the connection itself is ended by its owner."""
        self._response.cut = True
        self._jobs.shutdown(immediate=True)

    # -- the reader -------------------------------------------------------------------------

    def run(self) -> None:
        """Converse until the connection is over, then end the worker."""
        self._worker.start()
        try:
            self._tell(type="ready", sample_rate=self._voice.rate)
            while True:
                self._read()
        except HungUp as reason:
            log.debug("%s: %s", self._worker.name, reason)
        finally:
            self.hang_up()
            self._worker.join()

    def _read(self) -> None:
        waits = self._turn is not None and not self._detector.held
        try:
            message = self._line.receive(_GONE_QUIET if waits else None)
        except TimeoutError:
            self._note(self._detector.end())
            return
        if isinstance(message, bytes):
            self._hear(message)
            return
        try:
            data = json.loads(message)
        except (ValueError, RecursionError):
            self._complain("bad_json", "a text message must be a JSON object")
            return
        if not isinstance(data, dict):
            self._complain("bad_json", "a text message must be a JSON object")
            return
        kind = data.get("type")
        understand = self._vocabulary.get(kind) if isinstance(kind, str) else None
        if understand is None:
            self._complain("unknown_type", f"there is no message of type {str(kind)[:50]!r}")
        else:
            understand(self, data)

    def _hear(self, pcm: bytes) -> None:
        source = self._converter.source if self._converter else _EARS
        if len(pcm) % source.bytes_per_sample:
            self._complain("bad_audio", f"{len(pcm)} bytes are not whole samples of {source}")
            return
        if self._no_more:
            return
        if self._converter:
            pcm = self._converter.process(pcm)
        if not self._config.interruptible and self._response.is_audible(time.monotonic(), _MARGIN):
            pcm = bytes(len(pcm))
        self._note(self._detector.feed(pcm))

    def _note(self, events: Iterable[TurnStarted | TurnSound | TurnEnded]) -> None:
        self._follow(events)
        if self._turn is not None and self._turn.seconds >= self._config.longest_turn:
            held = self._detector.held
            self._follow(self._detector.end())
            if held:
                self._follow(self._detector.hold())

    def _follow(self, events: Iterable[TurnStarted | TurnSound | TurnEnded]) -> None:
        for event in events:
            if isinstance(event, TurnStarted):
                self._turn = _SpokenTurn()
                self._tell(type="speech_started")
                self._cut_off(told={"type": "interrupted"})
            elif self._turn is None:
                continue
            elif isinstance(event, TurnSound):
                self._listen(self._turn, event)
            else:
                self._tell(type="speech_stopped")
                self._put(_Finish(self._turn))
                self._turn = None

    def _listen(self, turn: _SpokenTurn, sound: TurnSound) -> None:
        turn.add(sound.pcm, sound.voiced)
        # Half way to the turn's end its words are read already: they will be the last ones, if
        # nothing more is said, and then the answer need not wait for them.
        pausing = sound.silence >= self._config.hangover / 2
        if (pausing and not turn.settled) or (not pausing and turn.unread >= self._config.partials):
            turn.unread = 0.0
            self._jobs.drop_if(lambda job: isinstance(job, _Reread), "superseded")
            self._put(_Reread(turn))
        turn.settled = pausing

    def _hello(self, data: dict[str, Any]) -> None:
        rate, channels = data.get("rate", RATE), data.get("channels", 1)
        try:
            source = AudioFormat(rate, channels)
        except (ConfigError, TypeError) as error:
            self._complain("bad_hello", str(error), fatal=True)
            raise HungUp("the client's sound cannot be used") from error
        self._converter = Converter(source, _EARS) if source != _EARS else None
        turns = data.get("history", [])
        if not isinstance(turns, list):
            self._complain("bad_hello", "history must be a list of turns")
            return
        known = tuple(
            Turn(turn["role"], turn["text"])
            for turn in turns
            if isinstance(turn, dict)
            and turn.get("role") in ("user", "assistant")
            and isinstance(turn.get("text"), str)
        )
        if len(known) < len(turns):
            self._complain("bad_hello", "a turn needs a role (user or assistant) and a text")
        with self._mouth:
            self._history = History(self._config.history, known)

    def _write(self, data: dict[str, Any]) -> None:
        text = data.get("text")
        if not isinstance(text, str) or not text.strip():
            self._complain("bad_text", "a text message needs a text")
        elif len(text) > _LONGEST_TEXT:
            self._complain(
                "bad_text", f"a text may have {_LONGEST_TEXT} characters; this one has {len(text)}"
            )
        else:
            self._put(_Written(text))

    def _start_of_turn(self, data: dict[str, Any]) -> None:
        self._note(self._detector.hold())

    def _end_of_turn(self, data: dict[str, Any]) -> None:
        self._note(self._detector.end())

    def _interrupt(self, data: dict[str, Any]) -> None:
        # The client has silenced itself; it only waits to be told that the answer is over.
        self._cut_off(told=None)

    def _truncate(self, data: dict[str, Any]) -> None:
        heard = data.get("heard_ms")
        if isinstance(heard, bool) or not isinstance(heard, int | float) or not 0 <= heard < 1e9:
            self._complain("bad_truncate", "heard_ms must be a number of milliseconds")
            return
        with self._mouth:
            self._correct(self._response, self._response.heard_after(heard / 1000))

    def _end_of_stream(self, data: dict[str, Any]) -> None:
        if not self._no_more:
            self._no_more = True
            self._note(self._detector.end())
            self._put(_LastWords())

    _vocabulary: Mapping[str, Callable[[Conversation, dict[str, Any]], None]] = {
        "hello": _hello,
        "text": _write,
        "start_of_turn": _start_of_turn,
        "end_of_turn": _end_of_turn,
        "interrupt": _interrupt,
        "truncate": _truncate,
        "end_of_stream": _end_of_stream,
    }

    def _cut_off(self, told: dict[str, Any] | None) -> None:
        """End the answer under way, or the playing of the last one, and tell the client so."""
        response = self._response
        if response.done and time.monotonic() >= response.playing_until + _MARGIN:
            return
        with self._mouth:
            response = self._response
            now = time.monotonic()
            if not response.is_audible(now, _MARGIN):
                return
            heard = response.heard_by(now)
            response.cut = True
            response.playing_until = now
            if told is not None:
                # With the text, since this ends the answer; a whole answer was told as such.
                self._tell(**told, **({} if response.done else {"text": heard}))
            elif not response.done:
                self._tell(type="response_done", text=heard)
            self._correct(response, heard)
            if told is not None and len(heard) < len(response.urgent) / 2:
                self._put(_Announce(response.urgent))

    def _correct(self, response: Response, heard: str) -> None:
        """Remember only what was heard of the latest answer."""
        response.heard_text = heard
        if response.recorded is None:
            return  # the worker will record it so
        turns = self._history.turns
        if response.recorded and turns:
            turns = turns[:-1]
        self._history = History(self._config.history, (*turns, Turn("assistant", heard)) if heard else turns)
        response.recorded = heard

    def _put(self, job: _Job) -> None:
        try:
            self._jobs.put(job)
        except queue.Full:
            self._complain("busy", "too many turns are waiting for an answer; this one is lost")
        except ShutDown:
            log.debug("%s: too late for %s", self._worker.name, type(job).__name__)

    # -- the worker -------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while True:
                self._do(self._jobs.get())
        except (ShutDown, HungUp):
            return
        finally:
            for hearing in self._hearings:
                hearing.close()

    def _do(self, job: _Job) -> None:
        try:
            match job:
                case _Reread(turn=turn):
                    self._reread(turn)
                case _Finish(turn=turn):
                    self._finish(turn)
                case _Written(text=text):
                    self._answer(text)
                case _Announce(text=text):
                    self._waiting.append(text)
                case _LastWords():
                    self._tell(type="finished")
            while self._waiting and self._is_silent_after(job):
                text = self._waiting.pop(0)
                self._utter(pieces(text), to=None, urgent=text)
        except HungUp:
            raise
        except VoicewsError as error:
            log.warning("%s: %s", self._worker.name, error)
            self._complain("failed", str(error))
        except Exception:
            log.exception("%s: a turn failed", self._worker.name)
            self._complain("failed", "the assistant failed; its log says how")

    def _is_silent_after(self, job: _Job) -> bool:
        """Whether the user neither speaks nor waits for an answer."""
        turn = self._turn
        return self._jobs.empty() and (turn is None or (isinstance(job, _Finish) and job.turn is turn))

    def _feed(self, turn: _SpokenTurn) -> Hearing:
        if turn.hearing is None:
            turn.hearing = self._ears.listen()
            self._hearings.add(turn.hearing)
        for pcm, voiced in turn.take():
            turn.hearing.feed(pcm, voiced)
        return turn.hearing

    def _reread(self, turn: _SpokenTurn) -> None:
        text = self._feed(turn).partial()
        if text and text != turn.told:
            turn.told = text
            self._tell(type="transcript", role="user", text=text, final=False)

    def _finish(self, turn: _SpokenTurn) -> None:
        hearing = self._feed(turn)
        self._hearings.discard(hearing)
        text = hearing.finish()
        if text:
            self._tell(type="transcript", role="user", text=text, final=True)
            self._answer(text)
        elif turn.voiced >= _A_WORD:
            self._utter(pieces("Sorry, I did not catch that."), to=None)

    def _answer(self, text: str) -> None:
        self._utter(self._ask(text), to=text)
        self._on_answer()

    def _ask(self, text: str) -> Generator[str, None, None]:
        answer = self._brain(self._history, text)
        yield from pieces(answer) if isinstance(answer, str) else answer

    def _utter(self, answer: Generator[str, None, None], to: str | None, urgent: str = "") -> None:
        """Send an answer's text and sound as they are made, and remember it.

        Args:
            answer: its pieces.
            to: the user's turn that it answers, if it does.
            urgent: what must not be lost, should the user begin to speak just then.
        """
        with self._mouth:
            response = self._response = Response(self._response.playing_until, urgent=urgent)
            self._tell(type="response_started")
        try:
            self._stream(response, answer)
        except _Cut:
            log.debug("%s: cut off", self._worker.name)
        finally:
            self._let_go(answer)
            with self._mouth:
                if not response.cut:
                    response.done = True
                    self._tell(type="response_done", text=response.text)
                if to is not None:
                    self._history.add("user", to)
                response.recorded = response.final_text
                if response.recorded:
                    self._history.add("assistant", response.recorded)

    def _let_go(self, answer: Generator[str, None, None]) -> None:
        try:
            answer.close()
        except Exception:
            log.exception("%s: the brain failed when it was cut off", self._worker.name)

    def _stream(self, response: Response, answer: Iterator[str]) -> None:
        splitter = SentenceSplitter()
        while (piece := self._think(answer)) is not None:
            with self._mouth:
                self._check(response)
                response.add_text(piece)
                self._tell(type="token", text=piece)
            for sentence in splitter.feed(piece):
                self._speak(response, sentence)
        for sentence in splitter.rest():
            self._speak(response, sentence)

    def _think(self, answer: Iterator[str]) -> str | None:
        """The brain's next piece; a brain that fails ends its answer, not the conversation."""
        try:
            piece = next(answer, None)
        except Exception as error:
            log.exception("%s: the brain failed", self._worker.name)
            self._complain("brain_failed", f"the brain failed: {type(error).__name__}")
            return None
        return None if piece is None else str(piece)

    def _speak(self, response: Response, sentence: str) -> None:
        sound = AudioFormat(self._voice.rate)
        step = sound.bytes(_PIECE)
        with self._mouth:
            self._check(response)
            response.begin_sentence(sentence)
        try:
            for pcm in self._voice.say(sentence):
                for start in range(0, len(pcm), step):
                    self._send_sound(response, pcm[start : start + step], sound)
        except VoicewsError as error:
            log.warning("%s: %s", self._worker.name, error)
            self._complain("voice_failed", str(error))

    def _send_sound(self, response: Response, pcm: bytes, sound: AudioFormat) -> None:
        with self._mouth:
            self._check(response)
            self._line.send(pcm)
            response.add_sound(sound.seconds(pcm), time.monotonic())

    def _check(self, response: Response) -> None:
        if response.cut:
            raise _Cut

    # -- both -------------------------------------------------------------------------------

    def _tell(self, **message: Any) -> None:
        self._line.send(json.dumps(message))

    def _complain(self, code: str, reason: str, *, fatal: bool = False) -> None:
        self._tell(type="error", message=reason, code=code, fatal=fatal)
