"""Every change of rate that the dialects need, held to another's resampler (libsoxr at its best)."""

from __future__ import annotations

import itertools
import math
import wave
from pathlib import Path

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from voicews.audio.convert import Converter
from voicews.config import AudioFormat

RATES = (8000, 16000, 22050, 24000, 44100, 48000)
PAIRS = list(itertools.permutations(RATES, 2))
SPEECH = sorted((Path(__file__).parents[2] / "voicews" / "assistant" / "speech").glob("*.wav"))
EDGE = 100
"""Samples of the output at either end that are not compared: one cannot shift them."""

Sound = NDArray[np.float64]


def hiss(rate: int, highest: float) -> Sound:
    """Two seconds of every frequency from 60 Hz to the highest, equally loud, faded in and out."""
    count = 2 * rate
    spectrum = np.fft.rfft(np.random.default_rng(7).standard_normal(count))
    frequencies = np.fft.rfftfreq(count, 1 / rate)
    spectrum[(frequencies < 60) | (frequencies > highest)] = 0
    distance = np.minimum(np.arange(count), np.arange(count)[::-1])
    faded = np.fft.irfft(spectrum, count) * np.sin(np.minimum(1, distance / (0.05 * rate)) * np.pi / 2) ** 2
    return np.rint(faded / np.abs(faded).max() * 20000)


def speech(rate: int) -> Sound:
    """Two recorded sentences, silence around each."""
    parts = []
    for path in SPEECH[:2]:
        with wave.open(str(path)) as file:
            assert file.getframerate() == 16000
            parts.append(np.pad(np.frombuffer(file.readframes(file.getnframes()), "<i2"), 1600))
    sound = np.concatenate(parts).astype(float)
    return np.rint(sound if rate == 16000 else soxr.resample(sound, 16000, rate, "VHQ"))


def converted(sound: Sound, source: int, target: int, sizes: list[int]) -> Sound:
    """In blocks of these many samples, in turn."""
    converter = Converter(AudioFormat(source), AudioFormat(target))
    pcm, result, start = sound.astype("<i2").tobytes(), b"", 0
    for size in itertools.cycle(sizes):
        if start >= len(pcm):
            break
        result += converter.process(pcm[start : start + 2 * size])
        start += 2 * size
    return np.frombuffer(result + converter.flush(), "<i2").astype(float)


def delayed(sound: Sound, samples: float, count: int) -> Sound:
    """By any fraction of a sample, exactly, for what holds nothing at the very top."""
    padded = len(sound) + 2000
    turns = np.exp(-2j * np.pi * np.fft.rfftfreq(padded) * samples)
    return np.fft.irfft(np.fft.rfft(sound, padded) * turns, padded)[:count]


def compared(sound: Sound, source: int, target: int) -> tuple[float, float]:
    """The difference from the reference: decibels that it lies below it, and its peak in steps of 16 bits."""
    ours = converted(sound, source, target, [source // 50])
    up = target // math.gcd(source, target)
    # The filter's middle lies between two of its steps, of which there are `up` in each input sample.
    taps = math.ceil(32 * max(1.0, source / target))
    delay = (taps - 1 / up) / 2 * target / source
    reference = delayed(soxr.resample(sound, source, target, "VHQ"), delay, len(ours))
    error = (ours - reference)[EDGE:-EDGE]
    below = 10 * math.log10(np.mean(reference[EDGE:-EDGE] ** 2) / np.mean(error**2))
    peak = float(np.abs(error).max())
    print(f"{source} -> {target} Hz: {below:.1f} dB below the reference, {peak:.1f} steps at most")
    return below, peak


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_below_the_filters_edge_all_is_as_the_reference_has_it(source: int, target: int) -> None:
    """The error is that of 16 bits, and nowhere a click."""
    below, peak = compared(hiss(source, 0.35 * min(source, target)), source, target)
    assert below > 80
    assert peak < 2


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_speech_differs_only_by_what_lies_in_the_filters_slope(source: int, target: int) -> None:
    assert compared(speech(source), source, target)[0] > 40


@pytest.mark.parametrize(("source", "target"), PAIRS)
@pytest.mark.parametrize("sizes", [[1, 2, 3, 5, 7, 11], [320], [441, 0, 1], [1024, 37]], ids=str)
def test_borders_of_blocks_cannot_be_heard(source: int, target: int, sizes: list[int]) -> None:
    """To the very bit: in one piece and in many."""
    sound = hiss(source, source / 2)[: source // 4]
    whole = converted(sound, source, target, [len(sound)])
    np.testing.assert_array_equal(converted(sound, source, target, sizes), whole)
    assert len(whole) == math.ceil(
        (len(sound) + math.ceil(32 * max(1.0, source / target)) // 2) * target / source
    )
