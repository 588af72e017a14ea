"""What was said, what was captured, what arrived, and what was heard: the books of a trial."""

from __future__ import annotations

import json
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from voicews.audio.base import AudioSink, AudioSource
from voicews.config import AudioFormat
from voicews.testing import FaultConnection

_STAMP = struct.Struct("<Qd")
SOUND = 640
"""Bytes of one answer: 20 ms."""


def sound_of(number: int) -> bytes:
    """Sound by which the loudspeaker can tell which connection it came over."""
    return number.to_bytes(2, "little") * (SOUND // 2)


@dataclass(frozen=True)
class Frame:
    """A captured frame that arrived."""

    connection: int
    number: int
    captured: float
    arrived: float


class Ledger:
    """The server's side: which frames and which commands arrived, over which connection."""

    def __init__(self) -> None:
        self.news = threading.Condition()
        self.frames: list[Frame] = []
        self.commands: list[tuple[int, str]] = []

    def hear(self, connection: int, message: str | bytes) -> None:
        """Take a message of the client into the books."""
        self.note(connection, digest(message), time.monotonic())

    def note(self, connection: int, what: tuple[int, float] | str | None, arrived: float) -> None:
        with self.news:
            if isinstance(what, str):
                self.commands.append((connection, what))
            elif what is not None:
                self.frames.append(Frame(connection, what[0], what[1], arrived))
            self.news.notify_all()

    def converse(self, connection: FaultConnection, message: str | bytes) -> None:
        """What a good server does with a message: book it, and answer each frame with sound."""
        self.hear(connection.number, message)
        if isinstance(message, bytes):
            connection.send(sound_of(connection.number))

    def arrivals(self, command: str) -> int:
        with self.news:
            return sum(1 for _, other in self.commands if other == command)

    def wait_for(self, fact: Callable[[], bool], timeout: float) -> bool:
        with self.news:
            return self.news.wait_for(fact, timeout)


def digest(message: str | bytes) -> tuple[int, float] | str | None:
    """A frame's number and time of capture, or the name of a command; None for silence of ours."""
    if isinstance(message, bytes):
        number, captured = _STAMP.unpack_from(message)
        return (number, captured) if captured else None
    said: dict[str, Any] = json.loads(message)
    return str(said["text"]) if said.get("type") == "text" else str(said.get("name", said.get("type")))


class StampingMicrophone(AudioSource):
    """A frame every so often by the clock, each with its number and the time of its capture."""

    def __init__(self, every: float) -> None:
        self._every = every
        self.captured = 0
        self.opened = self.closed = 0
        self._never = threading.Event()

    def open(self, format: AudioFormat, frame_samples: int) -> None:
        self.opened += 1
        self._size = frame_samples * format.bytes_per_sample
        self._due = time.monotonic()

    def read(self) -> bytes | None:
        self._due = max(self._due + self._every, time.monotonic() - 0.2)
        self._never.wait(max(0.0, self._due - time.monotonic()))
        if threading.current_thread().name.endswith("-trial"):
            return bytes(self._size)  # it only tries the device out, and its frame goes nowhere
        self.captured += 1
        return _STAMP.pack(self.captured, time.monotonic()).ljust(self._size, b"\0")

    def close(self) -> None:
        self.closed += 1


class ListeningSpeaker(AudioSink):
    """Plays by the clock, and notes over which connection each sound came."""

    def __init__(self) -> None:
        self.heard: list[tuple[float, int]] = []
        self.opened = self.closed = 0
        self._ahead = self._position = self._since = 0.0

    def open(self, format: AudioFormat) -> None:
        self.opened += 1
        self._format = format
        self._ahead = self._position = 0.0
        self._since = time.monotonic()

    def _advance(self) -> None:
        now = time.monotonic()
        step = min(self._ahead, now - self._since)
        self._position += step
        self._ahead -= step
        self._since = now

    def write(self, pcm: bytes) -> None:
        self._advance()
        self._ahead += self._format.seconds(pcm)
        if connection := int.from_bytes(pcm[:2], "little"):
            self.heard.append((time.monotonic(), connection))

    def pending(self) -> float:
        self._advance()
        return self._ahead

    @property
    def position(self) -> float:
        self._advance()
        return self._position

    def flush(self) -> float:
        self._advance()
        self._ahead = 0.0
        return self._position

    def close(self) -> None:
        self.closed += 1
