"""OpenAI's Realtime API, and the many servers that speak its language."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar, Literal
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from voicews.callables import safe_repr
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
from voicews.dialects.base import Dialect, Request, Session, bare_url
from voicews.dialects.messages import Json, merged
from voicews.dialects.openai_session import OpenAISession, Rules
from voicews.dialects.settings import (
    checked_headers,
    checked_json,
    checked_text,
    checked_texts,
    checked_url,
    given_key,
)
from voicews.errors import ConfigError, ConnectionClosed, SessionExpired, VoicewsError
from voicews.history import History
from voicews.tools import Tool

__all__ = ["OpenAIRealtime"]

_OPENAI = "wss://api.openai.com/v1/realtime"
_AZURE = (".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com")
_LISTENS: frozenset[type[Command]] = frozenset({SendAudio, SendMessage})
_ANSWERS: frozenset[type[Command]] = frozenset({SendText, InterruptResponse, TruncateResponse, ToolResult})
_TURNS: frozenset[type[Command]] = frozenset({StartTurn, EndTurn})

TurnDetection = Literal["server_vad", "semantic_vad"] | Mapping[str, Any] | None


@dataclass(frozen=True, repr=False)
class OpenAIRealtime(Dialect):
    """OpenAI's Realtime API (``gpt-realtime-…``), Azure OpenAI, and servers that speak the same language.

    Example::

        OpenAIRealtime("gpt-realtime-2.1", instructions="Be brief.")          # key: OPENAI_API_KEY
        OpenAIRealtime("my-deployment", url="wss://me.openai.azure.com/openai/v1/realtime")
        OpenAIRealtime("my-pipeline", url="ws://localhost:8080")              # LocalAI
        OpenAIRealtime("my-llm", url="ws://localhost:8000", version="beta")   # Speaches

    A session that is about to end (OpenAI's after an hour) is left for a new one in a quiet
    moment, and the conversation so far is told to the new one.

    Raises:
        ConfigError: a setting is wrong; the message never shows a key or a query.
    """

    key_variables: ClassVar[Sequence[str]] = ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY")
    restores: ClassVar[str] = "the history, as items of the new session"

    model: str | None = None
    """The model, on Azure the deployment, on LocalAI the pipeline.  Has to be given (or be in the url's
    query) unless ``session_type`` is "transcription"; there is no default, for models are retired:
    OpenAI has announced the end of gpt-realtime and gpt-realtime-mini for 2027-01-20."""
    _: KW_ONLY
    instructions: str | None = None
    """How to behave; None (the default) leaves it to the server."""
    voice: str | Mapping[str, Any] | None = None
    """Its name, or ``{"id": …}`` for one of your own; None (the default) leaves it to the server."""
    url: str = _OPENAI
    """Default OpenAI's.  An address without a path gets ``/v1/realtime``, one that ends in ``/v1`` gets
    ``/realtime``; a query is kept."""
    key: str | Callable[[], str] | None = field(default=None, repr=False)
    """The API key, or a function that gives a fresh one for each attempt.  None (the default) takes
    OPENAI_API_KEY from the environment for OpenAI's own address and AZURE_OPENAI_API_KEY for Azure's,
    where one is needed, and no key for any other server."""
    version: Literal["ga", "beta"] = "ga"
    """The shape of what we say: "ga" (the default), or "beta" for servers that have kept the older one,
    such as Speaches.  What the server says is understood in either."""
    turn_detection: TurnDetection = "server_vad"
    """Who decides when the user's turn ends: "server_vad" (the default; by silence), "semantic_vad" (by
    sense), a mapping with ``type`` and further fields such as ``threshold``, ``silence_duration_ms``,
    ``eagerness`` or ``interrupt_response``; None: you do, by ``start_talking()`` and ``stop_talking()``."""
    transcription: str | Mapping[str, Any] | None = "auto"
    """The model that writes down what the user says, or a mapping with ``model`` and further fields such
    as ``language`` or ``prompt``.  None: the user's words stay unwritten.  "auto" (the default) is
    gpt-live-transcribe at OpenAI's own address, and whatever the server does by itself elsewhere."""
    session_type: Literal["realtime", "transcription"] = "realtime"
    """"transcription": the server only writes down what it hears, and never answers."""
    output: Literal["audio", "text"] = "audio"
    """What answers are made of; "audio" comes with its text."""
    noise_reduction: Literal["near_field", "far_field"] | None = None
    """For a headset, or for a microphone across the room; None (the default) for neither."""
    speed: float | None = None
    """Of speaking, 0.25 to 1.5; None (the default) leaves it to the server."""
    rate: int = 24000
    """Samples per second in both directions; OpenAI knows 24000 only, others more."""
    tool_choice: str | Mapping[str, Any] = "auto"
    """"auto" (the default), "none", "required", or a mapping that names a function."""
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Further fields of the session, merged into those above; they win."""
    headers: Mapping[str, str] = field(default_factory=dict, hash=False, repr=False)
    """Further headers of the handshake; they win."""
    subprotocols: Sequence[str] = ()
    """WebSocket subprotocols to offer, for servers that ask for one."""
    await_updated: bool = True
    """False: talk as soon as the session is created, to servers that never confirm its settings."""
    session_length: float | None = 3600.0
    """Seconds that the server lets a session live, default OpenAI's hour; None for ever."""

    def __post_init__(self) -> None:
        self._check_choices()
        self._check_texts()
        query = self._check_address()
        self._set("key", self._checked_key())
        if self.session_type == "realtime" and not self.model and "model" not in query:
            raise ConfigError(
                "OpenAIRealtime.model is missing: give one that your server has, such as gpt-realtime-2.1"
            )
        self._check_numbers()

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _check_choices(self) -> None:
        allowed: Mapping[str, tuple[object, ...]] = {
            "version": ("ga", "beta"),
            "session_type": ("realtime", "transcription"),
            "output": ("audio", "text"),
            "noise_reduction": (None, "near_field", "far_field"),
            "await_updated": (True, False),
        }
        for name, values in allowed.items():
            value = getattr(self, name)
            if not any(value is one or (isinstance(value, str) and value == one) for one in values):
                raise ConfigError(
                    f"OpenAIRealtime.{name} is {safe_repr(value)}; it must be "
                    + " or ".join(repr(one) for one in values)
                )
        turns = self.turn_detection
        if isinstance(turns, Mapping):
            turns = checked_json("OpenAIRealtime.turn_detection", turns)
            self._set("turn_detection", turns)
            turns = turns.get("type")
        if turns not in ("server_vad", "semantic_vad") and self.turn_detection is not None:
            raise ConfigError(
                f"OpenAIRealtime.turn_detection is {safe_repr(self.turn_detection)}; it must be "
                "'server_vad', 'semantic_vad', a mapping whose type is one of these, or None"
            )

    def _check_texts(self) -> None:
        for name in ("model", "instructions"):
            if getattr(self, name) is not None:
                checked_text(f"OpenAIRealtime.{name}", getattr(self, name))
        for name in ("voice", "transcription", "tool_choice"):
            value = getattr(self, name)
            if isinstance(value, Mapping):
                self._set(name, checked_json(f"OpenAIRealtime.{name}", value))
            elif value is not None or name == "tool_choice":
                checked_text(f"OpenAIRealtime.{name}", value)
        self._set("options", checked_json("OpenAIRealtime.options", self.options))
        self._set("headers", checked_headers("OpenAIRealtime.headers", self.headers))
        self._set("subprotocols", checked_texts("OpenAIRealtime.subprotocols", self.subprotocols))

    def _check_address(self) -> dict[str, str]:
        parts = urlsplit(checked_url("OpenAIRealtime.url", self.url))
        path = parts.path.rstrip("/")
        if not path:
            path = "/v1/realtime"
        elif path.endswith("/v1"):
            path += "/realtime"
        self._set("url", urlunsplit(parts._replace(path=path)))
        return dict(parse_qsl(parts.query))

    def _check_numbers(self) -> None:
        AudioFormat(self.rate)
        if self._is_openai and self.rate != 24000:
            raise ConfigError(f"OpenAIRealtime.rate is {self.rate}; OpenAI knows 24000 Hz only")
        for name, least, most in (("speed", 0.25, 1.5), ("session_length", 1.0, 1e6)):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (number and least <= value <= most):
                raise ConfigError(
                    f"OpenAIRealtime.{name} is {safe_repr(value)}; "
                    f"it must be from {least:g} to {most:g}, or None"
                )

    def _checked_key(self) -> str | Callable[[], str]:
        if callable(self.key):
            return self.key
        needed = self._is_openai or self._is_azure
        variable = "AZURE_OPENAI_API_KEY" if self._is_azure else "OPENAI_API_KEY"
        # A key from the environment is for its own service, and must not go to whoever is asked instead.
        key = self.key if self.key is not None or needed else ""
        has_own = any(name.lower() in ("authorization", "api-key") for name in self.headers)
        return given_key("OpenAIRealtime.key", key, variable, needed=needed and not has_own)

    def _key(self) -> str:
        key = self.key() if callable(self.key) else self.key
        return given_key("OpenAIRealtime.key", key or "", "OPENAI_API_KEY", needed=False)

    @property
    def _host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def _is_openai(self) -> bool:
        return self._host == "api.openai.com" or self._host.endswith(".api.openai.com")

    @property
    def _is_azure(self) -> bool:
        return self._host.endswith(_AZURE)

    def __repr__(self) -> str:
        return f"OpenAIRealtime({self.model!r}, url={bare_url(self.url)!r}, version={self.version!r})"

    @property
    def input_format(self) -> AudioFormat:
        """One channel at ``rate``."""
        return AudioFormat(self.rate)

    @property
    def output_format(self) -> AudioFormat:
        """One channel at ``rate``."""
        return AudioFormat(self.rate)

    @property
    def answers(self) -> bool:
        """False for a session that only transcribes."""
        return self.session_type == "realtime"

    @property
    def accepts(self) -> frozenset[type[Command]]:
        """Turns only where they are yours (``turn_detection=None``); answers' commands unless it only
        transcribes."""
        turns = _TURNS if self.turn_detection is None else frozenset[type[Command]]()
        answers = _ANSWERS if self.session_type == "realtime" else frozenset[type[Command]]()
        return _LISTENS | turns | answers

    def request(self) -> Request:
        """The same for each attempt, unless ``key`` is a function.

        Raises:
            ConfigError: what that gave cannot stand in a header.
        """
        parts = urlsplit(self.url)
        query = parse_qsl(parts.query, keep_blank_values=True)
        names = {name for name, _ in query}
        if self.model and "model" not in names:
            query.append(("model", self.model))
        if self.session_type == "transcription" and "intent" not in names:
            query.append(("intent", "transcription"))
        url = urlunsplit(parts._replace(query=urlencode(query, quote_via=quote)))
        headers: dict[str, str] = {}
        if key := self._key():
            headers |= {"api-key": key} if self._is_azure else {"Authorization": f"Bearer {key}"}
        if self.version == "beta" and self._is_openai:
            headers["OpenAI-Beta"] = "realtime=v1"
        given = {name.lower() for name in self.headers}
        headers = {name: value for name, value in headers.items() if name.lower() not in given}
        return Request(url, {**headers, **self.headers}, self.subprotocols)

    def begin(self, previous: Session | None, history: History, tools: Sequence[Tool] = ()) -> Session:
        """A new connection's rules; all of the old one that matters is in the history."""
        settings = self._ga_settings(tools) if self.version == "ga" else self._beta_settings(tools)
        turns = self._turns or {}
        converses = self.session_type == "realtime"
        silence = turns.get("silence_duration_ms")
        return OpenAISession(
            Rules(
                self.input_format,
                settings=merged(settings, self.options),
                sign={"type": self.session_type} if self.version == "ga" else {},
                restored=tuple(self._item(turn.role, turn.text) for turn in history) if converses else (),
                converses=converses,
                manual=self.turn_detection is None,
                interrupts=converses and turns.get("interrupt_response") is not False,
                transcribes=self._transcription is not None,
                responds=converses and turns.get("create_response") is not False,
                silence=min(silence / 1000, 10.0) if isinstance(silence, int) and silence > 0 else 0.5,
                commits_at_end=turns.get("type") == "semantic_vad",
                awaits_updated=self.await_updated,
                length=self.session_length,
                accepts=self.accepts,
            )
        )

    def classify(self, error: VoicewsError) -> VoicewsError:
        """The end of a session that has lived its full time is no fault."""
        if (
            isinstance(error, ConnectionClosed)
            and error.code == 1001
            and "maximum duration" in error.reason.lower()
        ):
            expired = SessionExpired("the session had lived its full time")
            expired.__cause__ = error
            return expired
        return error

    # -- the session's settings ---------------------------------------------------------------

    @property
    def _turns(self) -> Json | None:
        turns = self.turn_detection
        return {"type": turns} if isinstance(turns, str) else None if turns is None else dict(turns)

    @property
    def _transcription(self) -> Json | None:
        """None also where nothing is said about it."""
        wanted = self.transcription
        if wanted == "auto":
            wanted = "gpt-live-transcribe" if self._is_openai else None
        return {"model": wanted} if isinstance(wanted, str) else None if wanted is None else dict(wanted)

    @property
    def _reduction(self) -> Json | None:
        return None if self.noise_reduction is None else {"type": self.noise_reduction}

    def _says_transcription(self) -> bool:
        return self.transcription != "auto" or self._transcription is not None

    def _ga_settings(self, tools: Sequence[Tool]) -> Json:
        sound = {"type": "audio/pcm", "rate": self.rate}
        hearing: Json = {"format": sound, "turn_detection": self._turns}
        if self._says_transcription():
            hearing["transcription"] = self._transcription
        if self.noise_reduction is not None:
            hearing["noise_reduction"] = self._reduction
        if self.session_type == "transcription":
            return {"type": "transcription", "audio": {"input": hearing}}
        speaking: Json = {"format": sound}
        if self.voice is not None:
            speaking["voice"] = self.voice
        if self.speed is not None:
            speaking["speed"] = self.speed
        settings: Json = {
            "type": "realtime",
            "output_modalities": [self.output],
            "audio": {"input": hearing, "output": speaking},
        }
        return settings | self._common(tools)

    def _beta_settings(self, tools: Sequence[Tool]) -> Json:
        settings: Json = {"input_audio_format": "pcm16", "turn_detection": self._turns}
        if self._says_transcription():
            settings["input_audio_transcription"] = self._transcription
        if self.noise_reduction is not None:
            settings["input_audio_noise_reduction"] = self._reduction
        if self.session_type == "transcription":
            return settings
        settings["output_audio_format"] = "pcm16"
        settings["modalities"] = ["text", "audio"] if self.output == "audio" else ["text"]
        if self.voice is not None:
            settings["voice"] = self.voice
        if self.speed is not None:
            settings["speed"] = self.speed
        return settings | self._common(tools)

    def _common(self, tools: Sequence[Tool]) -> Json:
        common: Json = {}
        if self.instructions is not None:
            common["instructions"] = self.instructions
        if tools:
            common["tools"] = [
                {
                    "type": "function",
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": dict(tool.parameters),
                }
                for tool in tools
            ]
            common["tool_choice"] = self.tool_choice
        return common

    def _item(self, role: str, text: str) -> Json:
        said = "text" if self.version == "beta" else "output_text"
        kind = "input_text" if role == "user" else said
        return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}
