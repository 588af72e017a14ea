"""The reference: two bare loops with websocket-client, and nothing else.

It cannot reconnect, notices no dead link, has no limit of any size, and under TLS its two threads are inside
OpenSSL at once.  Nothing in Python that uses threads and websocket-client can do with less.
"""

from __future__ import annotations

import contextlib
import ssl
import threading

import websocket

from benchmarks.sound import Ear, Mouth

FRAME = 320


def connect(url: str, ca: str | None, context: ssl.SSLContext | None = None) -> websocket.WebSocket:
    """Dial as one would by hand."""
    options: dict[str, object] = {}
    if context is not None:
        options["context"] = context
    elif ca is not None:
        options["ca_certs"] = ca
    return websocket.create_connection(url, timeout=5, sslopt=options)


class Client:
    """One client on one URL."""

    def __init__(self, url: str, ca: str | None) -> None:
        self.ear = Ear()
        self._url = url
        self._ca = ca
        self._ending = False

    def open(self) -> None:
        self._socket = connect(self._url, self._ca)
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._send_all, self._receive_all)
        ]
        for thread in self._threads:
            thread.start()

    def _send_all(self) -> None:
        mouth = Mouth(FRAME)
        with contextlib.suppress(websocket.WebSocketException, OSError):
            while not self._ending:
                self._socket.send_binary(mouth.read())

    def _receive_all(self) -> None:
        with contextlib.suppress(websocket.WebSocketException, OSError):
            while not self._ending:
                self.ear.hear(self._socket.recv())

    def close(self) -> None:
        self._ending = True
        for thread in self._threads:
            thread.join(6)
        self._socket.shutdown()

    def dropped(self) -> int:
        return 0
