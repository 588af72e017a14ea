"""Fakes for your own tests: voice servers that need no key, no network and no luck.

Each speaks a real service's language on a real WebSocket of this machine, can be scripted,
and can behave badly.  Needs ``pip install voicews[testing]``.
"""

from voicews.testing.deepgram_listen import FakeDeepgramListen, FakeDeepgramListenConnection
from voicews.testing.openai_realtime import FakeOpenAIAnswer, FakeOpenAIConnection, FakeOpenAIRealtime
from voicews.testing.script import FakeAnswer
from voicews.testing.server import FactMissing, FakeConnection, FakeServer

__all__ = [
    "FactMissing",
    "FakeAnswer",
    "FakeConnection",
    "FakeDeepgramListen",
    "FakeDeepgramListenConnection",
    "FakeOpenAIAnswer",
    "FakeOpenAIConnection",
    "FakeOpenAIRealtime",
    "FakeServer",
]
