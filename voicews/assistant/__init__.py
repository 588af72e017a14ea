"""The embedded assistant: a local voice server, and what it hears, thinks and speaks with.

It needs the extra of the same name, ``pip install ".[assistant]"`` in the checkout; importing this
package does not.
"""

from __future__ import annotations

from voicews.assistant.brain import Brain, SpeaksUp, load_brain
from voicews.assistant.conversation import AssistantConfig
from voicews.assistant.ears import Ears, Hearing, load_ears
from voicews.assistant.home import HomeHelper
from voicews.assistant.server import AssistantServer
from voicews.assistant.voice import Voice, load_voice

__all__ = [
    "AssistantConfig",
    "AssistantServer",
    "Brain",
    "Ears",
    "Hearing",
    "HomeHelper",
    "SpeaksUp",
    "Voice",
    "load_brain",
    "load_ears",
    "load_voice",
]
