"""`voicews demo`: it proves itself, and it notices when the proof fails."""

from __future__ import annotations

import json
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from voicews import AudioError, DeviceNotFound
from voicews.audio import Device
from voicews.cli import demo, main

WITHOUT_DEVICES = {"VOICEWS_AUDIO": "null"}


def seconds_of(path: Path) -> float:
    with wave.open(str(path)) as file:
        return file.getnframes() / file.getframerate()


@pytest.mark.slow
def test_the_whole_conversation_in_real_time(command: Callable[..., Command], tmp_path: Path) -> None:
    running = command("demo", **WITHOUT_DEVICES)
    code, out, err = running.end(110)
    assert code == 0, out + err
    assert out.count("\nok   ") == 6
    assert "FAIL" not in out
    assert "connected again after" in out
    assert "\x1b" not in out
    assert "going on with recorded speech" in err
    assert seconds_of(tmp_path / "answer.wav") > 10


def test_questions_instead_of_a_microphone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = tmp_path / "answer.wav"
    options = ["--output", str(recording), "--ears", "pocketsphinx", "--voice", "flite"]
    assert main(["demo", "--text", "What is two plus two?", *options]) == 0
    assert "voice  Two plus two is four." in capsys.readouterr().out
    assert seconds_of(recording) > 0.5


@pytest.mark.parametrize(
    "option", [["--mic", "1"], ["--speaker", "1"], ["--input", "a.wav"], ["--text", "a"]]
)
def test_the_script_replaces_what_one_could_say(
    option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--scripted", *option]) == 2
    assert "--scripted" in capsys.readouterr().err


def test_the_assistant_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("websockets", "voicews.assistant.link"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["demo"]) == 1
    assert 'pip install ".[assistant]"' in capsys.readouterr().err.splitlines()[-1]


def _speaker_only(probe: bool) -> list[Device]:
    return [Device(0, "HDMI", "ALSA", 0, 2, 48000)]


def _both(probe: bool) -> list[Device]:
    return [Device(0, "USB", "ALSA", 1, 2, 48000)]


def _broken(probe: bool) -> list[Device]:
    raise AudioError("the sound system hangs")


def test_whether_a_live_conversation_is_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VOICEWS_AUDIO", raising=False)
    monkeypatch.setattr(demo, "loudspeakers", lambda: ["HDMI"])
    monkeypatch.setattr(demo, "devices", _speaker_only)
    assert demo._lacking(None) == "no microphone here"
    monkeypatch.setattr(demo, "devices", _both)
    assert demo._lacking(None) == ""
    monkeypatch.setattr(demo, "devices", _broken)
    assert demo._lacking(None) == "the sound system hangs"
    monkeypatch.setattr(demo, "devices", _both)
    monkeypatch.setattr(demo, "loudspeakers", list)
    assert demo._lacking(None) == "no loudspeaker here"
    assert demo._lacking(Path("a.wav")) == ""
    monkeypatch.setenv("VOICEWS_AUDIO", "null")
    assert demo._lacking(None)


def test_devices_that_do_not_open_lead_to_the_script_unless_they_were_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def not_opened(*_: object) -> int:
        raise DeviceNotFound("the microphone is gone")

    monkeypatch.setattr(demo, "_lacking", lambda output: "")
    monkeypatch.setattr(demo, "_live", not_opened)
    monkeypatch.setattr(demo, "_scripted", lambda *_: 0)
    light = ["--ears", "pocketsphinx", "--voice", "flite"]
    assert main(["demo", *light]) == 0
    assert "the microphone is gone; going on with recorded speech" in capsys.readouterr().err
    assert main(["demo", "--mic", "0", *light]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("voicews: the microphone is gone")


def test_without_a_loudspeaker_written_questions_are_answered_all_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none_at_all() -> list[str]:
        raise DeviceNotFound("no loudspeaker could be opened")

    monkeypatch.delenv("VOICEWS_AUDIO", raising=False)
    monkeypatch.setattr(demo, "loudspeakers", none_at_all)
    light = ["--ears", "pocketsphinx", "--voice", "flite"]
    assert main(["demo", "--text", "What is two plus two?", *light]) == 0
    out, err = capsys.readouterr()
    assert "voice  Two plus two is four." in out
    assert err.count("no loudspeaker here; the answers are shown and not heard") == 1


# -- Ctrl+C at any moment -----------------------------------------------------------------------------


def stopped(running: Command) -> str:
    running.press_ctrl_c()
    code, out, err = running.end()
    assert code == 130
    assert "Traceback" not in err
    assert "Exception" not in err
    return out


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("wait", [0.0, 0.3, 0.8])
def test_ctrl_c_while_the_models_are_loading(command: Callable[..., Command], wait: float) -> None:
    running = command("demo", **WITHOUT_DEVICES)
    assert running.line(of="stderr").startswith("starting")
    with pytest.raises(Exception, match="timed out"):
        running.process.wait(wait)
    stopped(running)


@pytest.mark.usefixtures("unmeasured")
def test_ctrl_c_while_it_speaks(command: Callable[..., Command], tmp_path: Path) -> None:
    running = command("demo", "--json", **WITHOUT_DEVICES)
    running.await_event("PlaybackStarted")
    out = stopped(running)
    assert json.loads(out.splitlines()[-1])["event"] == "Figures"
    assert 0 <= seconds_of(tmp_path / "answer.wav") < 2


@pytest.mark.usefixtures("unmeasured")
def test_ctrl_c_while_the_connection_is_away(command: Callable[..., Command]) -> None:
    running = command("demo", "--scripted", "--json", "--drop-after", "1", **WITHOUT_DEVICES)
    running.await_event("Reconnecting")
    stopped(running)


@pytest.mark.usefixtures("unmeasured")
def test_ctrl_c_while_the_answers_are_checked(command: Callable[..., Command]) -> None:
    running = command("demo", "--scripted", "--json", "--turns", "2", **WITHOUT_DEVICES)
    running.await_event("TurnScore")
    running.press_ctrl_c()
    code, _, err = running.end()
    assert code in (0, 130)  # it may have come too late
    assert "Traceback" not in err
