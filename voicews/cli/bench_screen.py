"""`voicews bench` on a terminal: the histograms as they grow."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from voicews.cli.bench_report import report
from voicews.cli.measurement import Progress

__all__ = ["BenchScreen"]

_HEADS = ("server", "connected", "round trip", "echo of sound", "throughput")


class BenchScreen:
    """Shows a measurement while it runs; used by one thread.

    Args:
        progress: what has been measured so far; looked at by :meth:`draw`.
        server: its address.
        console: where to; None is the terminal on stdout.
    """

    def __init__(self, progress: Progress, server: str, console: Console | None = None) -> None:
        self._progress = progress
        self._server = server
        self._console = console or Console(highlight=False, markup=False)
        self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.update(self._report(), refresh=True)
        self._live.stop()

    def draw(self) -> None:
        """Show what there is."""
        row = Table.grid(padding=(0, 1))
        phase, end = Text(f"{self._progress.phase:<16}", "dim"), Text("Ctrl+C ends it", "dim")
        bar = min(30, self._console.width - len(phase) - len(end) - 4)
        if bar >= 5:
            row.add_row(phase, ProgressBar(total=1.0, completed=self._progress.share, width=bar), end)
        else:
            row.add_row(phase)
        # First: a report that is longer than the terminal is high is cut at its end.
        self._live.update(Group(row, Text(), self._report()), refresh=True)

    def _report(self) -> Text:
        ascii_only = self._console.options.ascii_only
        cells = max(8, min(40, self._console.width - 38))
        lines = report(self._progress, self._server, cells=cells, full="#" if ascii_only else "█")
        return Text("\n").join(_styled(line) for line in lines)


def _styled(line: str) -> Text:
    text = Text(line)
    text.highlight_regex("█+|#+$", "cyan")
    for head in _HEADS:
        if line.startswith(head):
            text.stylize("bold", 0, 23)
    if "not measured" in line or "no echo" in line or "error" in line:
        text.stylize("yellow")
    return text
