"""What a client can say; a dialect puts it into its server's words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from voicews.errors import ConfigError

__all__ = [
    "Command",
    "EndTurn",
    "InterruptResponse",
    "SendAudio",
    "SendMessage",
    "SendText",
    "StartTurn",
    "ToolResult",
    "TruncateResponse",
]


@dataclass(frozen=True)
class Command:
    """The root."""


@dataclass(frozen=True)
class SendAudio(Command):
    """One captured frame; the only command that may be dropped."""

    pcm: bytes = field(repr=False)
    """Samples in the dialect's ``input_format``."""
    at: float = field(compare=False)
    """:func:`time.monotonic` when its last sample was captured."""


@dataclass(frozen=True)
class SendText(Command):
    """A user's turn in writing."""

    text: str


@dataclass(frozen=True)
class StartTurn(Command):
    """The user has begun to speak (push to talk)."""


@dataclass(frozen=True)
class EndTurn(Command):
    """The user has finished: answer now (push to talk)."""


@dataclass(frozen=True)
class InterruptResponse(Command):
    """Stop answering."""


@dataclass(frozen=True)
class TruncateResponse(Command):
    """The user heard only this much of the last answer."""

    heard_ms: int


@dataclass(frozen=True)
class ToolResult(Command):
    """What a called function returned, or how it failed."""

    call_id: str
    result: Any = None
    error: str | None = None


@dataclass(frozen=True)
class SendMessage(Command):
    """A message in the server's own words: JSON if a mapping, else as it is.

    A mapping is copied, for it may have to wait until it can be sent.

    Raises:
        ConfigError: the mapping cannot be written as JSON, or the text not as UTF-8.
    """

    data: Mapping[str, Any] | str | bytes

    def __post_init__(self) -> None:
        try:
            if isinstance(self.data, Mapping):
                written = json.dumps(dict(self.data), allow_nan=False)
                object.__setattr__(self, "data", json.loads(written))
            elif isinstance(self.data, str):
                self.data.encode()
            elif not isinstance(self.data, bytes):
                raise TypeError(f"{type(self.data).__name__} is none of mapping, text and bytes")
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigError(f"SendMessage.data cannot be sent: {error}") from error
