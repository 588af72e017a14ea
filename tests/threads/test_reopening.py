from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from tests.patience import PATIENCE
from voicews.errors import DeviceLostError, DeviceNotFound
from voicews.threads import reopening
from voicews.threads.reopening import REOPENING, DeviceUser, Reopening


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


class Device:
    """What is tried out: it fails, hangs or works as it is told."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.answers = threading.Event()
        self.answers.set()
        self.tried = 0

    def try_out(self, trial: DeviceUser) -> None:
        self.tried += 1
        assert self.answers.wait(PATIENCE)
        if self.error is not None:
            raise self.error


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(reopening, "time", clock)
    return clock


@pytest.fixture
def device() -> Iterator[Device]:
    device = Device()
    yield device
    device.answers.set()


@pytest.fixture
def asking(device: Device) -> Reopening:
    return Reopening("microphone", device.try_out)


def wait_until(fact: Callable[[], bool]) -> None:
    never = threading.Event()
    for _ in range(round(PATIENCE / 0.005)):
        if fact():
            return
        never.wait(0.005)
    raise AssertionError


def outcome(asking: Reopening) -> bool:
    """That of the trial which is under way."""
    assert not asking.ready()
    wait_until(lambda: not asking.trials)
    return asking.ready()


def test_a_working_device_is_not_asked_for(clock: Clock, device: Device, asking: Reopening) -> None:
    clock.now += 1000
    assert not asking.ready()
    assert asking.remaining is None
    assert (device.tried, asking.trials, asking.hanging) == (0, [], 0.0)


def test_the_delays_grow_until_it_is_back(clock: Clock, device: Device, asking: Reopening) -> None:
    device.error = DeviceNotFound("none")
    asking.lost()
    for number, delay in enumerate((0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0), 1):
        assert asking.remaining == pytest.approx(delay)
        assert not asking.ready()
        assert device.tried == number - 1
        clock.now += delay
        assert not outcome(asking)
        assert device.tried == number
    device.error = None
    clock.now += 5
    assert outcome(asking)
    asking.opened()
    assert asking.remaining is None


def test_only_a_device_that_lasted_begins_with_the_first_delay(clock: Clock, asking: Reopening) -> None:
    asking.lost()
    asking.opened()
    asking.lost()
    assert asking.remaining == pytest.approx(0.4)
    asking.opened()
    clock.now += REOPENING.stable_after
    asking.lost()
    assert asking.remaining == pytest.approx(0.2)


def test_a_trial_that_hangs_holds_up_nobody(clock: Clock, device: Device, asking: Reopening) -> None:
    device.answers.clear()
    asking.lost()
    clock.now += 1
    assert not asking.ready()
    assert [thread.name for thread in asking.trials] == ["voicews-microphone-trial"]
    assert asking.remaining == pytest.approx(0.05)
    clock.now += 7
    assert not asking.ready()
    assert asking.hanging == pytest.approx(7)
    device.answers.set()
    wait_until(lambda: not asking.trials)
    assert asking.ready()


def test_no_more_than_four_trials_hang(clock: Clock, device: Device, asking: Reopening) -> None:
    """Each holds a thread, and perhaps a device, for good."""
    device.answers.clear()
    asking.lost()
    for _ in range(100):
        clock.now += 6
        assert not asking.ready()
    assert device.tried == len(asking.trials) == 4
    device.answers.set()
    wait_until(lambda: not asking.trials)
    assert asking.ready()


def test_how_long_a_driver_hangs_goes_on_from_trial_to_trial(
    clock: Clock, device: Device, asking: Reopening
) -> None:
    """A new trial every ten seconds is no sign of life."""
    device.answers.clear()
    asking.lost()
    clock.now += 1
    for _ in range(100):
        asking.ready()
        clock.now += 1
    assert asking.hanging == pytest.approx(100)
    assert asking.remaining, "the device's thread would ask without a pause"
    device.answers.set()
    wait_until(lambda: not asking.trials)
    assert asking.ready()
    asking.opened()
    assert asking.hanging == 0.0


def test_a_device_that_is_there_and_does_not_answer_hangs_though_its_trials_end(
    clock: Clock, device: Device, asking: Reopening
) -> None:
    device.error = DeviceLostError("another thread hangs in the sound system", hangs=True)
    asking.lost()
    clock.now += 1
    assert not outcome(asking)
    clock.now += 30
    assert asking.hanging == pytest.approx(30)
    device.error = DeviceNotFound("it was unplugged now")
    assert not outcome(asking)
    assert asking.hanging == 0.0


def test_what_hung_before_counts(clock: Clock, device: Device) -> None:
    device.answers.clear()
    hung = [Reopening("microphone", device.try_out) for _ in range(4)]
    for each in hung:
        each.lost()
    clock.now += 1
    for each in hung:
        each.ready()
    asking = Reopening("microphone", device.try_out, [trial for each in hung for trial in each.trials])
    asking.missing()
    clock.now += 20
    assert asking.hanging == pytest.approx(20)
    assert not asking.ready()
    assert device.tried == len(asking.trials) == 4
    assert not any(thread.superseded for thread in asking.trials)
    device.answers.set()
    wait_until(lambda: not asking.trials)
    assert not asking.ready()
    assert device.tried == 5
    wait_until(asking.ready)


def test_a_new_trial_supersedes_the_one_that_hangs(clock: Clock, device: Device, asking: Reopening) -> None:
    device.answers.clear()
    asking.lost()
    clock.now += 1
    asking.ready()
    (first,) = asking.trials
    clock.now += 11
    asking.ready()
    assert not first.superseded
    clock.now += 5
    asking.ready()
    assert first.superseded
    assert len(asking.trials) == 2
    device.answers.set()
    wait_until(lambda: not asking.trials)


def test_a_bug_of_the_device_comes_out(clock: Clock, device: Device, asking: Reopening) -> None:
    device.error = ZeroDivisionError("a bug")
    asking.lost()
    clock.now += 1
    with pytest.raises(ZeroDivisionError):
        outcome(asking)


def test_the_end_waits_for_the_trial(clock: Clock, device: Device, asking: Reopening) -> None:
    device.error = DeviceLostError("gone")
    asking.finish(PATIENCE)
    asking.lost()
    clock.now += 1
    asking.ready()
    asking.finish(PATIENCE)
    assert asking.trials == []
