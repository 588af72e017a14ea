"""Standard input, output and error: closed, full, unread, or in an encoding that lacks letters."""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import os
import re
import sys
from typing import TextIO

__all__ = ["json_for", "prepare", "settle", "tell"]

_PLAINER = {"…": "...", "·": "-", "—": "-", "→": "->", "█": "#", "✕": "x", "⌨": ">"}
_ERRORS = "voicews-plainer"


def _plainer(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_PLAINER.get(letter, "?") for letter in lacking), error.end


codecs.register_error(_ERRORS, _plainer)


def prepare() -> bool:
    """Make the three streams usable, whatever the command was started with.

    Returns:
        False if standard output is closed: what is printed then goes nowhere.
    """
    # Else the first files and sockets that are opened get these numbers, and whatever native code
    # prints ends up in a recording or at the server.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    closed = _closed(sys.stdout)
    if closed:
        sys.stdout = _nowhere()
    if _closed(sys.stderr):
        sys.stderr = _nowhere()  # print(file=None) would write to standard output
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)
    return not closed


def _closed(stream: TextIO | None) -> bool:
    return stream is None or stream.closed


def _nowhere() -> TextIO:
    # It stays open to the end of the process; Python would warn of one that it had to close.
    return open(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8", closefd=False)


def settle() -> OSError | None:
    """Write what is still held back; if that fails, nothing of it is tried again at the interpreter's end.

    Returns:
        Why standard output could not be written; None if it could.
    """
    _emptied(sys.stderr)  # nobody is left who could be told
    return _emptied(sys.stdout)


def _emptied(stream: TextIO) -> OSError | None:
    try:
        stream.flush()
    except ValueError:  # somebody has closed it
        return None
    except OSError as error:
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
            stream.flush()
        return error
    return None


def tell(text: str) -> None:
    """Write a line to standard error; one that cannot be written is no reason to end."""
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        _emptied(sys.stderr)


def json_for(out: TextIO, text: str) -> str:
    """JSON as it may stand in this stream: in another encoding than Unicode's, escaped to ASCII."""
    encoding = getattr(out, "encoding", None) or "utf-8"
    if codecs.lookup(encoding).name.startswith("utf"):
        return text
    return re.sub(r"[^\x00-\x7f]", lambda found: json.dumps(found[0])[1:-1], text)
