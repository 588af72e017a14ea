"""What `voicews bench` found, as lines for people and as JSON: pure."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from voicews.cli.measurement import Progress
from voicews.cli.narration import milliseconds
from voicews.stats import quantile

__all__ = ["Spread", "bar_lines", "bars", "report", "to_json"]

_ROWS = 8
_STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Spread:
    """How measured times lie.  All are in seconds but the count."""

    count: int
    min: float
    median: float
    p95: float
    max: float
    jitter: float
    """The mean difference between one and the next."""

    @classmethod
    def of(cls, points: Sequence[tuple[float, float]]) -> Spread | None:
        """Of points in the order in which they were measured; None if there are none."""
        values = [value for _, value in points]
        if not values:
            return None
        ordered = sorted(values)
        median, p95 = quantile(ordered, 0.5), quantile(ordered, 0.95)
        assert median is not None
        assert p95 is not None
        steps = [abs(b - a) for a, b in pairwise(values)]
        jitter = sum(steps) / len(steps) if steps else 0.0
        return cls(len(values), ordered[0], median, p95, ordered[-1], jitter)

    def __str__(self) -> str:
        told = [
            f"median {milliseconds(self.median)}",
            f"least {milliseconds(self.min)}",
            f"95 % within {milliseconds(self.p95)}",
            f"most {milliseconds(self.max)}",
            f"jitter {milliseconds(self.jitter)}",
        ]
        return ", ".join(told)


def bars(values: Sequence[float]) -> list[tuple[float, float, int]]:
    """A histogram: from, to, and how many; the last row's end is infinite if it holds the slowest few.

    The rows are of one width, which is a round number, and there are at most nine of them.
    """
    if not values:
        return []
    ordered = sorted(values)
    most = quantile(ordered, 0.98) or ordered[-1]
    width = _round_up(max((most - ordered[0]) / (_ROWS - 1), ordered[0] * 0.02, 1e-5))
    first = math.floor(ordered[0] / width + 1e-9) * width
    count = min(_ROWS, math.floor((ordered[-1] - first) / width + 1e-9) + 1)
    rows = [0] * count
    beyond = 0
    for value in ordered:
        row = math.floor((value - first) / width + 1e-9)
        if row < count:
            rows[row] += 1
        else:
            beyond += 1
    found = [(first + n * width, first + (n + 1) * width, held) for n, held in enumerate(rows)]
    return [*found, (first + count * width, math.inf, beyond)] if beyond else found


def _round_up(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in _STEPS if step * power >= value * (1 - 1e-9))


def bar_lines(values: Sequence[float], cells: int, full: str = "#") -> list[str]:
    """The histogram in text."""
    rows = bars(values)
    most = max((count for *_, count in rows), default=0)
    digits = max(0, -math.floor(math.log10(rows[0][1] - rows[0][0]) + 3 + 1e-9)) if rows else 0
    lines = []
    for low, high, count in rows:
        until = "and more   " if math.isinf(high) else f"- {high * 1000:8.{digits}f} ms"
        bar = full * max(round(count / most * cells), 1 if count else 0)
        lines.append(f"  {low * 1000:8.{digits}f} {until:<13}  {count:>4}  {bar}".rstrip())
    return lines


def report(progress: Progress, server: str, *, cells: int = 30, full: str = "#") -> list[str]:
    """Everything for people, line by line.

    Args:
        server: its address, without a query.
        cells: the longest bar.
        full: what bars are made of.
    """
    lines = [f"server      {server}", f"connected   in {milliseconds(progress.connect)}"]
    if progress.connect is None:
        return lines[:1]
    rtt, echo = Spread.of(progress.rtts), Spread.of(progress.echoes)
    lines += ["", f"round trip of a ping   {len(progress.rtts)} of {progress.pings} came back"]
    if rtt is None:
        lines.append("  not measured: the server answers no pings" if progress.pings else "  not measured")
    else:
        lines += [f"  {rtt}", *bar_lines([value for _, value in progress.rtts], cells, full)]
    lines += ["", f"echo of sound          {len(progress.echoes)} of {progress.marks} marks came back"]
    lines += [f"  {echo}", *bar_lines([value for _, value in progress.echoes], cells, full)] if echo else []
    if progress.marks and not echo:
        lines += [f"  {line}" for line in _without_echo(progress)]
    lines += ["", f"throughput             {_throughput(progress)}"]
    lines += [f"the server reports an error: {text}" for text in progress.complaints[:3]]
    return lines


def _without_echo(progress: Progress) -> list[str]:
    if progress.sound_received:
        return [
            f"it sent {progress.sound_received:.1f} s of sound, but not what it heard: it is no echo server.",
            "How long it takes to answer, `voicews talk URL --input FILE.wav` measures.",
        ]
    return ["it sent no sound: it is no echo server, and only the line to it could be measured."]


def _throughput(progress: Progress) -> str:
    if progress.up is None:
        return "not measured" if progress.phase == "done" else "not yet measured"
    told = [f"up {_rate(progress.up, progress)}"]
    if progress.down is not None:
        told.append(f"back {_rate(progress.down, progress)}")
    return ", ".join(told)


def _rate(bytes_per_second: float, progress: Progress) -> str:
    mbit = bytes_per_second * 8 / 1e6
    times = bytes_per_second / progress.bytes_per_second
    return f"{mbit:.1f} Mbit/s ({times:.0f} x real time)"


def to_json(progress: Progress, server: str) -> str:
    """Everything in one JSON object; times are in seconds, what was not measured is null."""
    spreads = {"rtt": Spread.of(progress.rtts), "echo": Spread.of(progress.echoes)}
    return json.dumps(
        {
            "server": server,
            "complete": progress.phase == "done",
            "connect": _rounded(progress.connect),
            "pings": progress.pings,
            "marks": progress.marks,
            **{name: _plain(spread) for name, spread in spreads.items()},
            "sound_sent": _rounded(progress.sound_sent),
            "sound_received": _rounded(progress.sound_received),
            "up_bytes_per_second": _rounded(progress.up),
            "down_bytes_per_second": _rounded(progress.down),
            "errors": progress.complaints,
        },
        ensure_ascii=False,
    )


def _plain(spread: Spread | None) -> dict[str, float | None] | None:
    if spread is None:
        return None
    return {name: _rounded(value) for name, value in dataclasses.asdict(spread).items()}


def _rounded(value: float | None) -> float | None:
    return value if value is None or isinstance(value, int) else round(value, 6)
