"""The bare loops with a queue between sound and socket on either side: four threads, as any client needs that
must not lose sound while the other end of it stalls.  It shows what the hand-overs alone cost.
"""

from __future__ import annotations

import contextlib
import queue
import threading

import websocket

from benchmarks.clients import bare
from benchmarks.sound import Ear, Mouth


class Client:
    """One client on one URL."""

    def __init__(self, url: str, ca: str | None) -> None:
        self.ear = Ear()
        self._url = url
        self._ca = ca
        self._ending = False
        self._up: queue.Queue[bytes] = queue.Queue(100)
        self._down: queue.Queue[bytes] = queue.Queue(1000)

    def open(self) -> None:
        self._socket = bare.connect(self._url, self._ca)
        works = (self._capture, self._send_all, self._receive_all, self._play)
        self._threads = [threading.Thread(target=work, daemon=True) for work in works]
        for thread in self._threads:
            thread.start()

    def _capture(self) -> None:
        mouth = Mouth(bare.FRAME)
        while not self._ending:
            self._up.put(mouth.read())

    def _send_all(self) -> None:
        with contextlib.suppress(websocket.WebSocketException, OSError):
            while not self._ending:
                self._socket.send_binary(self._up.get())

    def _receive_all(self) -> None:
        with contextlib.suppress(websocket.WebSocketException, OSError):
            while not self._ending:
                self._down.put(self._socket.recv())
        self._down.put(b"")

    def _play(self) -> None:
        while sound := self._down.get():
            self.ear.hear(sound)

    def close(self) -> None:
        self._ending = True
        for thread in self._threads:
            thread.join(6)
        self._socket.shutdown()

    def dropped(self) -> int:
        return 0
