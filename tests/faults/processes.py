"""A server process that a trial can kill, stop and start again at the same port."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

from tests.faults.trial import Trial
from tests.patience import PATIENCE

ROOT = Path(__file__).parents[2]


class ServerProcess:
    """Its books go into the trial's ledger; connections are counted over all its lives."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._lives = 0
        self.port = 0
        self.start()
        trial.url = f"ws://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._lives += 1
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.server_process", str(self.port), str(1000 * self._lives)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self.port = int(json.loads(self._process.stdout.readline()))
        self._reader = threading.Thread(target=self._read, args=(self._process,), name="voicews-trial-books")
        self._reader.start()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            connection, what, arrived = json.loads(line)
            self._trial.ledger.note(
                connection, what if isinstance(what, str) else what and tuple(what), arrived
            )

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self._process.kill()
        self._reap()

    def close(self) -> None:
        if self._process.poll() is None:
            self.signal(signal.SIGCONT)
            self._process.kill()
            self._reap()

    def _reap(self) -> None:
        self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
