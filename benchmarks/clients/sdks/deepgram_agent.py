"""Deepgram's own client with a voice agent: one thread sends, one is in ``start_listening()``."""

from __future__ import annotations

import contextlib
from urllib.parse import urlsplit

from deepgram import DeepgramClient
from deepgram.agent.v1.types import AgentV1Settings
from deepgram.core.events import EventType
from deepgram.environment import DeepgramClientEnvironment

from benchmarks.clients.sdks.speaking import SdkClient

_SETTINGS = {
    "audio": {
        "input": {"encoding": "linear16", "sample_rate": 16_000},
        "output": {"encoding": "linear16", "sample_rate": 24_000, "container": "none"},
    },
    "agent": {
        "listen": {"provider": {"type": "deepgram", "version": "v1", "model": "nova-3"}},
        "think": {"provider": {"type": "open_ai", "model": "any"}},
        "speak": {"provider": {"type": "deepgram", "model": "aura-2-thalia-en"}},
    },
}


class Client(SdkClient):
    """One client on one URL."""

    def __init__(self, url: str, ca: str | None, *, queued: bool = False) -> None:
        super().__init__(queued, says=24_000)
        parts = urlsplit(url)
        base = f"{parts.scheme}://{parts.netloc}"
        place = DeepgramClientEnvironment(base=base, production=base, agent=base, agent_rest=base)
        self._client = DeepgramClient(api_key="any", environment=place)
        self._stack = contextlib.ExitStack()

    def open(self) -> None:
        self._agent = self._stack.enter_context(self._client.agent.v1.connect())
        self._agent.recv()  # its welcome
        self._agent.send_settings(AgentV1Settings.model_validate(_SETTINGS))
        self._agent.recv()  # the settings are applied
        self._agent.on(EventType.MESSAGE, self._hear)
        self.start(lambda: self.speak(self._agent.send_media), self._agent.start_listening)

    def _hear(self, message: object) -> None:
        if isinstance(message, bytes):
            self.hear(message)

    def close(self) -> None:
        self.end()
        self._stack.close()
