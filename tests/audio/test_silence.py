from __future__ import annotations

import time

import pytest

from tests.audio.playing import counting, play_out
from voicews.audio import AudioFormat, NullSink, SilenceSource
from voicews.errors import FormatUnsupported, InvalidState

MONO = AudioFormat(16000)


def test_silence_comes_in_real_time() -> None:
    source = SilenceSource()
    source.open(AudioFormat(16000, 2), 320)
    before = time.monotonic()
    frames = [source.read() for _ in range(10)]
    assert frames == [bytes(1280)] * 10
    assert 0.19 <= time.monotonic() - before < 2
    source.close()
    source.close()
    with pytest.raises(InvalidState, match="not open"):
        source.read()
    assert repr(source) == "SilenceSource()"


def test_sound_passes_in_real_time() -> None:
    sink = NullSink()
    sink.open(MONO)
    before = time.monotonic()
    sink.write(counting(1600))
    assert 0.05 < sink.pending() <= 0.1
    play_out(sink)
    assert 0.09 <= time.monotonic() - before < 2
    assert sink.position == pytest.approx(0.1)
    sink.write(b"")
    assert sink.underruns == 0
    sink.write(counting(160))
    assert sink.underruns == 1
    sink.close()


def test_a_flush_keeps_the_position() -> None:
    sink = NullSink()
    sink.open(MONO)
    sink.write(counting(160000))
    heard = sink.flush()
    assert 0 <= heard < 5
    assert sink.pending() == 0
    assert sink.position == heard
    sink.write(counting(160))
    play_out(sink)
    assert sink.position == pytest.approx(heard + 0.01)


def test_closing_ends_it_and_opening_starts_anew() -> None:
    sink = NullSink()
    sink.open(MONO)
    sink.write(counting(16000))
    sink.close()
    sink.close()
    assert sink.pending() == 0
    with pytest.raises(InvalidState, match="not open"):
        sink.write(b"12")
    sink.open(MONO)
    assert sink.position == 0
    with pytest.raises(FormatUnsupported):
        sink.write(b"1")
    assert repr(sink) == "NullSink()"
