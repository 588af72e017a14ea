"""`voicews bench --plot`: a picture of what was measured, by matplotlib."""

from __future__ import annotations

from pathlib import Path

from voicews.cli.bench_report import Spread
from voicews.cli.failures import CommandFailed
from voicews.cli.measurement import Progress
from voicews.cli.narration import milliseconds
from voicews.errors import ConfigError
from voicews.extras import extra_command

__all__ = ["plot", "require_plotting"]

_FORMATS = (".svg", ".png", ".pdf")
_COLOURS = {"round trip of a ping": "#2a78b5", "echo of sound": "#c8553d"}


def require_plotting(path: Path) -> None:
    """Refuse early what could only fail after the measurement.

    Raises:
        ConfigError: the file's name ends otherwise.
        CommandFailed: its folder, or a library that is missing.
    """
    if path.suffix.lower() not in _FORMATS:
        raise ConfigError(f"--plot {path} must end in {', '.join(_FORMATS[:-1])} or {_FORMATS[-1]}")
    if not path.absolute().parent.is_dir():
        raise CommandFailed(f"--plot cannot write {path}: there is no such folder")
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise CommandFailed(f"--plot needs matplotlib: {extra_command('plot')}") from error


def plot(progress: Progress, server: str, path: Path) -> None:
    """Draw each measured time where it was measured, and how many there were of each.

    Raises:
        CommandFailed: the file cannot be written.
    """
    from matplotlib.figure import Figure

    series = {"round trip of a ping": progress.rtts, "echo of sound": progress.echoes}
    series = {name: points for name, points in series.items() if points}
    until = 1.03 * max((at for points in series.values() for at, _ in points), default=1.0)
    figure = Figure(figsize=(7, 1.1 + 3.2 * max(1, len(series))), layout="constrained")
    figure.suptitle(f"voicews bench {server}", fontsize=13)
    grid = figure.subplots(
        max(1, len(series)), 2, squeeze=False, sharey="row", gridspec_kw={"width_ratios": (3, 1)}
    )
    if not series:
        grid[0][0].set_title("nothing was measured", fontsize=12)
    for (line, counts), (name, points) in zip(grid, series.items(), strict=False):
        times, values = [at for at, _ in points], [value * 1000 for _, value in points]
        colour, spread = _COLOURS[name], Spread.of(points)
        assert spread is not None
        line.plot(times, values, ".", markersize=6, color=colour, alpha=0.75)
        line.axhline(spread.median * 1000, color=colour, linewidth=1.2)
        line.axhline(spread.p95 * 1000, color=colour, linewidth=1.2, linestyle="--")
        line.set_title(
            f"{name}: median {milliseconds(spread.median)}, 95 % within {milliseconds(spread.p95)} (dashed)",
            fontsize=11,
            loc="left",
        )
        line.set_ylabel("ms", fontsize=11)
        line.set_xlabel("seconds since connected", fontsize=11)
        line.set_xlim(0, until)
        line.set_ylim(bottom=0)
        counts.hist(values, bins=24, orientation="horizontal", color=colour, alpha=0.75)
        counts.set_xlabel("how many", fontsize=11)
        for axes in (line, counts):
            axes.grid(visible=True, alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise CommandFailed(f"the picture could not be written to {path}: {error.strerror}") from error
