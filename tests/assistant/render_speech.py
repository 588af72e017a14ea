"""Renders the bundled speech again: ``python -m tests.assistant.render_speech`` writes the files.

Needs voicews[assistant] and flite (apt-get install flite).  The voices are seeded, so the
files come out the same.  Every file is checked with the ears before it is written.
"""

from __future__ import annotations

import json
import sys
import wave
from pathlib import Path

from voicews.assistant.ears import RATE
from voicews.assistant.speech import word_error_rate
from voicews.assistant.voice import FliteVoice, HibariVoice, Voice
from voicews.assistant.whisper import WhisperEars
from voicews.audio.resample import Resampler

__all__ = ["CONVERSATION", "main"]

FOLDER = Path(__file__).parents[2] / "voicews" / "assistant" / "speech"
CONVERSATION = (
    ("sum", "hibari", "What is seven times eight?", "fifty.six|56"),
    ("name", "slt", "My name is Clara.", "Clara"),
    ("day", "rms", "What day is it today?", "{weekday}"),
    ("joke", "hibari", "Tell me a joke.", r"\?.*\."),
    ("first", "slt", "Please remind me what I said first.", "(seven|7) times (eight|8)"),
    ("my-name", "rms", "What is my name?", "Clara"),
    ("goodbye", "hibari", "Thank you, goodbye.", "welcome.*goodbye"),
)
PAUSE = bytes(2 * RATE // 10)


def main() -> int:
    """Write the files; 1 if the assistant does not understand one of them."""
    voices: dict[str, Voice] = {"hibari": HibariVoice(), "slt": FliteVoice("slt"), "rms": FliteVoice("rms")}
    ears = WhisperEars()
    entries = []
    for number, (name, voice_name, words, expects) in enumerate(CONVERSATION, 1):
        voice = voices[voice_name]
        resampler = Resampler(voice.rate, RATE)
        pcm = resampler.process(b"".join(voice.say(words))) + resampler.flush()
        hearing = ears.listen()
        hearing.feed(pcm)
        heard = hearing.finish()
        if word_error_rate(words, heard):
            print(f"{name}: said {words!r}, heard {heard!r}", file=sys.stderr)
            return 1
        file = f"{number:02}-{name}.wav"
        with wave.open(str(FOLDER / file), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(RATE)
            sound.writeframes(PAUSE + pcm + PAUSE)
        entries.append({"file": file, "voice": voice.name, "words": words, "expects": expects})
        print(f"{file}: {heard}")
    (FOLDER / "utterances.json").write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
