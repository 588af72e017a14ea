"""Events as JSON, one per line: in the files of a recording, and what ``--json`` writes."""

from __future__ import annotations

import dataclasses
import enum
import json
import re
from collections.abc import Mapping
from typing import Any

from voicews.events import Event

__all__ = ["to_json"]

_UNSAFE = re.compile("[\x7f-\x9f\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""JSON may hold them as they are, but they end lines, command terminals, or (halves of pairs that UTF-8
cannot write, from a server's escapes) end the writing itself."""
_NAMES = {"event": "during"}
"""Fields that are called otherwise: ``event`` is every line's own kind."""


def to_json(event: Event, began: float) -> str:
    """One event as a line.

    ``event`` is its class and ``at`` the seconds since ``began`` (monotonic); the other names
    are its fields.  An error is an object of ``type`` and ``message``, sound is the number of
    its bytes, a state is its name; the event during which a callback failed is ``during``.
    """
    members = {"event": type(event).__name__, "at": round(event.at - began, 4), **_fields(event)}
    line = json.dumps(members, ensure_ascii=False)
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def _fields(value: Any) -> dict[str, Any]:
    return {
        _NAMES.get(field.name, field.name): _plain(getattr(value, field.name))
        for field in dataclasses.fields(value)
        if field.name != "at"
    }


def _plain(value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return round(value, 6)
        case bytes():
            return len(value)
        case enum.Enum():
            return value.name
        case BaseException():
            return {"type": type(value).__name__, "message": " ".join(str(value).split())}
        case Event():
            return {"event": type(value).__name__, **_fields(value)}
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _ if dataclasses.is_dataclass(value):
            return _fields(value)
        case _:
            return str(value)
