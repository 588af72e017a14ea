"""Who plays in the tests of all dialects: each with its fake, and with what is different about it.

A new dialect gets a :class:`Role` here, and with it the whole-client tests and its row in the
documentation's table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from voicews.config import AudioFormat
from voicews.dialects import (
    DeepgramAgent,
    DeepgramListen,
    Dialect,
    ElevenLabsAgent,
    GeminiLive,
    HomeAssistantAssist,
    OpenAIRealtime,
    Plain,
    Vosk,
    WhisperLive,
)
from voicews.testing import (
    FakeAnswer,
    FakeConnection,
    FakeDeepgramAgent,
    FakeDeepgramListen,
    FakeElevenLabsAgent,
    FakeGeminiLive,
    FakeHomeAssistant,
    FakeOpenAIRealtime,
    FakeServer,
    FakeVosk,
    FakeWhisperLive,
)
from voicews.testing.script import Script
from voicews.testing.speech import Ear, hum

__all__ = ["CAST", "Role"]

_16_KHZ = AudioFormat(16000)


class PlainConnection(FakeConnection):
    """A server of somebody's own, as the guide describes it."""

    server: FakePlain

    def on_open(self) -> None:
        """Listen."""
        self._ear = Ear(_16_KHZ)

    def on_message(self, message: str | bytes) -> None:
        """Answer what is written, and what is said once it is over."""
        if isinstance(message, bytes):
            if self._ear.hear(message):
                self.send({"type": "speech_started"})
            if self._ear.speaking and self._ear.quiet >= 0.5:
                self._take_turn()
            return
        data = json.loads(message)
        if data["type"] == "text":
            self._answer()
        elif data["type"] == "end_of_stream":
            if self._ear.speaking:
                self._take_turn()
            self.send({"type": "finished"})

    def _take_turn(self) -> None:
        self._ear.forget()
        self.send({"type": "speech_stopped"})
        self.send({"type": "transcript", "role": "user", "text": self.server.script.heard(), "final": True})
        self._answer()

    def _answer(self) -> None:
        text = self.server.script.answer().text
        pcm, step = hum(text, _16_KHZ), _16_KHZ.bytes(0.1)
        self.send({"type": "response_started"})
        for start in range(0, len(pcm), step):
            self.pause(self.server.pace)
            self.send(pcm[start : start + step])
        self.send({"type": "response_done", "text": text})


class FakePlain(FakeServer[PlainConnection]):
    """Takes the arguments that all fakes do."""

    connection_class = PlainConnection

    def __init__(
        self,
        *,
        hears: Sequence[str] = ("Hm?",),
        answers: Sequence[FakeAnswer | str] = ("Well.",),
        pace: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.script = Script(type(self).__name__, hears, answers)
        self.pace = pace


@dataclass(frozen=True)
class Role:
    """A dialect and how it is played."""

    dialect: type[Dialect]
    page: str
    """In the documentation, seen from docs/dialects."""
    server: str
    """What speaks it, in a few words."""
    fake: type[FakeServer[Any]]
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What has to be given, beside the address."""
    by_hand: Mapping[str, Any] | None = None
    """The settings by which turns are the user's; None if there are none, or none are needed."""
    memory: str = "Remember seven."
    """What a new connection says if "Remember seven." was said on the one before."""

    def play(self, url: str | None = None, **more: Any) -> Dialect:
        """The dialect, at this address."""
        where = {} if url is None else {"url": url}
        return self.dialect(**{**self.settings, **where, **more})

    def __str__(self) -> str:
        return self.dialect.__name__


CAST = (
    Role(
        Plain,
        "../reference/plain.md",
        "one of your own, and most simple ones",
        FakePlain,
        {"resume": True, "eof": {"type": "end_of_stream"}},
    ),
    Role(
        OpenAIRealtime,
        "openai-realtime.md",
        "OpenAI, Azure, LocalAI, Speaches",
        FakeOpenAIRealtime,
        {"model": "m", "transcription": "any", "key": "k"},
        by_hand={"turn_detection": None},
    ),
    Role(DeepgramAgent, "deepgram-agent.md", "Deepgram", FakeDeepgramAgent, {"think": "m", "key": "k"}),
    Role(
        DeepgramListen,
        "deepgram-listen.md",
        "Deepgram, WhisperLiveKit",
        FakeDeepgramListen,
        {"key": "k"},
    ),
    Role(ElevenLabsAgent, "elevenlabs-agent.md", "ElevenLabs", FakeElevenLabsAgent, {"agent_id": "a"}),
    Role(
        GeminiLive,
        "gemini-live.md",
        "Google",
        FakeGeminiLive,
        {"model": "m", "key": "k"},
        by_hand={"turn_detection": None},
        memory="handle-1",
    ),
    Role(
        HomeAssistantAssist,
        "home-assistant-assist.md",
        "Home Assistant",
        FakeHomeAssistant,
        {"key": "k"},
        by_hand={"listen": "turns"},
        memory="conversation-1",
    ),
    Role(Vosk, "vosk.md", "Vosk", FakeVosk),
    Role(WhisperLive, "whisper-live.md", "WhisperLive", FakeWhisperLive, {"language": "en"}),
)
