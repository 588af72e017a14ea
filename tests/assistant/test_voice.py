from __future__ import annotations

import shutil
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.assistant.caller import resampled
from voicews.assistant import voice as voices
from voicews.assistant.speech import word_error_rate
from voicews.assistant.voice import CommandVoice, EspeakVoice, FliteVoice, HibariVoice, Voice, load_voice
from voicews.assistant.whisper import WhisperEars
from voicews.errors import AudioError, BackendMissing, ConfigError

SENTENCES = (
    "Seven times eight is fifty-six.",
    "Today is Sunday, November 22nd.",
    "Your timer is set for 10 minutes.",
    "I can tell the time and the date, do sums, and keep timers.",
    "Hello. What can I do for you?",
)


def heard(ears: WhisperEars, voice: Voice, text: str) -> str:
    hearing = ears.listen()
    hearing.feed(resampled(b"".join(voice.say(text)), voice.rate))
    return hearing.finish()


@pytest.mark.parametrize("name", ["voice", "flite"])
def test_the_ears_understand_the_voice(ears: WhisperEars, name: str, request: pytest.FixtureRequest) -> None:
    voice: Voice = request.getfixturevalue(name)
    rates = []
    for sentence in SENTENCES:
        text = heard(ears, voice, sentence)
        rates.append(word_error_rate(sentence, text))
        print(f"{voice.name}: {sentence!r} -> {text!r} (WER {rates[-1]:.2f})")
    assert sum(rates) / len(rates) <= 0.15


@pytest.mark.parametrize("name", ["voice", "flite"])
def test_silence_around_a_sentence_is_short(name: str, request: pytest.FixtureRequest) -> None:
    voice: Voice = request.getfixturevalue(name)
    samples = np.frombuffer(b"".join(voice.say("Hello.")), "<i2").astype(int)
    loud = np.flatnonzero(np.abs(samples) > 1000)
    assert loud[0] / voice.rate < 0.2
    assert (len(samples) - loud[-1]) / voice.rate < 0.45


@pytest.mark.parametrize("text", ["", "...", " \n", "**", "\U0001f600"])
@pytest.mark.parametrize("name", ["voice", "flite"])
def test_nothing_to_say_is_silence(name: str, text: str, request: pytest.FixtureRequest) -> None:
    voice: Voice = request.getfixturevalue(name)
    assert b"".join(voice.say(text)) == b""


@pytest.mark.parametrize(
    "text", ["-t /etc/passwd", "; true", "$(true)", "--help", '"quoted"', "{text} {wav}"]
)
def test_text_is_only_spoken(flite: FliteVoice, text: str) -> None:
    assert len(b"".join(flite.say(text))) > 0.1 * flite.rate


def test_the_same_text_sounds_the_same(voice: HibariVoice) -> None:
    assert list(voice.say("Hello there.")) == list(voice.say("Hello there."))


def test_long_texts_come_sentence_by_sentence(voice: HibariVoice) -> None:
    assert len(list(voice.say("One. Two. Three."))) == 3


def test_many_threads_speak_at_once(voice: HibariVoice) -> None:
    texts = ["Hello there.", "What is that?", "Seven times eight.", "Goodbye."]
    alone = {text: b"".join(voice.say(text)) for text in texts}
    together: list[tuple[str, bytes]] = []

    def speak(text: str) -> None:
        together.extend((text, b"".join(voice.say(text))) for _ in range(3))

    threads = [threading.Thread(target=speak, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(together) == 12
    assert all(alone[text] == pcm for text, pcm in together)


def test_the_best_voice_is_taken() -> None:
    assert load_voice().name == "hibari (heart)"
    assert load_voice("flite").name == "flite (slt)"


def test_a_voice_that_does_not_exist() -> None:
    with pytest.raises(ConfigError, match="must be one of auto, hibari, flite, espeak-ng"):
        load_voice("loud")


def test_without_hibari_flite_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hibari", None)
    with pytest.raises(BackendMissing, match=r'pip install "\.\[assistant\]"'):
        HibariVoice()
    assert load_voice().name == "flite (slt)"


def test_without_any_voice_all_ways_out_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hibari", None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(BackendMissing) as caught:
        load_voice()
    for way in ('pip install ".[assistant]"', "apt install flite", "apt install espeak-ng"):
        assert way in str(caught.value)


def test_a_hibari_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    import hibari

    def fail(**settings: object) -> None:
        raise RuntimeError("no such file")

    monkeypatch.setattr(hibari, "Hibari", fail)
    with pytest.raises(BackendMissing, match="no such file"):
        HibariVoice()


def test_a_synthesizer_that_fails(voice: HibariVoice, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(text: str) -> list[str]:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(voice._hibari, "phonemize", fail)
    with pytest.raises(AudioError, match="out of memory"):
        list(voice.say("Hello."))


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo broken >&2; exit 3", "exit code 3: broken"),
        ("exit 0", "No such file"),
        ('echo nonsense > "$1"', "failed"),
        ("exec sleep 30", "timed out"),
    ],
)
def test_a_program_that_fails(tmp_path: Path, script: str, message: str) -> None:
    program = tmp_path / "speak"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    with pytest.raises(AudioError, match=message):
        CommandVoice((str(program), "{wav}", "{text}"), name="test", package="test", timeout=0.5)


def test_espeak_is_called_rightly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flite: FliteVoice) -> None:
    # espeak-ng itself need not be installed: its stand-in speaks with flite.
    program = tmp_path / "espeak-ng"
    program.write_text(
        '#!/bin/sh\n[ "$1 $2 $3 $5" = "-v en-us -w --" ] && exec flite -voice kal16 -t "$6" -o "$4"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    voice = EspeakVoice()
    assert voice.name == "espeak-ng"
    assert b"".join(voice.say("Hello."))


def test_where_memory_is_short_flite_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices, "has_little_memory", lambda: True)
    assert load_voice().name == "flite (slt)"
