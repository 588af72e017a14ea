"""What a server is told of a function that it may call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Tool"]


@dataclass(frozen=True)
class Tool:
    """A function's name, purpose and arguments."""

    name: str
    """Letters, digits, ``_`` and ``-``, at most 64: what all services accept."""
    description: str
    """What it is for, in words that a language model understands."""
    parameters: Mapping[str, Any]
    """JSON Schema of an object: the arguments by name."""
