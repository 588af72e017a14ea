"""Sound in a WAV file that has come whole, in bytes."""

from __future__ import annotations

import io

from voicews.config import AudioFormat
from voicews.errors import FormatUnsupported
from voicews.riff import read_head

__all__ = ["wave_sound"]

_OTHERS = {
    b"ID3": "MP3",
    b"\xff\xfb": "MP3",
    b"\xff\xf3": "MP3",
    b"\xff\xf2": "MP3",
    b"OggS": "Ogg",
    b"fLaC": "FLAC",
}


def wave_sound(file: bytes) -> tuple[bytes, AudioFormat]:
    """The samples of a WAV file as 16-bit PCM, and what they are.

    PCM of 8, 16, 24 or 32 bits, mono or stereo.  A length that was not known when the file was
    begun, as in one that is written while it is spoken, is taken for "all that follows".

    Raises:
        FormatUnsupported: it is no such file; the message says what it seems to be.
    """
    if len(file) < 12 or file[:4] != b"RIFF" or file[8:12] != b"WAVE":
        kind = next((name for magic, name in _OTHERS.items() if file.startswith(magic)), "no WAV file")
        raise FormatUnsupported(f"the sound is {kind if file else 'empty'}; only WAV can be decoded")
    stream = io.BytesIO(file[12:])
    samples = read_head(stream.read, "the WAV sound")
    rest = samples.ahead + stream.read()
    body = rest if samples.length is None else rest[: samples.length]
    return samples.to_16_bit(body[: len(body) - len(body) % samples.block]), samples.format
