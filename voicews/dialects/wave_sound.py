"""Sound in a WAV file that has come whole, in bytes."""

from __future__ import annotations

import struct
from array import array

from voicews.config import AudioFormat
from voicews.errors import ConfigError, FormatUnsupported

__all__ = ["wave_sound"]

_PCM = 1
_EXTENSIBLE = 0xFFFE
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
    place, described = 12, None
    while place + 8 <= len(file):
        name, size = struct.unpack_from("<4sI", file, place)
        body = file[place + 8 : place + 8 + size]
        if name == b"fmt ":
            described = _description(body)
        elif name == b"data":
            if described is None:
                break
            sound, width = described
            if size == 0:
                body = file[place + 8 :]
            frame = width * sound.channels
            return _as_16_bits(body[: len(body) - len(body) % frame], width), sound
        place += 8 + size + size % 2
    raise FormatUnsupported("the sound is a broken WAV file")


def _description(chunk: bytes) -> tuple[AudioFormat, int]:
    """The format, and the bytes of one sample of one channel."""
    if len(chunk) < 16:
        raise FormatUnsupported("the sound is a broken WAV file")
    encoding, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
    if encoding == _EXTENSIBLE and len(chunk) >= 26:
        (encoding,) = struct.unpack_from("<H", chunk, 24)
    if encoding != _PCM or bits not in (8, 16, 24, 32):
        raise FormatUnsupported(
            f"the sound is a WAV file of encoding {encoding} with {bits} bits; PCM is needed"
        )
    try:
        return AudioFormat(rate, channels), bits // 8
    except ConfigError as error:
        raise FormatUnsupported(f"the sound is a WAV file of {channels} channels at {rate} Hz") from error


def _as_16_bits(samples: bytes, width: int) -> bytes:
    if width == 2:
        return samples
    if width == 1:
        return array("h", ((sample - 128) << 8 for sample in samples)).tobytes()
    # Little-endian: the two most significant bytes of each sample are its last two.
    kept = bytearray(len(samples) // width * 2)
    kept[0::2], kept[1::2] = samples[width - 2 :: width], samples[width - 1 :: width]
    return bytes(kept)
