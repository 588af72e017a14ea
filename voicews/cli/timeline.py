"""`voicews timeline`: the picture of a recorded conversation."""

from __future__ import annotations

import argparse
import re
import tempfile
from contextlib import nullcontext
from pathlib import Path

from voicews.cli.arguments import HelpFormatter, add_verbosity
from voicews.cli.failures import EXIT_CODES, OK, CommandFailed
from voicews.cli.files import STANDARD, require_apart, to_standard_output
from voicews.cli.streams import tell
from voicews.errors import ConfigError
from voicews.extras import extra_command
from voicews.timeline.drawing import DARK, FORMATS, LIGHT, draw
from voicews.timeline.layout import clock
from voicews.timeline.reading import Recording, find

__all__ = ["add_parser", "run"]

_EXAMPLES = f"""\
Both waveforms, the words, and between them how long each answer was waited
for, and for what: the end of your turn, its words, the answer, its sound, or
a connection that was away.

examples:
  voicews talk ws://localhost:8765 --record recordings
  voicews timeline recordings
  voicews timeline recordings --from 12:30 --to 13:00 --output why.png

{EXIT_CODES}"""


def _moment(text: str) -> float:
    """Seconds, from "90", "90.5", "1:30" or "1:02:03"."""
    if not re.fullmatch(r"(?:\d+:){0,2}\d+(?:\.\d+)?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time; give seconds, or a time such as 1:30")
    seconds = 0.0
    for part in text.split(":"):
        seconds = 60 * seconds + float(part)
    return seconds


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "timeline",
        help="draw a recorded conversation, and why its answers came when they did",
        description="Draw one picture of a conversation that was recorded with --record.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument(
        "recording",
        type=Path,
        metavar="DIR",
        help="the folder, whose newest recording is drawn; or a file of one",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="the picture, .svg or .png; - is standard output, as SVG (default: an SVG file beside the "
        "recording)",
    )
    parser.add_argument(
        "--from",
        dest="first",
        type=_moment,
        default=0.0,
        metavar="TIME",
        help="begin there: seconds, or m:ss",
    )
    parser.add_argument(
        "--to", dest="last", type=_moment, metavar="TIME", help="end there (default: the end)"
    )
    parser.add_argument("--dark", action="store_true", help="light on dark")
    add_verbosity(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Draw.

    Raises:
        VoicewsError: there is no recording, or no picture can be made.
    """
    to_stdout = str(arguments.output) == STANDARD
    if arguments.output is not None and not to_stdout and arguments.output.suffix.lower() not in FORMATS:
        raise ConfigError(f"--output {arguments.output} must end in {' or '.join(FORMATS)}")
    recording = Recording(find(arguments.recording))
    first, last = arguments.first, arguments.last
    if first >= recording.seconds > 0 or (last is not None and last <= first):
        end = recording.seconds if last is None else last
        raise ConfigError(
            f"there is nothing to draw from {clock(first)} to {clock(end)}; "
            f"the recording is {clock(recording.seconds)} long"
        )
    output = arguments.output or recording.path.with_suffix(".svg")
    for read in (recording.path, recording.path.with_suffix(".jsonl")):
        require_apart("--output", output, {str(arguments.recording): read})
    with tempfile.TemporaryDirectory(prefix="voicews-") if to_stdout else nullcontext("") as folder:
        picture = Path(folder) / "timeline.svg" if to_stdout else output
        drawn_to = _draw(arguments, recording, picture)
        if to_stdout:
            to_standard_output(picture)
    if not to_stdout:
        print(f"drawn: {output}")
    if drawn_to < min(recording.seconds, recording.seconds if last is None else last):
        rest = f"it ends at {clock(drawn_to)}; draw the rest with --from {clock(drawn_to)}"
        tell(rest) if to_stdout else print(rest)
    return OK


def _draw(arguments: argparse.Namespace, recording: Recording, picture: Path) -> float:
    try:
        theme = DARK if arguments.dark else LIGHT
        return draw(recording, picture, first=arguments.first, last=arguments.last, theme=theme)
    except ImportError as error:
        raise CommandFailed(f"pictures need matplotlib: {extra_command('plot')}") from error
