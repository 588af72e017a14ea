"""Marks are told from each other and from other sound, whatever a server does to them."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from voicews.audio import Resampler
from voicews.cli.chirps import MARK_SECONDS, MARKS, Found, Recogniser, mark
from voicews.config import AudioFormat
from voicews.dialects.mulaw import from_mulaw, to_mulaw

FORMAT = AudioFormat(16000)
SIZE = 640
SPEECH = Path(__file__).parents[2] / "voicews/assistant"


def found(pcm: bytes, format: AudioFormat = FORMAT, size: int = SIZE, look_every: int = 10) -> list[Found]:
    """Pieces arrive at 0, 1, 2, …"""
    recogniser, told = Recogniser(format), []
    for number, start in enumerate(range(0, len(pcm), size)):
        recogniser.feed(pcm[start : start + size], float(number))
        if number % look_every == 0:
            told += recogniser.look()
    return told + recogniser.look(last=True)


def stream(numbers: range, format: AudioFormat = FORMAT, before: float = 0.35) -> bytes:
    return b"".join(format.bytes(before) * b"\0" + mark(n, format) for n in numbers) + bytes(
        format.bytes(0.2)
    )


def numbers(marks: list[Found]) -> list[int]:
    return [each.number for each in marks]


def samples(pcm: bytes) -> np.ndarray:
    return np.frombuffer(pcm, "<i2").astype(float)


def pcm(sound: np.ndarray) -> bytes:
    return np.clip(np.round(sound), -32768, 32767).astype("<i2").tobytes()


@pytest.mark.parametrize("look_every", [1, 7, 1000])
def test_each_is_found_once_and_for_what_it_is(look_every: int) -> None:
    told = found(stream(range(MARKS)), look_every=look_every)
    assert numbers(told) == list(range(MARKS))
    assert min(each.likeness for each in told) > 0.98


def test_it_counts_when_the_piece_with_its_end_came() -> None:
    before = 0.35
    end = FORMAT.bytes(before + MARK_SECONDS)
    (told,) = found(stream(range(1), before=before), size=1000)
    assert told.at == (end - 1) // 1000


@pytest.mark.parametrize("rate", [8000, 24000, 48000])
def test_a_server_may_answer_at_another_rate(rate: int) -> None:
    converter = Resampler(16000, rate)
    changed = converter.process(stream(range(MARKS))) + converter.flush()
    assert numbers(found(changed, AudioFormat(rate))) == list(range(MARKS))


def test_a_telephone_codec_leaves_it_alone() -> None:
    sound = from_mulaw(to_mulaw(stream(range(MARKS))))
    assert numbers(found(sound)) == list(range(MARKS))


def test_it_may_come_back_softer_upside_down_and_with_noise() -> None:
    sound = samples(stream(range(MARKS))) * -0.05
    sound += np.random.default_rng(1).normal(0, 150, len(sound))
    assert numbers(found(pcm(sound))) == list(range(MARKS))


def test_two_channels() -> None:
    stereo = AudioFormat(16000, 2)
    assert numbers(found(stream(range(3), stereo), stereo)) == [0, 1, 2]


def test_a_server_that_leaves_out_silence() -> None:
    assert numbers(found(stream(range(MARKS), before=0.01))) == list(range(MARKS))


def test_other_sound_is_no_mark() -> None:
    time = np.arange(16000 * 5) / 16000
    noise = np.random.default_rng(2).normal(0, 5000, len(time))
    siren = 9000 * np.sin(2 * np.pi * (440 + 300 * np.sin(2 * np.pi * 3 * time)) * time)
    assert found(bytes(32000)) == found(pcm(noise)) == found(pcm(siren)) == []


@pytest.mark.parametrize("recording", sorted(SPEECH.rglob("*.wav")), ids=lambda path: path.stem)
def test_speech_is_no_mark(recording: Path) -> None:
    with wave.open(str(recording)) as file:
        kind = AudioFormat(file.getframerate(), file.getnchannels())
        assert found(file.readframes(file.getnframes()), kind) == []
