"""What has been said so far: bounded, and safe to read from any thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

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
            raise ConfigError(f"History's limit is {limit!r}; it must be 0 or more")
        self._lock = threading.Lock()
        self._turns: deque[Turn] = deque(turns, maxlen=limit)

    def add(self, role: Role, text: str, *, instead_of: str | None = None) -> None:
        """Append a turn.  Blank text is none: servers report coughs as empty transcripts.

        Args:
            role: who said it.
            text: what.
            instead_of: the text of an earlier turn that this one corrects: it takes the place of
                the newest such turn, and if it is blank, that turn was not said at all.
        """
        with self._lock:
            wrong = Turn(role, instead_of) if instead_of is not None else None
            turns = list(self._turns)
            place = len(turns)
            if wrong in turns:
                place -= 1 + turns[::-1].index(wrong)
                del turns[place]
            if text.strip():
                turns.insert(place, Turn(role, text))
            self._turns = deque(turns, self._turns.maxlen)

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns now, oldest first."""
        with self._lock:
            return tuple(self._turns)

    def __iter__(self) -> Iterator[Turn]:
        return iter(self.turns)

    def __len__(self) -> int:
        return len(self._turns)

    def __repr__(self) -> str:
        return f"<History of {len(self)} turns>"
