"""Kitchen timers: how long they run, what is left of them, which have rung."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from voicews.assistant.numerals import Word, words

__all__ = ["LONGEST", "Timer", "Timers", "duration_words", "read_duration"]

LONGEST = 7 * 24 * 3600.0
"""Seconds that a timer may run: a week."""

_SECONDS = {
    "second": 1,
    "sec": 1,
    "minute": 60,
    "min": 60,
    "hour": 3600,
    "hr": 3600,
    "day": 86400,
    "week": 604800,
}
_FRACTIONS = {"half": Fraction(1, 2), "quarter": Fraction(1, 4)}


@dataclass(frozen=True)
class Timer:
    """A running timer."""

    name: str
    """What it is called: "pasta", or its length, such as "ten-second"."""
    task: str
    """What to remind of when it rings; empty if it is only a timer."""
    due: float
    """When it rings, on the clock of its :class:`Timers`."""


class Timers:
    """The running timers of one home.  Safe to use from any thread.

    Args:
        clock: seconds that only ever go forward.
        limit: how many may run at once.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, limit: int = 50) -> None:
        self._clock = clock
        self._limit = limit
        self._lock = threading.Lock()
        self._running: list[Timer] = []

    def start(self, seconds: float, name: str, task: str = "") -> bool:
        """Begin a timer; False if too many are running already."""
        with self._lock:
            if len(self._running) >= self._limit:
                return False
            self._running.append(Timer(name, task, self._clock() + seconds))
            self._running.sort(key=lambda timer: timer.due)
            return True

    @property
    def running(self) -> tuple[Timer, ...]:
        """Those that have not been taken by :meth:`take_rung`, next one first."""
        with self._lock:
            return tuple(self._running)

    def left(self, timer: Timer) -> float:
        """Seconds until it rings; 0 if it has."""
        return max(0.0, timer.due - self._clock())

    def cancel(self, timers: Sequence[Timer]) -> None:
        """Forget these."""
        with self._lock:
            self._running = [timer for timer in self._running if timer not in timers]

    def next_due(self) -> float | None:
        """Seconds until the next one rings, 0 if one has; None if none is running."""
        running = self.running
        return self.left(running[0]) if running else None

    def take_rung(self) -> list[Timer]:
        """Those that have rung since the last call, in order."""
        with self._lock:
            now = self._clock()
            rung = [timer for timer in self._running if timer.due <= now]
            self._running = [timer for timer in self._running if timer.due > now]
            return rung


def read_duration(tokens: Sequence[Word]) -> float | None:
    """Find a length of time among the tokens of a sentence, in seconds.

    Understands "ten seconds", "an hour and a half", "half an hour", "2.5 minutes",
    "one minute and thirty seconds"; None if there is none.
    """
    total: Fraction | None = None
    last_unit: int | None = None
    at = 0
    while at < len(tokens):
        found = _read_part(tokens, at)
        if found:
            seconds, unit, at = found
            total, last_unit = (total or Fraction(0)) + seconds, unit
            continue
        if last_unit and (share := _read_and_a_share(tokens, at)):
            total, at = (total or Fraction(0)) + share * last_unit, at + 3
            last_unit = None
            continue
        if total is not None and tokens[at] not in ("and", "plus"):
            break
        at += 1
    return float(total) if total is not None else None


def _unit(token: Word) -> int | None:
    return _SECONDS.get(token.removesuffix("s")) if isinstance(token, str) else None


def _read_and_a_share(tokens: Sequence[Word], at: int) -> Fraction | None:
    """The "and a half" after "an hour"."""
    if tuple(tokens[at : at + 2]) == ("and", "a") and at + 2 < len(tokens):
        return _FRACTIONS.get(str(tokens[at + 2]))
    return None


def _read_part(tokens: Sequence[Word], at: int) -> tuple[Fraction, int, int] | None:
    """One number with its unit at this place: seconds, seconds of the unit, the place after it."""
    start = at
    first = tokens[at]
    if isinstance(first, Fraction):
        count, at = first, at + 1
        if share := _read_and_a_share(tokens, at):  # "two and a half minutes"
            count, at = count + share, at + 3
    elif first in ("a", "an") and at + 1 < len(tokens) and tokens[at + 1] not in _FRACTIONS:
        count, at = Fraction(1), at + 1
        if tokens[at] == "couple":
            count, at = Fraction(2), at + 1
    elif first in _FRACTIONS or (first == "a" and at + 1 < len(tokens)):
        at += first == "a"
        count, at = _FRACTIONS[str(tokens[at])], at + 1
        at += at < len(tokens) and tokens[at] == "of"
        at += at < len(tokens) and tokens[at] in ("a", "an")
    else:
        return None
    at += at < len(tokens) and at > start + 1 and tokens[at] == "of"  # "a couple of minutes"
    unit = _unit(tokens[at]) if at < len(tokens) else None
    return (count * unit, unit, at + 1) if unit else None


def duration_words(seconds: float) -> str:
    """In words, exact to the second: "one minute and thirty seconds"."""
    rest = max(0, math.ceil(seconds - 0.001))
    parts: list[str] = []
    for name in ("week", "day", "hour", "minute", "second"):
        count, rest = divmod(rest, _SECONDS[name])
        if count or (name == "second" and not parts):
            parts.append(f"{words(count)} {name}{'' if count == 1 else 's'}")
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
