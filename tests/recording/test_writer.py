"""The recorder thread: everything at its moment, whatever the disk does."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.recording.test_part import contents
from tests.recording.test_track import counted
from voicews import FramesDropped, RecordingFailed, ResponseDone, Token
from voicews.config import AudioFormat
from voicews.events import Event
from voicews.recording.remarks import Remark
from voicews.recording.writer import Sound, Writer

FORMAT = AudioFormat(16000)
ROOT = Path(__file__).parents[2]


def writer(folder: Path, *, most: int = 10**8, told: list[Event] | None = None) -> Writer:
    return Writer(folder, 16000, most, "Plain", ([] if told is None else told).append)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.with_suffix(".jsonl").read_text().splitlines()]


def sides(path: Path) -> tuple[bytes, bytes]:
    _, pcm = contents(path)
    left, right = bytearray(len(pcm) // 2), bytearray(len(pcm) // 2)
    left[::2], left[1::2] = pcm[::4], pcm[1::4]
    right[::2], right[1::2] = pcm[2::4], pcm[3::4]
    return bytes(left), bytes(right)


def at(event: Event, moment: float) -> Event:
    object.__setattr__(event, "at", moment)
    return event


def test_both_sides_and_the_events_share_one_clock(tmp_path: Path) -> None:
    recorder = writer(tmp_path)
    began = recorder._began
    recorder.put(Sound("microphone", counted(0, 1600), FORMAT, began + 0.2))
    recorder.put(Sound("speaker", counted(5000, 1600), FORMAT, began + 0.25))
    recorder.put(at(ResponseDone(), began + 0.15))
    recorder.put(at(Remark("before"), began + 0.1))  # told late, by another thread
    recorder.start()
    recorder.ended_within(0.3)
    recorder.stop()
    assert recorder.ended_within(10)
    left, right = sides(recorder.path)
    assert left[3200:6400] == counted(0, 1600)
    assert right[4800:8000] == counted(5000, 1600)
    assert not any(left[:3200] + left[6400:] + right[:4800] + right[8000:])
    told = lines(recorder.path)
    assert [line["event"] for line in told] == [
        "RecordingStarted",
        "Remark",
        "ResponseDone",
        "RecordingFinished",
    ]
    assert [line["at"] for line in told[:3]] == [0.0, 0.1, 0.15]
    assert told[-1]["at"] == pytest.approx(len(left) / 2 / 16000, abs=0.001)
    assert {"rate": 16000, "part": 1, "goes_on": False, "server": "Plain"}.items() <= told[0].items()


def test_a_muted_microphone_is_silent_and_told(tmp_path: Path) -> None:
    recorder = writer(tmp_path)
    recorder._began -= 1
    began = recorder._began
    for n, muted in enumerate([False, True, True, False]):
        pcm = b"" if muted else counted(0, 320)
        recorder.put(Sound("microphone", pcm, FORMAT, began + 0.02 * (n + 1)))
    recorder.stop()
    recorder.start()
    assert recorder.ended_within(10)
    marks = [(line["event"], line["at"]) for line in lines(recorder.path)[1:-1]]
    assert marks == [("Muted", 0.04), ("Unmuted", 0.08)]


def test_the_next_file_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    """To the sample, and each with the events of its own time."""
    recorder = writer(tmp_path, most=16000)
    recorder._began -= 2.6  # as if it had begun then
    began = recorder._began
    for n in range(26):
        recorder.put(Sound("microphone", counted(n * 1600, 1600), FORMAT, began + 0.1 * (n + 1)))
    for moment in (0.5, 0.99, 1.5, 2.5):
        recorder.put(at(Remark(str(moment)), began + moment))
    recorder.stop()
    recorder.start()
    assert recorder.ended_within(10)
    files = sorted(tmp_path.glob("*.wav"))
    assert [file.name for file in files] == [f"conversation-00{n}.wav" for n in (1, 2, 3)]
    assert [len(sides(file)[0]) for file in files[:2]] == [32000, 32000]
    together = b"".join(sides(file)[0] for file in files)
    assert together[:83200] == counted(0, 41600)
    told = [[(line["text"], line["at"]) for line in lines(file)[1:-1]] for file in files]
    assert told == [[("0.5", 0.5), ("0.99", 0.99)], [("1.5", 0.5)], [("2.5", 0.5)]]
    assert [lines(file)[0]["goes_on"] for file in files] == [False, True, True]


def test_a_disk_that_does_not_keep_pace_costs_sound_and_is_told(tmp_path: Path) -> None:
    told: list[Event] = []
    recorder = writer(tmp_path, told=told)
    for n in range(2500):
        recorder.put(Sound("microphone", counted(n * 320, 320), FORMAT, recorder._began + 0.02 * (n + 1)))
    recorder.put(ResponseDone())
    recorder.stop()
    recorder.start()
    assert recorder.ended_within(10)
    (event,) = told
    assert event == FramesDropped("recording", "overflow", 501)
    assert lines(recorder.path)[-1]["dropped"] == 501
    assert "ResponseDone" in [line["event"] for line in lines(recorder.path)]


def test_events_alone_can_be_too_many(tmp_path: Path) -> None:
    recorder = writer(tmp_path)
    for _ in range(2010):
        recorder.put(ResponseDone())
    recorder.put(Token("x"))
    recorder.stop()
    recorder.start()
    assert recorder.ended_within(10)
    assert lines(recorder.path)[-1]["dropped"] == 11


def test_what_comes_after_the_end_is_nothing(tmp_path: Path) -> None:
    recorder = writer(tmp_path)
    recorder.stop()
    recorder.start()
    assert recorder.ended_within(10)
    before = contents(recorder.path)
    recorder.put(ResponseDone())
    assert contents(recorder.path) == before


def test_a_program_that_stood_still_writes_no_huge_block(tmp_path: Path) -> None:
    recorder = writer(tmp_path)
    recorder._began -= 600
    largest = 0
    write = recorder._part.write_sound

    def watched(left: bytes, right: bytes) -> None:
        nonlocal largest
        largest = max(largest, len(left))
        write(left, right)

    recorder._part.write_sound = watched  # type: ignore[method-assign]
    recorder.stop()
    recorder.start()
    assert recorder.ended_within(20)
    assert largest == 32000
    assert len(contents(recorder.path)[1]) >= 600 * 64000


def test_a_bug_of_ours_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    told: list[Event] = []
    recorder = writer(tmp_path, told=told)
    recorder.put(Sound("microphone", b"\0", FORMAT, recorder._began))  # half a sample
    recorder.start()
    assert recorder.ended_within(10)
    (event,) = told
    assert isinstance(event, RecordingFailed)
    assert "half" in str(event.error) or "whole samples" in str(event.error)
    assert "the recorder thread failed" in caplog.text
    assert contents(recorder.path) == (16000, b"")


_FULL_DISK = """
import resource, signal, sys, threading
from pathlib import Path
from voicews.config import AudioFormat
from voicews.events import ResponseDone
from voicews.recording.writer import Sound, Writer

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a write fails, as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (100_001, resource.RLIM_INFINITY))
told = []
writer = Writer(Path(sys.argv[1]), 16000, 10**8, "Plain", told.append)
writer._began -= 5
writer.start()
writer.join(20)
assert not writer.is_alive()
print(type(told[0]).__name__, told[0].error)
writer.put(ResponseDone())
"""


def test_a_full_disk_ends_the_recording_and_leaves_it_playable(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", _FULL_DISK, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    file = tmp_path / "conversation-001.wav"
    assert done.stdout.startswith(f"RecordingFailed cannot write {file}: File too large; make room")
    assert contents(file)[0] == 16000
    assert file.stat().st_size <= 100_001


_KILLED = """
import sys, threading, time
from pathlib import Path
from voicews.config import AudioFormat
from voicews.recording.writer import Sound, Writer

writer = Writer(Path(sys.argv[1]), 16000, 10**8, "Plain", print)
writer.start()
while True:
    threading.Event().wait(0.02)
    writer.put(Sound("microphone", b"\\1\\2" * 320, AudioFormat(16000), time.monotonic()))
    print(writer._part.samples, flush=True)
"""


def test_a_program_that_is_killed_leaves_files_that_can_be_read(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        written = 0
        deadline = time.monotonic() + 60
        while written < 16000 and time.monotonic() < deadline:
            written = int(program.stdout.readline())
        program.send_signal(signal.SIGKILL)
    file = tmp_path / "conversation-001.wav"
    rate, pcm = contents(file)
    assert (rate, len(pcm) // 4 >= written) == (16000, True)
    assert b"\1\2" * 320 in sides(file)[0]
    assert lines(file)[0]["event"] == "RecordingStarted"


def test_the_limit_of_this_very_process_is_untouched() -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
