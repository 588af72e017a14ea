"""Which devices a client takes when none are named."""

from __future__ import annotations

import os

from voicews.audio.base import AudioSink, AudioSource
from voicews.errors import ConfigError

__all__ = ["default_microphone", "default_speaker"]


def default_microphone() -> AudioSource:
    """The machine's default microphone, or silence if the environment says ``VOICEWS_AUDIO=null``.

    Raises:
        ConfigError: the environment says something else.
    """
    if _without_sound():
        from voicews.audio.silence import SilenceSource

        return SilenceSource()
    from voicews.audio.microphone import Microphone

    return Microphone()


def default_speaker() -> AudioSink:
    """The machine's default loudspeaker, or none; likewise."""
    if _without_sound():
        from voicews.audio.silence import NullSink

        return NullSink()
    from voicews.audio.speaker import Speaker

    return Speaker()


def _without_sound() -> bool:
    value = os.environ.get("VOICEWS_AUDIO", "")
    if value not in ("", "null"):
        raise ConfigError(f'the environment says VOICEWS_AUDIO={value}; it may only be "null"')
    return value == "null"
