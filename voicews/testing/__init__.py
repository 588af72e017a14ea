"""What tests need: voice servers without a key, and a server and a network that misbehave as told.

The fakes speak a real service's language on a real WebSocket of this machine, and can be
scripted.  The fault server and the fault proxy break every rule there is::

    from voicews.testing import FakeOpenAIRealtime, FaultProxy, FaultServer, steps

Needs ``pip install "voicews[testing]"``.
"""

from voicews.testing import steps
from voicews.testing.certificates import Certificates
from voicews.testing.deepgram_listen import FakeDeepgramListen, FakeDeepgramListenConnection
from voicews.testing.fault_proxy import FaultProxy
from voicews.testing.fault_server import FaultConnection, FaultServer
from voicews.testing.openai_realtime import FakeOpenAIConnection, FakeOpenAIRealtime
from voicews.testing.script import FakeAnswer
from voicews.testing.server import FactMissing, FakeConnection, FakeServer
from voicews.testing.vosk import FakeVosk, FakeVoskConnection

__all__ = [
    "Certificates",
    "FactMissing",
    "FakeAnswer",
    "FakeConnection",
    "FakeDeepgramListen",
    "FakeDeepgramListenConnection",
    "FakeOpenAIConnection",
    "FakeOpenAIRealtime",
    "FakeServer",
    "FakeVosk",
    "FakeVoskConnection",
    "FaultConnection",
    "FaultProxy",
    "FaultServer",
    "steps",
]
