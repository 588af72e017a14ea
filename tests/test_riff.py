"""WAV files as other programs write them, through both of the readers."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from voicews.audio import AudioFormat, WavSource
from voicews.dialects.wave_sound import wave_sound
from voicews.errors import FormatUnsupported

FORMAT = AudioFormat(16000)
LIST = b"LIST" + struct.pack("<I", 26) + b"INFOISFT" + struct.pack("<I", 14) + b"Lavf59.27.100\0"
Read = Callable[[bytes, Path], list[int]]


def as_an_answer(file: bytes, folder: Path) -> list[int]:
    pcm, _ = wave_sound(file)
    return [*struct.unpack(f"<{len(pcm) // 2}h", pcm)]


def samples_of(source: WavSource) -> list[int]:
    source.open(FORMAT, 1)
    pcm = b"".join(iter(source.read, None))
    source.close()
    return [*struct.unpack(f"<{len(pcm) // 2}h", pcm)]


def from_a_disk(file: bytes, folder: Path) -> list[int]:
    (folder / "a.wav").write_bytes(file)
    return samples_of(WavSource(folder / "a.wav", realtime=False))


@contextmanager
def fifo(file: bytes, folder: Path) -> Iterator[Path]:
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(file,))
    writer.start()
    yield pipe
    writer.join()


def from_a_pipe(file: bytes, folder: Path) -> list[int]:
    with fifo(file, folder) as pipe:
        return samples_of(WavSource(pipe, realtime=False))


def wav(
    samples: bytes, *, bits: int = 16, block: int | None = None, size: int | None = None, channels: int = 1
) -> bytes:
    width = bits // 8 * channels if block is None else block
    described = struct.pack("<IHHIIHH", 16, 1, channels, 16000, 16000 * width, width, bits)
    length = len(samples) if size is None else size
    return b"RIFF\xff\xff\xff\xffWAVEfmt " + described + b"data" + struct.pack("<I", length) + samples


@pytest.mark.parametrize("read", [as_an_answer, from_a_disk, from_a_pipe])
class TestBothReaders:
    def test_24_bits_in_blocks_of_4(self, read: Read, tmp_path: Path) -> None:
        """As ``arecord -f S24_LE`` writes them."""
        values = [0, 1 << 8, -1 << 8, 0x123400, -0x123400, 0x7FFF00, -0x800000]
        raw = struct.pack(f"<{len(values)}i", *values)
        assert read(wav(raw, bits=24, block=4), tmp_path) == [value >> 8 for value in values]

    @pytest.mark.parametrize(
        ("bits", "block", "raw", "expected"),
        [
            (8, 1, b"\x00\x80\xff", [-32768, 0, 0x7F00]),
            (16, 4, b"\x01\x00\xff\xff\xfe\xff\xff\xff", [1, -2]),
            (24, 3, b"\xff\x01\x00\x00\x00\x80", [1, -32768]),
            (32, 4, struct.pack("<2i", 0x10000, -0x80000000), [1, -32768]),
            (16, 0, b"\x01\x00\xff\xff", [1, -1]),
        ],
    )
    def test_other_widths(
        self, read: Read, tmp_path: Path, bits: int, block: int, raw: bytes, expected: list[int]
    ) -> None:
        assert read(wav(raw, bits=bits, block=block), tmp_path) == expected

    def test_no_samples_and_then_another_chunk(self, read: Read, tmp_path: Path) -> None:
        assert read(wav(b"") + LIST, tmp_path) == []
        if read is not from_a_pipe:
            assert read(wav(b"") + b"id3 \3\0\0\0abc\0", tmp_path) == []

    @pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000])
    def test_a_length_that_was_not_known(self, read: Read, tmp_path: Path, size: int) -> None:
        values = [*range(-100, 100)]
        assert read(wav(struct.pack("<200h", *values), size=size), tmp_path) == values

    def test_what_follows_the_samples_is_not_played(self, read: Read, tmp_path: Path) -> None:
        assert read(wav(b"\1\0\2\0") + LIST, tmp_path) == [1, 2]

    def test_a_long_chunk_before_the_samples(self, read: Read, tmp_path: Path) -> None:
        plain = wav(b"\1\0\2\0")
        picture = b"id3 " + struct.pack("<I", 200_001) + bytes(200_002)
        assert read(plain[:12] + picture + plain[12:], tmp_path) == [1, 2]

    @pytest.mark.parametrize("block", [1, 3, 9])
    def test_blocks_that_cannot_be(self, read: Read, tmp_path: Path, block: int) -> None:
        channels = 2 if block == 3 else 1
        with pytest.raises(FormatUnsupported, match=f"broken WAV file: blocks of {block} bytes"):
            read(wav(bytes(8), block=block, channels=channels), tmp_path)


def test_a_pipe_cannot_be_repeated(tmp_path: Path) -> None:
    with fifo(wav(b"\1\0"), tmp_path) as pipe, pytest.raises(FormatUnsupported, match="could be repeated"):
        WavSource(pipe, loop=True).open(FORMAT, 1)
