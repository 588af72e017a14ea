"""The words of the WebSocket handshake (RFC 6455 §4): pure rules, no socket.

They are our own because a request holds tokens: websocket-client would join it with a
cookie jar that the whole process shares, log its subprotocols when the server's choice
displeases, print all of it when somebody switches on its trace, and put the server's
answer, cookies included, into the text of an error.
"""

from __future__ import annotations

import base64
import email.utils
import http
import ipaddress
import re
import time
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from voicews.dialects.base import Request
from voicews.errors import ConfigError, ConnectFailed, HandshakeRejected, RemoteProtocolError

__all__ = ["Answer", "Opening", "read_answer"]

_URL = re.compile(r"[\x21-\x5b\x5d-\x7e]+")  # no backslash: browsers take it for a slash, others do not
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")
_LABEL = re.compile(r"[0-9A-Za-z_]([0-9A-Za-z_-]{0,61}[0-9A-Za-z_])?")
_ZONE = re.compile(r"[0-9A-Za-z._~-]{1,32}")
_STATUS_LINE = re.compile(r"HTTP/1\.[01] ([1-9][0-9]{2})(?: .*)?")
_BREAK = re.compile(r"[\r\n\0]")
_SECONDS = re.compile(r"[0-9]{1,9}")
_SENSITIVE = re.compile(r"auth|cookie|token|secret|key|session|credential", re.IGNORECASE)
_SHORTEST_SECRET = 8
_SHORTEST_SUBPROTOCOL = 20
_PORTS = {"ws": 80, "wss": 443}
_OURS = frozenset(
    {
        "host",
        "upgrade",
        "connection",
        "content-length",
        "transfer-encoding",
        "sec-websocket-key",
        "sec-websocket-version",
        "sec-websocket-extensions",
        "sec-websocket-protocol",
    }
)


@dataclass(frozen=True)
class Opening:
    """A :class:`Request` that was checked and can be put on the line."""

    secure: bool
    host: str
    port: int
    subprotocols: tuple[str, ...] = field(repr=False)
    _lines: tuple[str, ...] = field(repr=False)
    _secrets: tuple[str, ...] = field(repr=False)

    @classmethod
    def of(cls, request: Request) -> Opening:
        """Check a request.

        A name and password in the URL become a ``Authorization: Basic`` header.

        Raises:
            ConfigError: something in it cannot, or must not, be sent.
        """
        parts, host, port = _split(request.url)
        protocols = _checked_subprotocols(request.subprotocols)
        headers = _checked_headers(request.headers)
        names = {name.lower() for name in headers}
        if credentials := _basic(parts):
            if "authorization" in names:
                raise ConfigError("Request has both a name in its url and an Authorization header; leave one")
            headers["Authorization"] = credentials
        if "user-agent" not in names:
            headers["User-Agent"] = "voicews"
        bare = host.partition("%")[0]  # an IPv6 zone is known on this machine only (RFC 6874)
        shown = f"[{bare}]" if ":" in bare else bare
        lines = [
            f"GET {parts.path or '/'}{'?' if parts.query else ''}{parts.query} HTTP/1.1",
            f"Host: {shown}" if port == _PORTS[parts.scheme] else f"Host: {shown}:{port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        if protocols:
            lines.append(f"Sec-WebSocket-Protocol: {', '.join(protocols)}")
        secrets = tuple(sorted(set(_secrets(parts, headers, protocols)), key=len, reverse=True))
        return cls(parts.scheme == "wss", host, port, protocols, tuple(lines), secrets)

    @property
    def address(self) -> str:
        """Where it goes, without the path and query, which may hold a token."""
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'wss' if self.secure else 'ws'}://{shown}:{self.port}"

    def hide(self, text: str) -> str:
        """The server's words, without the secrets of this request that it may have repeated.

        Those are what stands in headers and in fields of the query whose names say so (``Authorization``,
        ``api_key`` …), in long subprotocols, and for a password.
        """
        for secret in self._secrets:
            text = text.replace(secret, "[redacted]")
        return text

    def compose(self, key: str) -> bytes:
        """The bytes of the request.

        Args:
            key: the Sec-WebSocket-Key: 16 random bytes in base64.
        """
        return "\r\n".join((*self._lines, f"Sec-WebSocket-Key: {key}", "", "")).encode("ascii")


@dataclass(frozen=True)
class Answer:
    """The server's 101."""

    headers: Mapping[str, str] = field(repr=False)
    """By lower-case name, as sent; several of one name are joined by commas."""
    subprotocol: str | None = field(repr=False)
    """The one that the server chose, if any."""


def read_answer(head: bytes, subprotocols: Sequence[str]) -> Answer:
    """Understand the server's answer, up to its blank line.

    Whether the Sec-WebSocket-Accept fits is left to whoever knows the key.

    What an error means for another attempt (:func:`voicews.backoff.judge`): bytes that are
    no HTTP come from servers that start up or break down, so :class:`ConnectFailed` is
    retried; an answer of another status has its own rules; a 101 that breaks the rules
    would do so again, so :class:`RemoteProtocolError` is fatal.

    Args:
        head: status line and headers, with the blank line.
        subprotocols: those that were offered.

    Raises:
        ConnectFailed: that is no HTTP/1 answer.
        HandshakeRejected: its status is not 101.
        RemoteProtocolError: it takes an extension or a subprotocol that nobody offered.
    """
    status_line, *lines = head.decode("latin-1").split("\r\n")
    match = _STATUS_LINE.fullmatch(status_line)
    if match is None:
        raise ConnectFailed("what answered the WebSocket handshake speaks no HTTP/1")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name, value = name.lower(), value.strip()
        # A lone CR or LF would be one more header to whoever reads it less strictly.
        if colon and _TOKEN.fullmatch(name) and not _BREAK.search(value):
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    status = int(match[1])
    if status != 101:
        to_tls = headers.get("location", "").lower().startswith(("https:", "wss:"))
        raise HandshakeRejected(
            status,
            _refusal(status, to_tls=to_tls),
            headers=_redacted(headers),
            retry_after=_retry_after(headers),
        )
    if headers.get("sec-websocket-extensions"):
        raise RemoteProtocolError("the server switched on a WebSocket extension that was not offered")
    chosen = headers.get("sec-websocket-protocol")
    if chosen is not None and chosen not in subprotocols:
        raise RemoteProtocolError("the server chose a WebSocket subprotocol that was not offered")
    return Answer(headers, chosen)


# -- the request --------------------------------------------------------------------------------


def _split(url: str) -> tuple[urllib.parse.SplitResult, str, int]:
    # No message shows the URL: a token may be anywhere behind its host.
    if not isinstance(url, str) or not _URL.fullmatch(url):
        raise ConfigError(
            "Request.url has a blank, a backslash, a control or a non-ASCII character (or is no text); "
            "write those %-encoded, and names of hosts in their xn-- form"
        )
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError("Request.url is no URL: its host or port is malformed") from error
    if parts.scheme not in _PORTS:
        shown = parts.scheme if parts.netloc else ""
        raise ConfigError(f"Request.url has the scheme {shown!r}; it must begin with ws:// or wss://")
    if "#" in url:
        raise ConfigError("Request.url has a fragment (#…), which WebSocket URLs must not have")
    host = _without_escape(parts.hostname or "")
    if port == 0 or ("[" in parts.netloc) != (":" in host) or not _is_host(host):
        raise ConfigError("Request.url must name a host (a name or an IP address) and a port from 1 to 65535")
    return parts, host, _PORTS[parts.scheme] if port is None else port


def _without_escape(host: str) -> str:
    """The zone of an IPv6 address follows %25 in a URL (RFC 6874), and % anywhere else."""
    address, percent, zone = host.partition("%")
    return address + percent + zone.removeprefix("25") if percent and ":" in address else host


def _is_host(host: str) -> bool:
    if ":" in host:
        try:
            zone = ipaddress.IPv6Address(host).scope_id
        except ValueError:
            return False
        return zone is None or _ZONE.fullmatch(zone) is not None
    return len(host) <= 254 and all(_LABEL.fullmatch(label) for label in host.removesuffix(".").split("."))


def _basic(parts: urllib.parse.SplitResult) -> str | None:
    name = urllib.parse.unquote(parts.username or "")
    password = urllib.parse.unquote(parts.password or "")
    if not name and not password:
        return None
    if ":" in name:
        raise ConfigError("Request.url has a colon in its user name, which Basic authentication forbids")
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode("ascii")


def _secrets(
    parts: urllib.parse.SplitResult, headers: Mapping[str, str], subprotocols: Sequence[str]
) -> Iterator[str]:
    """What nobody may repeat; short ones are no secrets, but may be part of any sentence."""
    named = [(name, value) for name, value in headers.items() if _SENSITIVE.search(name)]
    for name, value in (item.partition("=")[::2] for item in parts.query.split("&")):
        if _SENSITIVE.search(name):
            named += [(name, value), (name, urllib.parse.unquote_plus(value))]
    found = [value for _, value in named]
    found += [value.split()[-1] for _, value in named if value.split()]  # without "Bearer"
    found += [parts.password or "", urllib.parse.unquote(parts.password or "")]
    yield from (value for value in found if len(value) >= _SHORTEST_SECRET)
    for subprotocol in subprotocols:
        yield from (
            word
            for word in (subprotocol, subprotocol.partition(".")[2])
            if len(word) >= _SHORTEST_SUBPROTOCOL
        )


def _checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    seen = set()
    for name, value in headers.items():
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise ConfigError(f"Request.headers has the name {name!r}; it must be an HTTP token")
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise ConfigError(
                f"Request.headers[{name!r}] must be a str of printable ASCII, without line breaks or NUL"
            )
        if name.lower() in _OURS:
            hint = "; use Request.subprotocols" if name.lower() == "sec-websocket-protocol" else ""
            raise ConfigError(f"Request.headers has {name!r}, which the handshake sets itself{hint}")
        if name.lower() in seen:
            raise ConfigError(f"Request.headers has {name!r} twice, in different spellings")
        seen.add(name.lower())
    return dict(headers)


def _checked_subprotocols(subprotocols: Sequence[str]) -> tuple[str, ...]:
    if isinstance(subprotocols, str):
        raise ConfigError("Request.subprotocols is a str; it must be a sequence of them")
    for index, name in enumerate(subprotocols):
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise ConfigError(
                f"Request.subprotocols[{index}] must be an HTTP token, without blanks or commas"
            )
    if len(set(subprotocols)) < len(subprotocols):
        raise ConfigError("Request.subprotocols has one of them twice")
    return tuple(subprotocols)


# -- the answer ---------------------------------------------------------------------------------


def _refusal(status: int, *, to_tls: bool) -> str:
    # The server's own phrase may repeat what it was sent, so the standard's takes its place.
    try:
        phrase = f" ({http.HTTPStatus(status).phrase})"
    except ValueError:
        phrase = ""
    if status in (401, 403):
        hint = ": check the key or token"
    elif status == 404:
        hint = ": check the path of the URL"
    elif 300 <= status < 400:
        hint = ": redirects are not followed, so give the address it names"
        if to_tls:
            hint += ", with wss://"
    elif status == 400:
        hint = ": one that expects TLS (wss://) answers ws:// so, too"
    elif 200 <= status < 300:
        hint = ": an ordinary web page is there, no WebSocket"
    else:
        hint = ""
    return f"the server refused the WebSocket handshake with HTTP {status}{phrase}{hint}"


def _redacted(headers: Mapping[str, str]) -> dict[str, str]:
    shown = {}
    for name, value in headers.items():
        if _SENSITIVE.search(name):
            shown[name] = "[redacted]"
        elif name in ("location", "refresh", "link"):
            shown[name] = re.sub(r"[?#].*|//[^/@]*@", lambda found: "//" if "@" in found[0] else "", value)
        else:
            shown[name] = value
    return shown


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from a number or a date (RFC 9110 §10.2.3), the latter by the server's clock if it tells it."""
    value = headers.get("retry-after", "")
    if _SECONDS.fullmatch(value):
        return float(value)
    until = _timestamp(value)
    if until is None:
        return None
    now = _timestamp(headers.get("date", ""))
    return max(0.0, until - (time.time() if now is None else now))


def _timestamp(date: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None
