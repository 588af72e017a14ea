"""Draws the lifecycle's table into the documentation.

``python -m tests.lifecycle_diagram`` writes it into the pages.
"""

from __future__ import annotations

from pathlib import Path

from voicews.lifecycle import TRANSITIONS, Fact, State, TornDown

__all__ = ["PAGES", "diagram", "page_with", "table"]

DOCS = Path(__file__).parents[1] / "docs"
PAGES = (DOCS / "guide" / "lifecycle.md", DOCS / "architecture.md")
_BEGIN, _END = "<!-- lifecycle: drawn by tests/lifecycle_diagram.py -->\n", "<!-- end of lifecycle -->\n"


def _edges() -> list[tuple[State, State, list[type[Fact]]]]:
    """(from, to, the facts that lead there), in the table's order."""
    found: dict[tuple[State, State], list[type[Fact]]] = {}
    for old, row in TRANSITIONS.items():
        for fact, new in row.items():
            found.setdefault((old, new), []).append(fact)
    return [(old, new, facts) for (old, new), facts in found.items()]


def diagram() -> str:
    """Mermaid source.  Facts that change nothing are left to the table."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {State.IDLE.name}"]
    for old, new, facts in _edges():
        if old is not new or old is State.RECONNECTING:
            lines.append(f"    {old.name} --> {new.name}: {', '.join(fact.__name__ for fact in facts)}")
    lines.append(f"    {State.CLOSING.name} --> {State.FAILED.name}: TornDown, if an error is kept")
    lines += [f"    {state.name} --> [*]" for state in State if state.ended]
    return "\n".join([*lines, "```"])


def table() -> str:
    """The same as a table, complete."""
    kinds = Fact.__subclasses__()
    rows = [["", *(kind.__name__ for kind in kinds)], ["---"] * (len(kinds) + 1)]
    for state, row in TRANSITIONS.items():
        cells = [
            "stays" if row.get(kind) is state else row[kind].name if kind in row else "" for kind in kinds
        ]
        rows.append([f"**{state.name}**", *cells])
    # What the table of the code only says in its prose.
    rows[2 + list(TRANSITIONS).index(State.CLOSING)][1 + kinds.index(TornDown)] = (
        "CLOSED, or FAILED if an error is kept"
    )
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def page_with(page: str) -> str:
    """A page's text with what stands between the markers drawn anew."""
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{diagram()}\n\n{table()}\n\n{_END}{after}"


if __name__ == "__main__":
    for file in PAGES:
        file.write_text(page_with(file.read_text(encoding="utf-8")), encoding="utf-8")
