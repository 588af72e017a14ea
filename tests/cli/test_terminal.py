"""On a real (pseudo-)terminal: what is on the screen, and that the terminal is given back."""

from __future__ import annotations

import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path

import pytest

from tests.cli.answering import tone
from tests.patience import PATIENCE
from tests.peer import Peer

CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """Eighty columns and thirty lines, and somebody who looks and types."""

    def __init__(self, *arguments: str, cwd: Path, columns: int = 80, kind: str = "xterm-256color") -> None:
        self.master, self.slave = pty.openpty()
        ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        self.seen = ""
        self.process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-W", "error", "-m", "voicews", *arguments],
            cwd=cwd,
            env={
                **{
                    name: value
                    for name, value in os.environ.items()
                    if name not in ("COLUMNS", "LINES", "CI")
                },
                "PYTHONPATH": str(Path.cwd()),
                "TERM": kind,
                "VOICEWS_AUDIO": "null",
            },
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            preexec_fn=self._take,  # noqa: PLW1509 - only a call to the system
        )

    def _take(self) -> None:
        """Make it the terminal that sends signals to the command."""
        ioctl(0, termios.TIOCSCTTY, 0)

    def look(self, pattern: str, seconds: float = PATIENCE) -> str:
        """Wait for something to appear."""
        end = time.monotonic() + seconds
        while not re.search(pattern, CODES.sub("", self.seen)):
            left = end - time.monotonic()
            assert left > 0, f"{pattern!r} did not appear in {self.seen[-2000:]!r}"
            self._read(left)
        return self.seen

    def _read(self, seconds: float) -> None:
        if select.select([self.master], [], [], seconds)[0]:
            self.seen += os.read(self.master, 65536).decode()

    def press(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def end(self) -> int:
        """The exit code, after all has been read."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"still running: {self.seen[-2000:]!r}"
            self._read(0.05)
        self._read(0.1)
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


pytestmark = pytest.mark.usefixtures("unmeasured")


@pytest.fixture
def terminal(server: Peer, tmp_path: Path) -> Iterator[Terminal]:
    running = Terminal("talk", server.url, cwd=tmp_path)
    yield running
    running.close()


def test_a_live_conversation(terminal: Terminal, server: Peer) -> None:
    terminal.look("● connected .*mic ─{12}  speaker ─{12}  rtt [0-9.]+ m?s  0:0")
    echoed = termios.tcgetattr(terminal.slave)[3] & (termios.ECHO | termios.ECHOCTL)
    assert not echoed
    call = server.call()
    call.send({"type": "transcript", "text": "What is", "final": False})
    terminal.look("you    What is\r?\n")
    call.send({"type": "transcript", "text": "What is it?", "final": True})
    call.send({"type": "response_started"})
    call.send({"type": "token", "text": "It is "})
    call.send({"type": "token", "text": "late"})
    call.send(tone(1.0))
    terminal.look("voice  It is late")
    terminal.look("speaker ━{5}")
    call.send({"type": "response_done", "text": "It is late."})
    terminal.look("voice  It is late[.]")
    terminal.press(b"\x03")
    assert terminal.end() == 0
    assert "^C" not in terminal.seen
    assert terminal.seen.rindex("\x1b[?25h") > terminal.seen.rindex("\x1b[?25l")
    assert termios.tcgetattr(terminal.slave) == terminal.before
    assert "reconnects" in CODES.sub("", terminal.seen).rpartition("answers in")[2]
    last = terminal.seen[terminal.seen.rindex("●") :]
    assert last.count("\x1b[2K") >= 2, "the picture is wiped out in the end"


def test_a_lost_connection_is_told(terminal: Terminal, server: Peer) -> None:
    terminal.look("● connected")
    server.call().cut()
    terminal.look("link   the server ended the connection without a Close frame")
    terminal.look("● reconnecting")
    terminal.look("link   connected again after")
    terminal.press(b"\x03")
    assert terminal.end() == 0


def test_an_error_comes_after_the_picture(server: Peer, tmp_path: Path) -> None:
    server.refuse_with = 403
    terminal = Terminal("talk", server.url, cwd=tmp_path)
    try:
        assert terminal.end() == 1
        lines = [line for line in CODES.sub("", terminal.seen).splitlines() if line.strip()]
        assert lines[-1].endswith('--header "Authorization: Bearer TOKEN")')
        assert termios.tcgetattr(terminal.slave) == terminal.before
    finally:
        terminal.close()


def test_the_picture_costs_little_and_never_scrolls(terminal: Terminal, server: Peer) -> None:
    terminal.look("● connected")
    began, written = time.monotonic(), len(terminal.seen)
    terminal.look(" 0:02")
    seconds, size = time.monotonic() - began, len(terminal.seen) - written
    assert size / seconds < 8000, "bytes per second of a quiet picture"
    # A picture that scrolls would leave copies of itself: each one replaces the one before.
    pictures = terminal.seen[written:].count("● ")
    assert terminal.seen[written:].count("\x1b[2K") >= pictures
    terminal.press(b"\x03")
    assert terminal.end() == 0


@pytest.mark.parametrize("options", [["--plain"], ["--json"], ["--verbose"]])
def test_no_control_codes_where_none_are_wanted(server: Peer, tmp_path: Path, options: list[str]) -> None:
    terminal = Terminal("talk", server.url, "--text", "Hm?", *options, cwd=tmp_path)
    try:
        assert terminal.end() == 0
        assert "\x1b" not in terminal.seen
        assert "That was all." in terminal.seen
    finally:
        terminal.close()


def test_a_dumb_terminal_gets_lines(server: Peer, tmp_path: Path) -> None:
    terminal = Terminal("talk", server.url, "--text", "Hm?", cwd=tmp_path, kind="dumb")
    try:
        assert terminal.end() == 0
        assert "\x1b" not in terminal.seen
        assert "That was all." in terminal.seen
    finally:
        terminal.close()


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["talk", "--text", "Hm?"], "That was all."),
        (["bench", "--seconds", "3", "--burst", "0"], "came back"),
    ],
)
def test_without_rich_there_are_plain_lines_and_a_note(
    server: Peer, tmp_path: Path, arguments: list[str], shown: str
) -> None:
    (tmp_path / "rich.py").write_text("raise ImportError('no rich here')\n")
    terminal = Terminal(*arguments, server.url, cwd=tmp_path)
    try:
        assert terminal.end() == 0
        assert terminal.seen.count('pip install ".[cli]"') == 1
        assert shown in terminal.seen
        assert "\x1b" not in terminal.seen
    finally:
        terminal.close()
