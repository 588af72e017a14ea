"""What was said when, and what has to be said again."""

from __future__ import annotations

import pytest

from voicews.config import AudioFormat
from voicews.dialects.soundlog import SoundLog

SOUND = AudioFormat(8000)
SECOND = bytes(SOUND.bytes(1.0))


def log(keep: float = 10.0) -> SoundLog:
    return SoundLog(SOUND, keep)


def test_times_begin_with_the_first_sound() -> None:
    one = log()
    assert one.time(0.5) == 0.5
    one.add(SECOND, 1001.0)
    one.add(SECOND, 1002.5)
    assert one.sent == 2.0
    assert one.time(1.5) == 1.5


def test_what_is_heard_is_not_sent_again() -> None:
    lost, new = log(), log()
    for number in range(4):
        lost.add(bytes([number]) * len(SECOND), 1000.0 + number)
    lost.heard(2.0)
    lost.heard(1.0)
    assert [pcm[:1] for pcm in new.go_on(lost)] == [b"\2", b"\3"]
    assert new.sent == 2.0


def test_only_so_much_is_kept() -> None:
    lost = log(keep=2.0)
    for _ in range(10):
        lost.add(SECOND, 0.0)
    assert len(log().go_on(lost)) == 2
    nothing = log(keep=0.0)
    nothing.add(SECOND, 0.0)
    assert log().go_on(nothing) == []


def test_times_go_on_over_reconnects() -> None:
    first, second, third = log(), log(), log()
    for number in range(1, 4):
        first.add(SECOND, 1000.0 + number)
    first.heard(1.0)
    second.go_on(first)
    assert second.time(0.0) == pytest.approx(1.0)
    second.add(SECOND, 1009.0)
    assert second.time(1.9) == pytest.approx(2.9)
    assert second.time(2.5) == pytest.approx(8.5)
    second.heard(1.0)
    third.go_on(second)
    assert [third.time(at) for at in (0.5, 1.5, 2.0)] == pytest.approx([2.5, 8.5, 9.0])
    third.heard(2.0)
    assert third.time(2.0) == pytest.approx(9.0)


def test_a_file_that_is_read_fast_has_its_own_clock() -> None:
    first, second = log(), log()
    for _ in range(5):
        first.add(SECOND, 1000.0)
    first.heard(5.0)
    second.go_on(first)
    second.add(SECOND, 1000.1)
    assert second.time(0.5) == pytest.approx(5.5)


def test_what_is_left_out_takes_its_time() -> None:
    one, new = log(), log()
    one.add(SECOND, 1001.0)
    one.leave_out(SECOND, 1002.0)
    one.leave_out(SECOND, 1003.0)
    one.add(SECOND, 1004.0)
    assert (one.sent, one.time(0.5), one.time(1.5)) == (2.0, 0.5, 3.5)
    new.go_on(one)
    new.leave_out(SECOND, 1009.0)
    new.add(SECOND, 1010.0)
    assert (new.time(0.5), new.time(1.5), new.time(2.5)) == (0.5, 3.5, 9.5)


def test_what_is_not_kept_has_its_time_until_it_is_heard() -> None:
    first, second = log(keep=0.0), log(keep=0.0)
    first.add(SECOND, 1001.0)
    second.go_on(first)
    second.add(SECOND, 1011.0)
    second.leave_out(SECOND, 1012.0)
    second.add(SECOND, 1013.0)
    assert second.time(0.5) == 10.5
    second.heard(1.0)
    assert second.time(1.5) == 12.5
