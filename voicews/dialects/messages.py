"""Messages in JSON: how they are written, and how those of others are read with due distrust.

A server's message may be anything.  Each reader of a field gives the value if it is there and
of the right kind, and otherwise what stands for its absence; none of them raises.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

__all__ = [
    "Json",
    "clean",
    "items_of",
    "loose_number",
    "loose_truth",
    "merged",
    "number_of",
    "object_of",
    "parsed",
    "text_of",
    "written",
]

Json = dict[str, Any]
"""A JSON object."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_LARGEST = 1e15
"""No time, rate or number of an event is larger; what is, could not be counted with."""


def written(message: Mapping[str, Any]) -> str:
    """Compact, and pure ASCII, so that no half of a surrogate pair can make the WebSocket refuse it."""
    return json.dumps(dict(message), allow_nan=False, separators=(",", ":"))


def merged(settings: Mapping[str, Any], further: Mapping[str, Any]) -> Json:
    """Both, object by object; the further one wins."""
    both = dict(settings)
    for name, value in further.items():
        own = both.get(name)
        both[name] = merged(own, value) if isinstance(own, Mapping) and isinstance(value, Mapping) else value
    return both


def parsed(message: str | bytes) -> Any:
    """What a message says in JSON; the message itself if it is none."""
    try:
        return json.loads(message, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return message


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def clean(text: str) -> str:
    """JSON can escape half a surrogate pair, which nobody could print or send on."""
    return _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def text_of(data: Mapping[str, Any], key: str) -> str | None:
    """A string, cleaned."""
    value = data.get(key)
    return clean(value) if isinstance(value, str) else None


def number_of(data: Mapping[str, Any], key: str) -> float | None:
    """A finite number of sensible size; true and false are none."""
    value = data.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -_LARGEST <= value <= _LARGEST and not math.isnan(value) else None


def loose_number(value: object) -> float | None:
    """A number, or one that was written as text; it may be infinite, or more than a float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    except OverflowError:
        return math.inf
    return None if math.isnan(number) else number


def loose_truth(value: object) -> bool | None:
    """True or false, or one of them written as a number or as text; None if it is neither."""
    if isinstance(value, str):
        return _TRUTHS.get(value.strip().lower())
    return bool(value) if isinstance(value, int | float) else None


def object_of(data: Mapping[str, Any], key: str) -> Json:
    """An object; empty if it is missing."""
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def items_of(data: Mapping[str, Any], key: str) -> list[Json]:
    """The objects of a list; empty if it is missing."""
    value = data.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
