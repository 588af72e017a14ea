"""A microphone and a loudspeaker with somebody listening are the same, and tell what sounded."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from tests.fakes import EarSpeaker, HandMicrophone
from tests.recording.test_track import counted
from voicews.audio import NullSink, WavSink
from voicews.config import AudioFormat
from voicews.errors import DeviceLostError
from voicews.recording.taps import TappedSink, TappedSource

FORMAT = AudioFormat(16000)


class Notes:
    def __init__(self) -> None:
        self.pieces: list[tuple[bytes, AudioFormat, float]] = []

    def __call__(self, pcm: bytes, format: AudioFormat, end: float) -> None:
        self.pieces.append((pcm, format, end))

    @property
    def pcm(self) -> bytes:
        return b"".join(pcm for pcm, _, _ in self.pieces)


def play_out(sink: TappedSink) -> None:
    while sink.pending():
        threading.Event().wait(0.005)


def test_frames_are_passed_on_and_told() -> None:
    loud, muted, notes = counted(0, 320), threading.Event(), Notes()
    inner = HandMicrophone([loud, loud, loud], endless=False)
    inner.overflows = 3
    source = TappedSource(inner, notes, muted.is_set)
    source.open(FORMAT, 320)
    assert inner.opened == [FORMAT]
    before = time.monotonic()
    assert source.read() == loud
    muted.set()
    assert source.read() == loud  # the capture thread mutes what it sends
    muted.clear()
    assert source.read() == loud
    assert source.read() is None
    assert [pcm for pcm, _, _ in notes.pieces] == [loud, b"", loud]
    assert all(form == FORMAT and before <= end <= time.monotonic() for _, form, end in notes.pieces)
    assert source.overflows == 3
    source.close()
    assert inner.closed == 1
    assert repr(source) == repr(inner)


def test_a_thread_that_comes_back_from_a_hanging_driver_tells_nothing() -> None:
    notes = Notes()

    class Reopened(HandMicrophone):
        def read(self) -> bytes | None:
            source.open(FORMAT, 320)  # another thread took over meanwhile
            return super().read()

    source = TappedSource(Reopened([counted(0, 320)]), notes, lambda: False)
    source.open(FORMAT, 320)
    assert source.read() == counted(0, 320)
    assert not notes.pieces


def test_what_was_played_is_told_when_it_was_heard() -> None:
    notes, inner = Notes(), NullSink()
    sink = TappedSink(inner, notes)
    sink.open(FORMAT)
    begun = time.monotonic()
    sink.write(counted(0, 4000))
    sink.write(counted(4000, 1000))
    play_out(sink)
    assert notes.pcm == counted(0, 5000)
    assert len(notes.pieces) > 1
    _, _, end = notes.pieces[-1]
    assert begun + 5000 / 16000 <= end <= time.monotonic()
    assert repr(sink) == repr(inner)


def test_only_what_was_heard_is_told_of_an_interrupted_answer(tmp_path: Path) -> None:
    """The same that a WavSink keeps, to the sample."""
    notes = Notes()
    sink = TappedSink(WavSink(tmp_path / "answer.wav"), notes)
    sink.open(FORMAT)
    sink.write(counted(0, 16000))
    while sink.position < 0.25:
        sink.pending()
        threading.Event().wait(0.005)
    heard = sink.flush()
    sink.write(counted(20000, 1600))
    play_out(sink)
    sink.close()
    written = (tmp_path / "answer.wav").read_bytes()[44:]
    assert notes.pcm == written
    assert len(notes.pcm) == 2 * (FORMAT.samples(heard) + 1600)
    assert notes.pcm.endswith(counted(20000, 1600))


def test_closing_cuts_as_well() -> None:
    notes, inner = Notes(), EarSpeaker()
    sink = TappedSink(inner, notes)
    sink.open(FORMAT)
    sink.write(counted(0, 16000))
    threading.Event().wait(0.02)
    sink.close()
    sink.close()
    assert 0 < len(notes.pcm) < 32000
    assert counted(0, 16000).startswith(notes.pcm)
    assert inner.closed == 2


def test_what_the_device_did_not_take_was_not_heard() -> None:
    notes, inner = Notes(), EarSpeaker(speed=1000)
    sink = TappedSink(inner, notes)
    inner.lead = 0.4
    sink.open(FORMAT)
    assert sink.lead == 0.4
    sink.write(counted(0, 1600))
    inner.underruns = 2
    inner.broken = DeviceLostError("gone")
    with pytest.raises(DeviceLostError):
        sink.write(counted(1600, 1600))
    inner.broken = None
    play_out(sink)
    sink.write(b"")
    assert sink.underruns == 2
    assert notes.pcm == counted(0, 1600)


def test_a_device_may_be_opened_again_at_another_rate() -> None:
    notes = Notes()
    sink = TappedSink(EarSpeaker(speed=1000), notes)
    for rate in (16000, 24000):
        sink.open(AudioFormat(rate))
        sink.write(counted(0, rate // 10))
        play_out(sink)
        sink.close()
    assert [(len(pcm), form.rate) for pcm, form, _ in notes.pieces] == [(3200, 16000), (4800, 24000)]
