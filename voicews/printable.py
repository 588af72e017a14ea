"""What strangers write, made fit for a terminal and a log."""

from __future__ import annotations

import re

__all__ = ["host_port", "printable"]

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control characters (C0 and C1, which begin a terminal's commands), other line breaks, and what turns the
direction of writing, so that a text looks like another one."""
_BREAKS = "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029"


def printable(text: str, *, lines: bool = False) -> str:
    """The text without what would command a terminal, or begin another line of a log.

    Args:
        text: anything.
        lines: keep tabs and line feeds.  By default they become blanks, like other line breaks; what else
            is not to be printed becomes a replacement character (U+FFFD).
    """

    def harmless(found: re.Match[str]) -> str:
        if lines and found[0] in "\t\n":
            return found[0]
        return " " if found[0] in _BREAKS else "\N{REPLACEMENT CHARACTER}"

    return _CONTROLS.sub(harmless, text)


def host_port(host: str, port: int) -> str:
    """An address for people, with brackets round that of IPv6."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
