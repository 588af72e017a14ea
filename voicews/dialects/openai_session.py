"""The rules of one connection in OpenAI's Realtime language, whoever's server speaks it.

Both generations of names are understood, whatever is said to the server: the general one
(``response.output_audio.delta``) and the beta's (``response.audio.delta``).
"""

from __future__ import annotations

import base64
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
from voicews.dialects.messages import (
    Complaints,
    Json,
    arguments_of,
    base64_of,
    error_of,
    items_of,
    object_of,
    parsed,
    text_of,
    written,
)
from voicews.dialects.openai_answer import LONGEST_TEXT, Answer, code_of
from voicews.dialects.samples import WholeSamples
from voicews.errors import LocalProtocolError, ServiceError, Unsupported
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
_ANSWERS = 16
"""Answers, the newest, of which more may still come."""
_CALLS = 1000
"""Calls, the newest, that are not told again."""
_LOOK = 0.5
"""Seconds between looks at whether what is waited for still comes."""
_PATIENCE = 15.0
"""Seconds without a word of the conversation, after which nothing that is waited for is still to come."""
_SHORT_PATIENCE = 3.0
"""The same for what can hardly take long: the end of an answer that was stopped."""


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
    responds: bool = True
    """True: the server answers by itself once it has heard the end of the user's turn."""
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
        self._usual_interval = None if rules.length is None else min(5.0, rules.length / 20)
        self.tick_interval = self._usual_interval
        self._to_send: list[str | bytes] = []
        self._greeted = self._ready = False
        self._samples = WholeSamples(rules.format)
        self._complaints = Complaints()
        # The user's turn.
        self._appended = 0.0
        self._between_turns = False
        self._speaking = False
        self._spoken_item: str | None = None
        self._end_told_by: str | None = None
        """The message that told the end of the turn, while another one may tell it again."""
        self._utterances: dict[str, str] = {}
        self._settled: dict[str, str] = {}
        """What of the user's words was taken as final although the server had not said so."""
        self._awaited: dict[str, None] = {}
        self._answered_words: str | None = None
        """The item that is answered now, if that was speech: its words belong before the answer's."""
        self._transcribed: deque[str] = deque(maxlen=_UTTERANCES)
        # The server's answer.
        self._answer: Answer | None = None
        self._last: Answer | None = None
        self._known: dict[str, Answer] = {}
        self._asked = self._due = self._calls_off = False
        """An answer is to come that we have asked for, or that the server begins by itself; and it is
        called off already."""
        self._wants_answer = self._text_in_turn = False
        self._held: list[Transcript] = []
        self._owed: list[Event] = []
        self._calls: dict[str, str | None] = {}
        """Calls without a result, and their items."""
        self._dropped_calls: set[str] = set()
        """Those whose results nobody wants to be answered."""
        self._names: dict[str, str] = {}
        self._arguments: dict[str, str] = {}
        self._begun_calls: dict[str, Json] = {}
        """Those of the present answer of which only the beginning was told."""
        self._nameless: set[str] = set()
        # What is waited for.
        self._heard_of = False
        self._quiet_since: float | None = None
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
        self.tick_interval = _LOOK if self._is_waiting else self._usual_interval
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
                self._answered_words = None
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
        self._end_told_by = None
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
        if self._answer is not None or self._asked or self._calls_off:
            self._wants_answer = True
            return
        self._wants_answer = False
        if self._speaking and not self._rules.manual:
            # The server answers at the end of the user's turn, and takes this in as well.
            self._text_in_turn = True
            return
        self._asked = True
        self._say("response.create")

    def _interrupt(self) -> None:
        """Stop the answer, also one that is still to come: to what was said, or to a call's result."""
        self._wants_answer = self._text_in_turn = False
        if self._answer is not None:
            self._cancel(self._answer)
        self._calls_off = self._asked or self._due
        self._dropped_calls |= self._calls.keys()
        self._calls.clear()

    def _cancel(self, answer: Answer) -> None:
        if not answer.hushed:
            self._hush(answer)
            self._say("response.cancel", **({} if answer.id is None else {"response_id": answer.id}))

    def _hush(self, answer: Answer) -> None:
        """Nothing more of it shall be heard, whatever is still on its way."""
        answer.hushed = True

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
        """The text is another than was told.  What was not heard was not said: the server forgets it, and so
        does the history."""
        old, new = answer.told, answer.text
        if old is None or old == new:
            return
        answer.told = new
        waiting = next((line for line in self._held if line.text == old), None)
        if waiting is None:
            self._owed.append(Transcript("assistant", new, replaces=old or None))
            return
        place = self._held.index(waiting)
        self._held[place : place + 1] = [Transcript("assistant", new)] if new else []

    def _return(self, call_id: str, result: object) -> None:
        output = result if isinstance(result, str) else written({"": result})[4:-1]
        self._say(
            "conversation.item.create",
            item={"type": "function_call_output", "call_id": call_id, "output": output},
        )
        self._calls.pop(call_id, None)
        if call_id in self._dropped_calls:
            self._dropped_calls.discard(call_id)
        elif not self._calls:
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
        """Notice that the session's end is near, and what will not come any more; tell what commands have
        brought about."""
        owed, self._owed = self._owed, []
        if not self._ready:
            return owed
        owed += self._look(now)
        if self._rules.length is None:
            return owed
        if self._born is None:
            self._born = now
        warning = min(_WARNING, self._rules.length / 10)
        left = self._born + self._rules.length - now
        if left <= warning and not self._told_expiry:
            self._told_expiry = True
            owed.append(SessionExpiring(max(0.0, left)))
        return owed

    # -- what never comes -------------------------------------------------------------------

    @property
    def _is_waiting(self) -> bool:
        """True while something is to come from the server.

        Whatever that is, one message alone must not decide how the conversation goes on: there are
        servers that leave out any of them.
        """
        awaits_answer = self._answer is not None or self._asked or self._due or self._wants_answer
        awaits_words = bool(self._awaited or self._held)
        return awaits_answer or awaits_words or bool(self._owed) or (self._finishing and not self._signed)

    def _look(self, now: float) -> list[Event]:
        if not self._is_waiting:
            self._quiet_since = None
            return []
        if self._heard_of or self._quiet_since is None:
            self._heard_of, self._quiet_since = False, now
        quiet = now - self._quiet_since
        events: list[Event] = []
        if quiet >= _SHORT_PATIENCE:
            events += self._give_up_soon()
        if quiet >= _PATIENCE:
            events += self._give_up()
        return events

    def _give_up_soon(self) -> list[Event]:
        """Of what can hardly take long, nothing more comes."""
        events: list[Event] = []
        if self._answer is not None and self._answer.hushed:
            events += self._end_of(self._answer)
        if self._calls_off and self._wants_answer and not self._asked:
            self._due = self._calls_off = False
        if self._finishing and not (self._answer or self._asked or self._awaited or self._speaking):
            self._signed = True  # servers that confirm no settings do not confirm these either
        if self._wants_answer and self._answer is None:
            self._ask()
        return events

    def _give_up(self) -> list[Event]:
        """Nothing more comes of all that was waited for."""
        wants_answer = self._wants_answer or (self._text_in_turn and not self._speaking)
        self._asked = self._due = self._calls_off = self._text_in_turn = False
        self._awaited.clear()
        events = [*self._settle(), *self._end_of(self._answer), *self._release()]
        if wants_answer:
            self._ask()
        self._quiet_since = None
        return events

    def _settle(self) -> list[Event]:
        """What was heard of the user's words so far is all that there will be."""
        events: list[Event] = []
        for item_id, text in self._utterances.items():
            if text:
                self._settled[item_id] = text
                events.append(Transcript("user", text))
        self._utterances.clear()
        while len(self._settled) > _UTTERANCES:
            del self._settled[next(iter(self._settled))]
        return events

    # -- what the server says ---------------------------------------------------------------

    def receive(self, message: str | bytes) -> list[Event]:
        """Understand a message; what makes no sense becomes a :class:`Message`.

        Raises:
            ServiceError: the server reported an error that ends the session, or refused the settings.
        """
        owed, self._owed = self._owed, []
        data = parsed(message)
        if not isinstance(data, dict):
            return [*owed, *self._complaints.about(data, "the server sent what is not a JSON object")]
        return [*owed, *self._understand(data)]

    def _understand(self, data: Json) -> list[Event]:
        kind = data.get("type")
        if not isinstance(kind, str):
            return [Message(data)]
        understand = _KINDS.get(kind)
        if understand is None and kind not in _NOTED:
            return [Message(data)]
        if kind.startswith(_CONVERSATION):
            self._heard_of = True
            # Whoever converses has accepted us, and need not say so.
            self._ready = self._ready or self._greeted
        events = understand(self, data) if understand is not None else []
        return self._complaints.misshapen(data, kind) if events is None else events

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
        self._spoken_item = text_of(data, "item_id")
        self._end_told_by = None
        # What the server was to answer by itself, and was called off, is the turn before this one.
        self._calls_off = self._calls_off and self._asked
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
        if self._end_told_by == "committed":
            self._end_told_by = None
            return []
        return [] if self._end_told_by == "otherwise" else self._end_speech("stopped")

    def _committed(self, data: Json) -> list[Event]:
        was_speaking, self._speaking = self._speaking, False
        item_id = text_of(data, "item_id")
        to_come = self._rules.transcribes and item_id is not None and item_id not in self._transcribed
        if to_come and item_id is not None and len(self._awaited) < _UTTERANCES:
            self._awaited[item_id] = None
            self._answered_words = item_id
        if self._end_told_by == "stopped":
            self._end_told_by = None
            return []
        if self._end_told_by == "otherwise" and not self._rules.manual:
            return []
        # Where turns are ours, nothing else need say that the server has taken this one.
        ended = self._end_speech("committed")
        return ended if was_speaking or self._rules.manual else []

    def _end_speech(self, told_by: str) -> list[Event]:
        """The user's turn is over; a server may say that in more than one way, and it is told once."""
        self._speaking = False
        self._end_told_by = told_by
        self._due = self._rules.responds and not self._rules.manual
        return [SpeechStopped()]

    def _not_spoken(self, data: Json) -> list[Event]:
        """The server has thrown away what it had heard."""
        return self._end_speech("otherwise") if self._speaking else []

    def _item_deleted(self, data: Json) -> list[Event]:
        """Nothing more is to come of it."""
        item_id = text_of(data, "item_id")
        if item_id is None:
            return []
        events = self._not_spoken(data) if item_id == self._spoken_item else []
        self._awaited.pop(item_id, None)
        if self._utterances.pop(item_id, ""):
            events.append(Transcript("user", ""))
        for call_id in [call_id for call_id, item in self._calls.items() if item == item_id]:
            del self._calls[call_id]
            events.append(ToolCallCancelled(call_id))
        return [*events, *self._release()]

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
        partial, settled = self._utterances.pop(item_id, ""), self._settled.pop(item_id, None)
        ended = self._words_over(item_id)
        if settled is not None:
            told = [Transcript("user", text, replaces=settled)] if text != settled else []
        else:
            # A cough has no words, and takes back those that were guessed.
            told = [Transcript("user", text)] if text.strip() or partial else []
        return [*ended, *told, *self._release()]

    def _not_heard(self, data: Json) -> list[Event]:
        item_id, error = text_of(data, "item_id") or "", error_of(data, "error")
        partial = self._utterances.pop(item_id, "")
        ended = self._words_over(item_id)
        reason = text_of(error, "message") or "what was said could not be transcribed"
        # What was guessed is all that is known of it.
        told = [Transcript("user", partial)] if partial else []
        return [*ended, *told, ServerError(reason, code_of(error)), *self._release()]

    def _words_over(self, item_id: str) -> list[Event]:
        """The words of a turn are in, so the turn is over."""
        self._transcribed.append(item_id)
        if item_id in self._awaited:
            del self._awaited[item_id]
        elif self._awaited and not self._speaking:
            self._awaited.popitem()  # under another name than it was announced by
        # Without names, they may be those of the turn before.
        heard_it = self._speaking and item_id == self._spoken_item
        return self._end_speech("otherwise") if heard_it else []

    def _release(self) -> Sequence[Event]:
        """An answer's text waits for the words that it answers; they are often transcribed later."""
        if self._answered_words in self._awaited and not self._speaking:
            return []
        held, self._held = self._held, []
        return held

    # The server's answer.

    def _answer_begun(self, data: Json) -> list[Event]:
        return self._begin_answer(text_of(object_of(data, "response"), "id") or text_of(data, "response_id"))

    def _begin_answer(self, name: str | None) -> list[Event]:
        """An answer begins, whether that was announced or is seen by what is said of it."""
        events = self._end_of(self._answer)
        by_itself = self._rules.responds and not (self._rules.manual or self._asked or self._due)
        if self._speaking and by_itself:
            events += self._end_speech("otherwise")
        self._asked = self._due = self._text_in_turn = False
        self._calls.clear()
        self._begun_calls.clear()
        self._samples.forget()
        self._answer = Answer(name)
        self._know(self._answer)
        if self._calls_off:
            self._calls_off = False
            self._answer.unwanted = True
            self._cancel(self._answer)
            return events
        self._last = self._answer
        return [*events, ResponseStarted()]

    def _know(self, answer: Answer) -> None:
        if answer.id is not None:
            self._known.pop(answer.id, None)  # servers may use a name again
            self._known[answer.id] = answer
            if len(self._known) > _ANSWERS:
                del self._known[next(iter(self._known))]

    def _of_answer(self, data: Json) -> tuple[list[Event], Answer | None]:
        """The answer that this belongs to, begun if need be, with the events of that; None instead of one
        of which nobody wants to hear more."""
        name, answer, events = text_of(data, "response_id"), self._answer, list[Event]()
        known = self._known.get(name) if name is not None else None
        if known is not None:
            answer = known
        elif answer is None or (name is not None and answer.id is not None):
            # Some servers say sound without having said that an answer begins.
            events = self._begin_answer(name)
            answer = self._answer
        elif name is not None:
            answer.id = name
            self._know(answer)
        return events, None if answer is None or answer.hushed else answer

    def _sound(self, data: Json) -> list[Event] | None:
        delta = text_of(data, "delta")
        if delta is None:
            return None
        pcm = base64_of(delta)
        if pcm is None:
            return self._complaints.about(data, "the server's sound is not base64; what is not is left out")
        events, answer = self._of_answer(data)
        if answer is None:
            return events
        pcm = self._samples.take(pcm)
        answer.part(data).sound += len(pcm)
        return [*events, AudioReceived(pcm, self._rules.format)] if pcm else events

    def _token(self, data: Json) -> list[Event] | None:
        delta = text_of(data, "delta")
        if delta is None:
            return None
        events, answer = self._of_answer(data)
        if answer is None or not delta:
            return events
        part = answer.part(data)
        part.text = (part.text + delta)[:LONGEST_TEXT]
        return [*events, Token(delta)]

    def _part_said(self, data: Json) -> list[Event] | None:
        text = text_of(data, "transcript")
        text = text_of(data, "text") if text is None else text
        if text is None:
            return None
        events, answer = self._of_answer(data)
        # The whole of an answer that was cut off is more than anybody has heard.
        if answer is not None:
            answer.part(data).text = text[:LONGEST_TEXT]
        return events

    def _answer_done(self, data: Json) -> list[Event]:
        """An answer is over: the current one, unless this is known to be about another."""
        response = object_of(data, "response")
        name = text_of(response, "id") or text_of(data, "response_id")
        status = response.get("status") or str(data["type"]).rpartition(".")[2]
        events = self._what_went_wrong(status, response)
        known = self._known.get(name) if name is not None else None
        if known is not None and known.over:
            # It was given up too early, or ended by a message about another, and has gone on.
            if not known.hushed:
                self._correct(known)
            events, self._owed = [*events, *self._owed], []
            if self._wants_answer and self._answer is None:
                self._ask()
            return events
        items = items_of(response, "output")
        if self._answer is None:
            # Not even its beginning was told; but whoever waits for an answer must hear that this was it.
            has_content = any(item.get("type") == "function_call" for item in items)
            if not (has_content or self._asked or self._due or Answer(None).read(response)):
                return events
            events = [*self._begin_answer(name), *events]
        answer = self._answer
        assert answer is not None
        if not answer.hushed:
            reason = text_of(object_of(response, "status_details"), "reason")
            if status in _CANCELLED and reason == "turn_detected":
                events += self._cut_off()
            else:
                answer.read(response)
        if not answer.unwanted and status not in _UNFINISHED:
            for item in [*items, *self._begun_calls.values()]:
                if item.get("type") == "function_call":
                    events += self._call(item) or []
        events += self._end_of(answer)
        if self._wants_answer:
            self._ask()
        return events

    def _what_went_wrong(self, status: object, response: Json) -> list[Event]:
        details = error_of(response, "status_details")
        match status:
            case "failed":
                error = error_of(details, "error") or error_of(response, "error") or details
                why = text_of(error, "message") or "the server could not answer"
                return [ServerError(why, code_of(error) if error is not details else None)]
            case "incomplete":
                reason = text_of(details, "reason") or text_of(details, "message")
                return [ServerError(f"the answer is not complete: {reason or 'no reason given'}", reason)]
        return []

    def _end_of(self, answer: Answer | None) -> list[Event]:
        self._answer = None
        if answer is None:
            return []
        answer.over = True
        nameless, self._nameless = self._nameless, set()
        for call_id in nameless:
            self._return(call_id, {"error": "the call does not name its function"})
        if answer.unwanted:
            return []
        answer.told = answer.text
        if answer.told:
            self._held.append(Transcript("assistant", answer.told))
        return [*self._release(), ResponseDone()]

    # Calls.

    def _item_begun(self, data: Json) -> list[Event]:
        item = object_of(data, "item")
        call_id, name = text_of(item, "call_id"), text_of(item, "name")
        if item.get("type") == "function_call" and call_id and name and call_id not in self._names:
            self._name(call_id, name)
            if len(self._begun_calls) < _UTTERANCES:
                self._begun_calls[call_id] = {**item, "response_id": data.get("response_id")}
        return []

    def _name(self, call_id: str, name: str) -> None:
        """Remember what a call's function is called; nothing once it was told."""
        self._names.pop(call_id, None)
        self._names[call_id] = name
        if len(self._names) > _CALLS:
            del self._names[next(iter(self._names))]

    def _item_said(self, data: Json) -> list[Event] | None:
        item = object_of(data, "item")
        if item.get("type") != "function_call":
            return []
        return self._call({"response_id": data.get("response_id"), "item_id": item.get("id"), **item})

    def _arguments_go_on(self, data: Json) -> list[Event]:
        call_id, delta = text_of(data, "call_id"), text_of(data, "delta")
        if call_id and delta and (call_id in self._arguments or len(self._arguments) < _UTTERANCES):
            self._arguments[call_id] = (self._arguments.get(call_id, "") + delta)[:LONGEST_TEXT]
        return []

    def _call(self, data: Json) -> list[Event] | None:
        """Any of the three messages that tell a call may come, or all; it is told once."""
        call_id = text_of(data, "call_id")
        if not call_id:
            return None
        in_pieces = self._arguments.pop(call_id, None)
        name = text_of(data, "name") or self._names.get(call_id)
        if self._names.get(call_id) == "" or self._is_unwanted(text_of(data, "response_id")):
            return []
        if not name:
            if len(self._nameless) < _CALLS:
                self._nameless.add(call_id)
            return []
        self._nameless.discard(call_id)
        self._name(call_id, "")
        given = data.get("arguments")
        arguments = arguments_of(in_pieces if given is None or given == "" else given)
        self._calls[call_id] = text_of(data, "item_id")
        if len(self._calls) > _CALLS:
            del self._calls[next(iter(self._calls))]
        if arguments is None:
            self._return(call_id, {"error": "the arguments are no JSON object"})
            return []
        return [ToolCall(call_id, name, arguments)]

    def _is_unwanted(self, name: str | None) -> bool:
        answer = self._known.get(name) if name is not None else self._answer
        return answer is not None and answer.unwanted

    # Errors.

    def _error(self, data: Json) -> list[Event]:
        error = error_of(data, "error")
        code = code_of(error) or text_of(data, "code")
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
        events: list[Event] = [ServerError(reason, code)]
        if cause is not None:
            return events
        if self._answer is None:
            # Perhaps it was the answer that went wrong; whoever waits for it must not wait for ever.
            awaited = self._asked
            self._asked = self._due = self._calls_off = False
            if awaited and self._wants_answer:
                self._ask()
        elif error.get("type") == "server_error":
            events += self._end_of(self._answer)
            if self._wants_answer:
                self._ask()
        return events


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
    "conversation.item.deleted": OpenAISession._item_deleted,
    "input_audio_buffer.cleared": OpenAISession._not_spoken,
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
    "response.function_call_arguments.delta": OpenAISession._arguments_go_on,
    "response.function_call_arguments.done": OpenAISession._call,
    "response.done": OpenAISession._answer_done,
    "response.completed": OpenAISession._answer_done,
    "response.cancelled": OpenAISession._answer_done,
    "response.failed": OpenAISession._answer_done,
    "response.incomplete": OpenAISession._answer_done,
    "error": OpenAISession._error,
}
"""What the server can say.  None from one of these: it lacks what it needs."""

_CONVERSATION = ("response.", "input_audio_buffer.", "conversation.item.")
_CANCELLED = ("cancelled", "canceled")
_UNFINISHED = (*_CANCELLED, "failed", "incomplete")

_NOTED = frozenset(
    {
        "conversation.item.added",
        "conversation.item.created",
        "conversation.item.done",
        "conversation.item.truncated",
        "input_audio_buffer.timeout_triggered",
        "rate_limits.updated",
        "response.audio.done",
        "response.content_part.added",
        "response.content_part.done",
        "response.output_audio.done",
    }
)
"""What it says besides, and what asks nothing of us.  Anything else becomes a Message."""
