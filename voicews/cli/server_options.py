"""The options that say which server it is, and what they mean."""

from __future__ import annotations

import argparse
import textwrap

from voicews.cli.arguments import header, setting
from voicews.cli.dialects import chosen, made, names
from voicews.dialects.base import Dialect
from voicews.errors import ConfigError

__all__ = ["DIALECTS", "add_server_options", "described_server"]

DIALECTS = f"""\
dialects:
{textwrap.indent(textwrap.fill(", ".join(names()), 76), "  ")}
"""


def add_server_options(parser: argparse.ArgumentParser) -> None:
    """URL, ``--dialect``, ``--set`` and ``--header``."""
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
