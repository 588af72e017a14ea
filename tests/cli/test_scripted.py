"""The check of the scripted conversation: it passes what is right, and nothing else."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import pytest

from tests.cli.test_demo import seconds_of
from voicews.assistant import speech
from voicews.cli import main


@pytest.mark.slow
def test_without_its_history_the_server_forgets_and_the_demo_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, again = (one for one in speech.utterances() if "name" in one.words)
    monkeypatch.setattr(speech, "utterances", lambda: [name, again])
    options = ["--json", "--drop-after", "1", "--output", str(tmp_path / "answers.wav")]
    codes = {}
    for resume in ("--resume", "--no-resume"):
        codes[resume] = main(["demo", "--scripted", *options, resume])
        out = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert out[-1]["event"] == "Verdict"
        scores = [event for event in out if event["event"] == "TurnScore"]
        assert [score["words_right"] for score in scores] == [1, 1]
        wrong = [check["what"] for check in out[-1]["checks"] if not check["ok"]]
        assert wrong == ([] if resume == "--resume" else ["answers right", "what was said before is known"])
    assert codes == {"--resume": 0, "--no-resume": 1}


def test_a_turn_that_is_not_answered_is_counted_and_does_not_end_the_demo(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = tmp_path / "silent.wav"
    with wave.open(str(silent), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(bytes(16000))

    first = speech.utterances()[0]
    script = [first, speech.Utterance(silent, "Is anybody there?", "yes")]
    monkeypatch.setattr(speech, "utterances", lambda: script)
    monkeypatch.setattr("voicews.cli.scripted._PATIENCE", 6.0)
    recording = tmp_path / "answers.wav"
    assert main(["demo", "--scripted", "--output", str(recording), "--drop-after", "0"]) == 1
    out = capsys.readouterr().out
    assert "FAIL answers right                    1 of 2\n" in out
    assert "restored" not in out
    assert seconds_of(recording) > 1
