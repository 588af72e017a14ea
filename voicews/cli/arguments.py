"""Options that several commands share."""

from __future__ import annotations

import argparse
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path

__all__ = [
    "EARS",
    "VOICES",
    "HelpFormatter",
    "add_display_options",
    "add_interruptions_option",
    "add_record_option",
    "add_sound_options",
    "add_verbosity",
    "count",
    "device",
    "header",
    "host",
    "log_level",
    "port",
    "seconds",
    "setting",
    "words",
]

EARS = ("auto", "whisper", "pocketsphinx")
VOICES = ("auto", "hibari", "flite", "espeak-ng")
HelpFormatter = argparse.RawDescriptionHelpFormatter


def device(text: str) -> int | str:
    """A device as ``--mic`` and ``--speaker`` take it: an index if it is a number, else a name."""
    return int(text) if re.fullmatch(r"\d+", text) else text


def count(text: str) -> int:
    """A whole number of at least 0."""
    if not re.fullmatch(r"\d{1,6}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def port(text: str) -> int:
    """A TCP port; 0 picks a free one."""
    number = count(text)
    if number > 65535:
        raise argparse.ArgumentTypeError(f"{number} is not a port; it must be from 0 to 65535")
    return number


def host(text: str) -> str:
    """An address to listen on, or its name."""
    try:
        text.encode("idna")
    except UnicodeError:
        text = ""
    if not text.strip():  # which would be every address that there is
        raise argparse.ArgumentTypeError("it must be an address, such as 127.0.0.1, or the name of one")
    return text


def words(text: str) -> str:
    """Text in UTF-8, whatever the locale."""
    try:
        return os.fsencode(text).decode()
    except UnicodeError:
        raise argparse.ArgumentTypeError("it is not valid UTF-8") from None


def header(text: str) -> tuple[str, str]:
    """A header of the handshake, "Name: value"; a message never shows the value."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise argparse.ArgumentTypeError('a header must look like "Name: value"')
    return name.strip(), value.strip()


def seconds(least: float, most: float) -> Callable[[str], float]:
    """A number of seconds between these."""

    def parsed(text: str) -> float:
        number = float(text) if re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text) else -1.0
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a number of seconds from {least:g} to {most:g}"
            )
        return number

    return parsed


def setting(text: str) -> tuple[str, str]:
    """A setting of a dialect, "name=value"; a message never shows the value, which may be a key."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip().isidentifier():
        raise argparse.ArgumentTypeError("a setting must look like name=value")
    return name.strip(), words(value)


def add_verbosity(parser: argparse.ArgumentParser) -> None:
    """``--verbose``."""
    parser.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=0,
        help="write a log to stderr, and tracebacks of errors; twice for all details",
    )


def log_level(verbose: int) -> int:
    """What ``-v`` and ``-vv`` mean."""
    return logging.DEBUG if verbose > 1 else logging.INFO


def add_display_options(parser: argparse.ArgumentParser) -> None:
    """How the conversation is shown."""
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument(
        "--json", action="store_true", help="write one event per line as JSON to stdout, for scripts"
    )
    shown.add_argument(
        "--plain",
        action="store_true",
        help="plain lines without colours and meters; the default where stdout is no terminal",
    )
    add_verbosity(parser)


def add_interruptions_option(parser: argparse.ArgumentParser) -> None:
    """``--no-interruptions``."""
    parser.add_argument(
        "--no-interruptions",
        dest="interruptions",
        action="store_false",
        help="the server does not listen while it speaks: for a loudspeaker beside the microphone, "
        "where it would hear itself",
    )


def add_record_option(parser: argparse.ArgumentParser) -> None:
    """``--record``."""
    parser.add_argument(
        "--record",
        type=Path,
        metavar="DIR",
        help="record both sides, and all that happens, in this folder; `voicews timeline DIR` draws it",
    )


def add_sound_options(parser: argparse.ArgumentParser) -> None:
    """Where the sound comes from and where it goes."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--mic",
        type=device,
        metavar="DEVICE",
        help="microphone: its number in `voicews devices`, or a part of its name",
    )
    source.add_argument(
        "--input",
        type=Path,
        metavar="FILE.wav",
        help="say this recording instead of using a microphone; the command ends when it has been "
        "answered. - is standard input, which is read to its end first",
    )
    sink = parser.add_mutually_exclusive_group()
    sink.add_argument("--speaker", type=device, metavar="DEVICE", help="loudspeaker: likewise")
    sink.add_argument(
        "--output",
        type=Path,
        metavar="FILE.wav",
        help="write the answers to this file instead of playing them; - is standard output, and then words "
        "go to standard error",
    )
