"""Google's Gemini Live API: the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

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
)
from voicews.config import AudioFormat
from voicews.dialects.base import Dialect, Request, Session, bare_url
from voicews.dialects.gemini_session import GeminiSession, Rules
from voicews.dialects.messages import Json, merged
from voicews.dialects.settings import (
    checked_format,
    checked_headers,
    checked_json,
    checked_text,
    checked_url,
    given_key,
)
from voicews.errors import ConfigError
from voicews.history import History
from voicews.tools import Tool

__all__ = ["GeminiLive"]

_HOST = "generativelanguage.googleapis.com"
_SERVICE = f"wss://{_HOST}/ws/google.ai.generativelanguage"
_LIVE = f"{_SERVICE}.v1beta.GenerativeService.BidiGenerateContent"
_LIVE_BY_TOKEN = f"{_SERVICE}.v1alpha.GenerativeService.BidiGenerateContentConstrained"
_EPHEMERAL = "auth_tokens/"
_TALKS: frozenset[type[Command]] = frozenset(
    {SendAudio, SendText, InterruptResponse, ToolResult, SendMessage}
)
_TURNS: frozenset[type[Command]] = frozenset({StartTurn, EndTurn})
_16_KHZ = AudioFormat(16000)
_24_KHZ = AudioFormat(24000)

Key = str | Callable[[], str] | None


@dataclass(frozen=True, repr=False)
class GeminiLive(Dialect):
    """Google's Gemini Live API.

    Example::

        GeminiLive("gemini-3.1-flash-live-preview", instructions="Be brief.")     # key: GEMINI_API_KEY

    The server lets no connection live longer than about ten minutes, and says so before; the
    client then moves to a new one in a quiet moment, and the session goes on there.

    Raises:
        ConfigError: a setting is wrong, or the key is missing.
    """

    key_variables: ClassVar[Sequence[str]] = ("GOOGLE_API_KEY", "GEMINI_API_KEY")
    restores: ClassVar[str] = "the session, by its handle; else the history"

    model: str
    """There is no default, for models are retired.  "models/" is put before a bare name."""
    _: KW_ONLY
    instructions: str | None = None
    """How to behave; None (the default) leaves it to the model."""
    voice: str | None = None
    """Its name, such as "Kore"; None (the default) leaves it to the server."""
    language: str | None = None
    """To speak in, such as "de-DE", for models that do not find it out; None (the default) for those
    that do."""
    key: Key = field(default=None, repr=False)
    """An API key, or an ephemeral token ("auth_tokens/…"); a function is asked for one before each
    attempt.  None (the default) takes that of the environment, GOOGLE_API_KEY or else GEMINI_API_KEY, as
    Google's own client does, for Google's own address, and none for any other."""
    turn_detection: Literal["auto"] | Mapping[str, Any] | None = "auto"
    """Who decides when the user's turn ends: "auto" (the default), the server; a mapping, the server,
    with its words ``silenceDurationMs``, ``prefixPaddingMs``, ``startOfSpeechSensitivity``,
    ``endOfSpeechSensitivity``; None: you do, by ``start_talking()`` and ``stop_talking()``."""
    interruptible: bool = True
    """False: the server finishes its answers although the user speaks."""
    transcription: bool = True
    """True has what is said by either side written down; without it there is no history to restore."""
    output: Literal["audio", "text"] = "audio"
    """What answers are made of; many models can only speak."""
    text_input: Literal["realtime", "content"] = "realtime"
    """How ``send_text()`` is put: as part of the stream (the default), or as a turn of its own, which
    models since 3.1 take before the conversation only."""
    resume: bool = True
    """True: after a lost connection the session is taken up where it was, by a handle that Google keeps
    for about two hours; where that fails, the conversation so far is told anew."""
    compress: bool = True
    """True: when the context is full its oldest part is forgotten.  False: the session ends then, which
    is after 15 minutes of sound."""
    server_tools: Sequence[Mapping[str, Any]] = field(default=(), hash=False)
    """Tools that the server runs itself, such as ``{"googleSearch": {}}``."""
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Further fields of the ``setup`` message, merged into those above; they win."""
    input_format: AudioFormat = _16_KHZ
    """What is sent, one channel; 16 kHz (the default) is what the models hear."""
    url: str | None = None
    """None (the default) is Google's own."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    """Further headers of the handshake; they win."""

    def __post_init__(self) -> None:
        checked_text("GeminiLive.model", self.model)
        for name in ("instructions", "voice", "language"):
            if getattr(self, name) is not None:
                checked_text(f"GeminiLive.{name}", getattr(self, name))
        for name, allowed in (("output", ("audio", "text")), ("text_input", ("realtime", "content"))):
            value = getattr(self, name)
            if value not in allowed:
                raise ConfigError(
                    f"GeminiLive.{name} is {safe_repr(value)}; it must be {' or '.join(map(repr, allowed))}"
                )
        if isinstance(self.turn_detection, Mapping):
            self._set("turn_detection", checked_json("GeminiLive.turn_detection", self.turn_detection))
        elif self.turn_detection not in ("auto", None):
            raise ConfigError(
                f"GeminiLive.turn_detection is {safe_repr(self.turn_detection)}; "
                "it must be 'auto', a mapping or None"
            )
        given: object = self.server_tools
        if isinstance(given, str) or not isinstance(given, Sequence):
            raise ConfigError("GeminiLive.server_tools must be a list of mappings")
        tools = tuple(checked_json("GeminiLive.server_tools", tool) for tool in self.server_tools)
        self._set("server_tools", tools)
        self._set("options", checked_json("GeminiLive.options", self.options))
        checked_format("GeminiLive.input_format", self.input_format)
        if self.url is not None:
            checked_url("GeminiLive.url", self.url)
        self._set("headers", checked_headers("GeminiLive.headers", self.headers))
        self._set("key", self._checked_key(self.key))

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _checked_key(self, key: Key) -> Key:
        if callable(key):
            return key
        own = self.url is None or urlsplit(self.url).hostname == _HOST
        shown = {name.lower() for name in self.headers} & {"x-goog-api-key", "authorization"}
        if key is None and (shown or not own):
            return ""
        first = given_key("GeminiLive.key", key, "GOOGLE_API_KEY", needed=False)
        return first or given_key("GeminiLive.key", key, "GEMINI_API_KEY", needed=key is None)

    def __repr__(self) -> str:
        return f"GeminiLive({self.model!r}, url={bare_url(self.url or _LIVE)!r})"

    @property
    def output_format(self) -> AudioFormat:
        """24 kHz mono; each message of sound says what it is."""
        return _24_KHZ

    @property
    def accepts(self) -> frozenset[type[Command]]:
        """Turns only where they are yours (``turn_detection=None``).  The server cannot be told to stop:
        ``interrupt()`` silences the answer here, and no more of it is heard."""
        return _TALKS | _TURNS if self.turn_detection is None else _TALKS

    def request(self) -> Request:
        """A function for the key is asked here."""
        key = given_key("GeminiLive.key", self.key(), "", needed=False) if callable(self.key) else self.key
        shown: dict[str, str] = {}
        if key and key.startswith(_EPHEMERAL):
            shown = {"Authorization": f"Token {key}"}
        elif key:
            shown = {"x-goog-api-key": key}
        given = {name.lower() for name in self.headers}
        shown = {name: value for name, value in shown.items() if name.lower() not in given}
        url = self.url or (_LIVE_BY_TOKEN if key and key.startswith(_EPHEMERAL) else _LIVE)
        return Request(url, {**shown, **self.headers})

    def begin(self, previous: Session | None, history: History, tools: Sequence[Tool] = ()) -> Session:
        """After a loss the session is taken up by its handle, or else told anew from the history."""
        handle = previous.handle if isinstance(previous, GeminiSession) and self.resume else None
        turns = [
            {"role": "model" if turn.role == "assistant" else "user", "parts": [{"text": turn.text}]}
            for turn in history
        ]
        setup = self._setup(tools)
        if self.resume:
            setup["sessionResumption"] = {} if handle is None else {"handle": handle}
        if turns and handle is None:
            setup["historyConfig"] = {"initialHistoryInClientContent": True}
        return GeminiSession(
            Rules(
                self.input_format,
                self.output_format,
                setup=merged(setup, self.options),
                restored=tuple(turns) if handle is None else (),
                handle=handle,
                manual=self.turn_detection is None,
                speaks=self.output == "audio",
                text_as_content=self.text_input == "content",
                accepts=self.accepts,
            )
        )

    def _setup(self, tools: Sequence[Tool]) -> Json:
        setup: Json = {
            "model": self.model if "/" in self.model else f"models/{self.model}",
            "generationConfig": self._generation(),
            "realtimeInputConfig": self._realtime(),
        }
        if self.instructions is not None:
            setup["systemInstruction"] = {"parts": [{"text": self.instructions}]}
        if self.transcription:
            setup["inputAudioTranscription"] = {}
            if self.output == "audio":
                setup["outputAudioTranscription"] = {}
        if self.compress:
            setup["contextWindowCompression"] = {"slidingWindow": {}}
        declared = [
            {
                "name": tool.name,
                "description": tool.description,
                "parametersJsonSchema": dict(tool.parameters),
            }
            for tool in tools
        ]
        all_tools = [*([{"functionDeclarations": declared}] if declared else []), *self.server_tools]
        return setup | ({"tools": all_tools} if all_tools else {})

    def _generation(self) -> Json:
        generation: Json = {"responseModalities": [self.output.upper()]}
        speech: Json = {}
        if self.voice is not None:
            speech["voiceConfig"] = {"prebuiltVoiceConfig": {"voiceName": self.voice}}
        if self.language is not None:
            speech["languageCode"] = self.language
        return generation | ({"speechConfig": speech} if speech else {})

    def _realtime(self) -> Json:
        detection = {"disabled": True} if self.turn_detection is None else {}
        if isinstance(self.turn_detection, Mapping):
            detection = dict(self.turn_detection)
        handling = "START_OF_ACTIVITY_INTERRUPTS" if self.interruptible else "NO_INTERRUPTION"
        return {"automaticActivityDetection": detection, "activityHandling": handling}
