"""A microphone that says recordings on request."""

from __future__ import annotations

import time
import wave
from pathlib import Path

import pytest

from tests.cli.answering import tone
from voicews import AudioError
from voicews.cli.recorded_speech import RecordedSpeech
from voicews.config import AudioFormat


def recording(path: Path, pcm: bytes, rate: int = 16000) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm)
    return path


@pytest.fixture
def speech() -> RecordedSpeech:
    speech = RecordedSpeech()
    speech.open(AudioFormat(), 320)
    return speech


def test_silence_until_something_is_to_be_said(speech: RecordedSpeech, tmp_path: Path) -> None:
    assert speech.read() == bytes(640)
    assert speech.idle
    assert speech.speech_ended_at is None
    said = tone(0.04)
    speech.say(recording(tmp_path / "a.wav", said))
    assert not speech.idle
    assert speech.read() + speech.read() == said
    assert not speech.idle
    assert speech.read() == bytes(640)
    assert speech.idle
    speech.close()


def test_one_after_the_other_without_a_gap_and_in_real_time(speech: RecordedSpeech, tmp_path: Path) -> None:
    first, second = tone(0.1), tone(0.1, level=0.2)
    speech.say(recording(tmp_path / "a.wav", first))
    speech.say(recording(tmp_path / "b.wav", second))
    began = time.monotonic()
    assert b"".join(speech.read() for _ in range(10)) == first + second
    assert time.monotonic() - began >= 0.17
    speech.close()


def test_the_end_of_the_speech_is_the_last_loud_frame(speech: RecordedSpeech, tmp_path: Path) -> None:
    speech.say(recording(tmp_path / "a.wav", tone(0.04) + bytes(640 * 3)))
    speech.read()
    before = time.monotonic()
    speech.read()
    after = time.monotonic()
    for _ in range(4):
        speech.read()
    assert speech.idle
    ended = speech.speech_ended_at
    assert ended is not None
    assert before <= ended <= after
    speech.close()


def test_another_rate_is_converted(speech: RecordedSpeech, tmp_path: Path) -> None:
    speech.say(recording(tmp_path / "a.wav", tone(0.2, rate=24000), rate=24000))
    frames = [speech.read() for _ in range(12)]
    assert all(len(frame) == 640 for frame in frames)
    assert speech.idle
    speech.close()


def test_a_file_that_has_gone(speech: RecordedSpeech, tmp_path: Path) -> None:
    speech.say(tmp_path / "gone.wav")
    with pytest.raises(AudioError, match=r"gone\.wav"):
        speech.read()
    speech.close()


def test_closing_in_the_middle_closes_the_file(speech: RecordedSpeech, tmp_path: Path) -> None:
    speech.say(recording(tmp_path / "a.wav", tone(1.0)))
    speech.read()
    speech.close()
    speech.close()
    assert repr(speech) == "RecordedSpeech()"
