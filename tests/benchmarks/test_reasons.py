"""Each goal that is missed is told: which, by how much, and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.reasons import UNKNOWN, by_how_much, fits, missed, reasons, why
from benchmarks.results import Measure, Row, load

STORE = Path(__file__).parents[2] / "docs" / "performance" / "results.json"

SLOW = Row("P2", "pushed → in the player's hand, plain, p50", 0.4, 0.2, "ms", 2.0, 1.5)
SLOWER = Row("P2", "pushed → in the player's hand, TLS, p50", 0.6, 0.2, "ms", 3.0, 1.5)
FAST = Row("P2", "pushed → in the player's hand, plain, p99", 1.0, 1.0, "ms", 1.0, 1.5)
STRANGE = Row("P12", "what nobody has looked at yet", 3.0, 1.0, "", 3.0, 0, unit_of_value="")


def told(*measures: Measure) -> str:
    return "\n".join(line for one in missed(measures) for line in one.lines())


def test_every_missed_row_of_the_stored_results_has_its_line() -> None:
    stored = load(STORE).values()
    said = told(*stored).splitlines()
    for row in (row for measure in stored for row in measure.rows):
        line = f"- {by_how_much(row)}"
        assert said.count(line) == (0 if row.met else 1), line


def test_every_reason_is_for_a_row_that_is_measured() -> None:
    """Else a row has got another name, and its reason would never be told again."""
    stored = load(STORE)
    rows = [row for measure in stored.values() for row in measure.rows]
    for measure, what in reasons():
        # The vendors' clients are measured only where they are installed.
        elsewhere = "client" in what and "P4 SDKs" not in stored
        assert elsewhere or any(fits(row, measure, what) for row in rows), what


def test_rows_with_one_reason_stand_together() -> None:
    said = told(Measure("P2", rows=[SLOW, FAST, SLOWER])).splitlines()
    assert [line[:10] for line in said] == ["- P2, push", "- P2, push", "", "Why: a fra"]
    assert "TLS" in said[1]


def test_what_is_met_is_not_told() -> None:
    assert told(Measure("P2", rows=[FAST])) == ""


def test_what_nobody_knows_is_not_hidden() -> None:
    assert why(STRANGE) == UNKNOWN
    assert told(Measure("P12", rows=[STRANGE])).splitlines() == [
        "- P12, what nobody has looked at yet: 3, goal ≤ 0, missed by 3",
        "",
        f"Why: {UNKNOWN}.",
    ]


@pytest.mark.parametrize(
    ("row", "end"),
    [
        (SLOW, "2.00 x, goal ≤ 1.5 x, missed by 0.50 x (33 %)"),
        (
            Row("P3", "sooner", 1.0, 40.0, "ms", 40.0, 50, at_least=True),
            "40.0 x, goal ≥ 50 x, missed by 10.0 x (20 %)",
        ),
        (
            Row("P5", "beyond the devices alone", 120.0, 100.0, "ms", 20.0, 15, unit_of_value="ms"),
            "20.0 ms, goal ≤ 15 ms, missed by 5.00 ms (33 %)",
        ),
    ],
)
def test_by_how_much(row: Row, end: str) -> None:
    assert by_how_much(row).endswith(end)
