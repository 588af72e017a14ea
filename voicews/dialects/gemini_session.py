"""The rules of one connection to the Gemini Live API.  Field names are those of google-genai 3.4.

The server's messages are JSON in binary frames, and each may hold several things at once.  What
is transcribed comes in pieces, and in no order with what is spoken.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voicews.commands import (
    Command,
    EndTurn,
    InterruptResponse,
    SendAudio,
    SendMessage,
    SendText,
    StartTurn,
    ToolResult,
)
from voicews.config import AudioFormat
from voicews.dialects.base import Session
from voicews.dialects.messages import (
    Complaints,
    Json,
    arguments_of,
    base64_of,
    error_of,
    items_of,
    loose_number,
    loose_truth,
    object_of,
    parsed,
    text_of,
    written,
)
from voicews.dialects.openai_answer import code_of
from voicews.dialects.samples import WholeSamples
from voicews.errors import (
    ConfigError,
    ConnectionClosed,
    LocalProtocolError,
    ServiceError,
    Unsupported,
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
    SessionExpiring,
    SpeechStarted,
    SpeechStopped,
    Token,
    ToolCall,
    ToolCallCancelled,
    Transcript,
)

__all__ = ["GeminiSession", "Rules"]

_PCM = "audio/pcm"
_REFUSALS = (1007, 1008)
"""Close codes for what the server does not take, a handle that it does not know among them."""
_UNREMARKABLE = frozenset({"TURN_COMPLETE_REASON_UNSPECIFIED", "NEED_MORE_INPUT"})
"""Reasons for the end of a turn that are no fault."""
_LONGEST_TEXT = 1_000_000
"""Characters of one answer or one utterance; a server that never ends it must not fill the memory."""
_LONG_SILENT = 3.0
"""Seconds of digital silence after which no turn of the user can be under way."""
_TICK = 0.25
"""Seconds between looks at whether the server has come to the end."""
_LOOK = 1.0
"""Seconds between looks at whether an answer still goes on."""
_PATIENCE = 15.0
"""Seconds without a word of an answer after which it is over, although the server has not said so."""
_MOST_CALLS = 1000
"""Without a result; the newest are remembered."""
_LONGEST_LEFT = 1e6
"""Seconds until a session's end that can be told."""
_SETTLED = 2.0
"""Seconds without a word, at the end, after which nothing was under way."""


@dataclass(frozen=True)
class Rules:
    """What a session has to know of its dialect's settings."""

    hears: AudioFormat
    speaks_in: AudioFormat
    setup: Mapping[str, object]
    """The first message's."""
    restored: Sequence[Mapping[str, object]] = ()
    """The conversation so far, as the API's contents; empty where the handle stands for it."""
    handle: str | None = None
    """Of the session that is taken up."""
    manual: bool = False
    """True: turns begin and end when we say so (push to talk)."""
    speaks: bool = True
    """False: answers are text."""
    text_as_content: bool = False
    """True: text is a turn of its own, not part of the stream."""
    accepts: frozenset[type[Command]] = frozenset()


class GeminiSession(Session):
    """One connection's rules.  ``voicews.dialects.GeminiLive`` makes it.

    Args:
        rules: from the dialect's settings.
    """

    def __init__(self, rules: Rules) -> None:
        self.tick_interval = None
        self._rules = rules
        self._to_send: list[str | bytes] = [written({"setup": rules.setup})]
        self._owed: list[Event] = []
        self._complaints = Complaints()
        self._asked_to_resume = self._ready = False
        self._handle = rules.handle
        # The user.
        self._in_turn = False
        self._silent = 0.0
        self._speaking = self._tells_activity = False
        self._words = self._hypothesis = ""
        self._told_words: str | None = None
        # The server.
        self._samples = WholeSamples(rules.speaks_in)
        self._responding = self._hushed = self._asked = self._was_cut_off = False
        self._calls_off = self._unwanted = False
        """The answer that is to come is called off; the one that came had been."""
        self._generated = False
        """All of the answer has been sent; its end is mostly told when it has been played."""
        self._answer = ""
        self._calls: dict[str, Json] = {}
        self._calls_told = 0
        self._goes_on = False
        self._quiet_since: float | None = None
        # The end.
        self._finishing = self._settled = False
        self._heard_of = False
        self._heard_of_at: float | None = None

    @property
    def handle(self) -> str | None:
        """By which the next connection can take this session up; None if the server knows none, or has
        refused the one that this connection began with."""
        return None if self._asked_to_resume and not self._ready else self._handle

    @property
    def ready(self) -> bool:
        return self._ready

    @property
    def finished(self) -> bool:
        return self._finishing and (not self._ready or self._settled)

    def messages_to_send(self) -> list[str | bytes]:
        messages, self._to_send = self._to_send, []
        # It is asked for once there is a connection, so that one that never came refuses no handle.
        self._asked_to_resume = self._rules.handle is not None
        self.tick_interval = _TICK if self._finishing else _LOOK if self._responding or self._owed else None
        return messages

    def classify(self, error: VoicewsError) -> VoicewsError:
        """A refusal may be the handle's fault; then the conversation is told anew."""
        refused = isinstance(error, ConnectionClosed) and error.code in _REFUSALS
        if refused and self._asked_to_resume and not self._ready:
            lost = ServiceError("the session could not be taken up again; its history is told to a new one")
            lost.__cause__ = error
            return lost
        return error

    def last_words(self, *, resumes: bool) -> list[Event]:
        """What was heard of the user so far."""
        self._words = self._hypothesis or self._words
        return self._end_utterance() if self._words else []

    # -- what we say ------------------------------------------------------------------------

    def send(self, command: Command) -> None:
        """Put a command into the server's words.

        Raises:
            Unsupported: the dialect has no word for it.
            LocalProtocolError: the session is not ready.
        """
        if not self._ready:
            raise LocalProtocolError(f"{type(command).__name__} before the server has accepted the session")
        if type(command) not in self._rules.accepts:
            raise Unsupported(
                f"GeminiLive with these settings has no word for {type(command).__name__}; it takes "
                + ", ".join(sorted(kind.__name__ for kind in self._rules.accepts))
            )
        match command:
            case SendAudio(pcm=pcm):
                self._append(pcm)
            case SendText(text=text):
                self._write(text)
            case StartTurn():
                self._owed += self._begin_turn()
                self._in_turn = True
                self._stream(activityStart={})
            case EndTurn():
                self._end_turn()
            case InterruptResponse():
                # The server has no word for it, but nobody has to listen.
                self._hushed = self._responding
                has_spoken = bool(self._words or self._hypothesis) or (
                    self._told_words is not None and not self._responding
                )
                self._calls_off = self._asked or has_spoken or bool(self._calls)
            case ToolResult(call_id=call_id, result=result, error=error):
                self._return(call_id, {"error": error} if error is not None else {"output": result})
            case _:
                assert isinstance(command, SendMessage)
                data = command.data
                self._to_send.append(written(data) if isinstance(data, Mapping) else data)

    def _begin_turn(self) -> list[Event]:
        """The user begins anew: what nobody wanted to hear is over, and the next answer is wanted."""
        self._calls_off = False
        return self._end_answer(None) if self._hushed else []

    def _stream(self, **part: object) -> None:
        self._to_send.append(written({"realtimeInput": part}))

    def _append(self, pcm: bytes) -> None:
        length = self._rules.hears.seconds(pcm)
        self._silent = self._silent + length if pcm.count(0) == len(pcm) else 0.0
        if self._in_turn or not self._rules.manual:
            data = base64.b64encode(pcm).decode()
            self._stream(audio={"data": data, "mimeType": f"{_PCM};rate={self._rules.hears.rate}"})

    def _write(self, text: str) -> None:
        self._owed += self._begin_turn()
        self._asked = True
        if self._rules.text_as_content:
            self._say_content([{"role": "user", "parts": [{"text": text}]}])
            return
        # Where we decide about turns, what is outside of them is not heard.
        alone = self._rules.manual and not self._in_turn
        if alone:
            self._stream(activityStart={})
        self._stream(text=text)
        if alone:
            self._stream(activityEnd={})

    def _say_content(self, turns: Sequence[Mapping[str, object]]) -> None:
        self._to_send.append(written({"clientContent": {"turns": list(turns), "turnComplete": True}}))

    def _end_turn(self) -> None:
        if self._in_turn:
            self._in_turn = False
            self._asked = True
            self._stream(activityEnd={})

    def _return(self, call_id: str, response: Json) -> None:
        self._asked = True
        about = self._calls.pop(call_id, {"id": call_id})
        self._to_send.append(
            written({"toolResponse": {"functionResponses": [{**about, "response": response}]}})
        )

    # -- the end ----------------------------------------------------------------------------

    def finish(self) -> None:
        if self._finishing:
            return
        self._finishing = True
        if not self._ready:
            return
        if self._rules.manual:
            self._end_turn()
        else:
            self._stream(audioStreamEnd=True)
        silent = self._rules.manual or self._silent >= _LONG_SILENT
        self._settled = silent and not self._is_busy
        self.tick_interval = _TICK

    @property
    def _is_busy(self) -> bool:
        """True while an answer is under way or has to come."""
        return self._responding or self._asked or bool(self._words) or bool(self._calls)

    def tick(self, now: float) -> list[Event]:
        """Notice that there is nothing to wait for: the server does not say that it heard nothing, and may
        not say that its answer is over."""
        events, self._owed = self._owed, []
        if self._goes_on or self._quiet_since is None or not self._responding:
            self._goes_on, self._quiet_since = False, now
        elif now - self._quiet_since >= _PATIENCE:
            events += self._end_answer(None)
        if not self._finishing:
            return events
        if self._heard_of or self._heard_of_at is None:
            self._heard_of, self._heard_of_at = False, now
        if not self._is_busy and now - self._heard_of_at >= _SETTLED:
            self._settled = True
        return events

    # -- what the server says ---------------------------------------------------------------

    def receive(self, message: str | bytes) -> list[Event]:
        """Understand a message; what in it is unknown, or makes no sense, becomes a :class:`Message`."""
        events, self._owed = self._owed, []
        data = parsed(message)
        if not isinstance(data, dict):
            return [*events, *self._complaints.about(data, "the server sent what is not a JSON object")]
        self._heard_of = True
        unknown: Json = {}
        for name, value in data.items():
            understand = _KINDS.get(name)
            if name == "error":
                events += self._error(error_of(data, name))
            elif understand is None:
                unknown[name] = value
            elif name == "setupComplete" or isinstance(value, dict):
                events += understand(self, value)
            elif value is not None:
                events += self._complaints.misshapen({name: value}, name)
        return [*events, Message(unknown)] if unknown or not data else events

    def _set_up(self, data: object) -> list[Event]:
        if not self._ready:
            self._ready = True
            if self._rules.restored:
                self._say_content(self._rules.restored)
        return []

    def _error(self, error: Json) -> list[Event]:
        reason = text_of(error, "message") or text_of(error, "status") or "it did not say why"
        return [ServerError(reason, code_of(error) or text_of(error, "status"))]

    def _hear_content(self, data: Json) -> list[Event]:
        self._goes_on = True
        events: list[Event] = []
        for name in _OBJECTS:
            if not isinstance(data.get(name), dict | None):
                events += self._complaints.misshapen({"serverContent": {name: data[name]}}, name)
        events += self._hear_words(object_of(data, "inputTranscription"))
        events += self._hear_hypothesis(object_of(data, "interimInputTranscription"))
        if loose_truth(data.get("interrupted")):
            events += self._cut_off()
        for part in items_of(object_of(data, "modelTurn"), "parts"):
            events += self._hear_part(part)
        events += self._hear_answer(text_of(object_of(data, "outputTranscription"), "text"))
        if loose_truth(data.get("generationComplete")):
            self._generated = self._responding
        if loose_truth(data.get("turnComplete")):
            events += self._end_answer(text_of(data, "turnCompleteReason"))
        sources = {name: data[name] for name in ("groundingMetadata", "urlContextMetadata") if name in data}
        return [*events, Message({"serverContent": sources})] if sources else events

    # What the user says.

    def _hear_words(self, transcription: Json) -> list[Event]:
        text, events = text_of(transcription, "text"), list[Event]()
        if text and self._told_words is not None and (self._responding or self._calls):
            # It belongs to what is answered already: the pieces come in no order with the answer.
            earlier, self._told_words = self._told_words, _joined(self._told_words, text)
            return [Transcript("user", self._told_words, replaces=earlier)]
        if text:
            events += self._begin_utterance()
            self._words, self._hypothesis = _joined(self._words, text), ""
            events.append(Transcript("user", self._words.strip(), final=False))
        return events + self._end_utterance() if loose_truth(transcription.get("finished")) else events

    def _hear_hypothesis(self, transcription: Json) -> list[Event]:
        text = text_of(transcription, "text")
        if not text:
            return []
        self._hypothesis = _joined(self._words, text)
        return [*self._begin_utterance(), Transcript("user", self._hypothesis.strip(), final=False)]

    def _begin_utterance(self) -> list[Event]:
        """Words show that the user speaks, where the server does not say it."""
        self._told_words = None
        self._calls_off = False  # what was called off is the answer to the words before
        events = [] if self._words else self._begin_turn()
        if self._speaking or self._tells_activity:
            return events
        self._speaking = True
        return [*events, SpeechStarted()]

    def _end_utterance(self) -> list[Event]:
        events: list[Event] = [SpeechStopped()] if self._speaking else []
        words, self._speaking = self._words.strip(), False
        self._words = self._hypothesis = ""
        if words:
            self._told_words = words
            events.append(Transcript("user", words))
        return events

    def _hear_activity(self, data: Json) -> list[Event]:
        kind = text_of(data, "voiceActivityType") or text_of(data, "vadSignalType") or ""
        begins = kind in ("ACTIVITY_START", "VAD_SIGNAL_TYPE_SOS")
        if not begins and kind not in ("ACTIVITY_END", "VAD_SIGNAL_TYPE_EOS"):
            return [Message(data)]
        self._tells_activity = True
        if begins is self._speaking:
            return []
        self._speaking = begins
        return [*self._begin_turn(), SpeechStarted()] if begins else [SpeechStopped()]

    # What the server answers.

    def _begin_answer(self, *, seen: bool = True) -> list[Event]:
        """An answer begins, or goes on.

        Args:
            seen: by the answer itself; what is transcribed of it may also come after its end.
        """
        events: list[Event] = []
        if self._responding and seen and (self._generated or self._was_cut_off):
            events += self._end_answer(None)  # of the one before, which the server has not told
        if self._responding:
            return events
        self._responding, self._answer = True, ""
        self._generated = self._was_cut_off = False
        self._unwanted = self._hushed = self._calls_off
        self._calls_off = False
        self._samples.forget()
        events += self._end_utterance()
        return events if self._unwanted else [*events, ResponseStarted()]

    def _hear_part(self, part: Json) -> list[Event]:
        sound = object_of(part, "inlineData")
        text = text_of(part, "text")
        if sound:
            return self._hear_sound(sound)
        if text and not self._rules.speaks and not loose_truth(part.get("thought")):
            return [*self._begin_answer(), *self._hear_answer(text)]
        return []

    def _hear_sound(self, sound: Json) -> list[Event]:
        kind, data = text_of(sound, "mimeType"), text_of(sound, "data")
        message = {"inlineData": sound}
        if kind is None or data is None:
            return self._complaints.misshapen(message, "inlineData")
        if not kind.lower().startswith(_PCM):
            return [Message(message)]
        spoken_in = _format(kind, self._rules.speaks_in)
        if spoken_in is None:
            return self._complaints.about(message, "the server announced a rate that cannot be played")
        pcm = base64_of(data)
        if pcm is None:
            return self._complaints.about(
                message, "the server's sound is not base64; what is not is left out"
            )
        begun = self._begin_answer()
        if spoken_in != self._samples.format:
            self._samples = WholeSamples(spoken_in)
        pcm = b"" if self._hushed else self._samples.take(pcm)
        return [*begun, AudioReceived(pcm, spoken_in)] if pcm else begun

    def _hear_answer(self, text: str | None) -> list[Event]:
        if not text:
            return []
        begun = self._begin_answer(seen=False)
        if self._unwanted:
            return begun
        self._answer = _joined(self._answer, text)
        return [*begun, Token(text)]

    def _cut_off(self) -> list[Event]:
        """The user has interrupted the answer; its end is still to come."""
        self._hushed = False
        self._was_cut_off = True
        self._told_words = None
        return [Interrupted(), *self._tell_answer()]

    def _tell_answer(self) -> list[Event]:
        text, self._answer = self._answer.strip(), ""
        return [Transcript("assistant", text)] if text else []

    def _end_answer(self, reason: str | None) -> list[Event]:
        events: list[Event] = []
        if reason is not None and reason not in _UNREMARKABLE:
            events.append(ServerError("the server did not finish its answer", reason))
        if not self._was_cut_off:  # else the user is still saying what has cut it off
            events += self._end_utterance()
        events += self._tell_answer()
        if self._responding and not self._unwanted:
            events.append(ResponseDone())
        self._responding = self._hushed = self._asked = self._was_cut_off = False
        self._unwanted = self._generated = False
        self._calls_off = self._calls_off and bool(self._calls)
        self._told_words = None
        self._settled = self._finishing and not self._is_busy
        return events

    def _call(self, data: Json) -> list[Event]:
        self._goes_on = True
        events = self._end_utterance()
        one = object_of(data, "functionCalls")
        calls = [one] if one else items_of(data, "functionCalls")
        if not calls:
            return events + self._complaints.misshapen({"toolCall": data}, "toolCall")
        for call in calls:
            name = text_of(call, "name")
            if name is None:
                continue
            given = text_of(call, "id")
            self._calls_told += 1
            call_id = given or f"call-{self._calls_told}"
            self._calls[call_id] = {"id": given, "name": name} if given else {"name": name}
            if len(self._calls) > _MOST_CALLS:
                del self._calls[next(iter(self._calls))]
            arguments = arguments_of(call.get("args"))
            if arguments is None:
                self._return(call_id, {"error": "the arguments are no JSON object"})
            else:
                events.append(ToolCall(call_id, name, arguments))
        return events

    def _call_off(self, data: Json) -> list[Event]:
        ids = data.get("ids")
        cancelled = [one for one in ids if isinstance(one, str)] if isinstance(ids, list) else []
        for call_id in cancelled:
            self._calls.pop(call_id, None)
        return [ToolCallCancelled(call_id) for call_id in cancelled]

    # The session.

    def _note_handle(self, data: Json) -> list[Event]:
        handle = text_of(data, "newHandle")
        if handle and loose_truth(data.get("resumable")):
            self._handle = handle
        return []

    def _go_away(self, data: Json) -> list[Event]:
        left = data.get("timeLeft")
        seconds = loose_number(left.strip().removesuffix("s") if isinstance(left, str) else left)
        return [SessionExpiring(min(max(0.0, seconds or 0.0), _LONGEST_LEFT))]


def _joined(text: str, piece: str) -> str:
    return text + piece if len(text) < _LONGEST_TEXT else text


def _format(kind: str, usual: AudioFormat) -> AudioFormat | None:
    """Of sound with this MIME type, such as ``audio/pcm;rate=24000``; None if it cannot be played."""
    for parameter in kind.split(";")[1:]:
        name, _, value = parameter.strip().partition("=")
        if name.strip().lower() == "rate":
            try:
                return AudioFormat(int(value))
            except (ValueError, ConfigError):
                return None
    return usual


_OBJECTS = ("inputTranscription", "interimInputTranscription", "modelTurn", "outputTranscription")
"""Members of a ``serverContent``."""

_KINDS: Mapping[str, Callable[[GeminiSession, Any], list[Event]]] = {
    "setupComplete": GeminiSession._set_up,
    "serverContent": GeminiSession._hear_content,
    "toolCall": GeminiSession._call,
    "toolCallCancellation": GeminiSession._call_off,
    "sessionResumptionUpdate": GeminiSession._note_handle,
    "goAway": GeminiSession._go_away,
    "voiceActivity": GeminiSession._hear_activity,
    "voiceActivityDetectionSignal": GeminiSession._hear_activity,
}
