"""What tests need: voice servers without a key, and a server and a network that misbehave as told.

The fakes speak a real service's language on a real WebSocket of this machine, and can be
scripted.  The fault server and the fault proxy break every rule there is::

    from voicews.testing import FakeOpenAIRealtime, FaultProxy, FaultServer, steps

Needs the extra: ``pip install ".[testing]"`` in the checkout.
"""

from voicews.testing import steps
from voicews.testing.certificates import Certificates
from voicews.testing.deepgram_agent import FakeDeepgramAgent, FakeDeepgramAgentConnection
from voicews.testing.deepgram_listen import FakeDeepgramListen, FakeDeepgramListenConnection
from voicews.testing.elevenlabs_agent import FakeElevenLabsAgent, FakeElevenLabsAgentConnection
from voicews.testing.fault_proxy import FaultProxy
from voicews.testing.fault_server import FaultConnection, FaultServer
from voicews.testing.gemini_live import FakeGeminiConnection, FakeGeminiLive
from voicews.testing.home_assistant import FakeHomeAssistant, FakeHomeAssistantConnection
from voicews.testing.openai_realtime import FakeOpenAIConnection, FakeOpenAIRealtime
from voicews.testing.script import FakeAnswer
from voicews.testing.server import FactMissing, FakeConnection, FakeServer
from voicews.testing.vosk import FakeVosk, FakeVoskConnection
from voicews.testing.whisper_live import FakeWhisperLive, FakeWhisperLiveConnection

__all__ = [
    "Certificates",
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
    "FakeHomeAssistant",
    "FakeHomeAssistantConnection",
    "FakeOpenAIConnection",
    "FakeOpenAIRealtime",
    "FakeServer",
    "FakeVosk",
    "FakeVoskConnection",
    "FakeWhisperLive",
    "FakeWhisperLiveConnection",
    "FaultConnection",
    "FaultProxy",
    "FaultServer",
    "steps",
]
