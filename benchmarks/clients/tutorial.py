"""What most tutorials on voice and WebSockets show: asyncio, with a blocking read of the microphone in it.

1024 samples at a time, as PyAudio's own examples read, sent, and ``asyncio.sleep(0.01)`` after it, "so
that the other task gets its turn".  While the read waits, the event loop stands still.
"""

from __future__ import annotations

import asyncio  # noqa: TID251 - this is what others do
import contextlib
import ssl
import threading

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from benchmarks.sound import Ear, Mouth

CHUNK = 1024


class Client:
    """One client on one URL."""

    def __init__(self, url: str, ca: str | None) -> None:
        self.ear = Ear()
        self._url = url
        self._context = ssl.create_default_context(cafile=ca) if url.startswith("wss") else None
        self._ending = False
        self._opened = threading.Event()

    def open(self) -> None:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)
        self._thread.start()
        self._opened.wait(10)

    async def _main(self) -> None:
        async with connect(self._url, ssl=self._context) as link:
            self._opened.set()
            with contextlib.suppress(ConnectionClosed):
                await asyncio.gather(self._send_all(link), self._receive_all(link))

    async def _send_all(self, link: ClientConnection) -> None:
        stream = Mouth(CHUNK)
        while not self._ending:
            data = stream.read()
            await link.send(data)
            await asyncio.sleep(0.01)
        await link.close()

    async def _receive_all(self, link: ClientConnection) -> None:
        async for message in link:
            if isinstance(message, bytes):
                self.ear.hear(message)

    def close(self) -> None:
        self._ending = True
        self._thread.join(10)

    def dropped(self) -> int:
        return 0
