"""Where sound comes from and where it goes.

Importing this package loads neither PyAudio nor pygame nor numpy; each is loaded when
something that needs it is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicews.config import AudioFormat
from voicews.lazy import load

if TYPE_CHECKING:
    from voicews.audio.base import AudioSink, AudioSource
    from voicews.audio.listing import Device, devices
    from voicews.audio.microphone import Microphone
    from voicews.audio.pyaudio_speaker import PyAudioSpeaker
    from voicews.audio.resample import Resampler
    from voicews.audio.silence import NullSink, SilenceSource
    from voicews.audio.speaker import Speaker, loudspeakers
    from voicews.audio.wav import WavSink, WavSource

__all__ = [
    "AudioFormat",
    "AudioSink",
    "AudioSource",
    "Device",
    "Microphone",
    "NullSink",
    "PyAudioSpeaker",
    "Resampler",
    "SilenceSource",
    "Speaker",
    "WavSink",
    "WavSource",
    "devices",
    "loudspeakers",
]

_HOMES = {
    "AudioSink": "base",
    "AudioSource": "base",
    "Device": "listing",
    "Microphone": "microphone",
    "NullSink": "silence",
    "PyAudioSpeaker": "pyaudio_speaker",
    "Resampler": "resample",
    "SilenceSource": "silence",
    "Speaker": "speaker",
    "WavSink": "wav",
    "WavSource": "wav",
    "devices": "listing",
    "loudspeakers": "speaker",
}


def __getattr__(name: str) -> object:
    return load(__name__, name, [_HOMES[name]] if name in _HOMES else [])


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
