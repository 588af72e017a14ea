from __future__ import annotations

import json
from datetime import datetime

import pytest

from tests.assistant.caller import pcm_of
from tests.assistant.render_speech import CONVERSATION
from voicews.assistant.home import HomeHelper
from voicews.assistant.speech import utterances, word_error_rate
from voicews.history import History


def test_there_is_a_conversation_of_at_least_five_turns() -> None:
    found = utterances()
    assert len(found) >= 5
    assert sum(utterance.path.stat().st_size for utterance in found) < 600_000
    assert len({utterance.voice for utterance in found}) == 3


def test_the_files_are_what_they_are_said_to_be() -> None:
    for utterance in utterances():
        pcm = pcm_of(utterance.path)
        assert utterance.seconds == pytest.approx(len(pcm) / 32000)
        assert 1.0 < utterance.seconds < 5.0
        assert max(pcm[1::2]) > 0


def test_every_file_is_listed() -> None:
    folder = utterances()[0].path.parent
    assert {utterance.path for utterance in utterances()} == set(folder.glob("*.wav"))
    assert json.loads((folder / "utterances.json").read_text())


def test_they_are_what_would_be_rendered() -> None:
    """Else: python -m tests.assistant.render_speech."""
    listed = [(utterance.words, utterance.expects) for utterance in utterances()]
    assert listed == [(words, expects) for _, _, words, expects in CONVERSATION]


def test_the_home_helper_gives_the_expected_answers() -> None:
    helper, history = HomeHelper(), History()
    for utterance in utterances():
        answer = helper.answer(history, utterance.words)
        assert utterance.is_answered_by(answer), answer
        assert not utterance.is_answered_by("I do not know about that.")
        history.add("user", utterance.words)
        history.add("assistant", answer)


def test_without_the_history_two_answers_are_wrong() -> None:
    helper = HomeHelper()
    wrong = [
        utterance.words
        for utterance in utterances()
        if not utterance.is_answered_by(helper.answer(History(), utterance.words))
    ]
    assert wrong == ["Please remind me what I said first.", "What is my name?"]


def test_the_weekday_is_todays() -> None:
    day = next(utterance for utterance in utterances() if "{weekday}" in utterance.expects)
    sunday = datetime(2026, 11, 22)  # noqa: DTZ001 - a wall clock has no zone
    assert day.is_answered_by("Today is Sunday.", now=lambda: sunday)
    assert not day.is_answered_by("Today is Monday.", now=lambda: sunday)


@pytest.mark.parametrize(
    ("expected", "heard", "rate"),
    [
        ("What is seven times eight?", "what is 7 times 8", 0.0),
        ("one two three four", "one two four", 0.25),
        ("one two three four", "one two three three four", 0.25),
        ("one two three four", "one too three four", 0.25),
        ("one two", "", 1.0),
        ("", "", 0.0),
        ("", "you", 1.0),
        ("one", "a b c", 3.0),
    ],
)
def test_word_error_rate(expected: str, heard: str, rate: float) -> None:
    assert word_error_rate(expected, heard) == rate
