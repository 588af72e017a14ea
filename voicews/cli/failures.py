"""How a command ends: exit codes, and errors in one line that says what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from voicews.errors import (
    ConnectFailed,
    ConnectTimeout,
    DeviceNotFound,
    HandshakeRejected,
    MessageTooLarge,
    ProxyFailed,
    RemoteProtocolError,
    TlsFailed,
    VoicewsError,
)

__all__ = ["BROKEN_PIPE", "EXIT_CODES", "FAILED", "OK", "USAGE", "CommandFailed", "advice", "one_line"]

OK = 0
FAILED = 1
USAGE = 2
BROKEN_PIPE = 141

EXIT_CODES = """\
exit codes:
  0    done; Ctrl+C and SIGTERM are how a live conversation and a server are
       meant to end, so these end with 0 too
  1    it failed: one line on stderr says why and what to do
  2    the command line, or a setting on it, is wrong
  130  Ctrl+C came before it was done (143: SIGTERM)
  141  nobody reads stdout any more, as in `voicews … | head`
"""


class CommandFailed(VoicewsError):
    """A command did not do what it was asked to; the message is for people."""


_ADVICE: tuple[tuple[type[VoicewsError], str], ...] = (
    (
        TlsFailed,
        "check the address, this computer's clock and the server's certificate; --ca-file trusts your own",
    ),
    (ProxyFailed, "check --proxy, and the name and password in it if it wants them"),
    (ConnectTimeout, "check the address, the network and whether the server is busy"),
    (ConnectFailed, "check the address and whether a server runs there; `voicews serve` starts one"),
    (MessageTooLarge, "is this a voice server?"),
    (RemoteProtocolError, "is this a voice server, and does it speak this dialect? See --dialect"),
    (
        DeviceNotFound,
        "`voicews devices` lists what there is; --input and --output take WAV files, VOICEWS_AUDIO=null none",
    ),
)
_FOR_PROGRAMMERS = re.compile(
    r"; is the server running\?$|; without one: .*$"
    r"|: check the (?:key or token|path of the URL|name and password in ProxySettings\.url)$"
    r"|; it wants a name and password in ProxySettings\.url$"
)
"""Advice that the library's own messages end with, where the command has one in its own words."""


def advice(error: BaseException, keys: Sequence[str] = ()) -> str | None:
    """What a user of the command can do about an error; None if its own message says it.

    Args:
        keys: variables of the environment that the dialect takes its key from.
    """
    if isinstance(error, HandshakeRejected):
        if error.status in (401, 403):
            where = (
                f"in the environment, {' or '.join(keys)}"
                if keys
                else '--header "Authorization: Bearer TOKEN"'
            )
            return f"it wants a {'key' if keys else 'token'}, or another one: {where}"
        return "check the path of the address" if error.status == 404 else None
    return next((text for kind, text in _ADVICE if isinstance(error, kind)), None)


def one_line(error: BaseException, url: str | None = None, keys: Sequence[str] = ()) -> str:
    """An error's text in one line, with advice.

    Args:
        url: of the server, if there is one; its host is named where the error does not.
        keys: see :func:`advice`.
    """
    text = " ".join(str(error).split()) or type(error).__name__
    if url is not None and isinstance(error, HandshakeRejected):
        # Tokens may be anywhere else in it.
        text = text.replace("the server", f"the server {urlsplit(url).netloc.rpartition('@')[2]}", 1)
    hint = advice(error, keys)
    return f"{_FOR_PROGRAMMERS.sub('', text)} ({hint})" if hint else text
