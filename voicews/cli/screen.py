"""The story on a terminal, by way of rich: finished lines scroll up, the present is kept below."""

from __future__ import annotations

import os
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from voicews.cli.meter import Meter
from voicews.cli.narration import LABEL_WIDTH, Line, Narrator, Tone, milliseconds
from voicews.events import Event
from voicews.lifecycle import State

__all__ = ["Screen"]

_INTERVAL = 1 / 12
_CELLS = 12
_FEWEST = 4
"""Cells of a meter that still says something."""
_STATE, _RTT, _TIME = 13, 13, 8
"""Columns that are kept free for them, so that nothing moves when a number gets longer."""
_LOUD = 0.75
"""Level (-15 dB) from which a meter is yellow, and from the next one red."""
_TOO_LOUD = 0.93
_FALL = 0.08
"""How far a meter may fall from one picture to the next: peaks are then seen."""
_LABEL_STYLES: dict[Tone, str] = {
    "you": "bold cyan",
    "voice": "bold magenta",
    "good": "green",
    "trouble": "yellow",
    "bad": "bold red",
    "quiet": "dim",
    "head": "bold",
}
_TEXT_STYLES: dict[Tone, str] = {**_LABEL_STYLES, "you": "", "voice": ""}
_STATE_STYLES = {
    State.CONNECTED: "green",
    State.FAILED: "bold red",
    State.RECONNECTING: "yellow",
    State.CONNECTING: "yellow",
}


class _Bar:
    """A meter's picture: rises at once and falls slowly."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._shown = 0.0

    def draw(self, ascii_only: bool, cells: int = _CELLS) -> Text:
        self._shown = max(self._meter.level, self._shown - _FALL)
        full, half, empty = "#-." if ascii_only else "━╸─"
        halves = round(self._shown * cells * 2)
        style = "red" if self._shown >= _TOO_LOUD else "yellow" if self._shown >= _LOUD else "green"
        bar = full * (halves // 2) + half * (halves % 2)
        return Text.assemble((bar, style), (empty * (cells - len(bar)), "bright_black"))


class Screen:
    """Finished lines above; below what is being said, the connection's state and two level meters.

    Args:
        microphone: what is captured.
        speaker: what is played.
        rtt: gives the last round trip in seconds, or None.
        console: where to; None is the terminal on stdout.
    """

    interval: float | None = _INTERVAL

    def __init__(
        self,
        microphone: Meter,
        speaker: Meter,
        rtt: Callable[[], float | None],
        console: Console | None = None,
    ) -> None:
        self._console = console or Console(highlight=False, markup=False)
        self._narrator = Narrator()
        self._microphone = _Bar(microphone)
        self._speaker = _Bar(speaker)
        self._rtt = rtt
        self._began = time.monotonic()
        self._last: list[Text] = []
        self._held = ExitStack()
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def start(self) -> None:
        """Show the present below."""
        with ExitStack() as held:
            held.enter_context(_unechoed())
            held.enter_context(self._live)
            self._held = held.pop_all()
        self.draw()

    def show(self, event: Event) -> None:
        """Print what an event finishes."""
        for line in self._narrator.tell(event):
            self._console.print(_styled(line))

    def draw(self) -> None:
        """Show the present, if it looks different from before."""
        present = [self._speech(), self._status()]
        if present != self._last:
            self._last = present
            self._live.update(Text("\n").join(present), refresh=True)

    def stop(self) -> None:
        """Take the present away; what was printed stays."""
        self._held.close()

    def _speech(self) -> Text:
        """What is being said, as far as its end fits into a line."""
        narrator = self._narrator
        speaker: Literal["you", "voice"] = "you" if narrator.hearing else "voice"
        words = narrator.hearing or narrator.saying
        if not words:
            return Text()
        words = " ".join(words.split())
        room = max(10, self._console.width - LABEL_WIDTH - 1)
        if cell_len(words) > room:
            words = f"…{_ending(words, room - 1)}"
        return Text.assemble((f"{speaker:<{LABEL_WIDTH}}", _LABEL_STYLES[speaker]), (words, "italic"))

    def _status(self) -> Text:
        plain = self._console.options.ascii_only
        state = self._narrator.state
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        rtt = self._rtt()
        status = Text.assemble(
            ("* " if plain else "● ", _STATE_STYLES.get(state, "dim")), f"{state.value:<{_STATE}}"
        )
        # Where there is little room, what is least missed goes first, and nothing is cut in two.
        room = self._console.width - 1 - len(status)
        for speaker, tail in (
            ("  speaker ", _RTT + _TIME),
            ("  speaker ", _TIME),
            ("  speaker ", 0),
            (" spk ", 0),
        ):
            cells = min(_CELLS, (room - len("mic ") - len(speaker) - tail) // 2)
            if cells >= (_CELLS if tail > _TIME else _FEWEST):
                status.append("mic ", "dim").append_text(self._microphone.draw(plain, cells))
                status.append(speaker, "dim").append_text(self._speaker.draw(plain, cells))
                if rtt is not None and tail > _TIME:
                    status.append(f"  rtt {milliseconds(rtt)}", "dim")
                if tail:
                    status.append(f"  {minutes}:{seconds:02}", "dim")
                return status
        status.rstrip()
        status.truncate(self._console.width - 1)
        return status


def _ending(words: str, room: int) -> str:
    """As much of the end as fits; some letters are two columns wide."""
    for start in range(max(0, len(words) - room), len(words)):
        if cell_len(words[start:]) <= room:
            return words[start:]
    return ""


def _styled(line: Line) -> RenderableType:
    """A line with its text indented below itself where it is longer than the terminal is wide."""
    text = Text(line.text, _TEXT_STYLES[line.tone])
    if not line.label:
        return text
    row = Table.grid()
    row.add_column(width=LABEL_WIDTH)
    row.add_column()
    row.add_row(Text(line.label, _LABEL_STYLES[line.tone]), text)
    return row


@contextmanager
def _unechoed() -> Iterator[None]:
    """Keep typed keys, ``^C`` among them, from being echoed into the picture."""
    before = _terminal_settings()
    if before is None:
        yield
        return
    keyboard = sys.stdin.fileno()
    quiet = list(before)
    quiet[3] &= ~(termios.ECHO | termios.ECHOCTL)
    termios.tcsetattr(keyboard, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def _terminal_settings() -> list[Any] | None:
    """Those of the keyboard's terminal; None if there is none, or if it is not ours to set."""
    try:
        keyboard = sys.stdin.fileno()
        # A program in the background that sets the terminal up is stopped by the system.
        mine = os.isatty(keyboard) and os.tcgetpgrp(keyboard) == os.getpgrp()
        return termios.tcgetattr(keyboard) if mine else None
    except (OSError, ValueError, AttributeError, termios.error):
        return None
