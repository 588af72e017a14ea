"""The table of docs/performance.md, between its two markers, and the plots: from the JSON alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.reasons import missed
from benchmarks.results import Measure, table

__all__ = ["with_table", "write"]

_BEGIN = "<!-- written by script/bench: do not edit -->"
_END = "<!-- end of what is written -->"
_NAMES = {
    "ours": "voicews",
    "bare": "two bare loops",
    "queues": "bare loops, queues between",
    "tutorial": "asyncio tutorial",
    "floor": "the devices alone",
    "its own": "the vendor's own client",
    "its own, queued": "the same, queue before the loudspeaker",
}
_COLOURS = {
    "ours": "#c2410c",
    "bare": "#64748b",
    "queues": "#0e7490",
    "tutorial": "#7c3aed",
    "floor": "#64748b",
    "its own": "#64748b",
    "its own, queued": "#0e7490",
}


def write(store: Path, measures: dict[str, Measure]) -> None:
    """Write page and plots beside the store."""
    folder = store.parent
    page = folder.parent / "performance.md"
    page.write_text(with_table(page.read_text(encoding="utf-8"), measures), encoding="utf-8")
    _draw(folder, measures)


def with_table(text: str, measures: dict[str, Measure]) -> str:
    """The page with the table, what is missed and the circumstances of these measures."""
    before, rest = text.split(_BEGIN)
    _, after = rest.split(_END)
    parts = [table(measures), "", *_missed(measures), *_circumstances(measures)]
    return f"{before}{_BEGIN}\n\n{chr(10).join(parts)}\n\n{_END}{after}"


def _missed(measures: dict[str, Measure]) -> list[str]:
    """How far what was missed is from its goal, and why."""
    lines = ["## What is missed, and why", ""]
    for one in missed(measures.values()):
        lines += one.lines()
    return lines if len(lines) > 2 else [*lines, "Nothing: every goal is met.", ""]


def _circumstances(measures: dict[str, Measure]) -> list[str]:
    """When each was measured, and how busy the machine was."""
    lines = ["## When it was measured", ""]
    for one in measures.values():
        how = "full" if one.full else "quick"
        load = " to ".join(f"{value:.1f}" for value in one.load)
        lines.append(f"- {one.name}: {how} form, {one.made}, commit {one.commit}, load average {load}.")
        lines += [f"    {note[0].upper()}{note[1:]}." for note in one.notes]
    return lines


def _draw(folder: Path, measures: dict[str, Measure]) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    plt.rcParams.update(
        {
            "figure.figsize": (4.6, 4.4),
            "font.size": 13,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.3,
            "legend.frameon": False,
            "legend.fontsize": 12,
            "svg.hashsalt": "voicews",
            "savefig.bbox": "tight",
        }
    )

    def finish(name: str, title: str) -> None:
        plt.title(title, fontsize=13, loc="left")
        plt.savefig(folder / f"{name}.svg", metadata={"Date": None})
        plt.close()

    for name, title in (("P1", "Frame complete to the server"), ("P2", "Pushed to the player's hand")):
        if name in measures:
            _curves(plt, measures[name].series.get("plain", {}))
            finish(name.lower(), title)
    if "P3" in measures:
        _curves(plt, measures["P3"].series.get("inbound", {}))
        finish("p3", "Sound from the server to the player")
    if "P4" in measures:
        _bars(plt, measures["P4"].series)
        finish("p4", "One duplex stream, 20 ms frames")
    if "P4 SDKs" in measures and measures["P4 SDKs"].series:
        _pairs(plt, measures["P4 SDKs"].series)
        plt.savefig(folder / "p4-sdks.svg", metadata={"Date": None})
        plt.close()
    if "P5" in measures:
        for key, values in measures["P5"].series.items():
            # A bar of 1 ms at least: most windows of a round have the very same delay.
            bins = range(int(min(values)), int(max(values)) + 3, 1)
            plt.hist(values, bins=bins, color=_COLOURS[key], alpha=0.8, label=_NAMES[key])
        plt.xlim(left=0)
        plt.xlabel("ms from microphone to loudspeaker")
        plt.ylabel("times")
        _legend(plt)
        finish("p5", "Mouth to ear, by an echo server")
    if "P11" in measures:
        curve = measures["P11"].series["curve"]
        plt.plot([at for at, _ in curve], [size for _, size in curve], color=_COLOURS["ours"])
        plt.ylim(0, 1.2 * max(size for _, size in curve))
        plt.xlabel("seconds; at the end very fast")
        plt.ylabel("MB resident")
        finish("p11", "Memory")


def _curves(plt: Any, series: dict[str, list[float]]) -> None:
    """How many frames were as fast as that."""
    from matplotlib.ticker import LogLocator

    for name, values in series.items():
        share = [100 * index / (len(values) - 1) for index in range(len(values))]
        plt.plot(
            [max(value, 0.01) for value in values], share, color=_COLOURS[name], label=_NAMES[name], lw=2
        )
    plt.xscale("log")
    plt.xlabel("ms")
    plt.ylabel("% of frames")
    plt.gca().xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    plt.gca().xaxis.set_major_formatter("{x:g}")
    plt.gca().xaxis.set_minor_formatter("")
    _legend(plt)


def _legend(plt: Any) -> None:
    """Below the axes, where it covers no curve however wide the screen."""
    plt.legend(loc="upper left", bbox_to_anchor=(0, -0.17), borderaxespad=0.2, labelspacing=0.25)


def _bars(plt: Any, series: dict[str, dict[str, dict[str, float]]]) -> None:
    wires = list(series)
    names = [name for name in ("bare", "queues", "ours") if name in series[wires[0]]]
    for index, name in enumerate(names):
        places = [place + 0.27 * (index - 1) for place in range(len(wires))]
        values = [series[wire][name]["cpu"] for wire in wires]
        plt.bar(places, values, 0.25, color=_COLOURS[name], label=_NAMES[name])
        for place, value in zip(places, values, strict=True):
            plt.text(place, value, f"{value:.1f}", ha="center", va="bottom", fontsize=11)
    plt.xticks(range(len(wires)), wires)
    plt.ylabel("% of a core")
    plt.gca().grid(visible=False, axis="x")
    plt.legend(loc="upper left", bbox_to_anchor=(0, -0.09), borderaxespad=0.2, labelspacing=0.25)
    plt.margins(y=0.1)


def _pairs(plt: Any, series: dict[str, dict[str, dict[str, float]]]) -> None:
    """For each service, over a plain connection: its own client and voicews."""
    plain = {name.removesuffix(", plain"): kinds for name, kinds in series.items() if name.endswith("plain")}
    services = [name.removesuffix("'s client").removesuffix("' client") for name in plain]
    figure, (above, below) = plt.subplots(2, 1, figsize=(5.2, 6.0), sharex=True)
    for axes, what, form in ((above, "cpu", "{:.1f}"), (below, "switches", "{:.0f}")):
        for index, kind in enumerate(("its own", "its own, queued", "ours")):
            places = [place for place, kinds in enumerate(plain.values()) if kind in kinds]
            values = [kinds[kind][what] for kinds in plain.values() if kind in kinds]
            bars = axes.bar(
                *([place + 0.27 * (index - 1) for place in places], values, 0.25),
                color=_COLOURS[kind],
                label=_NAMES[kind],
            )
            axes.bar_label(bars, [form.format(value) for value in values], fontsize=8)
        axes.grid(visible=False, axis="x")
    above.set_title("One duplex stream beside each service's own client", fontsize=12, loc="left")
    above.set_ylabel("% of a core")
    below.set_ylabel("context switches per s")
    below.set_xticks(range(len(services)), services, fontsize=10)
    figure.legend(*above.get_legend_handles_labels(), loc="upper center", bbox_to_anchor=(0.5, 0.02))
