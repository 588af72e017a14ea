"""`voicews talk`, against a server from an independent library."""

from __future__ import annotations

import json
import signal
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.answering import answering, tone
from tests.cli.conftest import Command
from tests.cli.test_recorded_speech import recording
from tests.patience import PATIENCE
from tests.peer import Peer, unused_port
from tests.proxies import running_proxy
from voicews.cli import main
from voicews.testing import (
    FakeDeepgramAgent,
    FakeDeepgramListen,
    FakeElevenLabsAgent,
    FakeGeminiLive,
    FakeHomeAssistant,
    FakeOpenAIRealtime,
    FakeServer,
    FakeVosk,
    FakeWhisperLive,
)
from voicews.testing.certificates import Certificates

WITHOUT_DEVICES = {"VOICEWS_AUDIO": "null"}


@pytest.fixture(autouse=True)
def no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEWS_AUDIO", "null")


def seconds_of(path: Path) -> float:
    with wave.open(str(path)) as file:
        return file.getnframes() / file.getframerate()


def events(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_words_in_writing(server: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["talk", server.url, "--text", "One?", "--text", "Two?"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[:6] == [
        "link   connected",
        "you    One?",
        "voice  That was all.",
        "you    Two?",
        "voice  That was all.",
        "",
    ]
    assert "2 answers in" in out
    assert "\x1b" not in out
    assert not err
    assert [text["text"] for text in server.call().texts] == ["One?", "Two?"]


def test_a_recording_and_the_answer_in_a_file(
    server: Peer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    question = recording(tmp_path / "question.wav", bytes(6400) + tone(0.8))
    answer = tmp_path / "answer.wav"
    assert main(["talk", server.url, "--input", str(question), "--output", str(answer), "--json"]) == 0
    told = events(capsys.readouterr().out)
    assert {"event", "at"} <= set.intersection(*(set(event) for event in told))
    names = [event["event"] for event in told]
    for name in ("SpeechStarted", "Token", "AudioReceived", "PlaybackFinished", "ResponseDone"):
        assert name in names
    (figures,) = (event for event in told if event["event"] == "Figures")
    assert told[-1] == figures
    assert figures["turns"] == 1
    assert figures["frames_dropped"] == figures["reconnects"] == 0
    assert 0.3 <= figures["after_speech_median"] < 5
    assert 0 <= figures["after_server_median"] < 5
    assert figures["rtt_median"] > 0
    assert seconds_of(answer) == pytest.approx(0.3, abs=0.01)


def test_resume_and_headers_reach_the_server(server: Peer) -> None:
    assert main(["talk", server.url, "--text", "Hm?", "--resume", "--header", "X-Token: abc"]) == 0
    call = server.call()
    assert call.texts[0]["type"] == "hello"
    assert call.texts[0]["history"] == []
    assert call.request is not None
    assert call.request.headers["X-Token"] == "abc"


@pytest.mark.parametrize("kind", ["http", "socks5h"])
def test_by_a_proxy_to_a_house_with_an_authority_of_its_own(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both the conversation and the answer's sound, which has to be fetched."""
    monkeypatch.setenv("HASS_TOKEN", "right")
    answer = tmp_path / "answer.wav"
    with (
        Certificates() as certificates,
        FakeHomeAssistant(answers=["Yes."], key="right", tls=certificates.context()) as house,
        running_proxy(kind) as asked,
    ):
        server = ["talk", "--dialect", "home-assistant", house.url, "--text", "Hm?", "--output", str(answer)]
        assert main([*server, "--attempts", "0"]) == 1
        assert "--ca-file" in failure(capsys)
        way = ["--ca-file", certificates.ca_file, "--proxy", f"{kind}://127.0.0.1:{asked.port}"]
        assert main([*server, *way]) == 0
        assert asked.ways == [("127.0.0.1", house.port)] * 2
    assert seconds_of(answer) > 0.1


def test_a_proxy_that_refuses(server: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    with running_proxy("http", login=("me", "right")) as asked:
        way = ["--proxy", f"http://me:hunter2@127.0.0.1:{asked.port}"]
        assert main(["talk", server.url, "--text", "Hm?", *way]) == 1
    told = failure(capsys)
    assert "HTTP 407" in told
    assert "--proxy" in told
    assert "hunter2" not in told


def test_no_hello_unless_it_is_asked_for(server: Peer) -> None:
    assert main(["talk", server.url, "--text", "Hm?"]) == 0
    assert [text["type"] for text in server.call().texts] == ["text"]


# -- failures ---------------------------------------------------------------------------------------


def failure(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr."""
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("voicews: ")
    return line


def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["talk", f"ws://127.0.0.1:{unused_port()}", "--attempts", "0"]) == 1
    assert "`voicews serve` starts one" in failure(capsys)


def test_a_token_that_is_wrong(server: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    server.refuse_with = 401
    assert main(["talk", server.url]) == 1
    told = failure(capsys)
    assert f" {server.url.split('/')[2]} " in told
    assert told.count("token") == told.count("--header") == 1


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["http://localhost"], "ws://"),
        (["ws://localhost", "--text", " "], "empty"),
        (["ws://localhost", "--header", "A\nB: c"], "header"),
    ],
)
def test_settings_that_are_wrong(
    server: Peer, arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url = server.url if arguments[0] == "ws://localhost" else arguments[0]
    assert main(["talk", url, *arguments[1:]]) == 2
    assert hint in failure(capsys)


def test_a_file_that_cannot_be_written(server: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["talk", server.url, "--text", "Hm?", "--output", "/nowhere/answer.wav"]) == 1
    assert "/nowhere/answer.wav" in failure(capsys)


def test_verbose_shows_the_log_and_the_traceback(server: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    server.refuse_with = 404
    assert main(["talk", server.url, "--verbose"]) == 1
    err = capsys.readouterr().err
    assert "CONNECTING" in err
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("voicews: ")
    assert "check the path" in err.splitlines()[-1]


def test_a_microphone_that_is_not_there(server: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["talk", server.url, "--mic", "no such thing"]) == 1
    assert "`voicews devices` lists them" in failure(capsys)


# -- as a process -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_a_live_conversation_well(
    server: Peer, command: Callable[..., Command], tmp_path: Path, number: int
) -> None:
    running = command("talk", server.url, "--json", "--output", "answer.wav", **WITHOUT_DEVICES)
    running.await_event("Connected")
    server.call().send(tone(3.0))
    running.await_event("PlaybackStarted")
    running.process.send_signal(number)
    code, out, err = running.end()
    assert (code, err) == (0, "")
    assert events(out)[-1]["event"] == "Figures"
    assert 0 < seconds_of(tmp_path / "answer.wav") < 3
    call = server.call()
    call.wait_until_over()
    assert call.close_code == 1000


@pytest.mark.usefixtures("unmeasured")
def test_an_answer_that_was_shown_counts_although_ctrl_c_came(
    server: Peer, command: Callable[..., Command]
) -> None:
    server.react = answering(seconds=20)
    running = command("talk", server.url, "--json", "--text", "Hm?", **WITHOUT_DEVICES)
    running.await_event("ResponseDone")
    running.press_ctrl_c()
    code, out, err = running.end()
    assert (code, err) == (130, "")
    assert events(out)[-1]["turns"] == 1


@pytest.mark.usefixtures("unmeasured")
def test_ctrl_c_while_it_waits_for_an_answer(server: Peer, command: Callable[..., Command]) -> None:
    server.react = None
    running = command("talk", server.url, "--json", "--text", "Hm?", **WITHOUT_DEVICES)
    server.call().wait_for_text("text")
    running.press_ctrl_c()
    code, _, err = running.end()
    assert (code, err) == (130, "")


@pytest.mark.usefixtures("unmeasured")
def test_ctrl_c_while_it_is_connecting(command: Callable[..., Command]) -> None:
    running = command("talk", f"ws://127.0.0.1:{unused_port()}", "--json", **WITHOUT_DEVICES)
    running.await_event("Reconnecting")
    running.press_ctrl_c()
    code, _, err = running.end()
    assert (code, err) == (130, "")


@pytest.mark.usefixtures("unmeasured")
def test_ctrl_c_twice(server: Peer, command: Callable[..., Command]) -> None:
    running = command("talk", server.url, "--json", **WITHOUT_DEVICES)
    running.await_event("Connected")
    running.press_ctrl_c()
    running.await_event("StateChanged", new="CLOSING")
    running.press_ctrl_c()
    code, _, err = running.end()
    assert (code, err) == (0, "")


def test_a_reader_that_goes_away(server: Peer, command: Callable[..., Command]) -> None:
    running = command("talk", server.url, "--json", **WITHOUT_DEVICES)
    running.await_event("Connected")
    assert running.process.stdout is not None
    running.process.stdout.close()
    server.call().send({"type": "token", "text": "to nobody"})
    assert running.process.wait(PATIENCE) == 141
    assert running.process.stderr is not None
    assert not running.process.stderr.read()


# -- other dialects ---------------------------------------------------------------------------------


def answered_by(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Who said what, without the figures and the servers' own remarks."""
    out, err = capsys.readouterr()
    assert not err
    return [line for line in out.splitlines() if line.startswith(("link ", "you ", "voice "))]


CONVERSING: list[tuple[str, type[FakeServer[Any]], list[str]]] = [
    ("openai", FakeOpenAIRealtime, ["model=m"]),
    ("deepgram-agent", FakeDeepgramAgent, ["think=m"]),
    ("elevenlabs", FakeElevenLabsAgent, ["agent_id=a"]),
    ("gemini", FakeGeminiLive, ["model=m"]),
    ("home-assistant", FakeHomeAssistant, ["key=k"]),
]


@pytest.mark.parametrize(("name", "fake", "settings"), CONVERSING, ids=[one[0] for one in CONVERSING])
def test_words_in_writing_in_other_dialects(
    name: str, fake: type[FakeServer[Any]], settings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    given = [part for setting in settings for part in ("--set", setting)]
    with fake(answers=["At noon."]) as server:
        assert main(["talk", "--dialect", name, server.url, *given, "--text", "When?"]) == 0
    assert answered_by(capsys) == ["link   connected", "you    When?", "voice  At noon."]


@pytest.mark.parametrize(
    ("name", "fake", "settings"),
    [
        ("deepgram-listen", FakeDeepgramListen, ["endpointing=300"]),
        ("vosk", FakeVosk, []),
        ("whisper-live", FakeWhisperLive, ["language=en", "settle=1"]),
    ],
)
def test_a_recording_is_written_down(
    name: str,
    fake: type[FakeServer[Any]],
    settings: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    question = recording(tmp_path / "question.wav", bytes(6400) + tone(1.2))
    given = [part for setting in settings for part in ("--set", setting)]
    with fake(hears=["turn on the light"]) as server:
        assert main(["talk", "--dialect", name, server.url, *given, "--input", str(question)]) == 0
    assert "you    turn on the light" in answered_by(capsys)


def test_a_key_that_is_wrong(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPGRAM_API_KEY", "wrong")
    with FakeDeepgramListen(key="right") as server:
        assert main(["talk", "--dialect", "deepgram-listen", server.url, "--set", "key=wrong"]) == 1
    told = failure(capsys)
    assert "DEEPGRAM_API_KEY" in told
    assert "--header" not in told


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--dialect", "klingon"], "home-assistant-assist, openai-realtime, plain"),
        (["--dialect", "deepgram"], "deepgram-agent or deepgram-listen"),
        (
            ["--dialect", "vosk", "--set", "modle=x"],
            "no setting 'modle' (did you mean model?); it has url, input_format",
        ),
        (["--dialect", "gemini", "--set", "key=k"], "--set model=gemini-"),
        (["--dialect", "vosk", "--resume"], "no setting 'resume'"),
        ([], "Give its URL"),
    ],
)
def test_dialects_and_settings_that_are_none(
    arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["talk", *arguments]) == 2
    assert hint in failure(capsys)


@pytest.mark.parametrize("setting", ["model", "=x", "a b=x"])
def test_a_setting_has_a_name_and_a_value(setting: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["talk", "--set", setting])
    assert ended.value.code == 2
    assert "name=value" in capsys.readouterr().err


def test_the_dialects_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["talk", "--help"])
    assert "deepgram-agent, deepgram-listen, elevenlabs-agent" in capsys.readouterr().out
