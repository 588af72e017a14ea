"""`voicews serve`: ready, reachable, and gone when it is told to go."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.cli.conftest import Command
from tests.patience import PATIENCE
from voicews import VoicewsError, assistant
from voicews.cli import main

pytestmark = pytest.mark.usefixtures("tmp_path")

LIGHT = ("serve", "--port", "0", "--ears", "pocketsphinx", "--voice", "flite")


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_url_answers_and_ends_cleanly(command: Callable[..., Command], number: int) -> None:
    running = command(*LIGHT)
    url = running.line().strip()
    assert url.startswith("ws://127.0.0.1:")
    with connect(url, legacy=True) as link:
        link.send(json.dumps({"type": "text", "text": "What is two plus two?"}))
        while True:
            message = link.recv(PATIENCE)
            if isinstance(message, str) and json.loads(message)["type"] == "response_done":
                break
        assert "four" in json.loads(message)["text"]
        running.process.send_signal(number)
        code, out, err = running.end()
    assert (code, out) == (0, "")
    assert err.splitlines()[0] == "loading the models…"
    assert f"Talk to it:  voicews talk {url}" in err
    assert "Traceback" not in err


@pytest.mark.usefixtures("unmeasured")
def test_a_brain_of_ones_own(command: Callable[..., Command], tmp_path: Path) -> None:
    (tmp_path / "mybrain.py").write_text("def answer(history, text):\n    yield f'You said {text}'\n")
    running = command(*LIGHT, "--brain", "mybrain:answer")
    with connect(running.line().strip(), legacy=True) as link:
        link.send(json.dumps({"type": "text", "text": "ping"}))
        while True:
            message = link.recv(PATIENCE)
            if isinstance(message, str) and json.loads(message)["type"] == "response_done":
                break
        assert json.loads(message)["text"] == "You said ping"
    running.press_ctrl_c()
    assert running.end()[0] == 0


@pytest.mark.usefixtures("unmeasured")
def test_ctrl_c_while_the_models_are_loading(command: Callable[..., Command]) -> None:
    running = command("serve", "--port", "0")
    assert running.line(of="stderr") == "loading the models…\n"
    running.press_ctrl_c()
    assert running.end() == (130, "", "")


def test_an_address_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main([*LIGHT, "--port", str(port)]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("voicews: ")
    assert last.endswith("(--port 0 picks a free one)")


def test_an_address_of_another_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--host", "192.0.2.1", *LIGHT[1:]]) == 1
    assert "--port" not in capsys.readouterr().err.splitlines()[-1]


def test_it_may_be_told_not_to_listen_while_it_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    configs = []

    class Server(assistant.AssistantServer):
        def start(self) -> None:
            configs.append(self._config)
            raise VoicewsError("enough")

    monkeypatch.setattr(assistant, "AssistantServer", Server)
    assert main([*LIGHT]) == main([*LIGHT, "--no-interruptions"]) == 1
    assert main(["demo", "--text", "Hm?", "--no-interruptions"]) == 1
    assert [config.interruptible for config in configs] == [True, False, False]


@pytest.mark.parametrize(
    ("option", "value", "hint"),
    [("--brain", "nonsense", "module:function"), ("--whisper-model", "/nowhere", "/nowhere")],
)
def test_settings_that_are_wrong(
    option: str, value: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--port", "0", "--voice", "flite", option, value]) == 2
    assert hint in capsys.readouterr().err.splitlines()[-1]
