from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

import pytest

from tests.patience import PATIENCE
from voicews.errors import AudioError
from voicews.threads import device_worker
from voicews.threads.device_worker import Abandoned, DeviceWorker
from voicews.threads.reopening import DeviceUser


class Device:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.called, self.answers = threading.Event(), threading.Event()
        self.error: BaseException | None = None
        self.closed = 0

    def call(self) -> str:
        self.called.set()
        assert self.answers.wait(PATIENCE)
        if self.error is not None:
            raise self.error
        return "sound"

    def close(self) -> None:
        self.closed += 1
        if self.error is not None:
            raise self.error


class User(DeviceWorker):
    """Calls its device once, and gives it back."""

    def __init__(self, device: Device, patience: float | None = None) -> None:
        super().__init__("capture", "microphone", PATIENCE)
        self.it = device
        self.told: queue.Queue[object] = queue.Queue()
        self.first = patience

    def _try_out(self, trial: DeviceUser) -> None:
        self.it.close()

    def work(self) -> None:
        try:
            self.told.put(self._in_device(self.it.call, self.first))
            self._end(self.it)
        except Abandoned as error:
            self.told.put(error)


@pytest.fixture
def device() -> Device:
    return Device()


@pytest.fixture
def user(device: Device) -> Iterator[User]:
    user = User(device)
    yield user
    device.answers.set()
    assert user.ended_within(PATIENCE)


def hangs_in_time(user: User) -> bool:
    never = threading.Event()
    for _ in range(100):
        if user.hangs:
            return True
        never.wait(0.01)
    return False


def test_a_call_that_returns_in_time(user: User, device: Device) -> None:
    assert not user.hangs
    user.start()
    assert device.called.wait(PATIENCE)
    assert not user.hangs
    device.answers.set()
    assert user.told.get(timeout=PATIENCE) == "sound"
    assert user.ended_within(PATIENCE)
    assert not user.hangs
    assert device.closed == 1


def test_a_call_that_does_not_is_seen_and_its_thread_touches_nothing_more(
    user: User, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_worker, "_HUNG", 0.05)
    user.start()
    assert hangs_in_time(user)
    user.abandon()
    device.answers.set()
    assert isinstance(user.told.get(timeout=PATIENCE), Abandoned)
    assert user.ended_within(PATIENCE)
    assert device.closed == 0


def test_what_a_device_that_was_left_says_of_its_end_concerns_nobody(user: User, device: Device) -> None:
    device.error = ZeroDivisionError("a bug of the driver's")
    user._come_back(device)
    assert device.closed == 1
    user.superseded = True
    user._come_back(device)
    assert device.closed == 1


def test_one_that_came_back_in_the_last_moment_is_not_replaced(
    user: User, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both would tell what becomes of the device."""
    monkeypatch.setattr(device_worker, "_HUNG", 0.05)
    assert not user.abandon_if_hanging()
    user.start()
    assert hangs_in_time(user)
    device.answers.set()
    assert user.told.get(timeout=PATIENCE) == "sound"
    assert not user.abandon_if_hanging()
    assert user.ended_within(PATIENCE)
    assert device.closed == 1


def test_the_error_of_a_device_that_was_left_concerns_nobody(user: User, device: Device) -> None:
    device.error = AudioError("closed by the driver")
    user.start()
    assert device.called.wait(PATIENCE)
    user.abandon()
    device.answers.set()
    assert isinstance(user.told.get(timeout=PATIENCE), Abandoned)


def test_a_thread_abandoned_between_two_calls_makes_no_other(user: User, device: Device) -> None:
    user.abandon()
    user.start()
    assert isinstance(user.told.get(timeout=PATIENCE), Abandoned)
    assert not device.called.is_set()


def test_what_is_known_to_take_long_gets_its_time(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_worker, "_HUNG", 0.0)
    user = User(device, patience=PATIENCE)
    user.start()
    assert device.called.wait(PATIENCE)
    assert not user.hangs
    device.answers.set()
    assert user.ended_within(PATIENCE)


def test_no_more_patience_is_had_with_closing_than_with_reading(
    user: User, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile nothing is sent, not even silence."""
    monkeypatch.setattr(device_worker, "_HUNG", 0.05)
    device.answers.set()
    closing, may_close = threading.Event(), threading.Event()

    def close() -> None:
        closing.set()
        assert may_close.wait(PATIENCE)

    monkeypatch.setattr(device, "close", close)
    user.start()
    assert closing.wait(PATIENCE)
    assert hangs_in_time(user)
    may_close.set()
    assert user.ended_within(PATIENCE)


def test_a_device_that_does_not_close_is_no_reason_to_fail(
    user: User, device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    device.answers.set()
    user.start()
    assert user.told.get(timeout=PATIENCE) == "sound"
    assert user.ended_within(PATIENCE)
    broken = Device()
    broken.error = AudioError("it hangs")
    user._give_back(broken)
    assert broken.closed == 1
    assert "could not be closed: it hangs" in caplog.text
    assert (user.trials, user.trial_hangs_for) == ([], 0.0)
