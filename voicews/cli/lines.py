"""The story as plain lines, for pipes, files and terminals without colour."""

from __future__ import annotations

from typing import TextIO

from voicews.cli.narration import Narrator
from voicews.events import Event

__all__ = ["Lines"]


class Lines:
    """Writes what is finished, line by line, and no control codes."""

    interval: float | None = None

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._narrator = Narrator()

    def start(self) -> None:
        """Nothing is written before the first event."""

    def show(self, event: Event) -> None:
        """Write the lines that an event finishes."""
        for line in self._narrator.tell(event):
            print(line, file=self._out, flush=True)

    def draw(self) -> None:
        """Nothing moves."""

    def stop(self) -> None:
        """Nothing is left to write: every line was flushed."""
