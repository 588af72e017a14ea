"""What becomes of two devices together; how a client takes it is in test_supervisor.py."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes import EarSpeaker, HandMicrophone
from tests.patience import PATIENCE
from voicews.audio.base import AudioSink, AudioSource
from voicews.buffers import DropOldestQueue
from voicews.commands import Command
from voicews.config import ClientConfig, Timeouts
from voicews.dialects import Plain
from voicews.errors import DeviceLostError
from voicews.events import DeviceLost, DeviceRestored, Event
from voicews.stats import Counters
from voicews.threads import device_worker
from voicews.threads.devices import Devices


class Rig:
    def __init__(self, microphone: AudioSource, speaker: AudioSink, config: ClientConfig) -> None:
        self.events: queue.Queue[Event] = queue.Queue()
        self.opened: queue.Queue[tuple[str, object]] = queue.Queue()
        self.faults: queue.Queue[BaseException] = queue.Queue()
        self.counters = Counters()
        self.outbox: DropOldestQueue[Command] = DropOldestQueue(100)
        self.devices = Devices(
            Plain("ws://localhost"),
            microphone,
            speaker,
            config,
            silence_for=frozenset(),
            outbox=self.outbox,
            counters=self.counters,
            is_muted=lambda: False,
            emit=self.events.put,
            opened=lambda device, error: self.opened.put((device, error)),
            fault=self.faults.put,
            interrupted=lambda heard: None,
            played_out=lambda: None,
        )
        self.devices.start()

    def end(self) -> None:
        for worker in (self.devices.capture, self.devices.player):
            worker.stop()
            assert worker.ended_within(PATIENCE)
        assert self.devices.alive() == []


@pytest.fixture
def rigs() -> Iterator[list[Rig]]:
    rigs: list[Rig] = []
    yield rigs
    for rig in rigs:
        rig.end()


def start(rigs: list[Rig], microphone: Any = None, speaker: Any = None, **settings: Any) -> Rig:
    rigs.append(Rig(microphone or HandMicrophone(), speaker or EarSpeaker(), ClientConfig(**settings)))
    return rigs[-1]


def test_both_are_opened(rigs: list[Rig]) -> None:
    rig = start(rigs)
    assert {rig.opened.get(timeout=PATIENCE) for _ in range(2)} == {("microphone", None), ("speaker", None)}
    assert rig.devices.look(connected=True) is None


class Hanging(HandMicrophone):
    """Hangs in its first read, and in no other."""

    def __init__(self) -> None:
        super().__init__()
        self.hangs, self.go_on = threading.Event(), threading.Event()

    def read(self) -> bytes | None:
        if not self.hangs.is_set():
            self.hangs.set()
            assert self.go_on.wait(PATIENCE)
        return super().read()


def test_one_that_hangs_is_replaced(rigs: list[Rig], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_worker, "_HUNG", -1.0)
    microphone = Hanging()
    rig = start(rigs, microphone, timeouts=Timeouts(device=0.001))
    assert microphone.hangs.wait(PATIENCE)
    monkeypatch.setattr(device_worker, "_HUNG", PATIENCE)
    hung = rig.devices.capture
    while not hung.hangs:
        assert hung.is_alive()
    assert rig.devices.look(connected=True) is None
    assert rig.devices.capture is not hung
    lost = rig.events.get(timeout=PATIENCE)
    assert isinstance(lost, DeviceLost)
    assert "a call of its driver does not return" in str(lost.error)
    assert rig.events.get(timeout=PATIENCE) == DeviceRestored("microphone")
    microphone.go_on.set()
    assert hung.ended_within(PATIENCE)


def test_a_lost_device_that_hangs_when_it_is_opened_again_is_lost_only_once(rigs: list[Rig]) -> None:
    hangs, go_on = threading.Event(), threading.Event()

    class Treacherous(HandMicrophone):
        def open(self, format: Any, frame_samples: int) -> None:
            super().open(format, frame_samples)
            if len(self.opened) == 3:  # after the first time, and the trial
                hangs.set()
                assert go_on.wait(PATIENCE)

    microphone = Treacherous()
    rig = start(rigs, microphone, timeouts=Timeouts(device=0.2))
    microphone.wait_until_opened(1)
    microphone.broken = DeviceLostError("unplugged")
    assert isinstance(rig.events.get(timeout=PATIENCE), DeviceLost)
    microphone.broken = None
    assert hangs.wait(PATIENCE)
    hung = rig.devices.capture
    while not hung.hangs:
        assert hung.is_alive()
    assert rig.devices.look(connected=True) is None
    assert rig.devices.capture is not hung
    assert rig.events.get(timeout=PATIENCE) == DeviceRestored("microphone")
    go_on.set()
    assert hung.ended_within(PATIENCE)


def test_a_process_that_stood_still_has_hung_nobody(rigs: list[Rig], monkeypatch: pytest.MonkeyPatch) -> None:
    microphone = Hanging()
    rig = start(rigs, microphone, watchdog=11.0)
    assert microphone.hangs.wait(PATIENCE)
    rig.devices.look(connected=True)
    real = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + 3600)
    assert rig.devices.capture.hangs
    assert rig.devices.look(connected=True) is None
    monkeypatch.undo()
    microphone.go_on.set()
    assert rig.events.empty()


def test_the_watchdog_looks_only_while_there_is_a_session(
    rigs: list[Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = start(rigs, watchdog=11.0)
    real, barks = time.monotonic, []

    def look_at(now: float, *, connected: bool) -> None:
        monkeypatch.setattr(time, "monotonic", lambda: now)
        barks.append(rig.devices.look(connected=connected))

    for connected in (False, True):
        for second in range(12):
            look_at(real() + second, connected=connected)
        monkeypatch.setattr(time, "monotonic", real)
        rig.devices.look(connected=False)
    assert barks[:-1] == [None] * 23
    assert "no captured sound" in str(barks[-1])


def test_what_does_not_open_in_time(rigs: list[Rig]) -> None:
    go_on = threading.Event()

    class Slow(HandMicrophone):
        def open(self, format: Any, frame_samples: int) -> None:
            assert go_on.wait(PATIENCE)
            super().open(format, frame_samples)

    impatient, patient = start(rigs, Slow()), start(rigs, Slow(), await_devices=True)
    for rig in (impatient, patient):
        assert rig.opened.get(timeout=PATIENCE) == ("speaker", None)
        rig.devices.unopened.discard("speaker")
    error = impatient.devices.overdue()
    assert isinstance(error, DeviceLostError)
    assert "the microphone could not be opened within 10.0 s" in str(error)
    hung = patient.devices.capture
    assert patient.devices.overdue() is None
    assert patient.opened.get(timeout=PATIENCE) == ("microphone", None)
    assert isinstance(patient.events.get(timeout=PATIENCE), DeviceLost)
    go_on.set()
    assert patient.events.get(timeout=PATIENCE) == DeviceRestored("microphone")
    assert hung.ended_within(PATIENCE)
