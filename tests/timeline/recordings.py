"""Recordings of conversations that never took place."""

from __future__ import annotations

import json
import warnings
import wave
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

RATE = 16000
ERROR = {"type": "ConnectionClosed", "message": "the server ended the connection without a Close frame"}


def _open_fonts() -> None:
    """matplotlib keeps the files of its fonts open: from before a test, none counts as left behind."""
    figure = Figure()
    for weight in ("normal", "bold"):
        figure.text(0, 0, "a\u65e5", weight=weight)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        FigureCanvasAgg(figure).draw()


_open_fonts()


class Tape:
    """A recording in the making.

    Args:
        seconds: its length.
        noise: of the room, root mean square of 32768.
    """

    def __init__(self, seconds: float, *, noise: float = 20.0) -> None:
        self._dice = np.random.default_rng(1)
        self._sound = np.zeros((round(seconds * RATE), 2))
        self._sound[:, 0] = self._dice.normal(0, noise, len(self._sound))
        self._events: list[dict[str, Any]] = []
        self.tell(0.0, "RecordingStarted", time="2026-11-22T20:00:00.000+00:00", rate=RATE)
        self.tell(0.01, "StateChanged", old="IDLE", new="CONNECTING")
        self.tell(0.05, "Connected", generation=1, resumed=False)

    def tell(self, at: float, event: str, **members: Any) -> None:
        self._events.append({"event": event, "at": round(at, 4), **members})

    def sound(self, side: int, start: float, end: float) -> None:
        first, last = round(start * RATE), min(round(end * RATE), len(self._sound))
        self._sound[first:last, side] += self._dice.normal(0, 4000, last - first)

    def turn(
        self,
        at: float,
        question: str,
        answer: str,
        *,
        spoken: float = 1.0,
        endpointing: float = 0.4,
        recognising: float = 0.1,
        thinking: float = 0.2,
        synthesis: float = 0.1,
        playing: float = 0.05,
        heard: float = 1.0,
        cut: bool = False,
        tool: str | None = None,
    ) -> float:
        """One question and its answer, as a server tells it; returns when the answer ends."""
        self.sound(0, at, at + spoken)
        self.tell(at + 0.2, "SpeechStarted")
        at += spoken + endpointing
        self.tell(at, "SpeechStopped")
        at += recognising
        self.tell(at, "Transcript", role="user", text=question, final=True)
        self.tell(at, "ResponseStarted")
        if tool is not None:
            self.tell(at + 0.1, "ToolCall", call_id="1", name=tool, arguments={})
        at += thinking
        self.tell(at, "Token", text=answer)
        at += synthesis
        self.tell(at, "AudioReceived", pcm=640)
        self.tell(at, "PlaybackStarted")
        at += playing
        self.sound(1, at, at + heard)
        end = at + heard
        if cut:
            self.tell(end, "Interrupted", heard_ms=round(heard * 1000))
        else:
            self.tell(at + 0.1, "Transcript", role="assistant", text=answer, final=True)
            self.tell(at + 0.1, "ResponseDone")
            self.tell(end, "PlaybackFinished", heard_ms=round(heard * 1000))
        return end

    def save(self, folder: Path, *, number: int = 1) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"conversation-{number:03}.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(np.clip(self._sound, -32768, 32767).astype("<i2").tobytes())
        ordered = sorted(self._events, key=lambda event: float(event["at"]))
        path.with_suffix(".jsonl").write_text("".join(json.dumps(event) + "\n" for event in ordered))
        return path
