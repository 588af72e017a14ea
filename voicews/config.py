"""Settings: frozen, keyword-only, checked when they are made.

Vary one with :func:`dataclasses.replace`.  All times are in seconds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from voicews.backoff import Backoff, RetryPolicy
from voicews.callables import safe_repr
from voicews.errors import ConfigError

if TYPE_CHECKING:
    import ssl

__all__ = ["AudioFormat", "Buffers", "ClientConfig", "Limits", "ProxySettings", "Timeouts", "TlsSettings"]


_LONGEST = 1e6
"""Seconds; more than eleven days.  The clocks underneath refuse numbers without measure."""


def _require(ok: bool, owner: object, name: str, allowed: str) -> None:
    if not ok:
        value = getattr(owner, name)
        raise ConfigError(f"{type(owner).__name__}.{name} is {safe_repr(value)}; it must be {allowed}")


def _is_positive(value: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= _LONGEST


def _is_count(value: int, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


@dataclass(frozen=True)
class AudioFormat:
    """Raw PCM: signed 16-bit little-endian samples, channels interleaved."""

    rate: int = 16000
    """Samples per second of one channel, 4000 to 192000."""
    channels: int = 1
    """1 (mono) or 2 (stereo)."""

    def __post_init__(self) -> None:
        _require(_is_count(self.rate, 4000) and self.rate <= 192000, self, "rate", "from 4000 to 192000 Hz")
        _require(_is_count(self.channels, 1) and self.channels <= 2, self, "channels", "1 or 2")

    @cached_property
    def bytes_per_sample(self) -> int:
        """Bytes of one sample of all channels."""
        return 2 * self.channels

    def seconds(self, pcm: bytes | bytearray | memoryview | int) -> float:
        """How long this sound (or this many bytes of it) lasts."""
        count = pcm if isinstance(pcm, int) else len(pcm)
        return count / self.bytes_per_sample / self.rate

    def samples(self, seconds: float) -> int:
        """How many samples per channel last this long, rounded."""
        return round(seconds * self.rate)

    def bytes(self, seconds: float) -> int:
        """How many bytes last this long; always whole samples."""
        return self.samples(seconds) * self.bytes_per_sample

    def __str__(self) -> str:
        return f"{self.rate} Hz {'mono' if self.channels == 1 else 'stereo'} int16"


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """How long things may take."""

    connect: float = 10.0
    """From the name's resolution to the WebSocket's acceptance, all steps together."""
    session: float = 10.0
    """From there until the dialect's session is accepted."""
    send: float = 10.0
    """One message into the kernel; a longer stall ends the connection."""
    ping_interval: float | None = 20.0
    """Time between pings; None sends none, and a dead link is noticed by the kernel only."""
    pong: float = 10.0
    """After a ping, the time in which any byte must arrive."""
    device: float = 10.0
    """Opening the microphone, and opening the loudspeaker."""
    fetch: float = 60.0
    """Fetching an answer whose sound lies at an address, from the name's resolution to the last byte."""
    close: float = 5.0
    """All steps of closing together."""

    def __post_init__(self) -> None:
        for name in ("connect", "session", "send", "pong", "device", "fetch", "close"):
            _require(_is_positive(getattr(self, name)), self, name, "a positive number of seconds")
        if self.ping_interval is not None:
            _require(
                _is_positive(self.ping_interval), self, "ping_interval", "positive, or None for no pings"
            )


@dataclass(frozen=True, kw_only=True)
class Buffers:
    """How much is held where; sizes are in seconds of sound unless said otherwise."""

    outbox: float = 2.0
    """Captured sound waiting to be sent; beyond it the oldest is dropped."""
    max_audio_age: float = 2.0
    """Captured sound older than this is never sent."""
    playback: float = 120.0
    """Received sound waiting to be played; servers send faster than speech is spoken."""
    events: int = 1000
    """Events waiting for your callbacks (a number, not seconds)."""
    history: int = 50
    """Turns of the conversation that are remembered (a number)."""

    def __post_init__(self) -> None:
        for name in ("outbox", "max_audio_age", "playback"):
            _require(_is_positive(getattr(self, name)), self, name, "a positive number of seconds")
        _require(_is_count(self.events, 10), self, "events", "a whole number of at least 10")
        _require(_is_count(self.history, 0), self, "history", "a whole number of at least 0")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a server may make us hold."""

    message: int = 4 * 1024 * 1024
    """Bytes of one message, all its fragments together."""
    fragments: int = 4096
    """Fragments of one message."""
    handshake: int = 64 * 1024
    """Bytes of the server's answer to the handshake."""

    def __post_init__(self) -> None:
        for name in ("message", "fragments", "handshake"):
            _require(_is_count(getattr(self, name), 1), self, name, "a whole number of at least 1")


@dataclass(frozen=True, kw_only=True)
class TlsSettings:
    """How ``wss://`` connections are secured.  Certificates are always checked unless said otherwise."""

    ca_file: str | None = None
    """PEM file of the authorities to trust instead of the system's."""
    certificate: str | None = None
    """PEM file of the client certificate, if the server asks for one."""
    key: str | None = None
    """PEM file of its private key, if not in the same file."""
    insecure: bool = False
    """True accepts any certificate: for experiments only; warns (:class:`InsecureTls`) when used."""
    context: ssl.SSLContext | None = None
    """A ready-made context; the other fields must then be left alone."""

    def __post_init__(self) -> None:
        for name in ("ca_file", "certificate", "key"):
            is_path = isinstance(getattr(self, name), str | bytes | os.PathLike | None)
            _require(is_path, self, name, "the path of a PEM file, or None")
        _require(isinstance(self.insecure, bool), self, "insecure", "True or False")
        if self.context is not None:
            import ssl  # only now, for it takes a tenth of the time that all of this package takes

            _require(isinstance(self.context, ssl.SSLContext), self, "context", "an ssl.SSLContext, or None")
        alone = not (self.ca_file or self.certificate or self.key or self.insecure)
        _require(self.context is None or alone, self, "context", "None where other fields are set")
        _require(self.key is None or self.certificate is not None, self, "certificate", "given where key is")


@dataclass(frozen=True, kw_only=True)
class ProxySettings:
    """By which proxy a server is reached.  By default by none, whatever the environment says.

    The proxy is asked for a tunnel, in which TLS is spoken with the server itself: it sees where a
    ``wss://`` connection goes, and no more.  Its own name and password go to it unencrypted.
    """

    url: str | None = field(default=None, repr=False)
    """``http://[name:password@]host[:port]`` for HTTP CONNECT (port 3128 if none is given), or
    ``socks5h://…`` for SOCKS 5 (1080), which also looks up the server's name."""
    environment: bool = False
    """True heeds ``https_proxy`` (for ``wss://``) or ``http_proxy`` (for ``ws://``), else ``all_proxy``, but
    not for loopback addresses and what ``no_proxy`` names; looked up at each attempt."""

    def __post_init__(self) -> None:
        _require(isinstance(self.environment, bool), self, "environment", "True or False")
        _require(self.url is None or not self.environment, self, "environment", "False where url is given")
        if self.url is not None and not _is_proxy(self.url):
            raise ConfigError(
                "ProxySettings.url must be http://[name:password@]host[:port] or socks5h://…, with neither a "
                "path nor blanks, and %-escapes for what is special in the name and password (at most 255 "
                "bytes each); https:// and socks5:// are not known here"
            )


def _is_proxy(url: object) -> bool:
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    name, password = unquote(parts.username or ""), unquote(parts.password or "")
    clean = name.isprintable() and password.isprintable()
    clean = clean and max(len(name.encode()), len(password.encode())) <= 255
    if parts.scheme == "http":
        clean = clean and ":" not in name
    elif parts.username is not None:
        clean = clean and bool(name) and bool(password)  # RFC 1929 knows no empty ones
    known = parts.scheme in ("http", "socks5h") and bool(parts.hostname) and port != 0
    return clean and known and parts.path in ("", "/") and not parts.query and not parts.fragment


_PARTS: Mapping[str, type] = {
    "timeouts": Timeouts,
    "buffers": Buffers,
    "limits": Limits,
    "tls": TlsSettings,
    "proxy": ProxySettings,
    "backoff": Backoff,
    "retry": RetryPolicy,
}


@dataclass(frozen=True, kw_only=True)
class ClientConfig:
    """All settings of a :class:`~voicews.VoiceClient` but the server's and the devices'."""

    frame: float = 0.02
    """Length of one captured frame; 0.02 (20 ms) is the field's habit."""
    push_to_talk: bool = False
    """True: the microphone is muted but between start_talking() and stop_talking()."""
    allow_silence: bool = False
    """True: where no sound device exists and none was named, silence takes its place (with a warning)."""
    await_devices: bool = False
    """True: a sound device that is not there yet counts as lost instead of ending the run: a ``DeviceLost``
    event tells, silence takes its place, and it is opened as soon as it can be.  For unattended devices;
    goes before ``allow_silence``."""
    fail_fast: bool = False
    """True: a callback that raises ends the run."""
    slow_callback: float = 1.0
    """A callback slower than this is named in a warning."""
    tool_timeout: float = 30.0
    """Seconds after which the server is told that a tool takes too long."""
    watchdog: float | None = None
    """Seconds after which the run ends with ``AudioStalled`` if the session is open and yet no captured
    sound is sent, received sound is not played, or a lost device is there but does not answer; for a
    service manager that starts the program again.  A device that is not there is awaited for ever.
    Longer than ``Timeouts.send``, which ends a link that takes nothing.  None does not watch."""
    stats_interval: float | None = None
    """Seconds between :class:`~voicews.Stats` events, from 0.1; None (the default) sends none."""
    timeouts: Timeouts = field(default_factory=Timeouts)
    buffers: Buffers = field(default_factory=Buffers)
    limits: Limits = field(default_factory=Limits)
    tls: TlsSettings = field(default_factory=TlsSettings)
    proxy: ProxySettings = field(default_factory=ProxySettings)
    backoff: Backoff = field(default_factory=Backoff)
    retry: RetryPolicy = field(default_factory=RetryPolicy)

    def __post_init__(self) -> None:
        for name in ("push_to_talk", "allow_silence", "await_devices", "fail_fast"):
            _require(isinstance(getattr(self, name), bool), self, name, "True or False")
        for name, kind in _PARTS.items():
            _require(isinstance(getattr(self, name), kind), self, name, f"of class {kind.__name__}")
        _require(
            _is_positive(self.frame) and 0.005 <= self.frame <= 0.2,
            self,
            "frame",
            "from 0.005 to 0.2 seconds",
        )
        _require(_is_positive(self.tool_timeout), self, "tool_timeout", "a positive number of seconds")
        _require(_is_positive(self.slow_callback), self, "slow_callback", "a positive number of seconds")
        if self.watchdog is not None:
            enough = _is_positive(self.watchdog) and self.watchdog > self.timeouts.send
            _require(enough, self, "watchdog", "longer than Timeouts.send, or None")
        if self.stats_interval is not None:
            enough = _is_positive(self.stats_interval) and self.stats_interval >= 0.1
            _require(enough, self, "stats_interval", "at least 0.1 seconds, or None for no Stats events")
        _require(self.buffers.outbox >= self.frame, self, "frame", "no longer than Buffers.outbox")
