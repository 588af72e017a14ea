"""`voicews serve`: the embedded assistant as a server of its own."""

from __future__ import annotations

import argparse
import errno
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from voicews.cli.arguments import (
    EARS,
    VOICES,
    HelpFormatter,
    add_interruptions_option,
    add_verbosity,
    host,
    port,
)
from voicews.cli.failures import EXIT_CODES, OK, CommandFailed
from voicews.cli.signals import Stopped, held
from voicews.cli.streams import tell
from voicews.errors import TransportError

if TYPE_CHECKING:
    from voicews.assistant import AssistantServer

__all__ = ["add_parser", "run"]

DEFAULT_PORT = 8765

_EXAMPLES = f"""\
It hears, answers and speaks on this computer, with no account and no network.
Ctrl+C or SIGTERM ends it. It has no password: give it a --host other than
this computer's own only in a network that you trust.

A brain is any function that takes the conversation so far and the user's new
words, and yields pieces of the answer's text:

  def answer(history, text):          # in mybrain.py
      yield f"You said {{text}}"

examples:
  voicews serve
  voicews serve --port 9000 --ears pocketsphinx
  voicews serve --brain mybrain:answer

{EXIT_CODES}"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "serve",
        help="run a voice server on this computer",
        description="Run a voice server that hears and speaks; talk to it with `voicews talk`.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument(
        "--host", type=host, default="127.0.0.1", help="address to listen on (default: %(default)s)"
    )
    parser.add_argument(
        "--port",
        type=port,
        default=DEFAULT_PORT,
        help="port to listen on; 0 picks a free one (default: %(default)s)",
    )
    parser.add_argument(
        "--brain", metavar="MODULE:FUNCTION", help="what answers (default: a small home helper)"
    )
    parser.add_argument(
        "--ears",
        choices=EARS,
        default="auto",
        help="what hears: whisper understands any words, pocketsphinx only the home helper's sentences "
        "but on the smallest computers (default: %(default)s)",
    )
    parser.add_argument(
        "--voice",
        choices=VOICES,
        default="auto",
        help="what speaks (default: %(default)s: the first of these that is installed)",
    )
    parser.add_argument(
        "--whisper-model",
        type=Path,
        metavar="FOLDER",
        help="another Whisper model, in CTranslate2's format, for the ears",
    )
    add_interruptions_option(parser)
    add_verbosity(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl+C or SIGTERM.

    Raises:
        VoicewsError: it could not be started, or not be ended in time.
    """
    with held():
        from voicews.assistant import AssistantConfig, AssistantServer
        from voicews.assistant.brain import load_brain

    if arguments.brain:
        # As `python -m` does: the module is mostly in the folder where the command is given.
        sys.path.insert(0, str(Path.cwd()))
    server = AssistantServer(
        arguments.host,
        arguments.port,
        brain=load_brain(arguments.brain) if arguments.brain else None,
        ears=arguments.ears,
        voice=arguments.voice,
        model_dir=arguments.whisper_model,
        config=AssistantConfig(interruptible=arguments.interruptions),
    )
    ready = False
    try:
        tell("loading the models…")
        with held():
            _start(server, arguments.port)
        ready = True
        print(server.url, flush=True)
        assert server.ears is not None
        assert server.voice is not None
        tell(
            f"ready after {server.startup:.1f} s; "
            f"hears with {server.ears.name}, speaks with {server.voice.name}.\n"
            f"Talk to it:  voicews talk {server.url}\n"
            "Ctrl+C ends it."
        )
        server.wait()
    except Stopped:
        if not ready:
            raise
    finally:
        server.close()
    return OK


def _start(server: AssistantServer, port: int) -> None:
    try:
        server.start()
    except TransportError as error:
        if port and isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE:
            raise CommandFailed(f"{error} (--port 0 picks a free one)") from error
        raise
