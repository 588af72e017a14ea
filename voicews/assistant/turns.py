"""When the user begins and ends to speak: voice activity in a stream of sound."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from voicews.assistant.ears import RATE
from voicews.assistant.machine import TO_INSTALL
from voicews.errors import BackendMissing, ConfigError

__all__ = ["TurnDetector", "TurnEnded", "TurnSound", "TurnStarted"]

_FRAME = 0.03  # seconds that the detector judges at once
_FRAME_BYTES = 2 * round(_FRAME * RATE)
_ONSET = 5  # of this many frames …
_ONSET_VOICED = 4  # … so many have to be speech for a turn to begin: 150 ms
_BEFORE = 10  # frames kept from before that: a soft first sound is missed by detectors
_SILENT = 60.0  # root mean square below which (-55 dBFS) nothing is speech


@dataclass(frozen=True)
class TurnStarted:
    """The user has begun to speak."""


@dataclass(frozen=True)
class TurnSound:
    """Sound that belongs to the turn."""

    pcm: bytes = field(repr=False)
    voiced: bool
    """Whether there is speech in it."""
    silence: float
    """Seconds since the last speech, up to the end of it."""


@dataclass(frozen=True)
class TurnEnded:
    """The user has finished."""


Heard = TurnStarted | TurnSound | TurnEnded


class TurnDetector:
    """Finds turns in mono PCM16 at 16 kHz.  Used by one thread.

    Pocketsphinx's voice detector (WebRTC's) judges frames of 30 ms.  Its own endpointer has
    one window for beginning and end, which either misses a short "yes" or ends a turn at a
    comma; so these have different lengths here.  Music or a loud hum it takes for speech: such a
    turn ends only with ``AssistantConfig.longest_turn``, or with the button.

    Args:
        hangover: seconds of silence that end a turn, 0.15 to 5.

    Raises:
        BackendMissing: pocketsphinx is not installed.
        ConfigError: ``hangover`` is out of its bounds.
    """

    def __init__(self, hangover: float = 0.4) -> None:
        if not 0.15 <= hangover <= 5.0:
            raise ConfigError(f"TurnDetector's hangover is {hangover!r}; it must be from 0.15 to 5 seconds")
        try:
            import pocketsphinx
        except ImportError as error:
            raise BackendMissing(f"hearing when a turn ends needs: {TO_INSTALL}") from error
        self._vad: Any = pocketsphinx.Vad(3, RATE, _FRAME)
        self._hangover = max(2, round(hangover / _FRAME))
        self._rest = bytearray()
        self._before: deque[bytes] = deque(maxlen=_BEFORE)
        self._onset: deque[bool] = deque(maxlen=_ONSET)
        self._recent: deque[bool] = deque(maxlen=self._hangover)
        self._silent_frames = 0
        self._open = False
        self._held = False

    @property
    def in_turn(self) -> bool:
        """Whether the user is speaking, or holds the button."""
        return self._open

    @property
    def held(self) -> bool:
        """Whether the turn is held open by a button."""
        return self._held

    def feed(self, pcm: bytes) -> Iterator[Heard]:
        """Take further sound; iterate to the end."""
        self._rest += pcm
        while len(self._rest) >= _FRAME_BYTES:
            frame = bytes(self._rest[:_FRAME_BYTES])
            del self._rest[:_FRAME_BYTES]
            yield from self._frame(frame)

    def hold(self) -> Iterator[Heard]:
        """Begin a turn now, and keep it open through silence (push to talk)."""
        self._held = True
        if not self._open:
            yield self._start()

    def end(self) -> Iterator[Heard]:
        """End the turn now, if there is one: the button is released, or the sound has ended."""
        self._held = False
        if self._open:
            rest = bytes(self._rest[: len(self._rest) // 2 * 2])
            self._rest.clear()
            if rest:
                yield TurnSound(rest, True, 0.0)
            yield self._finish()

    def _frame(self, frame: bytes) -> Iterator[Heard]:
        voiced = _loudness(frame) >= _SILENT and bool(self._vad.is_speech(frame))
        if not self._open:
            self._before.append(frame)
            self._onset.append(voiced)
            if sum(self._onset) >= _ONSET_VOICED:
                before = b"".join(self._before)
                yield self._start()
                yield TurnSound(before, True, 0.0)
            return
        self._recent.append(voiced)
        self._silent_frames = 0 if voiced else self._silent_frames + 1
        yield TurnSound(frame, voiced, self._silent_frames * _FRAME)
        # A click in the silence must not keep the turn open for another hangover.
        quiet = len(self._recent) == self._hangover and sum(self._recent) <= self._hangover // 10
        if quiet and not self._held:
            yield self._finish()

    def _start(self) -> TurnStarted:
        self._open = True
        self._silent_frames = 0
        self._recent.clear()
        self._before.clear()
        self._onset.clear()
        return TurnStarted()

    def _finish(self) -> TurnEnded:
        self._open = False
        return TurnEnded()


def _loudness(frame: bytes) -> float:
    """Root mean square of PCM16."""
    import numpy as np

    samples = np.frombuffer(frame, "<i2").astype(np.float64)
    return float(np.sqrt(np.mean(samples**2)))
