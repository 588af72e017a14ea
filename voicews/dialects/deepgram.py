"""What Deepgram's services have in common: the key, and a sign of life where no sound goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal
from urllib.parse import urlsplit

from voicews.callables import safe_repr
from voicews.config import AudioFormat
from voicews.dialects.settings import given_key
from voicews.errors import ConfigError

__all__ = ["Keepalive", "Key", "Scheme", "authorized", "checked_key", "linear16"]

Key = str | Callable[[], str] | None
"""The key itself, a function that gives one, or None for that of the environment."""

Scheme = Literal["Token", "Bearer"]
"""How a key is shown: "Token" for API keys, "Bearer" for the temporary tokens made from them."""

_VARIABLE = "DEEPGRAM_API_KEY"
_CLOUD = ".deepgram.com"


def checked_key(name: str, key: Key, url: str, scheme: Scheme, headers: Mapping[str, str]) -> Key:
    """A key that can be used; a function is left for later.

    Args:
        name: of the setting.
        url: of the server; only Deepgram's own has to have a key, and only it gets that of the
            environment.
        headers: further ones; they may show a key themselves.

    Raises:
        ConfigError: it is missing or cannot be one, or the scheme is unknown.
    """
    if scheme not in ("Token", "Bearer"):
        owner = name.split(".", maxsplit=1)[0]
        raise ConfigError(f'{owner}.scheme is {safe_repr(scheme)}; it must be "Token" or "Bearer"')
    if callable(key):
        return key
    cloud = (urlsplit(url).hostname or "").endswith(_CLOUD)
    shown = any(header.lower() == "authorization" for header in headers)
    if key is None and (shown or not cloud):
        return ""
    return given_key(name, key, _VARIABLE, needed=True)


def authorized(name: str, key: Key, scheme: Scheme, headers: Mapping[str, str]) -> dict[str, str]:
    """The headers, and one that shows the key unless they do; a function is asked for it now.

    Raises:
        ConfigError: the function gave no key.
    """
    if callable(key):
        key = given_key(name, key(), _VARIABLE, needed=True)
    if not key or any(header.lower() == "authorization" for header in headers):
        return dict(headers)
    return {"Authorization": f"{scheme} {key}", **headers}


class Keepalive:
    """Tells, when asked at even intervals, whether nothing was said in the last one."""

    def __init__(self) -> None:
        self._spoken = True

    def spoke(self) -> None:
        """Something has been said."""
        self._spoken = True

    def due(self) -> bool:
        """True if nothing was said since the question before."""
        due, self._spoken = not self._spoken, False
        return due


def linear16(format: AudioFormat) -> dict[str, str | int]:
    """Both services' words for uncompressed sound."""
    return {"encoding": "linear16", "sample_rate": format.rate}
