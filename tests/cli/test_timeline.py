"""`voicews timeline`, and `--record`, which makes what it draws."""

from __future__ import annotations

import json
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.answering import tone
from tests.cli.conftest import Command
from tests.cli.test_recorded_speech import recording
from tests.peer import Peer
from tests.timeline.recordings import Tape
from voicews.cli import main

WITHOUT_DEVICES = {"VOICEWS_AUDIO": "null"}


def test_the_demo_with_its_cut_connection_becomes_a_picture(
    command: Callable[..., Command], tmp_path: Path
) -> None:
    light = ["--ears", "pocketsphinx", "--voice", "flite"]
    running = command(
        "demo",
        "--scripted",
        "--turns",
        "2",
        "--drop-after",
        "1",
        "--record",
        "kept",
        *light,
        **WITHOUT_DEVICES,
    )
    _, out, err = running.end(100)  # such ears do not understand enough to pass
    assert "note   recorded in kept/conversation-001.wav; `voicews timeline kept` draws it" in out, out + err
    with wave.open(str(tmp_path / "kept" / "conversation-001.wav")) as file:
        assert file.getnchannels() == 2
        assert file.getnframes() / file.getframerate() > 5
    lines = (tmp_path / "kept" / "conversation-001.jsonl").read_text().splitlines()
    names = [json.loads(line)["event"] for line in lines]
    for name in ("Note", "Disconnected", "Reconnecting", "PlaybackFinished", "RecordingFinished"):
        assert name in names
    drawn = command("timeline", "kept")
    code, out, err = drawn.end()
    assert (code, out, err) == (0, "drawn: kept/conversation-001.svg\n", "")
    assert (tmp_path / "kept" / "conversation-001.svg").stat().st_size > 10_000


def test_talk_records_what_was_said(
    server: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VOICEWS_AUDIO", "null")
    question = recording(tmp_path / "question.wav", bytes(6400) + tone(0.8))
    kept = tmp_path / "kept"
    assert main(["talk", server.url, "--input", str(question), "--record", str(kept)]) == 0
    assert main(["timeline", str(kept), "--output", str(tmp_path / "why.png"), "--dark"]) == 0
    assert capsys.readouterr().out.endswith(f"drawn: {tmp_path / 'why.png'}\n")
    told = (kept / "conversation-001.jsonl").read_text()
    assert '"text": "beep beep"' in told
    assert (tmp_path / "why.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_cannot_be_written(
    server: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VOICEWS_AUDIO", "null")
    (tmp_path / "taken").touch()
    assert main(["talk", server.url, "--text", "Hello", "--record", str(tmp_path / "taken")]) == 1
    assert "choose another folder" in capsys.readouterr().err.splitlines()[-1]


def test_a_part_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tape = Tape(70)
    tape.turn(61, "One?", "One.")
    path = tape.save(tmp_path)
    options = ["--from", "1:00", "--to", "65.5", "--output", str(tmp_path / "a.svg")]
    assert main(["timeline", str(path), *options]) == 0
    for wrong in (["--from", "1:10"], ["--from", "0:09", "--to", "9"]):
        assert main(["timeline", str(path), *wrong]) == 2
        assert "the recording is 1:10 long" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["timeline", str(path), "--from", "soon"])
    assert "'soon' is not a time" in capsys.readouterr().err


def test_a_recording_longer_than_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from voicews.timeline import drawing

    monkeypatch.setattr(drawing, "_MOST_ROWS", 1)
    tape = Tape(30)
    tape.sound(1, 1, 29)
    assert main(["timeline", str(tape.save(tmp_path))]) == 0
    assert "it ends at 0:08; draw the rest with --from 0:08" in capsys.readouterr().out


def test_without_matplotlib_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Tape(1).save(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["timeline", str(path)]) == 1
    assert capsys.readouterr().err == (
        'voicews: pictures need matplotlib: run `pip install ".[plot]"` in the checkout of voicews\n'
    )


def test_where_there_is_no_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["timeline", str(tmp_path)]) == 1
    assert "there is no recording in" in capsys.readouterr().err
