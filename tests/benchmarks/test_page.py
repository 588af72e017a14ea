"""What docs/performance.md says of the measurements is what they were."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks import page
from benchmarks.results import load

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A copy of what was measured last, with its page."""
    shutil.copy(DOCS / "performance.md", tmp_path)
    (tmp_path / "performance").mkdir()
    return Path(shutil.copy(DOCS / "performance" / "results.json", tmp_path / "performance"))


def test_the_page_and_what_was_measured_agree(store: Path) -> None:
    page.write(store, load(store))
    assert (store.parents[1] / "performance.md").read_text(encoding="utf-8") == (
        DOCS / "performance.md"
    ).read_text(encoding="utf-8")
    assert {file.name for file in store.parent.glob("*.svg")} == {
        file.name for file in (DOCS / "performance").glob("*.svg")
    }


def test_without_a_miss_it_says_so(store: Path) -> None:
    measures = load(store)
    for measure in measures.values():
        measure.rows = [row for row in measure.rows if row.met]
    page.write(store, measures)
    text = (store.parents[1] / "performance.md").read_text(encoding="utf-8")
    assert "## What is missed, and why\n\nNothing: every goal is met." in text
    assert "**missed**" not in text
