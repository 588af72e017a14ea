"""WAV files that come whole, as speech engines write them."""

from __future__ import annotations

import io
import struct
import wave

import pytest

from voicews.config import AudioFormat
from voicews.dialects.wave_sound import wave_sound
from voicews.errors import FormatUnsupported


def file(pcm: bytes, *, width: int = 2, rate: int = 22050, channels: int = 1) -> bytes:
    """As Python's own library writes it."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as out:
        out.setsampwidth(width)
        out.setframerate(rate)
        out.setnchannels(channels)
        out.writeframes(pcm)
    return buffer.getvalue()


@pytest.mark.parametrize("channels", [1, 2])
def test_16_bits(channels: int) -> None:
    pcm = struct.pack("<8h", *range(-4, 4))
    assert wave_sound(file(pcm, channels=channels)) == (pcm, AudioFormat(22050, channels))


@pytest.mark.parametrize(
    ("width", "samples", "expected"),
    [
        (1, b"\x00\x80\xff", [-32768, 0, 0x7F00]),
        (3, b"\xff\x01\x00\x00\x00\x80\x12\xff\x7f", [1, -32768, 32767]),
        (4, struct.pack("<3i", 0x10000, -0x80000000, 0x7FFFFFFF), [1, -32768, 32767]),
    ],
)
def test_other_widths(width: int, samples: bytes, expected: list[int]) -> None:
    pcm, made = wave_sound(file(samples, width=width, rate=8000))
    assert list(struct.unpack(f"<{len(pcm) // 2}h", pcm)) == expected
    assert made == AudioFormat(8000)


def test_a_half_sample_at_the_end_is_left_out() -> None:
    assert wave_sound(file(b"\1\0\2\0")[:-1])[0] == b"\1\0"


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 0x7FFFFFFF])
def test_a_file_written_while_it_was_spoken(length: int) -> None:
    """Its length was not known when it was begun."""
    whole = bytearray(file(b"\1\0\2\0\3\0"))
    struct.pack_into("<I", whole, 40, length)
    assert wave_sound(bytes(whole))[0] == b"\1\0\2\0\3\0"


def test_other_chunks_are_passed_over() -> None:
    plain = file(b"\1\0\2\0")
    odd = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    assert wave_sound(plain[:12] + odd + plain[12:] + odd)[0] == b"\1\0\2\0"


def test_the_extensible_form() -> None:
    described = struct.pack("<HHIIHHHHIH14s", 0xFFFE, 1, 48000, 96000, 2, 16, 22, 16, 4, 1, bytes(14))
    chunks = (
        b"fmt " + struct.pack("<I", len(described)) + described + b"data" + struct.pack("<I", 2) + b"\1\0"
    )
    assert wave_sound(b"RIFF\0\0\0\0WAVE" + chunks) == (b"\1\0", AudioFormat(48000))


@pytest.mark.parametrize(
    ("what", "why"),
    [
        (b"", "empty"),
        (b"ID3\4" + bytes(20), "MP3"),
        (b"\xff\xfb" + bytes(20), "MP3"),
        (b"OggS" + bytes(20), "Ogg"),
        (b"fLaC" + bytes(20), "FLAC"),
        (b"<html>404</html>", "no WAV file"),
        (file(b"")[:30], "broken"),
        (b"RIFF\0\0\0\0WAVEdata\2\0\0\0\1\0", "broken"),
        (b"RIFF\0\0\0\0WAVEfmt \2\0\0\0\1\0", "broken"),
        (file(b"\1\0").replace(b"\1\0\1\0\x22", b"\3\0\1\0\x22"), "floating point"),
        (file(b"\1\0", rate=1), "1 Hz"),
    ],
)
def test_what_cannot_be_decoded(what: bytes, why: str) -> None:
    with pytest.raises(FormatUnsupported, match=why):
        wave_sound(what)
