"""The WebSocket under a conversation: the only file of the assistant that knows websockets."""

from __future__ import annotations

import http
import logging
import select
import selectors
import socket
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.sync.server import Server, ServerConnection, serve

from voicews.assistant.conversation import HungUp
from voicews.errors import TransportError

__all__ = ["Gate", "Link", "Listener", "Tap"]

log = logging.getLogger(__name__)

_CLOSE_TIMEOUT = 1.0
_LARGEST = 1024 * 1024  # bytes of a message


class Gate:
    """What all sockets of a server pass through: shut, nothing is read or written."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._shut = False

    @property
    def is_shut(self) -> bool:
        """True while nothing passes."""
        return self._shut

    def shut(self) -> None:
        """Let nothing pass."""
        with self._changed:
            self._shut = True

    def open(self) -> None:
        """Let everything pass."""
        with self._changed:
            self._shut = False
            self._changed.notify_all()

    def pass_through(self, tap: Tap) -> None:
        """Wait until the gate is open or the connection is cut."""
        with self._changed:
            self._changed.wait_for(lambda: not self._shut or tap.is_cut)

    def wake(self) -> None:
        """Let those that wait look again."""
        with self._changed:
            self._changed.notify_all()


class Tap(socket.socket):
    """A connection's socket that can be stalled and cut, as a network can."""

    def __init__(self, sock: socket.socket, gate: Gate) -> None:
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self._gate = gate
        self.is_cut = False

    def recv(self, *arguments: Any) -> bytes:
        """As the standard one."""
        self._gate.pass_through(self)
        return super().recv(*arguments)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """As the standard one, but a client that has gone never ends the process by SIGPIPE."""
        self._gate.pass_through(self)
        super().sendall(data, flags | socket.MSG_NOSIGNAL)

    def cut(self) -> None:
        """End the TCP connection without a Close frame."""
        self.is_cut = True
        self._gate.wake()
        try:
            self.shutdown(socket.SHUT_RDWR)
        except OSError:  # it has ended by itself
            return


class _Connection(ServerConnection):
    """Names the library's threads, so that a leaked one can be told."""

    def __init__(
        self, sock: socket.socket, protocol: ServerProtocol, server: Server, **settings: Any
    ) -> None:
        self._owner = threading.current_thread().name
        super().__init__(sock, protocol, server, **settings)
        self.recv_events_thread.name = f"{self._owner}-socket"

    def start_keepalive(self) -> None:
        super().start_keepalive()
        if self.keepalive_thread is not None:
            self.keepalive_thread.name = f"{self._owner}-keepalive"


class Link:
    """One client's WebSocket."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection

    def receive(self, timeout: float | None) -> str | bytes:
        """Wait for the next message.

        Raises:
            TimeoutError: none came in this many seconds.
            HungUp: the connection is over.
        """
        try:
            return self._connection.recv(timeout)
        except ConnectionClosed as error:
            raise HungUp(str(error)) from error

    def send(self, message: str | bytes) -> None:
        """Send a message.

        Raises:
            HungUp: the connection is over.
        """
        try:
            self._connection.send(message)
        except ConnectionClosed as error:
            raise HungUp(str(error)) from error

    def close(self, code: int, reason: str = "") -> None:
        """Close in good order; takes up to a second."""
        self._connection.close(code, reason)

    def join(self, timeout: float | None) -> None:
        """Wait for the library's threads, once the connection is over."""
        for thread in (self._connection.recv_events_thread, self._connection.keepalive_thread):
            if thread is not None:
                thread.join(timeout)


Refusal = tuple[int, float | None]
"""HTTP status, and seconds for Retry-After."""


class Listener:
    """The listening socket and the rules of the handshake.

    Args:
        host: name or address to listen on.
        port: 0 picks a free one.
        talk: called in the connection's thread with its link, until the conversation is over.
        refusal: asked at each handshake; None lets the client in.

    Raises:
        TransportError: the address cannot be listened on.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        talk: Callable[[Link], None],
        refusal: Callable[[], Refusal | None],
    ) -> None:
        self._talk = talk
        self._refusal = refusal
        try:
            self._server = serve(
                self._handle,
                host,
                port,
                process_request=self._judge,
                compression=None,  # sound does not get smaller, and it costs 0.3 MB a client
                server_header=None,
                close_timeout=_CLOSE_TIMEOUT,
                max_size=_LARGEST,
                create_connection=_Connection,
            )
        except OSError as error:
            where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            raise TransportError(f"cannot listen on {where}: {_reason(error)}") from error
        self._server.socket.setblocking(False)
        self._wake_reader, self._wake_writer = socket.socketpair()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.socket.getsockname()[1])

    def accept(self) -> tuple[socket.socket, Any] | None:
        """Wait for the next connection; None once :meth:`wake` was called."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._server.socket, selectors.EVENT_READ)
            selector.register(self._wake_reader, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                if self._wake_reader in ready:
                    return None
                try:
                    sock, address = self._server.socket.accept()
                except BlockingIOError:  # it was gone again before it could be accepted
                    continue
                except OSError as error:  # out of descriptors or memory: it may pass
                    log.warning("cannot accept a connection: %s", error)
                    if select.select([self._wake_reader], [], [], 0.2)[0]:
                        return None
                    continue
                sock.setblocking(True)
                return sock, address

    def serve(self, tap: Tap, address: Any) -> None:
        """Shake hands and converse, in the calling thread, until the connection is over."""
        self._server.handler(tap, address)

    def wake(self) -> None:
        """End :meth:`accept`."""
        self._wake_writer.send(b"x")

    def close(self) -> None:
        """Give the listening socket back, once nothing accepts or serves any more."""
        # We accept with a loop of our own, whose threads are daemons with names and deadlines;
        # the library's would have done these two things at its end.
        self._server.socket_closed.set()
        self._server.shutdown_watcher.close()
        self._server.shutdown()
        self._wake_reader.close()
        self._wake_writer.close()

    def _handle(self, connection: ServerConnection) -> None:
        self._talk(Link(connection))

    def _judge(self, connection: ServerConnection, request: Request) -> Response | None:
        if refusal := self._refusal():
            status, retry_after = refusal
            response = connection.respond(status, "The server does not take calls now.\n")
            if retry_after is not None:
                response.headers["Retry-After"] = f"{retry_after:g}"
            return response
        if not _same_origin(request.headers):
            return connection.respond(http.HTTPStatus.FORBIDDEN, "Pages of other sites may not call here.\n")
        return None


def _same_origin(headers: Headers) -> bool:
    """Whether no foreign web page is behind this: a browser lets any page connect to localhost."""
    origin = headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == headers.get("Host")


def _reason(error: OSError) -> str:
    # Python's own create_server() adds a remark with a tuple to it.
    return (error.strerror or str(error)).partition(" (while attempting")[0]
