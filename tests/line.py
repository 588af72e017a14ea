"""The server's end of a byte stream, worked by hand, for tests of what a good server never does."""

from __future__ import annotations

import base64
import hashlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import trustme

from tests.patience import PATIENCE


class Line:
    """One accepted connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._stream = sock.makefile("rb")

    def read(self, size: int) -> bytes:
        return self._stream.read(size)

    def write(self, data: bytes) -> None:
        self.sock.sendall(data)

    def read_head(self) -> bytes:
        """The request, up to its blank line."""
        lines = []
        while (line := self._stream.readline()) not in (b"\r\n", b""):
            lines.append(line)
        return b"".join(lines)

    def accept(self, *headers: str) -> bytes:
        """Accept the WebSocket; returns the request."""
        head = self.read_head()
        self.write(acceptance(head, *headers))
        return head

    def read_frame(self) -> tuple[int, bytes]:
        """The next frame of the client, unmasked."""
        first, second = self.read(2)
        length = second & 0x7F
        if length == 126:
            length = int.from_bytes(self.read(2), "big")
        elif length == 127:
            length = int.from_bytes(self.read(8), "big")
        assert second & 0x80, "a client has to mask its frames"
        mask = self.read(4)
        return first & 0x0F, bytes(byte ^ mask[index % 4] for index, byte in enumerate(self.read(length)))

    def wait_for_end(self) -> None:
        """Until the client has gone."""
        with suppress(OSError):
            while self._stream.read(65536):
                continue

    def close(self) -> None:
        self._stream.close()
        self.sock.close()


def acceptance(request: bytes, *headers: str) -> bytes:
    """The 101 that fits a request."""
    key = next(line for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
    digest = hashlib.sha1(key.split(b":")[1].strip() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return "\r\n".join(
        (
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}",
            *headers,
            "",
            "",
        )
    ).encode("latin-1")


class Listener:
    """Accepts connections and runs ``script(line)`` for each, in a thread."""

    def __init__(self, script: Callable[[Line], None], context: ssl.SSLContext | None) -> None:
        self._script = script
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.accepted = 0
        self.failures: list[BaseException] = []
        self._lines: list[threading.Thread] = []
        self._socks: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, name="listener")
        self._thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._socket.accept()
                self.accepted += 1
                self._socks.append(sock)
                thread = threading.Thread(target=self._serve, args=(sock,), name="line")
                self._lines.append(thread)
                thread.start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            # A client that goes away is what many tests are about, and no failure.
            with suppress(OSError, ValueError):
                sock.settimeout(PATIENCE)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._context is not None:
                    sock = self._context.wrap_socket(sock, server_side=True)
                line = Line(sock)
                try:
                    self._script(line)
                finally:
                    line.close()
        except BaseException as error:
            self.failures.append(error)
        finally:
            sock.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        for sock in self._socks:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._lines:
            thread.join(PATIENCE)


@contextmanager
def listening(script: Callable[[Line], None], *, context: ssl.SSLContext | None = None) -> Iterator[Listener]:
    """A server that follows a script; what the script asserts fails the test."""
    listener = Listener(script, context)
    try:
        yield listener
    finally:
        listener.close()
    if listener.failures:
        raise listener.failures[0]


@contextmanager
def deaf_port() -> Iterator[int]:
    """A port at which a connection attempt gets no answer at all: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port: int = listener.getsockname()[1]
        waiting = []
        try:
            for _ in range(3):
                sock = socket.socket()
                sock.setblocking(False)
                sock.connect_ex(("127.0.0.1", port))
                waiting.append(sock)
            yield port
        finally:
            for sock in waiting:
                sock.close()


class Authority:
    """A certificate authority of our own, and a server's certificate for this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ca = trustme.CA()
        self._server = self._ca.issue_cert("localhost", "127.0.0.1", "::1")
        self.ca_file = str(folder / "ca.pem")
        self.server_file = str(folder / "server.pem")
        self._ca.cert_pem.write_to_path(self.ca_file)
        self._server.private_key_and_cert_chain_pem.write_to_path(self.server_file)

    def server_context(self, *, asks_client: bool = False, names: tuple[str, ...] = ()) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        (self._ca.issue_cert(*names) if names else self._server).configure_cert(context)
        if asks_client:
            self._ca.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client_file(self) -> str:
        """A client certificate with its key."""
        path = self.folder / "client.pem"
        self._ca.issue_cert("client.example").private_key_and_cert_chain_pem.write_to_path(str(path))
        return str(path)
