"""Sound cut anywhere; :mod:`tests.dialects.test_plain` does it to a whole dialect."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicews.config import AudioFormat
from voicews.dialects.samples import WholeSamples


@pytest.mark.parametrize("channels", [1, 2])
@given(pcm=st.binary(max_size=100), cuts=st.lists(st.integers(0, 100)))
def test_no_cut_shifts_a_sample(channels: int, pcm: bytes, cuts: list[int]) -> None:
    samples = WholeSamples(AudioFormat(16000, channels))
    edges = [0, *sorted(min(cut, len(pcm)) for cut in cuts), len(pcm)]
    taken = [samples.take(pcm[start:end]) for start, end in itertools.pairwise(edges)]
    assert all(len(piece) % (2 * channels) == 0 for piece in taken)
    assert b"".join(taken) == pcm[: len(pcm) - len(pcm) % (2 * channels)]


def test_an_unfinished_sample_is_forgotten() -> None:
    samples = WholeSamples(AudioFormat(16000))
    assert samples.take(b"\1\2\3") == b"\1\2"
    samples.forget()
    assert samples.take(b"\4\5") == b"\4\5"
