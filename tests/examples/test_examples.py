"""The programs of examples/ run as they are written."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.conftest import missing_part
from tests.examples.programs import ROOT, VoiceServer, a_port, for_port, running
from tests.patience import PATIENCE

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
        _read_until(program, "user: hello out there")
        server.tell({"type": "transcript", "role": "assistant", "text": "hel", "final": False})
        server.tell({"type": "transcript", "role": "assistant", "text": "hello"})
        assert _read_until(program, "assistant: hello") == ["assistant: hello"]
        assert server.heard.wait(PATIENCE)
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=PATIENCE)
    assert (program.returncode, errors) == (0, "")
    assert server.close_codes.get(timeout=PATIENCE) == 1000


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
        _tell(program, "dark 27")
        _read_until(program, "27 is dark")
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=PATIENCE)
    assert (program.returncode, errors) == (0, "")
    assert server.close_codes.get(timeout=PATIENCE) == 1000


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize(("sound", "end"), [(60.0, "27 is dark"), (0.0, "27 was never on")])
def test_the_light_of_pi_button_goes_out(sound: float, end: str, tmp_path: Path) -> None:
    """After an answer that is interrupted, and one without sound."""
    if importlib.util.find_spec("gpiozero") is None:
        missing_part("no gpiozero: pip install gpiozero")
    with contextlib.closing(VoiceServer(sound)) as server:
        script = for_port(EXAMPLES / "pi_button.py", server.port, tmp_path)
        with running(Path(__file__).with_name("run_with_pins.py"), script) as program:
            server.wait_for("text")
            if sound:
                _tell(program, "await 27")
                _read_until(program, "27 is on")
                server.tell({"type": "interrupted"})
            server.tell({"type": "transcript", "role": "assistant", "text": "that was all"})
            _read_until(program, "assistant: that was all")
            _tell(program, "dark 27")
            _read_until(program, end)
            program.send_signal(signal.SIGINT)
            _, errors = program.communicate(timeout=PATIENCE)
    assert (program.returncode, errors) == (0, "")


def test_pull_events(tmp_path: Path) -> None:
    with contextlib.closing(VoiceServer(sound=1.5)) as server:
        with running(for_port(EXAMPLES / "pull_events.py", server.port, tmp_path)) as program:
            output, errors = program.communicate(timeout=PATIENCE)
        assert (program.returncode, errors) == (0, "")
        assert "It is noon." in output
        assert server.answered_at is not None
        assert time.monotonic() - server.answered_at >= 1.5, "it did not wait until its answer was heard"
        assert server.close_codes.get(timeout=PATIENCE) == 1000


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
            assert client.recv(timeout=PATIENCE) == b"\1\0" * 320
            client.send(json.dumps({"type": "text", "text": "hello"}))
            kinds = [json.loads(client.recv(timeout=PATIENCE))["type"] for _ in range(3)]
        assert kinds == ["response_started", "token", "response_done"]
        _ask_once(f"ws://localhost:{port}")
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=PATIENCE)
    assert program.returncode == 0
    assert "Traceback" not in errors


def _ask_once(url: str) -> None:
    """One question in writing has one answer, which ends at once."""
    asked = subprocess.run(
        [sys.executable, "-m", "voicews", "talk", url, "--plain", "--text", "hello"],
        env={**os.environ, "VOICEWS_AUDIO": "null"},
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
        cwd=ROOT,
    )
    assert asked.returncode == 0, asked.stderr
    assert "\n1 answer in " in asked.stdout
    assert asked.stdout.count("voice ") == 1


@pytest.fixture
def display() -> Iterator[str]:
    """An X server of the test's own, on a display that it chooses itself."""
    if shutil.which("Xvfb") is None:
        missing_part("no Xvfb: apt-get install xvfb")
    if importlib.util.find_spec("_tkinter") is None:
        missing_part("this Python has no tkinter: apt-get install python3-tk")
    ours, theirs = os.pipe()
    command = ["Xvfb", "-displayfd", str(theirs), "-screen", "0", "640x480x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[theirs], stderr=subprocess.DEVNULL) as screen:
        os.close(theirs)
        try:
            with os.fdopen(ours, encoding="ascii") as told:
                ready, _, _ = select.select([told], [], [], 20)
                assert ready, "Xvfb does not start"
                number = told.readline().strip()
            assert number, "Xvfb has ended"
            yield f":{number}"
        finally:
            screen.terminate()
            screen.wait(PATIENCE)


def _window(server: VoiceServer, folder: Path) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    script = for_port(EXAMPLES / "tk_window.py", server.port, folder)
    return running(Path(__file__).with_name("run_with_window.py"), script)


@pytest.mark.usefixtures("unmeasured")
def test_tk_window(
    server: VoiceServer, display: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", display)
    with _window(server, tmp_path) as program:
        seen = ""
        while "user: hello out there" not in seen or "CONNECTED" not in seen:
            _tell(program, "read")
            [seen] = _read_until(program, "")
        _tell(program, "press")
        server.wait_for("start_of_turn")
        _tell(program, "release")
        server.wait_for("end_of_turn")
        server.tell({"type": "transcript", "role": "assistant", "text": "hel", "final": False})
        server.tell({"type": "transcript", "role": "assistant", "text": "hello"})
        while "assistant: hello" not in seen:
            _tell(program, "read")
            [seen] = _read_until(program, "")
        assert seen.split(" | ") == ["CONNECTED", "user: hello out there", "assistant: hello"]
        _tell(program, "close")
        *_, closed = _read_until(program, "closed after")
        _, errors = program.communicate(timeout=PATIENCE)
    assert (program.returncode, errors) == (0, "")
    assert float(closed.split()[-1]) < 3, "the window waited for its own callbacks"
    assert server.close_codes.get(timeout=PATIENCE) == 1000


@pytest.mark.usefixtures("unmeasured")
def test_tk_window_ends_at_ctrl_c(
    server: VoiceServer, display: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", display)
    with _window(server, tmp_path) as program:
        assert server.heard.wait(PATIENCE)
        _tell(program, "read")
        _read_until(program, "")
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=PATIENCE)
    assert (program.returncode, errors) == (0, "")
    assert server.close_codes.get(timeout=PATIENCE) == 1000


WAITING = """
import tkinter
from voicews import ClientConfig, ShutdownTimeout, StateChanged, Timeouts, VoiceClient

window = tkinter.Tk()
voice = VoiceClient("ws://localhost:8765", config=ClientConfig(timeouts=Timeouts(close=0.3)))

@voice.on(StateChanged)
def show(event):
    window.after(0, lambda: None)  # waits for the main loop, which is in close()

def leave():
    try:
        voice.close()
    except ShutdownTimeout as error:
        print(error)
    window.destroy()

window.after(0, voice.open)
window.after(1, leave)
window.mainloop()
"""


@pytest.mark.usefixtures("unmeasured")
def test_a_window_that_waits_for_itself_is_told_which_callback_it_was(
    server: VoiceServer, display: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", display)
    script = tmp_path / "waiting.py"
    script.write_text(WAITING.replace("8765", str(server.port)), encoding="utf-8")
    with running(script) as program:
        output, _ = program.communicate(timeout=30)
    assert "the callback show has not returned (a callback must not wait for the closing thread)" in output


def test_every_example_is_run() -> None:
    here = Path(__file__)
    tested = here.read_text(encoding="utf-8")
    missing = [
        script.name
        for script in EXAMPLES.glob("*.py")
        if f'"{script.name}"' not in tested and not here.with_name(f"test_{script.name}").exists()
    ]
    assert missing == []
