"""What every source and every sink has to keep, whatever is behind it."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.audio.playing import counting, feed, play_out
from voicews.audio import (
    AudioFormat,
    AudioSink,
    AudioSource,
    NullSink,
    SilenceSource,
    Speaker,
    WavSink,
    WavSource,
)
from voicews.errors import FormatUnsupported, InvalidState

FORMATS = [AudioFormat(16000), AudioFormat(24000, 2)]

Sinks = Callable[[], AudioSink]
Sources = Callable[[], AudioSource]


@pytest.fixture(params=["null", "wav", "speaker"])
def sink(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AudioSink:
    monkeypatch.setenv("SDL_AUDIODRIVER", "dummy")
    makers: dict[str, Sinks] = {
        "null": NullSink,
        "wav": lambda: WavSink(tmp_path / "out.wav"),
        "speaker": Speaker,
    }
    return makers[request.param]()


@pytest.fixture(params=["silence", "wav", "loop"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> AudioSource:
    with wave.open(str(tmp_path / "in.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(counting(4000))
    makers: dict[str, Sources] = {
        "silence": SilenceSource,
        "wav": lambda: WavSource(tmp_path / "in.wav"),
        "loop": lambda: WavSource(tmp_path / "in.wav", loop=True),
    }
    return makers[request.param]()


@pytest.mark.parametrize("format", FORMATS, ids=str)
def test_a_sink_plays_all_in_its_time(sink: AudioSink, format: AudioFormat) -> None:
    for _ in range(2):
        sink.open(format)
        assert sink.position == 0
        assert sink.pending() == 0
        pcm = counting(format.samples(0.3), format.channels)
        feed(
            sink,
            [pcm[start : start + format.bytes(0.02)] for start in range(0, len(pcm), format.bytes(0.02))],
        )
        assert 0 < sink.pending() < 0.4
        assert sink.position < 0.3
        play_out(sink)
        assert sink.position == pytest.approx(0.3)
        assert sink.flush() == pytest.approx(0.3)
        sink.close()
        sink.close()
    assert sink.underruns == 0


def test_a_flush_forgets_what_was_not_heard(sink: AudioSink) -> None:
    sink.open(FORMATS[0])
    for _ in range(10):
        sink.write(counting(320))
    heard = sink.flush()
    assert sink.pending() == 0
    assert sink.position == heard < 0.2
    sink.write(counting(320))
    play_out(sink)
    assert sink.position == pytest.approx(heard + 0.02)
    sink.close()


def test_a_sink_refuses_half_a_sample_and_being_closed(sink: AudioSink) -> None:
    with pytest.raises(InvalidState):
        sink.write(b"12")
    sink.open(FORMATS[1])
    for wrong in (b"1", b"12", b"123"):
        with pytest.raises(FormatUnsupported):
            sink.write(wrong)
    sink.write(b"")
    sink.close()
    with pytest.raises(InvalidState):
        sink.write(b"1234")


@pytest.mark.parametrize("format", FORMATS, ids=str)
@pytest.mark.parametrize("frame", [160, 333])
def test_a_source_delivers_frames_of_the_length_asked_for(
    source: AudioSource, format: AudioFormat, frame: int
) -> None:
    for _ in range(2):
        source.open(format, frame)
        for _ in range(5):
            pcm = source.read()
            assert pcm is not None
            assert len(pcm) == frame * format.bytes_per_sample
        source.close()
        source.close()
    assert source.overflows == 0
    with pytest.raises(InvalidState):
        source.read()
