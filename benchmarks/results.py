"""What was measured: rows of a table, kept as JSON, so that table and plots can be made again."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import ssl
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Measure", "Row", "goal", "load", "median", "number", "quantile", "ratio", "save", "table"]


@dataclass
class Row:
    """One line of the table.

    ``value`` is what the goal is about: a ratio of ours to the reference, or as ``unit_of_value`` says.
    """

    measure: str
    what: str
    ours: float | None
    reference: float | None
    unit: str
    value: float
    goal: float
    at_least: bool = False
    unit_of_value: str = "x"

    @property
    def met(self) -> bool:
        return self.value >= self.goal if self.at_least else self.value <= self.goal


@dataclass
class Measure:
    """What one benchmark found, and when.

    Attributes:
        series: for the plots.
        load: the machine's load average before and after.
    """

    name: str
    rows: list[Row] = field(default_factory=list)
    series: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    full: bool = False
    made: str = ""
    commit: str = ""
    load: list[float] = field(default_factory=list)
    seconds: float = 0.0


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def ratio(ours: Sequence[float], reference: Sequence[float]) -> float:
    """The median of the ratios of neighbouring rounds, so that the machine's moods fall out."""
    return median([a / b for a, b in zip(ours, reference, strict=True)])


def machine() -> dict[str, str]:
    """Where it was measured, as far as it matters."""
    cores = os.cpu_count()
    return {
        "system": f"{platform.system()} {platform.machine()}, {cores} cores shared with other work",
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION.split(" ", 2)[1],
    }


def commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip()


def now() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")


def load(path: Path) -> dict[str, Measure]:
    """What a file holds, by name; nothing if there is none."""
    if not path.exists():
        return {}
    found: dict[str, Measure] = {}
    for name, data in json.loads(path.read_text(encoding="utf-8"))["measures"].items():
        rows = [Row(**row) for row in data.pop("rows")]
        found[name] = Measure(**data, rows=rows)
    return found


def _place(name: str) -> tuple[int, str]:
    """P10 comes after P9, and "P4 SDKs" after P4."""
    return int(name.partition(" ")[0][1:]), name


def save(path: Path, measures: dict[str, Measure]) -> None:
    data = {
        "machine": machine(),
        "measures": {name: asdict(measures[name]) for name in sorted(measures, key=_place)},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def number(value: float | None, unit: str) -> str:
    """With three digits that say something; without a unit it is a count."""
    if value is None:
        return ""
    if not unit:
        return f"{value:g}"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f} {unit}"


def goal(row: Row) -> str:
    """The goal with its sign, as short as may be."""
    return f"{'≥' if row.at_least else '≤'} {row.goal:g} {row.unit_of_value}".strip()


def table(measures: dict[str, Measure]) -> str:
    """All rows as a table in Markdown, what matters first, for screens that are narrow."""
    lines = ["| what | value | goal | voicews | reference |", "|---|---|---|---|---|"]
    for measure in measures.values():
        for row in measure.rows:
            cells = [
                f"{row.measure} {row.what}",
                f"**{number(row.value, row.unit_of_value)}**",
                f"{goal(row)} {'met' if row.met else '**missed**'}",
                number(row.ours, row.unit),
                number(row.reference, row.unit),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
