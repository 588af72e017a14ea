"""From options to microphones, loudspeakers and files."""

from __future__ import annotations

import os
from pathlib import Path

from voicews.audio import (
    AudioSink,
    AudioSource,
    Microphone,
    NullSink,
    SilenceSource,
    Speaker,
    WavSink,
    WavSource,
)
from voicews.config import AudioFormat

__all__ = ["loudspeaker", "microphone", "require_wav", "without_devices"]


def without_devices() -> bool:
    """True if the environment says that sound devices are to be left alone."""
    return os.environ.get("VOICEWS_AUDIO") == "null"


def microphone(device: int | str | None) -> AudioSource:
    """The microphone that ``--mic`` names, or the default one as :class:`~voicews.VoiceClient` has it."""
    return SilenceSource() if device is None and without_devices() else Microphone(device)


def loudspeaker(device: int | str | None, output: Path | None) -> AudioSink:
    """What ``--output`` or ``--speaker`` names, or the default likewise."""
    if output is not None:
        return WavSink(output)
    return NullSink() if device is None and without_devices() else Speaker(device)


def require_wav(path: Path) -> None:
    """Refuse a recording that could not be said; a pipe's beginning can be read only once, later.

    Raises:
        AudioError: it cannot be read, or is of a kind that is not supported.
    """
    if path.is_fifo() or path.is_char_device():
        return
    recording = WavSource(path, realtime=False)
    try:
        recording.open(AudioFormat(), 320)
        recording.read()
    finally:
        recording.close()
