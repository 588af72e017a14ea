"""The thread that shows a conversation; it alone writes to the terminal while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from voicews.errors import InvalidState
from voicews.events import Event
from voicews.threads.callbacks import EventStream
from voicews.threads.worker import Worker

__all__ = ["Display", "Renderer"]

_HELD = 5000
"""Events that may wait while the terminal is slow; beyond it tokens and partials go first."""

_LAST_WORDS = 5.0
"""Seconds for what is in line at the end; a terminal that was stopped with Ctrl+S takes nothing."""


class Renderer(Protocol):
    """How events look.  Used by one thread, from :meth:`start` to :meth:`stop`."""

    interval: float | None
    """Seconds between calls of :meth:`draw`; None if nothing moves by itself."""

    def start(self) -> None:
        """Take the terminal."""

    def show(self, event: Event) -> None:
        """An event has happened."""

    def draw(self) -> None:
        """Show what has changed by itself, such as levels."""

    def stop(self) -> None:
        """Give the terminal back."""


class Display(Worker):
    """Shows events in the order in which they were fed.

    Args:
        renderer: how they look.
        broken: called, on the display's thread, if nobody reads what is shown any more.
    """

    def __init__(self, renderer: Renderer, broken: Callable[[], None]) -> None:
        super().__init__("display")
        self._renderer = renderer
        self._broken = broken
        self._events = EventStream(Event, _HELD)

    # -- from other threads -----------------------------------------------------------------

    def show(self, event: Event) -> None:
        """Put an event in line; never waits."""
        self._events.feed(event)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._events.close()
        self.join(_LAST_WORDS)
        if self.error is not None:
            raise self.error

    # -- the display thread -------------------------------------------------------------------

    def work(self) -> None:
        """Show until the end, and all that is in line then."""
        self._renderer.start()
        try:
            self._show_all()
        finally:
            self._renderer.stop()

    def _show_all(self) -> None:
        interval = self._renderer.interval
        draw_at = time.monotonic()
        while True:
            patience = None if interval is None else max(0.0, draw_at - time.monotonic())
            try:
                self._renderer.show(self._events.get(patience))
            except TimeoutError:
                self._renderer.draw()
                draw_at = time.monotonic() + (interval or 0.0)
            except InvalidState:
                return

    def failed(self, error: BaseException) -> None:
        """Nothing can be shown any more; leaving the ``with`` block raises the error."""
        self._events.close()
        self._broken()
