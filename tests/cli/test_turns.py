"""The bookkeeping of a conversation, from events alone."""

from __future__ import annotations

import pytest

from voicews import (
    AudioReceived,
    Connected,
    Disconnected,
    Interrupted,
    PlaybackFinished,
    PlaybackStarted,
    ResponseDone,
    ResponseStarted,
    SpeechStarted,
    SpeechStopped,
    Token,
    Transcript,
)
from voicews.cli.turns import Turn, Turns
from voicews.config import AudioFormat
from voicews.events import Event


def heard(*events: Event, turns: Turns | None = None) -> Turns:
    turns = turns or Turns()
    for event in events:
        turns.hear(event)
    return turns


SAID = (
    SpeechStarted(),
    Transcript("user", "Hel", final=False),
    SpeechStopped(),
    Transcript("user", "Hello."),
)
SOUND = AudioReceived(b"\1\2" * 160, AudioFormat())


def test_an_answer_is_finished_when_it_has_been_played() -> None:
    turns = heard(*SAID, ResponseStarted(), Token("Hi"), SOUND, PlaybackStarted())
    assert not turns.idle
    heard(Transcript("assistant", "Hi."), ResponseDone(), turns=turns)
    assert not turns.idle
    assert not turns.finished
    heard(PlaybackFinished(900), turns=turns)
    assert turns.idle
    (turn,) = turns.finished
    assert (turn.understood, turn.answer, turn.heard_ms) == ("Hello.", "Hi.", 900)
    assert turn.after_server is not None
    assert turn.after_server >= 0
    assert turn.after_speech is None


def test_sound_that_ran_dry_does_not_end_an_answer() -> None:
    turns = heard(ResponseStarted(), SOUND, PlaybackStarted(), PlaybackFinished(100))
    assert not turns.idle
    heard(SOUND, PlaybackStarted(), ResponseDone(), PlaybackFinished(200), turns=turns)
    assert [turn.heard_ms for turn in turns.finished] == [300]


def test_an_answer_without_sound_is_finished_when_it_is_sent() -> None:
    turns = heard(ResponseStarted(), Token("Hi"), Transcript("assistant", "Hi"), ResponseDone())
    assert [turn.answer for turn in turns.finished] == ["Hi"]


def test_sound_from_a_server_that_says_nothing_about_it() -> None:
    turns = heard(SOUND, PlaybackStarted(), SOUND, PlaybackFinished(20))
    assert [turn.heard_ms for turn in turns.finished] == [20]


def test_an_echo_between_answers_is_no_answer() -> None:
    """A server that says back what it hears, with holes, and answers one text."""
    silence = AudioReceived(bytes(320), AudioFormat())
    turns = Turns()
    for _ in range(3):
        heard(silence, PlaybackStarted(), PlaybackFinished(20), turns=turns)
    assert not turns.finished
    heard(ResponseStarted(), Token("You wrote: x"), ResponseDone(), turns=turns)
    for _ in range(3):
        heard(SOUND, PlaybackStarted(), turns=turns)
        assert not turns.idle
        heard(PlaybackFinished(20), turns=turns)
    assert [turn.heard_ms for turn in turns.finished] == [60]


def test_words_that_come_while_late_sound_plays_belong_to_the_next_answer() -> None:
    turns = heard(ResponseStarted(), ResponseDone(), SOUND, PlaybackStarted(), Transcript("user", "And now?"))
    heard(PlaybackFinished(20), ResponseStarted(), ResponseDone(), turns=turns)
    assert [(turn.understood, turn.heard_ms) for turn in turns.finished] == [("", 20), ("And now?", 0)]


def test_an_interruption_ends_an_answer() -> None:
    turns = heard(ResponseStarted(), SOUND, PlaybackStarted(), Interrupted(70))
    assert [turn.heard_ms for turn in turns.finished] == [70]
    assert not heard(Interrupted()).finished


def test_a_drop_ends_an_answer_that_was_being_sent() -> None:
    turns = heard(ResponseStarted(), Token("Hi"), Disconnected(1, None))
    assert turns.idle
    turns = heard(ResponseStarted(), SOUND, Disconnected(1, None))
    assert not turns.idle
    heard(PlaybackFinished(5), turns=turns)
    assert turns.idle


def test_an_answer_that_was_shown_counts_at_the_end_of_the_conversation() -> None:
    turns = heard(ResponseStarted(), SOUND, PlaybackStarted(), Transcript("assistant", "Hi."))
    heard(Disconnected(1, None), turns=turns)
    assert not turns.finished
    turns.end()
    assert [turn.answer for turn in turns.finished] == ["Hi."]
    turns.end()
    assert len(turns.finished) == 1
    turns = heard(ResponseStarted(), Token("H"), SOUND, Disconnected(1, None))
    turns.end()
    assert not turns.finished


def test_words_of_a_turn_in_two_pieces_are_joined() -> None:
    turns = heard(Transcript("user", "one"), Transcript("user", "two"), ResponseStarted(), ResponseDone())
    assert [turn.understood for turn in turns.finished] == ["one two"]


def test_times_from_the_true_end_of_speech() -> None:
    ended = SOUND.at - 0.5
    turns = Turns(lambda: ended)
    heard(*SAID, ResponseStarted(), SOUND, ResponseDone(), PlaybackFinished(1), turns=turns)
    assert turns.finished[0].after_speech == pytest.approx(0.5)
    assert turns.median_of(lambda turn: turn.after_speech) == pytest.approx(0.5)
    assert turns.median_of(lambda turn: None) is None


def test_what_says_nothing_about_turns_is_no_activity() -> None:
    turns = heard(Connected(1, resumed=False))
    assert turns.active_at == 0
    assert turns.began_at is None
    last = SpeechStarted()
    heard(last, turns=turns)
    assert turns.active_at == last.at
    assert Turn() == Turn()
