"""The long run, in short; and that it would see what it is there to see."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.soak import MAY_GROW, Result, Sample, Soak
from voicews import Stats

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.full
def test_a_short_soak() -> None:
    result = Soak(seconds=12.0, reconnects=4).run()
    assert list(result.broken()) == []
    assert result.stats.connections == 5
    assert len(result.samples) >= 5
    assert result.books["frames"] > 400


@pytest.mark.soak
@pytest.mark.timeout(2400)
def test_half_an_hour() -> None:
    program = [sys.executable, "-m", "tests.faults.soak"]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


def good() -> Result:
    books = {"frames": 990, "silences": 0, "twice": 0, "out_of_order": 0, "texts": {"word 0": 1}}
    figures: dict[str, Any] = {figure.name: 0 for figure in dataclasses.fields(Stats) if figure.init}
    figures |= {"frames_captured": 1000, "frames_sent": 995, "frames_dropped": {"lost": 5}, "connections": 4}
    stats = Stats(**figures)
    samples = [Sample(float(n), 30 << 20, 8, 9) for n in range(20)]
    return Result(20.0, 3, 3, samples, stats, 1000, ["word 0", "word 1"], ["word 1"], books, [0.2] * 3)


def later(**changes: int) -> Callable[[Result], Result]:
    """With other samples in the last quarter."""

    def change(result: Result) -> Result:
        samples = [dataclasses.replace(s, **changes) if s.at > 14 else s for s in result.samples]
        return dataclasses.replace(result, samples=samples)

    return change


def counted(**changes: Any) -> Callable[[Result], Result]:
    return lambda result: dataclasses.replace(result, stats=dataclasses.replace(result.stats, **changes))


def booked(**changes: Any) -> Callable[[Result], Result]:
    return lambda result: dataclasses.replace(result, books={**result.books, **changes})


def other(**changes: Any) -> Callable[[Result], Result]:
    return lambda result: dataclasses.replace(result, **changes)


def test_what_is_well_is_called_so() -> None:
    assert list(good().broken()) == []
    assert "3 links dropped by the test, 3 in all" in "\n".join(good().lines())


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (later(rss=(30 << 20) + MAY_GROW + 1), "the memory grew by 4.2 MB"),
        (later(threads=9), "there were 8 threads, and 9 at the end"),
        (later(descriptors=10), "there were 9 descriptors, and 10 at the end"),
        (counted(frames_captured=1001), "captured 1001 is not sent 995"),
        (counted(frames_sent=990, frames_dropped={"lost": 5, "overflow": 5}), "no drop of a link explains"),
        (counted(connections=5), "5 connections for 3 drops"),
        (other(dropped=4), "4 links ended, but the test ended 3"),
        (other(captured=1002), "the microphone gave 1002 frames"),
        (other(undelivered=[]), "texts are lost, and nobody was told: ['word 1']"),
        (booked(frames=996), "996 frames arrived, but 995 were sent"),
        (booked(twice=1), "1 frames came twice"),
        (booked(out_of_order=1), "1 out of order"),
        (booked(texts={"word 0": 2}), "texts came twice: ['word 0']"),
    ],
)
def test_what_is_not_well_is_told(spoil: Callable[[Result], Result], told: str) -> None:
    broken = list(spoil(good()).broken())
    assert any(told in why for why in broken), broken
