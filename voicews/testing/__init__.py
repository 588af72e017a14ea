"""Fakes for your own tests: voice servers that need no key, no network and no luck.

Each speaks a real service's language on a real WebSocket of this machine, can be scripted,
and can behave badly.  Needs ``pip install voicews[testing]``.
"""

from voicews.testing.deepgram_agent import FakeDeepgramAgent, FakeDeepgramAgentConnection
from voicews.testing.deepgram_listen import FakeDeepgramListen, FakeDeepgramListenConnection
from voicews.testing.elevenlabs_agent import FakeElevenLabsAgent, FakeElevenLabsAgentConnection
from voicews.testing.gemini_live import FakeGeminiConnection, FakeGeminiLive
from voicews.testing.openai_realtime import FakeOpenAIConnection, FakeOpenAIRealtime
from voicews.testing.script import FakeAnswer
from voicews.testing.server import FactMissing, FakeConnection, FakeServer
from voicews.testing.vosk import FakeVosk, FakeVoskConnection
from voicews.testing.whisper_live import FakeWhisperLive, FakeWhisperLiveConnection

__all__ = [
    "FactMissing",
    "FakeAnswer",
    "FakeConnection",
    "FakeDeepgramAgent",
    "FakeDeepgramAgentConnection",
    "FakeDeepgramListen",
    "FakeDeepgramListenConnection",
    "FakeElevenLabsAgent",
    "FakeElevenLabsAgentConnection",
    "FakeGeminiConnection",
    "FakeGeminiLive",
    "FakeOpenAIConnection",
    "FakeOpenAIRealtime",
    "FakeServer",
    "FakeVosk",
    "FakeVoskConnection",
    "FakeWhisperLive",
    "FakeWhisperLiveConnection",
]
