"""A server in a process of its own, which can be killed and stopped; it writes its books to stdout.

Run with the port to listen at, and the number that its first connection gets.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time

from tests.faults.ledger import digest, sound_of
from voicews.testing import FaultConnection, FaultServer, steps


def write(line: object) -> None:
    """In one system call, so that a kill cannot tear it."""
    os.write(1, json.dumps(line).encode() + b"\n")


def main() -> None:
    port, first = int(sys.argv[1]), int(sys.argv[2])

    def converse(connection: FaultConnection, message: str | bytes) -> None:
        number = first + connection.number
        write([number, digest(message), time.monotonic()])
        if isinstance(message, bytes):
            connection.send(sound_of(number))

    with FaultServer([steps.accept(), steps.listen(converse)], port=port) as server:
        write(server.port)
        sys.stdin.read()


if __name__ == "__main__":
    threading.current_thread().name = "server"
    main()
