"""ElevenLabs' own client: its ``Conversation`` with sound devices of pure time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from urllib.parse import urlsplit

from elevenlabs import ElevenLabs
from elevenlabs.conversational_ai.conversation import AudioInterface, Conversation

from benchmarks.clients.sdks.speaking import SdkClient


class _Sound(AudioInterface):  # type: ignore[misc]
    """The devices.  The loudspeaker takes sound at once, so that it needs no queue before it."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def start(self, input_callback: Callable[[bytes], None]) -> None:
        self._client.start(lambda: self._client.speak(input_callback))
        self._client.started.set()

    def stop(self) -> None:
        """Not from here: the client ends before."""

    def output(self, audio: bytes) -> None:
        self._client.hear(audio)

    def interrupt(self) -> None:
        """Nothing waits."""


class Client(SdkClient):
    """One client on one URL."""

    def __init__(self, url: str, ca: str | None, *, queued: bool = False) -> None:
        super().__init__(queued)
        self.started = threading.Event()
        parts = urlsplit(url)
        base = f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}"
        self._conversation = Conversation(
            ElevenLabs(api_key="any", base_url=base),
            "any",
            requires_auth=False,
            audio_interface=_Sound(self),
        )

    def open(self) -> None:
        self._conversation.start_session()
        self.started.wait(10)

    def close(self) -> None:
        self.end()
        self._conversation.end_session()
        self._conversation.wait_for_session_end()
