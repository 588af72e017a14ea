"""The programs of examples/ run as they are written."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.conftest import missing_part
from tests.examples.programs import ROOT, VoiceServer, a_port, for_port, running

EXAMPLES = ROOT / "examples"

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def server() -> Iterator[VoiceServer]:
    voice_server = VoiceServer()
    yield voice_server
    voice_server.close()


def _read_until(program: subprocess.Popen[str], wanted: str) -> list[str]:
    assert program.stdout
    lines: list[str] = []
    for line in program.stdout:
        lines.append(line.strip())
        if wanted in line:
            return lines
    assert program.stderr
    pytest.fail(f"ended without {wanted!r}: {lines}, {program.stderr.read()}")


def _tell(program: subprocess.Popen[str], line: str) -> None:
    assert program.stdin
    program.stdin.write(f"{line}\n")
    program.stdin.flush()


@pytest.mark.usefixtures("unmeasured")
def test_ten_lines(server: VoiceServer, tmp_path: Path) -> None:
    with running(for_port(EXAMPLES / "ten_lines.py", server.port, tmp_path)) as program:
        _read_until(program, "hello out there")
        assert server.heard.wait(20)
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=20)
    assert (program.returncode, errors) == (0, "")
    assert server.close_codes.get(timeout=20) == 1000


@pytest.mark.usefixtures("unmeasured")
def test_pi_button(server: VoiceServer, tmp_path: Path) -> None:
    if importlib.util.find_spec("gpiozero") is None:
        missing_part("no gpiozero: pip install gpiozero")
    script = for_port(EXAMPLES / "pi_button.py", server.port, tmp_path)
    with running(Path(__file__).with_name("run_with_pins.py"), script) as program:
        assert server.wait_for("text")["text"] == "Greet the visitor."
        _read_until(program, "user: hello out there")
        _tell(program, "await 27")
        _read_until(program, "27 is on")
        _tell(program, "press 17")
        server.wait_for("start_of_turn")
        _tell(program, "release 17")
        server.wait_for("end_of_turn")
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=20)
    # Nothing catches Ctrl+C in this one: Python ends it as it does, once `with` has closed the client.
    assert program.returncode == -signal.SIGINT
    assert errors.strip().endswith("KeyboardInterrupt")
    assert server.close_codes.get(timeout=20) == 1000


def test_pull_events(server: VoiceServer, tmp_path: Path) -> None:
    with running(for_port(EXAMPLES / "pull_events.py", server.port, tmp_path)) as program:
        output, errors = program.communicate(timeout=20)
    assert (program.returncode, errors) == (0, "")
    assert "It is noon." in output
    assert server.close_codes.get(timeout=20) == 1000


@pytest.mark.usefixtures("unmeasured")
def test_echo_server(tmp_path: Path) -> None:
    port = a_port()
    with running(for_port(EXAMPLES / "echo_server.py", port, tmp_path)) as program:
        assert program.stderr
        for line in program.stderr:
            if "listening" in line:
                break
        with connect(f"ws://localhost:{port}") as client:
            client.send(b"\1\0" * 320)
            assert client.recv(timeout=20) == b"\1\0" * 320
            client.send(json.dumps({"type": "text", "text": "hello"}))
            kinds = [json.loads(client.recv(timeout=20))["type"] for _ in range(3)]
        assert kinds == ["response_started", "token", "response_done"]
        program.send_signal(signal.SIGINT)
        program.communicate(timeout=20)


def test_every_example_is_run() -> None:
    here = Path(__file__)
    tested = here.read_text(encoding="utf-8")
    missing = [
        script.name
        for script in EXAMPLES.glob("*.py")
        if f'"{script.name}"' not in tested and not here.with_name(f"test_{script.name}").exists()
    ]
    assert missing == []
