"""The command line as a whole: its parser, its log, its warnings, and its exit code."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import TextIO

from voicews.cli import bench, demo, devices, serve, talk, timeline
from voicews.cli.arguments import HelpFormatter, log_level
from voicews.cli.failures import BROKEN_PIPE, EXIT_CODES, FAILED, USAGE, one_line
from voicews.errors import ConfigError, VoicewsError
from voicews.printable import printable

__all__ = ["run"]

_EXAMPLES = f"""\
start here:
  voicews demo                          a voice server, and a talk with it

then:
  voicews devices                       find your microphone and loudspeaker
  voicews serve                         the same server, for other programs
  voicews talk ws://localhost:8765      talk with it, or with any other
  voicews bench ws://localhost:8765     measure the way to it and back
  voicews timeline DIR                  see why an answer came late
  voicews COMMAND --help                all about one command

{EXIT_CODES}"""


def _version() -> str:
    try:
        return version("voicews")
    except PackageNotFoundError:  # run from a folder, not installed
        return "unknown"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="voicews",
        description="Spoken conversations over one WebSocket.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"voicews {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (demo, talk, timeline, serve, devices, bench):
        command.add_parser(commands)
    return parser


def run(argv: Sequence[str] | None) -> int:
    """See :func:`voicews.cli.main`."""
    arguments = _parser().parse_args(argv)
    with _logging(arguments.verbose), _plain_warnings():
        return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whatever is still in the buffer would fail again at the interpreter's end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except VoicewsError as error:
        if arguments.verbose:
            shown = "".join(traceback.format_exception(error))
            print(printable(shown, lines=True), end="", file=sys.stderr)
        told = one_line(error, getattr(arguments, "url", None), getattr(arguments, "keys", ()))
        print(f"voicews: {printable(told)}", file=sys.stderr)
        return USAGE if type(error) is ConfigError else FAILED


class _Formatter(logging.Formatter):
    """Lets nobody command the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), lines=True)


@contextmanager
def _logging(verbose: int) -> Iterator[None]:
    """With ``-v`` a log on stderr; else none, for the display tells what matters."""
    root = logging.getLogger()
    handler: logging.Handler = logging.StreamHandler() if verbose else logging.NullHandler()
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)-7s %(threadName)s %(name)s: %(message)s"))
    before = root.level
    root.addHandler(handler)
    if verbose:
        root.setLevel(log_level(verbose))
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Warnings as one line, without the line of code they point at."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        del category, filename, lineno, line
        print(f"voicews: warning: {printable(str(message))}", file=file or sys.stderr)

    before = warnings.showwarning
    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before
