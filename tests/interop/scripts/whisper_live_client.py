"""WhisperLive's own client talks to a server: argument 1 is its port.  Prints what it understood.

Standard input: a JSON list of [seconds, loud] that the microphone would have given.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from types import ModuleType

import numpy as np

for name in ("pyaudio", "scipy"):
    sys.modules[name] = ModuleType(name)

from whisper_live.client import Client  # noqa: E402


def main() -> None:
    """Say it all, wait for a finished segment, and hang up."""
    heard: list[list[dict[str, object]]] = []
    news = threading.Condition()

    def note(text: str, segments: list[dict[str, object]]) -> None:
        with news:
            heard.append(segments)
            news.notify_all()

    speech = json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):
        client = Client(
            "127.0.0.1",
            int(sys.argv[1]),
            lang="en",
            model="tiny.en",
            same_output_threshold=3,
            transcription_callback=note,
        )
        never = threading.Event()
        while not client.recording:
            never.wait(0.01)
        for seconds, loud in speech:
            samples = np.full(int(seconds * 16000), 0.5 if loud else 0.0, dtype=np.float32)
            for start in range(0, len(samples), 4096):
                client.send_packet_to_server(samples[start : start + 4096].tobytes())
        with news:
            news.wait_for(lambda: heard and heard[-1][-1]["completed"], 20)
        client.send_packet_to_server(Client.END_OF_AUDIO.encode())
        client.ws_thread.join(10)
    print(json.dumps({"transcript": client.transcript, "ended": not client.ws_thread.is_alive()}))


if __name__ == "__main__":
    main()
