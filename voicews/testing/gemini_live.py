"""A server that speaks the language of Google's Gemini Live API, for tests without a key."""

from __future__ import annotations

import base64
import binascii
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from voicews.config import AudioFormat
from voicews.testing.script import FakeAnswer, Script
from voicews.testing.server import FakeConnection, FakeServer
from voicews.testing.speech import Ear, hum

__all__ = ["FakeGeminiConnection", "FakeGeminiLive"]

Json = dict[str, Any]

_SPEAKS = AudioFormat(24000)
_SLICE = 0.1
"""Seconds of an answer's sound in one message."""
_JUDGED = 0.02
"""Seconds of heard sound that are judged at a time."""
_SILENCE = 0.5
"""Seconds that end a turn, unless ``silenceDurationMs`` says otherwise."""
_INVALID = 1007
_STANDARD = str.maketrans("-_", "+/")
_SETUP = frozenset(
    {
        "contextWindowCompression",
        "explicitVadSignal",
        "generationConfig",
        "historyConfig",
        "inputAudioTranscription",
        "labels",
        "model",
        "outputAudioTranscription",
        "proactivity",
        "realtimeInputConfig",
        "safetySettings",
        "sessionResumption",
        "systemInstruction",
        "tools",
    }
)


class FakeGeminiConnection(FakeConnection):
    """One session with a :class:`FakeGeminiLive`."""

    server: FakeGeminiLive

    def on_open(self) -> None:
        """Wait for the client's setup."""
        self._lock = threading.RLock()  # the answer's script and the hooks share all below
        self.setup: Json = {}
        """The client's first message."""
        self.said: list[tuple[str, str]] = []
        """The conversation as roles ("user" and "model") and texts, what was restored included."""
        self.results: dict[str, Any] = {}
        """What the client's functions have returned, by call id."""
        self._ear: Ear | None = None
        self._waits_for_history = False
        self._in_turn = False
        self._voice = threading.RLock()  # one answer at a time
        self._answers = 0
        self._answering: int | None = None
        self._stopped: set[int] = set()
        self._waiting: FakeAnswer | None = None
        self._calls = 0

    def say(self, **message: object) -> None:
        """Send a message, as the service does: JSON in a binary frame.

        Raises:
            ConnectionClosed: the client has gone.
        """
        self.send(json.dumps(message).encode())

    def go_away(self, seconds: float = 50.0) -> None:
        """Announce the end of this connection.

        Raises:
            ConnectionClosed: the client has gone.
        """
        self.say(goAway={"timeLeft": f"{seconds:g}s"})

    # -- what the client says ---------------------------------------------------------------

    def on_message(self, message: str | bytes) -> None:
        """Understand a message; one that is none ends the connection with 1007, as the service does."""
        try:
            data = json.loads(message)
        except ValueError:
            self.close(_INVALID, "Invalid JSON payload received.")
            return
        data = _camel(data)
        [(kind, value)] = data.items() if isinstance(data, dict) and len(data) == 1 else [(None, {})]
        understand = _KINDS.get(kind) if isinstance(kind, str) and isinstance(value, dict) else None
        if understand is None or (not self.setup and kind != "setup"):
            self.close(_INVALID, f"Invalid JSON payload received. Unknown name {str(kind)[:40]!r}.")
            return
        with self._lock:
            understand(self, value)

    def _set_up(self, setup: Json) -> None:
        unknown = sorted(set(setup) - _SETUP)
        if unknown:
            self.close(_INVALID, f"Invalid JSON payload received. Unknown name {unknown[0]!r} at 'setup'.")
            return
        self.setup = setup
        handle = _at(setup, "sessionResumption", "handle")
        if handle is not None:
            saved = self.server.session(handle)
            if saved is None:
                self.close(_INVALID, "Request contains an invalid argument.")
                return
            self.said = list(saved)
        self._waits_for_history = _at(setup, "historyConfig", "initialHistoryInClientContent") is True
        self.say(setupComplete={"sessionId": f"session-{self.number}"})

    def _hear_content(self, content: Json) -> None:
        for turn in content.get("turns", []):
            text = "".join(part.get("text", "") for part in turn.get("parts", []))
            self.said.append((turn.get("role", "user"), text))
        if content.get("turnComplete") is not True:
            return
        if self._waits_for_history:
            self._waits_for_history = False
            return
        self._interrupt()
        self._begin_answer()

    def _hear_input(self, part: Json) -> None:
        if "audio" in part:
            self._hear_sound(part["audio"])
        if "text" in part:
            self.said.append(("user", str(part["text"])))
            if not self._in_turn:
                self._interrupt()
                self._begin_answer()
        if "activityStart" in part:
            self._in_turn = True
            self._interrupt()
        if "activityEnd" in part and self._in_turn:
            self._in_turn = False
            if self._ear is not None and self._ear.speaking:
                self._take_turn()
            elif self.said and self.said[-1][0] == "user":
                self._begin_answer()
        if part.get("audioStreamEnd") is True and self._ear is not None and self._ear.speaking:
            self._take_turn()

    def _hear_sound(self, audio: Json) -> None:
        try:
            # Both alphabets are base64 in Google's JSON, and its own client uses the one for addresses.
            pcm = base64.b64decode(audio["data"].translate(_STANDARD), validate=True)
            rate = int(str(audio["mimeType"]).partition("rate=")[2] or 16000)
        except (AttributeError, KeyError, ValueError, binascii.Error):
            self.close(_INVALID, "Request contains an invalid argument.")
            return
        sound = AudioFormat(rate)
        if self._ear is None:
            self._ear = Ear(sound)
        step = sound.bytes(_JUDGED)
        for start in range(0, len(pcm), step):
            begins = self._ear.hear(pcm[start : start + step])
            if self._decides and begins and self._may_be_interrupted:
                self._interrupt()
            if self._decides and self._ear.speaking and self._ear.quiet >= self._silence:
                self._take_turn()

    @property
    def _decides(self) -> bool:
        """True unless the client says where turns begin and end."""
        disabled = _at(self.setup, "realtimeInputConfig", "automaticActivityDetection", "disabled")
        return disabled is not True

    @property
    def _may_be_interrupted(self) -> bool:
        handling = _at(self.setup, "realtimeInputConfig", "activityHandling")
        return bool(handling != "NO_INTERRUPTION")

    @property
    def _silence(self) -> float:
        wanted = _at(self.setup, "realtimeInputConfig", "automaticActivityDetection", "silenceDurationMs")
        return float(wanted) / 1000 if wanted else _SILENCE

    def _take_turn(self) -> None:
        assert self._ear is not None
        self._ear.forget()
        words = self.server.script.heard()
        self.said.append(("user", words))
        if "inputAudioTranscription" in self.setup:
            for piece in _pieces(words):
                self.say(serverContent={"inputTranscription": {"text": piece}})
        self._begin_answer()

    def _hear_results(self, response: Json) -> None:
        for result in response.get("functionResponses", []):
            self.results[result.get("id", "")] = result.get("response")
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._begin_answer(FakeAnswer(waiting.text, waiting.pcm))

    # -- answers ----------------------------------------------------------------------------

    def _interrupt(self) -> None:
        if self._answering is not None and self._answering not in self._stopped:
            self._stopped.add(self._answering)
            self.say(serverContent={"interrupted": True})

    def _begin_answer(self, answer: FakeAnswer | None = None) -> None:
        answer = answer or self.server.script.answer()
        if answer.call is not None:
            self._waiting = answer
            self._call(*answer.call)
        elif self.server.pace:
            self.start(lambda: self._answer(answer))
        else:
            self._answer(answer)

    def call_off(self) -> None:
        """Take back the function call that has not been answered yet, and give no answer either.

        Raises:
            ConnectionClosed: the client has gone.
        """
        with self._lock:
            self._waiting = None
            self.say(toolCallCancellation={"ids": [f"call-{self._calls}"]})

    def _call(self, name: str, arguments: Mapping[str, Any]) -> None:
        self._calls += 1
        call = {"id": f"call-{self._calls}", "name": name, "args": dict(arguments)}
        self.say(toolCall={"functionCalls": [call]})

    def _answer(self, answer: FakeAnswer) -> None:
        with self._voice:
            with self._lock:
                self._answers += 1
                number = self._answering = self._answers
            said = self._speak(answer, number)
            with self._lock:
                self._answering = None
                self.said.append(("model", said))
                if number not in self._stopped:
                    self.say(serverContent={"generationComplete": True})
                self.say(serverContent={"turnComplete": True}, usageMetadata={"totalTokenCount": len(said)})
                if "sessionResumption" in self.setup:
                    handle = self.server.save(self.said)
                    self.say(sessionResumptionUpdate={"newHandle": handle, "resumable": True})

    def _speak(self, answer: FakeAnswer, answer_number: int) -> str:
        spoken = "AUDIO" in (_at(self.setup, "generationConfig", "responseModalities") or ["AUDIO"])
        pcm = answer.pcm if answer.pcm is not None else hum(answer.text, _SPEAKS)
        step = _SPEAKS.bytes(_SLICE)
        slices = [pcm[start : start + step] for start in range(0, len(pcm), step)] if spoken else []
        pieces, said = _pieces(answer.text), ""
        for number in range(max(len(pieces), len(slices))):
            if number and self.server.pace:
                self.pause(self.server.pace)
            with self._lock:
                if answer_number in self._stopped:
                    break
                piece = pieces[number] if number < len(pieces) else ""
                said += piece
                self._say_piece(piece, slices[number] if number < len(slices) else b"", spoken)
        return said

    def _say_piece(self, piece: str, pcm: bytes, spoken: bool) -> None:
        parts: list[Json] = []
        if pcm:
            data = base64.b64encode(pcm).decode()
            parts.append({"inlineData": {"mimeType": f"audio/pcm;rate={_SPEAKS.rate}", "data": data}})
        if piece and not spoken:
            parts.append({"text": piece})
        if parts:
            self.say(serverContent={"modelTurn": {"role": "model", "parts": parts}})
        if piece and spoken and "outputAudioTranscription" in self.setup:
            self.say(serverContent={"outputTranscription": {"text": piece}})


class FakeGeminiLive(FakeServer[FakeGeminiConnection]):
    """A server that speaks the language of the Gemini Live API, scripted.

    It takes loud sound for speech and answers after half a second of silence (or when it is told to),
    transcribes both sides, calls functions, is interrupted, keeps sessions that can be resumed, and
    hangs up with 1007 for what it does not know.  Example::

        with FakeGeminiLive(hears=["Hello."], answers=["Hello yourself."]) as server:
            client = VoiceClient(GeminiLive("any-model", url=server.url))

    Args:
        hears: what it takes the user's turns for, one after the other; the last again and again.
        answers: texts, or :class:`~voicews.testing.FakeAnswer`, in the same way.
        key: if given, clients that do not show it are refused with HTTP 401.
        pace: seconds between one slice of an answer (0.1 s of sound) and the next; 0 (the default)
            sends an answer at once, as the service nearly does.  With 0.1 it can be interrupted.
        options: those of :class:`~voicews.testing.FakeServer`.

    Raises:
        ConfigError: ``hears`` or ``answers`` is empty.
    """

    connection_class = FakeGeminiConnection

    def __init__(
        self,
        *,
        hears: Sequence[str] = ("What time is it?",),
        answers: Sequence[FakeAnswer | str] = ("It is time for tea.",),
        key: str | None = None,
        pace: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.script = Script("FakeGeminiLive", hears, answers)
        self.pace = pace
        self._key = key
        self._saved: dict[str, tuple[tuple[str, str], ...]] = {}
        self._saving = threading.Lock()

    @property
    def url(self) -> str:
        """What ``GeminiLive.url`` is set to."""
        return f"{self.address}/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"

    def judge(self, path: str, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], str] | None:
        """Refuse wrong paths (404) and wrong keys (401)."""
        parts = urlsplit(path)
        if not parts.path.startswith("/ws/google.ai.generativelanguage."):
            return 404, {}, "there is no such service\n"
        shown = (
            headers.get("x-goog-api-key"),
            headers.get("authorization", "").removeprefix("Token "),
            *parse_qs(parts.query).get("key", []),
        )
        return (401, {}, "the key is wrong\n") if self._key is not None and self._key not in shown else None

    def save(self, said: Sequence[tuple[str, str]]) -> str:
        """Keep a session; returns its handle."""
        with self._saving:
            handle = f"handle-{len(self._saved) + 1}"
            self._saved[handle] = tuple(said)
            return handle

    def session(self, handle: str) -> tuple[tuple[str, str], ...] | None:
        """The conversation of a kept session; None if there is none by this handle."""
        with self._saving:
            return self._saved.get(handle)

    def forget_sessions(self) -> None:
        """No handle is known any more, as after two hours."""
        with self._saving:
            self._saved.clear()


_KINDS: Mapping[str, Callable[[FakeGeminiConnection, Json], None]] = {
    "setup": FakeGeminiConnection._set_up,
    "clientContent": FakeGeminiConnection._hear_content,
    "realtimeInput": FakeGeminiConnection._hear_input,
    "toolResponse": FakeGeminiConnection._hear_results,
}


def _pieces(text: str) -> list[str]:
    """Words, each with the space before it, as transcripts come."""
    return [word if number == 0 else f" {word}" for number, word in enumerate(text.split())]


def _at(data: object, *keys: str) -> Any:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _camel(data: Any) -> Any:
    """The service takes names in snake_case too, and Google's own client mixes both."""
    if isinstance(data, list):
        return [_camel(item) for item in data]
    if not isinstance(data, dict):
        return data
    named = {}
    for name, value in data.items():
        first, *rest = name.split("_")
        # What is the user's own must stay as it is.
        own = name in ("args", "response", "parametersJsonSchema", "parameters", "labels")
        named[first + "".join(word.capitalize() for word in rest)] = value if own else _camel(value)
    return named
