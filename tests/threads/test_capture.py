"""The capture thread with a microphone in the test's hand."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.fakes import HandMicrophone
from tests.patience import PATIENCE
from voicews.audio.base import AudioSource
from voicews.audio.silence import SilenceSource
from voicews.buffers import DropOldestQueue
from voicews.commands import Command, SendAudio
from voicews.config import AudioFormat
from voicews.errors import AudioError, BackendMissing, DeviceLostError, DeviceNotFound, FormatUnsupported
from voicews.events import CaptureFinished, DeviceLost, DeviceRestored, Event
from voicews.stats import Counters
from voicews.threads import reopening
from voicews.threads.capture import Capture

Start = Callable[..., "Rig"]


class Clinging(HandMicrophone):
    """Its first read returns when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.hangs, self.go_on = threading.Event(), threading.Event()

    def read(self) -> bytes | None:
        if not self.hangs.is_set():
            self.hangs.set()
            assert self.go_on.wait(PATIENCE)
        return super().read()


class Rig:
    def __init__(
        self,
        source: AudioSource,
        fallback: AudioSource | None = None,
        *,
        awaits: bool = False,
        abandoned: Capture | None = None,
    ) -> None:
        self.outbox: DropOldestQueue[Command] = DropOldestQueue(1000)
        self.muted = threading.Event()
        self.events: queue.Queue[Event] = queue.Queue()
        self.opened: queue.Queue[AudioError | None] = queue.Queue()
        self.faults: queue.Queue[BaseException] = queue.Queue()
        self.counters = Counters()
        self.capture = Capture(
            source,
            format=AudioFormat(16000),
            frame=0.02,
            patience=PATIENCE,
            outbox=self.outbox,
            counters=self.counters,
            is_muted=self.muted.is_set,
            emit=self.events.put,
            opened=self.opened.put,
            fault=self.faults.put,
            fallback=fallback,
            awaits=awaits,
            abandoned=abandoned,
        )
        self.capture.start()

    def frame(self) -> bytes:
        command = self.outbox.get(timeout=PATIENCE)
        assert isinstance(command, SendAudio)
        return command.pcm

    def event(self) -> Event:
        return self.events.get(timeout=PATIENCE)


@pytest.fixture
def start() -> Iterator[Start]:
    rigs: list[Rig] = []

    def make(source: AudioSource, fallback: AudioSource | None = None, **options: Any) -> Rig:
        rigs.append(Rig(source, fallback, **options))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.capture.stop()
        assert rig.capture.ended_within(PATIENCE)


def test_frames_come_in_order_and_are_counted(start: Start) -> None:
    frames = [bytes([n]) * 640 for n in range(20)]
    rig = start(HandMicrophone(list(frames)))
    assert rig.opened.get(timeout=PATIENCE) is None
    assert [rig.frame() for _ in frames] == frames
    assert rig.counters.count("frames_captured") >= 20


def test_muted_frames_are_silence_of_the_same_length(start: Start) -> None:
    microphone = HandMicrophone()
    rig = start(microphone)
    rig.muted.set()
    microphone.frames.extend([b"\x07" * 640] * 3)
    assert {rig.frame() for _ in range(5)} == {bytes(640)}


def test_the_end_of_the_source_is_told_once_and_silence_follows(start: Start) -> None:
    rig = start(HandMicrophone([b"\x07" * 640], endless=False))
    assert rig.frame() == b"\x07" * 640
    assert rig.event() == CaptureFinished()
    assert [rig.frame() for _ in range(3)] == [bytes(640)] * 3


def test_a_microphone_that_cannot_be_opened_is_a_fault(start: Start) -> None:
    microphone = HandMicrophone()
    microphone.broken = DeviceNotFound("none")
    rig = start(microphone)
    assert rig.faults.get(timeout=PATIENCE) is microphone.broken
    assert rig.capture.ended_within(PATIENCE)


def test_unless_there_is_a_fallback(start: Start) -> None:
    microphone = HandMicrophone()
    microphone.broken = DeviceNotFound("none")
    rig = start(microphone, SilenceSource())
    assert rig.opened.get(timeout=PATIENCE) is microphone.broken
    assert rig.frame() == bytes(640)


def test_a_lost_microphone_is_silence_until_it_is_back(start: Start) -> None:
    microphone = HandMicrophone([b"\x07" * 640])
    rig = start(microphone)
    assert rig.frame() == b"\x07" * 640
    broken = microphone.broken = DeviceLostError("unplugged")
    lost = rig.event()
    assert isinstance(lost, DeviceLost)
    assert (lost.device, lost.error) == ("microphone", broken)
    assert {rig.frame() for _ in range(10)} == {bytes(640)}
    microphone.broken = None
    assert rig.event() == DeviceRestored("microphone")
    microphone.frames.append(b"\x08" * 640)
    while rig.frame() != b"\x08" * 640:
        assert rig.capture.is_alive()


def test_a_source_with_a_bug_is_a_fault(start: Start) -> None:
    class Buggy(SilenceSource):
        def read(self) -> bytes | None:
            raise ZeroDivisionError

    rig = start(Buggy())
    assert isinstance(rig.faults.get(timeout=PATIENCE), ZeroDivisionError)


def test_a_shut_outbox_ends_the_thread_and_the_device_is_closed(start: Start) -> None:
    microphone = HandMicrophone()
    rig = start(microphone)
    rig.frame()
    rig.outbox.shutdown()
    assert rig.capture.ended_within(PATIENCE)
    assert microphone.closed == 1
    assert rig.faults.empty()


def test_a_device_that_exists_but_fails_is_not_replaced_by_silence(start: Start) -> None:
    microphone = HandMicrophone()
    microphone.broken = FormatUnsupported("busy")
    assert start(microphone, SilenceSource()).faults.get(timeout=PATIENCE) is microphone.broken


def test_a_microphone_that_is_awaited_counts_as_lost_until_it_is_there(start: Start) -> None:
    microphone = HandMicrophone()
    broken = microphone.broken = DeviceNotFound("none yet")
    rig = start(microphone, awaits=True)
    assert rig.opened.get(timeout=PATIENCE) is None
    lost = rig.event()
    assert isinstance(lost, DeviceLost)
    assert (lost.device, lost.error) == ("microphone", broken)
    assert rig.frame() == bytes(640)
    microphone.broken = None
    assert rig.event() == DeviceRestored("microphone")
    assert rig.faults.empty()


@pytest.mark.parametrize(
    "hopeless", [BackendMissing("pip install"), FormatUnsupported("8 bit only")], ids=repr
)
def test_what_no_waiting_mends_is_a_fault_all_the_same(start: Start, hopeless: AudioError) -> None:
    microphone = HandMicrophone()
    microphone.broken = hopeless
    assert start(microphone, awaits=True).faults.get(timeout=PATIENCE) is hopeless


def test_silence_goes_on_while_the_driver_hangs_in_opening(start: Start) -> None:
    go_on = threading.Event()

    class Hanging(HandMicrophone):
        def open(self, format: AudioFormat, frame_samples: int) -> None:
            if self.opened:
                assert go_on.wait(PATIENCE)
            super().open(format, frame_samples)

    microphone = Hanging([b"\x07" * 640])
    rig = start(microphone)
    assert rig.frame() == b"\x07" * 640
    microphone.broken = DeviceLostError("the server is frozen")
    assert isinstance(rig.event(), DeviceLost)
    while not rig.capture.trials:
        assert rig.frame() == bytes(640)
    assert {rig.frame() for _ in range(10)} == {bytes(640)}
    assert rig.capture.trial_hangs_for > 0
    assert not rig.capture.hangs
    microphone.broken = None
    go_on.set()
    assert rig.event() == DeviceRestored("microphone")


def test_a_microphone_that_opens_but_yields_nothing_is_not_restored(start: Start) -> None:
    """It would be lost again at once, and each time a thread with it."""
    silent = threading.Event()

    class Mute(HandMicrophone):
        def read(self) -> bytes | None:
            if silent.is_set():
                raise DeviceLostError("no sound comes")
            return super().read()

    microphone = Mute()
    rig = start(microphone)
    rig.frame()
    silent.set()
    assert isinstance(rig.event(), DeviceLost)
    microphone.wait_until_opened(3)
    assert rig.events.empty()
    silent.clear()
    assert rig.event() == DeviceRestored("microphone")
    rig.capture.stop()
    assert rig.capture.ended_within(PATIENCE)
    assert microphone.closed == len(microphone.opened)


def test_in_the_place_of_one_that_hangs_it_begins_with_silence(start: Start) -> None:
    microphone = Clinging()
    first = start(microphone)
    assert microphone.hangs.wait(PATIENCE)
    first.capture.abandon()
    rig = start(microphone, abandoned=first.capture)
    assert rig.capture.is_lost
    assert rig.capture.trials == [first.capture]
    assert rig.frame() == bytes(640)
    assert rig.event() == DeviceRestored("microphone")
    assert not rig.capture.is_lost
    closed = microphone.closed
    microphone.go_on.set()
    assert first.capture.ended_within(PATIENCE)
    assert microphone.closed == closed, "the one that is back closed what is another's now"


def test_one_that_comes_back_before_another_took_the_device_gives_it_back(start: Start) -> None:
    microphone = Clinging()
    rig = start(microphone)
    assert microphone.hangs.wait(PATIENCE)
    rig.capture.abandon()
    microphone.go_on.set()
    assert rig.capture.ended_within(PATIENCE)
    assert microphone.closed == 1
    assert rig.outbox.empty()


def test_a_frame_that_comes_after_the_end_is_counted_too(start: Start) -> None:
    microphone = Clinging()
    rig = start(microphone)
    assert microphone.hangs.wait(PATIENCE)
    rig.capture.stop()
    rig.outbox.shutdown()
    microphone.go_on.set()
    assert rig.capture.ended_within(PATIENCE)
    assert rig.counters.count("frames_captured") == 1
    assert rig.outbox.dropped == {"unsent": 1}


def test_a_trial_that_comes_back_late_leaves_alone_what_another_uses(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reopening, "_OVERDUE", 0.2)
    hangs, go_on = threading.Event(), threading.Event()

    class Slow(HandMicrophone):
        def open(self, format: AudioFormat, frame_samples: int) -> None:
            super().open(format, frame_samples)
            if len(self.opened) == 2:
                hangs.set()
                assert go_on.wait(PATIENCE)

    microphone = Slow()
    rig = start(microphone)
    rig.frame()
    microphone.broken = DeviceLostError("unplugged")
    assert isinstance(rig.event(), DeviceLost)
    microphone.broken = None
    assert hangs.wait(PATIENCE)
    assert rig.event() == DeviceRestored("microphone")
    (late,) = rig.capture.trials
    closed = microphone.closed
    go_on.set()
    assert late.ended_within(PATIENCE)
    assert microphone.closed == closed


def test_a_device_that_cannot_even_be_closed_is_lost_like_any_other(start: Start) -> None:
    class Stuck(HandMicrophone):
        def close(self) -> None:
            super().close()
            raise DeviceLostError("another thread hangs in the sound system")

    microphone = Stuck()
    rig = start(microphone)
    rig.frame()
    microphone.broken = DeviceLostError("unplugged")
    assert isinstance(rig.event(), DeviceLost)
    assert rig.frame() == bytes(640)
    assert rig.faults.empty()


def test_a_source_that_yields_empty_frames_is_lost(start: Start) -> None:
    """It would fill the outbox, and the wire, as fast as the processor can."""
    microphone = HandMicrophone([b"", b"", b"", b"\x07" * 640])
    rig = start(microphone)
    assert isinstance(rig.event(), DeviceLost)
    assert rig.event() == DeviceRestored("microphone")
    assert microphone.opened[2:], "one trial found nothing either"
