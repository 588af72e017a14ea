"""What a client's conversation leaves in a folder, with a real server."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_recorded_speech import recording
from tests.patience import PATIENCE
from tests.peer import Call, Peer, peer
from tests.recording.test_part import contents
from tests.recording.test_track import counted
from tests.recording.test_writer import lines, sides
from tests.test_client import QUICK, Diary
from voicews import (
    ClientConfig,
    ConfigError,
    Connected,
    Event,
    InvalidState,
    PlaybackFinished,
    Recorder,
    RecordingError,
    ShutdownTimeout,
    ThreadUnavailable,
    Timeouts,
    VoiceClient,
)
from voicews.audio import NullSink, SilenceSource, WavSink, WavSource
from voicews.config import AudioFormat
from voicews.dialects import Plain
from voicews.recording import recorder as recorder_module

RATE = 16000


@pytest.fixture
def server() -> Iterator[Peer]:
    with peer() as running:
        yield running


def echo(call: Call) -> None:
    """Send back the sound that is no silence."""
    for message in call.link:
        with call.news:
            call.received.append(message)
            call.news.notify_all()
        if isinstance(message, bytes) and any(message):
            call.send(message)


def client(url: str, folder: Path, **options: object) -> VoiceClient:
    made: dict[str, object] = {"microphone": SilenceSource(), "speaker": NullSink(), **options}
    return VoiceClient(url, config=QUICK, recorder=Recorder(folder), **made)  # type: ignore[arg-type]


def begin_of(pcm: bytes, what: bytes) -> int:
    """The sample at which it begins."""
    place = pcm.find(what)
    assert place >= 0
    assert place % 2 == 0
    return place // 2


def test_both_sides_to_the_sample(server: Peer, tmp_path: Path) -> None:
    """The left is the file that was said; the right what came back, as a WavSink keeps it."""
    said = counted(0, RATE)

    def react(call: Call) -> None:
        heard = b""
        while len(heard) < len(said):
            message = call.link.recv()
            heard += message if isinstance(message, bytes) and any(message) else b""
        call.send(heard)

    server.react = react
    source = WavSource(recording(tmp_path / "said.wav", bytes(16000) + said))
    sink = WavSink(tmp_path / "heard.wav")
    voice = client(server.url, tmp_path / "kept", microphone=source, speaker=sink)
    diary = Diary(voice)
    with voice:
        diary.wait_for(PlaybackFinished)
    heard = (tmp_path / "heard.wav").read_bytes()[44:]
    assert heard == said
    file = tmp_path / "kept" / "conversation-001.wav"
    left, right = sides(file)
    said_at, heard_at = begin_of(left, said), begin_of(right, heard)
    assert said_at < heard_at < said_at + 2 * RATE
    told = lines(file)
    started = next(line["at"] for line in told if line["event"] == "PlaybackStarted")
    assert abs(heard_at / RATE - started) < 0.25
    assert told[0]["event"] == "RecordingStarted"
    assert told[0]["server"] == "Plain"
    assert [told[-2]["new"], told[-1]["event"]] == ["CLOSED", "RecordingFinished"]
    assert told[-1]["dropped"] == 0


@pytest.mark.parametrize("missing", ["recorder", "callbacks", "supervisor"])
def test_where_no_thread_is_left_it_records_later(
    missing: str, server: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def start_others(self: threading.Thread) -> None:
        if self.name == f"voicews-{missing}":
            raise RuntimeError("can't start new thread")
        start(self)

    recorder = Recorder(tmp_path)
    voice = VoiceClient(
        server.url, microphone=SilenceSource(), speaker=NullSink(), config=QUICK, recorder=recorder
    )
    with monkeypatch.context() as crowded:
        crowded.setattr(threading.Thread, "start", start_others)
        for _ in range(3):
            with pytest.raises(ThreadUnavailable, match=missing):
                voice.open(PATIENCE)
    assert recorder.ended_within(PATIENCE)
    assert not [file for file in Path("/proc/self/fd").iterdir() if tmp_path in file.resolve().parents]
    with voice:
        server.call().wait_for_audio()
    assert lines(tmp_path / "conversation-004.wav")[-1]["event"] == "RecordingFinished"


def test_a_lost_connection_moves_nothing(server: Peer, tmp_path: Path) -> None:
    server.react = echo
    said = counted(0, 4 * RATE)
    source = WavSource(recording(tmp_path / "said.wav", said))
    voice = client(server.url, tmp_path, microphone=source)
    diary = Diary(voice)
    with voice:
        server.call().wait_for_audio(RATE)
        server.call().cut()
        diary.wait_for(Connected, 2)
        server.call(2).wait_for_audio(3 * RATE)
    left, right = sides(tmp_path / "conversation-001.wav")
    whole = (
        min(len(said) - 2 * begin_of(left, said[:640]), len(left) - 2 * begin_of(left, said[:640]))
        // 640
        * 640
    )
    assert whole > 3 * RATE
    assert said[:whole] in left
    assert any(right)
    names = [line["event"] for line in lines(tmp_path / "conversation-001.wav")]
    for name in ("Disconnected", "Reconnecting", "Connected"):
        assert name in names


def test_rates_may_differ_and_change_at_run_time(server: Peer, tmp_path: Path) -> None:
    """Recorded at the higher one; what comes at another is converted."""

    def react(call: Call) -> None:
        call.send(counted(0, 12000))
        call.send({"type": "response_done"})  # two answers, else what follows soon would belong to the first
        for _ in range(50):
            call.link.recv()
        call.send({"type": "ready", "sample_rate": 48000})
        call.send(counted(0, 24000))

    server.react = react
    dialect = Plain(server.url, output_format=AudioFormat(24000))
    voice = VoiceClient(
        dialect,
        microphone=WavSource(recording(tmp_path / "said.wav", counted(0, 8000))),
        speaker=NullSink(),
        config=QUICK,
        recorder=Recorder(tmp_path),
    )
    diary = Diary(voice)
    with voice:
        diary.wait_for(PlaybackFinished, 2)
    rate, _ = contents(tmp_path / "conversation-001.wav")
    left, right = sides(tmp_path / "conversation-001.wav")
    assert rate == 24000
    begin = begin_of(right, counted(0, 12000))
    later = [n for n, value in enumerate(array("h", right)) if abs(value) > 1000 and n > begin + 12000]
    assert abs((later[-1] - later[0]) / 24000 - 0.5) < 0.01
    loud = [n for n, value in enumerate(array("h", left)) if abs(value) > 1000]
    assert abs((loud[-1] - loud[0]) / 24000 - 0.5) < 0.01


def test_what_is_said_while_muted_is_not_recorded(server: Peer, tmp_path: Path) -> None:
    voice = client(
        server.url, tmp_path, microphone=WavSource(recording(tmp_path / "a.wav", counted(0, 4800)), loop=True)
    )
    voice.mute()
    with voice:
        server.call().wait_for_audio(16000)
        voice.send_text("only in writing")
        voice.interrupt()
        server.call().wait_for_text("text")
    file = tmp_path / "conversation-001.wav"
    left, _ = sides(file)
    assert not any(left)
    told = lines(file)
    assert "Muted" in [line["event"] for line in told]
    said = [(line["command"], line["text"]) for line in told if line["event"] == "Said"]
    assert said == [("SendText", "only in writing"), ("InterruptResponse", None)]


def test_each_opening_makes_files_of_its_own(server: Peer, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "new", rate=8000)
    assert recorder.path is None
    assert recorder.folder == tmp_path / "new"
    assert repr(recorder) == f"Recorder({str(tmp_path / 'new')!r})"
    recorder.note("nobody writes this")
    assert recorder.ended_within(0)
    voice = VoiceClient(
        server.url, microphone=SilenceSource(), speaker=NullSink(), config=QUICK, recorder=recorder
    )
    for number in (1, 2):
        with voice:
            recorder.note(f"number {number}")
        assert recorder.ended_within()
        assert recorder.path == tmp_path / "new" / f"conversation-00{number}.wav"
        assert contents(recorder.path)[0] == 8000
        remarks = [line["text"] for line in lines(recorder.path) if line["event"] == "Remark"]
        assert remarks == [f"number {number}"]


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_opened(
    server: Peer, tmp_path: Path
) -> None:
    (tmp_path / "taken").touch()
    voice = client(server.url, tmp_path / "taken")
    with pytest.raises(
        RecordingError, match=r"cannot record in .*taken: it is a file; choose another folder"
    ):
        voice.open()
    assert not server.calls


def test_one_recorder_serves_one_client_at_a_time(server: Peer, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    one, other = (
        VoiceClient(
            server.url, microphone=SilenceSource(), speaker=NullSink(), config=QUICK, recorder=recorder
        )
        for _ in range(2)
    )
    with one, pytest.raises(InvalidState, match="each client needs one of its own"):
        other.open()


@pytest.mark.parametrize(
    "options",
    [{"rate": 1}, {"part": 0}, {"part": float("nan")}, {"part": float("inf")}, {"part": "1"}, {"part": True}],
)
def test_wrong_settings(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        Recorder(tmp_path, **options)


@pytest.mark.parametrize("folder", [5, None, b"kept", "", "a\0b", ["kept"]])
def test_a_folder_that_is_no_path(folder: Any) -> None:
    with pytest.raises(ConfigError, match=r"`folder` is .*; it must be a path, such as"):
        Recorder(folder)


def test_what_is_no_event_is_refused_where_it_is_given(tmp_path: Path) -> None:
    recorder: Any = Recorder(tmp_path)
    for wrong in (5, "event", None, Event):
        with pytest.raises(ConfigError, match="must be an Event"):
            recorder.write(wrong)
    with pytest.raises(ConfigError, match="must be a string"):
        recorder.note(5)


def test_a_part_longer_than_any_file_makes_files_as_long_as_they_can_be(server: Peer, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, part=sys.float_info.max)
    with VoiceClient(
        server.url, microphone=SilenceSource(), speaker=NullSink(), config=QUICK, recorder=recorder
    ):
        assert recorder.path == tmp_path / "conversation-001.wav"
    assert recorder.ended_within(PATIENCE)


def test_a_folder_is_no_recorder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must be a Recorder such as Recorder\('kept'\)"):
        VoiceClient("ws://localhost:1", recorder="kept")  # type: ignore[arg-type]


def test_a_disk_that_hangs_is_named_at_the_end(
    server: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()
    recorder = Recorder(tmp_path)
    config = ClientConfig(timeouts=Timeouts(close=0.5))
    voice = VoiceClient(
        server.url, microphone=SilenceSource(), speaker=NullSink(), config=config, recorder=recorder
    )
    voice.open()
    writer = recorder._writer
    assert writer is not None

    def hang() -> None:
        free.wait(PATIENCE)

    monkeypatch.setattr(writer._part, "flush", hang)
    server.call().wait_for_audio(24000)  # sound goes on all the while
    with pytest.raises(ShutdownTimeout) as caught:
        voice.close()
    assert caught.value.threads == ("voicews-recorder",)
    free.set()
    assert recorder.ended_within(PATIENCE)


def test_a_program_that_forgets_to_close_has_a_whole_recording(server: Peer, tmp_path: Path) -> None:
    program = (
        "import sys, voicews\n"
        "voice = voicews.VoiceClient(sys.argv[1], recorder=voicews.Recorder('kept'))\n"
        "voice.open()\n"
        "voice.send_text('last words')\n"
    )
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program, server.url],
        cwd=tmp_path,
        env={**os.environ, "VOICEWS_AUDIO": "null", "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    told = lines(tmp_path / "kept" / "conversation-001.wav")
    assert told[-1]["event"] == "RecordingFinished"


def test_nothing_is_awaited_at_exit_after_all_is_written() -> None:
    recorder_module._complete()
