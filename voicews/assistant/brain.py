"""What the assistant answers: any callable from what was said to pieces of text."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Generator, Iterable
from typing import Any, Protocol, cast, runtime_checkable

from voicews.errors import ConfigError
from voicews.history import History

__all__ = ["Brain", "SpeaksUp", "load_brain", "pieces"]

Brain = Callable[[History, str], Iterable[str]]
"""Called with the turns before and the user's new one; yields pieces of the answer's text.

Each piece is sent and spoken as soon as it can be, so yield early and often.  Joined, the
pieces are the answer: spaces between words have to be in them.  It runs on a thread of its
client, so several can run at once; an answer that is cut off is not iterated further, and a
generator is then closed.
"""


@runtime_checkable
class SpeaksUp(Protocol):
    """What a brain has besides if it can speak up by itself, as a timer does.

    The server asks :meth:`next_due` after every answer and waits for that long.
    """

    def next_due(self) -> float | None:
        """Seconds until it has something to say; None if it has nothing in mind."""

    def take_due(self) -> list[str]:
        """What is to be said now, each once; asked only while somebody is connected."""


def pieces(text: str) -> Generator[str, None, None]:
    """Cut a ready text into words, as a brain that streams would yield them."""
    yield from re.findall(r"\s*\S+", text)


def load_brain(spec: str) -> Brain:
    """Get a brain by name.

    Args:
        spec: ``module:name``, where the name is a function, an object that can be called,
            or a class whose instances can be called (made without arguments).

    Raises:
        ConfigError: it cannot be imported, found or called; the message says which.
    """
    module_name, _, name = spec.partition(":")
    if not module_name or not name:
        raise ConfigError(f"brain is {spec!r}; it must be module:function, such as mybrain:answer")
    try:
        found: Any = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigError(f"brain {spec!r}: cannot import {module_name!r}: {error}") from error
    except Exception as error:
        raise ConfigError(f"brain {spec!r}: importing {module_name!r} failed: {error!r}") from error
    try:
        for part in name.split("."):
            found = getattr(found, part)
    except AttributeError as error:
        raise ConfigError(f"brain {spec!r}: {module_name!r} has no {name!r}") from error
    if isinstance(found, type):
        try:
            found = found()
        except Exception as error:
            raise ConfigError(f"brain {spec!r}: making one failed: {error!r}") from error
    if not callable(found):
        raise ConfigError(f"brain {spec!r} is a {type(found).__name__}; it must be callable")
    return cast("Brain", found)
