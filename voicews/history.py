"""What has been said so far: bounded, and safe to read from any thread."""

from __future__ import annotations

import bisect
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from voicews.callables import safe_repr
from voicews.errors import ConfigError

__all__ = ["History", "Role", "Turn"]

Role = Literal["user", "assistant"]


@dataclass(frozen=True)
class Turn:
    """One side's finished utterance."""

    role: Role
    text: str


class History:
    """The last turns of a conversation, oldest first.

    Args:
        limit: how many turns are kept, 0 or more; the oldest goes first.
        turns: turns to begin with.

    Raises:
        ConfigError: the limit is negative.
    """

    def __init__(self, limit: int = 50, turns: tuple[Turn, ...] = ()) -> None:
        if limit < 0:
            raise ConfigError(f"History's limit is {safe_repr(limit)}; it must be 0 or more")
        self._lock = threading.Lock()
        self._limit = limit
        self._turns: list[tuple[float, Turn]] = [(0.0, turn) for turn in turns[max(0, len(turns) - limit) :]]

    def add(self, role: Role, text: str, *, at: float | None = None, instead_of: str | None = None) -> None:
        """Add a turn.  Blank text is none: servers report coughs as empty transcripts.

        Args:
            role: who said it.
            text: what.
            at: monotonic time at which it was said, which settles its place; default now.
            instead_of: the text of an earlier turn that this one corrects: it takes the place of
                the newest such turn, and if it is blank, that turn was not said at all.
        """
        at = time.monotonic() if at is None else at
        with self._lock:
            place = bisect.bisect(self._turns, at, key=lambda said: said[0])
            if instead_of is not None:
                place, at = self._forget(Turn(role, instead_of), place, at)
            if text.strip():
                self._turns.insert(place, (at, Turn(role, text)))
                del self._turns[: max(0, len(self._turns) - self._limit)]

    def _forget(self, wrong: Turn, place: int, at: float) -> tuple[int, float]:
        """Take the newest such turn out; returns its place and time, or those given if there is none."""
        for index in range(len(self._turns) - 1, -1, -1):
            if self._turns[index][1] == wrong:
                return index, self._turns.pop(index)[0]
        return place, at

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns now, oldest first."""
        with self._lock:
            return tuple(turn for _, turn in self._turns)

    def __iter__(self) -> Iterator[Turn]:
        return iter(self.turns)

    def __len__(self) -> int:
        return len(self._turns)

    def __repr__(self) -> str:
        return f"<History of {len(self)} turns>"
