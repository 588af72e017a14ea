"""Where sound comes from and where it goes.

Importing this package loads neither PyAudio nor pygame nor numpy; each is loaded when
something that needs it is opened.
"""

from voicews.audio.base import AudioSink, AudioSource
from voicews.audio.devices import Device, devices
from voicews.audio.microphone import Microphone
from voicews.audio.pyaudio_speaker import PyAudioSpeaker
from voicews.audio.resample import Resampler
from voicews.audio.silence import NullSink, SilenceSource
from voicews.audio.speaker import Speaker, loudspeakers
from voicews.audio.wav import WavSink, WavSource
from voicews.config import AudioFormat

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
