"""The two files of a recording: a stereo WAV file, and a line of JSON for each event."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import BinaryIO

from voicews.audio.wav import WAV_HEADER, wav_header
from voicews.config import AudioFormat

__all__ = ["MOST_SAMPLES", "Part", "is_part", "parts"]

_NAME = re.compile(r"conversation-(\d{3,})\.(?:wav|jsonl)")
MOST_SAMPLES = (2**32 - 1 - WAV_HEADER) // 4
"""What the 32 bits of a WAV header can tell of a stereo file."""


def is_part(name: str) -> bool:
    """Whether a file of this name is one of a recording's."""
    return _NAME.fullmatch(name) is not None


def parts(folder: Path) -> list[int]:
    """The numbers of the parts in a folder, in order.

    Raises:
        OSError: it cannot be read.
    """
    return sorted({int(match[1]) for file in folder.iterdir() if (match := _NAME.fullmatch(file.name))})


class Part:
    """Both files, whose header is right after each :meth:`flush`, whatever happens then.

    Args:
        folder: where they are made, with the next free number.
        rate: samples per second.

    Raises:
        OSError: they cannot be made.

    Attributes:
        samples: how many there are, per channel.
    """

    def __init__(self, folder: Path, rate: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._format = AudioFormat(rate, 2)
        self.samples = 0
        self.number = max(parts(folder), default=0) + 1
        stem = f"conversation-{self.number:03}"
        self.path = folder / f"{stem}.wav"
        with contextlib.ExitStack() as stack:
            self._sound: BinaryIO = stack.enter_context(self.path.open("xb"))
            self._lines: BinaryIO = stack.enter_context(self.path.with_suffix(".jsonl").open("xb"))
            self._sound.write(wav_header(self._format, 0))
            self._sound.flush()
            stack.pop_all()

    def write_sound(self, left: bytes, right: bytes) -> None:
        """Append as many samples to the one side as to the other.

        Raises:
            OSError: the disk is full, or the file has become unwritable.
        """
        both = bytearray(2 * len(left))
        for side, pcm in enumerate((left, right)):
            for byte in (0, 1):
                both[2 * side + byte :: 4] = pcm[byte::2]
        self._sound.write(both)
        self.samples += len(left) // 2

    def write_line(self, line: str) -> None:
        """Append a line.

        Raises:
            OSError: likewise.
        """
        self._lines.write(line.encode() + b"\n")

    def flush(self) -> None:
        """Give all to the system, and tell the length in the header.

        Raises:
            OSError: likewise; the header then tells what it told before.
        """
        self._lines.flush()
        self._sound.flush()
        end = self._sound.tell()
        self._sound.seek(0)
        self._sound.write(wav_header(self._format, end - WAV_HEADER))
        self._sound.flush()
        self._sound.seek(end)

    def close(self) -> None:
        """Complete both files.

        Raises:
            OSError: likewise.
        """
        try:
            self.flush()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of both files as they are."""
        for file in (self._sound, self._lines):
            with contextlib.suppress(OSError):  # it says the same again of what it could not write
                file.close()
