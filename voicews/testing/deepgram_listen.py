"""A server that speaks the language of Deepgram's live transcription, for tests without a key."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from voicews.config import AudioFormat
from voicews.testing.script import Script
from voicews.testing.server import FakeConnection, FakeServer
from voicews.testing.speech import Ear

__all__ = ["FakeDeepgramListen", "FakeDeepgramListenConnection"]

Json = dict[str, Any]

_WORD = 0.25
"""Seconds of speech after which one more word is recognised."""
_QUIET_REPORT = 3.0
"""Seconds of silence after which the server says that it heard nothing."""
_PAUSE = 0.3
"""Seconds of silence that end an utterance, unless ``endpointing`` says otherwise."""
_INTERNAL_ERROR = 1011
_REFUSED = 4400


class FakeDeepgramListenConnection(FakeConnection):
    """One client of a :class:`FakeDeepgramListen`."""

    server: FakeDeepgramListen

    def on_open(self) -> None:
        """Read the settings in the address, and begin to watch the time."""
        wanted = self.query
        self.format = AudioFormat(int(wanted["sample_rate"]), int(wanted.get("channels", "1")))
        """What the client has said that it sends."""
        self._ear = Ear(self.format)
        self._told_until = 0.0
        self._words: list[str] = []
        self._told_words = 0
        self._ended_utterance = True
        self._lock = threading.Lock()  # the watch reads what the hooks write
        self._last_word_at = time.monotonic()
        self.start(self._watch)

    def on_message(self, message: str | bytes) -> None:
        """Hear sound, obey control messages."""
        with self._lock:
            self._last_word_at = time.monotonic()
        if isinstance(message, bytes):
            self._hear(message)
            return
        try:
            data = json.loads(message)
            kind = data["type"]
        except (ValueError, TypeError, KeyError):
            kind, data = None, {}
        match kind:
            case "KeepAlive":
                return
            case "Finalize":
                self._finalize()
            case "CloseStream":
                self._close_stream()
            case "Configure":
                self._configure(data)
            case _:
                self.fail("SchemaError", "The message is of no known type.", message)

    def fail(self, variant: str, description: str, message: str | None = None) -> None:
        """Report an error, which does not end the connection.

        Args:
            variant: its kind, such as "SchemaError".
            description: for people.
            message: what the client had said.

        Raises:
            ConnectionClosed: the client has gone.
        """
        told = {} if message is None else {"message": message}
        self.send({"type": "Error", "variant": variant, "description": description, **told})

    # -- hearing ----------------------------------------------------------------------------

    def _hear(self, pcm: bytes) -> None:
        ear = self._ear
        if ear.hear(pcm):
            self._words = self.server.script.heard().split()
            self._told_words = 0
            if self._wants("vad_events"):
                self.send({"type": "SpeechStarted", "channel": [0, 1], "timestamp": round(ear.began, 3)})
        if not ear.speaking:
            self._hear_silence()
            return
        pause = self._pause
        if pause is not None and ear.quiet >= pause:
            self._end_utterance(speech_final=True)
            return
        known = min(len(self._words), int((ear.loud_until - ear.began) / _WORD))
        if known > self._told_words and self._wants("interim_results"):
            self._told_words = known
            self._tell(self._words[:known], is_final=False)

    def _hear_silence(self) -> None:
        ear = self._ear
        limit = self.query.get("utterance_end_ms")
        if limit is not None and not self._ended_utterance and ear.quiet >= int(limit) / 1000:
            self._ended_utterance = True
            last = round(ear.loud_until, 3)
            self.send({"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": last})
        if ear.heard - self._told_until >= _QUIET_REPORT:
            self._tell([], is_final=True)

    @property
    def _pause(self) -> float | None:
        asked = self.query.get("endpointing")
        if asked is None:
            return _PAUSE
        return None if asked == "false" else int(asked) / 1000

    def _wants(self, name: str) -> bool:
        return self.query.get(name) == "true"

    def _end_utterance(self, **how: bool) -> None:
        self._tell(self._words, is_final=True, **how)
        self._ear.forget()
        self._words = []
        self._ended_utterance = False

    def _tell(self, words: Sequence[str], *, is_final: bool, **how: bool) -> None:
        ear, start = self._ear, self._told_until
        if is_final:
            self._told_until = ear.heard
        length = (ear.loud_until - ear.began) / max(1, len(words))
        timed = [
            {
                "word": word.strip(".,!?").lower(),
                "punctuated_word": word,
                "start": round(ear.began + number * length, 3),
                "end": round(ear.began + (number + 1) * length, 3),
                "confidence": 0.99,
            }
            for number, word in enumerate(words)
        ]
        confidence = 0.99 if words else 0.0
        said = {"transcript": " ".join(words), "confidence": confidence, "words": timed}
        self.send(
            {
                "type": "Results",
                "channel_index": [0, 1],
                "start": round(start, 3),
                "duration": round(ear.heard - start, 3),
                "is_final": is_final,
                "speech_final": how.get("speech_final", False),
                "from_finalize": how.get("from_finalize", False),
                "channel": {"alternatives": [said]},
                "metadata": {
                    "request_id": self.request_id,
                    "model_info": {"name": self.query["model"], "version": "fake", "arch": "fake"},
                    "model_uuid": "00000000-0000-0000-0000-000000000000",
                },
            }
        )

    # -- control ----------------------------------------------------------------------------

    def _finalize(self) -> None:
        if not self.server.finalizes:
            self.fail("SchemaError", "Unsupported message type: Finalize")
            self.close(_REFUSED, "Unsupported message type: Finalize")
            return
        # The service answers only where there was something to finish.
        if self._ear.speaking:
            self._end_utterance(from_finalize=True)

    def _close_stream(self) -> None:
        if self._ear.speaking:
            self._end_utterance()
        self.send(
            {
                "type": "Metadata",
                "transaction_key": "deprecated",
                "request_id": self.request_id,
                "sha256": "0" * 64,
                "created": "2026-01-01T00:00:00.000Z",
                "duration": round(self._ear.heard, 3),
                "channels": self.format.channels,
            }
        )
        self.close(1000)

    def _configure(self, data: Json) -> None:
        if not self.query["model"].startswith("nova-3"):
            code, why = "CONFIGURE_KEYTERMS_NOT_SUPPORTED", "The model has no keyterms."
            self.send(
                {"type": "ConfigureFailure", "request_id": self.request_id, "code": code, "description": why}
            )
            return
        told = {"keyterms": data["keyterms"]} if "keyterms" in data else {}
        self.send({"type": "ConfigureSuccess", "request_id": self.request_id, **told})

    def _watch(self) -> None:
        """Hang up on a client that says nothing for too long."""
        limit = self.server.patience
        while True:
            with self._lock:
                left = self._last_word_at + limit - time.monotonic()
            if left <= 0:
                break
            self.pause(left)
        self.close(
            _INTERNAL_ERROR,
            "Deepgram did not receive audio data or a text message within the timeout window. NET-0001",
        )

    # -- facts ------------------------------------------------------------------------------

    @property
    def request_id(self) -> str:
        """The service's name for this connection."""
        return f"request-{self.number}"

    @property
    def seconds(self) -> float:
        """How much sound has been heard."""
        return self._ear.heard


class FakeDeepgramListen(FakeServer[FakeDeepgramListenConnection]):
    """A server that speaks the language of Deepgram's live transcription (Listen v1), scripted.

    It takes loud sound for speech, tells a word more every quarter of a second, and ends an
    utterance as the settings in the address say, when it is told to, and at the end of the
    stream.  Example::

        with FakeDeepgramListen(hears=["Turn on the light."]) as server:
            client = VoiceClient(DeepgramListen(url=server.url))

    Args:
        hears: what it takes utterances for, one after the other; the last again and again.
        key: if given, clients that do not show it are refused with HTTP 401.
        finalizes: False hangs up at ``Finalize`` (code 4400), as WhisperLiveKit does.
        patience: seconds without any message after which it hangs up (code 1011), as the service does.
        options: those of :class:`~voicews.testing.FakeServer`.

    Raises:
        ConfigError: ``hears`` is empty.
    """

    connection_class = FakeDeepgramListenConnection

    def __init__(
        self,
        *,
        hears: Sequence[str] = ("What time is it?",),
        key: str | None = None,
        finalizes: bool = True,
        patience: float = 10.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.script = Script(type(self).__name__, hears)
        self.finalizes = finalizes
        self.patience = patience
        self._key = key

    @property
    def url(self) -> str:
        """What ``DeepgramListen.url`` is set to."""
        return f"{self.address}/v1/listen"

    def judge(self, path: str, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], str] | None:
        """Refuse wrong paths (404), wrong keys (401) and settings that say too little (400)."""
        parts = urlsplit(path)
        if parts.path != "/v1/listen":
            return 404, {}, "the path is /v1/listen\n"
        shown = headers.get("authorization", "")
        if self._key is not None and shown not in (f"Token {self._key}", f"Bearer {self._key}"):
            return 401, {}, '{"err_code": "INVALID_AUTH", "err_msg": "Invalid credentials."}'
        wanted = dict(parse_qsl(parts.query))
        rate = wanted.get("sample_rate", "")
        if "model" not in wanted or wanted.get("encoding") != "linear16" or not rate.isdigit():
            return 400, {}, '{"err_code": "Bad Request", "err_msg": "model, encoding, sample_rate"}'
        return None
