"""`voicews talk`: a conversation with any voice server."""

from __future__ import annotations

import argparse
import textwrap
from dataclasses import replace

from voicews.cli.arguments import (
    HelpFormatter,
    add_display_options,
    add_record_option,
    add_sound_options,
    count,
    header,
    setting,
)
from voicews.cli.conversation import Conversation
from voicews.cli.dialects import chosen, made, names
from voicews.cli.failures import EXIT_CODES, OK
from voicews.cli.questions import add_question_options, ask, is_live, recorded_speech
from voicews.cli.signals import Stopped
from voicews.cli.sound import loudspeaker, microphone
from voicews.config import ClientConfig
from voicews.dialects.base import Dialect
from voicews.errors import ConfigError

__all__ = ["add_parser", "run"]

_EXAMPLES = f"""\
Speak, and the answer is played; Ctrl+C ends the conversation. Use headphones:
through open loudspeakers the server hears itself.

examples:
  voicews talk ws://localhost:8765
  voicews talk wss://voice.example/talk --header "Authorization: Bearer $TOKEN"
  voicews talk ws://localhost:8765 --input question.wav --output answer.wav
  voicews talk ws://localhost:8765 --text "What time is it?" --json
  voicews talk --dialect openai --set model=gpt-realtime-2.1
  voicews talk --dialect vosk ws://raspberrypi.local:2700

dialects:
{textwrap.indent(textwrap.fill(", ".join(names()), 76), "  ")}

{EXIT_CODES}"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "talk",
        help="talk with a voice server",
        description="Talk with a voice server: microphone up, loudspeaker down, words on the screen.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
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
    add_sound_options(parser)
    add_question_options(parser)
    parser.add_argument(
        "--header",
        type=header,
        action="append",
        default=[],
        metavar='"NAME: VALUE"',
        help="a further header of the handshake; may be given several times",
    )
    parser.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        help="tell the server at each connection what was said before, so that a conversation "
        "survives a lost connection; not every server understands that (default: what the dialect does)",
    )
    parser.add_argument(
        "--attempts",
        type=count,
        default=5,
        metavar="N",
        help="attempts to reconnect before giving up (default: %(default)s)",
    )
    add_record_option(parser)
    add_display_options(parser)
    parser.set_defaults(run=run)


def _dialect(arguments: argparse.Namespace) -> Dialect:
    """What the command line describes.

    Raises:
        ConfigError: there is no such dialect, or a setting is wrong.
    """
    given: dict[str, object] = {}
    if arguments.url is not None:
        given["url"] = arguments.url
    if arguments.header:
        given["headers"] = dict(arguments.header)
    if arguments.resume is not None:
        given["resume"] = arguments.resume
    kind = chosen(arguments.dialect)
    arguments.keys = kind.key_variables  # for whoever has to say what went wrong
    if "url" not in given and all(name != "url" for name, _ in arguments.set) and kind is names()["plain"]:
        raise ConfigError("where is the server? Give its URL, or a --dialect that knows it")
    return made(kind, arguments.set, **given)


def run(arguments: argparse.Namespace) -> int:
    """Talk.

    Raises:
        VoicewsError: it failed.
    """
    dialect = _dialect(arguments)
    live = is_live(arguments)
    speech = recorded_speech(arguments)
    config = ClientConfig()
    conversation = Conversation(
        dialect,
        microphone(arguments.mic) if live else speech,
        loudspeaker(arguments.speaker, arguments.output),
        replace(config, backoff=replace(config.backoff, max_attempts=arguments.attempts)),
        json=arguments.json,
        plain=arguments.plain or bool(arguments.verbose),
        record=arguments.record,
    )
    try:
        with conversation.shown(), conversation.opened():
            ask(conversation, speech, arguments, answers=dialect.answers)
            if live:
                conversation.follow(lambda: False)
    except Stopped:
        if not (live and conversation.connected):
            raise
    return OK
