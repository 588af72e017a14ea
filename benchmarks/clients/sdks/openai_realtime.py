"""OpenAI's own client: one thread sends, one receives."""

from __future__ import annotations

import base64
from urllib.parse import urlsplit

from openai import OpenAI

from benchmarks.clients.sdks.speaking import SdkClient


class Client(SdkClient):
    """One client on one URL."""

    def __init__(self, url: str, ca: str | None, *, queued: bool = False) -> None:
        super().__init__(queued, hears=24_000, says=24_000)
        parts = urlsplit(url)
        openai = OpenAI(api_key="any", websocket_base_url=f"{parts.scheme}://{parts.netloc}/v1")
        self._manager = openai.realtime.connect(model="any")

    def open(self) -> None:
        self._talk = self._manager.enter()
        self._talk.session.update(
            session={
                "type": "realtime",
                "audio": {
                    "input": {
                        "format": {"type": "audio/pcm", "rate": 24_000},
                        "turn_detection": {"type": "server_vad"},
                    },
                    "output": {"format": {"type": "audio/pcm", "rate": 24_000}},
                },
            }
        )
        while self._talk.recv().type != "session.updated":
            """What comes before is its greeting."""
        self.start(lambda: self.speak(self._send), self._hear)

    def _send(self, pcm: bytes) -> None:
        self._talk.input_audio_buffer.append(audio=base64.b64encode(pcm).decode())

    def _hear(self) -> None:
        for event in self._talk:
            if event.type == "response.output_audio.delta":
                self.hear(base64.b64decode(event.delta))

    def close(self) -> None:
        self.end()
        self._talk.close()
