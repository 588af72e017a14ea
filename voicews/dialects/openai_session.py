"""The rules of one connection in OpenAI's Realtime language, whoever's server speaks it.

Both generations of names are understood, whatever is said to the server: the general one
(``response.output_audio.delta``) and the beta's (``response.audio.delta``).
"""

from __future__ import annotations

import base64
import binascii
from collections import deque
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
    TruncateResponse,
)
from voicews.config import AudioFormat
from voicews.dialects.base import Session
from voicews.dialects.messages import Json, clean, object_of, parsed, text_of, written
from voicews.dialects.openai_answer import LONGEST_TEXT, Answer, code_of
from voicews.dialects.samples import WholeSamples
from voicews.errors import LocalProtocolError, RemoteProtocolError, ServiceError, Unsupported
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
    Transcript,
)

__all__ = ["OpenAISession", "Rules"]

_SETTINGS = "voicews-settings"
"""The event_id of the first session.update: the server names it if it refuses the settings."""
_SIGN = "voicews-sign"
"""That of the messages whose only purpose is that the server answers them."""
_ENDS_ALL = frozenset(
    {
        "account_deactivated",
        "insufficient_quota",
        "invalid_api_key",
        "invalid_model",
        "invalid_organization",
        "model_not_found",
        "unsupported_country_region_territory",
    }
)
"""Codes of errors that no further attempt can mend."""
_ENDS_SESSION = frozenset({"model_load_error", "session_limit_reached"})
"""Codes after which this session is of no use, but another one may be."""
_RACES = frozenset({"response_cancel_not_active"})
"""What we asked for had happened already when the server heard it: nobody need know."""
_LEAST_TURN = 0.1
"""Seconds; the server refuses to take less sound for a turn."""
_SHORTEST_GAP = 0.2
"""Seconds that the server's voice detection may need on top of its own silence."""
_WARNING = 120.0
"""Seconds before its end that a session's expiry is told."""
_UTTERANCES = 64
"""Of the user's, whose transcripts are under way at the same time."""


@dataclass(frozen=True)
class Rules:
    """What a session has to know of its dialect's settings."""

    format: AudioFormat
    settings: Mapping[str, object]
    """The ``session`` of the first ``session.update``."""
    sign: Mapping[str, object]
    """One that changes nothing; the server answers it all the same."""
    restored: Sequence[Mapping[str, object]] = ()
    """The conversation so far, as items."""
    converses: bool = True
    """False: the session only transcribes, and never answers."""
    manual: bool = False
    """True: turns begin and end when we say so (push to talk)."""
    interrupts: bool = True
    """True: the server stops its answer when it hears the user speak."""
    transcribes: bool = True
    """True: the words of each turn of the user are to come."""
    silence: float = 0.5
    """Seconds of silence that end a turn where the server decides by silence."""
    commits_at_end: bool = False
    """True: the server may wait for long before it ends a turn, so at the session's end we do."""
    awaits_updated: bool = True
    length: float | None = 3600.0
    """Seconds that a session lives."""
    accepts: frozenset[type[Command]] = frozenset()


class OpenAISession(Session):
    """One connection's rules.  ``voicews.dialects.OpenAIRealtime`` makes it.

    Args:
        rules: from the dialect's settings.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.tick_interval = None if rules.length is None else min(5.0, rules.length / 20)
        self._to_send: list[str | bytes] = []
        self._greeted = self._ready = False
        self._samples = WholeSamples(rules.format)
        # The user's turn.
        self._appended = 0.0
        self._between_turns = False
        self._speaking = False
        self._utterances: dict[str, str] = {}
        self._awaited: set[str] = set()
        # The server's answer.
        self._answer: Answer | None = None
        self._last: Answer | None = None
        self._hushed: deque[str] = deque(maxlen=16)
        self._asked = self._wants_answer = self._calls_off = False
        self._held: list[Transcript] = []
        self._owed: list[Event] = []
        self._calls: set[str] = set()
        self._names: dict[str, str] = {}
        # The session's end.
        self._born: float | None = None
        self._told_expiry = False
        self._finishing = self._signed = False

    @property
    def ready(self) -> bool:
        return self._ready

    @property
    def finished(self) -> bool:
        if not self._finishing:
            return False
        if not self._ready:
            return True
        return self._signed and not (self._awaited or self._speaking or self._answer or self._asked)

    def messages_to_send(self) -> list[str | bytes]:
        messages, self._to_send = self._to_send, []
        return messages

    def _say(self, kind: str, **message: object) -> None:
        self._to_send.append(written({"type": kind, **message}))

    def last_words(self, *, resumes: bool) -> list[Event]:
        """What was heard of the user so far, and the answers that waited for it."""
        told = [Transcript("user", text) for text in self._utterances.values() if text.strip()]
        held, self._held = self._held, []
        self._utterances.clear()
        return [*told, *held]

    # -- what we say ------------------------------------------------------------------------

    def send(self, command: Command) -> None:
        """Put a command into the server's words.

        Raises:
            Unsupported: the session's settings leave no word for it.
            LocalProtocolError: the session is not ready.
        """
        if not self._ready:
            raise LocalProtocolError(f"{type(command).__name__} before the server has accepted the session")
        if type(command) not in self._rules.accepts:
            raise Unsupported(
                f"OpenAIRealtime with these settings has no word for {type(command).__name__}; it takes "
                + ", ".join(sorted(kind.__name__ for kind in self._rules.accepts))
            )
        match command:
            case SendAudio(pcm=pcm):
                self._append(pcm)
            case SendText(text=text):
                self._say(
                    "conversation.item.create",
                    item={
                        "type": "message",
                        "role": "user",
                        "content": [{"type": "input_text", "text": text}],
                    },
                )
                self._ask()
            case StartTurn():
                self._start_turn()
            case EndTurn():
                self._end_turn()
            case InterruptResponse():
                self._interrupt()
            case TruncateResponse(heard_ms=heard_ms):
                self._truncate(heard_ms)
            case ToolResult(call_id=call_id, result=result, error=error):
                self._return(call_id, {"error": error} if error is not None else result)
            case SendMessage(data=data):
                self._to_send.append(written(data) if isinstance(data, Mapping) else data)

    def _append(self, pcm: bytes) -> None:
        if not self._between_turns:
            self._appended += self._rules.format.seconds(pcm)
            self._say("input_audio_buffer.append", audio=base64.b64encode(pcm).decode())

    def _start_turn(self) -> None:
        # The microphone's silence since the last turn is none of the user's words.
        self._between_turns = False
        self._appended = 0.0
        self._say("input_audio_buffer.clear")
        self._interrupt()
        # The loudspeaker need not wait for the server; but only what it says can be heard here.
        self._owed += self._cut_off()

    def _end_turn(self) -> None:
        self._between_turns = True
        if self._appended < _LEAST_TURN:
            self._say("input_audio_buffer.clear")
        else:
            self._say("input_audio_buffer.commit")
            if self._rules.converses:
                self._ask()
        self._appended = 0.0

    def _ask(self) -> None:
        """Have the server answer, once it has finished what it is saying."""
        if self._answer is not None or self._asked:
            self._wants_answer = True
            return
        self._wants_answer = False
        if self._speaking and not self._rules.manual:
            return  # the server answers at the end of the user's turn, and takes this in as well
        self._asked = True
        self._say("response.create")

    def _interrupt(self) -> None:
        self._wants_answer = False
        if self._answer is not None:
            self._cancel(self._answer)
        elif self._asked:
            self._calls_off = True

    def _cancel(self, answer: Answer) -> None:
        if not answer.hushed:
            self._hush(answer)
            self._say("response.cancel", **({} if answer.id is None else {"response_id": answer.id}))

    def _hush(self, answer: Answer) -> None:
        """Nothing more of it shall be heard, whatever is still on its way."""
        answer.hushed = True
        if answer.id is not None:
            self._hushed.append(answer.id)

    def _truncate(self, heard_ms: int) -> None:
        """Tell the server how much of its last answer was heard, as far as that is not all of it."""
        answer, self._last = self._last, None
        if answer is None:
            return
        for cut in answer.cut(heard_ms / 1000, self._rules.format):
            self._say(
                "conversation.item.truncate",
                item_id=cut.item_id,
                content_index=cut.index,
                audio_end_ms=cut.heard_ms,
            )
        self._correct(answer)

    def _correct(self, answer: Answer) -> None:
        """What was not heard was not said: the server forgets it, and so does the history."""
        old, new = answer.told, answer.text
        if old is None or old == new:
            return
        answer.told = new
        waiting = next((line for line in self._held if line.text == old), None)
        if waiting is None:
            self._owed.append(Transcript("assistant", new, replaces=old))
            return
        place = self._held.index(waiting)
        self._held[place : place + 1] = [Transcript("assistant", new)] if new else []

    def _return(self, call_id: str, result: object) -> None:
        output = result if isinstance(result, str) else written({"": result})[4:-1]
        self._say(
            "conversation.item.create",
            item={"type": "function_call_output", "call_id": call_id, "output": output},
        )
        self._calls.discard(call_id)
        if not self._calls:
            self._ask()

    # -- the end ----------------------------------------------------------------------------

    def finish(self) -> None:
        if self._finishing:
            return
        self._finishing = True
        if not self._ready:
            return
        if self._rules.manual:
            if self._appended >= _LEAST_TURN and not self._between_turns:
                self._say("input_audio_buffer.commit")
        else:
            self._append(bytes(self._rules.format.bytes(self._rules.silence + _SHORTEST_GAP)))
            if self._rules.commits_at_end and self._speaking:
                self._say("input_audio_buffer.commit")
        # All that we have said is understood when this is: the server takes one after the other.
        self._say("session.update", event_id=_SIGN, session=self._rules.sign)

    def tick(self, now: float) -> list[Event]:
        """Notice that the session's end is near; tell what commands have brought about."""
        owed, self._owed = self._owed, []
        if not self._ready or self._rules.length is None:
            return owed
        if self._born is None:
            self._born = now
        warning = min(_WARNING, self._rules.length / 10)
        left = self._born + self._rules.length - now
        if left <= warning and not self._told_expiry:
            self._told_expiry = True
            owed.append(SessionExpiring(max(0.0, left)))
        return owed

    # -- what the server says ---------------------------------------------------------------

    def receive(self, message: str | bytes) -> list[Event]:
        """Understand a message.

        Raises:
            ServiceError: the server reported an error that ends the session, or refused the settings.
            RemoteProtocolError: the sound in it cannot be decoded.
        """
        owed, self._owed = self._owed, []
        data = parsed(message)
        return [*owed, *(self._understand(data) if isinstance(data, dict) else [Message(data)])]

    def _understand(self, data: Json) -> list[Event]:
        kind = data.get("type")
        if not isinstance(kind, str):
            return [Message(data)]
        if kind in _NOTED:
            return []
        understand = _KINDS.get(kind)
        events = understand(self, data) if understand else None
        return [Message(data)] if events is None else events

    def _begin(self, data: Json) -> list[Event]:
        if not self._greeted:
            self._greeted = True
            self._say("session.update", event_id=_SETTINGS, session=self._rules.settings)
            for number, item in enumerate(self._rules.restored, 1):
                self._say("conversation.item.create", event_id=f"voicews-restored-{number}", item=item)
            self._ready = not self._rules.awaits_updated
        return []

    def _updated(self, data: Json) -> list[Event]:
        self._begin(data)
        self._ready = True
        self._signed = self._finishing
        return []

    # The user's turn.

    def _speech_started(self, data: Json) -> list[Event]:
        self._speaking = True
        events: list[Event] = [*self._release(), SpeechStarted()]
        if self._rules.interrupts:
            events += self._cut_off()
        return events

    def _cut_off(self) -> list[Event]:
        """The server has stopped its answer, or the user talks while the last one is still playing."""
        self._wants_answer = False
        if self._answer is not None:
            self._hush(self._answer)
        return [Interrupted()] if self._last is not None and self._last.has_sound else []

    def _speech_stopped(self, data: Json) -> list[Event]:
        self._speaking = False
        return [SpeechStopped()]

    def _committed(self, data: Json) -> list[Event]:
        was_speaking, self._speaking = self._speaking, False
        item_id = text_of(data, "item_id")
        if self._rules.transcribes and item_id is not None and len(self._awaited) < _UTTERANCES:
            self._awaited.add(item_id)
        # Where turns are ours, nothing else says that the server has taken this one.
        return [SpeechStopped()] if was_speaking or self._rules.manual else []

    def _heard_more(self, data: Json) -> list[Event] | None:
        delta, item_id = text_of(data, "delta"), text_of(data, "item_id") or ""
        if delta is None:
            return None
        return self._heard(item_id, (self._utterances.get(item_id, "") + delta)[:LONGEST_TEXT])

    def _heard_so_far(self, data: Json) -> list[Event] | None:
        text = text_of(data, "transcript")
        return None if text is None else self._heard(text_of(data, "item_id") or "", text[:LONGEST_TEXT])

    def _heard(self, item_id: str, text: str) -> list[Event]:
        if item_id not in self._utterances and len(self._utterances) >= _UTTERANCES:
            del self._utterances[next(iter(self._utterances))]
        self._utterances[item_id] = text
        return [Transcript("user", text, final=False)] if text else []

    def _heard_all(self, data: Json) -> list[Event] | None:
        text, item_id = text_of(data, "transcript"), text_of(data, "item_id") or ""
        if text is None:
            return None
        partial = self._utterances.pop(item_id, "")
        self._awaited.discard(item_id)
        # A cough has no words, and takes back those that were guessed.
        told = [Transcript("user", text)] if text.strip() or partial else []
        return [*told, *self._release()]

    def _not_heard(self, data: Json) -> list[Event]:
        item_id, error = text_of(data, "item_id") or "", object_of(data, "error")
        self._utterances.pop(item_id, None)
        self._awaited.discard(item_id)
        reason = text_of(error, "message") or "what was said could not be transcribed"
        return [ServerError(reason, code_of(error)), *self._release()]

    def _release(self) -> Sequence[Event]:
        """An answer's text waits for the words that it answers; they are often transcribed later."""
        if self._awaited and self._held and not self._speaking:
            return []
        held, self._held = self._held, []
        return held

    # The server's answer.

    def _answer_begun(self, data: Json) -> list[Event]:
        events = self._end_of(self._answer) if self._answer is not None else []
        self._asked = False
        self._samples.forget()
        self._answer = Answer(text_of(object_of(data, "response"), "id"))
        if self._calls_off:
            self._calls_off = False
            self._answer.unwanted = True
            self._cancel(self._answer)
            return events
        self._last = self._answer
        return [*events, ResponseStarted()]

    def _of_answer(self, data: Json) -> Answer | None:
        """The answer that this belongs to, begun if need be; None if nobody wants to hear more of it."""
        name = text_of(data, "response_id")
        if name is not None and name in self._hushed:
            return None
        if self._answer is None:
            # Some servers say sound without having said that an answer begins.
            self._answer = self._last = Answer(name)
        return None if self._answer.hushed else self._answer

    def _sound(self, data: Json) -> list[Event] | None:
        delta = text_of(data, "delta")
        if delta is None:
            return None
        try:
            pcm = base64.b64decode(delta, validate=True)
        except (binascii.Error, ValueError) as error:
            raise RemoteProtocolError("the server's sound is no base64") from error
        answer = self._of_answer(data)
        if answer is None:
            return []
        pcm = self._samples.take(pcm)
        answer.part(data).sound += len(pcm)
        return [AudioReceived(pcm, self._rules.format)] if pcm else []

    def _token(self, data: Json) -> list[Event] | None:
        delta = text_of(data, "delta")
        if delta is None:
            return None
        answer = self._of_answer(data)
        if answer is None or not delta:
            return []
        part = answer.part(data)
        part.text = (part.text + delta)[:LONGEST_TEXT]
        return [Token(delta)]

    def _part_said(self, data: Json) -> list[Event] | None:
        text = text_of(data, "transcript")
        text = text_of(data, "text") if text is None else text
        if text is None:
            return None
        # The whole of an answer that was cut off is more than anybody has heard.
        if (answer := self._of_answer(data)) is not None:
            answer.part(data).text = text[:LONGEST_TEXT]
        return []

    def _answer_done(self, data: Json) -> list[Event]:
        response = object_of(data, "response")
        name, answer = text_of(response, "id"), self._answer
        events = self._what_went_wrong(response)
        if answer is None or (None not in (name, answer.id) and name != answer.id):
            return events
        if not answer.hushed:
            reason = text_of(object_of(response, "status_details"), "reason")
            if response.get("status") == "cancelled" and reason == "turn_detected":
                events += self._cut_off()
            elif not answer.text:
                answer.read(response)
        events += self._end_of(answer)
        if self._wants_answer and not self._calls:
            self._ask()
        return events

    def _what_went_wrong(self, response: Json) -> list[Event]:
        details = object_of(response, "status_details")
        match response.get("status"):
            case "failed":
                self._asked = False
                error = object_of(details, "error")
                why = text_of(error, "message") or "the server could not answer"
                return [ServerError(why, code_of(error))]
            case "incomplete":
                reason = text_of(details, "reason")
                return [ServerError(f"the answer is not complete: {reason or 'no reason given'}", reason)]
        return []

    def _end_of(self, answer: Answer | None) -> list[Event]:
        self._answer = None
        if answer is None or answer.unwanted:
            return []
        answer.told = answer.text
        if answer.told:
            self._held.append(Transcript("assistant", answer.told))
        return [*self._release(), ResponseDone()]

    # Calls.

    def _item_begun(self, data: Json) -> list[Event]:
        item = object_of(data, "item")
        call_id, name = text_of(item, "call_id"), text_of(item, "name")
        if item.get("type") == "function_call" and call_id and name and len(self._names) < 1000:
            self._names[call_id] = name
        return []

    def _item_said(self, data: Json) -> list[Event]:
        item = object_of(data, "item")
        return (self._call(item) or []) if item.get("type") == "function_call" else []

    def _call(self, data: Json) -> list[Event] | None:
        """Both of the two messages that tell a call may come, or either; it is told once."""
        call_id = text_of(data, "call_id")
        if not call_id:
            return None
        name = text_of(data, "name") or self._names.get(call_id)
        written_arguments = data.get("arguments")
        if not name or not isinstance(written_arguments, str):
            return []
        if self._names.get(call_id) == "":
            return []
        if len(self._names) < 1000:
            self._names[call_id] = ""
        arguments = parsed(clean(written_arguments) or "{}")
        self._calls.add(call_id)
        if not isinstance(arguments, dict):
            self._return(call_id, {"error": "the arguments are no JSON object"})
            return []
        return [ToolCall(call_id, name, arguments)]

    # Errors.

    def _error(self, data: Json) -> list[Event]:
        error = object_of(data, "error")
        code = code_of(error)
        reason = text_of(error, "message") or text_of(data, "message") or "it did not say why"
        if code in _RACES:
            return []
        if code == "session_expired":
            return [SessionExpiring(0.0)]
        if code == "conversation_already_has_active_response":
            # The server began to answer by itself while we asked it to.
            self._wants_answer = not self._calls_off
            self._asked = self._calls_off = False
            return []
        cause = text_of(error, "event_id")
        if cause == _SIGN:
            self._signed = self._finishing
            return []
        if code in _ENDS_ALL or code in _ENDS_SESSION:
            raise ServiceError(reason, code=code, fatal=code in _ENDS_ALL)
        refused = cause == _SETTINGS or (not self._ready and cause is None)
        if refused:
            raise ServiceError(reason, code=code, fatal=error.get("type") != "server_error")
        if self._asked and self._answer is None and cause is None:
            # Perhaps it was the answer that went wrong; whoever waits for it must not wait for ever.
            self._asked = self._calls_off = False
        return [ServerError(reason, code)]


_KINDS: Mapping[str, Callable[[OpenAISession, Json], list[Event] | None]] = {
    "session.created": OpenAISession._begin,
    "conversation.created": OpenAISession._begin,
    "transcription_session.created": OpenAISession._begin,
    "session.updated": OpenAISession._updated,
    "transcription_session.updated": OpenAISession._updated,
    "input_audio_buffer.speech_started": OpenAISession._speech_started,
    "input_audio_buffer.speech_stopped": OpenAISession._speech_stopped,
    "input_audio_buffer.committed": OpenAISession._committed,
    "conversation.item.input_audio_transcription.delta": OpenAISession._heard_more,
    "conversation.item.input_audio_transcription.updated": OpenAISession._heard_so_far,
    "conversation.item.input_audio_transcription.completed": OpenAISession._heard_all,
    "conversation.item.input_audio_transcription.failed": OpenAISession._not_heard,
    "response.created": OpenAISession._answer_begun,
    "response.output_audio.delta": OpenAISession._sound,
    "response.audio.delta": OpenAISession._sound,
    "response.output_audio_transcript.delta": OpenAISession._token,
    "response.audio_transcript.delta": OpenAISession._token,
    "response.output_text.delta": OpenAISession._token,
    "response.text.delta": OpenAISession._token,
    "response.output_audio_transcript.done": OpenAISession._part_said,
    "response.audio_transcript.done": OpenAISession._part_said,
    "response.output_text.done": OpenAISession._part_said,
    "response.text.done": OpenAISession._part_said,
    "response.output_item.added": OpenAISession._item_begun,
    "response.output_item.done": OpenAISession._item_said,
    "response.function_call_arguments.done": OpenAISession._call,
    "response.done": OpenAISession._answer_done,
    "error": OpenAISession._error,
}
"""What the server can say.  None from one of these: not in our vocabulary after all."""

_NOTED = frozenset(
    {
        "conversation.item.added",
        "conversation.item.created",
        "conversation.item.deleted",
        "conversation.item.done",
        "conversation.item.truncated",
        "input_audio_buffer.cleared",
        "input_audio_buffer.timeout_triggered",
        "rate_limits.updated",
        "response.audio.done",
        "response.content_part.added",
        "response.content_part.done",
        "response.function_call_arguments.delta",
        "response.output_audio.done",
    }
)
"""What it says besides, and what asks nothing of us.  Anything else becomes a Message."""
