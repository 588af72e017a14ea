"""Telephone sound: 8 bits a sample by the mu-law (ITU-T G.711), from and to 16-bit PCM."""

from __future__ import annotations

import struct
from functools import cache

__all__ = ["from_mulaw", "to_mulaw"]

_BIAS = 33
_LOUDEST = 8158
"""Of the 14-bit scale that G.711 is defined on."""


def _sample(code: int) -> int:
    """The 16-bit sample that a code stands for."""
    code = ~code & 0xFF
    exponent, mantissa = code >> 4 & 7, code & 15
    size = ((2 * mantissa + _BIAS) << exponent) - _BIAS
    return -4 * size if code & 0x80 else 4 * size


@cache
def _codes() -> bytes:
    """The code of each 14-bit sample, from the lowest up."""
    codes = bytearray()
    for sample in range(-8192, 8192):
        size = min(abs(sample), _LOUDEST) + _BIAS
        exponent = size.bit_length() - 6
        mantissa = size >> exponent + 1 & 15
        codes.append(~((0x80 if sample < 0 else 0) | exponent << 4 | mantissa) & 0xFF)
    return bytes(codes)


@cache
def _samples() -> list[bytes]:
    return [struct.pack("<h", _sample(code)) for code in range(256)]


def from_mulaw(codes: bytes) -> bytes:
    """16-bit little-endian samples, twice as many bytes."""
    samples = _samples()
    return b"".join(samples[code] for code in codes)


def to_mulaw(pcm: bytes) -> bytes:
    """One byte for each 16-bit little-endian sample."""
    codes = _codes()
    return bytes(codes[(sample >> 2) + 8192] for (sample,) in struct.iter_unpack("<h", pcm))
