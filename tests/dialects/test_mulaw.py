"""Telephone sound.  The figures are those of G.711's tables, which Python's old audioop agreed with."""

from __future__ import annotations

import struct

import pytest

from voicews.dialects.mulaw import from_mulaw, to_mulaw


@pytest.mark.parametrize(
    ("code", "sample"),
    [
        (0x00, -32124),
        (0x0F, -16764),
        (0x7E, -8),
        (0x7F, 0),
        (0xFF, 0),
        (0xFE, 8),
        (0x8F, 16764),
        (0x80, 32124),
    ],
)
def test_codes_of_the_standard(code: int, sample: int) -> None:
    assert from_mulaw(bytes([code])) == struct.pack("<h", sample)
    assert to_mulaw(struct.pack("<h", sample)) == bytes([code if code != 0x7F else 0xFF])


def test_every_code_comes_back() -> None:
    codes = bytes(code for code in range(256) if code != 0x7F)  # 0x7F is a second zero
    assert to_mulaw(from_mulaw(codes)) == codes


def test_a_sample_is_nearly_kept() -> None:
    pcm = struct.pack("<65536h", *range(-32768, 32768))
    back = struct.unpack("<65536h", from_mulaw(to_mulaw(pcm)))
    for sample, heard in zip(range(-32768, 32768), back, strict=True):
        assert abs(sample - heard) <= max(8, abs(sample) / 16 + 8)
