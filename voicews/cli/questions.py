"""Questions that the command line brings along: a recording, or words in writing."""

from __future__ import annotations

import argparse
import time

from voicews.cli.announcements import Written
from voicews.cli.arguments import count, words
from voicews.cli.conversation import Conversation
from voicews.cli.failures import CommandFailed
from voicews.cli.files import text_of
from voicews.cli.recorded_speech import RecordedSpeech
from voicews.cli.sound import require_wav
from voicews.errors import InvalidState

__all__ = ["add_question_options", "ask", "is_live", "recorded_speech"]

_GONE = "the server ended the conversation without an answer"
_SETTLED = 1.0
"""Seconds of quiet after an answer before it counts as the last one."""


def add_question_options(parser: argparse.ArgumentParser) -> None:
    """``--text`` and ``--patience``; ``--input`` is with the other options for sound."""
    parser.add_argument(
        "--text",
        type=words,
        action="append",
        default=[],
        metavar="WORDS",
        help="say this in writing, once connected; may be given several times; - is standard input. "
        "Without --mic nothing is recorded, and the command ends after the last answer",
    )
    parser.add_argument(
        "--patience",
        type=count,
        default=15,
        metavar="SECONDS",
        help="how long to wait for the answer to --input or --text (default: %(default)s)",
    )


def is_live(arguments: argparse.Namespace) -> bool:
    """Whether somebody is to speak into a microphone."""
    return arguments.mic is not None or not (arguments.input or arguments.text)


def recorded_speech(arguments: argparse.Namespace) -> RecordedSpeech:
    """What says the recording of ``--input``, if there is one; else it is silent.

    Raises:
        AudioError: the recording cannot be read, or is of a kind that is not supported.
        ConfigError: there is nothing to say.
    """
    arguments.text = [text_of(text) for text in arguments.text]
    if arguments.input is not None:
        require_wav(arguments.input)
    return RecordedSpeech()


def ask(
    conversation: Conversation,
    speech: RecordedSpeech,
    arguments: argparse.Namespace,
    *,
    answers: bool = True,
) -> None:
    """Say all that the command line asked to be said, and hear the answers.

    Args:
        answers: False for a server that only writes down what it hears.

    Raises:
        CommandFailed: nothing came back.
        VoicewsError: the client has failed.
    """
    for text in arguments.text:
        asked_at = time.monotonic()
        conversation.show(Written(text))  # first, for the answer may come at once
        try:
            conversation.client.send_text(text)
        except InvalidState as error:
            raise CommandFailed(_GONE) from error
        _await_answer(conversation, asked_at, arguments.patience, answers)
    if arguments.input is not None:
        asked_at = time.monotonic()
        speech.say(arguments.input)
        conversation.follow(lambda: speech.idle)
        _await_answer(conversation, speech.speech_ended_at or asked_at, arguments.patience, answers)


def _await_answer(conversation: Conversation, asked_at: float, patience: float, answers: bool) -> None:
    """Wait for the end of an answer that began after a question, and a little longer."""
    turns = conversation.turns

    def answered() -> bool:
        began_at = turns.began_at if answers else turns.understood_at
        began = began_at is not None and began_at >= asked_at
        return began and turns.idle and time.monotonic() - turns.active_at >= _SETTLED

    def hopeless() -> bool:
        now = time.monotonic()
        # Some servers never stop sending, but send silence.
        only_silence = turns.silence_at is not None and now - turns.silence_at < _SETTLED
        return (turns.idle or only_silence) and now - max(turns.active_at, asked_at) >= patience

    conversation.follow(lambda: answered() or hopeless())
    if turns.active_at < asked_at:
        if conversation.over:
            raise CommandFailed(_GONE)
        raise CommandFailed(
            f"nothing came back within {patience} s: is this a voice server, and is --patience long enough?"
        )
