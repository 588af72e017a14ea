"""The options that say which server it is and by which way, and what they mean."""

from __future__ import annotations

import argparse
import re
import textwrap
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from voicews.cli.arguments import header, setting
from voicews.cli.dialects import chosen, made, names
from voicews.config import ClientConfig, ProxySettings, TlsSettings
from voicews.dialects.base import Dialect
from voicews.errors import ConfigError

__all__ = ["DIALECTS", "add_server_options", "described_server", "described_way"]

DIALECTS = f"""\
dialects:
{textwrap.indent(textwrap.fill(", ".join(names()), 76), "  ")}
"""


_PORT = re.compile(r"wss?://[^\s/?#:@]+:(\d{1,9})(?:[/?#]|$)", re.IGNORECASE | re.ASCII)
_WELL_FORMED = re.compile(r"wss?://[^\s/?#:]", re.IGNORECASE)


def add_server_options(parser: argparse.ArgumentParser) -> None:
    """URL, ``--dialect``, ``--set``, ``--header``, ``--proxy`` and ``--ca-file``."""
    parser.add_argument(
        "url",
        metavar="URL",
        nargs="?",
        help="where the server is: ws://host:port/path or wss://…; many dialects know it themselves",
    )
    parser.add_argument(
        "--dialect",
        default="plain",
        metavar="NAME",
        help="the server's language, of which there is a list below; the beginning of a name is enough "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--set",
        type=setting,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the dialect, as its documentation names them; may be given several times",
    )
    parser.add_argument(
        "--header",
        type=header,
        action="append",
        default=[],
        metavar='"NAME: VALUE"',
        help="a further header of the handshake; may be given several times",
    )
    parser.add_argument(
        "--proxy",
        metavar="URL",
        help="go by this proxy: http://host:port or socks5h://host:port; `environment` takes it from "
        "https_proxy, http_proxy or all_proxy, which nobody else can read as they can a command line "
        "(default: none, whatever the environment says)",
    )
    parser.add_argument(
        "--ca-file",
        metavar="FILE.pem",
        help="trust the authorities in this file, instead of the system's, for wss://",
    )


def described_server(arguments: argparse.Namespace) -> Dialect:
    """What the command line describes.

    Raises:
        ConfigError: there is no such dialect, or a setting is wrong.
    """
    given: dict[str, object] = {}
    if arguments.url is not None:
        given["url"] = arguments.url
    if arguments.header:
        given["headers"] = dict(arguments.header)
    if getattr(arguments, "resume", None) is not None:
        given["resume"] = arguments.resume
    kind = chosen(arguments.dialect)
    arguments.keys = kind.key_variables  # for whoever has to say what went wrong
    if "url" not in given and all(name != "url" for name, _ in arguments.set) and kind is names()["plain"]:
        raise ConfigError("where is the server? Give its URL, or a --dialect that knows it")
    try:
        return made(kind, arguments.set, **given)
    except ConfigError as error:
        if arguments.url is None or ".url" not in str(error):
            raise
        if (port := _PORT.match(arguments.url)) and not 1 <= int(port[1]) <= 65535:
            raise ConfigError(f"the URL has the port {int(port[1])}; it must be from 1 to 65535") from error
        if _WELL_FORMED.match(arguments.url):
            raise
        better = _better_url(arguments.url)
        raise ConfigError(
            "the URL must look like ws://host:port/path or wss://host/path"
            + (f"; did you mean {better}?" if better else "")
        ) from error


def _better_url(url: str) -> str | None:
    """What was probably meant by an address that cannot be one; nothing of it that could be secret."""
    scheme, rest = "", url
    # "localhost:8765" begins with a host, and "ws:8765" too.
    if found := re.fullmatch(r"([a-zA-Z]{0,6})(?:[:;]/{0,3}|/{2,3})(?!\d+(?:/|$))(.+)", url):
        scheme, rest = found[1].lower(), found[2]
    where = re.fullmatch(
        r"(\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::(\d{1,5}))?(/[^?#@\s]*)?(?:[?#].*)?", rest, re.ASCII
    )
    if where is None or int(where[2] or 1) not in range(1, 65536):
        return None
    host, number = where[1], f":{where[2]}" if where[2] else ""
    near = host == "localhost" or host.endswith(".local") or re.fullmatch(r"[\d.]+|\[.*\]", host)
    meant = {"http": "ws", "https": "wss", "": "ws" if near or number else "wss"}.get(scheme)
    meant = meant or next(iter(get_close_matches(scheme, ("wss", "ws"), 1, 0.5)), None)
    return meant and f"{meant}://{host}{number}{where[3] or ''}"


def described_way(arguments: argparse.Namespace) -> ClientConfig:
    """The default settings, with the proxy and the authorities of the command line.

    Raises:
        ConfigError: that is no proxy; the message does not show it, for a password may be in it.
    """
    config = ClientConfig()
    if arguments.ca_file is not None:
        if not Path(arguments.ca_file).is_file():  # also where no TLS would ever read it
            raise ConfigError(f"--ca-file {arguments.ca_file} was not found; give the path of a PEM file")
        config = replace(config, tls=TlsSettings(ca_file=arguments.ca_file))
    if arguments.proxy is None:
        return config
    if arguments.proxy == "environment":
        return replace(config, proxy=ProxySettings(environment=True))
    return replace(config, proxy=ProxySettings(url=arguments.proxy))
