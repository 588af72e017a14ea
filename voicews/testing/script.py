"""What a fake hears and answers, turn by turn."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voicews.errors import ConfigError

__all__ = ["FakeAnswer", "Script"]


@dataclass(frozen=True)
class FakeAnswer:
    """What a fake answers with."""

    text: str = ""
    pcm: bytes | None = None
    """Its sound, in the session's output format; None makes a hum up, 0.05 s for each character."""
    call: tuple[str, Mapping[str, Any]] | None = None
    """The name and the arguments of a function to call first; what it returned is then known."""


class Script:
    """Texts that are taken one after the other; the last again and again.  Any thread may ask.

    Args:
        owner: the fake's name, for errors.
        hears: what the user's turns are taken for.
        answers: what is answered.

    Raises:
        ConfigError: one of them is empty.
    """

    def __init__(
        self, owner: str, hears: Sequence[str], answers: Sequence[FakeAnswer | str] = ("It is time for tea.",)
    ) -> None:
        if not hears or not answers:
            raise ConfigError(f"{owner}'s hears and answers must hold at least one text each")
        self._lock = threading.Lock()
        self._hears = deque(hears)
        self._answers = deque(FakeAnswer(one) if isinstance(one, str) else one for one in answers)

    def heard(self) -> str:
        """What the next turn is taken for."""
        with self._lock:
            return self._hears.popleft() if len(self._hears) > 1 else self._hears[0]

    def answer(self) -> FakeAnswer:
        """What is answered next."""
        with self._lock:
            return self._answers.popleft() if len(self._answers) > 1 else self._answers[0]
