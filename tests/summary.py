"""Adds up the reports of several runs of pytest and names what failed."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence

__all__ = ["summary"]


def summary(reports: Sequence[str]) -> Iterator[str]:
    """The lines to print: what failed, what is missing, and how many passed."""
    suites = []
    for report in reports:
        try:
            suites += ET.parse(report).iter("testsuite")
        except (OSError, ET.ParseError):
            name = report.rpartition("/")[2]
            yield f"{name} is missing or incomplete: pytest was killed before it could write its report"
    total, bad, skipped = (
        sum(int(suite.get(name, 0)) for suite in suites for name in names)
        for names in (["tests"], ["failures", "errors"], ["skipped"])
    )
    for suite in suites:
        for case in suite.iter("testcase"):
            for ending in [*case.iter("failure"), *case.iter("error")]:
                message = (ending.get("message") or "")[:200]
                yield f"{case.get('classname')}::{case.get('name')}: {message!r}"
    yield f"tests: {total - bad - skipped} passed, {bad} failed, {skipped} skipped"


if __name__ == "__main__":
    for line in summary(sys.argv[1:]):
        print(line)
