"""Which dialect a client speaks when only a URL is named."""

from __future__ import annotations

from voicews.dialects.base import Dialect
from voicews.errors import ConfigError

__all__ = ["dialect_of"]


def dialect_of(server: str | Dialect) -> Dialect:
    """The dialect itself, or for a URL the plain one.

    Raises:
        ConfigError: it is neither, or no URL of a WebSocket server.
    """
    if isinstance(server, Dialect):
        return server
    if not isinstance(server, str):
        raise ConfigError(f"the server must be a URL or a Dialect, not {type(server).__name__}")
    from voicews.dialects.plain import Plain

    return Plain(server)
