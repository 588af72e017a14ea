from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.assistant.caller import pcm_of, silence, spoken
from voicews.assistant.ears import RATE
from voicews.assistant.speech import utterances, word_error_rate
from voicews.assistant.voice import HibariVoice
from voicews.assistant.whisper import WhisperEars, log_mel
from voicews.errors import AudioError, BackendMissing, ConfigError

LONG = (
    "I went to the market this morning, and I bought three apples, two loaves of bread, and some milk. "
    "Then I walked along the river to the old bridge, where my brother was waiting for me. "
    "He had brought the letters that our sister wrote to us from Canada. "
    "In the evening it began to rain, so we took the last train back to the city. "
    "We sat down in the shade of a tree, and talked about the summer, and about the house by the sea."
)


def hear(ears: WhisperEars, pcm: bytes, step: int = 6400) -> str:
    hearing = ears.listen()
    for start in range(0, len(pcm), step):
        hearing.feed(pcm[start : start + step])
    return hearing.finish()


@pytest.mark.parametrize("utterance", utterances(), ids=lambda utterance: utterance.path.stem)
def test_the_bundled_speech_is_heard_without_a_mistake(ears: WhisperEars, utterance: object) -> None:
    assert isinstance(utterance, type(utterances()[0]))
    text = hear(ears, pcm_of(utterance.path))
    print(f"{utterance.voice}: {utterance.words!r} -> {text!r}")
    assert word_error_rate(utterance.words, text) == 0


@pytest.mark.parametrize("snr", [20, 10])
def test_noise_does_little_harm(ears: WhisperEars, snr: int) -> None:
    rates = []
    for index, utterance in enumerate(utterances()):
        if snr < 20 and "hibari" not in utterance.voice:
            continue  # flite's voices need more than 10 dB
        speech = np.frombuffer(pcm_of(utterance.path), "<i2").astype(float)
        noise = np.random.default_rng(index).normal(0, 1, len(speech))
        noise *= np.sqrt(np.mean(speech**2)) / 10 ** (snr / 20)
        pcm = np.clip(speech + noise, -32768, 32767).astype("<i2").tobytes()
        rates.append(word_error_rate(utterance.words, hear(ears, pcm)))
    print(f"WER at {snr} dB: {sum(rates) / len(rates):.3f}")
    assert sum(rates) / len(rates) <= 0.15


@pytest.mark.parametrize("sentence", ["Yes.", "No.", "Hello.", "Stop.", "Okay."])
def test_short_words(ears: WhisperEars, voice: HibariVoice, sentence: str) -> None:
    assert word_error_rate(sentence, hear(ears, spoken(voice, sentence))) == 0


@pytest.mark.parametrize("sentence", ["No, no, no, no, no.", "What is two plus two plus two plus two?"])
def test_what_is_really_repeated_is_mostly_kept(ears: WhisperEars, voice: HibariVoice, sentence: str) -> None:
    text = hear(ears, spoken(voice, sentence))
    print(f"{sentence!r} -> {text!r}")
    assert word_error_rate(sentence, text) <= 0.4


def test_a_turn_much_longer_than_the_context_loses_nothing(ears: WhisperEars, voice: HibariVoice) -> None:
    pcm = spoken(voice, LONG)
    assert len(pcm) / 2 / RATE > 2 * ears.context  # so that it is cut at least twice
    rate = word_error_rate(LONG, hear(ears, pcm))
    print(f"{len(pcm) / 2 / RATE:.1f} s: WER {rate:.3f}")
    assert rate <= 0.1


def test_a_long_turn_all_at_once_is_the_same(ears: WhisperEars, voice: HibariVoice) -> None:
    pcm = spoken(voice, LONG)
    assert hear(ears, pcm, step=len(pcm)) == hear(ears, pcm)


def test_partials_grow_and_cost_nothing_while_nothing_is_said(
    ears: WhisperEars, monkeypatch: pytest.MonkeyPatch
) -> None:
    pcm = pcm_of(utterances()[4].path)
    hearing = ears.listen()
    assert hearing.partial() == ""
    hearing.feed(pcm[: len(pcm) // 2])
    half = hearing.partial()
    assert half.startswith("Please")
    hearing.feed(pcm[len(pcm) // 2 :])
    whole = hearing.partial()
    assert len(whole) > len(half)
    runs: list[int] = []
    original = ears.transcribe

    def counted(samples: np.ndarray) -> str:
        runs.append(len(samples))
        return original(samples)

    monkeypatch.setattr(ears, "transcribe", counted)
    hearing.feed(silence(0.3), voiced=False)
    assert hearing.partial() == whole
    assert hearing.finish() == whole
    assert not runs


@pytest.mark.parametrize("kind", ["nothing", "silence", "hiss", "noise", "click", "tone", "hum"])
def test_where_there_is_no_speech_there_are_no_words(ears: WhisperEars, kind: str) -> None:
    time = np.arange(RATE) / RATE
    chance = np.random.default_rng(3)
    samples = {
        "nothing": np.zeros(0),
        "silence": np.zeros(RATE),
        "hiss": chance.normal(0, 100, RATE),
        "noise": chance.normal(0, 5000, RATE),
        "click": np.where(np.arange(RATE) == 8000, 30000, 0),
        "tone": 8000 * np.sin(2 * np.pi * 440 * time),
        "hum": 8000 * np.sin(2 * np.pi * 50 * time),
    }[kind]
    assert hear(ears, samples.astype("<i2").tobytes()) == ""


def test_a_hearing_can_be_given_up(ears: WhisperEars) -> None:
    hearing = ears.listen()
    hearing.feed(pcm_of(utterances()[0].path))
    hearing.close()
    assert hearing.finish() == ""


def test_many_threads_hear_at_once(ears: WhisperEars) -> None:
    found: dict[int, str] = {}

    def listen(index: int) -> None:
        found[index] = hear(ears, pcm_of(utterances()[index].path))

    threads = [threading.Thread(target=listen, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert all(word_error_rate(utterances()[index].words, text) == 0 for index, text in found.items())
    assert len(found) == 4


def test_the_spectrogram_sees_a_tone_in_its_band() -> None:
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    mel = log_mel(tone.astype(np.float32), 2.0)
    assert mel.shape == (80, 200)
    assert mel.dtype == np.float32
    # Slaney's scale: 1 kHz is at 15 of 45.25 mel, so a third up.
    assert int(mel[:, 50].argmax()) in (26, 27)
    assert mel[:, 50].max() - mel[:, 150].max() == pytest.approx(2.0)  # eight decades, over four


class TestModels:
    def test_nothing_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "ctranslate2", None)
        with pytest.raises(BackendMissing, match=r'pip install "\.\[assistant\]"'):
            WhisperEars()

    def test_no_model_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import importlib.util

        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(BackendMissing, match="need a model"):
            WhisperEars()

    def test_a_folder_without_a_model(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="no CTranslate2 Whisper model"):
            WhisperEars(tmp_path)

    def test_a_broken_installed_model(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from voicews.assistant import whisper

        monkeypatch.setattr(whisper, "_packaged_model", lambda: tmp_path)
        with pytest.raises(BackendMissing, match="force-reinstall"):
            WhisperEars()

    def test_a_folder_of_ones_own(self) -> None:
        from voicews.assistant.whisper import _packaged_model

        ears = WhisperEars(_packaged_model(), context=5.0)
        assert ears.name == "whisper (model, int8)"
        assert word_error_rate(utterances()[0].words, hear(ears, pcm_of(utterances()[0].path))) == 0

    def test_a_model_of_many_languages_is_told_which(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        import ctranslate2

        prompts: list[list[str]] = []

        class Result:
            no_speech_prob = 0.0
            scores = (-0.1,)
            sequences = (["\u0120Hell", "o", "<unk\u2028>"],)

        class Many:
            is_multilingual = True
            n_mels = 128

            def __init__(self, *arguments: object, **settings: object) -> None:
                pass

            def generate(self, mel: object, prompt: list[list[str]], **settings: object) -> list[Result]:
                prompts.extend(prompt)
                return [Result()]

        monkeypatch.setattr(ctranslate2.models, "Whisper", Many)
        ears = WhisperEars(tmp_path)
        assert hear(ears, silence(0.5)) == "Hello<unk>"
        assert prompts[-1] == ["<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>"]

    @pytest.mark.parametrize("context", [0.5, 31.0, float("nan")])
    def test_a_context_out_of_bounds(self, context: float) -> None:
        with pytest.raises(ConfigError, match="from 2 to 30"):
            WhisperEars(context=context)

    def test_a_failing_model(self, ears: WhisperEars, monkeypatch: pytest.MonkeyPatch) -> None:
        class Broken:
            def generate(self, *arguments: object, **settings: object) -> None:
                raise RuntimeError("out of memory")

        monkeypatch.setattr(ears, "_model", Broken())
        with pytest.raises(AudioError, match="out of memory"):
            hear(ears, pcm_of(utterances()[0].path))
