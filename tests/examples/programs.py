"""Programs in processes of their own, and a voice server for them to talk with."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from tests.peer import unused_port

ROOT = Path(__file__).parents[2]
PORT = 8765
"""The one that the examples are written for."""


def a_port() -> int:
    """PORT, or a free one where something else listens on that already, or other workers may want it too."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", PORT))
            return PORT
    return unused_port()


def for_port(script: Path, port: int, folder: Path) -> Path:
    """The script as it is written; a copy with the other port where it cannot have that one."""
    if port == PORT:
        return script
    copy = folder / script.name
    copy.write_text(script.read_text(encoding="utf-8").replace(str(PORT), str(port)), encoding="utf-8")
    return copy


class VoiceServer:
    """Answers each text with words and sound, and keeps what it was told.

    Args:
        sound: of an answer, in seconds.

    Attributes:
        answered_at: monotonic time at which the last answer had been sent; None before the first.
    """

    def __init__(self, sound: float = 0.1) -> None:
        self._sound = bytes(round(sound * 16000) * 2)
        self.answered_at: float | None = None
        self._client: ServerConnection | None = None
        self.said: queue.Queue[dict[str, Any]] = queue.Queue()
        self.heard = threading.Event()
        self.close_codes: queue.Queue[int | None] = queue.Queue()
        self._talks: list[threading.Thread] = []
        self.port = a_port()
        self._server: Server = serve(self._talk, "localhost", self.port)
        self._thread = threading.Thread(target=self._server.serve_forever, name="test server")
        self._thread.start()

    def _talk(self, client: ServerConnection) -> None:
        self._talks.append(threading.current_thread())
        self._client = client
        client.send(json.dumps({"type": "transcript", "role": "user", "text": "hello out there"}))
        with contextlib.suppress(ConnectionClosed):
            for message in client:
                if isinstance(message, bytes):
                    self.heard.set()
                    continue
                said = json.loads(message)
                self.said.put(said)
                if said["type"] == "text":
                    self._answer(client)
        self.close_codes.put(client.protocol.close_rcvd.code if client.protocol.close_rcvd else None)

    def tell(self, message: dict[str, Any]) -> None:
        """Say something to the newest client."""
        assert self._client is not None
        self._client.send(json.dumps(message))

    def _answer(self, client: ServerConnection) -> None:
        client.send(json.dumps({"type": "response_started"}))
        for piece in ("It is ", "noon."):
            client.send(json.dumps({"type": "token", "text": piece}))
        client.send(self._sound)
        client.send(json.dumps({"type": "response_done"}))
        self.answered_at = time.monotonic()

    def wait_for(self, kind: str) -> dict[str, Any]:
        while True:
            said = self.said.get(timeout=20)
            if said["type"] == kind:
                return said

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        for talk in self._talks:
            talk.join()


@contextlib.contextmanager
def running(*command: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A Python program without sound devices, which Ctrl+C can end even where CI ignores it."""
    environment = {**os.environ, "VOICEWS_AUDIO": "null", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "-X", "dev", "-W", "error", *command],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        try:
            yield program
        finally:
            program.kill()
