"""`voicews talk`: a conversation with any voice server."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TextIO

from voicews.cli.arguments import (
    HelpFormatter,
    add_display_options,
    add_record_option,
    add_sound_options,
    count,
)
from voicews.cli.conversation import Conversation
from voicews.cli.dialects import name_of
from voicews.cli.failures import EXIT_CODES, OK
from voicews.cli.files import standard_files
from voicews.cli.questions import add_question_options, ask, is_live, recorded_speech
from voicews.cli.server_options import DIALECTS, add_server_options, described_server, described_way
from voicews.cli.signals import Stopped
from voicews.cli.sound import loudspeaker, microphone
from voicews.commands import SendText
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

{DIALECTS}
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
    add_server_options(parser)
    add_sound_options(parser)
    add_question_options(parser)
    parser.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        help="tell the server at each connection what was said before, so that a conversation "
        "survives a lost connection; not every server understands that (default: what the dialect does)",
    )
    parser.add_argument(
        "--attempts",
        type=count,
        metavar="N",
        help="attempts to connect, and to connect again, before giving up "
        "(default: 5 until connected, then no limit)",
    )
    add_record_option(parser)
    add_display_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Talk.

    Raises:
        VoicewsError: it failed.
    """
    dialect = described_server(arguments)
    if arguments.text and SendText not in dialect.accepts:
        raise ConfigError(f"{name_of(type(dialect))} takes no --text: say it with --input FILE.wav, or --mic")
    config = described_way(arguments)
    with standard_files(arguments) as out:
        return _talk(arguments, dialect, config, out)


def _talk(arguments: argparse.Namespace, dialect: Dialect, config: ClientConfig, out: TextIO) -> int:
    live = is_live(arguments)
    speech = recorded_speech(arguments)
    if arguments.attempts is not None:
        config = replace(config, backoff=replace(config.backoff, max_attempts=arguments.attempts))
    conversation = Conversation(
        dialect,
        microphone(arguments.mic) if live else speech,
        loudspeaker(arguments.speaker, arguments.output),
        config,
        json=arguments.json,
        plain=arguments.plain or bool(arguments.verbose),
        record=arguments.record,
        out=out,
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
