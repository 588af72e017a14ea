"""Real proxies on loopback, in threads: HTTP CONNECT and SOCKS 5, with and without a password."""

from __future__ import annotations

import base64
import select
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.line import Line, Listener, listening
from tests.patience import PATIENCE

__all__ = ["Asked", "pump", "running_proxy"]


@dataclass
class Asked:
    """What clients wanted of a proxy.

    Attributes:
        ways: host and port of each tunnel that was asked for.
        heads: the requests of HTTP, as they came.
        logins: names and passwords, in clear.
        carried: all that went through, in both directions.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    ways: list[tuple[str, int]] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    carried: bytearray = field(default_factory=bytearray)
    listener: Listener | None = None

    @property
    def port(self) -> int:
        assert self.listener is not None
        return self.listener.port

    def connect(self, host: str, port: int) -> socket.socket:
        self.ways.append((host, port))
        return socket.create_connection((self.names.get(host, host), port), PATIENCE)


def pump(line: Line, onward: socket.socket, seen: bytearray) -> None:
    """Hand bytes on until either side ends."""
    pairs = {line.sock: onward, onward: line.sock}
    with onward:
        while True:
            ready, _, _ = select.select(list(pairs), [], [], PATIENCE)
            if not ready:
                return
            for source in ready:
                data = source.recv(65536)
                if not data:
                    return
                seen += data
                pairs[source].sendall(data)


def _connect_script(asked: Asked, login: tuple[str, str] | None) -> Callable[[Line], None]:
    def script(line: Line) -> None:
        head = line.read_head()
        asked.heads.append(head)
        if login is not None:
            wanted = b"Proxy-Authorization: Basic " + base64.b64encode(":".join(login).encode())
            if wanted not in head.split(b"\r\n"):
                line.write(
                    b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                    b'Proxy-Authenticate: Basic realm="test"\r\nContent-Length: 0\r\n\r\n'
                )
                return
            asked.logins.append(login)
        method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
        assert method == "CONNECT"
        host, _, port = target.rpartition(":")
        try:
            onward = asked.connect(host.strip("[]"), int(port))
        except OSError:
            line.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        line.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        pump(line, onward, asked.carried)

    return script


def _socks_script(asked: Asked, login: tuple[str, str] | None) -> Callable[[Line], None]:
    def script(line: Line) -> None:
        version, count = line.read(2)
        methods = line.read(count)
        assert version == 5
        wanted = 0 if login is None else 2
        if wanted not in methods:
            line.write(b"\5\xff")
            return
        line.write(bytes((5, wanted)))
        if login is not None:
            assert line.read(1) == b"\1"
            name, password = (line.read(line.read(1)[0]).decode() for _ in range(2))
            asked.logins.append((name, password))
            line.write(b"\1\0" if (name, password) == login else b"\1\1")
            if (name, password) != login:
                return
        assert line.read(3) == b"\5\1\0"
        kind = line.read(1)[0]
        if kind == 3:
            host = line.read(line.read(1)[0]).decode()
        else:
            family, size = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
            host = socket.inet_ntop(family, line.read(size))
        port = int.from_bytes(line.read(2), "big")
        try:
            onward = asked.connect(host, port)
        except OSError:
            line.write(b"\5\5\0\1" + bytes(6))
            return
        line.write(b"\5\0\0\3\5proxy\0\0")
        pump(line, onward, asked.carried)

    return script


@contextmanager
def running_proxy(
    kind: str, *, login: tuple[str, str] | None = None, names: Mapping[str, str] | None = None
) -> Iterator[Asked]:
    """A proxy of a kind ("http" or "socks5h"); ``names`` are hosts that it alone can find."""
    asked = Asked(names or {})
    script = {"http": _connect_script, "socks5h": _socks_script}[kind](asked, login)
    with listening(script) as listener:
        asked.listener = listener
        yield asked
