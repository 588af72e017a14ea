from __future__ import annotations

import sys
from dataclasses import dataclass, field

import numpy as np
import pytest

from tests.assistant.caller import pcm_of, silence, spoken
from voicews.assistant.ears import RATE
from voicews.assistant.speech import utterances
from voicews.assistant.turns import TurnDetector, TurnEnded, TurnSound, TurnStarted
from voicews.assistant.voice import FliteVoice, HibariVoice
from voicews.errors import BackendMissing, ConfigError


@dataclass
class Found:
    """Where turns began and ended in a stream (seconds), and their sound."""

    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    sounds: list[bytes] = field(default_factory=list)


def detect(pcm: bytes, detector: TurnDetector | None = None, step: int = 640) -> Found:
    detector = detector or TurnDetector()
    found = Found()
    for start in range(0, len(pcm), step):
        for event in detector.feed(pcm[start : start + step]):
            at = (start + step) / 2 / RATE
            if isinstance(event, TurnStarted):
                found.starts.append(at)
                found.sounds.append(b"")
            elif isinstance(event, TurnEnded):
                found.ends.append(at)
            else:
                found.sounds[-1] += event.pcm
    return found


@pytest.mark.parametrize("step", [320, 640, 1000, 100_000])
def test_one_turn(step: int) -> None:
    speech = pcm_of(utterances()[0].path)
    seconds = len(speech) / 2 / RATE
    found = detect(silence(1.0) + speech + silence(2.0), step=step)
    assert len(found.starts) == len(found.ends) == 1
    if step <= 1000:
        assert 1.0 <= found.starts[0] <= 1.5
        assert seconds + 0.9 <= found.ends[0] <= seconds + 1.5
    # All of the speech is in it, with a little before.
    assert speech[6400:-12800] in found.sounds[0]


@pytest.mark.parametrize("text", ["Yes.", "No.", "Stop.", "Hello."])
def test_short_words_are_turns(voice: HibariVoice, flite: FliteVoice, text: str) -> None:
    for speaker in (voice, flite):
        found = detect(silence(0.5) + spoken(speaker, text) + silence(1.0))
        assert len(found.ends) == 1, speaker.name


def test_a_comma_does_not_end_a_turn(voice: HibariVoice) -> None:
    found = detect(silence(0.5) + spoken(voice, "Thank you, goodbye.") + silence(1.0))
    assert len(found.starts) == 1


def test_several_turns(voice: HibariVoice) -> None:
    parts = [pcm_of(utterance.path) + silence(1.0) for utterance in utterances()]
    found = detect(b"".join(parts))
    assert len(found.starts) == len(found.ends) == len(parts)


def test_a_longer_hangover_joins_what_a_shorter_one_parts() -> None:
    speech = pcm_of(utterances()[0].path)
    stream = speech + silence(0.6) + speech + silence(2.0)
    assert len(detect(stream).starts) == 2
    assert len(detect(stream, TurnDetector(1.5)).starts) == 1


@pytest.mark.parametrize("kind", ["silence", "hiss", "clicks", "knock"])
def test_what_is_no_speech_begins_no_turn(kind: str) -> None:
    chance = np.random.default_rng(5)
    count = 3 * RATE
    samples = {
        "silence": np.zeros(count),
        "hiss": chance.normal(0, 30, count),
        "clicks": np.where(np.arange(count) % 8000 < 20, 20000, 0),
        "knock": np.where(np.arange(count) < 1200, chance.normal(0, 8000, count), 0),
    }[kind]
    assert not detect(samples.astype("<i2").tobytes()).starts


def test_a_click_in_the_silence_does_not_prolong_a_turn() -> None:
    speech = pcm_of(utterances()[0].path)
    pause = bytearray(silence(2.0))
    pause[9600:9640] = b"\xff\x5f" * 20
    plain, clicked = detect(speech + silence(2.0)), detect(speech + bytes(pause))
    assert clicked.ends[0] <= plain.ends[0] + 0.1


class TestButton:
    def test_held_a_turn_outlives_silence(self) -> None:
        detector = TurnDetector()
        assert [type(event) for event in detector.hold()] == [TurnStarted]
        assert (detector.held, detector.in_turn) == (True, True)
        found = list(detector.feed(silence(3.0)))
        assert all(isinstance(event, TurnSound) and not event.voiced for event in found)
        assert [type(event) for event in detector.end()] == [TurnEnded]
        assert (detector.held, detector.in_turn) == (False, False)

    def test_pressed_in_the_middle_of_a_turn_it_goes_on(self) -> None:
        detector = TurnDetector()
        started = next(iter(detector.feed(pcm_of(utterances()[0].path))))
        assert isinstance(started, TurnStarted)
        assert list(detector.hold()) == []
        assert detector.in_turn

    def test_what_is_left_belongs_to_the_turn(self) -> None:
        detector = TurnDetector()
        list(detector.hold())
        list(detector.feed(b"\x01\x00" * 100 + b"\x01"))
        sound, end = detector.end()
        assert isinstance(sound, TurnSound)
        assert sound.pcm == b"\x01\x00" * 100
        assert isinstance(end, TurnEnded)
        assert list(detector.end()) == []


def test_silence_is_counted_up_to_the_end() -> None:
    detector = TurnDetector()
    sounds = [
        event
        for event in detector.feed(pcm_of(utterances()[0].path) + silence(1.0))
        if isinstance(event, TurnSound)
    ]
    assert sounds[0].silence == 0
    assert 0.3 <= sounds[-1].silence <= 0.5


@pytest.mark.parametrize("hangover", [0.0, 6.0, -1.0])
def test_bounds(hangover: float) -> None:
    with pytest.raises(ConfigError, match=r"from 0\.15 to 5"):
        TurnDetector(hangover)


def test_nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(BackendMissing, match=r'pip install "\.\[assistant\]"'):
        TurnDetector()
