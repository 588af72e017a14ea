"""ElevenLabs Agents: an agent that was made on ElevenLabs' pages, and is called by its id.

The client speaks first, the server answers with the formats of sound, and all goes as JSON with
the sound in base64.  Field names and messages are those of ElevenLabs' own clients, elevenlabs
2.78 and @elevenlabs/types 0.23.
"""

from __future__ import annotations

import base64
import json
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit, urlunsplit

from voicews.callables import safe_repr
from voicews.commands import Command, InterruptResponse, SendAudio, SendMessage, SendText, ToolResult
from voicews.config import AudioFormat
from voicews.dialects.base import Dialect, Fetch, Request, Session, bare_url
from voicews.dialects.fetching import fetch
from voicews.dialects.messages import (
    Complaints,
    Json,
    arguments_of,
    base64_of,
    clean,
    error_of,
    loose_number,
    merged,
    number_of,
    object_of,
    parsed,
    text_of,
    written,
)
from voicews.dialects.mulaw import from_mulaw, to_mulaw
from voicews.dialects.samples import WholeSamples
from voicews.dialects.settings import (
    checked_format,
    checked_headers,
    checked_json,
    checked_text,
    checked_url,
    given_key,
)
from voicews.errors import (
    ConfigError,
    ConnectFailed,
    LocalProtocolError,
    ServiceError,
    Unsupported,
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
    ToolCall,
    Transcript,
)
from voicews.history import History
from voicews.tools import Tool

__all__ = ["ElevenLabsAgent"]

_ACCEPTS: frozenset[type[Command]] = frozenset(
    {SendAudio, SendText, InterruptResponse, ToolResult, SendMessage}
)
_CLOUD = ".elevenlabs.io"
_16_KHZ = AudioFormat(16000)
_FORMAT = re.compile(r"(pcm|ulaw)_(\d{4,6})")
_FATAL_CODES = frozenset({1002, 1008})
_FATAL_TYPES = frozenset(
    {
        "invalid_message",
        "max_duration_exceeded",
        "missing_dynamic_variable",
        "missing_dynamic_variable_transfer",
        "missing_fields",
        "override_error",
        "safety_violation",
    }
)
"""Errors that would come again, and limits that a new call would evade."""
_GAP_TICKS = 4
"""Ticks without sound after which an answer is held to be over: the server does not say so."""
_REMEMBERED = 100
"""Calls and typed texts whose answers are awaited."""
_RESUMED = (
    "The connection was lost for a moment and is back. This has been said so far:\n{history}\n"
    "Go on from there, and do not greet again."
)


@dataclass(frozen=True, repr=False)
class ElevenLabsAgent(Dialect):
    """An agent of ElevenLabs.

    Example::

        ElevenLabsAgent("agent_01…")                                    # public
        ElevenLabsAgent("agent_01…", private=True)                      # key: ELEVENLABS_API_KEY
        ElevenLabsAgent(signed_url=ask_my_backend)

    What it is, how it behaves and what it may call is set on ElevenLabs' pages; the settings
    that override that have to be allowed there ("Security"), or the call ends with an error.

    Raises:
        ConfigError: a setting is wrong, or the key is missing.
    """

    key_variables: ClassVar[Sequence[str]] = ("ELEVENLABS_API_KEY",)
    restores: ClassVar[str] = "the history, as a note to the agent"

    agent_id: str | None = None
    """The agent's id.  Has to be given unless ``signed_url`` is."""
    _: KW_ONLY
    private: bool = False
    """True for an agent that asks for authentication: before each attempt the key is exchanged for a
    signed address (``fetch``)."""
    key: str | None = field(default=None, repr=False)
    """The API key, for private agents only; None (the default) takes that of the environment,
    ``ELEVENLABS_API_KEY``, for ElevenLabs' own addresses."""
    signed_url: str | Callable[[], str] | None = field(default=None, repr=False)
    """A signed address instead, or a function that gets one before each attempt, so that the key can stay
    on your own server.  They expire after minutes, so a plain string is good for the first attempt only."""
    instructions: str | None = None
    """Overrides the agent's prompt."""
    first_message: str | None = None
    """Overrides what the agent says first; an empty string: it waits."""
    language: str | None = None
    """Overrides the agent's language, by its two letters."""
    voice: str | None = None
    """Overrides the agent's voice, by its id."""
    text_only: bool = False
    """True overrides the agent to a conversation in writing; the microphone is not sent then."""
    variables: Mapping[str, str | float | bool] = field(default_factory=dict, hash=False)
    """Values of the ``{{names}}`` in the agent's prompt (``dynamic_variables``)."""
    user_id: str | None = field(default=None, repr=False)
    """Who calls, for your own statistics at ElevenLabs."""
    resumed: str | None = _RESUMED
    """What the agent is told, without being heard, when a conversation is taken up again: a new call knows
    nothing of the old one.  ``{history}`` stands for what was said, a turn a line; None tells nothing."""
    input_format: AudioFormat = _16_KHZ
    """What the agent is set to hear ("User input audio format"): default 16 kHz."""
    output_format: AudioFormat = _16_KHZ
    """What it is expected to speak; what it really speaks it says itself."""
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Further fields of the first message (``conversation_initiation_client_data``), merged into those
    above; they win: ``{"custom_llm_extra_body": {…}, "conversation_config_override": {…}}``."""
    url: str = "wss://api.elevenlabs.io/v1/convai/conversation"
    """Of the server; other regions have other hosts."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    """Further headers of the handshake."""
    fetch: Fetch | None = field(default=None, repr=False)
    """What gets the signed address of a private agent over HTTPS; runs on the receiver thread.  None (the
    default) leaves it to the client, with its proxy and TLS settings."""

    def __post_init__(self) -> None:
        name = type(self).__name__
        checked_url(f"{name}.url", self.url)
        checked_format(f"{name}.input_format", self.input_format)
        checked_format(f"{name}.output_format", self.output_format)
        object.__setattr__(self, "headers", checked_headers(f"{name}.headers", self.headers))
        for part in ("options", "variables"):
            object.__setattr__(self, part, checked_json(f"{name}.{part}", getattr(self, part)))
        for part in ("agent_id", "instructions", "language", "voice", "user_id", "resumed"):
            if getattr(self, part) is not None:
                checked_text(f"{name}.{part}", getattr(self, part))
        if self.first_message is not None and not isinstance(self.first_message, str):
            raise ConfigError(
                f"{name}.first_message is {safe_repr(self.first_message)}; it must be a string, or None"
            )
        self._check_way_in(name)

    def _check_way_in(self, name: str) -> None:
        if (self.agent_id is None) == (self.signed_url is None):
            raise ConfigError(
                f"{name}.agent_id must be the id of an agent, unless signed_url is given; give one of the two"
            )
        if isinstance(self.signed_url, str):
            checked_url(f"{name}.signed_url", self.signed_url)
        elif self.signed_url is not None and not callable(self.signed_url):
            raise ConfigError(f"{name}.signed_url must be an address, or a function that gets one")
        if self.private and self.agent_id is None:
            raise ConfigError(f"{name}.private needs agent_id; a signed_url is private by itself")
        cloud = (urlsplit(self.url).hostname or "").endswith(_CLOUD)
        key = self.key
        if key is None and not (cloud and self.private):
            if self.private:
                raise ConfigError(
                    f"{name}.key is missing: the environment's is for ElevenLabs' own addresses"
                )
            key = ""
        object.__setattr__(self, "key", given_key(f"{name}.key", key, "ELEVENLABS_API_KEY", needed=True))

    def __repr__(self) -> str:
        return f"ElevenLabsAgent({self.agent_id!r}, url={bare_url(self.url)!r})"

    @property
    def accepts(self) -> frozenset[type[Command]]:
        """All but StartTurn, EndTurn and TruncateResponse.  InterruptResponse only keeps the rest of an
        answer away: the server has no word for it."""
        return _ACCEPTS

    def request(self) -> Request:
        """As :meth:`prepare`, by no proxy and with the system's authorities."""
        return self.prepare(fetch)

    def prepare(self, fetch: Fetch) -> Request:
        """Asks for a signed address where one is needed.

        Raises:
            ConnectFailed: there was none in the answer; or as :func:`~voicews.dialects.fetching.fetch`.
            ConfigError: ``signed_url`` gave what is no address.
        """
        name = type(self).__name__
        if callable(self.signed_url):
            return Request(checked_url(f"{name}.signed_url", self.signed_url()), self.headers)
        if self.signed_url is not None:
            return Request(self.signed_url, self.headers)
        if self.private:
            return Request(self._signed(self.fetch or fetch), self.headers)
        return Request(self._with_agent(self.url), self.headers)

    def _with_agent(self, url: str) -> str:
        return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode({'agent_id': self.agent_id})}"

    def _signed(self, fetch: Fetch) -> str:
        parts = urlsplit(self.url)
        plain = parts._replace(
            scheme={"ws": "http", "wss": "https"}[parts.scheme],
            path=f"{parts.path.rstrip('/')}/get-signed-url",
        )
        where = self._with_agent(urlunsplit(plain))
        answer = parsed(fetch(where, {"xi-api-key": self.key or ""}))
        signed = text_of(answer, "signed_url") if isinstance(answer, dict) else None
        if signed is None:
            raise ConnectFailed(f"{bare_url(where)} gave no signed_url")
        return checked_url("the signed_url", signed)

    def begin(self, previous: Session | None, history: History, tools: Sequence[Tool] = ()) -> Session:
        """A new call, which is told of the old one in a ``contextual_update``.

        The tools are known to the agent already: they are set on ElevenLabs' pages.
        """
        said = "\n".join(f"{turn.role}: {turn.text}" for turn in history)
        resumed = self.resumed.replace("{history}", said) if self.resumed is not None and said else None
        return _AgentSession(self, self._first_words(bool(said)), resumed)

    def _first_words(self, resumed: bool) -> str:
        first_message = self.first_message
        if first_message is not None and resumed:
            first_message = ""
        prompt = {"prompt": self.instructions} if self.instructions is not None else None
        given: Json = {
            "agent": {"prompt": prompt, "first_message": first_message, "language": self.language},
            "tts": {"voice_id": self.voice},
            "conversation": {"text_only": self.text_only or None},
        }
        override = {
            part: kept
            for part, fields in given.items()
            if (kept := {name: value for name, value in fields.items() if value is not None})
        }
        message: Json = {
            "type": "conversation_initiation_client_data",
            "conversation_config_override": override,
            "custom_llm_extra_body": {},
            "dynamic_variables": dict(self.variables),
        }
        if self.user_id is not None:
            message["user_id"] = self.user_id
        return written(merged(message, self.options))


class _AgentSession(Session):
    """One call's rules.

    Args:
        first_words: the first message.
        resumed: what to tell of the call before, once this one is accepted.
    """

    tick_interval: float = 0.5
    """Counts how long no sound has come."""

    def __init__(self, dialect: ElevenLabsAgent, first_words: str, resumed: str | None) -> None:
        self._dialect = dialect
        self._resumed = resumed
        self._to_send: list[str | bytes] = [first_words]
        self._ready = False
        self._finishing = False
        self._asked = False
        """True from the user's words to the beginning of their answer."""
        self._calls_off = self._unwanted = False
        """The answer that is to come is called off; the one that came had been."""
        self._complaints = Complaints()
        self._decode: Callable[[bytes], bytes] | None = None
        self._encode: Callable[[bytes], bytes] | None = None
        self._samples = WholeSamples(dialect.output_format)
        self._interrupted_at = -1.0
        self._speaking = False
        self._guess = ""
        self._stop_told = False
        self._settled: str | None = None
        """What was taken for the user's words as the agent answered before it had told them."""
        self._responding = False
        self._hushed = False
        self._quiet_ticks = 0
        self._typed: deque[str] = deque(maxlen=_REMEMBERED)
        self._typed_before = 0
        """How many of them were typed before the answer began: their echo does not come after it."""
        self._calls: deque[str] = deque(maxlen=_REMEMBERED)

    @property
    def ready(self) -> bool:
        return self._ready

    @property
    def finished(self) -> bool:
        if not self._finishing or self._speaking or self._asked:
            return False
        return not self._responding or self._hushed or self._quiet_ticks >= _GAP_TICKS

    def messages_to_send(self) -> list[str | bytes]:
        messages, self._to_send = self._to_send, []
        return messages

    def last_words(self, *, resumes: bool) -> list[Event]:
        """What was heard of the user so far."""
        guess, self._guess = self._guess, ""
        return [SpeechStopped(), Transcript("user", guess)] if guess else []

    # -- what we say ------------------------------------------------------------------------

    def send(self, command: Command) -> None:
        """Put a command into the server's words.

        Raises:
            Unsupported: the dialect has no word for it.
            LocalProtocolError: the session is not ready.
        """
        if not self._ready:
            raise LocalProtocolError(f"{type(command).__name__} before the server has accepted the call")
        match command:
            case SendAudio(pcm=pcm):
                self._speak(pcm)
            case SendText(text=text):
                self._typed.append(text.strip())
                self._asked, self._calls_off = True, False
                self._say(type="user_message", text=text)
            case InterruptResponse():
                # Also of an answer that is still to come: to what was said, or to a call's result.
                self._hushed = self._responding
                self._calls_off = self._asked or bool(self._calls)
            case ToolResult(call_id=call_id, result=result, error=error):
                self._return(call_id, result if error is None else error, failed=error is not None)
            case SendMessage(data=data):
                self._to_send.append(written(data) if isinstance(data, Mapping) else data)
            case _:
                raise Unsupported(f"ElevenLabsAgent has no word for {type(command).__name__}")

    def _say(self, **message: Any) -> None:
        self._to_send.append(written(message))

    def _speak(self, pcm: bytes) -> None:
        if not self._dialect.text_only:
            sound = self._encode(pcm) if self._encode is not None else pcm
            # The one message without a type.
            self._say(user_audio_chunk=base64.b64encode(sound).decode())

    def _return(self, call_id: str, result: Any, *, failed: bool) -> None:
        # What was asked for on a connection that is gone must not be answered.
        if call_id in self._calls:
            self._calls.remove(call_id)
            self._asked = True
            told = result if isinstance(result, str) else json.dumps(result, default=str)
            self._say(type="client_tool_result", tool_call_id=call_id, result=told, is_error=failed)

    def finish(self) -> None:
        """Close once what was said last has been written down and answered."""
        self._finishing = True

    def tick(self, now: float) -> list[Event]:
        """Half a second has passed."""
        self._quiet_ticks += 1
        if self._finishing and self._speaking:
            # There is no word for the end of a turn: the agent has to hear it.
            self._speak(bytes(self._dialect.input_format.bytes(self.tick_interval)))
        # The server does not say when an answer is over.
        return self._end_answer() if self._quiet_ticks >= _GAP_TICKS else []

    # -- what the server says ---------------------------------------------------------------

    def receive(self, message: str | bytes) -> list[Event]:
        """Understand a message; what makes no sense becomes a :class:`Message`.

        Raises:
            ServiceError: the server reported an error that would come again, or wants another format.
        """
        data = parsed(message)
        if not isinstance(data, dict):
            return self._complaints.about(data, "the server sent what is not a JSON object")
        kind = text_of(data, "type")
        understand = _KINDS.get(kind) if kind is not None else None
        if kind is None or understand is None:
            return [Message(data)]
        events = understand(self, data)
        return self._complaints.misshapen(data, kind) if events is None else events

    def _metadata(self, data: Json) -> list[Event]:
        about = object_of(data, "conversation_initiation_metadata_event")
        heard, spoken = text_of(about, "user_input_audio_format"), text_of(about, "agent_output_audio_format")
        if not self._dialect.text_only:
            self._encode = self._coder(heard, self._dialect.input_format, to_mulaw)
            self._decode = self._coder(spoken, None, from_mulaw)
        self._ready = True
        if self._resumed is not None:
            self._say(type="contextual_update", text=self._resumed)
            self._resumed = None
        return []

    def _coder(
        self, name: str | None, wanted: AudioFormat | None, mulaw: Callable[[bytes], bytes]
    ) -> Callable[[bytes], bytes] | None:
        """How sound in this format is made of samples, or samples of it; None: they are the same.

        Args:
            wanted: the only format that will do; None takes it for the one that is spoken.
        """
        if name is None:
            return None
        found = _FORMAT.fullmatch(name)
        try:
            told = AudioFormat(int(found[2])) if found is not None else None
        except ConfigError:
            told = None
        if told is None or found is None:
            raise ServiceError(
                f"the agent's audio format is {name!r}; set it to PCM, or mu-law at 8000 Hz", fatal=True
            )
        if wanted is None:
            self._samples = WholeSamples(told)
        elif told != wanted:
            raise ServiceError(
                f"the agent wants to hear {name}, but {wanted} is sent: give "
                f"ElevenLabsAgent(input_format=AudioFormat({told.rate}))",
                fatal=True,
            )
        return mulaw if found[1] == "ulaw" else None

    def _ping(self, data: Json) -> list[Event] | None:
        event_id = object_of(data, "ping_event").get("event_id")
        if isinstance(event_id, float) and event_id.is_integer():
            event_id = int(event_id)
        if isinstance(event_id, bool) or not isinstance(event_id, int | str):
            return None
        self._say(type="pong", event_id=event_id)
        return []

    # -- the user ---------------------------------------------------------------------------

    def _tentative(self, data: Json) -> list[Event] | None:
        text = text_of(object_of(data, "tentative_user_transcription_event"), "user_transcript")
        if text is None:
            return None
        events: list[Event] = [] if self._speaking else [SpeechStarted()]
        if not self._speaking:
            # Who speaks has written no more, and wants to be answered.
            self._typed.clear()
            self._stop_told = self._calls_off = False
            self._settled = None
        self._speaking, self._guess = True, text.strip()
        return [*events, Transcript("user", self._guess, final=False)]

    def _transcript(self, data: Json) -> list[Event] | None:
        text = text_of(object_of(data, "user_transcription_event"), "user_transcript")
        if text is None:
            return None
        text, self._guess = text.strip(), ""
        if text in self._typed:
            self._typed.remove(text)
            return []
        ended, settled = self._end_speech(), self._settled
        self._settled, self._stop_told = None, False
        self._interrupted_at = -1.0  # what is late has come before this
        if settled is not None:
            # It belongs to what is answered already.
            return [Transcript("user", text, replaces=settled)] if text != settled else []
        self._asked, self._calls_off = bool(text), False
        told: list[Event] = [Transcript("user", text)] if text else []
        return [*self._end_answer(), *ended, *told]

    def _end_speech(self) -> list[Event]:
        """The user's turn is over, which is told once."""
        told, self._speaking, self._stop_told = self._stop_told, False, True
        return [] if told else [SpeechStopped()]

    # -- the agent --------------------------------------------------------------------------

    def _audio(self, data: Json) -> list[Event] | None:
        event = object_of(data, "audio_event")
        sound, event_id = text_of(event, "audio_base_64"), _number(event)
        if sound is None:
            return None
        if event_id is not None and event_id <= self._interrupted_at:
            return []
        pcm = base64_of(sound)
        if pcm is None:
            return self._complaints.about(data, "the server's sound is not base64; what is not is left out")
        self._quiet_ticks = 0
        pcm = self._samples.take(self._decode(pcm) if self._decode is not None else pcm)
        if not pcm:
            return []
        begun = self._begin_answer()
        return begun if self._hushed else [*begun, AudioReceived(pcm, self._samples.format)]

    def _response(self, data: Json) -> list[Event] | None:
        text = text_of(object_of(data, "agent_response_event"), "agent_response")
        if text is None:
            return None
        self._quiet_ticks = 0
        text = text.strip()
        if not self._responding:
            self._interrupted_at = -1.0  # a new answer; what is late of the old one has come before this
        begun = self._begin_answer()
        told: list[Event] = [Transcript("assistant", text)] if text and not self._unwanted else []
        over = self._end_answer if self._dialect.text_only else list
        return [*begun, *told, *over()]

    def _part(self, data: Json) -> list[Event] | None:
        text = text_of(object_of(data, "text_response_part"), "text")
        if text is None:
            return None
        self._quiet_ticks = 0
        begun = self._begin_answer()
        return [*begun, Token(text)] if text and not self._unwanted else begun

    def _correction(self, data: Json) -> list[Event] | None:
        event = object_of(data, "agent_response_correction_event")
        original, said = text_of(event, "original_agent_response"), text_of(event, "corrected_agent_response")
        if original is None or said is None:
            return None
        return [Transcript("assistant", said.strip(), replaces=original.strip())]

    def _interruption(self, data: Json) -> list[Event]:
        event_id = _number(object_of(data, "interruption_event"))
        if event_id is not None:
            self._interrupted_at = max(self._interrupted_at, event_id)
        return [Interrupted(), *self._end_answer()]

    def _begin_answer(self) -> list[Event]:
        if self._responding:
            return []
        self._responding, self._asked = True, False
        self._quiet_ticks = 0
        self._typed_before = len(self._typed)
        self._unwanted = self._hushed = self._calls_off
        self._calls_off = False
        events: list[Event] = []
        if self._speaking:
            # The agent answers, whether it has told that the user's turn is over or not.
            events += self._end_speech()
            if self._guess:
                self._settled, self._guess = self._guess, ""
                events.append(Transcript("user", self._settled))
        return events if self._unwanted else [*events, ResponseStarted()]

    def _end_answer(self) -> list[Event]:
        if not self._responding:
            return []
        unwanted, self._unwanted = self._unwanted, False
        self._responding = self._hushed = False
        for _ in range(min(self._typed_before, len(self._typed))):
            self._typed.popleft()
        self._samples.forget()
        return [] if unwanted else [ResponseDone()]

    # -- the rest ---------------------------------------------------------------------------

    def _tool_call(self, data: Json) -> list[Event] | None:
        call = object_of(data, "client_tool_call")
        name, call_id = text_of(call, "tool_name"), text_of(call, "tool_call_id")
        if name is None or call_id is None:
            return None
        self._calls.append(call_id)
        arguments = arguments_of(call.get("parameters"))
        if arguments is None:
            self._return(call_id, "the parameters are no JSON object", failed=True)
            return []
        return [ToolCall(call_id, name, arguments)]

    def _error(self, data: Json) -> list[Event]:
        event = error_of(data, "error_event") or error_of(data, "error") or data
        kind, number = text_of(event, "error_type"), number_of(event, "code")
        told = (text_of(event, name) for name in ("message", "reason"))
        reason = next((text for text in told if text), None) or clean(kind or "") or "it did not say why"
        # Perhaps it was the answer that went wrong.
        self._asked = self._calls_off = False
        code = kind or (int(number) if number is not None else None)
        if kind in _FATAL_TYPES or number in _FATAL_CODES:
            raise ServiceError(reason, code=code, fatal=True)
        return [ServerError(reason, code)]


def _number(event: Json) -> float | None:
    """By which sound that is late is known."""
    return number_of({"event_id": loose_number(event.get("event_id"))}, "event_id")


_KINDS: Mapping[str, Callable[[_AgentSession, Json], list[Event] | None]] = {
    "conversation_initiation_metadata": _AgentSession._metadata,
    "ping": _AgentSession._ping,
    "tentative_user_transcript": _AgentSession._tentative,
    "user_transcript": _AgentSession._transcript,
    "audio": _AgentSession._audio,
    "agent_response": _AgentSession._response,
    "agent_chat_response_part": _AgentSession._part,
    "agent_response_correction": _AgentSession._correction,
    "interruption": _AgentSession._interruption,
    "client_tool_call": _AgentSession._tool_call,
    "error": _AgentSession._error,
}
"""What the server can say that has a word of ours; None from one of these: it has not after all.
What only informs (``vad_score``, ``agent_tool_response``, ``mcp_tool_call`` …) is given on as it is."""
