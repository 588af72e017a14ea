"""A server that speaks the language of Home Assistant's Assist, for tests without a house."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from voicews.config import AudioFormat
from voicews.testing.script import FakeAnswer, Script
from voicews.testing.server import FakeConnection, FakeServer
from voicews.testing.speech import Ear, hum

__all__ = ["FakeHomeAssistant", "FakeHomeAssistantConnection"]

Json = dict[str, Any]

_PATH = "/api/websocket"
_SOUND = "/api/tts_proxy/"
_VERSION = "2026.11.0"
_PAUSE = 0.5
"""Seconds of silence that end the user's turn."""
_SPEAKS = AudioFormat(22050)
"""What answers are spoken in."""
_METADATA = {
    "language": "en",
    "format": "wav",
    "codec": "pcm",
    "bit_rate": 16,
    "sample_rate": 16000,
    "channel": 1,
}
"""What the house's own ears get, whatever the client sends."""
_STAGES = ("wake_word", "stt", "intent", "tts")


class _Run:
    """A pipeline at work."""

    def __init__(self, number: int, data: Json, handler: int | None) -> None:
        self.number = number
        self.stage: str = data["start_stage"]
        self.last: str = data["end_stage"]
        settings = data.get("input", {})
        self.ear = Ear(AudioFormat(settings.get("sample_rate", 16000)))
        self.text: str = settings.get("text", "")
        self.by_hand = settings.get("no_vad") is True
        self.conversation: str | None = data.get("conversation_id")
        self.timeout: float = data.get("timeout", 300)
        self.handler = handler
        self.over = False


class FakeHomeAssistantConnection(FakeConnection):
    """One client of a :class:`FakeHomeAssistant`."""

    server: FakeHomeAssistant

    def on_open(self) -> None:
        """Ask for the token."""
        self._lock = threading.RLock()  # an answer's script and the hooks share all below
        self.allowed = False
        """True once the client has shown the right token."""
        self.runs: list[Json] = []
        """The messages by which the client has begun runs."""
        self._newest = 0
        self._handlers = 0
        self._runs: dict[int, _Run] = {}
        self._subscribed: set[int] = set()
        """Runs that were not called off, those that are over among them."""
        self.send({"type": "auth_required", "ha_version": _VERSION})

    def fail(self, message: str, code: str = "stt-stream-failed") -> None:
        """End the runs under way with this error.

        Raises:
            ConnectionClosed: the client has gone.
        """
        with self._lock:
            for run in list(self._runs.values()):
                self._fail(run, code, message)

    # -- what the client says ---------------------------------------------------------------

    def on_message(self, message: str | bytes) -> None:
        """Understand a message."""
        if isinstance(message, bytes):
            self._hear(message)
            return
        try:
            data = json.loads(message)
            kind = data["type"]
            number = data["id"] if self.allowed else 0
        except (ValueError, TypeError, KeyError):
            self._refuse(0, "invalid_format", "Message incorrectly formatted.")
            return
        with self._lock:
            if not self.allowed:
                self._let_in(data)
            elif not isinstance(number, int) or number <= self._newest:
                self._refuse(number, "id_reuse", "Identifier values have to increase.")
            elif kind not in _KINDS:
                self._refuse(number, "unknown_command", "Unknown command.")
            else:
                self._newest = number
                _KINDS[kind](self, number, data)

    def _refuse(self, number: object, code: str, message: str) -> None:
        error = {"code": code, "message": message}
        self.send({"id": number, "type": "result", "success": False, "error": error})

    def _let_in(self, data: Json) -> None:
        key = self.server.key
        if data.get("type") == "auth" and key in (None, data.get("access_token")):
            self.allowed = True
            self.send({"type": "auth_ok", "ha_version": _VERSION})
        else:
            self.send({"type": "auth_invalid", "message": "Invalid access token or password"})
            self.close()

    def _ping(self, number: int, data: Json) -> None:
        self.send({"id": number, "type": "pong"})

    def _call_off(self, number: int, data: Json) -> None:
        subscription = data.get("subscription", 0)
        if subscription not in self._subscribed:
            self._refuse(number, "not_found", "Subscription not found.")
            return
        self._subscribed.remove(subscription)
        if subscription in self._runs:
            self._runs.pop(subscription).over = True
        self.send({"id": number, "type": "result", "success": True, "result": None})

    def _begin(self, number: int, data: Json) -> None:
        stages = data.get("start_stage"), data.get("end_stage")
        if any(stage not in _STAGES for stage in stages):
            self._refuse(number, "invalid_format", "start_stage and end_stage are needed.")
            return
        pipeline = data.get("pipeline")
        if pipeline is not None and pipeline not in self.server.pipelines:
            self._refuse(number, "pipeline-not-found", f"Pipeline not found: id={pipeline}")
            return
        self.runs.append(data)
        handler = None
        if data["start_stage"] in ("wake_word", "stt"):
            self._handlers += 1
            handler = self._handlers
        run = self._runs[number] = _Run(number, data, handler)
        self._subscribed.add(number)
        self.send({"id": number, "type": "result", "success": True, "result": None})
        self._tell(
            run,
            "run-start",
            pipeline=pipeline or "preferred",
            language="en",
            runner_data={"stt_binary_handler_id": handler, "timeout": run.timeout},
        )
        match run.stage:
            case "wake_word":
                self._tell(run, "wake_word-start", entity_id="wake_word.fake", timeout=0)
            case "stt":
                self._tell(run, "stt-start", engine="stt.fake", metadata=_METADATA)
            case _:
                self._think(run)

    # -- a run ------------------------------------------------------------------------------

    def _tell(self, run: _Run, kind: str, **data: object) -> None:
        self.send({"id": run.number, "type": "event", "event": {"type": kind, "data": data}})

    def _fail(self, run: _Run, code: str, message: str) -> None:
        self._tell(run, "error", code=code, message=message)
        self._end_run(run)

    def _end_run(self, run: _Run) -> None:
        run.over = True
        self._runs.pop(run.number, None)
        self._tell(run, "run-end")

    def _hear(self, message: bytes) -> None:
        with self._lock:
            run = next((one for one in self._runs.values() if one.handler == message[0]), None)
            if run is None or run.stage not in ("wake_word", "stt"):
                return
            pcm = message[1:]
            if not pcm:
                self._stop_hearing(run)
                return
            ear = run.ear
            begins = ear.hear(pcm)
            if ear.heard >= run.timeout:
                self._fail(run, "timeout", "Timeout running pipeline")
            elif run.stage == "wake_word":
                self._await_word(run, begins)
            elif begins and not run.by_hand:
                self._tell(run, "stt-vad-start", timestamp=round(ear.began * 1000))
            elif ear.speaking and ear.quiet >= _PAUSE and not run.by_hand:
                self._tell(run, "stt-vad-end", timestamp=round(ear.loud_until * 1000))
                self._understand(run)

    def _await_word(self, run: _Run, begins: bool) -> None:
        ear = run.ear
        if begins or not ear.speaking or ear.quiet < _PAUSE:
            return
        ear.forget()
        run.stage = "stt"
        word = {"wake_word_id": "fake", "wake_word_phrase": "fake", "timestamp": round(ear.loud_until * 1000)}
        self._tell(run, "wake_word-end", wake_word_output=word)
        self._tell(run, "stt-start", engine="stt.fake", metadata=_METADATA)

    def _stop_hearing(self, run: _Run) -> None:
        if run.stage == "wake_word":
            self._fail(run, "wake-stream-failed", "The sound ended before the wake word.")
        elif not run.ear.speaking:
            self._fail(run, "stt-no-text-recognized", "No text recognized")
        else:
            self._understand(run)

    def _understand(self, run: _Run) -> None:
        run.text = self.server.script.heard()
        self._tell(run, "stt-end", stt_output={"text": run.text})
        if run.last == "stt":
            self._end_run(run)
        else:
            self._think(run)

    def _think(self, run: _Run) -> None:
        run.stage = "intent"
        name, said = self.server._conversation(run.conversation)
        run.conversation = name
        said.append(("user", run.text))
        answer = self.server.script.answer()
        self._tell(
            run,
            "intent-start",
            engine="conversation.fake",
            language="en",
            intent_input=run.text,
            conversation_id=name,
            device_id=None,
        )
        if self.server.pace:
            self.start(lambda: self._answer(run, answer, said))
        else:
            self._answer(run, answer, said)

    def _answer(self, run: _Run, answer: FakeAnswer, said: list[tuple[str, str]]) -> None:
        self._delta(run, role="assistant")
        for count, word in enumerate(answer.text.split()):
            if self.server.pace:
                self.pause(self.server.pace)
            if not self._delta(run, content=f" {word}" if count else word):
                return
        with self._lock:
            if run.over:
                return
            said.append(("assistant", answer.text))
            speech = {"plain": {"speech": answer.text, "extra_data": None}}
            self._tell(
                run,
                "intent-end",
                processed_locally=False,
                intent_output={
                    "response": {"speech": speech, "language": "en", "response_type": "action_done"},
                    "conversation_id": run.conversation,
                    "continue_conversation": answer.text.endswith("?"),
                },
            )
            if run.last == "tts":
                self._speak(run, answer)
            self._end_run(run)

    def _delta(self, run: _Run, **delta: str) -> bool:
        with self._lock:
            if not run.over:
                self._tell(run, "intent-progress", chat_log_delta=delta)
            return not run.over

    def _speak(self, run: _Run, answer: FakeAnswer) -> None:
        self._tell(run, "tts-start", engine="tts.fake", language="en", voice="fake", tts_input=answer.text)
        pcm = answer.pcm if answer.pcm is not None else hum(answer.text, _SPEAKS)
        path = self.server._keep(_wave(pcm, _SPEAKS))
        self._tell(
            run,
            "tts-end",
            tts_output={
                "media_id": f"media-source://tts/fake?message={len(pcm)}",
                "token": path.removeprefix(_SOUND),
                "url": path,
                "mime_type": "audio/x-wav",
            },
        )


def _wave(pcm: bytes, format: AudioFormat) -> bytes:
    described = struct.pack(
        "<HHIIHH",
        1,
        format.channels,
        format.rate,
        format.rate * format.bytes_per_sample,
        format.bytes_per_sample,
        16,
    )
    chunks = b"WAVEfmt " + struct.pack("<I", len(described)) + described
    chunks += b"data" + struct.pack("<I", len(pcm)) + pcm
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


class FakeHomeAssistant(FakeServer[FakeHomeAssistantConnection]):
    """A server that speaks the language of Home Assistant's Assist, scripted.

    It takes loud sound for speech (the first of a run that waits for it: for the wake word), ends a
    turn after half a second of silence or where the client ends it, and hands the answer's sound
    out over HTTP, at the same port.  An answer that ends in "?" is a question that is to be answered
    without the wake word.  The house calls its functions itself, so a ``call`` in an answer is passed
    over.  Example::

        with FakeHomeAssistant(hears=["Turn on the light."], answers=["It is on."]) as server:
            client = VoiceClient(HomeAssistantAssist(server.url, key="any"))

    Args:
        hears: what it takes the user's turns for, one after the other; the last again and again.
        answers: texts, or :class:`~voicews.testing.FakeAnswer` (sound at 22050 Hz), in the same way.
        key: if given, another token is refused.
        pipelines: ids that there are, beside the preferred one.
        pace: seconds between the words of an answer; 0 (the default) tells them at once.
        options: those of :class:`~voicews.testing.FakeServer`.

    Raises:
        ConfigError: ``hears`` or ``answers`` is empty.
    """

    connection_class = FakeHomeAssistantConnection

    def __init__(
        self,
        *,
        hears: Sequence[str] = ("What time is it?",),
        answers: Sequence[FakeAnswer | str] = ("It is time for tea.",),
        key: str | None = None,
        pipelines: Sequence[str] = (),
        pace: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.script = Script(type(self).__name__, hears, answers)
        self.key = key
        self.pipelines = tuple(pipelines)
        self.pace = pace
        self._memory = threading.Lock()
        self._conversations: dict[str, list[tuple[str, str]]] = {}
        self._sounds: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        """What ``HomeAssistantAssist.url`` is set to."""
        return f"{self.address}{_PATH}"

    @property
    def conversations(self) -> dict[str, list[tuple[str, str]]]:
        """What was said in each, by its id: role and text."""
        with self._memory:
            return {name: list(said) for name, said in self._conversations.items()}

    def _conversation(self, name: str | None) -> tuple[str, list[tuple[str, str]]]:
        with self._memory:
            if name is None or name not in self._conversations:
                name = f"conversation-{len(self._conversations) + 1}"
            return name, self._conversations.setdefault(name, [])

    def _keep(self, sound: bytes) -> str:
        with self._memory:
            path = f"{_SOUND}sound-{len(self._sounds) + 1}.wav"
            self._sounds[path] = sound
        return path

    def judge(
        self, path: str, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], str | bytes] | None:
        """Hand out the sound of answers; nothing is at other addresses (404)."""
        where = urlsplit(path).path
        if where == _PATH:
            return None
        with self._memory:
            sound = self._sounds.get(where)
        if sound is None:
            return 404, {}, "404: Not Found"
        return 200, {"Content-Type": "audio/x-wav"}, sound


_KINDS: Mapping[str, Callable[[FakeHomeAssistantConnection, int, Json], None]] = {
    "assist_pipeline/run": FakeHomeAssistantConnection._begin,
    "unsubscribe_events": FakeHomeAssistantConnection._call_off,
    "ping": FakeHomeAssistantConnection._ping,
}
