"""A microphone that says recordings when it is told to, and is silent in between."""

from __future__ import annotations

import os
import time
from collections import deque

from voicews.audio.base import AudioSource
from voicews.audio.silence import SilenceSource
from voicews.audio.wav import WavSource
from voicews.cli.meter import loudness
from voicews.config import AudioFormat

__all__ = ["RecordedSpeech"]

_HUSH = -45.0
"""Frames below this (dB below full scale) are no speech."""


class RecordedSpeech(AudioSource):
    """Says WAV files in real time, one after the other.

    One thread tells it what to say, and the capture thread says it.
    """

    def __init__(self) -> None:
        self._waiting: deque[str | os.PathLike[str]] = deque()
        self._asked = 0
        self._said = 0
        self._loud_at: float | None = None
        # Below: used by the capture thread only.
        self._silence = SilenceSource()
        self._file: WavSource | None = None

    # -- the thread that tells it --------------------------------------------------------------

    def say(self, path: str | os.PathLike[str]) -> None:
        """Say this file after those that are waiting."""
        self._asked += 1
        self._waiting.append(path)

    @property
    def idle(self) -> bool:
        """True once everything has been said."""
        return self._said >= self._asked

    @property
    def speech_ended_at(self) -> float | None:
        """Monotonic time at which the last frame that held speech was captured; None before any."""
        return self._loud_at

    # -- the capture thread -------------------------------------------------------------------

    def open(self, format: AudioFormat, frame_samples: int) -> None:
        """Begin with silence."""
        self._silence.open(format, frame_samples)
        self._format, self._frame_samples = format, frame_samples

    def read(self) -> bytes:
        """The next frame of what is being said, or of silence.

        Raises:
            AudioError: a file cannot be read, or is none that can be said.
        """
        silence = self._silence.read()
        while self._file is not None or self._waiting:
            if self._file is None:
                # The pace is kept by the silence.
                file = WavSource(self._waiting.popleft(), realtime=False)
                file.open(self._format, self._frame_samples)
                self._file = file
            frame = self._file.read()
            if frame is not None:
                if loudness(frame) > _HUSH:
                    self._loud_at = time.monotonic()
                return frame
            self._file.close()
            self._file = None
            self._said += 1
        return silence

    def close(self) -> None:
        """Stop."""
        self._silence.close()
        if self._file is not None:
            self._file.close()
            self._file = None

    def __repr__(self) -> str:
        return "RecordedSpeech()"
