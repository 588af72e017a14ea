"""A socket in systemd's place: what a service of Type=notify says, and when."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from tests.peer import peer
from voicews import Backoff, ClientConfig, VoiceClient
from voicews.audio.silence import NullSink, SilenceSource
from voicews.systemd import notify


@pytest.fixture(params=["path", "abstract"])
def manager(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@voicews-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name.replace("@", "\0"))
        manager.settimeout(PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield manager


def heard_until(manager: socket.socket, line: str) -> list[str]:
    lines: list[str] = []
    while line not in lines:
        lines += manager.recv(4096).decode().splitlines()
    return lines


def test_it_is_told(manager: socket.socket) -> None:
    assert notify("READY=1", "STATUS=CONNECTED")
    assert manager.recv(4096) == b"READY=1\nSTATUS=CONNECTED"


@pytest.mark.parametrize("address", [None, "", "vsock:2:1234", "/nonexistent/notify"])
def test_without_one_nothing_happens(address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert not notify("READY=1")


def test_a_manager_that_does_not_read_holds_up_nobody(manager: socket.socket) -> None:
    while notify("WATCHDOG=1"):
        continue
    assert not notify("WATCHDOG=1")


def test_a_client_tells_that_it_is_ready_and_then_that_it_lives(manager: socket.socket) -> None:
    with peer() as server, VoiceClient(server.url, microphone=SilenceSource(), speaker=NullSink()):
        heard = heard_until(manager, "WATCHDOG=1")
    assert "READY=1" in heard
    assert heard.index("STATUS=CONNECTING") < heard.index("STATUS=CONNECTED")
    assert heard_until(manager, "STATUS=CLOSED")


def test_it_is_ready_although_the_server_is_away(manager: socket.socket) -> None:
    """A service that waited for the network would be killed for not starting."""
    config = ClientConfig(backoff=Backoff(initial=30, cap=30, max_attempts=None))
    voice = VoiceClient("ws://127.0.0.1:9", microphone=SilenceSource(), speaker=NullSink(), config=config)
    with pytest.raises(TimeoutError):
        voice.open(timeout=1.5)
    heard = heard_until(manager, "STATUS=CLOSED")
    assert {"READY=1", "STATUS=RECONNECTING", "WATCHDOG=1"} <= set(heard)


@pytest.mark.usefixtures("unmeasured")
def test_the_process_tells_that_it_ends(manager: socket.socket) -> None:
    with peer() as server:
        program = subprocess.Popen(
            [
                "env",
                "--default-signal=INT",  # where CI itself runs in the background it is ignored
                sys.executable,
                "-c",
                f"import voicews; voicews.VoiceClient({server.url!r}).run()",
            ],
            env={**os.environ, "VOICEWS_AUDIO": "null"},
            stderr=subprocess.PIPE,
            text=True,
        )
        heard_until(manager, "STATUS=CONNECTED")
        program.send_signal(signal.SIGINT)
        heard = heard_until(manager, "STOPPING=1")
        assert program.communicate(timeout=PATIENCE)[1] == ""
    assert program.returncode == 0
    assert "STATUS=CLOSED" in heard
