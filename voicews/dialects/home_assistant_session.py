"""The rules of one connection to Home Assistant's WebSocket API, as far as Assist is concerned.

Each turn is a run of a pipeline, with a number of its own; what the server says of one bears its
number.  An answer's sound lies at an address, and has to be fetched.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from voicews.commands import (
    Command,
    EndTurn,
    InterruptResponse,
    SendAudio,
    SendMessage,
    SendText,
    StartTurn,
)
from voicews.config import AudioFormat
from voicews.dialects.base import Session, Sound
from voicews.dialects.messages import (
    Complaints,
    Json,
    error_of,
    loose_number,
    loose_truth,
    merged,
    number_of,
    object_of,
    parsed,
    text_of,
    written,
)
from voicews.errors import LocalProtocolError, ServiceError, Unsupported, VoicewsError
from voicews.events import (
    AudioReceived,
    Event,
    Interrupted,
    Message,
    ResponseDone,
    ResponseStarted,
    ServerError,
    SoundOffered,
    SpeechStarted,
    SpeechStopped,
    Token,
    Transcript,
)

__all__ = ["HomeAssistantSession", "Rules"]

_NOTHING_HEARD = frozenset(
    {"duplicate_wake_up_detected", "stt-no-text-recognized", "timeout", "wake-word-timeout"}
)
"""Codes of errors that only say that nobody has spoken."""
_PASSING = frozenset({"home_assistant_error", "timeout", "unknown_error"})
"""Codes of refusals that may be another the next time; all others are about the settings."""
_PAUSE = 1.0
"""Seconds after an error before the next run; else a pipeline that fails would be asked without end."""
_LEAST = 0.5
"""Seconds of sound without which a run cannot have been in earnest."""
_ECHO = 0.3
"""Seconds that the loudspeaker and the room may be behind."""
_EARLY = 2.0
"""Seconds of sound that are kept while a run begins."""
_LONG_SILENT = 3.0
"""Seconds of digital silence after which no turn of the user can be under way."""
_PIECE = 0.1
"""Seconds of an answer in one event."""
_REMEMBERED = 64
"""Runs that are over, of which the server may still speak."""
_BEGINS_WITHIN = 10.0
"""Seconds after which a run that has not begun does not begin any more."""
_ENDS_WITHIN = 2.0
"""Seconds after which a run of which all has been told is over, although the server has not said so."""
_GRACE = 5.0
"""Seconds that the server gets to end a run by its own timeout."""
_LONGEST_TEXT = 1_000_000
"""Characters of an answer that are put together from its pieces."""


@dataclass(frozen=True)
class Rules:
    """What a session has to know of its dialect's settings."""

    hears: AudioFormat
    token: str
    base: str
    """What addresses of answers are relative to."""
    run: Mapping[str, object]
    """What all runs have in common."""
    options: Mapping[str, object]
    """Further members of the runs that listen."""
    listen: str = "always"
    """Or "wake_word", or "turns"."""
    barge_in: bool = False
    accepts: frozenset[type[Command]] = frozenset()
    conversation: str | None = None
    """That goes on."""


class _Run:
    """One turn."""

    def __init__(self, number: int, *, listens: bool, waits_for_word: bool) -> None:
        self.number = number
        self.listens = listens
        self.waits_for_word = waits_for_word
        self.handler: int | None = None
        self.hears = listens
        """True until the user's turn is over: sound is sent, or kept until it can be."""
        self.early: deque[bytes] = deque()
        self.early_bytes = 0
        self.speaking = False
        self.answer = ""
        self.responding = False
        self.offer: SoundOffered | None = None
        self.spoken = 0.0
        """Seconds of the answer."""
        self.sent = 0.0
        """Seconds of what the user said."""
        self.begun = self.done = self.ended = self.failed = False
        """The server has begun it; all of it that matters has been told; it has said so; it went wrong."""
        self.heard_of = False
        self.quiet_since: float | None = None


class HomeAssistantSession(Session):
    """One connection's rules.  ``voicews.dialects.HomeAssistantAssist`` makes it.

    Args:
        rules: from the dialect's settings.
    """

    tick_interval = 0.1

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._to_send: list[str | bytes] = []
        self._number = 0
        self._run: _Run | None = None
        self._past: deque[int] = deque(maxlen=_REMEMBERED)
        self._ready = False
        self._conversation = rules.conversation
        self._goes_on = False
        self._silent = 0.0
        self._owed: list[Event] = []
        self._complaints = Complaints()
        self._rest: float | None = None
        """Seconds until the next run may begin, not counted yet."""
        self._listen_at: float | None = None
        self._finishing = False

    @property
    def conversation(self) -> str | None:
        """Its id, by which the next connection can go on."""
        return self._conversation

    @property
    def ready(self) -> bool:
        return self._ready

    @property
    def finished(self) -> bool:
        return self._finishing and (not self._ready or self._run is None)

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
            raise LocalProtocolError(f"{type(command).__name__} before Home Assistant has let us in")
        if type(command) not in self._rules.accepts:
            raise Unsupported(
                f"HomeAssistantAssist with these settings has no word for {type(command).__name__}; it takes "
                + ", ".join(sorted(kind.__name__ for kind in self._rules.accepts))
            )
        match command:
            case SendAudio(pcm=pcm):
                self._append(pcm)
            case SendText(text=text):
                self._call_off()
                self._begin_run({"start_stage": "intent", "input": {"text": text}}, listens=False)
            case StartTurn():
                # The loudspeaker need not wait for the server; but only what it says can be heard here.
                self._owed.append(Interrupted())
                self._call_off()
                self._listen("stt")
            case EndTurn():
                self._end_turn()
            case InterruptResponse():
                self._interrupt()
            case _:
                assert isinstance(command, SendMessage)
                self._pass_on(command.data)

    def _say(self, **message: object) -> int:
        self._number += 1
        self._to_send.append(written({"id": self._number, **message}))
        return self._number

    def _pass_on(self, data: Mapping[str, object] | str | bytes) -> None:
        """A message of the user's own gets the next number, for numbers may only grow."""
        if isinstance(data, Mapping):
            self._say(**{name: value for name, value in data.items() if name != "id"})
        else:
            self._to_send.append(data)

    def _listen(self, stage: str) -> None:
        sound = {"sample_rate": self._rules.hears.rate}
        if stage == "wake_word":
            sound["timeout"] = 0  # for ever
        run = merged({"start_stage": stage, "input": sound}, self._rules.options)
        self._begin_run(run, listens=True)

    def _begin_run(self, run: Json, *, listens: bool) -> None:
        self._rest = self._listen_at = None
        number = self._say(**{**self._rules.run, **run, "conversation_id": self._conversation})
        self._run = _Run(number, listens=listens, waits_for_word=run["start_stage"] == "wake_word")

    def _append(self, pcm: bytes) -> None:
        length = self._rules.hears.seconds(pcm)
        self._silent = self._silent + length if pcm.count(0) == len(pcm) else 0.0
        run = self._run
        if run is None or not run.hears:
            return
        run.sent += length
        if run.handler is not None:
            self._to_send.append(bytes([run.handler]) + pcm)
            return
        run.early.append(pcm)
        run.early_bytes += len(pcm)
        while run.early_bytes > self._rules.hears.bytes(_EARLY):
            run.early_bytes -= len(run.early.popleft())

    def _end_turn(self) -> None:
        run = self._run
        if run is not None and run.hears:
            run.hears = False
            if run.handler is not None:
                self._to_send.append(bytes([run.handler]))

    def _interrupt(self) -> None:
        """Stop an answer, made or being played; a user who speaks is not interrupted."""
        if self._run is None or not self._run.hears:
            self._call_off()
            self._listen_again(0.0)

    def _call_off(self) -> None:
        run, self._run = self._run, None
        if run is None:
            return
        self._past.append(run.number)
        if not run.ended:
            self._past.append(self._say(type="unsubscribe_events", subscription=run.number))
        if run.responding:
            self._owed.append(ResponseDone())

    def _listen_again(self, seconds: float) -> None:
        """Begin the next run by itself, after so many seconds."""
        if self._finishing or self._rules.listen == "turns":
            return
        if seconds > 0:
            self._rest = seconds
        else:
            self._listen("stt" if self._goes_on else self._first_stage)

    @property
    def _first_stage(self) -> str:
        return "wake_word" if self._rules.listen == "wake_word" else "stt"

    def finish(self) -> None:
        if self._finishing:
            return
        self._finishing = True
        self._rest = self._listen_at = None
        run = self._run
        if run is None or not self._ready or not run.hears:
            return
        if run.waits_for_word or run.handler is None or self._silent >= _LONG_SILENT:
            self._call_off()
        else:
            self._end_turn()

    def tick(self, now: float) -> list[Event]:
        """Listen again once the answer has been played; tell what commands have brought about."""
        if self._rest is not None:
            self._listen_at, self._rest = now + self._rest, None
        if self._listen_at is not None and now >= self._listen_at:
            self._listen_at = None
            self._listen_again(0.0)
        owed, self._owed = self._owed, []
        return owed + self._look(now)

    def _look(self, now: float) -> list[Event]:
        """Notice that a run is over, or will never be; else nobody would listen any more."""
        run = self._run
        if run is None or not self._ready or (run.ended and run.offer is not None):
            return []
        if run.heard_of or run.quiet_since is None:
            run.heard_of, run.quiet_since = False, now
        timeout = number_of(self._rules.run, "timeout")
        patience = None if timeout is None else timeout + _GRACE
        if run.done and run.offer is None:
            patience = _ENDS_WITHIN
        elif not run.begun or (run.hears and run.handler is None):
            patience = _BEGINS_WITHIN
        if patience is None or now - run.quiet_since < patience:
            return []
        if run.done:
            return self._run_ended(run, {})
        return self._abandon(run, f"nothing was heard of a run of the pipeline for {patience:g} s")

    def _abandon(self, run: _Run, why: str) -> list[Event]:
        """Call off a run that cannot go on; another one is tried after a while."""
        events = self._speech_stopped(run, {})
        self._past.append(self._say(type="unsubscribe_events", subscription=run.number))
        run.failed, run.offer = True, None
        return [*events, ServerError(why, "pipeline"), *self._end(run)]

    # -- what the server says ---------------------------------------------------------------

    def receive(self, message: str | bytes) -> list[Event]:
        """Understand a message; what makes no sense becomes a :class:`Message`.

        Raises:
            ServiceError: the token is wrong, or the pipeline cannot be run.
        """
        owed, self._owed = self._owed, []
        data = parsed(message)
        # Home Assistant may put several messages into one list.
        several = data if isinstance(data, list) and data else [data]
        return [*owed, *(event for one in several for event in self._understand(one))]

    def _understand(self, data: object) -> list[Event]:
        if not isinstance(data, dict):
            return self._complaints.about(data, "the server sent what is not a JSON object")
        match data.get("type"):
            case "auth_required":
                self._to_send.append(written({"type": "auth", "access_token": self._rules.token}))
                return []
            case "auth_ok":
                self._let_in()
                return []
            case "auth_invalid":
                reason = text_of(data, "message") or "the access token is not valid"
                raise ServiceError(reason, code="auth_invalid", fatal=True)
            case "result" | "event" | "pong":
                return self._understand_number(data)
        return [Message(data)]

    def _let_in(self) -> None:
        if self._ready or self._run is not None:
            return
        if self._rules.listen == "turns":
            self._ready = True
        else:
            self._listen(self._first_stage)

    def _understand_number(self, data: Json) -> list[Event]:
        number = loose_number(data.get("id"))
        if number is not None and number in self._past:
            return []  # it was called off, or is over
        run = self._run
        if run is None or number != run.number or data["type"] == "pong":
            return [Message(data)]
        run.heard_of = True
        if data["type"] == "result":
            return self._run_accepted(run, data)
        event = object_of(data, "event")
        kind = event.get("type")
        if not isinstance(kind, str):
            return self._complaints.misshapen(data, "event")
        run.begun = True
        # Whatever comes after the user's words shows that they are over.
        ended = self._speech_stopped(run, {}) if kind in _AFTER_SPEECH else []
        understand = _STAGES.get(kind)
        if understand is None:
            return [*ended, *([] if kind in _NOTED else [Message(data)])]
        return [*ended, *understand(self, run, error_of(event, "data"))]

    def _run_accepted(self, run: _Run, data: Json) -> list[Event]:
        success, error = loose_truth(data.get("success")), error_of(data, "error")
        if success or not (error or data.get("success") is False):
            return [] if success else self._complaints.misshapen(data, "result")
        reason = text_of(error, "message") or "the pipeline could not be run"
        code = text_of(error, "code")
        if code not in _PASSING or not self._ready:
            raise ServiceError(reason, code=code, fatal=code not in _PASSING)
        run.failed = True
        return [ServerError(reason, code), *self._run_ended(run, {})]

    # A run, stage by stage.

    def _run_started(self, run: _Run, data: Json) -> list[Event]:
        self._ready = True
        number = loose_number(object_of(data, "runner_data").get("stt_binary_handler_id"))
        if run.listens and number not in _HANDLERS:
            return self._abandon(run, "the server did not say by which number it takes sound")
        if run.listens and number is not None:
            run.handler = handler = int(number)
            self._to_send += [bytes([handler]) + pcm for pcm in run.early]
            run.early.clear()
            if not run.hears:  # the turn was over before the run had begun
                self._to_send.append(bytes([handler]))
        return []

    def _woken(self, run: _Run, data: Json) -> list[Event]:
        if not object_of(data, "wake_word_output"):
            return []
        run.waits_for_word = False
        return [Message({"type": "wake_word-end", "data": data})]

    def _speech_started(self, run: _Run, data: Json) -> list[Event]:
        run.speaking = True
        return [SpeechStarted(), *([Interrupted()] if self._rules.barge_in else [])]

    def _speech_stopped(self, run: _Run, data: Json) -> list[Event]:
        run.hears = False
        speaking, run.speaking = run.speaking, False
        return [SpeechStopped()] if speaking else []

    def _heard(self, run: _Run, data: Json) -> list[Event]:
        words = (text_of(object_of(data, "stt_output"), "text") or "").strip()
        events = self._speech_stopped(run, data)
        return [*events, Transcript("user", words)] if words else events

    def _answer_goes_on(self, run: _Run, data: Json) -> list[Event]:
        delta = object_of(data, "chat_log_delta")
        text = text_of(delta, "content")
        if not text or delta.get("role") == "tool_result":
            return []
        if len(run.answer) < _LONGEST_TEXT:
            run.answer += text
        return [*self._begin_answer(run), Token(text)]

    def _begin_answer(self, run: _Run) -> list[Event]:
        if run.responding:
            return []
        run.responding = True
        return [ResponseStarted()]

    def _answered(self, run: _Run, data: Json) -> list[Event]:
        output = object_of(data, "intent_output")
        self._conversation = text_of(output, "conversation_id") or self._conversation
        self._goes_on = loose_truth(output.get("continue_conversation")) is True
        speech = object_of(object_of(object_of(output, "response"), "speech"), "plain")
        text = (text_of(speech, "speech") or run.answer).strip()
        run.done = self._rules.run.get("end_stage") == "intent"
        return [*self._begin_answer(run), Transcript("assistant", text)] if text else []

    def _spoken(self, run: _Run, data: Json) -> list[Event]:
        output = object_of(data, "tts_output")
        url = self._address(text_of(output, "url") or "")
        if url is None:
            return [ServerError("the answer's sound has no address that can be fetched")]
        run.offer = SoundOffered(url, text_of(output, "mime_type") or "")
        return [*self._begin_answer(run), run.offer]

    def _address(self, url: str) -> str | None:
        try:
            address = urljoin(self._rules.base, url)
            parts = urlsplit(address)
            valid = (
                bool(url) and parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            )
        except ValueError:
            return None
        return address if valid else None

    def _failed(self, run: _Run, data: Json) -> list[Event]:
        code = text_of(data, "code")
        events: list[Event] = [SpeechStopped()] if run.speaking else []
        run.hears = run.speaking = False
        run.done = True
        self._goes_on = False
        # A pipeline that hears nothing before there was anything to hear is not well either.
        run.failed = code not in _NOTHING_HEARD or run.sent < _LEAST
        if code in _NOTHING_HEARD:
            return events
        return [*events, ServerError(text_of(data, "message") or "the pipeline failed", code)]

    def _run_ended(self, run: _Run, data: Json) -> list[Event]:
        run.ended = True
        run.hears = False
        return self._end(run) if run.offer is None else []

    def _end(self, run: _Run) -> list[Event]:
        self._run = None
        self._past.append(run.number)
        pause = _PAUSE if run.failed else 0.0
        if run.spoken and not self._rules.barge_in:
            pause = run.spoken + _ECHO
        self._listen_again(pause)
        return [ResponseDone()] if run.responding else []

    def collected(self, offer: SoundOffered, sound: Sound | VoicewsError) -> list[Event]:
        """Play an answer, unless it was called off meanwhile."""
        run = self._run
        if run is None or run.offer is not offer:
            return []
        run.offer = None
        run.done = run.heard_of = True
        events: list[Event] = []
        if isinstance(sound, VoicewsError):
            events.append(ServerError(f"the answer's sound cannot be played: {sound}", "sound"))
        else:
            pcm, spoken_in = sound
            run.spoken, step = spoken_in.seconds(pcm), spoken_in.bytes(_PIECE)
            events += [AudioReceived(pcm[at : at + step], spoken_in) for at in range(0, len(pcm), step)]
        # The server mostly has ended the run by now: it does so as soon as it has said where the sound is.
        return events + self._end(run) if run.ended else events


_AFTER_SPEECH = frozenset(
    {"intent-start", "intent-progress", "intent-end", "tts-start", "tts-end", "run-end"}
)
"""Stages that begin when the user's turn is over."""

_HANDLERS = range(256)
"""What sound can be marked by: it is one byte."""

_NOTED = frozenset({"wake_word-start", "stt-start", "intent-start", "tts-start"})
"""Stages of which nobody need know."""

_STAGES: Mapping[str, Callable[[HomeAssistantSession, _Run, Json], list[Event]]] = {
    "run-start": HomeAssistantSession._run_started,
    "wake_word-end": HomeAssistantSession._woken,
    "stt-vad-start": HomeAssistantSession._speech_started,
    "stt-vad-end": HomeAssistantSession._speech_stopped,
    "stt-end": HomeAssistantSession._heard,
    "intent-progress": HomeAssistantSession._answer_goes_on,
    "intent-end": HomeAssistantSession._answered,
    "tts-end": HomeAssistantSession._spoken,
    "error": HomeAssistantSession._failed,
    "run-end": HomeAssistantSession._run_ended,
}
