"""Level meters cost the audio threads next to nothing and show what is there."""

from __future__ import annotations

import threading

import pytest

from tests.cli.answering import tone
from tests.fakes import EarSpeaker, HandMicrophone
from voicews.cli.meter import QUIETEST, Meter, MeteredSink, MeteredSource, loudness
from voicews.config import AudioFormat


def test_loudness_is_root_mean_square_below_full_scale() -> None:
    assert loudness(b"\x00\x80" * 100) == pytest.approx(0.0)
    assert loudness(tone(0.1, level=1.0)) == pytest.approx(-3.01, abs=0.05)
    assert loudness(tone(0.1, level=0.1)) == pytest.approx(-23.01, abs=0.05)


@pytest.mark.parametrize("pcm", [b"", b"\0", bytes(640), b"\x01\0" + bytes(638)])
def test_silence_is_the_quietest(pcm: bytes) -> None:
    assert loudness(pcm) == QUIETEST


def test_a_meter_shows_the_last_frame_and_forgets_it() -> None:
    meter = Meter()
    assert meter.level == 0
    meter.note(tone(0.02, level=1.0))
    assert meter.level == pytest.approx(0.95, abs=0.01)
    threading.Event().wait(0.2)
    assert meter.level == 0


def test_a_metered_microphone_is_the_same_microphone() -> None:
    loud = tone(0.02)
    inner, meter = HandMicrophone([loud], endless=False), Meter()
    inner.overflows = 3
    source = MeteredSource(inner, meter)
    source.open(AudioFormat(), 320)
    assert inner.opened == [AudioFormat()]
    assert source.read() == loud
    assert source.overflows == 3
    assert meter.level > 0.5
    assert source.read() is None
    source.close()
    assert inner.closed == 1
    assert repr(source) == repr(inner)


def test_a_metered_loudspeaker_is_the_same_loudspeaker() -> None:
    inner, meter = EarSpeaker(), Meter()
    inner.lead = 0.4
    sink = MeteredSink(inner, meter)
    sink.open(AudioFormat())
    assert sink.lead == 0.4
    loud = tone(0.5)
    sink.write(loud)
    inner.underruns = 2
    sink.write(loud)
    assert sink.underruns == 2
    assert bytes(inner.written) == loud + loud
    assert 0.5 < sink.pending() <= 1.0
    assert 0 <= sink.position < 0.5
    assert meter.level > 0.5
    assert 0 <= sink.flush() < 0.5
    assert inner.flushes == 1
    sink.close()
    assert inner.closed == 1
    assert repr(sink) == repr(inner)
