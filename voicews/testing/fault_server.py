"""A real WebSocket server on loopback that does to each connection what a script says."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from voicews.errors import ConfigError
from voicews.testing.certificates import Certificates
from voicews.testing.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, closing, frame, unmasked
from voicews.testing.stream import Gone, Link

__all__ = ["FaultConnection", "FaultServer", "React", "Step"]

PATIENCE = 20.0
"""Seconds after which a fact that should have come is held to be missing."""
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

Message = str | bytes


class FaultConnection:
    """One accepted TCP connection, seen from the server.

    Its script runs on a thread of its own; a test may send, freeze and end it meanwhile.

    Attributes:
        number: counted from 1.
        path: of the request, with its query; empty before there is one.
        headers: of the request, by lower-case name.
        messages: the newest messages of the client, oldest first.
        received: how many there were in all.
        pings, pongs: how many came.
        close_code: of the client's Close frame; 1005 if it had none, None if there was no frame.
        violation: how the client broke the protocol, or "".
    """

    def __init__(self, server: FaultServer, number: int, link: Link) -> None:
        self.server = server
        self.number = number
        self.link = link
        self.path = ""
        self.headers: dict[str, str] = {}
        self.accepted = False
        self.messages: deque[Message] = deque(maxlen=server.remember)
        self.received = 0
        self.pings = self.pongs = 0
        self.close_code: int | None = None
        self.violation = ""
        self.over = False
        self._closing = False

    def __repr__(self) -> str:
        state = "over" if self.over else "accepted" if self.accepted else "new"
        return f"<FaultConnection {self.number} {state}, {self.received} messages>"

    # -- what a test asks ---------------------------------------------------------------------

    @property
    def audio(self) -> bytes:
        """The binary messages, joined."""
        with self.server.news:
            return b"".join(message for message in self.messages if isinstance(message, bytes))

    @property
    def texts(self) -> list[Any]:
        """The text messages, parsed as JSON."""
        with self.server.news:
            return [json.loads(message) for message in self.messages if isinstance(message, str)]

    def wait_for(self, fact: Callable[[FaultConnection], bool], what: str = "the fact") -> None:
        """Wait until it is true of this connection; looked at after each piece of news.

        Raises:
            TimeoutError: it did not come.
        """
        self.server.wait_for(lambda: fact(self), f"{what} on {self!r}")

    def wait_until_over(self) -> None:
        """Wait until its script has ended and its socket is closed."""
        self.wait_for(lambda connection: connection.over, "the end")

    # -- the handshake ------------------------------------------------------------------------

    def read_request(self) -> None:
        """Read the client's handshake; ``path`` and ``headers`` are known then."""
        if self.path:
            return
        head = self.link.read_until(b"\r\n\r\n").decode("latin-1")
        first, *lines = head.split("\r\n")
        for line in lines:
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()
        self.path = first.split(" ")[1]

    def accept(self, headers: Mapping[str, str] | None = None) -> None:
        """Accept the WebSocket as RFC 6455 wants it; ``headers`` are added, or take another's place."""
        self.write(self.acceptance(headers))
        self.note_accepted()

    def acceptance(self, headers: Mapping[str, str] | None = None) -> bytes:
        """The bytes of a right acceptance."""
        self.read_request()
        key = self.headers.get("sec-websocket-key", "").encode()
        lines = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Accept": base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode(),  # noqa: S324
            **(headers or {}),
        }
        return _http("101 Switching Protocols", lines)

    def note_accepted(self) -> None:
        """Count as accepted; whoever writes the acceptance himself calls it."""
        with self.server.news:
            self.accepted = True
            self.server.news.notify_all()

    # -- sending, from any thread -------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send raw bytes."""
        self.link.write(data)

    def send(self, message: Message | Mapping[str, Any]) -> None:
        """Send a message: text, binary, or a mapping as JSON."""
        if isinstance(message, Mapping):
            message = json.dumps(dict(message))
        if isinstance(message, str):
            self.write(frame(TEXT, message.encode()))
        else:
            self.write(frame(BINARY, message))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a Close frame; the client's answer is read by whoever reads."""
        self._closing = True
        self.write(closing(code, reason))

    def cut(self) -> None:
        """End the TCP connection without a Close frame."""
        self.link.cut()

    def reset(self) -> None:
        """End it with a TCP reset."""
        self.link.reset()

    def half_close(self) -> None:
        """Send a FIN, but go on reading."""
        self.link.half_close()

    def freeze(self) -> None:
        """Neither read nor write, as a stopped process does; the kernel goes on acknowledging."""
        self.link.thawed.clear()

    def thaw(self) -> None:
        """Go on after :meth:`freeze`."""
        self.link.thawed.set()

    # -- reading, on the script's thread ------------------------------------------------------

    def read_message(self) -> Message | None:
        """The client's next message; pings are answered meanwhile.  None after its Close frame.

        Raises:
            Gone: the connection has ended without one.
        """
        pieces: list[bytes] = []
        opcode = CONTINUATION
        while True:
            final, kind, payload = self._read_frame()
            if kind == CLOSE:
                self._note_close(payload)
                return None
            if kind == PING:
                with self.server.news:
                    self.pings += 1
                    self.server.news.notify_all()
                self.write(frame(PONG, payload))
            elif kind == PONG:
                with self.server.news:
                    self.pongs += 1
                    self.server.news.notify_all()
            else:
                opcode = kind or opcode
                pieces.append(payload)
                if final:
                    return self._note(opcode, b"".join(pieces))

    def _read_frame(self) -> tuple[bool, int, bytes]:
        first, second = self.link.read(2)
        length = second & 0x7F
        if length == 126:
            length = int.from_bytes(self.link.read(2), "big")
        elif length == 127:
            length = int.from_bytes(self.link.read(8), "big")
        if not second & 0x80:
            self._refuse("it sent a frame without a mask")
        if first & 0x70:
            self._refuse("it set a reserved bit")
        mask = self.link.read(4)
        return bool(first & 0x80), first & 0x0F, unmasked(self.link.read(length), mask)

    def _refuse(self, violation: str) -> None:
        with self.server.news:
            self.violation = violation
            self.server.news.notify_all()
        self.cut()
        raise Gone(violation)

    def _note(self, opcode: int, payload: bytes) -> Message:
        try:
            message: Message = payload.decode() if opcode == TEXT else payload
        except UnicodeDecodeError:
            self._refuse("it sent a text that is not UTF-8")
            raise
        with self.server.news:
            self.messages.append(message)
            self.received += 1
            self.server.news.notify_all()
        return message

    def _note_close(self, payload: bytes) -> None:
        with self.server.news:
            self.close_code = int.from_bytes(payload[:2], "big") if payload else 1005
            self.server.news.notify_all()
        if not self._closing:
            with contextlib.suppress(Gone):
                self.write(frame(CLOSE, payload[:2]))

    def listen(self, react: React | None = None, count: int | None = None) -> None:
        """Read messages until the client closes, or until there were ``count``.

        Args:
            react: called with the connection and each message.
        """
        read = 0
        while count is None or read < count:
            message = self.read_message()
            if message is None:
                return
            read += 1
            if react is not None:
                react(self, message)

    def wait_until_ended(self, seconds: float | None = None) -> bool:
        """Do nothing, until somebody ends the connection (True) or the seconds are over."""
        return self.link.ended.wait(seconds)


React = Callable[[FaultConnection, Message], None]
"""What to do with a message."""
Step = Callable[[FaultConnection], None]
"""One thing that a script does to a connection; runs on the connection's own thread."""


class FaultServer:
    """A server for tests of how a program takes it when the network or the server fails.

    ::

        from voicews.testing import FaultServer, steps

        with FaultServer([steps.refuse(503)], [steps.accept(), steps.echo(3), steps.cut()]) as server:
            voice = VoiceClient(server.url)

    Args:
        scripts: what to do to the first connection, to the second …; the last one is done
            to all that follow.  A script is a step or a list of steps (:mod:`voicews.testing.steps`,
            or functions of your own that take a :class:`FaultConnection`).  Without any, the
            server accepts, and reads on.
        tls: None, or one of :data:`voicews.testing.certificates.KINDS`: serve ``wss://``.
            The client has to trust ``server.ca_file``.
        host: address to listen at; default loopback.
        port: 0 takes a free one.
        remember: how many messages each connection keeps.

    Attributes:
        port: where it listens.
        connections: those that came, the oldest first.
        news: the condition that guards all of that; notified after each change.
        failures: what the steps raised, other than by the end of a connection.
    """

    def __init__(
        self,
        *scripts: Step | Iterable[Step],
        tls: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        remember: int = 10_000,
    ) -> None:
        self.remember = remember
        self.news = threading.Condition()
        self.connections: list[FaultConnection] = []
        self.failures: list[BaseException] = []
        self._host = host
        self._scripts: list[list[Step]] = []
        self.script(*scripts)
        self._certificates = None if tls is None else Certificates()
        self._context: ssl.SSLContext | None = None
        if self._certificates is not None and tls is not None:
            try:
                self._context = self._certificates.context(tls)
            except BaseException:
                self._certificates.close()
                raise
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self._thawed = threading.Event()
        self._thawed.set()
        self.port = port
        self.start()

    # -- what it is ---------------------------------------------------------------------------

    def script(self, *scripts: Step | Iterable[Step]) -> None:
        """Say anew what happens to the connections to come, beginning with the next one.

        Raises:
            ConfigError: a step is no function.
        """
        new = [[script] if callable(script) else list(script) for script in scripts] or [[_accept]]
        if not all(callable(step) for script in new for step in script):
            raise ConfigError("a step of a FaultServer must be a function of a FaultConnection")
        with self.news:
            self._scripts = new

    @property
    def url(self) -> str:
        """Where a client has to go."""
        scheme = "ws" if self._context is None else "wss"
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{scheme}://{host}:{self.port}"

    @property
    def ca_file(self) -> str:
        """The authority that a client has to trust, as a PEM file.

        Raises:
            ConfigError: the server speaks no TLS.
        """
        if self._certificates is None:
            raise ConfigError("this FaultServer speaks no TLS; make it with tls='good'")
        return self._certificates.ca_file

    # -- waiting for facts --------------------------------------------------------------------

    def wait_for(self, fact: Callable[[], bool], what: str = "the fact", timeout: float = PATIENCE) -> None:
        """Wait until it is true; looked at after each piece of news from any connection.

        Raises:
            TimeoutError: it did not come within ``timeout`` seconds.
        """
        with self.news:
            if not self.news.wait_for(fact, timeout):
                raise TimeoutError(f"{what} did not come within {timeout:g} s; there are {self.connections}")

    def connection(self, number: int = 1, timeout: float = PATIENCE) -> FaultConnection:
        """The n-th connection, waited for.

        Raises:
            TimeoutError: it did not come within ``timeout`` seconds.
        """
        self.wait_for(lambda: len(self.connections) >= number, f"connection {number}", timeout)
        return self.connections[number - 1]

    def accepted(self, number: int = 1, timeout: float = PATIENCE) -> FaultConnection:
        """The n-th connection that was accepted as a WebSocket, waited for."""

        def those() -> list[FaultConnection]:
            return [connection for connection in self.connections if connection.accepted]

        self.wait_for(lambda: len(those()) >= number, f"accepted connection {number}", timeout)
        return those()[number - 1]

    # -- all of it at once --------------------------------------------------------------------

    def freeze(self) -> None:
        """Neither read nor write nor begin a script; the kernel goes on accepting and acknowledging."""
        self._thawed.clear()
        for connection in self._alive():
            connection.freeze()

    def thaw(self) -> None:
        """Go on after :meth:`freeze`."""
        self._thawed.set()
        for connection in self._alive():
            connection.thaw()

    def stop(self, *, reset: bool = False) -> None:
        """Stop listening and cut (or reset) all connections, as a server that dies."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for connection in self._alive():
            if reset:
                connection.reset()
            else:
                connection.cut()
        if self._acceptor is not None:
            self._acceptor.join(PATIENCE)

    def start(self) -> None:
        """Listen (again), at the same port."""
        if self._listener is not None:
            return
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        self._listener = socket.create_server((self._host, self.port), family=family, backlog=128)
        self.port = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(
            target=self._accept_all, args=(self._listener,), name="voicews-fault-server", daemon=True
        )
        self._acceptor.start()

    def close(self) -> None:
        """End everything; then raise what a step has raised, if one has."""
        self.thaw()
        self.stop()
        for thread in self._threads:
            thread.join(PATIENCE)
        if self._certificates is not None:
            self._certificates.close()
        if self.failures:
            raise self.failures[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # -- within -------------------------------------------------------------------------------

    def _alive(self) -> list[FaultConnection]:
        with self.news:
            return [connection for connection in self.connections if not connection.over]

    def _accept_all(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it was closed
            while True:
                sock, _ = listener.accept()
                with self.news:
                    number = len(self.connections) + 1
                    script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
                    connection = FaultConnection(self, number, Link(sock, self._context))
                    if not self._thawed.is_set():
                        connection.freeze()
                    self.connections.append(connection)
                    self.news.notify_all()
                thread = threading.Thread(
                    target=self._serve,
                    args=(connection, script),
                    name=f"voicews-fault-connection-{number}",
                    daemon=True,
                )
                self._threads = [*(t for t in self._threads if t.is_alive()), thread]
                thread.start()

    def _serve(self, connection: FaultConnection, script: list[Step]) -> None:
        try:
            with contextlib.suppress(Gone):
                for step in script:
                    step(connection)
                if connection.accepted and connection.close_code is None:
                    connection.listen()
        except BaseException as error:  # noqa: BLE001 - a test has to hear of it
            self.failures.append(error)
        finally:
            connection.link.close()
            with self.news:
                connection.over = True
                self.news.notify_all()


def _accept(connection: FaultConnection) -> None:
    connection.accept()


def _http(status: str, headers: Mapping[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode("latin-1")
