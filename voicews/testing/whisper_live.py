"""A server that speaks like WhisperLive, for tests without a model."""

from __future__ import annotations

import json
import threading
import time
from array import array
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from voicews.config import AudioFormat
from voicews.testing.script import Script
from voicews.testing.server import FakeConnection, FakeServer
from voicews.testing.speech import Ear

__all__ = ["FakeWhisperLive", "FakeWhisperLiveConnection"]

Json = dict[str, Any]

_FORMAT = AudioFormat(16000)
_NEEDED = ("uid", "language", "task", "model")
_END = b"END_OF_AUDIO"
_LEAST = 1.0
"""Seconds of sound without which nothing is transcribed."""
_WORD = 0.3
"""Seconds of speech for each word."""
_PAUSE = 0.3
"""Seconds of silence after which loud sound begins another segment."""
_SLICE = 0.02
"""Seconds that are judged at a time."""


class FakeWhisperLiveConnection(FakeConnection):
    """One client of a :class:`FakeWhisperLive`."""

    server: FakeWhisperLive

    def on_open(self) -> None:
        """Wait for the client's settings."""
        self.setup: Json = {}
        """The client's first message."""
        self._lock = threading.Lock()  # the transcribing script reads what the hooks write
        self._ear = Ear(_FORMAT)
        self._born = time.monotonic()
        self._words: list[str] = []
        self._offset = 0.0
        self._completed: list[Json] = []
        self._last = ""
        self._same = 0

    def on_message(self, message: str | bytes) -> None:
        """Take the settings, then sound; whatever is neither ends the connection, as does its end."""
        if not self.setup:
            self._begin(message)
        elif message == _END or isinstance(message, str):
            self.close()
        else:
            if self.server.lifetime is not None and time.monotonic() - self._born > self.server.lifetime:
                self.disconnect()
                return
            with self._lock:
                self._hear(self._decoded(message))

    def tell(self, **fields: object) -> None:
        """Send a message with the client's ``uid``.

        Raises:
            ConnectionClosed: the client has gone.
        """
        self.send({"uid": self.setup["uid"], **fields})

    def disconnect(self) -> None:
        """Send the client away as the server does after its longest connection time.

        Raises:
            ConnectionClosed: the client has gone.
        """
        self.tell(message="DISCONNECT")
        self.close()

    def _begin(self, message: str | bytes) -> None:
        try:
            setup = json.loads(message)
            complete = all(name in setup for name in _NEEDED)
        except (ValueError, TypeError):
            complete = False
        if not complete:
            self.close()
            return
        self.setup = setup
        if self.server.full is not None:
            self.tell(status="WAIT", message=self.server.full)
            self.close()
        elif self.server.failure is not None:
            self.tell(status="ERROR", message=self.server.failure)
            self.close()
        else:
            self.tell(message="SERVER_READY", backend="faster_whisper")
            self.start(self._transcribe)

    def _decoded(self, message: bytes) -> bytes:
        if self.setup.get("audio_format", "float32") == "int16":
            return message
        samples = array("f")
        samples.frombytes(message)
        return array("h", (max(-32768, min(32767, round(sample * 32768))) for sample in samples)).tobytes()

    def _hear(self, pcm: bytes) -> None:
        step = _FORMAT.bytes(_SLICE)
        for start in range(0, len(pcm), step):
            if self._ear.speaking and self._ear.quiet >= _PAUSE and any(pcm[start : start + step]):
                self._complete()
            if self._ear.hear(pcm[start : start + step]):
                self._words = self.server.script.heard().split()

    def _complete(self) -> None:
        """Take what was said so far for finished."""
        end = self._ear.loud_until
        segment = self._segment(" ".join(self._words), end, completed=True)
        if self.setup.get("word_timestamps"):
            segment["words"] = [
                {
                    "word": f" {word}",
                    "start": f"{self._ear.began + number * _WORD:.3f}",
                    "end": f"{self._ear.began + (number + 1) * _WORD:.3f}",
                    "probability": 0.9,
                }
                for number, word in enumerate(self._words)
            ]
        self._completed.append(segment)
        self._offset = end
        self._start_anew()

    def _start_anew(self) -> None:
        self._last, self._same = "", 0
        self._ear.forget()

    def _segment(self, text: str, end: float, *, completed: bool) -> Json:
        return {
            "start": f"{self._ear.began:.3f}",
            "end": f"{end:.3f}",
            "text": f" {text}",
            "completed": completed,
        }

    def _transcribe(self) -> None:
        """Again and again, all that is not finished."""
        told_language = self.setup["language"] is not None
        while True:
            self.pause(self.server.pace)
            with self._lock:
                if not self._ear.speaking or self._ear.heard - self._offset < _LEAST:
                    continue
                segments = self._segments()
            if not told_language:
                told_language = True
                self.tell(language="en", language_prob=0.97)
            self.tell(segments=segments)

    def _segments(self) -> list[Json]:
        spoken = self._ear.loud_until - self._ear.began
        text = " ".join(self._words[: 1 + int(spoken / _WORD)])
        self._same = self._same + 1 if text == self._last else 0
        self._last = text
        newest = self._completed[-int(self.setup.get("send_last_n_segments", 10)) :]
        if self._same <= self.setup.get("same_output_threshold", 10):
            return [*newest, self._segment(text, self._ear.loud_until, completed=False)]
        self._words = text.split()
        if newest and newest[-1]["text"].strip().lower() == text.lower():
            self._offset = self._ear.loud_until
            self._start_anew()
            return newest
        self._complete()
        return [*newest, self._completed[-1]]


class FakeWhisperLive(FakeServer[FakeWhisperLiveConnection]):
    """A server that speaks like WhisperLive, scripted.

    It takes loud sound for speech.  Like the real one it transcribes what is not finished every
    so often, sends the finished segments again each time, listens to nothing shorter than a
    second, takes back a segment that has the same words as the one before instead of finishing
    it, and hangs up at ``END_OF_AUDIO`` without telling its last words.  Example::

        with FakeWhisperLive(hears=["Turn on the light."]) as server:
            client = VoiceClient(WhisperLive(server.url))

    Args:
        hears: what it takes each utterance for, one after the other; the last again and again.
        pace: seconds between one run of the transcription and the next.
        key: if given, clients that do not show it are refused with HTTP 401.
        full: minutes that it says a client has to wait, for there are too many; None: there is room.
        failure: why no model can be loaded; None: it can.
        lifetime: seconds after which a client that sends sound is sent away; None: never.
        options: those of :class:`~voicews.testing.FakeServer`.

    Raises:
        ConfigError: ``hears`` is empty.
    """

    connection_class = FakeWhisperLiveConnection

    def __init__(
        self,
        *,
        hears: Sequence[str] = ("Turn on the light.",),
        pace: float = 0.05,
        key: str | None = None,
        full: float | None = None,
        failure: str | None = None,
        lifetime: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.script = Script("FakeWhisperLive", hears)
        self.pace = pace
        self.full = full
        self.failure = failure
        self.lifetime = lifetime
        self._key = key

    def judge(self, path: str, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], str] | None:
        """Refuse wrong keys (401), in the header or in the address."""
        shown = (
            headers.get("authorization", "").removeprefix("Bearer "),
            *parse_qs(urlsplit(path).query).get("token", []),
        )
        if self._key is not None and self._key not in shown:
            return 401, {}, "Unauthorized\n"
        return None
