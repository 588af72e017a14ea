from __future__ import annotations

import pytest

from voicews.errors import AudioStalled
from voicews.threads.watchdog import Watchdog


def look(
    dog: Watchdog, now: float, sent: float = 0, stuck: float = 0.0, **hanging: float
) -> AudioStalled | None:
    return dog.look(now, sent=sent, playing_stuck_for=stuck, trials_hang_for=hanging)


def test_sound_that_moves_is_well() -> None:
    dog = Watchdog(15)
    assert [look(dog, second, sent=50 * second) for second in range(1000)] == [None] * 1000


def test_sound_that_is_not_sent_is_noticed_when_the_time_is_up() -> None:
    dog = Watchdog(15)
    assert [look(dog, 100 + second, sent=7) for second in range(15)] == [None] * 15
    assert "no captured sound has been sent for 15 s" in str(look(dog, 115, sent=7))


def test_a_rest_begins_anew() -> None:
    dog = Watchdog(15)
    look(dog, 100)
    dog.rest()
    assert look(dog, 120) is None
    assert look(dog, 134) is None
    assert look(dog, 135) is not None


def test_sound_that_is_not_played() -> None:
    assert look(Watchdog(15), 100, stuck=14.9) is None
    assert "none was played" in str(look(Watchdog(15), 100, stuck=15.0))


def test_a_driver_that_hangs() -> None:
    assert look(Watchdog(15), 100, microphone=3.0, speaker=14.0) is None
    error = look(Watchdog(15), 100, microphone=3.0, speaker=15.0)
    assert "the speaker's driver has been hanging for 15 s" in str(error)


@pytest.mark.parametrize("now", [0, 1e6])
def test_without_a_time_it_never_barks(now: float) -> None:
    dog = Watchdog(None)
    look(dog, 0)
    assert look(dog, now, stuck=1e6, speaker=1e6) is None
