from __future__ import annotations

import threading

import pytest

from voicews.stats import Counters


def test_counts_begin_at_zero_and_add_up() -> None:
    counters = Counters()
    assert counters.count("frames") == 0
    counters.add("frames")
    counters.add("frames", 2)
    counters.add("sound", 0.5)
    assert counters.count("frames") == 3
    assert counters.seconds("sound") == 0.5


@pytest.mark.parametrize(
    ("samples", "median"), [([], None), ([3.0], 3.0), ([1.0, 9.0, 2.0], 2.0), ([4.0, 1.0, 3.0, 2.0], 2.5)]
)
def test_the_median_and_the_last(samples: list[float], median: float | None) -> None:
    counters = Counters()
    for sample in samples:
        counters.sample("rtt", sample)
    assert counters.median("rtt") == median
    assert counters.last("rtt") == (samples[-1] if samples else None)


def test_only_the_newest_samples_are_kept() -> None:
    counters = Counters()
    for number in range(1000):
        counters.sample("rtt", float(number))
    assert counters.median("rtt") == 899.5


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
