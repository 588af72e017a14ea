"""Deepgram's Voice Agent: it listens, thinks with a language model of your choice, and speaks.

The server greets, is told the settings, and accepts them; then sound goes both ways, raw.  Field
names and messages are those of Deepgram's own client, deepgram-sdk 7.17.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

from voicews.commands import (
    Command,
    EndTurn,
    InterruptResponse,
    SendAudio,
    SendMessage,
    SendText,
    ToolResult,
)
from voicews.config import AudioFormat
from voicews.dialects.base import Dialect, Request, Session, bare_url
from voicews.dialects.deepgram import Keepalive, Key, Scheme, authorized, checked_key, linear16
from voicews.dialects.messages import (
    Complaints,
    Json,
    arguments_of,
    error_of,
    items_of,
    loose_truth,
    merged,
    object_of,
    parsed,
    text_of,
    written,
)
from voicews.dialects.samples import WholeSamples
from voicews.dialects.settings import (
    checked_format,
    checked_headers,
    checked_json,
    checked_number,
    checked_text,
    checked_url,
)
from voicews.errors import ConfigError, LocalProtocolError, ServiceError, Unsupported
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
from voicews.history import History
from voicews.tools import Tool

__all__ = ["DeepgramAgent"]

_ACCEPTS: frozenset[type[Command]] = frozenset(
    {SendAudio, SendText, EndTurn, InterruptResponse, ToolResult, SendMessage}
)
_16_KHZ, _24_KHZ = AudioFormat(16000), AudioFormat(24000)
_PASSING = frozenset({"INTERNAL_SERVER_ERROR", "CLIENT_MESSAGE_TIMEOUT"})
"""Codes of errors that another attempt may not meet again, even before the settings are accepted."""
_OUR_FAULT = frozenset({"UNPARSABLE_CLIENT_MESSAGE", "INVALID_SETTINGS"})
"""Codes of errors that would come again."""
_NEW_SOUND_FOLLOWS = frozenset(
    {"ConversationText", "AgentThinking", "AgentStartedSpeaking", "AgentAudioDone"}
)
"""After an interruption, sound before one of these is that of the interrupted answer."""
_CONVERSATION = frozenset({"AgentStartedSpeaking", "ConversationText", "UserStartedSpeaking"})
"""Whoever says one of these has accepted the settings."""
_PATIENCE = 4
"""Ticks without a word or sound of an answer after which it is over, although the server has not said so."""
_WARNING = 300.0
"""Seconds before its end that a session's expiry is told."""
_LONGEST_ANSWER = 1_000_000
"""Characters; a server that never says that it is done must not fill the memory."""
_REMEMBERED = 100
"""Calls and typed texts whose answers are awaited."""


@dataclass(frozen=True, repr=False)
class DeepgramAgent(Dialect):
    """Deepgram's Voice Agent.

    Example::

        DeepgramAgent("gpt-4o-mini", instructions="Be brief.", greeting="Hello.")
        DeepgramAgent({"type": "anthropic", "model": "claude-sonnet-4-5"}, speak="aura-2-apollo-en")

    A session that is about to end (Deepgram's after two hours) is left for a new one in a quiet
    moment, and the conversation so far is told to the new one.

    Raises:
        ConfigError: a setting is wrong, or the key is missing.
    """

    key_variables: ClassVar[Sequence[str]] = ("DEEPGRAM_API_KEY",)
    restores: ClassVar[str] = "the history, in the settings"

    think: str | Mapping[str, Any] | None = None
    """The language model: the name of one of OpenAI's, or Deepgram's ``provider`` object with ``type``
    and ``model``.  Has to be given unless ``agent`` is; there is no default, for models are retired."""
    _: KW_ONLY
    instructions: str | None = None
    """How to behave (``think.prompt``); None (the default) leaves it to the model."""
    greeting: str | None = None
    """What the agent says first, in a new conversation; None (the default): it waits."""
    listen: str | Mapping[str, Any] = "nova-3"
    """Deepgram's model that hears, such as "nova-3" or "flux-general-en", or a ``provider`` object."""
    speak: str | Mapping[str, Any] = "aura-2-thalia-en"
    """Deepgram's voice, or a ``provider`` object for another service's."""
    language: str | None = None
    """BCP-47 tag such as "de" of what is heard; None (the default) leaves it to the model.  The voice
    has a language of its own."""
    agent: str | None = None
    """Id of settings that are stored at Deepgram, instead of all of the above.  A lost conversation
    cannot be restored then, and functions have to be among those settings."""
    key: Key = field(default=None, repr=False)
    """The API key; None (the default) takes that of the environment, ``DEEPGRAM_API_KEY``, for Deepgram's
    own addresses, and none for any other server.  A function is asked before each attempt, for
    temporary tokens."""
    scheme: Scheme = "Token"
    """"Token" for API keys, "Bearer" for temporary tokens."""
    input_format: AudioFormat = _16_KHZ
    """What is sent; default 16 kHz, always one channel."""
    output_format: AudioFormat = _24_KHZ
    """What comes back; default 24 kHz, always one channel."""
    session_length: float | None = 7200.0
    """Seconds that the server lets a session live, default Deepgram's two hours; None for ever."""
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Further fields of the ``Settings`` message, merged into those above; they win:
    ``{"tags": ["kiosk"], "agent": {"think": {"endpoint": {"url": …}}}}``."""
    url: str = "wss://agent.deepgram.com/v1/agent/converse"
    """Of the server."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    """Further headers of the handshake; they win."""

    def __post_init__(self) -> None:
        name = type(self).__name__
        checked_url(f"{name}.url", self.url)
        checked_format(f"{name}.input_format", self.input_format)
        checked_format(f"{name}.output_format", self.output_format)
        object.__setattr__(self, "headers", checked_headers(f"{name}.headers", self.headers))
        object.__setattr__(self, "options", checked_json(f"{name}.options", self.options))
        key = checked_key(f"{name}.key", self.key, self.url, self.scheme, self.headers)
        object.__setattr__(self, "key", key)
        if (self.think is None) == (self.agent is None):
            raise ConfigError(
                f"{name}.think must name a language model such as gpt-4o-mini, unless agent names "
                "settings that are stored at Deepgram; give one of the two"
            )
        for part in ("think", "listen", "speak"):
            value = getattr(self, part)
            if isinstance(value, Mapping):
                object.__setattr__(self, part, checked_json(f"{name}.{part}", value))
            elif value is not None or part != "think":
                checked_text(f"{name}.{part}", value)
        for part in ("instructions", "greeting", "language", "agent"):
            if getattr(self, part) is not None:
                checked_text(f"{name}.{part}", getattr(self, part))
        checked_number(f"{name}.session_length", self.session_length, 1, "seconds", optional=True)

    def __repr__(self) -> str:
        brain = self.agent or (self.think.get("model") if isinstance(self.think, Mapping) else self.think)
        return f"DeepgramAgent({brain!r}, url={bare_url(self.url)!r})"

    @property
    def accepts(self) -> frozenset[type[Command]]:
        """All but StartTurn and TruncateResponse.  InterruptResponse only keeps the rest of an answer
        away: the server has no word for it."""
        return _ACCEPTS

    def request(self) -> Request:
        """The same for each attempt, but for a key that a function gives."""
        return Request(
            self.url, authorized(f"{type(self).__name__}.key", self.key, self.scheme, self.headers)
        )

    def begin(self, previous: Session | None, history: History, tools: Sequence[Tool] = ()) -> Session:
        """A new connection is told all settings again, and the conversation so far."""
        unfinished = previous.unfinished if isinstance(previous, _AgentSession) else ""
        said = [{"type": "History", "role": turn.role, "content": turn.text} for turn in history]
        if unfinished:
            said.append({"type": "History", "role": "assistant", "content": unfinished})
        return _AgentSession(self, self._settings(said, tools), unfinished)

    def _settings(self, said: Sequence[Json], tools: Sequence[Tool]) -> str:
        settings: Json = {
            "type": "Settings",
            "audio": {
                "input": linear16(self.input_format),
                "output": {**linear16(self.output_format), "container": "none"},
            },
            "agent": self.agent or self._agent(said, tools),
        }
        return written(merged(settings, self.options))

    def _agent(self, said: Sequence[Json], tools: Sequence[Tool]) -> Json:
        think: Json = {"provider": _provider(self.think, "open_ai")}
        if self.instructions is not None:
            think["prompt"] = self.instructions
        if tools:
            think["functions"] = [
                {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
                for tool in tools
            ]
        agent: Json = {
            "listen": {"provider": self._ears()},
            "think": think,
            "speak": {"provider": _provider(self.speak, "deepgram")},
        }
        if said:
            agent["context"] = {"messages": list(said)}
        elif self.greeting is not None:
            agent["greeting"] = self.greeting
        return agent

    def _ears(self) -> Json:
        provider = _provider(self.listen, "deepgram")
        # Models of the Flux family are heard with the second version, which hints at languages.
        flux = str(provider.get("model")).startswith("flux")
        usual: Json = {"version": "v2" if flux else "v1"}
        if self.language is not None:
            usual |= {"language_hints": [self.language]} if flux else {"language": self.language}
        return usual | provider


def _provider(given: str | Mapping[str, Any] | None, usual: str) -> Json:
    return dict(given) if isinstance(given, Mapping) else {"type": usual, "model": given}


class _AgentSession(Session):
    """One connection's rules.

    Args:
        settings: the message to answer the greeting with.
        lost: what the agent was saying when the connection before was lost.
    """

    tick_interval = 4.0
    """A sign of life has to come every 8 s while no sound goes; two intervals are that."""

    def __init__(self, dialect: DeepgramAgent, settings: str, lost: str) -> None:
        self._dialect = dialect
        self._settings: str | None = settings
        self._lost = lost
        self._to_send: list[str | bytes] = []
        self._ready = False
        self._finishing = False
        self._asked = False
        """True from the user's words to the beginning of their answer."""
        self._calls_off = self._unwanted = False
        """The answer that is to come is called off; the one that came had been."""
        self._complaints = Complaints()
        self._quiet_ticks = 0
        self._keepalive = Keepalive()
        self._born: float | None = None
        self._told_expiry = False
        self._samples = WholeSamples(dialect.output_format)
        self._speaking = False
        self._responding = False
        self._hushed = False
        self._late = False
        self._sounded = False
        self._pieces: list[str] = []
        self._typed: deque[str] = deque(maxlen=_REMEMBERED)
        self._typed_before = 0
        """How many of them were typed before the answer began: their echo does not come after it."""
        self._calls: dict[str, str] = {}

    @property
    def ready(self) -> bool:
        return self._ready

    @property
    def finished(self) -> bool:
        awaited = self._speaking or self._asked or (self._responding and not self._hushed)
        return self._finishing and not awaited

    @property
    def unfinished(self) -> str:
        """What the agent has said of an answer that is not over."""
        return "".join(self._pieces) or self._lost

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
            raise LocalProtocolError(f"{type(command).__name__} before the server has accepted the settings")
        match command:
            case SendAudio(pcm=pcm):
                self._keepalive.spoke()
                self._to_send.append(pcm)
            case SendText(text=text):
                self._typed.append(text.strip())
                self._asked, self._calls_off = True, False
                self._say(type="InjectUserMessage", content=text)
            case EndTurn():
                self._say(type="ForceEndTurn")
            case InterruptResponse():
                # Also of an answer that is still to come: to what was said, or to a call's result.
                self._hushed = self._responding
                self._calls_off = self._asked or bool(self._calls)
            case ToolResult(call_id=call_id, result=result, error=error):
                self._return(call_id, {"error": error} if error is not None else result)
            case SendMessage(data=data):
                self._to_send.append(written(data) if isinstance(data, Mapping) else data)
            case _:
                raise Unsupported(f"DeepgramAgent has no word for {type(command).__name__}")

    def _say(self, **message: Any) -> None:
        self._to_send.append(written(message))

    def _return(self, call_id: str, result: Any) -> None:
        name = self._calls.pop(call_id, None)
        # What was cancelled, or asked for on a connection that is gone, must not be answered.
        if name is not None:
            self._asked = True
            content = result if isinstance(result, str) else json.dumps(result, default=str)
            self._say(type="FunctionCallResponse", id=call_id, name=name, content=content)

    def finish(self) -> None:
        """Close once what was said last has been written down and answered."""
        if self._speaking and not self._finishing:
            self._say(type="ForceEndTurn")
        self._finishing = True

    def tick(self, now: float) -> list[Event]:
        """Hold the connection while no sound goes, and watch the session's age."""
        if not self._ready:
            return []
        if self._keepalive.due() and not self._finishing:
            self._say(type="KeepAlive")
        self._quiet_ticks += 1
        events = self._end_answer() if self._quiet_ticks > _PATIENCE else []
        if self._born is None:
            self._born = now
        length = self._dialect.session_length
        if length is None or self._told_expiry:
            return events
        left = self._born + length - now
        self._told_expiry = left <= min(_WARNING, length / 10)
        return [*events, SessionExpiring(max(0.0, left))] if self._told_expiry else events

    # -- what the server says ---------------------------------------------------------------

    def receive(self, message: str | bytes) -> list[Event]:
        """Understand a message.

        Raises:
            ServiceError: the server reported an error, which ends the session.
        """
        return self._hear(message) if isinstance(message, bytes) else self._read(message)

    def _read(self, message: str) -> list[Event]:
        data = parsed(message)
        if not isinstance(data, dict):
            return self._complaints.about(data, "the server sent what is not a JSON object")
        kind = data.get("type")
        if not isinstance(kind, str):
            return [Message(data)]
        if kind in _NEW_SOUND_FOLLOWS:
            self._late = False
        if kind in _CONVERSATION:
            self._applied(data)
        understand = _KINDS.get(kind)
        if understand is None:
            return [Message(data)]
        events = understand(self, data)
        return self._complaints.misshapen(data, kind) if events is None else events

    def _hear(self, pcm: bytes) -> list[Event]:
        pcm = self._samples.take(pcm)
        if self._late or not pcm:
            return []
        begun = self._begin_answer()
        if self._hushed:
            return begun
        self._sounded = True
        return [*begun, AudioReceived(pcm, self._samples.format)]

    def _welcome(self, data: Json) -> list[Event]:
        if self._settings is not None:
            self._to_send.append(self._settings)
            self._settings = None
        lost, self._lost = self._lost, ""
        return [Transcript("assistant", lost)] if lost else []

    def _applied(self, data: Json) -> list[Event]:
        self._ready = self._settings is None
        return []

    def _user_started(self, data: Json) -> list[Event]:
        events: list[Event] = [] if self._speaking else [SpeechStarted()]
        self._speaking, self._calls_off = True, False
        self._typed.clear()  # who speaks has written no more
        if (self._responding and not self._unwanted) or self._sounded:
            # Also of an answer that has been sent whole: its sound may still be playing.
            events.append(Interrupted())
            self._sounded = False
        # What is still under way belongs to the answer that was cut.
        self._late = self._responding
        return events + self._end_answer()

    def _text(self, data: Json) -> list[Event] | None:
        role, text = (text_of(data, "role") or "").strip().lower(), text_of(data, "content")
        if text is None or not role:
            return None
        if role not in ("user", "assistant"):
            return [Message(data)]
        if role == "assistant":
            return self._piece(text)
        if text.strip() in self._typed:
            self._typed.remove(text.strip())
            return self._end_answer()  # of one that it cut short
        # Of an answer to what was said before, nobody need have told the end.
        events = [*self._end_answer(), *self._end_speech()]
        self._asked, self._calls_off = True, False
        return [*events, Transcript("user", text)]

    def _end_speech(self) -> list[Event]:
        was_speaking, self._speaking = self._speaking, False
        return [SpeechStopped()] if was_speaking else []

    def _piece(self, text: str) -> list[Event]:
        events = self._begin_answer()
        if self._unwanted:
            return events
        if self._pieces and not self._pieces[-1][-1:].isspace():
            text = f" {text}"
        if sum(map(len, self._pieces)) < _LONGEST_ANSWER:
            self._pieces.append(text)
        return [*events, Token(text)]

    def _begin_answer(self) -> list[Event]:
        """An answer begins, or goes on."""
        self._quiet_ticks = 0
        if self._responding:
            return []
        self._responding, self._asked = True, False
        self._typed_before = len(self._typed)
        self._unwanted = self._hushed = self._calls_off
        self._calls_off = False
        # The agent answers, whether the user's words have been told or not.
        events = self._end_speech()
        return events if self._unwanted else [*events, ResponseStarted()]

    def _agent_started(self, data: Json) -> list[Event]:
        return self._begin_answer()

    def _audio_done(self, data: Json) -> list[Event]:
        return self._end_answer()

    def _end_answer(self) -> list[Event]:
        if not self._responding:
            return []
        text = "".join(self._pieces)
        unwanted, self._unwanted = self._unwanted, False
        self._responding = self._hushed = False
        self._pieces = []
        self._samples.forget()
        for _ in range(min(self._typed_before, len(self._typed))):
            self._typed.popleft()
        if unwanted:
            return []
        told: list[Event] = [Transcript("assistant", text)] if text.strip() else []
        return [*told, ResponseDone()]

    def _functions(self, data: Json) -> list[Event] | None:
        events: list[Event] = []
        one = object_of(data, "functions")
        calls = [one] if one else items_of(data, "functions")
        if not calls:
            return None
        for call in calls:
            call_id, name = text_of(call, "id"), text_of(call, "name")
            # The others are called by Deepgram itself.
            if call_id is None or name is None or loose_truth(call.get("client_side")) is False:
                continue
            self._calls[call_id] = name
            if len(self._calls) > _REMEMBERED:
                del self._calls[next(iter(self._calls))]
            arguments = arguments_of(call.get("arguments"))
            if arguments is not None:
                events.append(ToolCall(call_id, name, arguments))
            else:
                self._return(call_id, {"error": "the arguments are no JSON object"})
                events.append(ServerError(f"the arguments for {name} are no JSON object", "arguments"))
        return events

    def _cancelled(self, data: Json) -> list[Event]:
        ids = [
            call_id for call in items_of(data, "functions") if (call_id := text_of(call, "id")) is not None
        ]
        return [ToolCallCancelled(one) for one in ids if self._calls.pop(one, None) is not None]

    def _refused(self, data: Json) -> list[Event]:
        self._asked = self._calls_off = False
        return [ServerError(_reason(data) or "the text was refused", "InjectionRefused")]

    def _warning(self, data: Json) -> list[Event]:
        return [ServerError(_reason(data) or "a warning", text_of(data, "code"))]

    def _error(self, data: Json) -> list[Event]:
        code = text_of(data, "code") or text_of(error_of(data, "error"), "code")
        reason = _reason(data) or "it did not say why"
        # Before the settings are accepted it is they that are wrong.
        fatal = code in _OUR_FAULT or not (self._ready or code in _PASSING)
        raise ServiceError(reason, code=code, fatal=fatal)


def _reason(data: Json) -> str | None:
    told = (
        text_of(data, "description"),
        text_of(data, "message"),
        text_of(error_of(data, "error"), "message"),
    )
    return next((text for text in told if text), None)


_KINDS: Mapping[str, Callable[[_AgentSession, Json], list[Event] | None]] = {
    "Welcome": _AgentSession._welcome,
    "SettingsApplied": _AgentSession._applied,
    "UserStartedSpeaking": _AgentSession._user_started,
    "ConversationText": _AgentSession._text,
    "AgentStartedSpeaking": _AgentSession._agent_started,
    "AgentAudioDone": _AgentSession._audio_done,
    "FunctionCallRequest": _AgentSession._functions,
    "FunctionCallCancelled": _AgentSession._cancelled,
    "InjectionRefused": _AgentSession._refused,
    "Warning": _AgentSession._warning,
    "Error": _AgentSession._error,
}
"""What the server can say that has a word of ours; None from one of these: it has not after all.
What only informs (``AgentThinking``, ``LatencyReport``, ``History``, ``PromptUpdated`` …) is given
on as it is."""
