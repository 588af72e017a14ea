"""Recorded speech: a short conversation to hold where there is no microphone.

``python -m tests.assistant.render_speech`` made the files; ``README.md`` beside them tells with which voices
and under which licence.
"""

from __future__ import annotations

import json
import re
import wave
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from voicews.assistant.speakable import plain_words

__all__ = ["Utterance", "utterances", "word_error_rate"]

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Utterance:
    """One turn of the user."""

    path: Path
    """A WAV file: 16 kHz, mono, 16 bits."""
    words: str
    """What is said in it."""
    expects: str
    """Regular expression that the home helper's answer must match, whatever the case;
    ``{weekday}`` in it stands for today's."""
    voice: str = field(default="", compare=False)
    """Who says it."""

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        with wave.open(str(self.path)) as sound:
            return float(sound.getnframes() / sound.getframerate())

    def is_answered_by(self, text: str, now: Callable[[], datetime] = datetime.now) -> bool:
        """Whether this text is a right answer.

        Numbers may be in words or digits.
        """
        expected = self.expects.replace("{weekday}", f"{now():%A}")
        readings = (text, " ".join(plain_words(text)))
        return any(re.search(expected, reading, re.IGNORECASE) for reading in readings)


def utterances() -> list[Utterance]:
    """The conversation, in the order in which it makes sense."""
    entries = json.loads((_FOLDER / "utterances.json").read_text(encoding="utf-8"))
    return [
        Utterance(_FOLDER / entry["file"], entry["words"], entry["expects"], entry["voice"])
        for entry in entries
    ]


def word_error_rate(expected: str, heard: str) -> float:
    """How wrong a transcript is: insertions, deletions and substitutions per expected word.

    Case and punctuation do not count, and "56" is "fifty-six".  0.0 is perfect; it can be
    more than 1.0.
    """
    wanted, got = plain_words(expected), plain_words(heard)
    distances = list(range(len(got) + 1))
    for row, word in enumerate(wanted, 1):
        diagonal, distances[0] = distances[0], row
        for column, other in enumerate(got, 1):
            diagonal, distances[column] = (
                distances[column],
                min(distances[column] + 1, distances[column - 1] + 1, diagonal + (word != other)),
            )
    return distances[-1] / len(wanted) if wanted else float(bool(got))
