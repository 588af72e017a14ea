"""Files that the command line names: ``-`` is a standard stream, and what is read is not overwritten."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

from voicews.cli.sound import require_wav
from voicews.errors import AudioError, ConfigError
from voicews.recording.part import is_part

__all__ = ["STANDARD", "require_apart", "standard_files", "text_of", "to_standard_output"]

STANDARD = "-"
_MOST_SOUND = 2**30
_MOST_TEXT = 2**20


def require_apart(option: str, written: Path | None, read: Mapping[str, Path | str | None]) -> None:
    """Refuse to write a file that is read, by whatever path.

    Args:
        option: what names the file that is written.
        read: what is read, by what names it.

    Raises:
        ConfigError: it is the same file.
    """
    if written is None or str(written) == STANDARD:
        return
    for name, path in read.items():
        if path is not None and _same(written, path):
            raise ConfigError(f"{option} {written} would overwrite the file of {name}; choose another name")


def _same(one: Path, other: Path | str) -> bool:
    try:
        return one.samefile(other)
    except (OSError, ValueError):  # one is not there
        return os.path.realpath(one) == os.path.realpath(other)


@contextmanager
def standard_files(arguments: argparse.Namespace) -> Iterator[TextIO]:
    """Within, ``--input`` and ``--output`` are files, also where they are ``-``, and not the same.

    Yields:
        Where words are shown: standard error, where standard output is for sound.

    Raises:
        ConfigError: they cannot be used as it was asked.
        AudioError: standard input does not hold sound that can be played.
    """
    record, output = arguments.record, arguments.output
    if [str(arguments.input), *arguments.text].count(STANDARD) > 1:
        raise ConfigError("- is standard input, which can be said only once, by --input or by --text")
    require_apart(
        "--output",
        output,
        {"--input": arguments.input, "--ca-file": getattr(arguments, "ca_file", None)},
    )
    if output and record and is_part(output.name) and _same(output.parent, record):
        raise ConfigError(
            f"--output {output} could overwrite the recording in {record}; choose another name or folder"
        )
    if str(record) == STANDARD:
        raise ConfigError("--record needs a folder: a recording is two files")
    if STANDARD not in (str(arguments.input), str(output)):
        yield sys.stdout
        return
    with tempfile.TemporaryDirectory(prefix="voicews-") as folder:
        if str(arguments.input) == STANDARD:
            arguments.input = _spooled(Path(folder) / "question.wav")
        if str(output) != STANDARD:
            yield sys.stdout
            return
        if arguments.json:
            raise ConfigError("--json and --output - would both write to standard output")
        if sys.stdout.isatty():
            raise ConfigError("--output - would write sound to the terminal; redirect it, or name a file")
        arguments.output = answers = Path(folder) / "answer.wav"
        try:
            yield sys.stderr
        finally:
            # Only now: the header of a WAV file tells how long it is.
            if answers.exists():
                to_standard_output(answers)


def to_standard_output(path: Path) -> None:
    """Write all of a file there.

    Raises:
        OSError: standard output cannot be written.
    """
    sys.stdout.flush()
    with path.open("rb") as file:
        shutil.copyfileobj(file, sys.stdout.buffer)
    sys.stdout.buffer.flush()


def _spooled(path: Path) -> Path:
    """All of standard input as a file: how a WAV file is to be read may be known only from its end."""
    source = _standard_input("--input")
    if sys.stdin.isatty():
        raise ConfigError("--input - reads a WAV file from standard input, which is a terminal here")
    with path.open("wb") as file:
        while block := source.read(2**16):
            file.write(block)
            if file.tell() > _MOST_SOUND:
                raise ConfigError(f"--input - takes at most {_MOST_SOUND / 2**20:.0f} MB of sound")
    try:
        require_wav(path)
    except AudioError as error:
        raise type(error)(str(error).replace(str(path), "standard input")) from error
    return path


def text_of(text: str) -> str:
    """What ``--text`` says; ``-`` says all that stands in standard input.

    Raises:
        ConfigError: that is nothing, or no text.
    """
    if text == STANDARD:
        raw = _standard_input("--text").read(_MOST_TEXT + 1)
        if len(raw) > _MOST_TEXT:
            raise ConfigError(f"--text - takes at most {_MOST_TEXT / 2**20:.0f} MB of text")
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            raise ConfigError("--text - must be UTF-8; standard input is not") from error
        text = text.strip()
    if not text.strip():
        raise ConfigError("--text must not be empty: there would be nothing to say")
    return text


def _standard_input(option: str) -> BinaryIO:
    if sys.stdin is None or sys.stdin.closed:
        raise ConfigError(f"{option} - reads standard input, which is closed")
    return sys.stdin.buffer
