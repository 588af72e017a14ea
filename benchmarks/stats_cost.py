"""What the counting behind ``stats()``, which is always on, costs: rows of P1 and P4.

``python -m benchmarks.stats_cost URL PAIRS`` is the process that is measured: one voicews client, in which
counting is switched on and off in turns, many times.  The turns are in one stream, because two processes
that do the same differ by more than counting costs.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from benchmarks.processes import Server
from benchmarks.results import Row, median, quantile, ratio

__all__ = ["counting"]

_TURN = 0.2
_TIMES = 2000
_FRAMES = 50
"""In a second, in either direction."""
_NAMES = {
    "up": ("P1", "frame complete → at the server, with statistics against without, plain, p50", "ms"),
    "cpu": ("P4", "CPU of one stream, with statistics against without, plain", "% of a core"),
    "switches": ("P4", "context switches, with statistics against without, plain", "per s"),
}


def counting(full: bool) -> tuple[list[Row], str]:
    """The rows, and in words what one frame and one question cost."""
    pairs = 100 if full else 20
    with Server() as server:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.stats_cost", server.url("duplex"), str(pairs)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=pairs + 60,
        )
        came = server.take()["came"]
    data = json.loads(done.stdout)
    found: dict[str, dict[bool, list[float]]] = {key: {True: [], False: []} for key in _NAMES}
    for turn in data["turns"]:
        begin, end, counted = turn["begin"], turn["end"], turn["counted"]
        up = [at - due for due, at in zip(came[1::3], came[2::3], strict=True) if begin <= due < end]
        found["up"][counted].append(quantile(up, 0.5) / 1e6)
        found["cpu"][counted].append(100 * turn["cpu"] / (end - begin) * 1e9)
        found["switches"][counted].append(turn["switches"] / (end - begin) * 1e9)
    rows = []
    for key, (measure, what, unit) in _NAMES.items():
        with_it, without = found[key][True], found[key][False]
        rows.append(Row(measure, what, median(with_it), median(without), unit, ratio(with_it, without), 1.05))
    share = 100 * _FRAMES * data["frame"]
    told = (
        f"counting by itself takes {data['frame'] * 1e6:.1f} µs for one frame up and one down, "
        f"{share:.3f} % of a core at 20 ms; stats() takes {data['asking'] * 1e6:.0f} µs"
    )
    return rows, told


# -- in the process that is measured ---------------------------------------------------------------


def main(url: str, pairs: int) -> None:
    from benchmarks.clients.ours import Client
    from voicews.stats import Counters
    from voicews.threads.statistics import Statistics

    def nothing(*_arguments: object) -> None:
        """In place of a count."""

    per_frame: list[tuple[type, str]] = [
        *((Counters, "add"), (Counters, "sample")),
        *((Statistics, "frame_sent"), (Statistics, "heard")),
    ]
    real = [getattr(owner, name) for owner, name in per_frame]
    never = threading.Event()
    client = Client(url, None)
    client.open()
    never.wait(0.7)
    turns: list[dict[str, Any]] = []
    for pair in range(pairs):
        for counted in (True, False) if pair % 2 else (False, True):
            for (owner, name), method in zip(per_frame, real, strict=True):
                setattr(owner, name, method if counted else nothing)
            begin, before = time.monotonic_ns(), _cost()
            never.wait(_TURN)
            end, after = time.monotonic_ns(), _cost()
            cpu, switches = (late - early for early, late in zip(before, after, strict=True))
            turns.append({"counted": counted, "begin": begin, "end": end, "cpu": cpu, "switches": switches})
    for (owner, name), method in zip(per_frame, real, strict=True):
        setattr(owner, name, method)
    print(json.dumps({"turns": turns, **_alone(client._voice)}), flush=True)
    client.close()


def _cost() -> tuple[float, float]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return time.process_time(), used.ru_nvcsw + used.ru_nivcsw


def _alone(voice: Any) -> dict[str, float]:
    """Seconds of CPU for a frame up and one down, and for a question, with nothing round them."""
    from voicews import AudioFormat, AudioReceived

    statistics, counters = voice._supervisor._statistics, voice._supervisor._counters
    sound = AudioReceived(bytes(640), AudioFormat())

    def frames() -> None:
        counters.add("frames_captured")
        statistics.frame_sent()
        statistics.heard(sound)

    for _ in range(200):
        counters.sample("rtt", 0.001)
        counters.sample("response", 0.5)
    return {"frame": _took(frames, _TIMES), "asking": _took(voice.stats, _TIMES // 10)}


def _took(work: Callable[[], object], times: int) -> float:
    rounds = []
    for _ in range(30):
        began = time.thread_time()
        for _ in range(times):
            work()
        rounds.append((time.thread_time() - began) / times)
    return median(rounds)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
