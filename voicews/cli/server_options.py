"""The options that say which server it is and by which way, and what they mean."""

from __future__ import annotations

import argparse
import textwrap
from dataclasses import replace

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
    return made(kind, arguments.set, **given)


def described_way(arguments: argparse.Namespace) -> ClientConfig:
    """The default settings, with the proxy and the authorities of the command line.

    Raises:
        ConfigError: that is no proxy; the message does not show it, for a password may be in it.
    """
    config = ClientConfig()
    if arguments.ca_file is not None:
        config = replace(config, tls=TlsSettings(ca_file=arguments.ca_file))
    if arguments.proxy is None:
        return config
    if arguments.proxy == "environment":
        return replace(config, proxy=ProxySettings(environment=True))
    try:
        return replace(config, proxy=ProxySettings(url=arguments.proxy))
    except ConfigError as error:
        raise ConfigError(str(error).replace("ProxySettings.url", "--proxy")) from error
