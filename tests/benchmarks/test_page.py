"""What docs/performance.md says of the measurements is what they were."""

from __future__ import annotations

from pathlib import Path

from benchmarks.page import with_table
from benchmarks.results import load

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "performance.md").read_text(encoding="utf-8")


def test_the_page_and_what_was_measured_agree() -> None:
    """If not: ``script/bench --page``."""
    assert with_table(PAGE, load(DOCS / "performance" / "results.json")) == PAGE


def test_without_a_miss_it_says_so() -> None:
    measures = load(DOCS / "performance" / "results.json")
    for measure in measures.values():
        measure.rows = [row for row in measure.rows if row.met]
    text = with_table(PAGE, measures)
    assert "## What is missed, and why\n\nNothing: every goal is met." in text
    assert "**missed**" not in text
