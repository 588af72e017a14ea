"""The demonstration, by microphone and loudspeaker: said into the one, heard from the other."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.patience import PATIENCE
from tests.sound.virtual import Ear, VirtualSound
from voicews.assistant.ears import RATE
from voicews.assistant.speakable import plain_words
from voicews.assistant.speech import Utterance, utterances, word_error_rate
from voicews.assistant.whisper import WhisperEars

DROP_AFTER = 4
"""The utterances after it ask what was said before."""


def told(demo: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert demo.stdout is not None
    for line in demo.stdout:
        yield json.loads(line)


class Stage:
    """Somebody who speaks when it is their turn, and keeps what is heard in between."""

    def __init__(self, sound: VirtualSound, ear: Ear, script: list[Utterance]) -> None:
        self.sound, self.ear, self.script = sound, ear, script
        self.speaking: subprocess.Popen[bytes] | None = None
        self.marks: list[int] = []

    def speak(self) -> None:
        """Say the next utterance; what was heard until now belongs to those before."""
        self.marks.append(len(self.ear.pcm))
        self.shut_up()
        self.speaking = self.sound.start_speaking(self.script[len(self.marks) - 1].path)

    def shut_up(self) -> None:
        if self.speaking is not None:
            self.speaking.wait(PATIENCE)

    def heard(self) -> list[bytes]:
        pcm = self.ear.pcm
        ends = [*self.marks[1:], len(pcm)]
        return [pcm[start:end] for start, end in zip(self.marks, ends, strict=True)]


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_conversation_by_microphone_and_loudspeaker(sound: VirtualSound) -> None:
    script = utterances()
    spoken: list[str] = []
    answers: list[str] = []
    events: list[dict[str, Any]] = []
    demo = subprocess.Popen(
        [
            *(sys.executable, "-X", "dev", "-W", "error", "-m", "voicews", "demo", "--json"),
            *("--mic", "default", "--speaker", "loudspeaker"),
            *("--turns", str(len(script)), "--drop-after", str(DROP_AFTER)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with sound.listen(rate=RATE) as ear:
            stage = Stage(sound, ear, script)
            for event in told(demo):
                events.append(event)
                match event["event"]:
                    case "Note" if "speak now" in event["text"]:
                        stage.speak()
                    case "Transcript" if event["final"]:
                        (spoken if event["role"] == "user" else answers).append(event["text"])
                    case "PlaybackFinished" if len(answers) < len(script) and len(answers) != DROP_AFTER:
                        stage.speak()
                    case "Reconnecting":
                        stage.speak()  # at once, while the connection is away
            sounds = stage.heard()
            stage.shut_up()
        assert demo.wait(PATIENCE) == 0
    finally:
        demo.kill()
        _, complaints = demo.communicate()
    assert "Traceback" not in complaints

    names = [event["event"] for event in events]
    assert names.count("Connected") == 2
    assert len(spoken) == len(answers) == len(script)
    wanted = " ".join(utterance.words for utterance in script)
    understood = 1 - word_error_rate(wanted, " ".join(spoken))
    right = [one.is_answered_by(answer) for one, answer in zip(script, answers, strict=True)]
    ears = WhisperEars()
    words, wrong = 0, 0.0
    for answer, pcm in zip(answers, sounds, strict=True):
        hearing = ears.listen()
        hearing.feed(pcm)
        count = len(plain_words(answer))
        words += count
        wrong += count * word_error_rate(answer, hearing.finish())
    (figures,) = (event for event in events if event["event"] == "Figures")
    print(
        f"{understood:.1%} of the words understood, {sum(right)} of {len(right)} answers right, "
        f"{wrong / words:.1%} of the words heard from the loudspeaker wrong; {figures}"
    )
    assert understood >= 0.9
    assert all(right)
    assert wrong / words <= 0.15
    assert figures["reconnects"] == 1
