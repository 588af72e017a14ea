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

    def add(self, role: Role, text: str) -> None:
        """Append a turn.  Blank text is none: servers report coughs as empty transcripts."""
        if text.strip():
            with self._lock:
                self._turns.append(Turn(role, text))

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
