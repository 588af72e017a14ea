"""Events as JSON, one per line, for scripts."""

from __future__ import annotations

import time
from typing import TextIO

from voicews.cli.streams import json_for
from voicews.events import Event
from voicews.recording.lines import to_json

__all__ = ["JsonLines"]


class JsonLines:
    """Writes every event."""

    interval: float | None = None

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._began = time.monotonic()

    def start(self) -> None:
        """Nothing is written before the first event."""

    def show(self, event: Event) -> None:
        """Write an event."""
        print(json_for(self._out, to_json(event, self._began)), file=self._out, flush=True)

    def draw(self) -> None:
        """Nothing moves."""

    def stop(self) -> None:
        """Nothing is left to write: every line was flushed."""
