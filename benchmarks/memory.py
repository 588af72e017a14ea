"""P11: what a client holds after its import, after open(), after some time, and after very many frames.

``python -m benchmarks.memory URL SECONDS FRAMES`` is the process that is measured.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from benchmarks.processes import Server
from benchmarks.results import Measure, Row

__all__ = ["flat"]

_FAST = 100.0
"""Times real time, for the many frames: up to 5000 a second, up and back."""


def rss() -> float:
    """Resident MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def flat(full: bool) -> dict[str, Measure]:
    """In the full form, ten minutes and a million frames in either direction."""
    seconds, frames = (600, 1_000_000) if full else (8, 10_000)
    with Server() as server:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.memory", server.url("echo"), str(seconds), str(frames)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=seconds + frames / 500 + 60,
        )
    data = json.loads(done.stdout)
    opened = data["open"]
    measure = Measure("P11", series=data)
    for key, what in (
        ("time", f"memory after {seconds} s"),
        ("frames", f"memory after {frames} frames more"),
    ):
        measure.rows.append(
            Row("P11", f"{what}, against after open()", data[key], opened, "MB", data[key] / opened, 1.05)
        )
    measure.notes.append(
        f"resident memory: {data['start']:.1f} MB of the interpreter, {data['import']:.1f} after the import, "
        f"{opened:.1f} after open() and five seconds"
    )
    return {"P11": measure}


def main(url: str, seconds: float, frames: int) -> None:
    never = threading.Event()
    found = {"start": rss()}
    from benchmarks.clients.ours import Microphone
    from voicews import Buffers, ClientConfig, VoiceClient
    from voicews.audio import NullSink
    from voicews.dialects import Plain

    found["import"] = rss()
    config = ClientConfig(buffers=Buffers(playback=1.0))
    curve: list[tuple[float, float]] = []
    began = time.monotonic()
    with VoiceClient(Plain(url), microphone=Microphone(), speaker=NullSink(), config=config):
        never.wait(5)
        found["open"] = rss()
        while time.monotonic() < began + 5 + seconds:
            never.wait(seconds / 50)
            curve.append((round(time.monotonic() - began, 1), round(rss(), 2)))
        found["time"] = rss()
    with VoiceClient(Plain(url), microphone=Microphone(_FAST), speaker=NullSink(), config=config) as voice:
        while (count := voice.stats().frames_sent) < frames:
            never.wait(1)
            curve.append((round(time.monotonic() - began, 1), round(rss(), 2)))
        found["frames"] = rss()
        found["sent"] = count
    print(json.dumps({**found, "curve": curve}))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
