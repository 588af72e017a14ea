"""The languages of voice servers, and how to add one."""

from voicews.dialects.base import Dialect, Request, Session
from voicews.dialects.deepgram_agent import DeepgramAgent
from voicews.dialects.deepgram_listen import DeepgramListen
from voicews.dialects.elevenlabs_agent import ElevenLabsAgent
from voicews.dialects.gemini_live import GeminiLive
from voicews.dialects.home_assistant_assist import HomeAssistantAssist
from voicews.dialects.openai_realtime import OpenAIRealtime
from voicews.dialects.plain import Plain
from voicews.dialects.vosk import Vosk
from voicews.dialects.whisper_live import WhisperLive

__all__ = [
    "DeepgramAgent",
    "DeepgramListen",
    "Dialect",
    "ElevenLabsAgent",
    "GeminiLive",
    "HomeAssistantAssist",
    "OpenAIRealtime",
    "Plain",
    "Request",
    "Session",
    "Vosk",
    "WhisperLive",
]
