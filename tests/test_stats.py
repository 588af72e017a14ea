from __future__ import annotations

import threading
from dataclasses import fields

import pytest

from voicews.stats import Counters, Stats, quantile


def test_counts_begin_at_zero_and_add_up() -> None:
    counters = Counters()
    assert counters.count("frames") == 0
    counters.add("frames")
    counters.add("frames", 2)
    counters.add("sound", 0.5)
    assert counters.count("frames") == 3
    assert counters.seconds("sound") == 0.5


@pytest.mark.parametrize(
    ("samples", "least", "median", "p95"),
    [
        ([], None, None, None),
        ([3.0], 3.0, 3.0, 3.0),
        ([1.0, 9.0, 2.0], 1.0, 2.0, 8.3),
        ([4.0, 1.0, 3.0, 2.0], 1.0, 2.5, 3.85),
    ],
)
def test_quantiles_and_the_last(
    samples: list[float], least: float | None, median: float | None, p95: float | None
) -> None:
    counters = Counters()
    for sample in samples:
        counters.sample("rtt", sample)
    ordered = counters.ordered("rtt")
    assert (quantile(ordered, 0), quantile(ordered, 0.5)) == (least, median)
    assert quantile(ordered, 0.95) == pytest.approx(p95)
    assert quantile(ordered, 1) == (max(samples) if samples else None)
    assert counters.last("rtt") == (samples[-1] if samples else None)


def test_a_hundred_and_one_values_are_their_own_percentiles() -> None:
    values = [float(n) for n in range(101)]
    assert [quantile(values, share / 100) for share in (0, 5, 50, 95, 99, 100)] == [0, 5, 50, 95, 99, 100]


def test_only_the_newest_samples_are_kept() -> None:
    counters = Counters()
    for number in range(1000):
        counters.sample("rtt", float(number))
    assert counters.ordered("rtt") == [float(n) for n in range(800, 1000)]


def test_threads_may_count_at_once() -> None:
    counters = Counters()

    def count() -> None:
        for _ in range(5000):
            counters.add("frames")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counters.count("frames") == 20000


def stats(**members: object) -> Stats:
    """All zero and unmeasured, but for these."""
    values: dict[str, object] = {field.name: 0 for field in fields(Stats) if field.init}
    values |= {name: {} for name in ("frames_dropped", "playback_dropped", "events_dropped")}
    values |= {name: None for name in values if name.startswith(("rtt", "response"))}
    return Stats(**{**values, **members})  # type: ignore[arg-type]


def test_it_prints_as_one_line_for_a_log() -> None:
    told = str(
        stats(
            seconds=61.25,
            rtt_median=0.0123,
            rtt_min=0.011,
            rtt_p95=0.05,
            frames_sent=3000,
            frames_dropped={"stale": 3, "overflow": 2},
            frames_received=70,
            outbox_ms=40.0,
            reconnects=1,
            outage=2.5,
        )
    )
    assert told == (
        "61.2 s; rtt 12.3 ms (min 11.0 ms, p95 50.0 ms); response - (p95 -); "
        "frames 3000 sent, 70 received, 5 dropped; waiting 40 ms out, 0 ms in; "
        "overflows 0, underruns 0; reconnects 1, outage 2.5 s"
    )


def test_when_it_was_taken_makes_no_difference() -> None:
    assert stats(frames_sent=1) == stats(frames_sent=1) != stats(frames_sent=2)
