"""The two files are whole at any moment."""

from __future__ import annotations

import wave
from pathlib import Path

import pytest

from tests.recording.test_track import counted
from voicews.recording.part import MOST_SAMPLES, Part, parts


def contents(path: Path) -> tuple[int, bytes]:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (2, 2)
        return file.getframerate(), file.readframes(file.getnframes())


def test_left_and_right_lie_side_by_side(tmp_path: Path) -> None:
    part = Part(tmp_path, 24000)
    part.write_sound(b"\1\2\3\4", b"\5\6\7\x08")
    part.write_line("{}")
    assert part.samples == 2
    part.close()
    assert contents(part.path) == (24000, b"\1\2\5\6\3\4\7\x08")
    assert part.path.with_suffix(".jsonl").read_text() == "{}\n"


def test_the_header_is_right_after_each_flush(tmp_path: Path) -> None:
    """As a program that is killed leaves it."""
    part = Part(tmp_path, 16000)
    assert contents(part.path) == (16000, b"")
    for n in range(3):
        part.write_sound(counted(n, 1000), counted(n, 1000))
        part.flush()
        assert len(contents(part.path)[1]) == 4000 * (n + 1)
    part.write_sound(counted(9, 50_000), counted(9, 50_000))  # some of it is on the disk
    assert len(contents(part.path)[1]) == 12_000
    part.abandon()


def test_nothing_is_ever_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "down"
    for number in (1, 2, 3):
        part = Part(folder, 16000)
        part.close()
        assert part.number == number
        assert part.path == folder / f"conversation-{number:03}.wav"
    (folder / "conversation-001.wav").unlink()
    (folder / "conversation-1000.jsonl").touch()
    (folder / "conversation-2000.wav.bak").touch()
    assert parts(folder) == [1, 2, 3, 1000]
    part = Part(folder, 16000)
    part.close()
    assert part.path.name == "conversation-1001.wav"


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(OSError, match="exists"):
        Part(tmp_path / "taken", 16000)


def test_the_longest_file_still_fits_its_header() -> None:
    assert 44 - 8 + 4 * MOST_SAMPLES < 2**32 <= 44 + 4 * (MOST_SAMPLES + 1)
