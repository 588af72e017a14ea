"""A short answer over HTTP, for services that hand out addresses or sound by it.

Sessions are pure and never call this; only what runs on a thread that may wait does:
:meth:`Dialect.prepare` and :meth:`Dialect.collect`.
"""

from __future__ import annotations

import contextlib
import io
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from voicews.config import ClientConfig, TlsSettings
from voicews.deadline import Deadline
from voicews.dialects.base import Fetch, bare_url
from voicews.errors import ConnectFailed, ConnectTimeout, HandshakeRejected, VoicewsError
from voicews.proxy import tunnel_for
from voicews.tls import tls_context
from voicews.wire import Wire

__all__ = ["Fetcher", "fetch", "same_server"]

_LARGEST = 16 * 1024 * 1024
"""Bytes of one answer."""
_URL = re.compile(r"[\x21-\x5b\x5d-\x7e]+")  # as for the WebSocket's own
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_SECURE = frozenset({"https", "wss"})


@dataclass(frozen=True)
class _Place:
    """What a URL leads to."""

    secure: bool
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> _Place:
        """Raises ValueError if it leads nowhere."""
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError
        port = _PORTS[parts.scheme] if parts.port is None else parts.port
        return cls(parts.scheme in _SECURE, parts.hostname.rstrip("."), port)


def same_server(url: str, other: str) -> bool:
    """True if both lead to the same host and port, and both by TLS or both not; ``ws://`` is as ``http://``.

    What is no URL leads nowhere.
    """
    try:
        return _Place.of(url) == _Place.of(other)
    except ValueError:
        return False


def fetch(url: str, headers: Mapping[str, str]) -> bytes:
    """:meth:`Fetcher.fetch` with the default settings: by no proxy, and with the system's authorities."""
    return Fetcher(ClientConfig()).fetch(url, headers)


class Fetcher:
    """Gets what lies at addresses, by the way that a client takes to its server.  Any thread may use it.

    No redirection is followed, for it might carry a key to another server; cookies are not kept; and no
    proxy is asked but that of the settings.

    Args:
        config: ``tls`` and ``proxy`` say by which way; ``timeouts.connect`` and ``timeouts.fetch``,
            in which time.
    """

    def __init__(self, config: ClientConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._wires: set[Wire] = set()
        self._aborted = False

    def fetch(self, url: str, headers: Mapping[str, str]) -> bytes:
        """GET an address that we have ourselves, such as one of our settings, within ``Timeouts.connect``.

        Args:
            url: ``http://`` or ``https://``.
            headers: of the request.

        Raises:
            HandshakeRejected: the status was none of 2xx; it is judged like that of a WebSocket handshake.
            ConnectTimeout: it took too long.
            TlsFailed: the server's certificate is wrong.
            ConnectFailed: no connection, or no sensible answer.
            ConnectionClosed: aborted.
            ConfigError: the settings of the proxy, or of TLS, cannot be used.
        """
        return self._get(url, headers, self._config.tls, "connect")

    def offered_by(self, server: str) -> Fetch:
        """What gets addresses that a server has named, each within ``Timeouts.fetch``.

        At another host or port than the server's, a request has no headers of ours and shows no client
        certificate; and what was agreed on under TLS is not fetched in clear.  Raises as :meth:`fetch`.

        Args:
            server: the URL of the WebSocket.
        """

        def fetch(url: str, headers: Mapping[str, str]) -> bytes:
            if same_server(url, server):
                return self._get(url, headers, self._config.tls, "fetch")
            if urlsplit(server).scheme == "wss" and url.lower().startswith("http:"):
                raise ConnectFailed(f"{bare_url(url)} is not fetched in clear for a server that has TLS")
            return self._get(url, {}, _for_strangers(self._config.tls), "fetch")

        return fetch

    def abort(self) -> None:
        """End what is under way, and all that begins from now on; never waits."""
        with self._lock:
            self._aborted = True
            wires = list(self._wires)
        for wire in wires:
            wire.abort()

    @contextlib.contextmanager
    def _abortable(self, wire: Wire) -> Iterator[None]:
        with self._lock:
            self._wires.add(wire)
            aborted = self._aborted
        if aborted:
            wire.abort()
        try:
            yield
        finally:
            with self._lock:
                self._wires.discard(wire)
            wire.close()

    def _get(
        self,
        url: str,
        headers: Mapping[str, str],
        tls: TlsSettings,
        limit: Literal["connect", "fetch"],
    ) -> bytes:
        timeouts = self._config.timeouts
        seconds = timeouts.connect if limit == "connect" else timeouts.fetch
        deadline = Deadline(seconds)
        place = _checked(url)
        wire = Wire(
            place.host,
            place.port,
            tls=tls_context(tls) if place.secure else None,
            send_timeout=seconds,
            proxy=tunnel_for(self._config.proxy, place.host, place.port, secure=place.secure),
        )
        with self._abortable(wire):
            try:
                wire.open(Deadline(min(seconds, timeouts.connect)))
            except UnicodeError as error:  # a label of the name is too long, or empty
                raise ConnectFailed(f"{bare_url(url)} names no host: {error}") from error
            try:
                return _exchange(wire, deadline, url, headers)
            except ConnectTimeout as error:
                raise ConnectTimeout(
                    f"{bare_url(url)} has not answered in full within Timeouts.{limit} ({seconds:g} s)"
                ) from error


def _for_strangers(tls: TlsSettings) -> TlsSettings:
    """The same authorities without our certificate, which may be anywhere in a ready-made context."""
    return TlsSettings(ca_file=tls.ca_file, insecure=tls.insecure)


def _checked(url: str) -> _Place:
    where = bare_url(url) or "the address"
    if not url.lower().startswith(("http://", "https://")):
        raise ConnectFailed(f"{where} is no http:// or https:// address")
    if _URL.fullmatch(url):
        with contextlib.suppress(ValueError):
            return _Place.of(url)
    raise ConnectFailed(f"{where} has no host, no sensible port, or characters that must be %-encoded")


def _exchange(wire: Wire, deadline: Deadline, url: str, headers: Mapping[str, str]) -> bytes:
    """Ask, and read the answer."""
    from http.client import HTTPConnection, HTTPException

    where = bare_url(url)
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "")
    connection.sock = _Line(wire, deadline)
    # Python's own HTTP errors hold the address with its query, or repeat the server's words: whoever prints
    # a traceback, or keeps the error, would have the token in it.  So these are the only errors here that
    # ours are not chained to, and they are raised where nothing else is being handled.
    failure: VoicewsError | None = None
    body = b""
    try:
        target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        connection.request("GET", target, headers=_completed(headers, parts.netloc.rpartition("@")[2]))
        with connection.getresponse() as answer:
            if not 200 <= answer.status < 300:
                failure = HandshakeRejected(
                    answer.status,
                    f"{where} answered with HTTP {answer.status}",
                    retry_after=_seconds(answer.headers.get("Retry-After")),
                )
            elif len(body := answer.read(_LARGEST + 1)) > _LARGEST:
                failure = ConnectFailed(f"{where} answered with more than {_LARGEST} bytes")
            elif answer.length:
                failure = ConnectFailed(f"{where} hung up {answer.length} bytes before the end of its answer")
    except VoicewsError:
        raise
    except (HTTPException, ValueError) as error:
        failure = ConnectFailed(f"{where} cannot be asked: {type(error).__name__}")
    if failure is not None:
        raise failure
    return body


def _completed(headers: Mapping[str, str], host: str) -> dict[str, str]:
    """With those that each request needs."""
    given = {name.lower() for name in headers}
    usual = {"Host": host, "User-Agent": "voicews", "Connection": "close"}
    return {**{name: value for name, value in usual.items() if name.lower() not in given}, **headers}


def _seconds(retry_after: str | None) -> float | None:
    return float(retry_after) if retry_after is not None and retry_after.strip().isdigit() else None


class _Line:
    """What :mod:`http.client` takes for a socket."""

    def __init__(self, wire: Wire, deadline: Deadline) -> None:
        self._wire = wire
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        self._wire.ask(data, self._deadline)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Answer(self._wire, self._deadline))

    def close(self) -> None:
        """The wire is closed by whoever opened it."""


class _Answer(io.RawIOBase):
    """The bytes of an answer, each piece awaited until the deadline."""

    def __init__(self, wire: Wire, deadline: Deadline) -> None:
        super().__init__()
        self._wire = wire
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._wire.receive(len(buffer), self._deadline)
        buffer[: len(data)] = data
        return len(data)
