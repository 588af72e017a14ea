"""What the settings of most dialects have in common: an address, a key, further options."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from voicews.callables import safe_repr
from voicews.config import AudioFormat
from voicews.dialects.base import bare_url
from voicews.errors import ConfigError

__all__ = [
    "checked_format",
    "checked_headers",
    "checked_json",
    "checked_number",
    "checked_text",
    "checked_texts",
    "checked_url",
    "given_key",
]


_HOST = re.compile(r"[A-Za-z0-9][\w.-]*:\d{1,5}(/[\w./-]*)?|localhost(/[\w./-]*)?")
"""What is meant for an address by those who leave out the scheme; it can hold no credential."""


def checked_url(name: str, url: object) -> str:
    """A WebSocket address.

    Args:
        name: of the setting, such as ``Plain.url``.

    Raises:
        ConfigError: it is none; the message shows neither its query nor its credentials.
    """
    text = url if isinstance(url, str) else ""
    try:
        parts = urlsplit(text)
        valid = (
            parts.scheme in ("ws", "wss")
            and bool(parts.hostname)
            and parts.port != 0
            and not parts.fragment
            and not any(character.isspace() for character in text)
        )
    except ValueError:
        valid = False
    if not valid:
        raise ConfigError(
            f"{name} is {_shown(url)}; it must be the address of a WebSocket server, "
            f"such as ws://localhost:8765 or wss://voice.example/talk{_meant(text)}"
        )
    return text


def _shown(url: object) -> str:
    """As much of a wrong address as anybody may see."""
    if not isinstance(url, str):
        return "None" if url is None else f"of type {type(url).__name__}"
    bare = bare_url(url)
    if bare:
        return repr(bare) if bare == url else f"{bare!r} (the rest is not shown)"
    if _HOST.fullmatch(url):
        return repr(url)
    return "not one (it is not shown, for a password may be in it)" if url.strip() else "empty"


def _meant(url: str) -> str:
    bare = bare_url(url)
    if _HOST.fullmatch(url):
        return f"; did you mean ws://{url}?"
    if bare.startswith(("http://", "https://")):
        return f"; did you mean {bare.replace('http', 'ws', 1)}?"
    if bare.startswith(("ws://", "wss://")) and "#" in url:
        return "; leave out what begins with #"
    return ""


def given_key(name: str, key: object, variable: str, *, needed: bool) -> str:
    """The key that was given, or else that of the environment; empty where neither is and none is needed.

    Args:
        name: of the setting, such as ``DeepgramListen.key``.
        key: None looks into the environment; an empty string is no key, on purpose.
        variable: of the environment.
        needed: False for servers of one's own.

    Raises:
        ConfigError: there is none, or it cannot stand in a header; the message does not show it.
    """
    if key is None:
        key = os.environ.get(variable, "").strip()
        if not key and needed:
            raise ConfigError(f'{name} is missing: set {variable} in the environment, or give key="…"')
    if not isinstance(key, str) or not key.isascii() or not (key.isprintable() and " " not in key):
        raise ConfigError(
            f"{name} cannot be a key (it is not shown): a key is printable ASCII without spaces"
        )
    return key


def checked_text(name: str, value: object) -> str:
    """A string that is not empty.

    Raises:
        ConfigError: it is something else.
    """
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{name} is {safe_repr(value)}; it must be a non-empty string")
    return value


def checked_texts(name: str, value: object) -> tuple[str, ...]:
    """Strings, copied.

    Raises:
        ConfigError: it is something else; a single string is taken for a slip.
    """
    if (
        isinstance(value, str)
        or not isinstance(value, Sequence)
        or not all(isinstance(part, str) for part in value)
    ):
        raise ConfigError(f"{name} is {safe_repr(value)}; it must be a sequence of strings")
    return tuple(value)


def checked_number(name: str, value: object, least: float, unit: str, *, optional: bool = False) -> None:
    """A number of at least so much, or None where that is allowed.

    Raises:
        ConfigError: it is something else.
    """
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= least:
        or_none = ", or None" if optional else ""
        raise ConfigError(f"{name} is {safe_repr(value)}; it must be {least:g} or more {unit}{or_none}")


def checked_headers(name: str, value: object) -> dict[str, str]:
    """Headers of the handshake, copied.

    Raises:
        ConfigError: they are not strings; the message does not show them.
    """
    if not isinstance(value, Mapping) or not all(
        isinstance(part, str) for item in value.items() for part in item
    ):
        raise ConfigError(f"{name} must be a mapping with strings as names and values")
    return dict(value)


def checked_json(name: str, value: object) -> dict[str, Any]:
    """A mapping that can be written as JSON, copied so that nobody can change it later.

    Raises:
        ConfigError: it cannot; the message does not show it, for it may hold a token.
    """
    try:
        copy = json.loads(json.dumps(dict(value), allow_nan=False))  # type: ignore[call-overload]
    except (TypeError, ValueError, RecursionError):
        raise ConfigError(
            f"{name} must be a mapping that can be written as JSON: strings, numbers, lists …"
        ) from None
    return dict(copy)


def checked_format(name: str, value: object, *, mono: bool = True) -> AudioFormat:
    """A format of sound.

    Raises:
        ConfigError: it is none, or has two channels where the service takes one.
    """
    if not isinstance(value, AudioFormat):
        raise ConfigError(f"{name} is {safe_repr(value)}; it must be an AudioFormat")
    if mono and value.channels != 1:
        raise ConfigError(f"{name} is {value}; this service takes one channel (mono) only")
    return value
