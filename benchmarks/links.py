"""P7 and P8: how soon a link is there (again)."""

from __future__ import annotations

import logging
import os
import ssl
import subprocess
import sys
import threading
import time

from benchmarks.clients import bare, ours
from benchmarks.processes import Server
from benchmarks.results import Measure, Row, median, ratio
from benchmarks.sound import Mouth
from voicews import Backoff, ClientConfig, TlsSettings, VoiceClient
from voicews.audio import NullSink
from voicews.dialects import Plain

__all__ = ["reconnect", "start"]


def _connect_bare(server: Server, mode: str) -> float:
    """Seconds from dialling until the server has the first frame."""
    context = ssl.create_default_context(cafile=server.ca) if server.ca else None
    frame = Mouth(320).read()
    server.take()
    began = time.monotonic_ns()
    link = bare.connect(server.url(mode), None, context)
    link.send_binary(frame)
    first = _first(server)
    link.shutdown()
    return (first - began) / 1e9


def _first(server: Server) -> int:
    """When the first frame came, in nanoseconds."""
    never, end = threading.Event(), time.monotonic() + 10
    while time.monotonic() < end:
        if first := server.take()["first"]:
            return int(first[0])
        never.wait(0.05)
    raise RuntimeError("the first frame did not come")


def _client(server: Server, mode: str, speed: float = 1.0) -> VoiceClient:
    return VoiceClient(
        Plain(server.url(mode)),
        microphone=ours.Microphone(speed),
        speaker=NullSink(),
        config=ClientConfig(
            tls=TlsSettings(ca_file=server.ca),
            backoff=Backoff(initial=0, jitter=0, max_attempts=None, stable_after=0.1),
        ),
    )


def _cuts(server: Server, count: int) -> list[float]:
    """Seconds from each of so many cuts to the first frame after it."""
    never = threading.Event()
    cuts: list[int] = []
    firsts: list[int] = []
    server.take()
    with _client(server, "cut", 10.0):
        end = time.monotonic() + count * 3 + 10
        while len(cuts) < count + 1 and time.monotonic() < end:
            never.wait(0.5)
            report = server.take()
            cuts += report["cuts"]
            firsts += report["first"]
    return [(min(first for first in firsts if first > cut) - cut) / 1e9 for cut in cuts if firsts[-1] > cut]


def reconnect(full: bool) -> dict[str, Measure]:
    """P7: the server cuts the connection every 100 frames; the backoff is set to nothing.

    The microphone is ten times as fast as a real one, so that the link is timed and not the wait for a frame.
    """
    rounds, count = (6, 10) if full else (3, 5)
    logging.getLogger("voicews").setLevel(logging.CRITICAL)  # it would tell of each of these cuts
    measure = Measure("P7")
    for wire in ("plain", "TLS"):
        times: list[list[float]] = []
        references: list[list[float]] = []
        with Server(tls=wire == "TLS") as server:
            for _ in range(rounds):
                references.append([_connect_bare(server, "sink") for _ in range(count)])
                times.append(_cuts(server, count))
        mine = [1000 * one for found in times for one in found]
        others = [1000 * one for found in references for one in found]
        ratio = median([median(one) / median(other) for one, other in zip(times, references, strict=True)])
        measure.rows.append(
            Row(
                *("P7", f"cut → first new frame at the server, {wire}"),
                *(median(mine), median(others), "ms"),
                *(ratio, 2.0),
            )
        )
        measure.series[wire] = {
            "ours": [round(value, 3) for value in sorted(mine)],
            "bare": [round(value, 3) for value in sorted(others)],
        }
    return {"P7": measure}


_IMPORT = "import time; t = time.perf_counter(); {code}; print(time.perf_counter() - t)"


def _time_of(code: str) -> float:
    # Installed packages are compiled, a checkout only if Python may keep what it has compiled.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT.format(code=code)],
        capture_output=True,
        text=True,
        check=True,
        env=kept,
    )
    return 1000 * float(done.stdout)


def _open_ours(server: Server) -> float:
    server.take()
    voice = _client(server, "sink")
    began = time.monotonic_ns()
    with voice:
        return (_first(server) - began) / 1e6


def _open_bare(server: Server) -> float:
    """The microphone opens first, so that its first frame is complete as soon as may be."""
    context = ssl.create_default_context(cafile=server.ca) if server.ca else None
    server.take()
    began = time.monotonic_ns()
    mouth = Mouth(320)
    link = bare.connect(server.url("sink"), None, context)
    link.send_binary(mouth.read())
    first = _first(server)
    link.shutdown()
    return (first - began) / 1e6


def start(full: bool) -> dict[str, Measure]:
    """P8: imports, each in a fresh interpreter; and opening."""
    rounds = 15 if full else 7
    measure = Measure("P8")
    _time_of("from voicews import VoiceClient; import websocket")  # compiles what was not
    codes = {
        "import voicews": "import voicews",
        "import VoiceClient": "from voicews import VoiceClient",
        "import websocket": "import websocket",
    }
    times: dict[str, list[float]] = {name: [] for name in codes}
    for _ in range(rounds):
        for name, code in codes.items():
            times[name].append(_time_of(code))
    reference = times["import websocket"]
    for name, what in (
        ("import voicews", "import voicews, against import websocket"),
        ("import VoiceClient", "from voicews import VoiceClient, likewise"),
    ):
        mine = times[name]
        measure.rows.append(
            Row("P8", what, median(mine), median(reference), "ms", ratio(mine, reference), 1.3)
        )
    measure.series["imports"] = {name: round(median(values), 2) for name, values in times.items()}
    for wire in ("plain", "TLS"):
        with Server(tls=wire == "TLS") as server:
            _open_ours(server), _open_bare(server)
            mine, theirs = [], []
            for _ in range(rounds):
                theirs.append(_open_bare(server))
                mine.append(_open_ours(server))
        measure.rows.append(
            Row(
                *("P8", f"open() → first frame at the server, {wire}"),
                *(median(mine), median(theirs), "ms", ratio(mine, theirs), 1.5),
            )
        )
        measure.series[wire] = {
            "ours": sorted(round(value, 2) for value in mine),
            "bare": sorted(round(value, 2) for value in theirs),
        }
    return {"P8": measure}
