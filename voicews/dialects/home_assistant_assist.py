"""Home Assistant's Assist: the voice pipelines of a house, over its WebSocket API."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit, urlunsplit

from voicews.callables import safe_repr
from voicews.commands import Command, EndTurn, InterruptResponse, SendAudio, SendMessage, SendText, StartTurn
from voicews.config import AudioFormat
from voicews.dialects.base import Dialect, Fetch, Request, Session, Sound, bare_url
from voicews.dialects.fetching import same_server
from voicews.dialects.file_sound import file_sound
from voicews.dialects.home_assistant_session import HomeAssistantSession, Rules
from voicews.dialects.messages import Json
from voicews.dialects.settings import (
    checked_format,
    checked_headers,
    checked_json,
    checked_number,
    checked_text,
    checked_url,
    given_key,
)
from voicews.errors import ConfigError
from voicews.events import SoundOffered
from voicews.history import History
from voicews.tools import Tool

__all__ = ["HomeAssistantAssist"]

_PATH = "/api/websocket"
_TALKS: frozenset[type[Command]] = frozenset({SendAudio, SendText, InterruptResponse, SendMessage})
_TURNS: frozenset[type[Command]] = frozenset({StartTurn, EndTurn})
_16_KHZ = AudioFormat(16000)
_PIPER = AudioFormat(22050)

Listen = Literal["always", "wake_word", "turns"]


@dataclass(frozen=True, repr=False)
class HomeAssistantAssist(Dialect):
    """A voice pipeline of Home Assistant.

    Example::

        HomeAssistantAssist("ws://homeassistant.local:8123", listen="wake_word")     # token: HASS_TOKEN

    Raises:
        ConfigError: a setting is wrong, or the token is missing.
    """

    key_variables: ClassVar[Sequence[str]] = ("HASS_TOKEN",)
    restores: ClassVar[str] = "the conversation, by its id"

    url: str = "ws://homeassistant.local:8123"
    """Of Home Assistant; an address without a path gets ``/api/websocket``.  ``wss://`` for one that is
    reached by https."""
    _: KW_ONLY
    key: str | None = field(default=None, repr=False)
    """A long-lived access token (made on the user's profile page); None (the default) takes that of the
    environment, ``HASS_TOKEN``."""
    pipeline: str | None = None
    """The id of a pipeline; None (the default) is the preferred one."""
    listen: Listen = "always"
    """When the house listens: "always" (the default), "wake_word": after it has heard one, which the
    pipeline must be able to; "turns": between ``start_talking()`` and ``stop_talking()``."""
    barge_in: bool = False
    """True listens also while an answer is being played, and stops it when somebody speaks: for
    devices that do not hear themselves.  False (the default) waits until it has been played."""
    speaks: bool = True
    """False leaves answers unspoken, for pipelines without a voice."""
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Further members of each run that listens, merged into ours, such as
    ``{"input": {"noise_suppression_level": 2}}`` or ``{"device_id": "…"}``."""
    run_timeout: float = 300.0
    """Seconds after which Home Assistant ends a run; then the next begins."""
    input_format: AudioFormat = _16_KHZ
    """What is sent, one channel; Home Assistant converts any rate to 16 kHz, the default."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    """Further headers of the handshake, for one behind a proxy."""
    fetch: Fetch | None = field(default=None, repr=False)
    """Gets an answer's sound by its address, with the further headers; None (the default) leaves it to the
    client, which takes the way that it takes to the house."""
    decode: Callable[[bytes], Sound] = field(default=file_sound, repr=False)
    """From the bytes of the file to samples and their format; the default is
    :func:`voicews.dialects.file_sound.file_sound`, which knows WAV, and MP3 with ``voicews[mp3]``."""

    def __post_init__(self) -> None:
        parts = urlsplit(checked_url("HomeAssistantAssist.url", self.url))
        if parts.path in ("", "/"):
            self._set("url", urlunsplit(parts._replace(path=_PATH)))
        elif not parts.path.endswith(_PATH):
            raise ConfigError(
                f"HomeAssistantAssist.url is {bare_url(self.url)!r}; its path must be empty or end in {_PATH}"
            )
        self._set("key", given_key("HomeAssistantAssist.key", self.key, "HASS_TOKEN", needed=True))
        if self.pipeline is not None:
            checked_text("HomeAssistantAssist.pipeline", self.pipeline)
        if self.listen not in ("always", "wake_word", "turns"):
            raise ConfigError(
                f"HomeAssistantAssist.listen is {safe_repr(self.listen)}; "
                "it must be 'always', 'wake_word' or 'turns'"
            )
        self._set("options", checked_json("HomeAssistantAssist.options", self.options))
        checked_number("HomeAssistantAssist.run_timeout", self.run_timeout, 1, "seconds")
        checked_format("HomeAssistantAssist.input_format", self.input_format)
        self._set("headers", checked_headers("HomeAssistantAssist.headers", self.headers))

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return (
            f"HomeAssistantAssist({bare_url(self.url)!r}, pipeline={self.pipeline!r}, listen={self.listen!r})"
        )

    @property
    def output_format(self) -> AudioFormat:
        """22050 Hz mono, as Piper's voices mostly have; each answer says what it is."""
        return _PIPER

    @property
    def accepts(self) -> frozenset[type[Command]]:
        """Turns only where they are yours (``listen="turns"``)."""
        return _TALKS | _TURNS if self.listen == "turns" else _TALKS

    def request(self) -> Request:
        """The token is not in it: Home Assistant asks for it later."""
        return Request(self.url, self.headers)

    def begin(self, previous: Session | None, history: History, tools: Sequence[Tool] = ()) -> Session:
        """The conversation goes on by its id, which Home Assistant forgets after some minutes."""
        return HomeAssistantSession(
            Rules(
                self.input_format,
                token=self.key or "",
                base=self._base,
                run=self._run,
                options=self.options,
                listen=self.listen,
                barge_in=self.barge_in,
                accepts=self.accepts,
                conversation=previous.conversation if isinstance(previous, HomeAssistantSession) else None,
            )
        )

    def collect(self, offer: SoundOffered, fetch: Fetch) -> Sound:
        """Fetch and decode an answer.

        Raises:
            FormatUnsupported: its sound cannot be decoded.
            TransportError: it cannot be fetched.
        """
        # Headers may hold a proxy's password, which is nobody else's business.
        headers = self.headers if same_server(offer.url, self.url) else {}
        return self.decode((self.fetch or fetch)(offer.url, headers))

    @property
    def _base(self) -> str:
        """What addresses of answers are relative to."""
        parts = urlsplit(self.url)
        scheme = "https" if parts.scheme == "wss" else "http"
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((scheme, host, parts.path.removesuffix(_PATH) + "/", "", ""))

    @property
    def _run(self) -> Json:
        """What all runs have in common."""
        run: Json = {
            "type": "assist_pipeline/run",
            "end_stage": "tts" if self.speaks else "intent",
            "timeout": self.run_timeout,
        }
        return run if self.pipeline is None else {**run, "pipeline": self.pipeline}
