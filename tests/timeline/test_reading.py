"""Recordings are read as they are, and those that a crash has cut as far as they go."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.timeline.recordings import RATE, Tape
from voicews import RecordingError
from voicews.timeline.reading import FRAME, Recording, find


@pytest.fixture
def path(tmp_path: Path) -> Path:
    tape = Tape(5.0)
    tape.sound(0, 1.0, 2.0)
    tape.sound(1, 3.0, 3.5)
    return tape.save(tmp_path)


def test_levels_and_events(path: Path) -> None:
    recording = Recording(path)
    assert recording.seconds == 5.0
    assert recording.began == "2026-11-22T20:00:00.000+00:00"
    assert recording.levels.shape == recording.peaks.shape == (round(5 / FRAME), 2)
    left, right = recording.levels.T
    assert left[100:200].min() > 10 * left[:100].max()
    assert right[300:350].min() > 0.05
    assert right[:300].max() == 0
    assert (recording.peaks >= recording.levels).all()
    assert [it.name for it in recording.happenings] == ["RecordingStarted", "StateChanged", "Connected"]
    assert recording.happenings[1].text("new") == "CONNECTING"
    assert recording.happenings[1].text("nothing") == recording.happenings[1].why == ""


def test_a_long_one_is_read_in_blocks(tmp_path: Path) -> None:
    tape = Tape(130.0)
    tape.sound(1, 119.5, 120.5)
    right = Recording(tape.save(tmp_path)).levels[:, 1]
    assert right[11950:12050].min() > 0.05
    assert not right[:11950].any()


def test_what_a_crash_has_left(path: Path) -> None:
    """The header tells less than there is, and the last line is cut."""
    data = bytearray(path.read_bytes())
    data[40:44] = (4 * RATE).to_bytes(4, "little")
    path.write_bytes(data[:-3])
    events = path.with_suffix(".jsonl")
    events.write_text(events.read_text() + '{"event": "Tok')
    recording = Recording(path)
    assert recording.seconds == pytest.approx(5.0, abs=0.001)
    assert len(recording.happenings) == 3


def test_one_that_ended_before_it_began(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:44])
    path.with_suffix(".jsonl").write_text("")
    recording = Recording(path)
    assert (recording.seconds, recording.began, len(recording.levels)) == (0.0, "", 0)


def test_the_newest_of_a_folder_is_meant(path: Path) -> None:
    newest = Tape(1.0).save(path.parent, number=12)
    assert find(path.parent) == newest
    assert find(path.with_suffix(".jsonl")) == find(path) == path


def test_a_folder_without_any(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"^there is no recording in .*--record"):
        find(tmp_path)


@pytest.mark.parametrize(
    ("name", "told"), [("away", "there is no folder and no recording"), ("x.txt", "is not a recording")]
)
def test_what_is_not_there_is_called_as_it_was_typed(tmp_path: Path, name: str, told: str) -> None:
    (tmp_path / "x.txt").touch()
    with pytest.raises(RecordingError, match=told) as refused:
        find(tmp_path / name)
    assert str(tmp_path / name) in str(refused.value)
    assert "away." not in str(refused.value)


def test_what_is_no_recording(path: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"^cannot read .*away.jsonl: No such file or directory$"):
        Recording(tmp_path / "away.wav")
    events = path.with_suffix(".jsonl")
    good = events.read_text()
    for bad in ("no JSON", "[]", '{"event": "Token"}', '{"at": 1}', '{"event": "A", "at": "soon"}'):
        events.write_text(f"{bad}\n{good}")
        with pytest.raises(RecordingError, match="line 1, is not an event"):
            Recording(path)
    events.write_text(good)
    path.write_bytes(b"RIFF and so on")
    with pytest.raises(RecordingError, match="is not a recording of voicews"):
        Recording(path)
    path.unlink()
    with pytest.raises(RecordingError, match=r"cannot read .*wav: No such file"):
        Recording(path)
