"""The server and the clients, each in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["Run", "Server", "run", "throttled"]

_PATIENCE = 90


class Server:
    """The lean server in a process of its own; ``ca`` is None for a plain one.

    Args:
        module: which one.
    """

    def __init__(self, *, tls: bool = False, module: str = "benchmarks.server") -> None:
        self.ca: str | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="voicews-bench-")
        arguments = []
        if tls:
            import trustme

            folder = Path(self._folder.name)
            authority = trustme.CA()
            self.ca = str(folder / "ca.pem")
            authority.cert_pem.write_to_path(self.ca)
            pem = folder / "server.pem"
            authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(pem)
            arguments.append(str(pem))
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._base = f"{'wss' if tls else 'ws'}://127.0.0.1:{self._line().strip()}"

    def url(self, path: str) -> str:
        return f"{self._base}/{path}"

    def tell(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

    def take(self) -> dict[str, Any]:
        """What it has noted since the last time; see benchmarks/server.py."""
        self.tell("take")
        report: dict[str, Any] = json.loads(self._line())
        return report

    def _line(self) -> str:
        assert self._process.stdout is not None
        alarm = threading.Timer(_PATIENCE, self._process.kill)  # a benchmark may crash, but not hang
        alarm.start()
        try:
            return self._process.stdout.readline()
        finally:
            alarm.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=10)
        self._folder.cleanup()


@dataclass
class Run:
    """One run of one kind of client.  Latencies in milliseconds; cost per second, of all clients together."""

    up: list[float]
    down: list[float]
    age: float
    cpu: float
    user: float
    switches: float
    dry: int
    dropped: int
    deaths: int
    """Runs before this one in which the client did not live to the end."""


def run(
    server: Server,
    name: str,
    seconds: float,
    *arguments: str,
    quota: float | None = None,
    frame: float = 0.02,
    path: str = "duplex",
    push: float = 0.02,
    python: str = sys.executable,
) -> Run:
    """Let clients hold duplex streams for a while.

    Args:
        quota: share of one core that the process may use.
        frame: seconds of one frame that the client sends.
        path: what they ask the server for.
        push: seconds between two frames of the server.
        python: the interpreter that they need.
    """
    for attempt in range(6):  # noqa: B007 - told below
        with throttled(quota) as (group, throttle):
            joining = ["--join", group] if group else []
            command = [python, "-m", "benchmarks.subject", name, server.url(path), str(seconds)]
            data = _subject(server, [*command, *arguments, *joining], seconds, throttle)
        report = server.take()
        if data is None:
            continue
        begin, end = data["begin"], data["end"]
        length = (end - begin) / 1e9
        came = report["came"]
        up = [
            (arrival - due) / 1e6
            for due, arrival in zip(came[1::3], came[2::3], strict=True)
            if begin <= due < end
        ]
        if min(len(up) * frame, len(data["heard"]) * push) > 0.5 * length:
            break
    else:
        raise RuntimeError(f"{name} died six times")
    return Run(
        up=up,
        down=[nanoseconds / 1e6 for nanoseconds in data["heard"]],
        age=sum(up) / len(up) + frame * 500,
        cpu=data["cpu"] / length,
        user=data["user"] / length,
        switches=data["switches"] / length,
        dry=data["dry"],
        dropped=data["dropped"],
        deaths=attempt,
    )


def _subject(server: Server, command: list[str], seconds: float, throttle: Any) -> dict[str, Any] | None:
    environment = dict(os.environ)
    if server.ca:
        command += ["--ca", server.ca]
        environment["SSL_CERT_FILE"] = server.ca  # for those that cannot be told
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    alarm = threading.Timer(_PATIENCE + seconds, process.kill)
    alarm.start()
    try:
        if process.stdout.readline().strip() != "open":
            return None
        with throttle(process.pid):
            line = process.stdout.readline()
        return dict(json.loads(line)) if line else None
    finally:
        alarm.cancel()
        process.kill()
        process.communicate()


@contextlib.contextmanager
def throttled(share: float | None) -> Iterator[tuple[str | None, Any]]:
    """A control group with a quota, or else (where none can be made) what stops and continues a process.

    The periods are 10 ms, for a slow processor is slow all the time.
    """
    if share is None:
        yield None, _leave_alone
        return
    group = Path("/sys/fs/cgroup/cpu/voicews-bench")
    try:
        group.mkdir()
        (group / "cpu.cfs_period_us").write_text("10000")
        (group / "cpu.cfs_quota_us").write_text(str(round(10000 * share)))
    except OSError:
        with contextlib.suppress(OSError):
            group.rmdir()
        yield None, lambda pid: _duty_cycle(pid, share)
        return
    try:
        yield str(group), _leave_alone
    finally:
        group.rmdir()


@contextlib.contextmanager
def _leave_alone(_pid: int) -> Iterator[None]:
    yield


@contextlib.contextmanager
def _duty_cycle(pid: int, share: float) -> Iterator[None]:
    done = threading.Event()

    def work() -> None:
        with contextlib.suppress(ProcessLookupError):
            while not done.wait(0.01 * share):
                os.kill(pid, signal.SIGSTOP)
                done.wait(0.01 * (1 - share))
                os.kill(pid, signal.SIGCONT)
            os.kill(pid, signal.SIGCONT)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
