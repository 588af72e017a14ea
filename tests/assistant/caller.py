"""A client of the assistant's server that has nothing to do with voicews: websockets' own."""

from __future__ import annotations

import json
import threading
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.patience import PATIENCE
from voicews.assistant.voice import Voice
from voicews.audio.resample import Resampler

RATE = 16000
FRAME = 640  # bytes of 20 ms
_never = threading.Event()


def pcm_of(path: Path) -> bytes:
    """The samples of a bundled recording."""
    with wave.open(str(path)) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (RATE, 1, 2)
        return bytes(sound.readframes(sound.getnframes()))


def spoken(voice: Voice, text: str) -> bytes:
    """Have a voice say something, at the ears' rate."""
    return resampled(b"".join(voice.say(text)), voice.rate)


def resampled(pcm: bytes, rate: int) -> bytes:
    """At the ears' rate."""
    resampler = Resampler(rate, RATE)
    return resampler.process(pcm) + resampler.flush()


def silence(seconds: float) -> bytes:
    """Digital silence."""
    return bytes(2 * round(seconds * RATE))


class Caller:
    """Keeps all that the server sends, with the time at which it came."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.sound = bytearray()
        self.sound_times: list[float] = []
        self.messages: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.largest = 0
        self.hung_up = False
        self._changed = threading.Condition()
        self.thread = threading.Thread(target=self._receive, name="caller", daemon=True)
        self.thread.start()

    def _receive(self) -> None:
        try:
            for message in self.connection:
                with self._changed:
                    if isinstance(message, bytes):
                        self.sound += message
                        self.sound_times.append(time.monotonic())
                        self.largest = max(self.largest, len(message))
                    else:
                        self.messages.append(json.loads(message))
                        self.times.append(time.monotonic())
                    self._changed.notify_all()
        except ConnectionClosed:
            pass
        finally:
            with self._changed:
                self.hung_up = True
                self._changed.notify_all()

    def tell(self, **message: Any) -> None:
        self.connection.send(json.dumps(message))

    def speak(self, pcm: bytes, speed: float = 4.0) -> float:
        """Send sound as a microphone would, so many times as fast; returns when that was done."""
        due = time.monotonic()
        for start in range(0, len(pcm), FRAME):
            self.connection.send(pcm[start : start + FRAME])
            due += FRAME / 2 / RATE / speed
            _never.wait(max(0.0, due - time.monotonic()))
        return time.monotonic()

    def wait_until(self, fact: Callable[[Caller], bool], timeout: float = 20.0) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: fact(self), timeout), self.messages

    def wait(self, kind: str, count: int = 1, timeout: float = 20.0) -> dict[str, Any]:
        """The so-manieth message of a kind, once it is there."""
        self.wait_until(lambda caller: len(caller.of(kind)) >= count, timeout)
        return self.of(kind)[count - 1]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]

    def kinds(self) -> list[str]:
        return [message["type"] for message in self.messages]

    def answers(self) -> list[str]:
        return [message["text"] for message in self.of("response_done")]

    def heard(self) -> list[str]:
        """The final transcripts of what was said to the server."""
        return [message["text"] for message in self.of("transcript") if message["final"]]

    def ask(self, text: str) -> str:
        """Write something and wait for the whole answer."""
        count = len(self.of("response_done"))
        self.tell(type="text", text=text)
        return str(self.wait("response_done", count + 1)["text"])


@contextmanager
def calling(url: str, **settings: Any) -> Iterator[Caller]:
    with connect(url, close_timeout=1, **settings) as connection:
        caller = Caller(connection)
        try:
            yield caller
        finally:
            connection.close()
            caller.thread.join(PATIENCE)
