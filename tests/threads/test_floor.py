from __future__ import annotations

import pytest

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
from voicews.threads.floor import Floor


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
