"""Rows of time, and labels that leave each other room."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicews.timeline.layout import Label, clock, place, rows, wrapped
from voicews.timeline.story import Mark, Span, Story, Utterance


def measure(text: str) -> float:
    return float(len(text))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0:00"), (7.9, "0:07"), (750, "12:30"), (3723, "1:02:03"), (90000, "25:00:00")],
)
def test_times_as_people_read_them(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_lines_break_between_words() -> None:
    assert wrapped("one two three four", 9, measure, 4) == ("one two", "three", "four")
    assert wrapped("one two three four", 9, measure, 2) == ("one two", "three…")
    assert wrapped("Donaudampfschiff", 6, measure, 4) == ("Donaud", "ampfsc", "hiff")
    assert wrapped("  ", 6, measure, 4) == ()


_WORDS = st.lists(st.text("abc", min_size=1, max_size=12), min_size=1, max_size=12).map(" ".join)


@given(st.lists(st.tuples(st.floats(0, 100), _WORDS), max_size=12))
def test_labels_never_overlap_and_stay_within(wanted: list[tuple[float, str]]) -> None:
    labels = [Label(x, text) for x, text in sorted(wanted)]
    placed, lines = place(labels, measure, left=0, right=100, narrow=20, wide=100)
    taken: set[tuple[int, int]] = set()
    for label in placed:
        width = max(measure(line) for line in label.lines)
        assert label.x >= 0
        assert label.x + width <= 100
        for number in range(len(label.lines)):
            assert label.line + number < lines
            cells = {(label.line + number, cell) for cell in range(int(label.x) + 1, int(label.x + width))}
            assert not cells & taken
            taken |= cells


def test_a_label_alone_has_the_whole_line() -> None:
    (one,), lines = place([Label(30, "a " * 20)], measure, left=0, right=100, narrow=10, wide=100)
    assert (one.x, lines, len(one.lines)) == (30, 1, 1)


def story(*spans: tuple[float, float, str]) -> Story:
    made = Story()
    for start, end, side in spans:
        made.utterances.append(Utterance(start, end, side, "x"))  # type: ignore[arg-type]
    return made


def test_a_turn_begins_a_row_if_the_one_before_is_half_full() -> None:
    got = rows(story((1, 2, "user"), (3, 6, "assistant"), (7, 8, "user"), (8.5, 12, "assistant")), 0, 20, 8)
    assert [(row.start, row.end) for row in got] == [(0.6, 6.6), (6.6, 12.4)]


def test_what_is_longer_than_a_row_goes_on_in_the_next() -> None:
    got = rows(story((0, 20, "assistant")), 0, 20, 8)
    assert [(row.start, row.end) for row in got] == [(0, 8), (8, 16), (16, 20)]


def test_time_in_which_nothing_happens_is_left_out() -> None:
    got = rows(story((1, 2, "user"), (100, 101, "user")), 0, 200, 8)
    assert [(row.start, row.end) for row in got] == [(0.6, 2.4), (99.6, 101.4)]
    assert got[0].skipped == pytest.approx(0.6)
    assert got[1].skipped == pytest.approx(97.2)


def test_only_what_is_asked_for_is_shown() -> None:
    made = story((1, 2, "user"), (10, 30, "assistant"), (40, 41, "user"))
    made.marks.append(Mark(15, "x"))
    got = rows(made, 12, 18, 8)
    assert [(row.start, row.end) for row in got] == [(12, 18)]
    assert not rows(Story(), 0, 60, 8)


def test_sound_that_nobody_told_of_is_shown() -> None:
    made = Story(sound=[Span(5, 6)])
    assert [(row.start, row.end) for row in rows(made, 0, 60, 8)] == [(4.6, 6.4)]
