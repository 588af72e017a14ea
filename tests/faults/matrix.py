"""Faults as data, what became of each, and the table of it all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voicews.dialects import Dialect, Plain
from voicews.events import Event

if TYPE_CHECKING:
    from tests.faults.trial import Trial

PAGE = Path(__file__).parents[2] / "docs/guide/what-it-survives.md"
BEGIN, END = "<!-- matrix: written by the tests -->", "<!-- end of matrix -->"

INVARIANTS: Mapping[str, str] = {
    "ends": "`close()` returns in time; no thread, descriptor or device is left",
    "messages": "no text, control or tool message is lost or said twice, unless it is told",
    "memory": "memory stays within the configured bounds",
    "truth": "the callbacks are told what happened, in order",
    "audio": "sound goes on at once, the newest first kept, none sent that is too old",
    "hush": "no sound of an old connection follows that of a new one",
}


@dataclass(frozen=True)
class Recovers:
    """The conversation goes on."""

    within: float = 2.0
    """Seconds after the fault is over: the longest backoff, a handshake, and the machine's own leisure."""

    def __str__(self) -> str:
        return "goes on"


@dataclass(frozen=True)
class Fails:
    """The run ends with an error of this class."""

    error: type[BaseException]

    def __str__(self) -> str:
        return f"ends with `{self.error.__name__}`"


@dataclass(frozen=True)
class Ends:
    """The run ends well."""

    def __str__(self) -> str:
        return "ends well"


Outcome = Recovers | Fails | Ends


@dataclass(frozen=True)
class Fault:
    """One line of the matrix.

    Attributes:
        name: what is wrong, in words for the table.
        provoke: makes it happen to a conversation that is going on (or, with ``opens`` False, before).
        outcome: what has to become of it.
        scripts: what the server does to its connections, from the trial; None is good behaviour.
        told: kinds of events that have to come in this order, others in between.
        config: fields of ``ClientConfig`` that differ from the trial's.
        tls: the kind of the server's certificate, if it speaks TLS.
        proxied: whether the client goes through a FaultProxy.
        opens: whether the client is to be open before ``provoke``.
        transit: seconds that sound may be on the way because of the fault itself.
        aloud: whether callbacks of the fault's own may raise.
        dialect: makes the client's dialect from the URL; the plain one, if not said otherwise.
        every: seconds between two captured frames; 0.02 is a microphone's pace, 0.5 an idle line.
    """

    name: str
    provoke: Callable[[Trial], None]
    outcome: Outcome = field(default_factory=Recovers)
    scripts: Callable[[Trial], Sequence[Any]] | None = None
    told: Sequence[type[Event]] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    tls: str | None = None
    proxied: bool = False
    opens: bool = True
    transit: float = 0.0
    aloud: bool = False
    dialect: Callable[[str], Dialect] = Plain
    every: float = 0.02

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Row:
    """What became of one fault."""

    family: str
    name: str
    outcome: str
    back_after: float | None
    """Seconds from the end of the fault until the server heard us again."""
    broken: Mapping[str, str]
    """The invariants that did not hold, and how."""
    skipped: str = ""
    """Why the fault could not be tried here."""

    def cells(self) -> list[str]:
        if self.skipped:
            return [self.name, f"not tried: {self.skipped}", "", *("" for _ in INVARIANTS)]
        back = "" if self.back_after is None else f"{self.back_after:.1f} s"
        marks = ("no" if invariant in self.broken else "yes" for invariant in INVARIANTS)
        return [self.name, self.outcome, back, *marks]


ROWS: list[Row] = []
"""Of this process, in the order in which they were tried."""


def record(row: Row) -> None:
    """Put a row into the matrix, whoever has measured it."""
    ROWS.append(row)


def in_text(rows: Sequence[Row]) -> list[str]:
    """The matrix for a terminal, with what did not hold below it."""
    lines = []
    width = max((len(row.name) for row in rows), default=0)
    for family in dict.fromkeys(row.family for row in rows):
        lines.append(f"{family:{width}}    {'outcome':34} {'back':>6}  {' '.join(INVARIANTS)}")
        for row in (row for row in rows if row.family == family):
            name, outcome, back, *marks = row.cells()
            shown = " ".join(f"{mark:{len(key)}}" for mark, key in zip(marks, INVARIANTS, strict=True))
            lines.append(f"  {name:{width}}  {outcome:34} {back:>6}  {shown}".rstrip())
    lines += [f"{row.name}: {name}: {why}" for row in rows for name, why in row.broken.items()]
    tried = [row for row in rows if not row.skipped]
    held = sum(not row.broken for row in tried)
    lines.append(f"{len(tried)} faults tried, {held} survived with all {len(INVARIANTS)} invariants")
    return lines


def in_markdown(rows: Sequence[Row]) -> dict[str, str]:
    """The matrix for the guide, by family."""
    parts = {}
    for family in dict.fromkeys(row.family for row in rows):
        head = ["fault", "outcome", "back after", *INVARIANTS]
        table = [head, ["---"] * len(head)]
        table += [row.cells() for row in rows if row.family == family]
        lines = "\n".join(f"| {' | '.join(cells)} |" for cells in table)
        notes = "".join(
            f"\n- {row.name}: *{name}* does not hold: {why}"
            for row in rows
            if row.family == family
            for name, why in row.broken.items()
        )
        parts[family] = f"### {family}\n\n{lines}\n{notes and notes + chr(10)}"
    return parts


def write_page(rows: Sequence[Row], page: Path = PAGE) -> None:
    """Put the matrix between the page's markers; families that were not tried stay as they are."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    known, _, after = rest.partition(END)
    parts = {}
    for part in known.split("### ")[1:]:
        parts[part.partition("\n")[0]] = f"### {part.rstrip()}\n"
    parts |= in_markdown(rows)
    page.write_text(f"{before}{BEGIN}\n\n{chr(10).join(parts.values())}\n{END}{after}", encoding="utf-8")
