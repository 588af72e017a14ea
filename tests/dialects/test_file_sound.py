"""Answers as services hand them out: WAV, and what is compressed."""

from __future__ import annotations

import io
import struct
import sys
import wave
from typing import Any

import numpy as np
import pytest
import soundfile

from voicews.config import AudioFormat
from voicews.dialects import file_sound as module
from voicews.dialects.file_sound import file_sound
from voicews.errors import FormatUnsupported

RATE = 24000
TONE = 8000 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)


def encoded(kind: str, samples: Any = None) -> bytes:
    """Made by the library itself: there is no other encoder here."""
    buffer = io.BytesIO()
    # In numbers from -1 to 1, for it gets the loudness of stereo wrong where it makes MP3 from integers.
    soundfile.write(buffer, (TONE if samples is None else samples) / 32768, RATE, format=kind)
    return buffer.getvalue()


def test_wav_needs_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as out:
        out.setsampwidth(2)
        out.setframerate(22050)
        out.setnchannels(1)
        out.writeframes(struct.pack("<2h", 1, -1))
    assert file_sound(buffer.getvalue()) == (struct.pack("<2h", 1, -1), AudioFormat(22050))


@pytest.mark.parametrize("kind", ["MP3", "OGG", "FLAC"])
@pytest.mark.parametrize("channels", [1, 2])
def test_what_is_compressed(kind: str, channels: int) -> None:
    pcm, described = file_sound(encoded(kind, np.column_stack([TONE] * channels)))
    assert described == AudioFormat(RATE, channels)
    got = np.frombuffer(pcm, "<i2").reshape(-1, channels)
    assert len(got) == pytest.approx(RATE, abs=0.1 * RATE)
    for channel in got.T:
        spectrum = np.abs(np.fft.rfft(channel[4000:16000]))
        assert np.argmax(spectrum) == pytest.approx(440 * 12000 / RATE)
        assert np.abs(channel[4000:16000]).max() == pytest.approx(8000, rel=0.1)


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(FormatUnsupported, match=r'pip install "\.\[mp3\]"') as refused:
        file_sound(encoded("FLAC"))
    assert isinstance(refused.value.__cause__, ImportError)


@pytest.mark.parametrize("file", [b"", b"no sound at all" * 100, b"ID3" + bytes(2000), b"RIFF....WAVE"])
def test_what_is_no_sound(file: bytes) -> None:
    with pytest.raises(FormatUnsupported, match=r"^the (WAV )?sound (is|cannot be decoded: [^<]*$)"):
        file_sound(file)


def test_more_channels_than_ears() -> None:
    with pytest.raises(FormatUnsupported, match="channels is 3"):
        file_sound(encoded("FLAC", np.column_stack([TONE] * 3)))


def test_a_small_file_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LONGEST", 1)
    assert file_sound(encoded("FLAC"))
    with pytest.raises(FormatUnsupported, match="longer than 1 s"):
        file_sound(encoded("FLAC", np.zeros(RATE + 1)))
