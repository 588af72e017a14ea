"""The rules of one connection to the Gemini Live API.  Field names are those of google-genai 3.4.

The server's messages are JSON in binary frames, and each may hold several things at once.  What
is transcribed comes in pieces, and in no order with what is spoken.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

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
from voicews.dialects.messages import Json, items_of, number_of, object_of, parsed, text_of, written
from voicews.dialects.samples import WholeSamples
from voicews.errors import (
    ConfigError,
    ConnectionClosed,
    LocalProtocolError,
    RemoteProtocolError,
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
_STANDARD = str.maketrans("-_", "+/")
"""Base64 may be written in either alphabet in Google's JSON; its own client uses the one for addresses."""
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
        self._answer = ""
        self._calls: dict[str, Json] = {}
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
                self._in_turn = True
                self._stream(activityStart={})
            case EndTurn():
                self._end_turn()
            case InterruptResponse():
                # The server has no word for it, but nobody has to listen.
                self._hushed = self._responding
            case ToolResult(call_id=call_id, result=result, error=error):
                self._return(call_id, {"error": error} if error is not None else {"output": result})
            case _:
                assert isinstance(command, SendMessage)
                data = command.data
                self._to_send.append(written(data) if isinstance(data, Mapping) else data)

    def _stream(self, **part: object) -> None:
        self._to_send.append(written({"realtimeInput": part}))

    def _append(self, pcm: bytes) -> None:
        length = self._rules.hears.seconds(pcm)
        self._silent = self._silent + length if pcm.count(0) == len(pcm) else 0.0
        if self._in_turn or not self._rules.manual:
            data = base64.b64encode(pcm).decode()
            self._stream(audio={"data": data, "mimeType": f"{_PCM};rate={self._rules.hears.rate}"})

    def _write(self, text: str) -> None:
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
        """Notice that there is nothing to wait for: the server does not say that it heard nothing."""
        if not self._finishing:
            return []
        if self._heard_of or self._heard_of_at is None:
            self._heard_of, self._heard_of_at = False, now
        if not self._is_busy and now - self._heard_of_at >= _SETTLED:
            self._settled = True
        return []

    # -- what the server says ---------------------------------------------------------------

    def receive(self, message: str | bytes) -> list[Event]:
        """Understand a message; what in it is unknown becomes a :class:`Message`.

        Raises:
            RemoteProtocolError: sound in it cannot be decoded or played.
        """
        data = parsed(message)
        if not isinstance(data, dict):
            return [Message(data)]
        self._heard_of = True
        events: list[Event] = []
        unknown: Json = {}
        for name, value in data.items():
            understand = _KINDS.get(name)
            if understand is not None and isinstance(value, dict):
                events += understand(self, value)
            else:
                unknown[name] = value
        return [*events, Message(unknown)] if unknown or not data else events

    def _set_up(self, data: Json) -> list[Event]:
        if not self._ready:
            self._ready = True
            if self._rules.restored:
                self._say_content(self._rules.restored)
        return []

    def _hear_content(self, data: Json) -> list[Event]:
        events = self._hear_words(object_of(data, "inputTranscription"))
        events += self._hear_hypothesis(object_of(data, "interimInputTranscription"))
        if data.get("interrupted") is True:
            events += self._cut_off()
        for part in items_of(object_of(data, "modelTurn"), "parts"):
            events += self._hear_part(part)
        events += self._hear_answer(text_of(object_of(data, "outputTranscription"), "text"))
        if data.get("turnComplete") is True:
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
        return events + self._end_utterance() if transcription.get("finished") is True else events

    def _hear_hypothesis(self, transcription: Json) -> list[Event]:
        text = text_of(transcription, "text")
        if not text:
            return []
        self._hypothesis = _joined(self._words, text)
        return [*self._begin_utterance(), Transcript("user", self._hypothesis.strip(), final=False)]

    def _begin_utterance(self) -> list[Event]:
        """Words show that the user speaks, where the server does not say it."""
        self._told_words = None
        if self._speaking or self._tells_activity:
            return []
        self._speaking = True
        return [SpeechStarted()]

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
        return [SpeechStarted()] if begins else [SpeechStopped()]

    # What the server answers.

    def _begin_answer(self) -> list[Event]:
        if self._responding:
            return []
        self._responding, self._answer = True, ""
        self._samples.forget()
        return [*self._end_utterance(), ResponseStarted()]

    def _hear_part(self, part: Json) -> list[Event]:
        sound = object_of(part, "inlineData")
        text = text_of(part, "text")
        if sound:
            return self._hear_sound(sound)
        if text and not self._rules.speaks and part.get("thought") is not True:
            return self._hear_answer(text)
        return []

    def _hear_sound(self, sound: Json) -> list[Event]:
        kind, data = text_of(sound, "mimeType") or "", text_of(sound, "data") or ""
        if not kind.startswith(_PCM):
            return [Message({"inlineData": sound})]
        spoken_in = _format(kind, self._rules.speaks_in)
        if spoken_in != self._samples.format:
            self._samples = WholeSamples(spoken_in)
        try:
            pcm = base64.b64decode(data.translate(_STANDARD), validate=True)
        except (binascii.Error, ValueError) as error:
            raise RemoteProtocolError("the server sent sound that is no base64") from error
        begun = self._begin_answer()
        pcm = b"" if self._hushed else self._samples.take(pcm)
        return [*begun, AudioReceived(pcm, spoken_in)] if pcm else begun

    def _hear_answer(self, text: str | None) -> list[Event]:
        if not text:
            return []
        begun = self._begin_answer()
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
        if self._responding:
            events.append(ResponseDone())
        self._responding = self._hushed = self._asked = self._was_cut_off = False
        self._told_words = None
        self._settled = self._finishing and not self._is_busy
        return events

    def _call(self, data: Json) -> list[Event]:
        events = self._end_utterance()
        for call in items_of(data, "functionCalls"):
            name = text_of(call, "name")
            if name is None:
                continue
            given = text_of(call, "id")
            call_id = given or f"call-{len(self._calls) + 1}"
            self._calls[call_id] = {"id": given, "name": name} if given else {"name": name}
            events.append(ToolCall(call_id, name, object_of(call, "args")))
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
        if handle and data.get("resumable") is True:
            self._handle = handle
        return []

    def _go_away(self, data: Json) -> list[Event]:
        left = text_of(data, "timeLeft") or "0s"
        try:
            seconds = number_of({"left": float(left.removesuffix("s"))}, "left")
        except ValueError:
            seconds = None
        return [SessionExpiring(max(0.0, seconds or 0.0))]


def _joined(text: str, piece: str) -> str:
    return text + piece if len(text) < _LONGEST_TEXT else text


def _format(kind: str, usual: AudioFormat) -> AudioFormat:
    """Of sound with this MIME type, such as ``audio/pcm;rate=24000``."""
    for parameter in kind.split(";")[1:]:
        name, _, value = parameter.strip().partition("=")
        if name == "rate":
            try:
                return AudioFormat(int(value))
            except (ValueError, ConfigError) as error:
                raise RemoteProtocolError(
                    f"the server announced a rate of {value[:20]!r}, which cannot be played"
                ) from error
    return usual


_KINDS: Mapping[str, Callable[[GeminiSession, Json], list[Event]]] = {
    "setupComplete": GeminiSession._set_up,
    "serverContent": GeminiSession._hear_content,
    "toolCall": GeminiSession._call,
    "toolCallCancellation": GeminiSession._call_off,
    "sessionResumptionUpdate": GeminiSession._note_handle,
    "goAway": GeminiSession._go_away,
    "voiceActivity": GeminiSession._hear_activity,
    "voiceActivityDetectionSignal": GeminiSession._hear_activity,
}
