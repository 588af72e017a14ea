"""A microphone and a loudspeaker that a test plays and listens to."""

from __future__ import annotations

import threading
import time
from collections import deque

from tests.patience import PATIENCE
from voicews.audio.base import AudioSink, AudioSource
from voicews.config import AudioFormat
from voicews.errors import AudioError


class HandMicrophone(AudioSource):
    """Delivers the frames that a test gives it, else silence in real time."""

    def __init__(self, frames: list[bytes] | None = None, *, endless: bool = True) -> None:
        self.frames: deque[bytes] = deque(frames or [])
        self.endless = endless
        self.opened: list[AudioFormat] = []
        self.closed = 0
        self.broken: AudioError | None = None
        self.threads: set[str] = set()
        self.given = threading.Event()
        self.news = threading.Condition()

    def open(self, format: AudioFormat, frame_samples: int) -> None:
        self.threads.add(threading.current_thread().name)
        if self.broken is not None:
            raise self.broken
        self.size = frame_samples * format.bytes_per_sample
        self.seconds = frame_samples / format.rate
        with self.news:
            self.opened.append(format)
            self.news.notify_all()

    def read(self) -> bytes | None:
        self.threads.add(threading.current_thread().name)
        if self.broken is not None:
            raise self.broken
        if self.frames:
            return self.frames.popleft()
        if not self.endless:
            return None
        self.given.wait(self.seconds)
        return bytes(self.size)

    def close(self) -> None:
        self.threads.add(threading.current_thread().name)
        with self.news:
            self.closed += 1
            self.news.notify_all()

    def wait_until_opened(self, times: int) -> None:
        with self.news:
            assert self.news.wait_for(lambda: len(self.opened) >= times, PATIENCE)


class EarSpeaker(AudioSink):
    """Keeps what it is given and plays it by the clock; remembers what was heard."""

    def __init__(self, *, speed: float = 1.0) -> None:
        self.speed = speed
        self.written = bytearray()
        self.opened: list[AudioFormat] = []
        self.closed = 0
        self.flushes = 0
        self.broken: AudioError | None = None
        self.threads: set[str] = set()
        self.news = threading.Condition()

    def open(self, format: AudioFormat) -> None:
        self._note()
        if self.broken is not None:
            raise self.broken
        self.format = format
        self._heard = self._ahead = 0.0
        self._since = time.monotonic()
        with self.news:
            self.opened.append(format)
            self.news.notify_all()

    def _note(self) -> None:
        self.threads.add(threading.current_thread().name)

    def _advance(self) -> None:
        now = time.monotonic()
        step = min(self._ahead, (now - self._since) * self.speed)
        self._heard += step
        self._ahead -= step
        self._since = now

    def write(self, pcm: bytes) -> None:
        self._note()
        if self.broken is not None:
            raise self.broken
        self._advance()
        self._ahead += self.format.seconds(pcm)
        with self.news:
            self.written += pcm
            self.news.notify_all()

    def pending(self) -> float:
        self._note()
        if self.broken is not None:
            raise self.broken
        self._advance()
        return self._ahead

    @property
    def position(self) -> float:
        self._advance()
        return self._heard

    def flush(self) -> float:
        self._note()
        self._advance()
        self._ahead = 0.0
        with self.news:
            self.flushes += 1
            self.news.notify_all()
        return self._heard

    def close(self) -> None:
        self._note()
        self.closed += 1

    def wait_for(self, count: int) -> bytes:
        with self.news:
            assert self.news.wait_for(lambda: len(self.written) >= count, PATIENCE), (
                f"only {len(self.written)}"
            )
            return bytes(self.written)
