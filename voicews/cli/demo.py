"""`voicews demo`: a voice server and a conversation with it, in one command."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from voicews.audio import AudioSink, AudioSource, NullSink, Speaker, WavSink, devices, loudspeakers
from voicews.backoff import Backoff
from voicews.cli.arguments import (
    EARS,
    VOICES,
    HelpFormatter,
    add_display_options,
    add_interruptions_option,
    add_record_option,
    add_sound_options,
    count,
)
from voicews.cli.conversation import Conversation
from voicews.cli.failures import EXIT_CODES, FAILED, OK, USAGE, brief, joined
from voicews.cli.files import standard_files, text_of
from voicews.cli.questions import add_question_options, ask, is_live, recorded_speech
from voicews.cli.recorded_speech import RecordedSpeech
from voicews.cli.signals import Stopped, held
from voicews.cli.sound import loudspeaker, microphone, without_devices
from voicews.cli.streams import tell
from voicews.config import AudioFormat, ClientConfig
from voicews.dialects.plain import Plain
from voicews.errors import AudioError, DeviceNotFound

if TYPE_CHECKING:
    from voicews.assistant import AssistantServer

__all__ = ["add_parser", "run"]

_RECORDING = Path("answer.wav")
_CONFIG = ClientConfig(backoff=Backoff(initial=0.5))
"""A server on the same machine is soon back, and what is said meanwhile (2 s of it) is kept."""

_EXAMPLES = f"""\
With a microphone and a loudspeaker you talk with it until Ctrl+C; use
headphones, or it hears itself. Try "What is seven times eight?", "My name is
Clara.", "Tell me a joke.", "What did I say first?".

Without them, or with --scripted, it is talked to with recorded speech. Its
answers go to a WAV file, the connection is cut once in the middle, and in the
end everything is checked: the words it understood, its answers, their sound,
and whether it still knew after the cut what was said before.

examples:
  voicews demo
  voicews demo --scripted --output answers.wav
  voicews demo --mic usb --speaker usb --turns 3
  voicews demo --text "What time is it?" --output answer.wav

{EXIT_CODES}"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "demo",
        help="talk with a voice server that this command brings along",
        description="Start a voice server on this computer and talk with it: no account, no network.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument(
        "--scripted",
        action="store_true",
        help="recorded speech instead of a microphone, and a check of everything",
    )
    add_sound_options(parser)
    add_question_options(parser)
    parser.add_argument(
        "--turns", type=count, default=0, metavar="N", help="end after N answers (default: at Ctrl+C)"
    )
    parser.add_argument(
        "--drop-after",
        type=count,
        metavar="N",
        help="cut the connection once, after N answers, and watch it being restored; 0 never cuts "
        "(default: in the middle of the scripted conversation)",
    )
    parser.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="tell the server after a lost connection what was said before (default: yes)",
    )
    parser.add_argument(
        "--ears",
        choices=EARS,
        default="auto",
        help="see `voicews serve --help`",
    )
    parser.add_argument("--voice", choices=VOICES, default="auto", help="what speaks; likewise")
    add_interruptions_option(parser)
    add_record_option(parser)
    add_display_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Demonstrate.

    Raises:
        VoicewsError: it failed.
    """
    if arguments.scripted and (
        arguments.mic is not None or arguments.speaker is not None or arguments.input or arguments.text
    ):
        tell(
            "voicews demo: --scripted brings its own speech and writes to a file; it goes with "
            "--output and --record only"
        )
        return USAGE
    with standard_files(arguments) as out:
        arguments.text = [text_of(text) for text in arguments.text]
        return _demonstrate(arguments, out)


def _demonstrate(arguments: argparse.Namespace, out: TextIO) -> int:
    with held():
        from voicews.assistant import AssistantConfig, AssistantServer

    arguments.out = out
    server = AssistantServer(
        ears=arguments.ears,
        voice=arguments.voice,
        config=AssistantConfig(interruptible=arguments.interruptions),
    )
    try:
        tell("starting a voice server on this computer…")
        with held():
            server.start()
        return _talk(server, arguments)
    finally:
        server.close()


def _talk(server: AssistantServer, arguments: argparse.Namespace) -> int:
    if arguments.scripted:
        return _scripted(server, arguments)
    named = arguments.mic is not None or arguments.speaker is not None
    if named or not is_live(arguments):
        return _live(server, arguments)
    if lacking := _lacking(arguments.output):
        tell(joined(lacking, "going on with recorded speech"))
        return _scripted(server, arguments)
    try:
        return _live(server, arguments)
    except AudioError as error:
        tell(joined(brief(error), "going on with recorded speech"))
        return _scripted(server, arguments)


def _lacking(output: Path | None) -> str:
    """What is missing for a live conversation; empty if nothing is."""
    if without_devices():
        return "VOICEWS_AUDIO=null"
    try:
        if not any(device.inputs for device in devices(probe=False)):
            return "no microphone here"
    except AudioError as error:
        return brief(error)
    return "" if output is not None else _no_loudspeaker()


def _no_loudspeaker() -> str:
    """Why none can be used; empty if one can."""
    try:
        return "" if loudspeakers() else "no loudspeaker here"
    except DeviceNotFound:
        return "no loudspeaker here"
    except AudioError as error:
        return brief(error)


def _conversation(
    server: AssistantServer, source: AudioSource, sink: AudioSink, arguments: argparse.Namespace
) -> Conversation:
    assert server.voice is not None
    # The server would tell its rate in time; but then the loudspeaker is opened twice.
    spoken = AudioFormat(server.voice.rate)
    return Conversation(
        Plain(server.url, output_format=spoken, resume=arguments.resume),
        source,
        sink,
        _CONFIG,
        json=arguments.json,
        plain=arguments.plain or bool(arguments.verbose),
        record=arguments.record,
        out=arguments.out,
    )


def _live(server: AssistantServer, arguments: argparse.Namespace) -> int:
    live = is_live(arguments)
    speech = recorded_speech(arguments)
    sink = loudspeaker(arguments.speaker, arguments.output)
    unchecked = arguments.mic is not None or not live
    if unchecked and arguments.speaker is None and isinstance(sink, Speaker) and (why := _no_loudspeaker()):
        tell(joined(why, "the answers are shown and not heard; --output FILE.wav keeps their sound"))
        sink = NullSink()
    conversation = _conversation(server, microphone(arguments.mic) if live else speech, sink, arguments)
    try:
        with conversation.shown(), conversation.opened():
            ask(conversation, speech, arguments)
            if live:
                _follow_turns(conversation, server, arguments)
    except Stopped:
        if arguments.turns or not (live and conversation.connected):
            raise
    return OK


def _follow_turns(conversation: Conversation, server: AssistantServer, arguments: argparse.Namespace) -> None:
    """Talk until enough is answered, or for ever; cut the connection where that was asked for."""
    conversation.note("speak now; Ctrl+C ends the conversation")
    finished = conversation.turns.finished
    if arguments.drop_after and conversation.follow(lambda: len(finished) >= arguments.drop_after):
        conversation.note("the server cuts the connection now")
        server.drop()
    conversation.follow(lambda: 0 < arguments.turns <= len(finished))


def _scripted(server: AssistantServer, arguments: argparse.Namespace) -> int:
    from voicews.assistant.speech import utterances
    from voicews.cli import scripted

    script = utterances()[: arguments.turns or None]
    recording = arguments.output or _RECORDING
    drop_after = scripted.DROP_AFTER if arguments.drop_after is None else arguments.drop_after
    speech = RecordedSpeech()
    conversation = _conversation(server, speech, WavSink(recording), arguments)
    assert server.ears is not None
    with conversation.shown():
        if not server.ears.name.startswith("whisper"):
            conversation.note(f"{server.ears.name} knows no names and not its own answers: checks will fail")
        with conversation.opened():
            outcomes = scripted.converse(conversation, speech, server, script, drop_after)
        verdict = scripted.judge(conversation, outcomes, recording, server.ears, drop_after)
    return OK if verdict.ok else FAILED
