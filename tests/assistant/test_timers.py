from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicews.assistant.numerals import tokenize
from voicews.assistant.timers import Timers, duration_words, read_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("ten seconds", 10),
        ("set a 10 second timer", 10),
        ("set a ten-second timer", 10),
        ("a minute", 60),
        ("one minute and thirty seconds", 90),
        ("1 hour 20 minutes", 4800),
        ("1 hour, 20 minutes and 5 seconds", 4805),
        ("an hour and a half", 5400),
        ("a minute and a half", 90),
        ("an hour and a quarter", 4500),
        ("two and a half minutes", 150),
        ("2.5 minutes", 150),
        ("half an hour", 1800),
        ("half a minute", 30),
        ("a half hour", 1800),
        ("quarter of an hour", 900),
        ("a quarter of an hour", 900),
        ("a couple of minutes", 120),
        ("two days", 172_800),
        ("a week", 604_800),
        ("in five minutes and not in 3 hours", 300),
        ("three", None),
        ("a", None),
        ("half", None),
        ("seconds", None),
        ("a second half", 1),
        ("", None),
        ("five dogs", None),
        ("and a half", None),
    ],
)
def test_lengths_of_time(text: str, seconds: float | None) -> None:
    assert read_duration(tokenize(text)) == seconds


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "zero seconds"),
        (1, "one second"),
        (59.2, "sixty seconds"),
        (10.0000001, "ten seconds"),
        (60, "one minute"),
        (90, "one minute and thirty seconds"),
        (3661, "one hour, one minute and one second"),
        (172_800, "two days"),
        (-5, "zero seconds"),
    ],
)
def test_lengths_of_time_in_words(seconds: float, said: str) -> None:
    if seconds == 59.2:
        said = "one minute"  # 60 s, rounded up
    assert duration_words(seconds) == said


@given(st.integers(1, 10**6))
def test_lengths_of_time_are_read_back(seconds: int) -> None:
    assert read_duration(tokenize(duration_words(seconds))) == seconds


@given(st.text(alphabet="a an half quarter of and couple ten 2.5 minutes hour seconds ", max_size=60))
def test_no_words_upset_it(text: str) -> None:
    read_duration(tokenize(text))


def test_timers_ring_once_and_in_order() -> None:
    clock = [100.0]
    timers = Timers(lambda: clock[0])
    assert timers.next_due() is None
    timers.start(20, "late")
    timers.start(10, "early")
    assert [timer.name for timer in timers.running] == ["early", "late"]
    assert timers.next_due() == 10
    assert timers.take_rung() == []
    clock[0] = 115
    assert timers.next_due() == 0
    assert [timer.name for timer in timers.take_rung()] == ["early"]
    assert timers.take_rung() == []
    assert timers.left(timers.running[0]) == 5
    clock[0] = 200
    assert timers.left(timers.running[0]) == 0
    assert [timer.name for timer in timers.take_rung()] == ["late"]


def test_cancelled_timers_do_not_ring() -> None:
    clock = [0.0]
    timers = Timers(lambda: clock[0])
    timers.start(1, "a")
    timers.start(2, "b")
    timers.cancel(timers.running[:1])
    clock[0] = 10
    assert [timer.name for timer in timers.take_rung()] == ["b"]


def test_there_is_a_limit() -> None:
    timers = Timers(limit=2)
    assert timers.start(10, "a")
    assert timers.start(10, "b")
    assert not timers.start(10, "c")


def test_many_threads_at_once() -> None:
    timers = Timers(limit=10_000)
    threads = [threading.Thread(target=lambda: [timers.start(0, "x") for _ in range(200)]) for _ in range(5)]
    for thread in threads:
        thread.start()
    rung = 0
    for thread in threads:
        rung += len(timers.take_rung())
        thread.join()
    assert rung + len(timers.take_rung()) == 1000
