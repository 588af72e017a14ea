"""Sound in a file that has come whole: WAV by itself, and MP3, Ogg and FLAC where soundfile is installed."""

from __future__ import annotations

import io

from voicews.config import AudioFormat
from voicews.dialects.wave_sound import wave_sound
from voicews.errors import ConfigError, FormatUnsupported
from voicews.extras import extra_command

__all__ = ["file_sound"]

_LONGEST = 600
"""Seconds of an answer; a small file of silence can unpack to hours."""


def file_sound(file: bytes) -> tuple[bytes, AudioFormat]:
    """The samples of a sound file as 16-bit PCM, and what they are; at most 10 minutes.

    What is no WAV file needs the library soundfile: ``pip install ".[mp3]"`` in the checkout.

    Raises:
        FormatUnsupported: it is no sound, is too long, or soundfile is needed and not installed.
    """
    if not file or file.startswith(b"RIFF"):
        return wave_sound(file)
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: it is there, but not the library that it wraps
        raise FormatUnsupported(
            "the sound is no WAV file, and soundfile, which decodes MP3, Ogg and FLAC, cannot be used here: "
            f"{extra_command('mp3')}"
        ) from error
    try:
        with soundfile.SoundFile(io.BytesIO(file)) as sound:
            if sound.frames > _LONGEST * sound.samplerate:
                raise FormatUnsupported(f"the sound is longer than {_LONGEST} s")
            described = AudioFormat(sound.samplerate, sound.channels)
            return sound.read(dtype="int16").astype("<i2").tobytes(), described
    except (soundfile.SoundFileError, ConfigError) as error:
        # Its own text names an object of ours and not the file.
        reason = getattr(error, "error_string", None) or str(error)
        raise FormatUnsupported(f"the sound cannot be decoded: {reason}") from error
