"""What Deepgram's services have in common: the key, and a sign of life where no sound goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from voicews.config import AudioFormat
from voicews.dialects.settings import given_key
from voicews.errors import ConfigError

__all__ = ["Keepalive", "Key", "Scheme", "authorization", "checked_key", "linear16"]

Key = str | Callable[[], str] | None
"""The key itself, a function that gives one, or None for that of the environment."""

Scheme = Literal["Token", "Bearer"]
"""How a key is shown: "Token" for API keys, "Bearer" for the temporary tokens made from them."""

_VARIABLE = "DEEPGRAM_API_KEY"
_CLOUD = ".deepgram.com"


def checked_key(name: str, key: Key, host: str, scheme: Scheme) -> Key:
    """A key that can be used; a function is left for later.

    Args:
        name: of the setting.
        host: of the server; only Deepgram's own has to have a key.

    Raises:
        ConfigError: it is missing or cannot be one, or the scheme is unknown.
    """
    if scheme not in ("Token", "Bearer"):
        raise ConfigError(
            f'{name.split(".", maxsplit=1)[0]}.scheme is {scheme!r}; it must be "Token" or "Bearer"'
        )
    if callable(key):
        return key
    return given_key(name, key, _VARIABLE, needed=host.endswith(_CLOUD))


def authorization(name: str, key: Key, scheme: Scheme) -> dict[str, str]:
    """The header that shows the key; a function is asked for it now.

    Raises:
        ConfigError: the function gave no key.
    """
    if callable(key):
        key = given_key(name, key(), _VARIABLE, needed=True)
    return {"Authorization": f"{scheme} {key}"} if key else {}


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
