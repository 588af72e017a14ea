"""A server that speaks like Vosk's, for tests without a model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from voicews.config import AudioFormat
from voicews.testing.script import Script
from voicews.testing.server import FakeConnection, FakeServer
from voicews.testing.speech import Ear

__all__ = ["FakeVosk", "FakeVoskConnection"]

_DEFAULT_RATE = 8000
"""Of the stock server, for clients that do not tell it another."""
_INTERNAL_ERROR = 1011
_WORD = 0.3
"""Seconds of speech for each word of a hypothesis."""
_SILENCE = 0.5
"""Seconds that end an utterance."""
_SLICE = 0.02
"""Seconds that are judged at a time."""
_EOF = '{"eof" : 1}'
_RESET = '{"reset" : 1}'


class FakeVoskConnection(FakeConnection):
    """One recogniser of a :class:`FakeVosk`."""

    server: FakeVosk

    def on_open(self) -> None:
        """Say nothing, as the real one."""
        self.config: dict[str, Any] = {}
        """The settings, as the client has given them."""
        self._ear: Ear | None = None
        self._words: list[str] = []

    def on_message(self, message: str | bytes) -> None:
        """Answer, exactly once; of the settings, only the server in C++ makes something to answer."""
        if isinstance(message, str) and "config" in message and not self.server.in_cpp:
            self.config |= json.loads(message)["config"]
        elif message == _EOF:
            self._answer(self._result())
            if not self.server.in_cpp:
                self.close()
        elif message == _RESET and self.server.knows_reset:
            self._answer(self._result())
        elif isinstance(message, bytes):
            self._answer(self._hear(message))
        elif self.server.in_cpp:
            self._answer(self._hypothesis())
        else:
            self.close(_INTERNAL_ERROR, "a text message is neither sound nor settings")

    def _answer(self, result: dict[str, Any]) -> None:
        # The real servers write JSON in several lines; the one in C++ answers text in binary frames.
        text = json.dumps(result, indent=2, ensure_ascii=False)
        self.send(text.encode() if self.server.in_cpp and isinstance(self.received[-1], str) else text)

    def _hear(self, pcm: bytes) -> dict[str, Any]:
        sound = AudioFormat(int(self.config.get("sample_rate", _DEFAULT_RATE)))
        if self._ear is None:
            self._ear = Ear(sound)
        ended = False
        for start in range(0, len(pcm), sound.bytes(_SLICE)):
            if self._ear.hear(pcm[start : start + sound.bytes(_SLICE)]):
                self._words = self.server.script.heard().split()
            ended |= self._ear.speaking and self._ear.quiet >= _SILENCE
        return self._result() if ended else self._hypothesis()

    def _hypothesis(self) -> dict[str, Any]:
        spoken = self._ear.loud_until - self._ear.began if self._ear is not None else 0.0
        return {"partial": " ".join(self._words[: 1 + int(spoken / _WORD)])}

    def _result(self) -> dict[str, Any]:
        words, self._words = self._words, []
        began = 0.0
        if self._ear is not None:
            self._ear.forget()
            began = self._ear.began
        result: dict[str, Any] = {"text": " ".join(words)}
        if words and self.config.get("words", True):
            times = [round(began + number * _WORD, 2) for number in range(len(words) + 1)]
            result["result"] = [
                {"conf": 1.0, "start": times[number], "end": times[number + 1], "word": word}
                for number, word in enumerate(words)
            ]
        if not self.config.get("max_alternatives"):
            return result
        return {"alternatives": [{"confidence": 300.0, **result}, {"confidence": 200.0, "text": "um"}]}


class FakeVosk(FakeServer[FakeVoskConnection]):
    """A server that speaks like Vosk's, scripted.

    It takes loud sound for speech, which half a second of silence ends, and it is as strict as
    the real one: a text message that is not letter for letter one of its own ends the connection
    with code 1011.  Example::

        with FakeVosk(hears=["turn on the light"]) as server:
            client = VoiceClient(Vosk(server.url))

    Args:
        hears: what it takes each utterance for, one after the other; the last again and again.
        knows_reset: False is a server from before 2025.
        in_cpp: True is the server in C++, which takes every text but the last for sound, ends no
            connection, and answers text in binary frames.
        options: those of :class:`~voicews.testing.FakeServer`.

    Raises:
        ConfigError: ``hears`` is empty.
    """

    connection_class = FakeVoskConnection

    def __init__(
        self,
        *,
        hears: Sequence[str] = ("turn on the light",),
        knows_reset: bool = True,
        in_cpp: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.knows_reset = knows_reset and not in_cpp
        self.in_cpp = in_cpp
        self.script = Script("FakeVosk", hears)
