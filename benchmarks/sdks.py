"""P4 beside the vendors' own threaded clients, each in the language of its service."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import Run, Server, run
from benchmarks.results import Measure, Row, median, ratio

__all__ = ["beside"]

_ENVIRONMENTS = Path(__file__).parents[1] / ".venv-interop"
_SECONDS = 2.0
_ROUNDS = {"plain": 4, "TLS": 3}


@dataclass(frozen=True)
class _Sdk:
    """One vendor's own client."""

    vendor: str
    """As ``script/interop`` names its environment."""
    name: str
    module: str
    path: str
    push: float = 0.02
    """Seconds between two messages of the server."""
    plays: bool = True
    """False if it only listens."""

    @property
    def python(self) -> Path:
        return _ENVIRONMENTS / self.vendor / "bin" / "python"


_SDKS = (
    _Sdk("openai", "OpenAI's client", "openai_realtime", "v1/realtime?model=any"),
    _Sdk("deepgram", "Deepgram's client", "deepgram_agent", "v1/agent/converse"),
    _Sdk("elevenlabs", "ElevenLabs' client", "elevenlabs_agent", "v1/convai/conversation"),
    _Sdk("whisper_live", "WhisperLive's client", "whisper_live", "", push=0.5, plays=False),
)

_KINDS = {"its own": (), "its own, queued": ("--queued",), "ours": ()}


def beside(full: bool) -> dict[str, Measure]:
    """In the full form only: the quick one shall need none of their environments."""
    if not full:
        return {}
    measure = Measure("P4 SDKs")
    found: dict[tuple[str, str], dict[str, list[Run]]] = {}
    for wire, rounds in _ROUNDS.items():
        with Server(tls=wire == "TLS", module="benchmarks.vendors") as server:
            for sdk in _SDKS:
                if sdk.python.exists():
                    found[sdk.name, wire] = _take_turns(
                        server, sdk, rounds, queued=wire == "plain" and sdk.plays
                    )
    for what, unit in (("CPU of one stream", "% of a core"), ("context switches", "per s")):
        for (name, wire), runs in found.items():
            ours, its = _costs(runs["ours"], unit), _costs(runs["its own"], unit)
            title = f"{what}, {name}, {wire}"
            measure.rows.append(Row("P4", title, median(ours), median(its), unit, ratio(ours, its), 1))
    measure.series = {
        f"{name}, {wire}": {
            kind: {
                "cpu": round(median(_costs(its, "% of a core")), 3),
                "switches": round(median(_costs(its, "per s")), 1),
            }
            for kind, its in runs.items()
        }
        for (name, wire), runs in found.items()
    }
    for sdk in _SDKS:
        if not sdk.python.exists():
            measure.notes.append(
                f"{sdk.name} is not measured: script/interop {sdk.vendor} makes what it needs"
            )
        elif sdk.plays:
            queued = measure.series[f"{sdk.name}, plain"]["its own, queued"]
            measure.notes.append(
                f"with a queue before the loudspeaker, {sdk.name} takes {queued['cpu']:.1f} % of a core and "
                f"{queued['switches']:.0f} context switches a second (plain)"
            )
    return {measure.name: measure}


def _take_turns(server: Server, sdk: _Sdk, rounds: int, *, queued: bool) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {kind: [] for kind in _KINDS if queued or "queued" not in kind}
    for _ in range(rounds):
        for kind, its in runs.items():
            module, python = (
                ("ours_to_vendors", sys.executable)
                if kind == "ours"
                else (f"sdks.{sdk.module}", str(sdk.python))
            )
            its.append(
                run(server, module, _SECONDS, *_KINDS[kind], path=sdk.path, push=sdk.push, python=python)
            )
    return runs


def _costs(runs: list[Run], unit: str) -> list[float]:
    return [100 * run.cpu if unit.startswith("%") else run.switches for run in runs]
