"""A real WebSocket peer from an independent library, for the tests of the client and its threads."""

from __future__ import annotations

import itertools
import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from tests.patience import PATIENCE


class Call:
    """One accepted connection, seen from the server."""

    def __init__(self, link: ServerConnection) -> None:
        self.link = link
        self.request = link.request
        self.received: list[str | bytes] = []
        self.close_code: int | None = None
        self.over = False
        self.news = threading.Condition()

    @property
    def audio(self) -> bytes:
        with self.news:
            return b"".join(message for message in self.received if isinstance(message, bytes))

    @property
    def texts(self) -> list[Any]:
        with self.news:
            return [json.loads(message) for message in self.received if isinstance(message, str)]

    def wait(self, fact: Callable[[], bool], what: str = "the fact") -> None:
        with self.news:
            assert self.news.wait_for(fact, PATIENCE), f"{what} did not come; received {self.received[-5:]!r}"

    def wait_for_text(self, kind: str) -> Any:
        def there() -> bool:
            return any(text.get("type") == kind for text in self.texts)

        self.wait(there, f"a message of type {kind}")
        return next(text for text in self.texts if text.get("type") == kind)

    def wait_for_audio(self, count: int = 1) -> bytes:
        self.wait(lambda: len(self.audio) >= count, f"{count} bytes of audio")
        return self.audio

    def wait_until_over(self) -> None:
        self.wait(lambda: self.over, "the end of the connection")

    def send(self, message: str | bytes | dict[str, Any]) -> None:
        self.link.send(json.dumps(message) if isinstance(message, dict) else message)

    def reset(self) -> None:
        """End the connection with a TCP reset, as a crash of the machine does."""
        self.link.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.cut()

    def cut(self) -> None:
        """End the connection without a Close frame."""
        self.link.socket.shutdown(socket.SHUT_RDWR)

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.link.close(code, reason)

    def read(self) -> None:
        try:
            for message in self.link:
                with self.news:
                    self.received.append(message)
                    self.news.notify_all()
        except (ConnectionClosed, OSError):
            self.link.close_socket()
        with self.news:
            self.close_code = self.link.close_code
            self.over = True
            self.news.notify_all()


class Peer:
    """A server whose every connection is a :class:`Call`.

    ``react(call)`` runs in a call's own thread before anything is read from it.
    """

    def __init__(self, **options: Any) -> None:
        self.calls: list[Call] = []
        self.news = threading.Condition()
        self.react: Callable[[Call], None] | None = None
        self.refuse_with: int | None = None
        self._server: Server = serve(
            self._handle, "127.0.0.1", 0, process_request=self._process, close_timeout=1, **options
        )
        self.port = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="peer")
        self._thread.start()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def _process(self, link: ServerConnection, request: Any) -> Any:
        if self.refuse_with is not None:
            return link.respond(self.refuse_with, "no")
        return None

    def _handle(self, link: ServerConnection) -> None:
        call = Call(link)
        with self.news:
            self.calls.append(call)
            self.news.notify_all()
        if self.react is not None:
            self.react(call)
        call.read()

    def call(self, number: int = 1) -> Call:
        """The n-th connection, waited for."""
        with self.news:
            assert self.news.wait_for(lambda: len(self.calls) >= number, PATIENCE), f"no connection {number}"
            return self.calls[number - 1]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


@contextmanager
def peer(**options: Any) -> Iterator[Peer]:
    server = Peer(**options)
    try:
        yield server
    finally:
        server.close()


_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PORTS = itertools.count(20_000 + 500 * _WORKER)
"""Below those that the kernel gives out, and each worker of pytest-xdist has its own."""


def unused_port() -> int:
    """A port that nobody listens on, and that nobody is given meanwhile."""
    for port in _PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError
