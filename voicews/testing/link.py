"""The sockets under the fakes: the only file of them that knows websockets."""

from __future__ import annotations

import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from websockets.exceptions import ConnectionClosed as LibraryClosed
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from voicews.errors import ConnectionClosed, TransportError
from voicews.printable import host_port

__all__ = ["Gate", "Link", "Listener", "Refusal", "Tap"]

_GRACE = 1.0
"""Seconds that a client has to answer a Close frame, and to shake hands while the server closes."""

Refusal = tuple[int, Mapping[str, str], str | bytes]
"""HTTP status, headers and body."""


class Gate:
    """What a socket's bytes pass through: shut, they neither come nor go."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._shut = False
        self._gone = False

    def shut(self) -> None:
        """Let nothing pass."""
        with self._changed:
            self._shut = True

    def open(self) -> None:
        """Let everything pass."""
        with self._changed:
            self._shut = False
            self._changed.notify_all()

    def remove(self) -> None:
        """Let everything pass, for good."""
        with self._changed:
            self._gone = True
            self._changed.notify_all()

    def pass_through(self) -> None:
        """Wait until it is open."""
        with self._changed:
            self._changed.wait_for(lambda: not self._shut or self._gone)


class Tap:
    """A connection's socket, plain or TLS, that can be stalled and cut as a network can."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.gate = Gate()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def recv(self, *arguments: Any) -> bytes:
        """As that of a socket."""
        self.gate.pass_through()
        return self._sock.recv(*arguments)

    def sendall(self, *arguments: Any) -> None:
        """As that of a socket."""
        self.gate.pass_through()
        self._sock.sendall(*arguments)

    def cut(self, *, reset: bool = False) -> None:
        """End the TCP connection without a Close frame, if it has not ended by itself."""
        try:
            if reset:
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)
        except OSError:  # it has ended by itself
            return
        finally:
            # Last, so that nothing which a stall held back can slip out.
            self.gate.remove()


class _Connection(ServerConnection):
    """Names the library's threads, and counts its sockets from before the handshake."""

    def __init__(
        self, sock: socket.socket, protocol: ServerProtocol, *others: Any, name: str, **settings: Any
    ) -> None:
        threading.current_thread().name = name
        self.tap = Tap(sock)
        super().__init__(cast("socket.socket", self.tap), protocol, *others, **settings)
        self.recv_events_thread.name = f"{name}-socket"


class Link:
    """One client's WebSocket.  Any thread may send and close; one receives."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self.tap = connection.tap
        request = connection.request
        assert request is not None
        self.path = request.path
        self.headers = {name.lower(): value for name, value in request.headers.raw_items()}
        self.subprotocol = connection.subprotocol

    def receive(self) -> str | bytes:
        """Wait for the next message.

        Raises:
            ConnectionClosed: there will be none.
        """
        try:
            return self._connection.recv()
        except LibraryClosed as error:
            raise self._translated(error) from error

    def send(self, message: str | bytes) -> None:
        """Send a message.

        Raises:
            ConnectionClosed: the client has gone.
        """
        try:
            self._connection.send(message)
        except LibraryClosed as error:
            raise self._translated(error) from error

    def close(self, code: int, reason: str) -> None:
        """Close in good order; takes up to a second."""
        self._connection.close(code, reason)

    def wait_for_threads(self) -> None:
        """Wait for those of the library, once the connection is over."""
        self._connection.recv_events_thread.join()

    @staticmethod
    def _translated(error: LibraryClosed) -> ConnectionClosed:
        if error.rcvd is None:
            return ConnectionClosed(1006, message="the client has gone without a Close frame")
        by_client = bool(error.rcvd_then_sent)
        who = "the client" if by_client else "this server"
        return ConnectionClosed(
            error.rcvd.code,
            error.rcvd.reason,
            by_peer=by_client,
            message=f"{who} has closed the connection with code {error.rcvd.code}",
        )


class Listener:
    """The listening socket and the thread that accepts.

    Args:
        talk: called in a connection's own daemon thread, until the conversation is over.
        judge: asked at each handshake with the path and the lower-case headers; None lets it in.

    Raises:
        TransportError: the address cannot be listened on.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        talk: Callable[[Link], None],
        judge: Callable[[str, Mapping[str, str]], Refusal | None],
        subprotocols: Sequence[str],
        tls: ssl.SSLContext | None,
        ping_interval: float | None,
        largest: int,
    ) -> None:
        self._talk = talk
        self._judge = judge
        self._lock = threading.Lock()
        self._taps: list[Tap] = []
        self._closing = False
        self._accepted = 0
        try:
            self._server = serve(
                self._handle,
                host,
                port,
                ssl=tls,
                subprotocols=[Subprotocol(name) for name in subprotocols] or None,
                # A client that offers none of ours is served without, as most services do.
                select_subprotocol=_first_known(subprotocols),
                process_request=self._process,
                create_connection=cast("type[ServerConnection]", self._create),  # it takes any maker
                compression=None,
                open_timeout=10 if tls is None else 2,
                close_timeout=_GRACE,
                ping_interval=ping_interval,
                max_size=largest,
            )
        except OSError as error:
            where = host_port(host, port)
            raise TransportError(f"cannot listen on {where}: {error.strerror or error}") from error
        # The library's threads are as much a daemon as the one that starts them: this.
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="voicews-testing-accept", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.socket.getsockname()[1])

    def cut_all(self) -> None:
        """End every connection that is left, and each that is just coming."""
        with self._lock:
            self._closing = True
            taps = list(self._taps)
        for tap in taps:
            tap.cut()

    def close(self) -> None:
        """Give the socket back and wait for all threads, once :meth:`cut_all` was called."""
        self._server.shutdown()
        self._thread.join()
        # websockets 15 and 16 leave a pipe open; since 17 it is a pair of sockets, and closed.
        for end in ("shutdown_watcher", "shutdown_notifier"):
            descriptor = getattr(self._server, end, None)
            if isinstance(descriptor, int):
                os.close(descriptor)

    def _create(
        self, sock: socket.socket, protocol: ServerProtocol, *others: Any, **settings: Any
    ) -> _Connection:
        with self._lock:
            self._accepted += 1
            name = f"voicews-testing-client-{self._accepted}"
        connection = _Connection(sock, protocol, *others, name=name, **settings)
        with self._lock:
            self._taps = [tap for tap in self._taps if tap.fileno() != -1]
            self._taps.append(connection.tap)
            closing = self._closing
        if closing:
            connection.tap.cut()
        return connection

    def _process(self, connection: ServerConnection, request: Request) -> Response | None:
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        refusal = self._judge(request.path, headers)
        if refusal is None:
            return None
        status, further, body = refusal
        response = connection.respond(status, body if isinstance(body, str) else "")
        if isinstance(body, bytes):
            response.body = body
            further = {**further, "Content-Length": str(len(body))}
        for name, value in further.items():
            if name in response.headers:
                del response.headers[name]
            response.headers[name] = value
        return response

    def _handle(self, connection: ServerConnection) -> None:
        assert isinstance(connection, _Connection)
        self._talk(Link(connection))


def _first_known(
    known: Sequence[str],
) -> Callable[[ServerConnection, Sequence[Subprotocol]], Subprotocol | None]:
    def choose(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        return next((name for name in offered if name in known), None)

    return choose
