from __future__ import annotations

import sys
import threading

import pytest

from tests.assistant.caller import pcm_of, silence, spoken
from voicews.assistant.home import HomeHelper
from voicews.assistant.speech import utterances, word_error_rate
from voicews.assistant.sphinx import PocketsphinxEars
from voicews.assistant.voice import FliteVoice, HibariVoice
from voicews.errors import AudioError, BackendMissing
from voicews.history import History

INSIDE = (
    "What is seven times eight?",
    "Set a timer for ten seconds.",
    "How long is left on my timer?",
    "What day is it today?",
    "Please remind me what I said first.",
    "Tell me a joke.",
    "Thank you, goodbye.",
    "What is twenty-five plus one hundred and six?",
    "What time is it?",
)
OUTSIDE = (
    "Turn on the kitchen lights.",
    "It was a dark and stormy night.",
    "How tall is the Eiffel tower?",
    "I like bananas.",
    "Open the pod bay doors.",
)


def hear(ears: PocketsphinxEars, pcm: bytes) -> str:
    hearing = ears.listen()
    for start in range(0, len(pcm), 3200):
        hearing.feed(pcm[start : start + 3200])
    return hearing.finish()


def test_sentences_of_its_grammar(
    light_ears: PocketsphinxEars, voice: HibariVoice, flite: FliteVoice
) -> None:
    rates = []
    for speaker in (voice, flite):
        for sentence in INSIDE:
            text = hear(light_ears, spoken(speaker, sentence))
            rates.append(word_error_rate(sentence, text))
            print(f"{speaker.name}: {sentence!r} -> {text!r} (WER {rates[-1]:.2f})")
    assert sum(rates) / len(rates) <= 0.1


def test_what_it_hears_is_understood(light_ears: PocketsphinxEars, voice: HibariVoice) -> None:
    helper = HomeHelper()
    for sentence in INSIDE:
        answer = helper.answer(History(), hear(light_ears, spoken(voice, sentence)))
        assert not answer.startswith("I do not know"), sentence


def test_other_sentences_are_not_forced_into_it(
    light_ears: PocketsphinxEars, voice: HibariVoice, flite: FliteVoice
) -> None:
    heard = [hear(light_ears, spoken(speaker, text)) for speaker in (voice, flite) for text in OUTSIDE]
    print(heard)
    assert heard.count("") >= len(heard) - 2


def test_bundled_speech_in_its_grammar(light_ears: PocketsphinxEars) -> None:
    for utterance in utterances():
        if utterance.words != "My name is Clara.":
            assert word_error_rate(utterance.words, hear(light_ears, pcm_of(utterance.path))) == 0


def test_partials_come_while_it_is_said(light_ears: PocketsphinxEars) -> None:
    pcm = pcm_of(utterances()[0].path)
    hearing = light_ears.listen()
    partials = []
    for start in range(0, len(pcm), 6400):
        hearing.feed(pcm[start : start + 6400])
        partials.append(hearing.partial())
    assert partials[0] == ""
    assert any("what is" in partial for partial in partials[1:-2])
    assert hearing.finish() == "what is seven times eight"
    assert hearing.partial() == ""
    assert hearing.finish() == ""
    hearing.feed(pcm)  # too late, and harmless
    hearing.close()


@pytest.mark.parametrize("pcm", [b"", silence(0.01), silence(1.0)])
def test_silence_is_no_words(light_ears: PocketsphinxEars, pcm: bytes) -> None:
    assert hear(light_ears, pcm) == ""


def test_decoders_are_used_again(light_ears: PocketsphinxEars) -> None:
    first = light_ears.listen()
    second = light_ears.listen()
    first.close()
    second.close()
    count = len(light_ears._idle)
    for _ in range(5):
        light_ears.listen().close()
    assert len(light_ears._idle) == count


def test_threads_hear_at_the_same_time(light_ears: PocketsphinxEars) -> None:
    found: dict[int, str] = {}

    def listen(index: int) -> None:
        found[index] = hear(light_ears, pcm_of(utterances()[index].path))

    threads = [threading.Thread(target=listen, args=(index,)) for index in (0, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == {0: "what is seven times eight", 2: "what day is it today"}


def test_a_failing_decoder(light_ears: PocketsphinxEars) -> None:
    hearing = light_ears.listen()

    class Broken:
        def process_raw(self, pcm: bytes) -> None:
            raise RuntimeError("out of memory")

    assert hearing._decoders is not None
    grammar, hearing._decoders.grammar = hearing._decoders.grammar, Broken()
    with pytest.raises(AudioError, match="out of memory"):
        hearing.feed(silence(0.1))
    hearing._decoders.grammar = grammar
    hearing.close()


def test_nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(BackendMissing, match=r'pip install "\.\[assistant\]"'):
        PocketsphinxEars()


def test_no_model_in_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    import pocketsphinx

    monkeypatch.setattr(pocketsphinx, "get_model_path", lambda name: f"/nowhere/{name}")
    with pytest.raises(BackendMissing, match="cannot be loaded"):
        PocketsphinxEars()
