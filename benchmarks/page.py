"""The table of docs/performance.md, between its two markers, and the plots: from the JSON alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.results import Measure, table

__all__ = ["write"]

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
    before, rest = page.read_text(encoding="utf-8").split(_BEGIN)
    _, after = rest.split(_END)
    parts = [table(measures), "", *_circumstances(measures)]
    page.write_text(f"{before}{_BEGIN}\n\n{chr(10).join(parts)}\n\n{_END}{after}", encoding="utf-8")
    _draw(folder, measures)


def _circumstances(measures: dict[str, Measure]) -> list[str]:
    """When each was measured, how busy the machine was, and how far what was missed is from its goal."""
    lines = []
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
            "figure.figsize": (5.2, 3.6),
            "font.size": 12,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.3,
            "legend.frameon": False,
            "legend.fontsize": 10,
            "svg.hashsalt": "voicews",
            "savefig.bbox": "tight",
        }
    )

    def finish(name: str, title: str) -> None:
        plt.title(title, fontsize=12, loc="left")
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
            plt.hist(values, bins=24, color=_COLOURS[key], alpha=0.8, label=_NAMES[key])
        plt.xlabel("ms from the microphone to the loudspeaker")
        plt.legend()
        finish("p5", "Mouth to ear, by an echo server")
    if "P11" in measures:
        curve = measures["P11"].series["curve"]
        plt.plot([at for at, _ in curve], [size for _, size in curve], color=_COLOURS["ours"])
        plt.ylim(bottom=0)
        plt.xlabel("seconds; at the end very fast")
        plt.ylabel("MB resident")
        finish("p11", "Memory")


def _curves(plt: Any, series: dict[str, list[float]]) -> None:
    """How many frames were as fast as that."""
    for name, values in series.items():
        share = [100 * index / (len(values) - 1) for index in range(len(values))]
        plt.plot(
            [max(value, 0.01) for value in values], share, color=_COLOURS[name], label=_NAMES[name], lw=2
        )
    plt.xscale("log")
    plt.xlabel("ms")
    plt.ylabel("% of frames")
    plt.legend(loc="lower right")


def _bars(plt: Any, series: dict[str, dict[str, dict[str, float]]]) -> None:
    wires = list(series)
    names = [name for name in ("bare", "queues", "ours") if name in series[wires[0]]]
    for index, name in enumerate(names):
        places = [place + 0.27 * (index - 1) for place in range(len(wires))]
        values = [series[wire][name]["cpu"] for wire in wires]
        plt.bar(places, values, 0.25, color=_COLOURS[name], label=_NAMES[name])
        for place, value in zip(places, values, strict=True):
            plt.text(place, value, f"{value:.1f}", ha="center", va="bottom", fontsize=10)
    plt.xticks(range(len(wires)), wires)
    plt.ylabel("% of a core")
    plt.legend(loc="upper left")
    plt.margins(y=0.25)


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
