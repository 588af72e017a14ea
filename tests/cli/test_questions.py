"""Questions on the command line: when an answer is over, and when none will come."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.answering import answering, tone, until_hung_up
from tests.cli.test_recorded_speech import recording
from tests.cli.test_talk import failure, seconds_of
from tests.peer import Call, Peer
from voicews.cli import main


@pytest.fixture(autouse=True)
def no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEWS_AUDIO", "null")


def test_an_answer_without_sound_is_an_answer(server: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    server.react = answering(seconds=0)
    assert main(["talk", server.url, "--text", "Hm?"]) == 0
    assert "voice  That was all." in capsys.readouterr().out


def test_a_server_that_only_sends_sound_back(
    server: Peer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def echo(call: Call) -> None:
        for message in call.link:
            call.link.send(message)

    server.react = until_hung_up(echo)
    question = recording(tmp_path / "question.wav", tone(0.5))
    answer = tmp_path / "answer.wav"
    options = ["--input", str(question), "--output", str(answer), "--patience", "2", "--plain"]
    assert main(["talk", server.url, *options]) == 0
    assert seconds_of(answer) > 0.5


def test_a_server_that_never_answers(server: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    server.react = None
    assert main(["talk", server.url, "--text", "Hm?", "--patience", "1"]) == 1
    assert "nothing came back within 1 s" in failure(capsys)


def test_a_server_that_goes_away_instead_of_answering(
    server: Peer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.react = lambda call: call.close(1000)
    assert main(["talk", server.url, "--text", "Hm?"]) == 1
    assert "ended the conversation without an answer" in failure(capsys)


def test_a_recording_that_is_none(server: Peer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["talk", server.url, "--input", str(tmp_path / "none.wav")]) == 1
    assert "none.wav" in failure(capsys)
    noise = tmp_path / "noise.wav"
    noise.write_bytes(b"ID3 no wave")
    assert main(["talk", server.url, "--input", str(noise)]) == 1
    assert "MP3" in failure(capsys)
    assert not server.calls
