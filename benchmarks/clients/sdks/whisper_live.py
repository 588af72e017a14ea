"""WhisperLive's own client, with the loop that its recording has, but 20 ms at a time."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
from types import ModuleType
from urllib.parse import urlsplit

import numpy as np

from benchmarks.clients.sdks.speaking import SdkClient

sys.modules["pyaudio"] = ModuleType("pyaudio")  # it imports it, and this part of it does not use it
sys.modules["scipy"] = ModuleType("scipy")

from whisper_live.client import Client as WhisperLiveClient  # noqa: E402


class Client(SdkClient):
    """One client on one URL."""

    def __init__(self, url: str, ca: str | None) -> None:
        super().__init__()
        self._address = urlsplit(url)

    def open(self) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            self._client = WhisperLiveClient(
                self._address.hostname,
                self._address.port,
                lang="en",
                use_wss=self._address.scheme == "wss",
                log_transcription=False,
                transcription_callback=self._read,
            )
            never = threading.Event()
            while not self._client.recording:
                never.wait(0.01)
        self.start(lambda: self.speak(self._send))

    def _send(self, pcm: bytes) -> None:
        samples = np.frombuffer(pcm, np.int16).astype(np.float32) / 32768.0
        self._client.send_packet_to_server(samples.tobytes())

    def _read(self, text: str, segments: list[dict[str, object]]) -> None:
        self.ear.read(text)

    def close(self) -> None:
        self.end()
        with contextlib.redirect_stdout(io.StringIO()):
            # Not its close_websocket(): that may wait ten seconds for a thread whose select() it has missed.
            self._client.get_client_socket().close()
