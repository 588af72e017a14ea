"""Runs a fault, checks it, and shows the matrix at the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults import invariants, matrix
from tests.faults.matrix import Fault, Row
from tests.faults.trial import Trial

Try = Callable[[Fault, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-matrix",
        action="store_true",
        help="write the matrix of faults into docs/guide/what-it-survives.md",
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not matrix.ROWS:
        return
    terminalreporter.section("what it survives")
    for line in matrix.in_text(matrix.ROWS):
        terminalreporter.write_line(line)
    if config.getoption("--write-matrix", default=False):
        matrix.write_page(matrix.ROWS)
        terminalreporter.write_line(f"written into {matrix.PAGE.name}")


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
