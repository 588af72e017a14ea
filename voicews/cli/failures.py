"""How a command ends: exit codes, and errors in one line that says what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from voicews.cli.dialects import names
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
from voicews.extras import extra_command

__all__ = [
    "BROKEN_PIPE",
    "EXIT_CODES",
    "FAILED",
    "OK",
    "USAGE",
    "CommandFailed",
    "advice",
    "brief",
    "in_words",
    "joined",
    "one_line",
    "without_rich",
]

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


_THE_PROXY = "check --proxy, and the name and password in it if it wants them"
_ADVICE: tuple[tuple[type[VoicewsError], str], ...] = (
    (
        TlsFailed,
        "check the address, this computer's clock and the server's certificate; --ca-file trusts your own",
    ),
    (ProxyFailed, _THE_PROXY),
    (ConnectTimeout, "check the address, the network and whether the server is busy"),
    (ConnectFailed, "check the address and whether a server runs there; `voicews serve` starts one"),
    (MessageTooLarge, "is this a voice server?"),
    (RemoteProtocolError, "is this a voice server, and does it speak this dialect? See --dialect"),
    (
        DeviceNotFound,
        "`voicews devices` lists them; without any, give --input and --output, or set VOICEWS_AUDIO=null",
    ),
)
_FOR_PROGRAMMERS = re.compile(
    r"; is (?:the server|it) running\?$|; without one: .*$|; NullSink\(\) does without$"
    r"|; take PyAudioSpeaker\(\)(?: instead)?$"
    r"|: check the (?:key or token|path of the URL|name and password in ProxySettings\.url)$"
    r"|; it wants a name and password in ProxySettings\.url$"
)
"""Advice that the library's own messages end with, where the command has one in its own words."""
_LIMITS = re.compile(r"(within|than) (?:Timeouts|Limits)\.\w+(?: \(([^)]*)\))?")
_OWNERS = ("Request", "ProxySettings", "TlsSettings", *(one.__name__ for one in names().values()))
_SETTINGS = re.compile(
    rf"\b({'|'.join(_OWNERS)})"
    r"\.([a-z_]+)(?:\['([^']*)'\])?"
)
_NO_TLS = re.compile("hung up during the TLS|does not speak TLS")
_OPTIONS = {"url": "the URL", "headers": "--header", "key": "the key", "ca_file": "--ca-file"}


def in_words(text: str) -> str:
    """A message of the library as the command says it: options for settings, and no classes."""
    text = _LIMITS.sub(lambda found: f"{found[1]} {found[2]}" if found[2] else "in time", text)
    # A key on the command line could be read in the list of processes.
    text = text.removesuffix(', or give key="…"')
    return _SETTINGS.sub(_option, text)


def _option(found: re.Match[str]) -> str:
    owner, name, item = found.groups()
    if owner == "ProxySettings":
        return "--proxy" if name == "url" else f"--proxy {name}"
    known = _OPTIONS.get(name) or (name if owner in ("Request", "TlsSettings") else f"--set {name}")
    return f"{known} {item}" if item else known


def brief(error: BaseException) -> str:
    """One line of an error's text, for people, without advice."""
    text = " ".join(str(error).split()) or type(error).__name__
    return in_words(_FOR_PROGRAMMERS.sub("", text))


def joined(first: str, second: str) -> str:
    """Two parts of a line with what belongs between them."""
    if first.endswith(("?", "!", ".")):
        return f"{first} {second[:1].upper()}{second[1:]}"
    return f"{first}; {second}"


def advice(error: BaseException, keys: Sequence[str] = ()) -> str | None:
    """What a user of the command can do about an error; None if its own message says it.

    Args:
        keys: variables of the environment that the dialect takes its key from.
    """
    if "s it a ws:// server?" in str(error):
        return None
    if isinstance(error, HandshakeRejected):
        if error.status in (401, 403):
            where = (
                f"in the environment, {' or '.join(keys)}"
                if keys
                else '--header "Authorization: Bearer TOKEN"'
            )
            return f"it wants a {'key' if keys else 'token'}, or another one: {where}"
        return "check the path of the address" if error.status == 404 else None
    if isinstance(error, ConnectFailed) and str(error).startswith("the proxy "):
        return _THE_PROXY
    return next((text for kind, text in _ADVICE if isinstance(error, kind)), None)


def without_rich() -> str:
    """Why there are plain lines on a terminal."""
    return f"voicews: the live display needs rich, so here come plain lines: {extra_command('cli')}"


def one_line(error: BaseException, url: str | None = None, keys: Sequence[str] = ()) -> str:
    """An error's text in one line, with advice.

    Args:
        url: of the server, if there is one; its host is named where the error does not.
        keys: see :func:`advice`.
    """
    hint = _other_scheme(error, url) or advice(error, keys)
    text = brief(error) if hint else in_words(" ".join(str(error).split()) or type(error).__name__)
    if url is not None and isinstance(error, HandshakeRejected):
        # Tokens may be anywhere else in it.
        text = text.replace("the server", f"the server {urlsplit(url).netloc.rpartition('@')[2]}", 1)
    return f"{text.rstrip('.')} ({hint})" if hint else text


def _other_scheme(error: BaseException, url: str | None) -> str | None:
    """What to do where one side speaks TLS and the other seems not to; None if that is not it, or is said."""
    text, scheme = str(error), (url or "").partition("://")[0].lower()
    if scheme == "wss" and isinstance(error, ConnectFailed) and _NO_TLS.search(text) and "ws://" not in text:
        return "if the server has no TLS, its address begins with ws://"
    unlike_http = (
        (isinstance(error, ConnectFailed) and not isinstance(error, ConnectTimeout | ProxyFailed))
        or isinstance(error, RemoteProtocolError)
        or (isinstance(error, HandshakeRejected) and error.status == 400)
    )
    if scheme == "ws" and unlike_http and "handshake" in text and "wss://" not in text:
        return "is a WebSocket server there? If it has TLS, its address begins with wss://"
    return None
