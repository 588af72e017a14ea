"""P1 to P4, P9 and P10: live duplex streams, 20 ms of 16 kHz sound in either direction."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.processes import Run, Server, run
from benchmarks.results import Measure, Row, median, quantile, ratio
from benchmarks.stats_cost import counting

__all__ = ["busy", "duplex", "many"]

_POINTS = 100


def _curve(runs: Sequence[Run], direction: str) -> list[float]:
    """Quantiles from 0 to 1, for a plot."""
    values = sorted(value for run in runs for value in getattr(run, direction))
    return [
        round(values[min(len(values) - 1, index * len(values) // _POINTS)], 4) for index in range(_POINTS + 1)
    ]


def _at(runs: Sequence[Run], direction: str, share: float) -> list[float]:
    return [quantile(getattr(run, direction), share) for run in runs]


def _compare(
    measure: str, what: str, ours: list[float], reference: list[float], unit: str, goal: float
) -> Row:
    return Row(measure, what, median(ours), median(reference), unit, ratio(ours, reference), goal)


def duplex(full: bool) -> dict[str, Measure]:
    """P1, P2, P3 and P4 come from the same runs."""
    rounds, seconds = (5, 6.0) if full else (3, 2.0)
    found = {name: Measure(name) for name in ("P1", "P2", "P3", "P4")}
    for wire in ("plain", "TLS"):
        names = ["bare", "ours", "queues"] + (["tutorial"] if wire == "plain" else [])
        runs: dict[str, list[Run]] = {name: [] for name in names}
        with Server(tls=wire == "TLS") as server:
            for _ in range(rounds):
                for name in names:
                    frame = 0.064 if name == "tutorial" else 0.02
                    runs[name].append(run(server, name, seconds, frame=frame))
        for name, its in runs.items():
            if died := sum(run.deaths for run in its):
                found["P1"].notes.append(
                    f"over {wire}, {name} died in {died} runs that had to be done again (of {died + rounds})"
                )
        ours, bare = runs["ours"], runs["bare"]
        for measure, direction, what in (
            ("P1", "up", "frame complete → at the server"),
            ("P2", "down", "pushed → in the player's hand"),
        ):
            for share, label in ((0.5, "p50"), (0.99, "p99")):
                row = _compare(
                    *(measure, f"{what}, {wire}, {label}"),
                    *(_at(ours, direction, share), _at(bare, direction, share), "ms", 1.5),
                )
                found[measure].rows.append(row)
            found[measure].series[wire] = {name: _curve(runs[name], direction) for name in names}
        found["P4"].rows += [
            _compare(
                "P4",
                f"CPU of one stream, {wire}",
                [100 * run.cpu for run in ours],
                [100 * run.cpu for run in bare],
                "% of a core",
                1.5,
            ),
            _compare(
                "P4",
                f"context switches, {wire}",
                [run.switches for run in ours],
                [run.switches for run in bare],
                "per s",
                1.5,
            ),
        ]
        found["P4"].series[wire] = {
            name: {
                "cpu": round(median([100 * run.cpu for run in runs[name]]), 3),
                "switches": round(median([run.switches for run in runs[name]]), 1),
            }
            for name in names
        }
        if wire == "plain":
            naive = runs["tutorial"]
            inbound = ratio(_at(naive, "down", 0.5), _at(ours, "down", 0.5))
            found["P3"].rows = [
                Row(
                    *("P3", "inbound p50, plain: so many times sooner than the asyncio client"),
                    *(median(_at(ours, "down", 0.5)), median(_at(naive, "down", 0.5)), "ms", inbound, 50),
                    at_least=True,
                ),
                _compare(
                    "P3",
                    "mean age of a sample at the server",
                    [run.age for run in ours],
                    [run.age for run in naive],
                    "ms",
                    0.333,
                ),
            ]
            found["P3"].series = {
                "inbound": {name: _curve(runs[name], "down") for name in ("ours", "tutorial")}
            }
    rows, told = counting(full)
    for row in rows:
        found[row.measure].rows.append(row)
    found["P4"].notes.append(told)
    return found


def many(full: bool) -> dict[str, Measure]:
    """P9: 1, 10 and 50 clients in one process."""
    rounds, seconds = (3, 5.0) if full else (1, 2.0)
    counts = (1, 10, 50)
    runs: dict[int, list[Run]] = {count: [] for count in counts}
    with Server() as server:
        for _ in range(rounds):
            for count in counts:
                runs[count].append(run(server, "ours", seconds, "--clients", str(count)))
    measure = Measure("P9")
    one = [100 * run.cpu for run in runs[1]]
    for count in counts[1:]:
        each = [100 * run.cpu / count for run in runs[count]]
        measure.rows.append(
            _compare("P9", f"CPU per client, {count} in a process", each, one, "% of a core", 1.2)
        )
    for count in counts[1:]:
        latency = _at(runs[count], "up", 0.99)
        what = f"frame complete → at the server, p99, {count} clients"
        measure.rows.append(_compare("P9", what, latency, _at(runs[1], "up", 0.99), "ms", count))
    measure.series = {
        "clients": list(counts),
        "cpu": [round(median([100 * run.cpu / count for run in runs[count]]), 3) for count in counts],
        "p50": [round(median(_at(runs[count], "up", 0.5)), 3) for count in counts],
        "p99": [round(median(_at(runs[count], "up", 0.99)), 3) for count in counts],
    }
    return {"P9": measure}


def busy(full: bool) -> dict[str, Measure]:
    """P10: with a busy thread of pure Python in the program, and on a quarter of a core."""
    rounds, seconds = (3, 5.0) if full else (1, 2.0)
    measure = Measure("P10")
    for what, arguments, quota in (
        ("a busy thread", ["--burner"], None),
        ("a busy thread, switch interval 0.5 ms", ["--burner", "--switch-interval", "0.0005"], None),
        ("a quarter of a core", [], 0.25),
    ):
        runs: dict[str, list[Run]] = {"bare": [], "ours": [], "queues": []}
        with Server() as server:
            for _ in range(rounds):
                for name, its in runs.items():
                    its.append(run(server, name, seconds, *arguments, quota=quota))
        ours, bare = runs["ours"], runs["bare"]
        measure.rows.append(
            _compare(
                "P10",
                f"frame complete → at the server, p99, {what}",
                _at(ours, "up", 0.99),
                _at(bare, "up", 0.99),
                "ms",
                1.5,
            )
        )
        for label, attribute in (("times the loudspeaker ran dry", "dry"), ("frames dropped", "dropped")):
            total = [sum(getattr(run, attribute) for run in runs[name]) for name in ("ours", "bare")]
            measure.rows.append(
                Row("P10", f"{label}, {what}", total[0], total[1], "", total[0], 0, unit_of_value="")
            )
        measure.series[what] = {name: _curve(runs[name], "up") for name in runs}
    return {"P10": measure}
