"""`voicews bench`: how fast the way to a server is, and back."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from voicews.cli.arguments import HelpFormatter, add_verbosity, seconds
from voicews.cli.bench_plot import plot, require_plotting
from voicews.cli.bench_report import report, to_json
from voicews.cli.failures import EXIT_CODES, OK, without_rich
from voicews.cli.files import require_apart
from voicews.cli.measurement import Measurement, Progress
from voicews.cli.server_options import DIALECTS, add_server_options, described_server, described_way
from voicews.cli.streams import json_for, tell
from voicews.commands import SendAudio
from voicews.dialects.base import bare_url
from voicews.errors import ConfigError

if TYPE_CHECKING:
    from voicews.cli.bench_screen import BenchScreen

__all__ = ["add_parser", "run"]

_EXAMPLES = f"""\
Pings go out ten times a second. Meanwhile marked sound is sent in real time,
and looked for in what comes back: from a server that sends sound back, also
changed, that is the echo's latency. In the end 5 s of silence are sent as fast
as they go. A server that sends no sound back is measured without the echo;
how long an answer takes, `voicews talk URL --input FILE.wav` tells.

examples:
  voicews bench ws://localhost:8765
  voicews bench wss://voice.example/talk --header "Authorization: Bearer $TOKEN"
  voicews bench ws://localhost:8765 --seconds 30 --plot line.svg
  voicews bench ws://localhost:8765 --json

{DIALECTS}
{EXIT_CODES}"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "bench",
        help="measure how fast the way to a voice server is",
        description="Measure round trips, jitter, throughput, and the latency of an echo.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    add_server_options(parser)
    parser.add_argument(
        "--seconds",
        type=seconds(3, 120),
        default=10.0,
        metavar="N",
        help="how long to measure, from 3 to 120 (default: 10)",
    )
    parser.add_argument(
        "--burst",
        type=seconds(0, 30),
        default=5.0,
        metavar="N",
        help="seconds of silence to send at once in the end, up to 30; 0 sends none, and then throughput "
        "is not measured (default: 5)",
    )
    parser.add_argument(
        "--plot", type=Path, metavar="FILE.svg", help="draw a picture too (.svg, .png or .pdf)"
    )
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="write one JSON object to stdout, for scripts")
    shown.add_argument(
        "--plain",
        action="store_true",
        help="plain lines, once all is measured; the default where stdout is no terminal",
    )
    add_verbosity(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure, and tell.

    Raises:
        VoicewsError: it failed; what was measured by then has been told.
    """
    if arguments.plot is not None:
        require_apart("--plot", arguments.plot, {"--ca-file": arguments.ca_file})
        require_plotting(arguments.plot)
    dialect = described_server(arguments)
    if SendAudio not in dialect.accepts:
        raise ConfigError(f"bench needs a server that hears; {type(dialect).__name__} takes no sound")
    measurement = Measurement(
        dialect, seconds=arguments.seconds, burst=arguments.burst, way=described_way(arguments)
    )
    server = bare_url(arguments.url) if arguments.url else type(dialect).__name__
    shown = not (arguments.json or arguments.plain or arguments.verbose) and sys.stdout.isatty()
    progress = measurement.progress
    screen = _screen(progress, server) if shown else None
    try:
        if screen is not None:
            with screen:
                measurement.run(screen.draw)
        else:
            measurement.run(lambda: None)
    finally:
        if progress.connect is not None and screen is None:
            for line in (
                [json_for(sys.stdout, to_json(progress, server))]
                if arguments.json
                else report(progress, server)
            ):
                print(line, flush=True)
        if progress.connect is not None and arguments.plot is not None:
            plot(progress, server, arguments.plot)
    return OK


def _screen(progress: Progress, server: str) -> BenchScreen | None:
    """The live display; None where rich is not installed."""
    try:
        from voicews.cli.bench_screen import BenchScreen
    except ImportError:
        tell(without_rich())
        return None
    return BenchScreen(progress, server)
