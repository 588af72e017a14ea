"""What can happen to a whole process while it talks; each is tried in one of its own (see apart.py)."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import threading
import time
from functools import partial
from typing import Any

from tests.faults.matrix import Ends, Fault, Recovers
from tests.faults.processes import ServerProcess
from tests.faults.trial import Trial
from voicews import InvalidState, Reconnecting


class ServedTrial(Trial):
    """The server is not stopped along with us."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.other = ServerProcess(self)
        self._stack.callback(self.other.close)


TRIAL = ServedTrial


def stopped(seconds: float, trial: Any) -> None:
    """SIGSTOP and SIGCONT, as Ctrl+Z and ``fg``, or a laptop's lid."""
    subprocess.run(
        ["sh", "-c", f"kill -STOP {os.getpid()}; sleep {seconds}; kill -CONT {os.getpid()}"], check=True
    )
    trial.heal()


def stopped_again_and_again(trial: Any) -> None:
    for _ in range(5):
        stopped(0.5, trial)
        threading.Event().wait(0.3)


def clock_is_set(trial: Any) -> None:
    """By hours, to and fro, between any two looks at it.  Nothing may look."""
    looks = 0
    real = time.time

    def wrong() -> float:
        nonlocal looks
        looks += 1
        return real() + (86_400 if looks % 2 else -86_400)

    time.time = wrong
    try:
        threading.Event().wait(3.0)
        assert not trial.of(Reconnecting)
        trial.heal()
        trial.finish()
    finally:
        time.time = real


def forked(trial: Any) -> None:
    """The child is refused whatever it asks, ends as a program does, and the parent goes on talking."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = in_the_child(trial)
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    trial.heal()


def in_the_child(trial: Any) -> int:
    """0 if all is as it should be."""
    taken = 0
    for name in ("send_text", "stats", "state", "close"):
        try:
            getattr(trial.voice, name)
        except InvalidState:
            continue
        taken += 1
    atexit._run_exitfuncs()
    return taken


def exits(trial: Any) -> None:
    """The program has come to its end, and nobody has closed the client."""
    began = time.monotonic()
    atexit._run_exitfuncs()
    trial.closing = time.monotonic() - began


def closed_while_a_child_lives(trial: Any) -> None:
    """It has inherited the socket, which is then not closed for the server by the parent's close alone."""
    ready, stay = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(ready[1], b"!")
        os.read(stay[0], 1)
        os._exit(0)
    try:
        os.read(ready[0], 1)
        trial.close()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        for end in (*ready, *stay):
            os.close(end)


FAULTS = [
    Fault("stopped and continued after a second", partial(stopped, 1.0)),
    Fault("stopped and continued after five seconds", partial(stopped, 5.0), Recovers(within=3.0)),
    Fault("stopped again and again", stopped_again_and_again),
    Fault("the clock is set, by days and all the time", clock_is_set),
    Fault("forked: the child asks, and ends", forked),
    Fault("closed while a forked child lives on", closed_while_a_child_lives, Ends()),
    Fault("the interpreter ends with the client open", exits, Ends()),
]
