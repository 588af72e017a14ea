"""How a proxy is asked for a way to a server: HTTP CONNECT and SOCKS 5, pure rules, no socket.

A :class:`Tunnel` says what has to be sent and how much of an answer that needs;
:class:`~voicews.wire.Wire` does it.  Credentials are in no ``repr`` and no message.
"""

from __future__ import annotations

import base64
import ipaddress
import re
import urllib.parse
from abc import ABC, abstractmethod
from collections.abc import Generator

from voicews.config import ProxySettings
from voicews.errors import ConfigError, ProxyFailed
from voicews.printable import host_port

__all__ = ["ConnectTunnel", "SocksTunnel", "Steps", "Tunnel", "tunnel_for"]

Steps = Generator[tuple[bytes, int | bytes], bytes, None]
"""Yields what to send and what to wait for (so many bytes, or up to these), and is sent that."""

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: .*)?")
_PASSING = frozenset({408, 425, 429})
_REFUSALS = {
    1: "it failed",
    2: "its rules forbid that",
    3: "the network is unreachable",
    4: "the host is unreachable",
    5: "the server refuses",
    6: "the way is too long",
    7: "it knows no CONNECT",
    8: "it knows no such kind of address",
}


class Tunnel(ABC):
    """One proxy.

    Attributes:
        host: where it is.
        port: its TCP port.
    """

    def __init__(self, host: str, port: int, credentials: tuple[str, str] | None) -> None:
        self.host = host
        self.port = port
        self._credentials = credentials

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {host_port(self.host, self.port)}>"

    @abstractmethod
    def steps(self, host: str, port: int) -> Steps:
        """What to say to be led to a server; the line is the server's once this has ended.

        Raises:
            ProxyFailed: the proxy does not lead there, or speaks another language.
        """

    def _failed(self, why: str, *, fatal: bool, status: int | None = None) -> ProxyFailed:
        return ProxyFailed(f"the proxy {host_port(self.host, self.port)} {why}", fatal=fatal, status=status)


class ConnectTunnel(Tunnel):
    """HTTP CONNECT (RFC 9110 §9.3.6), with Basic credentials if there are any."""

    def steps(self, host: str, port: int) -> Steps:
        """One request; any answer of 2xx opens the way."""
        authority = host_port(host, port)
        lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
        if self._credentials is not None:
            encoded = base64.b64encode(":".join(self._credentials).encode()).decode("ascii")
            lines.append(f"Proxy-Authorization: Basic {encoded}")
        head = yield "\r\n".join((*lines, "", "")).encode("ascii"), b"\r\n\r\n"
        match = _STATUS_LINE.fullmatch(head.partition(b"\r\n")[0])
        if match is None:
            raise self._failed("speaks no HTTP/1", fatal=False)
        status = int(match[1])
        if not 200 <= status < 300:
            hint = ": check the name and password in ProxySettings.url" if status == 407 else ""
            raise self._failed(
                f"refused the way to {authority} with HTTP {status}{hint}",
                fatal=status < 500 and status not in _PASSING,
                status=status,
            )


class SocksTunnel(Tunnel):
    """SOCKS 5 (RFC 1928), with a name and password (RFC 1929) if there are any.

    The server's name is left to the proxy to look up.
    """

    def steps(self, host: str, port: int) -> Steps:
        """A greeting, perhaps a password, and a CONNECT."""
        if len(host) > 255:  # its length goes in one byte (RFC 1928, section 5)
            raise self._failed(
                f"can be told host names of up to 255 characters; this has {len(host)}", fatal=True
            )
        methods = b"\0" if self._credentials is None else b"\0\2"
        version, method = yield bytes((5, len(methods))) + methods, 2
        if version != 5:
            raise self._failed("speaks no SOCKS 5", fatal=True)
        if method == 0xFF:
            wanted = "a name and password in ProxySettings.url" if len(methods) == 1 else "something else"
            raise self._failed(f"accepts no way of ours to log in; it wants {wanted}", fatal=True)
        if method not in methods:
            raise self._failed("chose a way to log in that was not offered", fatal=True)
        if method == 2 and self._credentials is not None:
            name, password = (part.encode() for part in self._credentials)
            login = bytes((1, len(name))) + name + bytes((len(password),)) + password
            _, status = yield login, 2
            if status != 0:
                raise self._failed("refused the name and password in ProxySettings.url", fatal=True)
        answer = yield b"\5\1\0" + _address(host) + port.to_bytes(2, "big"), 4
        version, reply, _, kind = answer
        if version != 5:
            raise self._failed("speaks no SOCKS 5", fatal=True)
        if reply != 0:
            why = _REFUSALS.get(reply, f"it says {reply}")
            raise self._failed(f"did not lead to {host_port(host, port)}: {why}", fatal=reply in (2, 7, 8))
        if kind == 3:
            (length,) = yield b"", 1
        elif kind in (1, 4):
            length = 4 * kind
        else:
            raise self._failed("named an address of no known kind", fatal=True)
        yield b"", length + 2


def _address(host: str) -> bytes:
    try:
        packed = ipaddress.ip_address(host).packed
    except ValueError:
        name = host.encode("ascii")
        return bytes((3, len(name))) + name
    return bytes((1 if len(packed) == 4 else 4,)) + packed


def tunnel_for(settings: ProxySettings, host: str, port: int, *, secure: bool) -> Tunnel | None:
    """The proxy by which to go to a server; None goes there directly.

    Args:
        settings: which proxy, if any.
        host: of the server.
        port: of the server.
        secure: whether TLS is to be spoken with it.

    Raises:
        ConfigError: what the environment names is no proxy that is known here.
    """
    if settings.url is not None:
        return _made(settings)
    if not settings.environment:
        return None
    url = _of_environment(host, port, secure=secure)
    if url is None:
        return None
    try:
        return _made(ProxySettings(url=url if "://" in url else f"http://{url}"))
    except ConfigError:
        raise ConfigError(
            "the environment names a proxy that cannot be used (ProxySettings.environment is True); it must "
            "be http://[name:password@]host:port or socks5h://…"
        ) from None


def _made(settings: ProxySettings) -> Tunnel:
    parts = urllib.parse.urlsplit(settings.url or "")
    credentials = None
    if parts.username is not None:
        credentials = (urllib.parse.unquote(parts.username), urllib.parse.unquote(parts.password or ""))
    kind, port = (ConnectTunnel, 3128) if parts.scheme == "http" else (SocksTunnel, 1080)
    return kind(parts.hostname or "", parts.port or port, credentials)


def _of_environment(host: str, port: int, *, secure: bool) -> str | None:
    import urllib.request

    if _is_loopback(host):
        return None
    named = urllib.request.getproxies_environment()
    if urllib.request.proxy_bypass_environment(f"{host}:{port}", named):  # type: ignore[attr-defined]
        return None
    for variable in ("wss", "https", "all") if secure else ("ws", "http", "all"):
        if url := named.get(variable):
            return url
    return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        name = host.rstrip(".").lower()
        return name == "localhost" or name.endswith(".localhost")
