from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicews.audio.clock import Pacer, PlaybackClock


def test_sound_is_heard_as_time_passes() -> None:
    clock = PlaybackClock()
    clock.add(1.0, now=10.0)
    assert clock.pending(10.0) == 1.0
    assert clock.position(10.25) == 0.25
    assert clock.pending(11.5) == 0
    assert clock.position(11.5) == 1.0


def test_latency_comes_before_what_is_heard() -> None:
    clock = PlaybackClock(latency=0.1)
    clock.add(1.0, now=0.0)
    assert clock.position(0.05) == 0
    assert clock.position(0.6) == pytest.approx(0.5)
    assert clock.pending(0.6) == pytest.approx(0.5)


def test_more_sound_goes_on_where_the_last_ends() -> None:
    clock = PlaybackClock()
    clock.add(1.0, now=0.0)
    assert not clock.add(1.0, now=0.5)
    assert clock.pending(0.5) == 1.5


@pytest.mark.parametrize(("pause", "late"), [(0.1, True), (0.6, False)])
def test_sound_that_goes_on_soon_after_its_end_came_late(pause: float, late: bool) -> None:
    clock = PlaybackClock()
    assert not clock.add(1.0, now=0.0)
    assert clock.add(1.0, now=1.0 + pause) is late


def test_forgetting_keeps_what_was_heard() -> None:
    clock = PlaybackClock()
    clock.add(1.0, now=0.0)
    assert clock.forget(0.25) == 0.25
    assert clock.pending(0.25) == 0
    assert not clock.add(1.0, now=0.3)
    assert clock.position(0.5) == pytest.approx(0.45)


def test_a_correction_moves_the_end_no_further_than_it_must() -> None:
    clock = PlaybackClock()
    clock.add(1.0, now=0.0)
    clock.correct(0.5, 2.0)
    assert clock.pending(0.0) == 1.0
    clock.correct(1.25, 1.5)
    assert clock.pending(0.0) == 1.25
    clock.correct(0.0, 0.75)
    assert clock.pending(0.0) == 0.75


@given(st.lists(st.tuples(st.sampled_from(["add", "forget", "correct"]), st.floats(0, 2), st.floats(0, 2))))
def test_position_never_goes_back_nor_beyond_what_was_written(steps: list[tuple[str, float, float]]) -> None:
    clock, now, written, before = PlaybackClock(0.03), 0.0, 0.0, 0.0
    for what, amount, passed in steps:
        now += passed
        if what == "add":
            clock.add(amount, now)
            written += amount
        elif what == "forget":
            clock.forget(now)
        else:
            clock.correct(now, now + amount)
        assert before <= clock.position(now) <= written + 1e-9
        before = clock.position(now)


def test_a_pacer_delivers_in_real_time() -> None:
    before = time.monotonic()
    pacer = Pacer(0.01)
    for _ in range(20):
        pacer.wait()
    assert 0.19 <= time.monotonic() - before < 2


def test_a_pacer_that_is_far_behind_does_not_rush() -> None:
    pacer = Pacer(0.01)
    pacer._due -= 100
    before = time.monotonic()
    pacer.wait()
    pacer.wait()
    assert time.monotonic() - before >= 0.009
