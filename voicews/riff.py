"""Reads the head of a WAV file, from a disk, a pipe or memory."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from voicews.config import AudioFormat
from voicews.errors import ConfigError, FormatUnsupported

__all__ = ["Samples", "read_head"]

_PCM, _EXTENSIBLE = 1, 0xFFFE
_ENCODINGS = {2: "ADPCM", 3: "floating point", 6: "A-law", 7: "mu-law", 0x11: "IMA ADPCM", 0x55: "MP3"}
_PIECE = 1 << 16
_LONGEST_CHUNK = 1 << 20
"""Bytes of a chunk that may follow samples of no length."""


@dataclass(frozen=True)
class Samples:
    """How the samples are written, and how many there are."""

    format: AudioFormat
    bits: int
    """Of one sample of one channel: 8, 16, 24 or 32."""
    block: int
    """Bytes of one sample of all channels, with what fills them up."""
    length: int | None
    """Bytes of all samples; None: whatever follows, for the file was begun before that was known."""
    ahead: bytes
    """The first of them, which had to be read."""

    def to_16_bit(self, raw: bytes) -> bytes:
        """Whole blocks as 16-bit PCM.

        Where a sample has more room than it needs, as in ALSA's S24_LE, it is in the lower bytes.
        """
        size, room = self.bits // 8, self.block // self.format.channels
        if size == room == 2:
            return raw
        low, high = (raw[size - 2 :: room], raw[size - 1 :: room]) if size > 1 else (b"", raw[0::room])
        if size == 1:  # the only width that is unsigned
            low, high = bytes(len(high)), bytes(value ^ 0x80 for value in high)
        made = bytearray(2 * len(high))
        made[0::2], made[1::2] = low, high
        return bytes(made)


def read_head(read: Callable[[int], bytes], name: str) -> Samples:
    """Read a file's chunks up to its first sample.

    The standard library's reader knows no WAVE_FORMAT_EXTENSIBLE before Python 3.12, which many
    programs write for 24 bits, nor the open-ended files that come out of a pipe.

    Args:
        read: gives so many of the next bytes, and fewer only at the end.
        name: of the file, for messages.

    Raises:
        FormatUnsupported: it is a broken WAV file, or one of a kind that is not supported.  That it begins
            as a WAV file does was checked before; these 12 bytes are read already.
    """
    described: tuple[AudioFormat, int, int] | None = None
    while len(chunk := read(8)) == 8:
        kind, size = struct.unpack("<4sI", chunk)
        if kind == b"fmt ":
            described = _description(read(size + size % 2), name)
        elif kind == b"data":
            if described is None:
                raise FormatUnsupported(
                    f"{name} is a broken WAV file: its samples come before their description"
                )
            ahead = read(8) if size == 0 else b""
            if size == 0 and _is_chunk(ahead):
                return Samples(*described, 0, b"")
            return Samples(*described, None if size in (0, 0xFFFFFFFF) else size, ahead)
        else:
            left = size + size % 2
            while left and (skipped := read(min(left, _PIECE))):
                left -= len(skipped)
    raise FormatUnsupported(f"{name} is a broken WAV file: it ends before its samples")


def _is_chunk(head: bytes) -> bool:
    """Tell a chunk that follows samples of no length, such as LIST, from samples of an unknown length."""
    if len(head) < 8:
        return False
    kind, size = struct.unpack("<4sI", head)
    return bool(kind.replace(b" ", b"").replace(b"_", b"").isalnum() and size <= _LONGEST_CHUNK)


def _description(chunk: bytes, name: str) -> tuple[AudioFormat, int, int]:
    if len(chunk) < 16:
        raise FormatUnsupported(f"{name} is a broken WAV file: its description is too short")
    encoding, channels, rate, _, block, bits = struct.unpack_from("<HHIIHH", chunk)
    if encoding == _EXTENSIBLE and len(chunk) >= 26:
        (encoding,) = struct.unpack_from("<H", chunk, 24)
    if encoding != _PCM:
        kind = _ENCODINGS.get(encoding, f"encoding {encoding}")
        raise FormatUnsupported(f"{name} holds {kind}; convert it to 16-bit PCM")
    if bits not in (8, 16, 24, 32):
        raise FormatUnsupported(f"{name} has samples of {bits} bits; 8, 16, 24 and 32 can be read")
    try:
        made = AudioFormat(rate, channels)
    except ConfigError as error:
        raise FormatUnsupported(f"{name} has {channels} channels at {rate} Hz: {error}") from error
    least = channels * bits // 8
    if block and (block < least or block % channels or block > 8 * channels):
        raise FormatUnsupported(
            f"{name} is a broken WAV file: blocks of {block} bytes for {channels} samples of {bits} bits"
        )
    return made, bits, block or least
