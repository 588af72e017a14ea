from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicews.audio import Resampler
from voicews.errors import ConfigError, FormatUnsupported

PAIRS = [
    (48000, 16000),
    (44100, 16000),
    (24000, 16000),
    (48000, 24000),
    (16000, 48000),
    (24000, 48000),
    (16000, 24000),
    (8000, 16000),
    (16000, 44100),
    (22050, 16000),
]
LOUDNESS = 16000


def tone(frequency: float, rate: int, seconds: float = 1.0, channels: int = 1) -> bytes:
    wave = LOUDNESS * np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate)
    return np.repeat(np.rint(wave), channels).astype("<i2").tobytes()


def in_frames(resampler: Resampler, pcm: bytes, size: int) -> bytes:
    return b"".join(resampler.process(pcm[start : start + size]) for start in range(0, len(pcm), size))


def level(pcm: bytes) -> float:
    """Decibels below the tone that went in, without the filter's start."""
    samples = np.frombuffer(pcm, "<i2").astype(float)[500:-500]
    return 20 * math.log10(max(math.sqrt(np.mean(samples**2)), 1e-3) / (LOUDNESS / math.sqrt(2)))


@pytest.mark.parametrize(("in_rate", "out_rate"), PAIRS)
def test_what_speech_needs_passes_unchanged(in_rate: int, out_rate: int) -> None:
    low = min(in_rate, out_rate)
    for share, allowed in ((0.05, 0.01), (0.2, 0.01), (0.35, 0.02), (0.4, 0.15)):
        result = level(Resampler(in_rate, out_rate).process(tone(share * low, in_rate)))
        assert abs(result) < allowed, f"{share * low} Hz: {result:.3f} dB"


@pytest.mark.parametrize(("in_rate", "out_rate"), [pair for pair in PAIRS if pair[0] > pair[1]])
def test_what_is_too_high_does_not_fold_back(in_rate: int, out_rate: int) -> None:
    for share in (0.56, 0.75, 1.1):
        if share * out_rate < in_rate / 2:
            result = level(Resampler(in_rate, out_rate).process(tone(share * out_rate, in_rate)))
            assert result < -79, f"{share * out_rate} Hz: {result:.1f} dB"


@pytest.mark.parametrize(("in_rate", "out_rate"), PAIRS)
def test_nothing_is_added_to_a_tone(in_rate: int, out_rate: int) -> None:
    frequency = 0.35 * min(in_rate, out_rate)
    samples = np.frombuffer(Resampler(in_rate, out_rate).process(tone(frequency, in_rate)), "<i2")[1000:-1000]
    angle = 2 * np.pi * frequency * np.arange(len(samples)) / out_rate
    basis = np.column_stack([np.sin(angle), np.cos(angle)])
    weights, *_ = np.linalg.lstsq(basis, samples.astype(float), rcond=None)
    clean = basis @ weights
    noise = samples - clean
    assert 10 * math.log10(np.mean(clean**2) / np.mean(noise**2)) > 80


@pytest.mark.parametrize(("in_rate", "out_rate"), [*PAIRS, (16000, 16000), (11025, 32000), (16000, 15999)])
@pytest.mark.parametrize("channels", [1, 2])
def test_blocks_of_any_length_give_the_same_as_the_whole(in_rate: int, out_rate: int, channels: int) -> None:
    chance = np.random.default_rng(1)
    pcm = chance.integers(-30000, 30000, in_rate // 4 * channels).astype("<i2").tobytes()
    whole = Resampler(in_rate, out_rate, channels)
    expected = whole.process(pcm) + whole.flush()
    pieces = Resampler(in_rate, out_rate, channels)
    got, start = b"", 0
    while start < len(pcm):
        end = start + int(chance.integers(0, 700)) * 2 * channels
        got += pieces.process(pcm[start:end])
        start = end
    assert got + pieces.flush() == expected


@given(st.sampled_from([*PAIRS, (16000, 16000)]), st.lists(st.integers(1, 3000), min_size=1, max_size=6))
def test_it_tells_how_much_it_needs(rates: tuple[int, int], wanted: list[int]) -> None:
    resampler = Resampler(*rates)
    for outputs in wanted:
        inputs = resampler.inputs_for(outputs)
        assert len(resampler.process(bytes(2 * (inputs - 1)))) // 2 < outputs
        assert resampler.inputs_for(0) == 0
        missing = resampler.inputs_for(1)
        produced = len(resampler.process(bytes(2 * missing))) // 2
        assert produced >= 1


def test_a_frame_in_is_a_frame_out() -> None:
    resampler = Resampler(48000, 16000)
    assert resampler.inputs_for(320) == 958
    assert [len(resampler.process(bytes(960 * 2))) for _ in range(5)] == [640] * 5


def test_delay_and_flush() -> None:
    resampler = Resampler(48000, 16000)
    assert resampler.delay == pytest.approx(0.001)
    click = np.zeros(960, "<i2")
    click[480] = 30000
    out = np.frombuffer(resampler.process(click.tobytes()) + resampler.flush(), "<i2")
    assert abs(int(np.argmax(out)) - (480 / 3 + 16)) <= 1
    assert len(out) == 336
    assert Resampler(16000, 16000).delay == 0


def test_after_a_flush_it_starts_anew() -> None:
    resampler, pcm = Resampler(44100, 16000), tone(440, 44100, 0.1)
    first = resampler.process(pcm) + resampler.flush()
    assert resampler.process(pcm) + resampler.flush() == first


def test_loud_sound_is_clipped_and_not_wrapped() -> None:
    square = np.repeat(np.array([32767, -32768] * 50, "<i2"), 40).tobytes()
    out = np.frombuffer(Resampler(48000, 16000).process(square), "<i2")
    assert out.max() == 32767
    assert out.min() == -32768


def test_equal_rates_cost_nothing() -> None:
    pcm = tone(440, 16000, 0.1)
    assert Resampler(16000, 16000).process(pcm) == pcm
    assert Resampler(16000, 16000).flush() == b""


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(FormatUnsupported, match="3 bytes are not whole samples"):
        Resampler(48000, 16000).process(b"abc")
    with pytest.raises(ConfigError, match="rate is 0"):
        Resampler(0, 16000)
    with pytest.raises(ConfigError, match="channels is 3"):
        Resampler(48000, 16000, 3)
    assert Resampler(48000, 16000).process(b"") == b""


def test_importing_the_sound_classes_loads_no_sound_library() -> None:
    program = (
        "import sys, voicews.audio\n"
        "print(sorted({'numpy', 'pyaudio', 'pygame', 'ctypes'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout.strip() in ("[]", "['ctypes']")
