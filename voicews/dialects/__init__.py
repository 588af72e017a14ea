"""The languages of voice servers, and how to add one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicews.lazy import load

if TYPE_CHECKING:
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

_HOMES = {
    "DeepgramAgent": "deepgram_agent",
    "DeepgramListen": "deepgram_listen",
    "Dialect": "base",
    "ElevenLabsAgent": "elevenlabs_agent",
    "GeminiLive": "gemini_live",
    "HomeAssistantAssist": "home_assistant_assist",
    "OpenAIRealtime": "openai_realtime",
    "Plain": "plain",
    "Request": "base",
    "Session": "base",
    "Vosk": "vosk",
    "WhisperLive": "whisper_live",
}


def __getattr__(name: str) -> object:
    return load(__name__, name, [_HOMES[name]] if name in _HOMES else [])


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
