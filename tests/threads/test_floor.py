from __future__ import annotations

import pytest

from voicews.commands import InterruptResponse, SendText
from voicews.events import (
    Event,
    Interrupted,
    Message,
    PlaybackFinished,
    PlaybackStarted,
    ResponseDone,
    ResponseStarted,
    SpeechStarted,
    SpeechStopped,
)
from voicews.threads.floor import Floor, Interruptions


@pytest.mark.parametrize(
    ("events", "quiet"),
    [
        ([], True),
        ([Message(1)], True),
        ([SpeechStarted()], False),
        ([SpeechStarted(), SpeechStopped()], False),
        ([SpeechStarted(), SpeechStopped(), ResponseStarted(), ResponseDone()], True),
        ([ResponseStarted(), PlaybackStarted(), ResponseDone()], False),
        ([ResponseStarted(), PlaybackStarted(), ResponseDone(), PlaybackFinished(10)], True),
        ([ResponseStarted(), PlaybackStarted(), PlaybackFinished(10)], False),
        ([ResponseStarted(), PlaybackStarted(), Interrupted(10)], True),
        ([SpeechStarted(), ResponseStarted(), PlaybackStarted(), Interrupted(10)], False),
    ],
)
def test_quiet_is_when_nobody_speaks_and_no_answer_is_due(events: list[Event], quiet: bool) -> None:
    floor = Floor()
    for event in events:
        floor.follow(event)
    assert floor.quiet is quiet


def test_a_lost_connection_takes_the_turn_with_it_but_not_what_plays() -> None:
    floor = Floor()
    floor.follow(SpeechStopped())
    floor.reset()
    assert floor.quiet
    floor.follow(PlaybackStarted())
    floor.reset()
    assert not floor.quiet


def test_what_is_interrupted_is_not_played_until_the_session_knows() -> None:
    interruptions, played = Interruptions(), []
    first, second = InterruptResponse(), InterruptResponse()
    interruptions.play(lambda: played.append("before"))
    interruptions.begin(first)
    interruptions.play(lambda: played.append("slipped in"))
    interruptions.begin(second)
    interruptions.end([first])  # the second has not been said
    interruptions.play(lambda: played.append("slipped in again"))
    interruptions.end([SendText("hello"), second])
    interruptions.play(lambda: played.append("after"))
    assert played == ["before", "after"]


def test_a_confirmation_is_no_news_but_what_comes_later_is() -> None:
    interruptions, command = Interruptions(), InterruptResponse()
    interruptions.begin(command)
    assert interruptions.is_news()
    interruptions.end([command])
    interruptions.heard()
    assert not interruptions.is_news()
    interruptions.heard()
    assert interruptions.is_news()
    # One that silenced nothing is told when the confirmation does; one of a new answer always is.
    interruptions.begin(command)
    interruptions.heard()
    assert interruptions.is_news()
    interruptions.begin(command)
    assert interruptions.is_news()
    interruptions.end([command])
    interruptions.answer_began()
    interruptions.heard()
    assert interruptions.is_news()
    # A server that cannot be told confirms nothing.
    interruptions.begin(None)
    assert interruptions.is_news()
    interruptions.heard()
    assert interruptions.is_news()
