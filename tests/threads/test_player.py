"""The player thread with a loudspeaker that remembers."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.fakes import EarSpeaker
from tests.patience import PATIENCE
from voicews.audio.base import AudioSink
from voicews.audio.silence import NullSink
from voicews.config import AudioFormat
from voicews.errors import (
    AudioError,
    BackendMissing,
    DeviceLostError,
    DeviceNotFound,
    FormatUnsupported,
)
from voicews.events import (
    AudioReceived,
    DeviceLost,
    DeviceRestored,
    Event,
    PlaybackFinished,
    PlaybackStarted,
)
from voicews.threads.player import SLICE, CatchUp, Player

FORMAT = AudioFormat(16000)
Start = Callable[..., "Rig"]


class Rig:
    def __init__(
        self,
        sink: AudioSink,
        fallback: AudioSink | None = None,
        seconds: float = 120.0,
        *,
        awaits: bool = False,
        abandoned: Player | None = None,
    ) -> None:
        self.events: queue.Queue[Event] = queue.Queue()
        self.opened: queue.Queue[AudioError | None] = queue.Queue()
        self.faults: queue.Queue[BaseException] = queue.Queue()
        self.heard: queue.Queue[int] = queue.Queue()
        self.ended: queue.Queue[bool] = queue.Queue()
        self.player = Player(
            sink,
            format=FORMAT,
            seconds=seconds,
            patience=PATIENCE,
            emit=self.events.put,
            opened=self.opened.put,
            fault=self.faults.put,
            interrupted=self.heard.put,
            ended=lambda: self.ended.put(True),
            fallback=fallback,
            awaits=awaits,
            abandoned=abandoned,
        )
        self.player.start()

    def feed(self, pcm: bytes, generation: int = 1, format: AudioFormat = FORMAT) -> None:
        self.player.feed(AudioReceived(pcm, format), generation)

    def event(self) -> Event:
        return self.events.get(timeout=PATIENCE)


@pytest.fixture
def start() -> Iterator[Start]:
    rigs: list[Rig] = []

    def make(*args: object, **options: object) -> Rig:
        rigs.append(Rig(*args, **options))  # type: ignore[arg-type]
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.player.stop()
        assert rig.player.ended_within(PATIENCE)


def seconds_of(pattern: bytes, seconds: float) -> bytes:
    return pattern * (FORMAT.bytes(seconds) // len(pattern))


@pytest.mark.parametrize("size", [2, 100, 640, 642, 5000, 64000])
def test_sound_of_any_chunk_size_is_played_whole_and_in_order(start: Start, size: int) -> None:
    speaker = EarSpeaker(speed=100)
    rig = start(speaker)
    sound = bytes(n % 251 for n in range(64000))
    for at in range(0, len(sound), size):
        rig.feed(sound[at : at + size])
        if size == 2 and at > 2000:
            sound = sound[: at + size]
            break
    assert speaker.wait_for(len(sound)) == sound


def test_the_start_and_the_end_of_playing_are_told(start: Start) -> None:
    rig = start(EarSpeaker(speed=20))
    rig.feed(bytes(32000))
    assert rig.event() == PlaybackStarted()
    assert rig.event() == PlaybackFinished(1000)
    rig.feed(bytes(16000))
    assert rig.event() == PlaybackStarted()
    assert rig.event() == PlaybackFinished(500)


def test_no_more_than_the_lead_is_written_ahead(start: Start) -> None:
    speaker = EarSpeaker(speed=0.001)
    rig = start(speaker)
    rig.feed(bytes(FORMAT.bytes(10)))
    speaker.wait_for(FORMAT.bytes(0.2))
    rig.feed(bytes(FORMAT.bytes(1)))
    assert len(speaker.written) <= FORMAT.bytes(0.24)


def test_a_flush_silences_and_tells_what_was_heard_of_the_answer(start: Start) -> None:
    speaker = EarSpeaker(speed=20)
    rig = start(speaker)
    rig.player.begin_answer(1)
    rig.feed(bytes(32000))
    rig.event(), rig.event()
    speaker.speed = 1.0
    rig.player.begin_answer(1)
    rig.feed(seconds_of(b"\x05\x05", 60))
    assert rig.event() == PlaybackStarted()
    speaker.wait_for(32000 + 6400)
    rig.player.flush()
    heard = rig.heard.get(timeout=PATIENCE)
    assert 0 <= heard <= 5000
    assert speaker.flushes == 1
    assert rig.player.waiting == 0
    rig.feed(b"\x09\x09" * 320)
    while bytes(speaker.written)[-640:] != b"\x09\x09" * 320:
        assert rig.player.is_alive()
        speaker.wait_for(len(speaker.written))


def test_a_flush_of_silence_still_answers(start: Start) -> None:
    rig = start(EarSpeaker())
    rig.player.flush()
    assert rig.heard.get(timeout=PATIENCE) == 0


def test_a_flush_after_all_was_played_is_not_told(start: Start) -> None:
    rig = start(EarSpeaker(speed=20))
    rig.player.begin_answer(1)
    rig.feed(bytes(6400))
    assert rig.event() == PlaybackStarted()
    assert isinstance(rig.event(), PlaybackFinished)
    rig.player.flush()
    rig.feed(seconds_of(b"\x05\x05", 60))
    assert rig.event() == PlaybackStarted()
    rig.player.flush()
    rig.heard.get(timeout=PATIENCE)
    assert rig.heard.empty()


def test_another_format_reopens_the_speaker_after_the_old_sound(start: Start) -> None:
    speaker = EarSpeaker(speed=20)
    rig = start(speaker)
    rig.feed(b"\x01\x01" * 1600)
    rig.feed(b"\x02\x02" * 2400, format=AudioFormat(24000))
    assert speaker.wait_for(3200 + 4800) == b"\x01\x01" * 1600 + b"\x02\x02" * 2400
    assert [opened.rate for opened in speaker.opened] == [16000, 24000]


def test_a_new_generation_pushes_out_what_the_old_one_left(start: Start) -> None:
    speaker = EarSpeaker(speed=0.01)
    rig = start(speaker)
    rig.feed(b"\x01\x01" * 160000, generation=1)
    speaker.wait_for(6400)
    rig.feed(b"\x02\x02" * 3200, generation=2)
    speaker.speed = 100
    written = speaker.wait_for(6400 + 6400)
    assert written.count(b"\x02\x02" * 3200) == 1
    assert len(written) < 16000


def test_an_old_generation_that_wakes_up_is_not_heard(start: Start) -> None:
    speaker = EarSpeaker(speed=50)
    rig = start(speaker)
    rig.feed(b"\x02\x02" * 320, generation=2)
    rig.feed(b"\x01\x01" * 320, generation=1)
    rig.player.begin_answer(1)
    rig.feed(b"\x02\x02" * 320, generation=2)
    assert set(speaker.wait_for(1280)) == {2}


def test_the_oldest_sound_goes_when_the_buffer_is_full(start: Start) -> None:
    speaker = EarSpeaker(speed=0.001)
    rig = start(speaker, seconds=0.1)
    rig.feed(bytes(FORMAT.bytes(2)))
    assert rig.player.dropped["overflow"] > 50
    assert rig.player.waiting <= 0.1


def test_finishing_may_play_out_or_hush(start: Start) -> None:
    speaker = EarSpeaker(speed=20)
    rig = start(speaker)
    rig.feed(bytes(64000))
    rig.player.finish(play_out=True)
    assert rig.ended.get(timeout=PATIENCE)
    assert speaker.position == pytest.approx(2.0)
    slow = EarSpeaker()
    rig = start(slow)
    rig.feed(bytes(FORMAT.bytes(60)))
    slow.wait_for(640)
    rig.player.finish(play_out=False)
    assert rig.ended.get(timeout=PATIENCE)
    assert slow.closed == 1
    assert slow.position < 30


def test_a_speaker_that_cannot_be_opened_is_a_fault(start: Start) -> None:
    speaker = EarSpeaker()
    speaker.broken = DeviceNotFound("none")
    assert start(speaker).faults.get(timeout=PATIENCE) is speaker.broken


def test_unless_there_is_a_fallback(start: Start) -> None:
    speaker = EarSpeaker()
    speaker.broken = DeviceNotFound("none")
    assert start(speaker, NullSink()).opened.get(timeout=PATIENCE) is speaker.broken


def test_a_lost_speaker_is_opened_again(start: Start) -> None:
    speaker = EarSpeaker(speed=20)
    rig = start(speaker)
    speaker.broken = DeviceLostError("unplugged")
    rig.feed(bytes(6400))
    told = [rig.event()]
    while not isinstance(told[-1], DeviceLost):
        told.append(rig.event())
    speaker.broken = None
    while not isinstance(told[-1], DeviceRestored):
        told.append(rig.event())
    before = len(speaker.written)
    rig.feed(b"\x09\x09" * 320)
    assert speaker.wait_for(before + 640)[-640:] == b"\x09\x09" * 320


def test_a_sink_with_a_bug_is_a_fault(start: Start) -> None:
    class Buggy(EarSpeaker):
        def pending(self) -> float:
            raise ZeroDivisionError

    assert isinstance(start(Buggy()).faults.get(timeout=PATIENCE), ZeroDivisionError)


def test_what_comes_right_after_a_flush_is_played(start: Start) -> None:
    speaker = EarSpeaker(speed=1000)
    rig = start(speaker)
    for number in range(200):
        rig.feed(b"\x01\x01" * 320 * 10)
        rig.player.flush()
        mark = bytes([number, 7]) * 320
        rig.feed(mark)
        with speaker.news:
            played = speaker.news.wait_for(lambda mark=mark: bytes(speaker.written[-640:]) == mark, PATIENCE)
        assert played, number
        rig.heard.get(timeout=PATIENCE)


def test_a_second_flush_with_nothing_new_is_not_told(start: Start) -> None:
    rig = start(EarSpeaker())
    rig.feed(bytes(6400))
    rig.player.flush()
    rig.player.flush()
    rig.heard.get(timeout=PATIENCE)
    rig.feed(bytes(6400))
    rig.player.flush()
    rig.heard.get(timeout=PATIENCE)
    assert rig.heard.empty()


def test_a_speaker_that_is_awaited_counts_as_lost_until_it_is_there(start: Start) -> None:
    speaker = EarSpeaker()
    broken = speaker.broken = DeviceNotFound("none yet")
    rig = start(speaker, awaits=True)
    assert rig.opened.get(timeout=PATIENCE) is None
    lost = rig.event()
    assert isinstance(lost, DeviceLost)
    assert (lost.device, lost.error) == ("speaker", broken)
    speaker.broken = None
    assert rig.event() == DeviceRestored("speaker")
    before = len(speaker.written)
    rig.feed(b"\x09\x09" * 320)
    assert speaker.wait_for(before + 640)[-640:] == b"\x09\x09" * 320
    assert rig.faults.empty()


@pytest.mark.parametrize(
    "hopeless", [BackendMissing("pip install"), FormatUnsupported("8 bit only")], ids=repr
)
def test_what_no_waiting_mends_is_a_fault_all_the_same(start: Start, hopeless: AudioError) -> None:
    speaker = EarSpeaker()
    speaker.broken = hopeless
    assert start(speaker, awaits=True).faults.get(timeout=PATIENCE) is hopeless


def test_an_idle_speaker_that_has_gone_is_noticed_before_the_next_answer(start: Start) -> None:
    speaker = EarSpeaker()
    rig = start(speaker)
    rig.opened.get(timeout=PATIENCE)
    speaker.broken = DeviceLostError("unplugged")
    assert isinstance(rig.event(), DeviceLost)


def test_time_goes_on_while_the_driver_hangs_in_opening(start: Start) -> None:
    go_on = threading.Event()

    class Hanging(EarSpeaker):
        def open(self, format: AudioFormat) -> None:
            if self.opened:
                assert go_on.wait(PATIENCE)
            super().open(format)

    speaker = Hanging()
    rig = start(speaker)
    speaker.broken = DeviceLostError("the server is frozen")
    assert isinstance(rig.event(), DeviceLost)
    rig.feed(bytes(6400))
    assert rig.event() == PlaybackStarted()
    assert rig.event() == PlaybackFinished(0), "nobody heard it"
    rig.feed(bytes(320000))
    assert rig.event() == PlaybackStarted()
    rig.player.flush()
    assert rig.heard.get(timeout=PATIENCE) == 0
    assert not rig.player.hangs
    speaker.broken = None
    go_on.set()
    assert rig.event() == DeviceRestored("speaker")


def test_a_speaker_that_opens_but_plays_nothing_is_not_restored(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voicews.threads.player._TRIAL_LASTS", 0.3)
    speaker = EarSpeaker()
    rig = start(speaker)
    speaker.broken = DeviceLostError("suspended")
    assert isinstance(rig.event(), DeviceLost)
    speaker.broken, speaker.speed = None, 0.0
    with speaker.news:
        assert speaker.news.wait_for(lambda: len(speaker.opened) >= 3, PATIENCE)
    assert rig.events.empty()
    speaker.speed = 1.0
    assert rig.event() == DeviceRestored("speaker")


def until(rig: Rig, kind: type[Event]) -> Event:
    while not isinstance(event := rig.event(), kind):
        assert rig.player.is_alive()
    return event


def test_what_was_heard_of_an_answer_outlasts_the_loss_of_the_device(start: Start) -> None:
    speaker = EarSpeaker(speed=20)
    rig = start(speaker)
    rig.player.begin_answer(1)
    rig.feed(bytes(FORMAT.bytes(1)))
    assert rig.event() == PlaybackStarted()
    assert rig.event() == PlaybackFinished(1000)
    speaker.broken = DeviceLostError("unplugged")
    until(rig, DeviceLost)
    rig.feed(bytes(FORMAT.bytes(1)))
    assert rig.event() == PlaybackStarted()
    assert until(rig, PlaybackFinished) == PlaybackFinished(0)
    speaker.broken = None
    until(rig, DeviceRestored)
    rig.feed(bytes(FORMAT.bytes(1)))
    assert until(rig, PlaybackFinished) == PlaybackFinished(1000)
    speaker.speed = 0.0
    rig.feed(bytes(FORMAT.bytes(1)))
    assert rig.event() == PlaybackStarted()
    rig.player.flush()
    assert rig.heard.get(timeout=PATIENCE) == 2000


def test_an_interruption_of_a_dead_device_is_told(start: Start) -> None:
    class Dying(EarSpeaker):
        def flush(self) -> float:
            self.broken = DeviceLostError("unplugged")
            raise self.broken

    speaker = Dying()
    rig = start(speaker)
    rig.player.begin_answer(1)
    rig.feed(bytes(FORMAT.bytes(10)))
    assert rig.event() == PlaybackStarted()
    rig.player.flush()
    assert rig.heard.get(timeout=PATIENCE) < 10_000
    assert isinstance(rig.event(), DeviceLost)
    speaker.broken = None


@pytest.mark.parametrize("where", ["write", "flush"])
def test_an_interruption_while_the_device_hangs_is_told(start: Start, where: str) -> None:
    hangs, go_on = threading.Event(), threading.Event()

    class Hanging(EarSpeaker):
        def hang(self) -> None:
            if not hangs.is_set():
                hangs.set()
                assert go_on.wait(PATIENCE)

        def write(self, pcm: bytes) -> None:
            super().write(pcm)
            if where == "write" and len(self.written) >= FORMAT.bytes(0.1):
                self.hang()

        def flush(self) -> float:
            if where == "flush":
                self.hang()
            return super().flush()

    speaker = Hanging()
    rig = start(speaker)
    rig.player.begin_answer(1)
    rig.feed(bytes(FORMAT.bytes(10)))
    assert rig.event() == PlaybackStarted()
    if where == "flush":
        speaker.wait_for(FORMAT.bytes(0.2))
        rig.player.flush()
    assert hangs.wait(PATIENCE)
    if where == "write":
        rig.player.flush()
    rig.player.abandon()
    successor = start(speaker, abandoned=rig.player)
    assert successor.heard.get(timeout=PATIENCE) < 10_000
    assert rig.heard.empty()
    assert successor.event() == DeviceRestored("speaker"), "that the sound began was told before"
    successor.feed(b"\x09\x09" * 320)
    assert successor.event() == PlaybackStarted()
    closed = speaker.closed
    go_on.set()
    assert rig.player.ended_within(PATIENCE)
    assert speaker.closed == closed
    assert rig.ended.empty()


def test_the_successor_goes_on_in_the_format_that_came_last(start: Start) -> None:
    hangs, go_on = threading.Event(), threading.Event()

    class Hanging(EarSpeaker):
        def write(self, pcm: bytes) -> None:
            super().write(pcm)
            if not hangs.is_set():
                hangs.set()
                assert go_on.wait(PATIENCE)

    speaker = Hanging()
    rig = start(speaker)
    rig.feed(bytes(4800), format=AudioFormat(24000))
    assert hangs.wait(PATIENCE)
    rig.player.abandon()
    successor = start(speaker, abandoned=rig.player)
    until(successor, DeviceRestored)
    assert [opened.rate for opened in speaker.opened] == [16000, 24000, 24000, 24000]
    go_on.set()


def test_a_device_that_takes_sound_and_does_not_play_it_is_stuck(start: Start) -> None:
    speaker = EarSpeaker(speed=0.0)
    rig = start(speaker)
    rig.feed(bytes(FORMAT.bytes(1)))
    speaker.wait_for(FORMAT.bytes(0.2))
    never = threading.Event()
    for _ in range(100):
        never.wait(0.01)
    assert rig.player.stuck_for > 0.9
    speaker.speed = 100
    speaker.wait_for(FORMAT.bytes(1))


def test_the_end_does_not_wait_for_a_trial_that_plays_nothing(start: Start) -> None:
    speaker = EarSpeaker()
    rig = start(speaker)
    speaker.broken = DeviceLostError("suspended")
    assert isinstance(rig.event(), DeviceLost)
    speaker.broken, speaker.speed = None, 0.0
    with speaker.news:
        assert speaker.news.wait_for(lambda: len(speaker.opened) == 2, PATIENCE)
    rig.player.stop()
    assert rig.player.ended_within(PATIENCE)
    assert rig.player.trials == []
    assert speaker.closed == len(speaker.opened) == 2


def test_how_long_nothing_was_played_is_known(start: Start) -> None:
    go_on = threading.Event()

    class Hanging(EarSpeaker):
        def write(self, pcm: bytes) -> None:
            assert go_on.wait(PATIENCE)
            super().write(pcm)

    rig = start(Hanging())
    assert rig.player.stuck_for == 0.0
    rig.feed(bytes(6400))
    while not rig.player.stuck_for > 0.1:
        assert rig.player.is_alive()
    go_on.set()
    while rig.player.stuck_for:
        assert rig.player.is_alive()


class LookedAfter(NullSink):
    """Counts how often the player looks after it."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    def pending(self) -> float:
        self.looks += 1
        return super().pending()


def test_a_device_that_keeps_house_by_itself_is_left_in_peace(start: Start) -> None:
    sink = LookedAfter()
    rig = start(sink)
    rig.feed(bytes(FORMAT.bytes(0.19)))  # less than the lead, so that all of it is written at once
    assert rig.event() == PlaybackStarted()
    assert rig.event() == PlaybackFinished(190)
    # One per slice and one per `attention`; a device that is fed there has one each 5 ms.
    assert sink.looks < 25


# -- one answer, one pair of events ----------------------------------------------------------------


def wait_until_heard(speaker: EarSpeaker, seconds: float) -> None:
    never = threading.Event()
    while speaker.position < seconds - 0.001:
        never.wait(0.002)


def test_a_server_that_sends_as_fast_as_it_is_heard_has_one_beginning_and_one_end(start: Start) -> None:
    speaker = EarSpeaker()
    rig = start(speaker)
    rig.player.begin_answer(1)
    never = threading.Event()
    for number in range(1, 6):
        rig.feed(bytes(FORMAT.bytes(0.04)))
        wait_until_heard(speaker, number * 0.04)
        never.wait(0.05)
    assert rig.event() == PlaybackStarted()
    assert rig.event() == PlaybackFinished(200)


def test_the_end_is_told_at_once_where_the_server_has_told_it(start: Start) -> None:
    speaker = EarSpeaker()
    rig = start(speaker)
    for _ in range(2):
        rig.player.begin_answer(1)
        rig.feed(bytes(FORMAT.bytes(0.1)))
        rig.player.end_answer(1)
        began = rig.event()
        assert began == PlaybackStarted()
        finished = rig.event()
        assert finished == PlaybackFinished(100)
        assert finished.at - began.at < 0.4
    rig.player.end_answer(1)
    rig.player.flush()
    assert rig.heard.empty(), "what ends an answer is not sound that could be silenced"


def test_sound_after_the_announced_end_of_an_answer_is_another_beginning(start: Start) -> None:
    rig = start(EarSpeaker(speed=20))
    rig.player.end_answer(1)
    for _ in range(2):
        rig.feed(bytes(FORMAT.bytes(0.1)))
        assert rig.event() == PlaybackStarted()
        assert rig.event() == PlaybackFinished(100)


# -- two threads at once ---------------------------------------------------------------------------


def test_an_interruption_by_two_threads_at_once_is_told_once(start: Start) -> None:
    rig = start(EarSpeaker())
    rig.feed(bytes(FORMAT.bytes(10)))
    assert rig.event() == PlaybackStarted()
    both = threading.Barrier(2)

    class Meeting(type(rig.player._intake)):  # type: ignore[misc]
        """Lets two threads that may look at the same time do so."""

        @property
        def came(self) -> int:
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(0.2)
            return int(self.__dict__["came"])

    rig.player._intake.__class__ = Meeting
    threads = [threading.Thread(target=rig.player.flush) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rig.player._intake.epoch == 1
    rig.heard.get(timeout=PATIENCE)
    assert rig.heard.empty()


def test_an_interruption_that_comes_as_another_player_takes_over_is_told(start: Start) -> None:
    hangs, go_on = threading.Event(), threading.Event()

    class Hanging(EarSpeaker):
        def write(self, pcm: bytes) -> None:
            super().write(pcm)
            if not hangs.is_set():
                hangs.set()
                assert go_on.wait(PATIENCE)

    rig = start(Hanging())
    rig.feed(bytes(FORMAT.bytes(10)))
    assert hangs.wait(PATIENCE)
    rig.player.abandon()
    successor = start(rig.player._sink, abandoned=rig.player)
    rig.player.flush()
    assert successor.heard.get(timeout=PATIENCE) < 10_000
    rig.feed(bytes(FORMAT.bytes(10)))
    assert successor.player.waiting > 0, "nor is sound lost"
    go_on.set()


def test_a_message_that_an_interruption_cuts_in_two_is_not_heard_at_all(start: Start) -> None:
    rig = start(EarSpeaker())
    player = rig.player
    put, cut = player._put, threading.Event()

    def put_and_interrupt(sound: object) -> None:
        put(sound)  # type: ignore[arg-type]
        if not cut.is_set():
            cut.set()
            flushing.start()

    flushing = threading.Thread(target=player.flush)
    player._put = put_and_interrupt  # type: ignore[method-assign]
    rig.feed(bytes(FORMAT.bytes(5)))
    flushing.join()
    assert player.waiting == 0
    assert rig.heard.get(timeout=PATIENCE) < 1000


# -- a device that wakes slowly ----------------------------------------------------------------------


def test_a_device_that_is_slow_to_begin_does_not_hang(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicews.threads.device_worker._HUNG", 0.05)
    blocked, go_on = threading.Event(), threading.Event()

    class Blocking(EarSpeaker):
        def write(self, pcm: bytes) -> None:
            blocked.set()
            assert go_on.wait(PATIENCE)
            super().write(pcm)

    rig = start(Blocking())
    rig.feed(bytes(FORMAT.bytes(0.1)))
    assert blocked.wait(PATIENCE)
    never = threading.Event()
    never.wait(0.2)
    assert not rig.player.hangs, "an idle device may take two seconds"
    go_on.set()
    rig.event(), rig.event()
    blocked.clear(), go_on.clear()
    monkeypatch.setattr("voicews.threads.player.WAKING", 0.0)
    rig.player._awake_by = 0.0
    rig.feed(bytes(FORMAT.bytes(0.1)))
    assert blocked.wait(PATIENCE)
    never.wait(0.2)
    assert rig.player.hangs
    go_on.set()


# -- a stream that is behind -------------------------------------------------------------------------


class Stream:
    """A server's sound and a player's, in steps of a slice: how much waits at the end."""

    def __init__(self) -> None:
        self.catch_up = CatchUp()
        self.waiting = self.now = 0.0
        self.merged = 0

    def run(self, seconds: float, speed: float = 1.0, chunk: float = SLICE) -> float:
        arrived, end, owed = 0.0, self.now + seconds, 0.0
        while self.now < end:
            self.now += SLICE
            owed += speed * SLICE
            if owed >= chunk - 1e-9:
                self.waiting += owed
                owed = 0.0
            if self.waiting >= SLICE:
                self.waiting -= SLICE
                if self.catch_up.due(self.waiting, self.now) and self.waiting >= SLICE:
                    self.waiting -= SLICE
                    self.merged += 1
            arrived += SLICE
        return self.waiting


@pytest.mark.parametrize("chunk", [SLICE, 0.1, 0.5])
@pytest.mark.parametrize("marked", [True, False])
def test_a_live_stream_catches_up_after_a_stall(chunk: float, marked: bool) -> None:
    stream = Stream()
    if marked:
        stream.catch_up.begin(0.0)
    assert stream.run(10, chunk=chunk) <= chunk
    assert not stream.merged
    stream.now += 1.6
    stream.waiting += 1.6
    assert stream.run(3, chunk=chunk) > 1.5
    assert stream.run(20, chunk=chunk) < 0.2 + 2 * chunk
    assert stream.run(10, chunk=chunk) >= 0.0
    assert stream.merged < 90


@pytest.mark.parametrize(
    ("speed", "chunk"), [(20, 0.1), (3, 0.5), (1.1, SLICE), (1.05, SLICE), (1.5, 1.0)], ids=str
)
def test_what_is_sent_faster_than_it_is_heard_is_played_as_it_is(speed: float, chunk: float) -> None:
    stream = Stream()
    for _ in range(3):
        stream.catch_up.begin(stream.now)
        stream.run(20 / speed, speed, chunk)
        stream.run(25, 0.0)
    assert not stream.merged


def test_what_a_server_sends_ahead_from_the_beginning_is_left_to_it() -> None:
    stream = Stream()
    stream.catch_up.begin(0.0)
    stream.waiting = 1.5
    assert stream.run(30) == pytest.approx(1.5, abs=0.05)
    stream.waiting += 1.0
    assert 1.4 < stream.run(30) < 1.9, "but not what comes to that"


def test_a_slice_made_of_two_counts_as_two(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CatchUp, "due", lambda *_: True)
    speaker = EarSpeaker(speed=0.0)
    rig = start(speaker)
    rig.player.begin_answer(1)
    rig.feed(seconds_of(b"\x00\x10", 0.08) + seconds_of(b"\x00\x20", 0.08))
    rig.player.end_answer(1)
    played = speaker.wait_for(FORMAT.bytes(0.08))
    assert played[:2] == b"\x00\x10"
    assert played[-2:] == b"\x00\x20"
    speaker.speed = 20
    assert rig.event() == PlaybackStarted()
    assert rig.event() == PlaybackFinished(160)
    assert len(speaker.written) == FORMAT.bytes(0.08)


def test_slices_that_do_not_belong_together_are_not_made_one(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CatchUp, "due", lambda *_: True)
    speaker = EarSpeaker(speed=20)
    rig = start(speaker)
    rig.feed(b"\x01\x01" * 320)
    rig.player.begin_answer(1)
    rig.feed(b"\x02\x02" * 320)
    rig.feed(b"\x03\x03" * 480, format=AudioFormat(24000))
    assert speaker.wait_for(640 + 640 + 960) == b"\x01\x01" * 320 + b"\x02\x02" * 320 + b"\x03\x03" * 480
