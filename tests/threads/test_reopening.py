from __future__ import annotations

import pytest

from voicews.threads import reopening
from voicews.threads.reopening import REOPENING, Reopening


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(reopening, "time", clock)
    return clock


def test_a_working_device_is_not_asked_for(clock: Clock) -> None:
    device = Reopening()
    assert not device.due
    assert device.remaining is None


def test_the_delays_grow_until_it_is_back(clock: Clock) -> None:
    device = Reopening()
    device.lost()
    for delay in (0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0):
        assert device.remaining == pytest.approx(delay)
        assert not device.due
        clock.now += delay
        assert device.due
        device.missing()
    device.opened()
    assert not device.due


def test_only_a_device_that_lasted_begins_with_the_first_delay(clock: Clock) -> None:
    device = Reopening()
    device.lost()
    device.opened()
    device.lost()
    assert device.remaining == pytest.approx(0.4)
    device.opened()
    clock.now += REOPENING.stable_after
    device.lost()
    assert device.remaining == pytest.approx(0.2)
