"""The documentation's table of dialects and what they can do, made from the classes.

``python -m tests.dialects.abilities`` writes it into the page.
"""

from __future__ import annotations

from pathlib import Path

from tests.dialects.cast import CAST, Role
from voicews.cli.dialects import names
from voicews.commands import (
    Command,
    EndTurn,
    InterruptResponse,
    SendText,
    StartTurn,
    ToolResult,
    TruncateResponse,
)

__all__ = ["PAGE", "page_with", "table"]

PAGE = Path(__file__).parents[2] / "docs" / "dialects" / "index.md"
_BEGIN, _END = "<!-- abilities: made by tests/dialects/abilities.py -->\n", "<!-- end of abilities -->\n"
_YES, _NO = "yes", "\N{EN DASH}"


def table() -> str:
    """Two tables in Markdown: what can be said, and how each is called."""
    rows = sorted(CAST, key=lambda role: (not role.play(*_address(role)).answers, str(role)))
    called = {dialect: name for name, dialect in names().items()}
    abilities = _table(
        ("dialect", "answers", "text", "turns by hand", "interrupt", "told what was heard", "tools"),
        [
            (
                f"[`{role}`]({role.page})",
                _yes(role.play(*_address(role)).answers),
                _can(role, SendText),
                _by_hand(role),
                _can(role, InterruptResponse),
                _can(role, TruncateResponse),
                _can(role, ToolResult),
            )
            for role in rows
        ],
    )
    calling = _table(
        ("`--dialect`", "server", "hears, speaks", "key", "a new connection takes up"),
        [
            (
                f"[`{called[role.dialect]}`]({role.page})",
                role.server,
                _sound(role),
                ", ".join(f"`{name}`" for name in role.dialect.key_variables) or _NO,
                role.dialect.restores,
            )
            for role in rows
        ],
    )
    return f"{abilities}\n{calling}"


def page_with(made: str) -> str:
    """The page, with this table in it."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    return f"{before}{_BEGIN}\n{made}\n{_END}{rest.partition(_END)[2]}"


def _address(role: Role) -> tuple[str, ...]:
    return ("ws://localhost",) if str(role) == "Plain" else ()


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _yes(fact: bool) -> str:
    return _YES if fact else _NO


def _can(role: Role, command: type[Command]) -> str:
    return _yes(command in role.play(*_address(role)).accepts)


def _by_hand(role: Role) -> str:
    """Whether turns can be begun and ended, or only ended, and what has to be set for it."""
    for given, remark in (({}, ""), (role.by_hand or {}, "with `{}`")):
        accepts = role.play(*_address(role), **given).accepts
        if EndTurn in accepts:
            how = _YES if StartTurn in accepts else "their end"
            said = ", ".join(f"{name}={value!r}" for name, value in given.items())
            return f"{how} {remark.format(said)}".strip()
    return _NO


def _sound(role: Role) -> str:
    dialect = role.play(*_address(role))
    hears = f"{dialect.input_format.rate / 1000:g} kHz"
    return f"{hears}, {dialect.output_format.rate / 1000:g} kHz" if dialect.answers else hears


if __name__ == "__main__":
    PAGE.write_text(page_with(table()), encoding="utf-8")
