"""P5 and P6: with a virtual microphone and loudspeaker, PortAudio, pygame and a sound server between."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from benchmarks.processes import Server
from benchmarks.results import Measure, Row, median, quantile
from tests.sound.virtual import Ear, VirtualSound

__all__ = ["sound"]

_RATE = 48_000
_BUFFER = 16.0
"""Milliseconds of the mixer's buffer, at the 16 kHz of the stream."""
_WINDOW, _STEP, _LONGEST = 0.2, 0.1, 0.6
_LOUD = 500
_PATIENCE = 90


class Program:
    """One of benchmarks/clients/sounding.py."""

    def __init__(self, virtual: VirtualSound, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.clients.sounding", *arguments],
            env={**os.environ, **virtual.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._alarm = threading.Timer(_PATIENCE, self._process.kill)  # it may crash, but not hang
        self._alarm.start()
        if self.line() != "open":
            raise RuntimeError(f"{arguments[0]} did not open the virtual devices")

    def line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def tell(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        try:
            self._process.communicate(timeout=15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        finally:
            self._alarm.cancel()


def _samples(ear: Ear) -> Any:
    import numpy as np

    pcm = ear.pcm
    return np.frombuffer(pcm[: len(pcm) // 2 * 2], "<i2").astype(np.float32)


def _began(ear: Ear) -> float:
    """Monotonic time of the first sample; the earliest arrivals waited the least."""
    return min(at - size / 2 / ear.rate for at, size in ear.arrivals)


def _delays(said: Ear, heard: Ear) -> list[float]:
    """Milliseconds from the microphone to the loudspeaker, window by window."""
    import numpy as np

    source, target = _samples(said), _samples(heard)
    shift = _began(said) - _began(heard)
    window, longest = round(_WINDOW * _RATE), round(_LONGEST * _RATE)
    found = []
    for start in range(0, len(source) - window - longest, round(_STEP * _RATE)):
        piece = source[start : start + window]
        place = start + round(shift * _RATE)
        if place < 0 or np.abs(piece).mean() < _LOUD:
            continue
        area = target[place : place + window + longest]
        if len(area) < window + longest:
            break
        size = 1 << (len(area) + window).bit_length()
        spectrum = np.fft.rfft(area, size) * np.conj(np.fft.rfft(piece, size))
        likeness = np.fft.irfft(spectrum, size)[:longest]
        best = int(likeness.argmax())
        strength = likeness[best] / (
            np.linalg.norm(piece) * np.linalg.norm(area[best : best + window]) + 1e-9
        )
        if strength > 0.3:
            found.append(1000 * best / _RATE)
    return found


def _mouth_to_ear(virtual: VirtualSound, seconds: float, *program: str) -> list[float]:
    import numpy as np

    noise = (np.random.default_rng(7).normal(0, 4000, round(seconds * _RATE))).astype("<i2").tobytes()
    with Program(virtual, *program):
        threading.Event().wait(2.2)
        with Ear(virtual, "mic") as said, virtual.listen() as heard:
            virtual.speak(noise)
            threading.Event().wait(_LONGEST)
    delays = _delays(said, heard)
    if len(delays) < 5:
        raise RuntimeError(f"{program[0]}: the noise was not found again at the loudspeaker")
    return delays


def _hush(virtual: VirtualSound, talker: Callable[[str], int | None], times: int) -> list[float]:
    """Milliseconds from the word to the last sample that is heard."""
    import numpy as np

    found = []
    for _ in range(times):
        with virtual.listen() as heard:
            talker("talk")
            heard.wait_for(lambda pcm: bool(np.abs(np.frombuffer(pcm[-200:], "<i2")).max() > _LOUD), 10)
            threading.Event().wait(0.4 + 0.05 * (time.monotonic_ns() % 7) / 7)
            said = talker("hush")
            assert said is not None
            threading.Event().wait(0.6)
        loud = np.flatnonzero(np.abs(_samples(heard)) > _LOUD)
        found.append(1000 * (_began(heard) + loud[-1] / _RATE - said / 1e9))
    return found


def _pooled(turns: list[list[float]], share: float) -> float:
    return quantile([value for values in turns for value in values], share)


def _beyond(found: dict[str, list[list[float]]], share: float) -> float:
    """How much more ours takes than what it is compared with: the median of the rounds' differences."""
    pairs = zip(found["ours"], found["floor"], strict=True)
    return median([quantile(mine, share) - quantile(floor, share) for mine, floor in pairs])


def sound(full: bool) -> dict[str, Measure]:
    """Mouth to ear, and a word to silence."""
    rounds, seconds, hushes = (5, 6.0, 6) if full else (1, 3.0, 3)
    times: dict[str, list[list[float]]] = {"ours": [], "floor": []}
    silent: dict[str, list[list[float]]] = {"ours": [], "floor": []}
    with VirtualSound(_RATE) as virtual, Server() as server:
        for _ in range(rounds):
            times["floor"].append(_mouth_to_ear(virtual, seconds, "floor"))
            times["ours"].append(_mouth_to_ear(virtual, seconds, "client", server.url("echo")))
        for _ in range(rounds):
            with Program(virtual, "tone") as program:

                def direct(command: str, program: Program = program) -> int | None:
                    program.tell(command)
                    return int(program.line()) if command == "hush" else None

                silent["floor"].append(_hush(virtual, direct, hushes))
            with Program(virtual, "client", server.url("talk")):
                server.take()

                def spoken(command: str) -> int | None:
                    server.tell(command)
                    said = server.take()["said"]
                    return int(said[-1])

                silent["ours"].append(_hush(virtual, spoken, hushes))
    mouth, stop = Measure("P5"), Measure("P6")
    for share, label in ((0.5, "p50"), (0.95, "p95")):
        mine, floor = _pooled(times["ours"], share), _pooled(times["floor"], share)
        mouth.rows.append(
            Row(
                *("P5", f"mouth to ear, beyond the devices alone, {label}", mine, floor, "ms"),
                *(_beyond(times, share), 15, False, "ms"),
            )
        )
    mouth.rows.append(Row("P5", "mouth to ear, p95", mine, floor, "ms", mine, 100, False, "ms"))
    mine, floor = _pooled(silent["ours"], 0.5), _pooled(silent["floor"], 0.5)
    stop.rows.append(
        Row(
            *("P6", "interrupted → silence, beyond the device", mine, floor, "ms"),
            *(_beyond(silent, 0.5) + _BUFFER, 40, False, "ms"),
        )
    )
    stop.notes.append(
        f"the reference, {floor:.0f} ms, is one mixer buffer ({_BUFFER:g} ms) and the device; "
        "the goal is for what comes on top of the device"
    )
    for measure, found in ((mouth, times), (stop, silent)):
        measure.series = {
            name: sorted(round(value, 1) for values in turns for value in values)
            for name, turns in found.items()
        }
    return {"P5": mouth, "P6": stop}
