"""What goes where in the picture: rows of time, and labels that leave each other room.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from voicews.timeline.story import Span, Story

__all__ = ["Label", "Placed", "Row", "clock", "place", "rows", "wrapped"]

_AROUND = 0.4
"""Seconds that are shown before and after what happens."""
_IDLE = 3.0
"""Seconds in which nothing happens that are left out."""
_FULL_ENOUGH = 0.45
"""Share of a row that has to be filled before the next turn may have a row of its own."""
_MARK = 0.3
"""Seconds that a moment takes up."""


def clock(seconds: float) -> str:
    """A time as people read it: 0:07, 12:30, 1:02:03."""
    whole = int(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


@dataclass(frozen=True)
class Row(Span):
    """What is drawn side by side."""

    skipped: float = 0.0
    """Seconds before it that are left out."""


def rows(story: Story, first: float, last: float, length: float) -> list[Row]:
    """Cut the time from ``first`` to ``last`` into rows, at most ``length`` seconds each.

    A turn begins in a row of its own if the one before is half full; where nothing happens for
    a while, that while is left out.
    """
    spans: list[Span] = [*story.utterances, *story.waits, *story.outages, *story.sound]
    spans += [Span(mark.at, mark.at + _MARK) for mark in story.marks]
    busy = _merged(
        [
            Span(max(first, span.start - _AROUND), min(last, max(span.end, span.start + _MARK) + _AROUND))
            for span in spans
            if span.end >= first and span.start <= last
        ]
    )
    turns = sorted(max(first, u.start - _AROUND) for u in story.utterances if u.side == "user")
    found: list[Row] = []
    shown = first
    for stretch in busy:
        start = stretch.start
        skipped = start - shown
        while start < stretch.end:
            end = min(stretch.end, start + length)
            if end < stretch.end:
                later = [turn for turn in turns if start + _FULL_ENOUGH * length <= turn <= end]
                end = later[-1] if later else end
            found.append(Row(start, end, skipped))
            skipped, start = 0.0, end
        shown = stretch.end
    return found


def _merged(spans: Sequence[Span]) -> list[Span]:
    """Those that overlap, or nearly follow each other, as one."""
    merged: list[Span] = []
    for span in sorted(spans, key=lambda span: span.start):
        if merged and span.start - merged[-1].end < _IDLE:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return merged


@dataclass(frozen=True)
class Label:
    """Text that belongs to a place."""

    x: float
    text: str
    bad: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class Placed:
    """A label with its lines and its place: ``line`` counts from the lane's top."""

    label: Label
    x: float
    line: int
    lines: tuple[str, ...]


def wrapped(text: str, width: float, measure: Callable[[str], float], most: int) -> tuple[str, ...]:
    """Break a text into lines that fit; what is more than ``most`` lines ends in "…"."""
    lines: list[str] = []
    line = ""
    for whole in text.split():
        for word in _pieces(whole, width, measure):
            longer = f"{line} {word}".strip()
            if line and measure(longer) > width:
                lines.append(line)
                line = word
            else:
                line = longer
    lines = [*lines, line] if line else lines
    if len(lines) > most:
        lines = lines[:most]
        while lines[-1] and measure(f"{lines[-1]}…") > width:
            lines[-1] = lines[-1][:-1]
        lines[-1] = f"{lines[-1].rstrip(' ,.;:')}…"
    return tuple(lines)


def _pieces(word: str, width: float, measure: Callable[[str], float]) -> list[str]:
    """A word, cut if it is longer than a line."""
    pieces = []
    while measure(word) > width and len(word) > 1:
        length = len(word) - 1
        while length > 1 and measure(word[:length]) > width:
            length -= 1
        pieces.append(word[:length])
        word = word[length:]
    return [*pieces, word]


def place(
    labels: Sequence[Label],
    measure: Callable[[str], float],
    *,
    left: float,
    right: float,
    narrow: float,
    wide: float,
    most: int = 4,
) -> tuple[list[Placed], int]:
    """Give each label room: beside its neighbours where there is some, else below them.

    Args:
        labels: in the order of their places.
        measure: the width of a text.
        left, right: between which they have to stay.
        narrow: the width that each may have in any case.
        wide: the width that none may exceed.
        most: lines of one label.

    Returns:
        The labels, and how many lines they take together.
    """
    placed: list[Placed] = []
    tiers: list[list[tuple[float, float, int]]] = []
    chosen: list[tuple[Label, float, int, tuple[str, ...]]] = []
    for index, label in enumerate(labels):
        # One that is too near to leave room goes below in any case.
        following = min(
            (other.x for other in labels[index + 1 :] if other.x - label.x >= narrow), default=right
        )
        room = min(wide, max(narrow, min(following, right) - label.x), right - left)
        lines = wrapped(label.text, room, measure, most)
        width = max((measure(line) for line in lines), default=0.0)
        x = max(left, min(label.x, right - width))
        for tier, taken in enumerate(tiers):  # noqa: B007 - the first that has room
            if all(x >= end or x + width <= start for start, end, _ in taken):
                break
        else:
            tier = len(tiers)
            tiers.append([])
        gap = measure(" ")
        tiers[tier].append((x - gap, x + width + gap, len(lines)))
        chosen.append((label, x, tier, lines))
    tops = [0]
    for taken in tiers:
        tops.append(tops[-1] + max(count for _, _, count in taken))
    placed = [Placed(label, x, tops[tier], lines) for label, x, tier, lines in chosen]
    return placed, tops[-1]
