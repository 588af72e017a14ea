"""Half an hour of conversation over TLS, with a dropped link every nine seconds and a busy interpreter.

``python -m tests.faults.soak`` does it and tells its figures; its exit code is 1 if a promise does not hold.
``--minutes`` and ``--reconnects`` make it shorter or longer.  The server runs in a process of its own, so
that what is measured of this one is the client, a thread that burns the processor, and little else.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tests.faults.ledger import StampingMicrophone, digest, sound_of
from tests.faults.trial import descriptors, rss
from tests.patience import PATIENCE
from voicews import (
    Backoff,
    ClientConfig,
    Connected,
    Disconnected,
    Stats,
    Timeouts,
    TlsSettings,
    Undelivered,
    VoiceClient,
)
from voicews.audio import NullSink
from voicews.testing import FaultConnection, FaultServer, steps

ROOT = Path(__file__).parents[2]
EVERY = 0.02
"""Seconds between two frames, either way."""
DROPS = ("cut", "reset", "half_close", "close")
CONFIG = ClientConfig(
    timeouts=Timeouts(ping_interval=2.0, pong=5.0),
    # A link that lives for nine seconds must count as a good one.
    backoff=Backoff(initial=0.2, cap=1.0, max_attempts=None, stable_after=3.0),
)
MAY_GROW = 4 << 20
"""Bytes between the first and the last quarter; a leak of 30 kB in each of 200 connections is more."""


# -- the server's process -----------------------------------------------------------------------------


@dataclass
class Books:
    """What arrived at the server."""

    frames: int = 0
    twice: int = 0
    out_of_order: int = 0
    silences: int = 0
    texts: Counter[str] = field(default_factory=Counter)
    _seen: set[int] = field(default_factory=set)
    _last: tuple[int, int] = (0, 0)

    def note(self, connection: int, what: tuple[int, float] | str | None) -> None:
        if what is None:
            self.silences += 1
        elif isinstance(what, str):
            self.texts[what] += 1
        else:
            number, _ = what
            self.frames += 1
            self.twice += number in self._seen
            self.out_of_order += self._last[0] == connection and number <= self._last[1]
            self._seen.add(number)
            self._last = (connection, number)

    def report(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if not key.startswith("_")}


def serve() -> None:
    """Answer each frame with one; on stdin, how to drop the link; at its end, the books on stdout."""
    books = Books()

    def converse(connection: FaultConnection, message: str | bytes) -> None:
        books.note(connection.number, digest(message))
        if isinstance(message, bytes):
            connection.send(sound_of(connection.number))

    with FaultServer([steps.accept(), steps.listen(converse)], tls="good", remember=1) as server:
        print(json.dumps([server.url, server.ca_file]), flush=True)
        for line in sys.stdin:
            connection = next(c for c in reversed(server.connections) if c.accepted)
            if line.strip() == "close":
                connection.close(1012, "restart")
            else:
                getattr(connection, line.strip())()
    print(json.dumps(books.report()), flush=True)


class Server:
    """The process that runs :func:`serve`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.soak", "--serve"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.url, self.ca_file = json.loads(self._process.stdout.readline())

    def drop(self, how: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(how + "\n")
        self._process.stdin.flush()

    def close(self) -> dict[str, Any]:
        """End it, and get its books."""
        try:
            out, _ = self._process.communicate(timeout=PATIENCE)
        finally:
            self._process.kill()
            self._process.wait()
        report: dict[str, Any] = json.loads(out)
        return report


# -- the client's process -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """What this process holds at one time."""

    at: float
    rss: int
    threads: int
    descriptors: int


@dataclass(frozen=True)
class Result:
    """What came of it."""

    seconds: float
    reconnects: int
    dropped: int
    """Links that ended before close(), whoever ended them."""
    samples: list[Sample]
    stats: Stats
    captured: int
    accepted: list[str]
    undelivered: list[str]
    books: dict[str, Any]
    back_after: list[float]

    def quarter(self, number: int, what: str) -> float:
        """The median of a figure in a quarter of the run, after its first tenth; from 0."""
        samples = [s for s in self.samples if s.at >= 0.1 * self.seconds] or self.samples
        size = max(1, len(samples) // 4)
        begin = number * size if number < 3 else len(samples) - size
        return float(median(getattr(sample, what) for sample in samples[begin : begin + size]))

    def broken(self) -> Iterator[str]:
        """The promises that do not hold."""
        stats, books = self.stats, self.books
        if self.dropped != self.reconnects:
            yield f"{self.dropped} links ended, but the test ended {self.reconnects}"
        if stats.connections != self.reconnects + 1:
            yield f"there were {stats.connections} connections for {self.reconnects} drops"
        if stats.frames_captured != stats.frames_sent + sum(stats.frames_dropped.values()):
            yield f"captured {stats.frames_captured} is not sent {stats.frames_sent} + dropped"
        if others := {
            cause: n for cause, n in stats.frames_dropped.items() if cause not in ("lost", "unsent")
        }:
            yield f"frames were dropped that no drop of a link explains: {others}"
        if not 0 <= self.captured - stats.frames_captured <= 1:
            yield f"the microphone gave {self.captured} frames, {stats.frames_captured} were counted"
        if books["twice"] or books["out_of_order"]:
            yield f"{books['twice']} frames came twice, {books['out_of_order']} out of order"
        if books["frames"] + books["silences"] > stats.frames_sent:
            yield f"{books['frames']} frames arrived, but {stats.frames_sent} were sent"
        if many := [name for name, count in books["texts"].items() if count > 1]:
            yield f"texts came twice: {many[:5]}"
        if lost := set(self.accepted) - set(books["texts"]) - set(self.undelivered):
            yield f"texts are lost, and nobody was told: {sorted(lost)[:5]}"
        yield from self._growth()

    def _growth(self) -> Iterator[str]:
        grown = self.quarter(3, "rss") - self.quarter(0, "rss")
        if grown > MAY_GROW:
            yield f"the memory grew by {grown / 1e6:.1f} MB"
        for what in ("threads", "descriptors"):
            first, last = self.quarter(0, what), self.quarter(3, what)
            if last > first:
                yield f"there were {first:g} {what}, and {last:g} at the end"

    def lines(self) -> Iterator[str]:
        """The figures."""
        stats, books = self.stats, self.books
        minutes = self.seconds / 60
        yield f"{minutes:.1f} min, {self.reconnects} links dropped by the test, {self.dropped} in all"
        dropped = ", ".join(f"{n} {cause}" for cause, n in stats.frames_dropped.items() if n) or "none"
        yield (
            f"frames: {stats.frames_captured} captured = {stats.frames_sent} sent + "
            f"{sum(stats.frames_dropped.values())} dropped ({dropped}); {books['frames']} arrived, "
            f"{books['twice']} twice, {books['out_of_order']} out of order"
        )
        yield (
            f"texts: {len(self.accepted)} taken, {len(books['texts'])} arrived, "
            f"{len(self.undelivered)} told as perhaps undelivered"
        )
        typical, most = median(self.back_after), max(self.back_after)
        yield f"back after a drop: median {typical:.2f} s, at most {most:.2f} s"
        for what, unit, scale in (("rss", " MB", 1e6), ("threads", "", 1), ("descriptors", "", 1)):
            quarters = ", ".join(f"{self.quarter(n, what) / scale:.4g}{unit}" for n in range(4))
            most = max(getattr(sample, what) for sample in self.samples) / scale
            yield f"{what} in each quarter: {quarters}; at most {most:.4g}{unit}"
        rtt = stats.rtt_median or 0.0
        yield f"sound received: {stats.sound_received:.0f} s; round trip: median {rtt:.4f} s"


class Soak:
    """The run.

    Args:
        seconds: how long it talks.
        reconnects: how often the link is dropped, evenly spread.
    """

    def __init__(self, seconds: float, reconnects: int) -> None:
        self.seconds = seconds
        self.reconnects = reconnects
        self._news = threading.Condition()
        self._connected: list[float] = []
        self._disconnected = 0
        self._undelivered: list[str] = []
        self._samples: list[Sample] = []
        self._accepted: list[str] = []
        self._back_after: list[float] = []
        self._over = threading.Event()
        self._closing = False

    def run(self) -> Result:
        server = Server()
        try:
            microphone = StampingMicrophone(EVERY)
            voice = VoiceClient(
                server.url,
                microphone=microphone,
                speaker=NullSink(),
                config=ClientConfig(
                    timeouts=CONFIG.timeouts, backoff=CONFIG.backoff, tls=TlsSettings(ca_file=server.ca_file)
                ),
            )
            voice.on(Connected, self._note_connected)
            voice.on(Disconnected, self._note_disconnected)
            voice.on(Undelivered, lambda event: self._undelivered.append(getattr(event.command, "text", "")))
            burner = threading.Thread(target=self._burn, name="burner")
            voice.open(PATIENCE)
            burner.start()
            try:
                took = self._go_through_it(voice, server)
            finally:
                self._over.set()
                burner.join()
                with self._news:
                    self._closing = True
                voice.close()
        finally:
            books = server.close()
        return Result(
            took,
            self.reconnects,
            self._disconnected,
            self._samples,
            voice.stats(),
            microphone.captured,
            self._accepted,
            self._undelivered,
            books,
            self._back_after,
        )

    def _go_through_it(self, voice: VoiceClient, server: Server) -> float:
        began = time.monotonic()
        pause = self.seconds / (self.reconnects + 1)
        drops = [(began + pause * (n + 1), "drop") for n in range(self.reconnects)]
        step = min(5.0, pause / 2)
        looks = [(began + step * n, "look") for n in range(int(self.seconds / step))]
        words = [(began + n, "say") for n in range(int(self.seconds))]
        hows = itertools.cycle(DROPS)
        for due, what in sorted([*drops, *looks, *words, (began + self.seconds, "end")]):
            self._over.wait(max(0.0, due - time.monotonic()))
            match what:
                case "drop":
                    self._drop(server, next(hows))
                case "look":
                    self._look(began)
                case "say":
                    self._accepted.append(f"word {due - began:.0f}")
                    voice.send_text(self._accepted[-1])
        return time.monotonic() - began

    def _drop(self, server: Server, how: str) -> None:
        with self._news:
            before = len(self._connected)
        began = time.monotonic()
        server.drop(how)
        with self._news:
            back = self._news.wait_for(lambda: len(self._connected) > before, PATIENCE)
            assert back, f"the link did not come back after {how}"
            self._back_after.append(self._connected[-1] - began)

    def _look(self, began: float) -> None:
        self._samples.append(
            Sample(time.monotonic() - began, rss(), threading.active_count(), len(descriptors()))
        )

    def _note_connected(self) -> None:
        with self._news:
            self._connected.append(time.monotonic())
            self._news.notify_all()

    def _note_disconnected(self) -> None:
        with self._news:
            self._disconnected += not self._closing

    def _burn(self) -> None:
        """Keep the interpreter busy, as an application that computes."""
        while not self._over.is_set():
            sum(number * number for number in range(10_000))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--reconnects", type=int, default=200)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve()
        return
    result = Soak(60 * arguments.minutes, arguments.reconnects).run()
    print(*result.lines(), sep="\n")
    broken = list(result.broken())
    print(*(f"BROKEN: {why}" for why in broken), sep="\n")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
