"""Runs a fault, checks it, and shows the matrix at the end.

The rows travel with the tests' reports, for with pytest-xdist the tests run in other processes than the
one that shows the matrix, and in any order.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import PLACE
from tests.faults import invariants, matrix
from tests.faults.matrix import Fault, Row
from tests.faults.trial import Trial

Try = Callable[[Fault, str], None]

_ROWS = "rows of the matrix"
_shown: list[tuple[int, Row]] = []
"""What the reports have brought, with the tests' places."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-matrix",
        action="store_true",
        help="write the matrix of faults into docs/guide/what-it-survives.md",
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not _shown:
        return
    rows = [row for _, row in sorted(_shown, key=lambda shown: shown[0])]
    terminalreporter.section("what it survives")
    for line in matrix.in_text(rows):
        terminalreporter.write_line(line)
    if config.getoption("--write-matrix", default=False):
        matrix.write_page(rows)
        terminalreporter.write_line(f"written into {matrix.PAGE.name}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "teardown":
        for name, value in report.user_properties:
            if name == _ROWS:
                place, rows = value
                _shown.extend((place, Row(**row)) for row in rows)


@pytest.fixture(autouse=True)
def rows(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give the test's report the rows that it records."""
    known = len(matrix.ROWS)
    yield
    if found := [dataclasses.asdict(row) for row in matrix.ROWS[known:]]:
        request.node.user_properties.append((_ROWS, (request.node.stash[PLACE], found)))


@pytest.fixture
def attempt() -> Try:
    """Try a fault; the test fails if one of the invariants does not hold."""

    def run(fault: Fault, family: str) -> None:
        trial = Trial(fault)
        try:
            with trial:
                trial.run()
        except BaseException as error:
            matrix.record(Row(family, fault.name, str(fault.outcome), None, {"ends": f"{error!r}"[:300]}))
            raise
        row = invariants.check(trial, family)
        matrix.record(row)
        assert not row.broken, "\n".join(f"{name}: {why}" for name, why in row.broken.items())

    return run
