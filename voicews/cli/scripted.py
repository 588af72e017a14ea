"""The demonstration with recorded speech: hold the conversation, then check all that it promises."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from voicews.assistant import AssistantServer, Ears
from voicews.assistant.speakable import plain_words
from voicews.assistant.speech import Utterance, word_error_rate
from voicews.audio.convert import Converter
from voicews.cli.announcements import Check, TurnScore, Verdict
from voicews.cli.conversation import Conversation
from voicews.cli.recorded_speech import RecordedSpeech
from voicews.cli.turns import Turn
from voicews.config import AudioFormat
from voicews.lifecycle import State

__all__ = ["DROP_AFTER", "Outcome", "converse", "judge"]

DROP_AFTER = 4
"""Turns before the connection is cut: the two that follow ask what was said before."""
_PAUSE = 0.5
"""Seconds between the end of an answer and the next words."""
_PATIENCE = 30.0
"""Seconds for a turn and its answer; they take about five."""
_WORDS_RIGHT = 0.9
_SOUND_ERRORS = 0.15
"""Share of wrong words in what the ears make of the answers' sound.  They know no answer by heart,
and homophones ("too tired") cannot be told apart by ear."""


@dataclass(frozen=True)
class Outcome:
    """What came of an utterance."""

    utterance: Utterance
    turn: Turn


def converse(
    conversation: Conversation,
    speech: RecordedSpeech,
    server: AssistantServer,
    script: Sequence[Utterance],
    drop_after: int,
) -> list[Outcome]:
    """Say one utterance after the other, each when the answer before has ended.

    After ``drop_after`` of them the server cuts the connection; the next words are said at
    once, while the client is reconnecting.

    Raises:
        VoicewsError: the client has failed.
    """
    outcomes = []
    for number, utterance in enumerate(script):
        if number and number == drop_after:
            conversation.note("the server cuts the connection now; the next words are said all the same")
            server.drop()
            conversation.follow(lambda: conversation.client.state is not State.CONNECTED, _PATIENCE)
        outcomes.append(Outcome(utterance, _turn(conversation, speech, utterance)))
        conversation.follow(lambda: False, _PAUSE)
    return outcomes


def _turn(conversation: Conversation, speech: RecordedSpeech, utterance: Utterance) -> Turn:
    """Say it and wait for the end of the answer.  A turn that was cut in two counts as one."""
    turns = conversation.turns
    before = len(turns.finished)
    speech.say(utterance.path)
    conversation.follow(lambda: len(turns.finished) > before and speech.idle and turns.idle, _PATIENCE)
    parts = turns.finished[before:] or [Turn()]
    return Turn(
        understood=" ".join(part.understood for part in parts).strip(),
        answer=parts[-1].answer,
        heard_ms=sum(part.heard_ms for part in parts),
        after_server=parts[-1].after_server,
        after_speech=parts[-1].after_speech,
    )


def judge(
    conversation: Conversation, outcomes: Sequence[Outcome], recording: Path, ears: Ears, drop_after: int
) -> Verdict:
    """Check the conversation after its end, and show how each turn went.

    Args:
        recording: the WAV file with all the answers.
        ears: what the answers' sound is played to.
    """
    sounds = _cut(recording, [outcome.turn.heard_ms for outcome in outcomes])
    scores = []
    for number, (outcome, sound) in enumerate(zip(outcomes, sounds, strict=True), 1):
        score = _score(number, outcome, _transcribe(ears, sound))
        conversation.show(score)
        scores.append(score)
    verdict = Verdict(_checks(scores, conversation, recording, drop_after))
    conversation.show(verdict)
    return verdict


def _cut(recording: Path, lengths_ms: Sequence[int]) -> list[bytes]:
    """The sound of each answer, in the format of the ears."""
    with wave.open(str(recording)) as file:
        converter = Converter(AudioFormat(file.getframerate(), file.getnchannels()), AudioFormat(16000))
        rate = file.getframerate()
        sounds = []
        for length in lengths_ms:
            pcm = file.readframes(round(length * rate / 1000))
            sounds.append(converter.process(pcm) + converter.flush())
    return sounds


def _transcribe(ears: Ears, pcm: bytes) -> str:
    hearing = ears.listen()
    try:
        hearing.feed(pcm)
        return hearing.finish()
    finally:
        hearing.close()


def _score(number: int, outcome: Outcome, sounded_like: str) -> TurnScore:
    utterance, turn = outcome.utterance, outcome.turn
    return TurnScore(
        number=number,
        said=utterance.words,
        understood=turn.understood,
        words=len(plain_words(utterance.words)),
        words_right=max(0.0, 1 - word_error_rate(utterance.words, turn.understood)),
        answer=turn.answer,
        answer_right=utterance.is_answered_by(turn.answer),
        sound_heard_as=sounded_like,
        sound_word_errors=word_error_rate(turn.answer, sounded_like) if turn.answer else 1.0,
        after_speech=turn.after_speech,
    )


def _checks(
    scores: Sequence[TurnScore], conversation: Conversation, recording: Path, drop_after: int
) -> list[Check]:
    words = sum(score.words for score in scores)
    right = sum(score.words_right * score.words for score in scores) / words
    answered = sum(score.answer_right for score in scores)
    spoken = [len(plain_words(score.answer)) for score in scores]
    errors = sum(score.sound_word_errors * count for score, count in zip(scores, spoken, strict=True))
    wrong = errors / sum(spoken) if sum(spoken) else 1.0
    heard = sum(turn.heard_ms for turn in conversation.turns.finished) / 1000
    with wave.open(str(recording)) as file:
        kept = file.getnframes() / file.getframerate()
    checks = [
        Check(
            "words understood", f"{right:.1%} of {words} (at least {_WORDS_RIGHT:.0%})", right >= _WORDS_RIGHT
        ),
        Check("answers right", f"{answered} of {len(scores)}", answered == len(scores)),
        Check(
            "answers' sound says their text",
            f"{wrong:.1%} of {sum(spoken)} words wrong (at most {_SOUND_ERRORS:.0%})",
            wrong <= _SOUND_ERRORS,
        ),
        Check(
            f"all of it in {recording.name}", f"{kept:.1f} s, played {heard:.1f} s", abs(kept - heard) < 0.1
        ),
    ]
    if 0 < drop_after < len(scores):
        reconnects = conversation.figures().reconnects
        known = [score.answer_right for score in scores[drop_after:]]
        checks += [
            Check("the cut connection was restored", f"{reconnects} of 1", reconnects == 1),
            Check(
                "what was said before is known",
                f"{sum(known)} of {len(known)} answers after the cut are right",
                all(known),
            ),
        ]
    return checks
