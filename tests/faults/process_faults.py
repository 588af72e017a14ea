"""What can happen to a whole process while it talks; each is tried in one of its own (see apart.py)."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from functools import partial
from typing import Any

from tests.faults.matrix import Fault, Recovers
from tests.faults.processes import ServerProcess
from tests.faults.trial import Trial
from voicews import Reconnecting


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


FAULTS = [
    Fault("stopped and continued after a second", partial(stopped, 1.0)),
    Fault("stopped and continued after five seconds", partial(stopped, 5.0), Recovers(within=3.0)),
    Fault("stopped again and again", stopped_again_and_again),
    Fault("the clock is set, by days and all the time", clock_is_set),
]
