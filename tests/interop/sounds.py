"""Recorded and made speech, as the client reads it from a microphone."""

from __future__ import annotations

import subprocess
import wave
from pathlib import Path

__all__ = ["SPEECH", "frames", "spoken"]

SPEECH = Path(__file__).parents[2] / "voicews" / "assistant" / "speech"


def frames(path: Path, *, lead: float = 0.0) -> list[bytes]:
    """A recording at 16 kHz in frames of 20 ms, so many seconds of silence before it."""
    with wave.open(str(path)) as file:
        assert file.getframerate() == 16000
        pcm = bytes(int(lead * 16000) * 2) + file.readframes(file.getnframes())
    return [pcm[start : start + 640].ljust(640, b"\0") for start in range(0, len(pcm), 640)]


def spoken(text: str, path: Path) -> list[bytes]:
    """By flite, with a breath before it; the path is for its file."""
    subprocess.run(["flite", "-voice", "slt", "-t", text, "-o", str(path)], check=True, timeout=60)
    return frames(path, lead=0.3)
