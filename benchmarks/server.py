"""The other end of every benchmark: a lean WebSocket server, one thread over raw sockets.

``python -m benchmarks.server [PEM]`` prints its port, takes commands from its standard input
(``take``: report and forget; ``talk`` and ``hush``: to all on /talk) and ends with it.  What it does
depends on the path that is asked for:

=========  ======================================================================================
/duplex    notes what comes, and pushes a frame every 20 ms
/sink      notes what comes
/echo      sends what comes back, once the link is two seconds old and the loudspeaker surely open
/talk      pushes ten seconds of tone at once when told to ``talk``, ``interrupted`` when told to ``hush``
/cut       after 100 frames it ends the connection without a word
=========  ======================================================================================
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import selectors
import socket
import ssl
import struct
import sys
import time
from array import array

from benchmarks.sound import STAMP, TONE, stamped

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_PUSH = 20_000_000
_FRAME = 640
_KEPT = 2 * STAMP.size
"""Bytes of a frame of sound that are looked at: the stamp, also where a sample is sent as four bytes."""
_SETTLED = 2_000_000_000
_CUT_AFTER = 100
_INTERRUPTED = b'{"type":"interrupted"}'


def framed(payload: bytes, opcode: int = 2) -> bytes:
    """An unmasked final frame."""
    if len(payload) < 126:
        return bytes((0x80 | opcode, len(payload))) + payload
    if len(payload) < 1 << 16:
        return struct.pack("!BBH", 0x80 | opcode, 126, len(payload)) + payload
    return struct.pack("!BBQ", 0x80 | opcode, 127, len(payload)) + payload


def unmasked(data: bytes, key: bytes) -> bytes:
    size = len(data)
    mask = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(mask, "little")).to_bytes(size, "little")


class Link:
    """One client."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.sock = sock
        self.number = number
        self.data = bytearray()
        self.mode = ""
        self.frames = 0
        self.push_at = 0
        self.period = _PUSH
        self.began = time.monotonic_ns()

    def send(self, frame: bytes) -> None:
        with contextlib.suppress(ssl.SSLWantWriteError, BlockingIOError):
            self.sock.send(frame)


class Server:
    def __init__(self, certificate: str | None) -> None:
        self.context = None
        if certificate is not None:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ, self.accept)
        self.selector.register(sys.stdin, selectors.EVENT_READ, self.command)
        self.links: dict[socket.socket, Link] = {}
        self.count = 0
        self.came = array("q")
        self.first: list[int] = []
        self.cuts: list[int] = []
        self.said: list[int] = []
        self.running = True

    def run(self) -> None:
        print(self.listener.getsockname()[1], flush=True)
        while self.running:
            for key, _ in self.selector.select(self.until_push()):
                key.data(key.fileobj)
            self.push()

    def until_push(self) -> float | None:
        due = min((link.push_at for link in self.links.values() if link.push_at), default=0)
        return max(0.0, (due - time.monotonic_ns()) / 1e9) if due else None

    def push(self) -> None:
        now = time.monotonic_ns()
        for link in list(self.links.values()):
            if link.push_at and now >= link.push_at:
                link.push_at += link.period
                with contextlib.suppress(OSError):
                    link.send(self.pushed(link, time.monotonic_ns()))

    def pushed(self, link: Link, now: int) -> bytes:
        """The frame that is due."""
        return framed(stamped(now, _FRAME))

    def command(self, _: object) -> None:
        # Not by readline(): it would keep a second line where the selector does not see it.
        lines = os.read(sys.stdin.fileno(), 4096).decode().split()
        self.running = bool(lines)
        for line in lines:
            self.obey(line)

    def obey(self, line: str) -> None:
        if line in ("talk", "hush"):
            for link in self.links.values():
                if link.mode == "/talk":
                    self.said.append(time.monotonic_ns())
                    link.sock.setblocking(True)
                    link.sock.sendall(framed(TONE) if line == "talk" else framed(_INTERRUPTED, 1))
                    link.sock.setblocking(False)
        elif line == "take":
            report = {
                "came": self.came.tolist(),
                "first": self.first,
                "cuts": self.cuts,
                "said": self.said,
            }
            self.came, self.first, self.cuts, self.said = array("q"), [], [], []
            print(json.dumps(report), flush=True)

    def accept(self, _: object) -> None:
        sock, _address = self.listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(5)
        try:
            if self.context is not None:
                sock = self.context.wrap_socket(sock, server_side=True)
            request = b""
            while b"\r\n\r\n" not in request:
                if not (data := sock.recv(65536)):
                    raise OSError
                request += data
        except OSError:
            sock.close()
            return
        head, _, rest = request.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        key = next(line for line in lines if line.lower().startswith(b"sec-websocket-key:")).split()[1]
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
        sock.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        sock.setblocking(False)
        self.count += 1
        link = Link(sock, self.count)
        link.mode = lines[0].split()[1].decode()
        link.data += rest
        self.links[sock] = link
        self.selector.register(sock, selectors.EVENT_READ, self.read)
        self.begin(link)

    def begin(self, link: Link) -> None:
        """What the path asks for begins with the connection."""
        if link.mode == "/duplex":
            link.push_at = time.monotonic_ns() + link.period

    def read(self, sock: socket.socket) -> None:
        link = self.links[sock]
        while True:
            try:
                data = sock.recv(65536)
            except (ssl.SSLWantReadError, BlockingIOError):
                return
            except OSError:
                data = b""
            if not data:
                self.drop(link)
                return
            now = time.monotonic_ns()
            link.data += data
            if not self.frames(link, now) or self.context is None:
                return

    def frames(self, link: Link, now: int) -> bool:
        """Understand all that is complete; False if the link is gone."""
        data = link.data
        while len(data) >= 6:
            size, start = data[1] & 0x7F, 6
            if size == 126:
                size, start = int.from_bytes(data[2:4], "big"), 8
            elif size == 127:
                size, start = int.from_bytes(data[2:10], "big"), 14
            if len(data) < start + size:
                break
            opcode, key = data[0] & 0x0F, bytes(data[start - 4 : start])
            wanted = size if opcode != 2 or link.mode == "/echo" else min(size, _KEPT)
            payload = unmasked(bytes(data[start : start + wanted]), key)
            del data[: start + size]
            if not self.frame(link, opcode, payload, now):
                return False
        return True

    def frame(self, link: Link, opcode: int, payload: bytes, now: int) -> bool:
        if opcode == 8:
            with contextlib.suppress(OSError):
                link.send(framed(payload, 8))
            self.drop(link)
            return False
        if opcode == 9:
            link.send(framed(payload, 10))
        elif opcode == 2:
            link.frames += 1
            if link.frames == 1:
                self.first.append(now)
            if link.mode == "/echo":
                if now > link.began + _SETTLED:
                    link.send(framed(payload))
            else:
                self.came.extend((link.number, STAMP.unpack_from(payload)[0], now))
            if link.mode == "/cut" and link.frames == _CUT_AFTER:
                self.cuts.append(time.monotonic_ns())
                self.drop(link)
                return False
        return True

    def drop(self, link: Link) -> None:
        self.links.pop(link.sock, None)
        self.selector.unregister(link.sock)
        with contextlib.suppress(OSError):
            link.sock.close()


if __name__ == "__main__":
    Server(sys.argv[1] if len(sys.argv) > 1 else None).run()
