"""Plays into a sink as the player thread does, and knows sounds that betray every lost sample."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable

import numpy as np

from voicews.audio import AudioFormat, AudioSink

POLL = 0.005
_never = threading.Event()


def counting(samples: int, channels: int = 1, start: int = 0) -> bytes:
    """Sound whose every sample is its number: 1 to 32000, over and over.  Never 0, which is silence."""
    numbers = np.arange(start, start + samples) % 32000 + 1
    return np.repeat(numbers, channels).astype("<i2").tobytes()


def heard(pcm: bytes, channels: int = 1) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """What is between the silence before and the silence after, of the first channel."""
    samples = np.frombuffer(pcm, "<i2")[::channels]
    sounding = np.nonzero(samples)[0]
    return samples[sounding[0] : sounding[-1] + 1] if len(sounding) else samples[:0]


def holes(samples: np.ndarray[tuple[int], np.dtype[np.int16]]) -> list[tuple[int, int]]:
    """Where counted sound does not go on with the next number: (index, samples of silence there)."""
    found = []
    for quiet, run in itertools.groupby(enumerate(samples), key=lambda pair: pair[1] == 0):
        if quiet:
            zeros = list(run)
            found.append((zeros[0][0], len(zeros)))
    loud = np.nonzero(samples)[0]
    steps = np.diff(samples[loud].astype(int))
    broken = np.nonzero((steps != 1) & (steps != -31999))[0]
    at = {index for index, _ in found}
    return sorted(found + [(int(loud[index + 1]), 0) for index in broken if loud[index] + 1 not in at])


def feed(sink: AudioSink, pieces: Iterable[bytes], poll: float = POLL) -> None:
    """Write the pieces no further ahead than the sink wants."""
    for piece in pieces:
        while sink.pending() >= sink.lead:
            _never.wait(poll)
        sink.write(piece)


def play_out(sink: AudioSink, poll: float = POLL, timeout: float = 10.0) -> None:
    """Wait until all has been heard."""
    wait_until(lambda: not sink.pending(), timeout, poll)


def wait_until(fact: Callable[[], bool], timeout: float = 10.0, poll: float = POLL) -> None:
    """Wait for a fact."""
    end = time.monotonic() + timeout
    while not fact():
        assert time.monotonic() < end, f"not so within {timeout} s"
        _never.wait(poll)


def cut(pcm: bytes, format: AudioFormat, samples: Iterable[int]) -> Iterable[bytes]:
    """Pieces of these lengths, over and over."""
    start = 0
    for count in itertools.cycle(samples):
        if start >= len(pcm):
            return
        end = start + count * format.bytes_per_sample
        yield pcm[start:end]
        start = end
