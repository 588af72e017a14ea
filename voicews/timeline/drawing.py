"""The picture itself; the only file that knows matplotlib.

Places are in inches from the upper left corner, so that what is measured is what is drawn.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from voicews.errors import RecordingError
from voicews.timeline.layout import Label, Row, clock, place, rows
from voicews.timeline.reading import FRAME, Recording
from voicews.timeline.story import PHASES, Story, Wait, tell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["DARK", "FORMATS", "LIGHT", "Theme", "draw"]

FORMATS = (".svg", ".png")
_WIDTH = 5.4
"""Inches: on a phone the whole picture is as wide as the screen, and its letters still are legible."""
_LEFT, _RIGHT = 0.52, 5.3
_ROW = 8.0
"""Seconds of a full row."""
_MOST_ROWS = 120
_TEXT, _SMALL, _TITLE = 8.5, 7.0, 12.0
"""Points."""
_WAVE = 0.42
"""Inches, of one side's waveform."""
_MIDDLE = 0.26
_BAR = 0.11
_COLUMNS = 1.0
"""Inches, of the columns that compare the waits."""
_SLOW = 1.5
"""How many times the typical wait one must take for its reason to be written below it."""
_SOON = 0.8
"""Seconds that nobody takes for late."""
_DPI = 200
_FALLBACKS = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans KR", "WenQuanYi Zen Hei", "IPAGothic", "Unifont"),
    *("Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Thai", "Noto Emoji"),
)


@dataclass(frozen=True)
class Theme:
    """Colours."""

    paper: str
    ink: str
    faint: str
    line: str
    user: str
    assistant: str
    bad: str
    phases: dict[str, str]


LIGHT = Theme(
    paper="#ffffff",
    ink="#1f2328",
    faint="#656d76",
    line="#d8dee4",
    user="#2f6fdb",
    assistant="#7a4fc9",
    bad="#c62828",
    phases={
        "endpointing": "#56b4e9",
        "recognising": "#0072b2",
        "thinking": "#e69f00",
        "tool": "#b8a800",
        "synthesis": "#009e73",
        "playing": "#cc79a7",
        "link away": "#d7301f",
    },
)
DARK = Theme(
    paper="#0d1117",
    ink="#e6edf3",
    faint="#9198a1",
    line="#30363d",
    user="#79b8ff",
    assistant="#c3a6ff",
    bad="#ff7b72",
    phases={
        "endpointing": "#7cc7f2",
        "recognising": "#3d8fd1",
        "thinking": "#f0b429",
        "tool": "#f0e442",
        "synthesis": "#2fbf8f",
        "playing": "#e39ac0",
        "link away": "#ff6b5e",
    },
)


def draw(
    recording: Recording,
    output: Path,
    *,
    first: float = 0.0,
    last: float | None = None,
    theme: Theme = LIGHT,
) -> float:
    """Draw a recording, or a part of it, into an SVG or PNG file.

    Args:
        first, last: seconds between which it is drawn; None is the end.
        theme: its colours.

    Returns:
        The second to which it is drawn: a picture has an end where a recording has none.

    Raises:
        RecordingError: the file cannot be written, or its name ends neither in .svg nor in .png.
        ImportError: matplotlib is not there.
    """
    if output.suffix.lower() not in FORMATS:
        raise RecordingError(f"cannot draw {output}: the name must end in {' or '.join(FORMATS)}")
    from matplotlib import rc_context

    last = recording.seconds if last is None else min(last, recording.seconds)
    # What the user's own settings say must not spoil what is measured.
    with rc_context({"svg.hashsalt": "voicews", "font.family": _fonts()}), warnings.catch_warnings():
        # What is said in a script that the font has not got is drawn as boxes.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        picture = _Picture(recording, first, last, theme)
        figure = picture.figure()
        try:
            if output.suffix.lower() == ".svg":
                figure.savefig(output, metadata={"Date": None})
                _shorten(output)
            else:
                figure.savefig(output, dpi=_DPI)
        except OSError as error:
            raise RecordingError(f"cannot write {output}: {error.strerror or error}") from error
    return picture.drawn_to


def _fonts() -> list[str]:
    """matplotlib's own, and for scripts that it has not got, what else there is."""
    from matplotlib.font_manager import fontManager

    there = set(fontManager.get_font_names())
    return ["DejaVu Sans", *(name for name in _FALLBACKS if name in there)]


def _shorten(path: Path) -> None:
    """A hundredth of a point is exact enough for a place, and makes half of the file; a scale is a factor."""
    text = path.read_text(encoding="utf-8")
    shorter = re.sub(r"(scale\([^)]*\))|(\d\.\d\d)\d+", lambda found: found[1] or found[2], text)
    path.write_text(shorter, encoding="utf-8")


class _Picture:
    def __init__(self, recording: Recording, first: float, last: float, theme: Theme) -> None:
        self._recording = recording
        self._theme = theme
        self._story: Story = tell(recording.happenings, recording.levels, recording.seconds)
        self._first, self._last = first, last
        all_rows = rows(self._story, first, last, _ROW)
        self._rows = all_rows[:_MOST_ROWS]
        self.drawn_to = last if len(all_rows) <= _MOST_ROWS else self._rows[-1].end
        self._waits = [w for w in self._story.waits if first < w.end <= self.drawn_to]
        self._loudest = max(0.05, float(recording.peaks.max())) if len(recording.peaks) else 1.0
        self._y = 0.0

    def figure(self) -> Figure:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.font_manager import FontProperties

        # The height is known only once all is drawn.
        self._figure = Figure(figsize=(_WIDTH, 4.0), dpi=100, facecolor=self._theme.paper)
        canvas: Any = FigureCanvasAgg(self._figure)  # of whose methods not all are typed
        self._renderer = canvas.get_renderer()
        self._font = FontProperties
        self._axes: Axes = self._figure.add_axes((0.0, 0.0, 1.0, 1.0))
        self._axes.axis("off")
        self._measured: dict[tuple[str, float], float] = {}
        self._head()
        if len(self._waits) > 1:
            self._columns()
        if self._waits:
            self._legend()
        for row in self._rows:
            self._row(row)
        if not self._rows:
            self._y += 0.3
            self._text(_WIDTH / 2, self._y, "Nothing was said, and nothing was heard.", align="center")
            self._y += 0.35
        elif self.drawn_to < self._last:
            self._text(_LEFT, self._y + 0.1, f"It goes on after {clock(self.drawn_to)}.", faint=True)
            self._y += 0.3
        height = self._y + 0.1
        self._figure.set_size_inches(_WIDTH, height)
        self._axes.set_xlim(0, _WIDTH)
        self._axes.set_ylim(height, 0)
        return self._figure

    # -- the tools --------------------------------------------------------------------------------

    def _measure(self, text: str, size: float = _TEXT) -> float:
        """Width in inches."""
        if (text, size) not in self._measured:
            font = self._font(size=size)  # of the family that draw() has set
            width, _, _ = self._renderer.get_text_width_height_descent(text, font, False)
            self._measured[text, size] = width / self._figure.dpi
        return self._measured[text, size]

    def _text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = _TEXT,
        color: str | None = None,
        faint: bool = False,
        bold: bool = False,
        align: str = "left",
    ) -> None:
        """Draw a line of text whose middle is at ``y``."""
        self._axes.text(
            x,
            y,
            text,
            fontsize=size,
            color=color or (self._theme.faint if faint else self._theme.ink),
            fontweight="bold" if bold else "normal",
            ha=align,
            va="center_baseline",
            parse_math=False,
        )

    def _box(self, x: float, y: float, width: float, height: float, color: str, alpha: float = 1.0) -> None:
        from matplotlib.patches import Rectangle

        self._axes.add_patch(Rectangle((x, y), width, height, facecolor=color, alpha=alpha, linewidth=0))

    def _line(self, x: float, top: float, bottom: float, color: str, style: str = "-") -> None:
        self._axes.plot([x, x], [top, bottom], color=color, linewidth=0.8, linestyle=style)

    # -- above the rows ---------------------------------------------------------------------------

    def _head(self) -> None:
        story, waits = self._story, self._waits
        self._y = 0.24
        self._text(0.12, self._y, "What each answer waited for", size=_TITLE, bold=True)
        when = self._recording.began[:16].replace("T", " ")
        first, last = self._first, self.drawn_to
        whole = first <= 0 and last >= self._recording.seconds
        part = "" if whole else f"{clock(first)} to {clock(last)} of "
        facts = [f"{when} UTC" if when else "", part + clock(self._recording.seconds)]
        # Of what is drawn, as the waits are.
        count = sum(1 for said in story.utterances if said.side == "assistant" and first <= said.start < last)
        facts.append(f"{count} answer{'' if count == 1 else 's'}")
        if waits:
            typical = median(wait.seconds for wait in waits)
            longest = max(waits, key=lambda wait: wait.seconds)
            facts.append(f"wait {_seconds(typical)} (median), {_seconds(longest.seconds)} (longest)")
        if lost := [
            outage
            for outage in story.outages
            if outage.why != "connecting" and outage.end > first and outage.start < last
        ]:
            facts.append("link away once" if len(lost) == 1 else f"link away {len(lost)} times")
        self._y += 0.14
        line = " · ".join(fact for fact in facts if fact)
        placed, count = place(
            [Label(0.12, line)],
            lambda text: self._measure(text, _SMALL),
            left=0.12,
            right=_RIGHT,
            narrow=5,
            wide=5.1,
        )
        for text in placed[0].lines:
            self._y += 0.07
            self._text(0.12, self._y, text, size=_SMALL, faint=True)
            self._y += 0.07
        self._y += 0.1

    def _columns(self) -> None:
        """All waits side by side: the late one stands out, and its colour says why."""
        theme, waits = self._theme, self._waits
        longest = max(wait.seconds for wait in waits)
        top, bottom = self._y + 0.16, self._y + 0.16 + _COLUMNS
        step = min(0.6, (_RIGHT - _LEFT) / len(waits))
        for index, wait in enumerate(waits):
            x, y = _LEFT + index * step, bottom
            for name, seconds in wait.shares.items():
                height = seconds / longest * _COLUMNS
                y -= height
                self._box(x, y, step * 0.7, height, theme.phases[name])
            middle = x + step * 0.35
            if step > 0.34 or wait.seconds == longest:
                self._text(middle, y - 0.07, _seconds(wait.seconds), size=_SMALL, align="center")
            if step > 0.15 or wait.number % 5 == 0:
                self._text(middle, bottom + 0.09, str(wait.number), size=_SMALL, faint=True, align="center")
        self._axes.plot([_LEFT, _RIGHT], [bottom, bottom], color=theme.line, linewidth=0.8)
        self._text(0.12, top + _COLUMNS / 2, "wait", size=_SMALL, faint=True)
        self._text(0.12, bottom + 0.09, "answer", size=_SMALL, faint=True)
        self._y = bottom + 0.2

    def _legend(self) -> None:
        names = [name for name in PHASES if any(name in wait.shares for wait in self._waits)]
        self._y += 0.1
        x = _LEFT
        for name in names:
            width = 0.14 + self._measure(name, _SMALL) + 0.14
            if x + width > _RIGHT:
                x = _LEFT
                self._y += 0.16
            self._box(x, self._y - 0.045, 0.09, 0.09, self._theme.phases[name])
            self._text(x + 0.14, self._y, name, size=_SMALL)
            x += width
        self._y += 0.14

    # -- the rows -----------------------------------------------------------------------------------

    def _row(self, row: Row) -> None:
        if row.skipped >= 1:
            self._y += 0.12
            self._text(
                _WIDTH / 2,
                self._y,
                f"··· {_long(row.skipped)} of nothing ···",
                size=_SMALL,
                faint=True,
                align="center",
            )
            self._y += 0.02
        self._y += 0.12
        top = self._y
        self._said(row, "user")
        user_top = self._y
        middle = user_top + _WAVE
        voice_top = middle + _MIDDLE
        bottom = voice_top + _WAVE
        self._background(row, user_top, bottom)
        self._wave(row, 0, user_top + _WAVE / 2, self._theme.user)
        self._wave(row, 1, voice_top + _WAVE / 2, self._theme.assistant)
        self._text(0.12, user_top + _WAVE / 2, "you", size=_SMALL, color=self._theme.user, bold=True)
        self._text(0.12, voice_top + _WAVE / 2, "voice", size=_SMALL, color=self._theme.assistant, bold=True)
        self._waiting(row, middle + _MIDDLE / 2)
        self._y = bottom + 0.03
        self._said(row, "assistant")
        self._marks(row, user_top, bottom)
        self._scale(row)
        del top

    def _x(self, row: Row, at: float) -> float:
        return _LEFT + (min(max(at, row.start), row.end) - row.start) * (_RIGHT - _LEFT) / _ROW

    def _lane(self, row: Row, labels: list[Label], size: float, color: str | None, narrow: float) -> None:
        step = size * 1.28 / 72
        placed, lines = place(
            sorted(labels, key=lambda label: label.x),
            lambda text: self._measure(text, size),
            left=_LEFT,
            right=_RIGHT,
            narrow=narrow,
            wide=_RIGHT - _LEFT,
        )
        for label in placed:
            shade = self._theme.bad if label.label.bad else self._theme.faint if label.label.quiet else color
            for number, line in enumerate(label.lines):
                self._text(
                    label.x, self._y + (label.line + number + 0.5) * step, line, size=size, color=shade
                )
        self._y += lines * step

    def _said(self, row: Row, side: str) -> None:
        labels = [
            Label(self._x(row, said.start), said.text)
            for said in self._story.utterances
            if said.side == side and said.text and row.start <= said.start < row.end
        ]
        self._lane(row, labels, _TEXT, self._theme.user if side == "user" else self._theme.assistant, 2.3)
        self._y += 0.03 if labels else 0.0

    def _background(self, row: Row, top: float, bottom: float) -> None:
        left, right = self._x(row, row.start), self._x(row, row.end)
        for y in (top + _WAVE / 2, bottom - _WAVE / 2):
            self._axes.plot([left, right], [y, y], color=self._theme.line, linewidth=0.6, zorder=0)
        for outage in self._story.outages:
            if outage.start < row.end and outage.end > row.start:
                x, end = self._x(row, outage.start), self._x(row, outage.end)
                self._box(x, top, max(0.02, end - x), bottom - top, self._theme.phases["link away"], 0.2)
        for muted in self._story.muted:
            if muted.start < row.end and muted.end > row.start:
                x, end = self._x(row, muted.start), self._x(row, muted.end)
                self._box(x, top + 0.06, end - x, _WAVE - 0.12, self._theme.line, 0.6)
                if end - x > 0.45:
                    self._text(
                        (x + end) / 2, top + _WAVE / 2, "muted", size=_SMALL, faint=True, align="center"
                    )

    def _wave(self, row: Row, side: int, y: float, color: str) -> None:
        import numpy as np

        first, last = round(row.start / FRAME), round(row.end / FRAME)
        peaks = self._recording.peaks[first:last, side]
        peaks = peaks[: len(peaks) // 2 * 2].reshape(-1, 2).max(axis=1)  # 20 ms
        heights = np.round(np.sqrt(np.minimum(1.0, peaks / self._loudest)) * _WAVE / 2, 3)
        heights[peaks < 0.004] = 0.0
        loud = np.flatnonzero(heights)
        if not len(loud):
            return
        step = 2 * FRAME * (_RIGHT - _LEFT) / _ROW
        for run in np.split(loud, np.flatnonzero(np.diff(loud) > 1) + 1):
            xs = _LEFT + (np.arange(run[0], run[-1] + 1) + 0.5) * step
            xs = np.concatenate([[xs[0] - step / 2], xs, [xs[-1] + step / 2]])
            tall = np.concatenate([[0.0], heights[run], [0.0]])
            self._axes.fill_between(xs, y - tall, y + tall, color=color, linewidth=0)

    def _waiting(self, row: Row, y: float) -> None:
        for wait in self._story.waits:
            if not (wait.start < row.end and wait.end > row.start):
                continue
            for phase in wait.phases:
                x, end = self._x(row, phase.start), self._x(row, phase.end)
                if end > x:
                    self._box(x, y - _BAR / 2, end - x, _BAR, self._theme.phases[phase.name])
            if row.start < wait.end <= row.end:
                self._name_wait(row, wait, y)

    def _name_wait(self, row: Row, wait: Wait, y: float) -> None:
        text = f"{wait.number}: {_seconds(wait.seconds)}"
        width = self._measure(text, _SMALL) * 1.15
        x = self._x(row, wait.end) + 0.05
        if x + width > _RIGHT:
            x = max(_LEFT, self._x(row, wait.start) - 0.05 - width)
        late = self._is_late(wait)
        self._text(x, y, text, size=_SMALL, bold=late, color=self._theme.bad if late else self._theme.ink)

    def _is_late(self, wait: Wait) -> bool:
        typical = self._story.typical_wait or 0.0
        return wait.seconds > max(_SLOW * typical, _SOON)

    def _marks(self, row: Row, top: float, bottom: float) -> None:
        labels = []
        for outage in self._story.outages:
            if row.start <= outage.start < row.end:
                what = "connecting took" if outage.why == "connecting" else "link away for"
                why = "" if outage.why == "connecting" else f": {outage.why}"
                ending = "" if outage.restored else ", to the end"
                labels.append(
                    Label(
                        self._x(row, outage.start),
                        f"✕ {what} {_seconds(outage.seconds)}{ending}{why}",
                        bad=True,
                    )
                )
        for wait in self._story.waits:
            if row.start < wait.end <= row.end and self._is_late(wait):
                name, seconds = wait.reason
                text = f"answer {wait.number} came late: {_seconds(seconds)} until {PHASES[name]} ({name})"
                labels.append(Label(self._x(row, max(row.start, wait.start)), text, bad=True))
        for mark in self._story.marks:
            if row.start <= mark.at < row.end:
                x = self._x(row, mark.at)
                color = self._theme.bad if mark.bad else self._theme.faint
                self._line(x, top, bottom, color, ":")
                labels.append(Label(x, f"{'✕' if mark.bad else '▸'} {mark.text}", bad=mark.bad, quiet=True))
        if labels:
            self._y += 0.02
            self._lane(row, labels, _SMALL, None, 1.6)

    def _scale(self, row: Row) -> None:
        self._y += 0.03
        left, right = self._x(row, row.start), self._x(row, row.end)
        self._axes.plot([left, right], [self._y, self._y], color=self._theme.line, linewidth=0.8)
        second = int(row.start) + (row.start > int(row.start))
        while second <= row.end:
            x = self._x(row, second)
            self._line(x, self._y, self._y + 0.03, self._theme.line)
            if second % 2 == 0:
                self._text(x, self._y + 0.095, clock(second), size=6.0, faint=True, align="center")
            second += 1
        self._y += 0.16


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"


def _long(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 60 else f"{clock(seconds)} min"
