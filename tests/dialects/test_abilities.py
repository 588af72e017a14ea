"""The table in the documentation is what the classes say."""

from __future__ import annotations

from tests.dialects.abilities import PAGE, page_with, table
from tests.dialects.cast import CAST
from voicews.cli.dialects import names


def test_the_table_is_up_to_date() -> None:
    """Else: python -m tests.dialects.abilities."""
    assert PAGE.read_text(encoding="utf-8") == page_with(table())


def test_every_dialect_is_in_it() -> None:
    assert {role.dialect for role in CAST} == set(names().values())


def test_it_tells_differences() -> None:
    [plain] = [line for line in table().splitlines() if line.startswith("| [`Plain`]")]
    [vosk] = [line for line in table().splitlines() if line.startswith("| [`Vosk`]")]
    assert plain.count("yes") == 5
    assert vosk.count("yes") == 0
    assert "their end" in vosk
