"""Servers, and the command as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.cli.answering import answering
from tests.patience import PATIENCE
from tests.peer import Peer, peer


@pytest.fixture
def server() -> Iterator[Peer]:
    """A voice server that answers at once."""
    with peer() as running:
        running.react = answering()
        yield running


class Command:
    """The command in a process of its own, its output read as it comes."""

    def __init__(self, *arguments: str, cwd: Path, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-W", "error", "-m", "voicews", *arguments],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(Path.cwd()), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self, *, of: str = "stdout") -> str:
        """The next line of output; empty at the end."""
        stream = getattr(self.process, of)
        text: str = stream.readline()
        return text

    def events(self) -> Iterator[dict[str, Any]]:
        """What ``--json`` writes."""
        while text := self.line():
            yield json.loads(text)

    def await_event(self, name: str, **members: Any) -> dict[str, Any]:
        for event in self.events():
            if event["event"] == name and all(event[key] == value for key, value in members.items()):
                return event
        raise AssertionError(f"no {name}; stderr: {self.line(of='stderr')}")

    def press_ctrl_c(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def end(self, seconds: float = PATIENCE) -> tuple[int, str, str]:
        """Exit code, and what is left of stdout and stderr."""
        # Not by communicate(): it passes over what readline() has read ahead.
        streams = [stream for stream in (self.process.stdout, self.process.stderr) if stream is not None]
        with ThreadPoolExecutor(len(streams)) as pool:
            rest = [pool.submit(stream.read) for stream in streams]
            try:
                code = self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise
            out, err = (one.result() for one in rest)
        return code, out, err

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """Start the command in a folder of its own; killed in the end, if it has not ended."""
    with ExitStack() as stack:

        def start(*arguments: str, **environment: str) -> Command:
            running = Command(*arguments, cwd=tmp_path, **environment)
            stack.callback(running.kill)
            return running

        yield start
