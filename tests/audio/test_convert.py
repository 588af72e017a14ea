from __future__ import annotations

import numpy as np
import pytest

from voicews.audio import AudioFormat
from voicews.audio.convert import Converter, Framer, require_whole_samples
from voicews.errors import FormatUnsupported

MONO, STEREO = AudioFormat(16000), AudioFormat(16000, 2)


def samples(*values: int) -> bytes:
    return np.array(values, "<i2").tobytes()


def test_equal_formats_pass_through() -> None:
    converter = Converter(MONO, MONO)
    assert converter.idle
    assert converter.process(samples(1, 2, 3)) == samples(1, 2, 3)
    assert converter.inputs_for(7) == 7
    assert converter.flush() == b""


def test_stereo_becomes_the_mean_of_both_channels() -> None:
    converter = Converter(STEREO, MONO)
    assert not converter.idle
    assert converter.process(samples(100, 300, -32768, -32768, 32767, 32767)) == samples(200, -32768, 32767)


def test_mono_becomes_twice_the_same() -> None:
    assert Converter(MONO, STEREO).process(samples(1, -2)) == samples(1, 1, -2, -2)


@pytest.mark.parametrize("source", [AudioFormat(48000, 2), AudioFormat(8000, 1), AudioFormat(44100, 2)])
@pytest.mark.parametrize("target", [MONO, STEREO])
def test_rate_and_channels_at_once(source: AudioFormat, target: AudioFormat) -> None:
    converter = Converter(source, target)
    wave = 8000 * np.sin(2 * np.pi * 440 * np.arange(source.rate) / source.rate)
    pcm = np.repeat(wave, source.channels).astype("<i2").tobytes()
    got = np.frombuffer(converter.process(pcm) + converter.flush(), "<i2").reshape(-1, target.channels)
    assert target.rate <= len(got) <= target.rate + 40
    for channel in got.T:
        assert np.abs(channel[100:-100]).max() == pytest.approx(8000, rel=0.01)
        crossings = np.count_nonzero(
            np.diff(np.sign(channel[100 : 100 + target.rate // 2].astype(float))) != 0
        )
        assert crossings == pytest.approx(440, abs=4)


def test_half_samples_are_refused() -> None:
    require_whole_samples(b"1234", STEREO)
    with pytest.raises(
        FormatUnsupported, match="6 bytes are not whole samples of 16000 Hz stereo int16, of 4"
    ):
        require_whole_samples(b"123456", STEREO)
    with pytest.raises(FormatUnsupported):
        Converter(STEREO, MONO).process(b"12")


@pytest.mark.parametrize(
    "rates", [(16000, 24000), (8000, 48000), (44100, 16000), (16000, 44100), (16000, 16000)]
)
@pytest.mark.parametrize("frame", [1, 160, 333])
def test_frames_are_of_one_length_and_lose_nothing(rates: tuple[int, int], frame: int) -> None:
    source, target = AudioFormat(rates[0]), AudioFormat(rates[1], 2)
    pcm = np.random.default_rng(3).integers(-30000, 30000, 800).astype("<i2").tobytes()
    whole = Converter(source, target)
    expected = whole.process(pcm) + whole.flush()
    framer, got, start = Framer(source, target, frame), b"", 0
    while start < len(pcm):
        needed = framer.needs
        assert needed > 0
        framer.add(pcm[start : start + 2 * needed])
        start += 2 * needed
        while (taken := framer.take()) is not None:
            assert len(taken) == 4 * frame
            got += taken
    framer.finish()
    got += b"".join(iter(framer.take, None))
    assert got[: len(expected)] == expected
    assert not any(got[len(expected) :])
    assert len(got) % (4 * frame) == 0
    assert framer.take() is None


def test_what_is_forgotten_does_not_come_back() -> None:
    framer = Framer(AudioFormat(8000), MONO, 320)
    framer.add(samples(*range(100)))
    framer.clear()
    assert framer.needs == 160
    framer.add(bytes(320))
    assert framer.needs == 0
    assert framer.take() == bytes(640)
