"""The command line as a whole: its parser, its log, its warnings, and its exit code."""

from __future__ import annotations

import argparse
import logging
import re
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NoReturn, TextIO

from voicews.cli import bench, demo, devices, serve, talk, timeline
from voicews.cli.arguments import HelpFormatter, log_level
from voicews.cli.dialects import did_you_mean
from voicews.cli.failures import BROKEN_PIPE, EXIT_CODES, FAILED, USAGE, one_line
from voicews.cli.streams import prepare, settle, tell
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


class _Parser(argparse.ArgumentParser):
    """Says when its help cannot be written; argparse itself passes over that."""

    def _print_message(self, message: str, file: Any = None) -> None:
        if file is sys.stdout:
            print(message, end="", file=file)
        else:
            super()._print_message(message, file)

    def error(self, message: str) -> NoReturn:
        super().error(f"{message}{_meant(self, message)}")


def _meant(parser: argparse.ArgumentParser, message: str) -> str:
    if choice := re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message):
        return did_you_mean(choice[1], {one: one for one in re.findall(r"[\w-]+", choice[2])})
    if option := re.match(r"unrecognized arguments: (--[\w-]+)", message):
        commands = [action.choices for action in parser._actions if isinstance(action.choices, dict)]
        known = {name for one in commands for sub in one.values() for name in sub._option_string_actions}
        return did_you_mean(option[1], {one: one for one in known if one.startswith("--")})
    return ""


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
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
    if not prepare():
        tell("voicews: standard output is closed: nothing is shown")
    lost: OSError | None = None
    try:
        code = _run(argv)
    except SystemExit as ended:  # argparse has printed something
        lost = settle()
        if lost is not None and not ended.code:
            raise SystemExit(_unwritten(lost)) from lost
        raise
    except OSError as error:
        lost = error
    finally:
        # Whatever is still held back would fail again at the interpreter's end.
        lost = settle() or lost
    return code if lost is None else _unwritten(lost)


def _unwritten(error: OSError) -> int:
    if isinstance(error, BrokenPipeError):
        return BROKEN_PIPE
    what = "standard output" if error.filename is None else str(error.filename)
    tell(f"voicews: cannot write to {printable(what)}: {error.strerror or error}")
    return FAILED


def _run(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    with _logging(arguments.verbose), _plain_warnings():
        try:
            code: int = arguments.run(arguments)
        except VoicewsError as error:
            if arguments.verbose:
                shown = "".join(traceback.format_exception(error))
                tell(printable(shown, lines=True).rstrip("\n"))
            told = one_line(error, getattr(arguments, "url", None), getattr(arguments, "keys", ()))
            tell(f"voicews: {printable(told)}")
            code = USAGE if type(error) is ConfigError else FAILED
    return code


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
        del category, filename, lineno, file, line
        tell(f"voicews: warning: {printable(str(message))}")

    before = warnings.showwarning
    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before
