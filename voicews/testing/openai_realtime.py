"""A server that speaks OpenAI's Realtime language, for tests without a key."""

from __future__ import annotations

import base64
import binascii
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal
from urllib.parse import urlsplit

from voicews.config import AudioFormat
from voicews.testing.script import FakeAnswer, Script
from voicews.testing.server import FakeConnection, FakeServer
from voicews.testing.speech import Ear, hum

__all__ = ["FakeOpenAIConnection", "FakeOpenAIRealtime"]

Json = dict[str, Any]

_SLICE = 0.1
"""Seconds of sound in one message."""
_GOING_AWAY = 1001
_BETA_NAMES = {
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "conversation.item.added": "conversation.item.created",
}


class FakeOpenAIConnection(FakeConnection):
    """One session with a :class:`FakeOpenAIRealtime`."""

    server: FakeOpenAIRealtime

    def on_open(self) -> None:
        """Greet."""
        self._lock = threading.RLock()  # the answer's script and the hooks share all below
        self.session: Json = {"type": "realtime"} if self.server.version == "ga" else {}
        """The settings, as the client's updates have made them."""
        self.items: list[Json] = []
        """The conversation, oldest first; what was truncated has lost its transcript."""
        self.truncated: list[tuple[str, int]] = []
        """Item ids and milliseconds, as the client has said that they were heard."""
        self._numbers: dict[str, int] = {}
        self._buffer = bytearray()
        self._ear = Ear(AudioFormat(24000))
        self._speaking: str | None = None
        self._response: str | None = None
        self._cancelled: str | None = None
        self._durations: dict[str, float] = {}
        self._afterwards: FakeAnswer | None = None
        self.say("session.created", session=self._described())

    def say(self, kind: str, **fields: object) -> None:
        """Send an event of this type, under the name that it has in the server's version.

        Raises:
            ConnectionClosed: the client has gone.
        """
        if self.server.version == "beta":
            kind = _BETA_NAMES.get(kind, kind)
        self.send({"type": kind, "event_id": self._name("event"), **fields})

    def fail(
        self, message: str, *, code: str, kind: str = "invalid_request_error", cause: str | None = None
    ) -> None:
        """Report an error, which does not end the session.

        Args:
            message: for people.
            code: for programs.
            kind: "invalid_request_error" or "server_error".
            cause: the event_id of what the client said.

        Raises:
            ConnectionClosed: the client has gone.
        """
        error = {"type": kind, "code": code, "message": message, "param": None, "event_id": cause}
        self.say("error", error=error)

    def expire(self) -> None:
        """End the session as OpenAI does after an hour."""
        reason = "Your session hit the maximum duration of 60 minutes."
        self.fail(reason, code="session_expired")
        self.close(_GOING_AWAY, reason)

    def speak_up(self, answer: FakeAnswer | str) -> None:
        """Answer without having been asked.

        Raises:
            ConnectionClosed: the client has gone.
        """
        self._answer(FakeAnswer(answer) if isinstance(answer, str) else answer)

    # -- what the client says ---------------------------------------------------------------

    def on_message(self, message: str | bytes) -> None:
        """Understand a message."""
        try:
            data = json.loads(message)
            kind = data["type"]
        except (ValueError, TypeError, KeyError):
            self.fail("The message is no JSON object with a type.", code="invalid_json")
            return
        understand = _KINDS.get(kind) if isinstance(kind, str) else None
        with self._lock:
            if understand is None:
                self.fail(f"Unknown type {kind!r}.", code="invalid_value", cause=data.get("event_id"))
            else:
                understand(self, data)

    def _update(self, data: Json) -> None:
        wanted = data.get("session")
        if not isinstance(wanted, dict) or (self.server.version == "ga" and "type" not in wanted):
            self.fail("session.type is missing.", code="missing_parameter", cause=data.get("event_id"))
            return
        if wanted.get("voice") == "nobody" or _at(wanted, "audio", "output", "voice") == "nobody":
            self.fail("There is no voice 'nobody'.", code="invalid_value", cause=data.get("event_id"))
            return
        before = self.rate
        self.session = _merged(self.session, wanted)
        if self.rate != before:
            self._ear = Ear(AudioFormat(self.rate))
        self.say("session.updated", session=self._described())

    def _append(self, data: Json) -> None:
        try:
            pcm = base64.b64decode(data["audio"], validate=True)
        except (KeyError, TypeError, binascii.Error, ValueError):
            self.fail("audio is no base64.", code="missing_audio_data", cause=data.get("event_id"))
            return
        self._buffer += pcm
        if self._turn_detection:
            self._detect(pcm)

    def _detect(self, pcm: bytes) -> None:
        begins, now = self._ear.hear(pcm), int(self._ear.heard * 1000)
        if begins:
            self._speaking = self._name("item")
            self.say("input_audio_buffer.speech_started", audio_start_ms=now, item_id=self._speaking)
            if self._turn_detection.get("interrupt_response") is not False:
                self._stop_answering("turn_detected")
        elif self._speaking is not None and self._ear.quiet * 1000 >= self._silence_ms:
            self.say("input_audio_buffer.speech_stopped", audio_end_ms=now, item_id=self._speaking)
            self._take_turn(self._speaking)
            if self._turn_detection.get("create_response") is not False and self._converses:
                self._begin_answer()
        elif self._speaking is None:
            del self._buffer[: -2 * self.rate]  # of the silence before a turn, a second is enough

    def _commit(self, data: Json) -> None:
        if len(self._buffer) / 2 / self.rate < 0.1:
            self.fail(
                "Expected at least 100ms of audio.",
                code="input_audio_buffer_commit_empty",
                cause=data.get("event_id"),
            )
            return
        self._take_turn(self._speaking or self._name("item"))

    def _take_turn(self, item_id: str) -> None:
        self._buffer.clear()
        self._forget_speech()
        before = self.items[-1]["id"] if self.items else None
        words = self.server.script.heard()
        content = [{"type": "input_audio", "transcript": words if self._transcribes else None}]
        self.say("input_audio_buffer.committed", item_id=item_id, previous_item_id=before)
        self._add({"id": item_id, "type": "message", "role": "user", "content": content})
        if not self._transcribes:
            return
        place = {"item_id": item_id, "content_index": 0}
        for word in words.split(" "):
            self.say(
                "conversation.item.input_audio_transcription.delta",
                **place,
                delta=word if word == words.split(" ")[0] else f" {word}",
            )
        self.say(
            "conversation.item.input_audio_transcription.completed",
            **place,
            transcript=words,
            usage={"type": "duration", "seconds": 1.0},
        )

    def _clear(self, data: Json) -> None:
        self._buffer.clear()
        self._forget_speech()
        self.say("input_audio_buffer.cleared")

    def _forget_speech(self) -> None:
        self._speaking = None
        self._ear.forget()

    def _create_item(self, data: Json) -> None:
        item = data.get("item")
        if not isinstance(item, dict) or item.get("type") not in ("message", "function_call_output"):
            self.fail("item has no known type.", code="invalid_value", cause=data.get("event_id"))
            return
        wrong = next((c for c in item.get("content", []) if not self._knows(item, c)), None)
        if wrong is not None:
            self.fail("content has a wrong type.", code="invalid_value", cause=data.get("event_id"))
            return
        self._add({"id": self._name("item"), **item})

    def _knows(self, item: Json, content: Json) -> bool:
        allowed = {
            "user": ("input_text", "input_audio"),
            "system": ("input_text",),
            "assistant": (self._said_as("text"),),
        }
        return content.get("type") in allowed.get(item.get("role", ""), ())

    def _said_as(self, kind: str) -> str:
        return f"output_{kind}" if self.server.version == "ga" else kind

    def _truncate(self, data: Json) -> None:
        item_id, heard = data.get("item_id", ""), data.get("audio_end_ms", -1)
        length = self._durations.get(item_id)
        if length is None or not 0 <= heard <= length * 1000:
            self.fail(
                f"Audio content of {int((length or 0) * 1000)}ms is already shorter than {heard}ms.",
                code="invalid_value",
                cause=data.get("event_id"),
            )
            return
        self.truncated.append((item_id, heard))
        for item in self.items:
            if item["id"] == item_id:
                item["content"] = [{"type": self._said_as("audio")}]
        self.say("conversation.item.truncated", item_id=item_id, content_index=0, audio_end_ms=heard)

    def _create_response(self, data: Json) -> None:
        if self._response is not None:
            self.fail(
                "Conversation already has an active response in progress.",
                code="conversation_already_has_active_response",
                cause=data.get("event_id"),
            )
        else:
            self._begin_answer()

    def _cancel(self, data: Json) -> None:
        wanted = data.get("response_id")
        if self._response is None or wanted not in (None, self._response):
            self.fail(
                "no active response found", code="response_cancel_not_active", cause=data.get("event_id")
            )
        else:
            self._stop_answering("client_cancelled")

    # -- answers ----------------------------------------------------------------------------

    def _begin_answer(self) -> None:
        answer = self._afterwards or self.server.script.answer()
        self._afterwards = None
        if answer.call is not None and (answer.text or answer.pcm):
            answer, self._afterwards = replace(answer, text="", pcm=None), replace(answer, call=None)
        if self.server.pace:
            self.start(lambda: self._answer(answer))
        else:
            self._answer(answer)

    def _stop_answering(self, reason: str) -> None:
        if self._response is not None:
            self._cancelled = reason

    def _answer(self, answer: FakeAnswer) -> None:
        with self._lock:
            name = self._response = self._name("resp")
            self._cancelled = None
            self.say("response.created", response=self._response_of(name, "in_progress"))
        output: list[Json] = []
        if answer.text or answer.pcm:
            output.append(self._speak(answer, name))
        if answer.call is not None and self._cancelled is None:
            output.append(self._call(answer.call, name, len(output)))
        with self._lock:
            reason, self._response = self._cancelled, None
            details = {"type": "cancelled", "reason": reason} if reason else None
            status = "cancelled" if reason else "completed"
            self.say("response.done", response=self._response_of(name, status, details, output))

    def _speak(self, answer: FakeAnswer, response_id: str) -> Json:
        item: Json = {"id": self._name("item"), "type": "message", "role": "assistant", "content": []}
        place = {"response_id": response_id, "item_id": item["id"], "output_index": 0, "content_index": 0}
        spoken = self._speaks
        kind = "audio" if spoken else "text"
        text_event = "response.output_audio_transcript" if spoken else "response.output_text"
        with self._lock:
            self.say(
                "response.output_item.added",
                response_id=response_id,
                output_index=0,
                item={**item, "status": "in_progress"},
            )
            self.say("response.content_part.added", **place, part={"type": kind})
        pcm = answer.pcm if answer.pcm is not None else hum(answer.text, AudioFormat(self.rate))
        step = int(self.rate * _SLICE) * 2
        slices = [pcm[start : start + step] for start in range(0, len(pcm), step)] if spoken else []
        words = [word if place == 0 else f" {word}" for place, word in enumerate(answer.text.split(" "))]
        said = ""
        for number in range(max(len(words), len(slices))):
            if number and self.server.pace:
                self.pause(self.server.pace)
            with self._lock:
                if self._cancelled is not None:
                    break
                if number < len(words) and words[number]:
                    said += words[number]
                    self.say(f"{text_event}.delta", **place, delta=words[number])
                if number < len(slices):
                    sound = base64.b64encode(slices[number]).decode()
                    self._durations[item["id"]] = (
                        self._durations.get(item["id"], 0.0) + len(slices[number]) / 2 / self.rate
                    )
                    self.say("response.output_audio.delta", **place, delta=sound)
        with self._lock:
            if spoken:
                self.say("response.output_audio.done", **place)
            field = "transcript" if spoken else "text"
            self.say(f"{text_event}.done", **place, **{field: said})
            self.say("response.content_part.done", **place, part={"type": kind, field: said})
            finished = self._cancelled is None
            item["status"] = "completed" if finished else "incomplete"
            item["content"] = [{"type": self._said_as(kind), field: said}]
            self.say("response.output_item.done", response_id=response_id, output_index=0, item=item)
            self._add(item)
        return item

    def _call(self, call: tuple[str, Mapping[str, Any]], response_id: str, index: int) -> Json:
        name, arguments = call[0], json.dumps(dict(call[1]))
        item: Json = {
            "id": self._name("item"),
            "type": "function_call",
            "call_id": self._name("call"),
            "name": name,
            "arguments": "",
        }
        with self._lock:
            place = {"response_id": response_id, "output_index": index}
            self.say("response.output_item.added", **place, item={**item, "status": "in_progress"})
            where = {**place, "item_id": item["id"], "call_id": item["call_id"]}
            self.say("response.function_call_arguments.delta", **where, delta=arguments)
            # The beta did not repeat the function's name here.
            named = {"name": name} if self.server.version == "ga" else {}
            self.say("response.function_call_arguments.done", **where, **named, arguments=arguments)
            item |= {"arguments": arguments, "status": "completed"}
            self.say("response.output_item.done", **place, item=item)
            self._add(item)
        return item

    # -- facts ------------------------------------------------------------------------------

    @property
    def rate(self) -> int:
        """Samples per second, as the settings say."""
        return int(_at(self.session, "audio", "input", "format", "rate") or 24000)

    @property
    def said(self) -> list[tuple[str, str]]:
        """The conversation's messages as role and text, what was restored included."""
        return [
            (item["role"], " ".join(c.get("text") or c.get("transcript") or "" for c in item["content"]))
            for item in self.items
            if item["type"] == "message"
        ]

    @property
    def results(self) -> dict[str, str]:
        """What the client's functions have returned, by call id."""
        return {
            item["call_id"]: item["output"] for item in self.items if item["type"] == "function_call_output"
        }

    @property
    def _turn_detection(self) -> Json:
        found = _at(self.session, "audio", "input", "turn_detection") or self.session.get("turn_detection")
        return found if isinstance(found, dict) else {}

    @property
    def _silence_ms(self) -> float:
        return float(self._turn_detection.get("silence_duration_ms", 500))

    @property
    def _transcribes(self) -> bool:
        ga = _at(self.session, "audio", "input", "transcription")
        return bool(ga or self.session.get("input_audio_transcription"))

    @property
    def _converses(self) -> bool:
        return self.session.get("type") != "transcription"

    @property
    def _speaks(self) -> bool:
        wanted = self.session.get("output_modalities") or self.session.get("modalities") or ["audio"]
        return "audio" in wanted

    def _name(self, kind: str) -> str:
        with self._lock:
            self._numbers[kind] = self._numbers.get(kind, 0) + 1
            return f"{kind}_{self.number}_{self._numbers[kind]}"

    def _described(self) -> Json:
        return {"id": f"sess_{self.number}", "object": "realtime.session", **self.session}

    def _add(self, item: Json) -> None:
        before = self.items[-1]["id"] if self.items else None
        self.items.append(item)
        self.say("conversation.item.added", item=item, previous_item_id=before)
        if self.server.version == "ga":
            self.say("conversation.item.done", item=item, previous_item_id=before)

    @staticmethod
    def _response_of(
        name: str, status: str, details: Json | None = None, output: Sequence[Json] = ()
    ) -> Json:
        return {
            "object": "realtime.response",
            "id": name,
            "status": status,
            "status_details": details,
            "output": list(output),
        }


class FakeOpenAIRealtime(FakeServer[FakeOpenAIConnection]):
    """A server that speaks OpenAI's Realtime language, scripted.

    It takes loud sound for speech and answers after the silence that the settings ask for,
    or when it is told to; it transcribes, calls functions, is interrupted and truncated, and
    refuses what the service refuses.  Example::

        with FakeOpenAIRealtime(hears=["Hello."], answers=["Hello yourself."]) as server:
            client = VoiceClient(OpenAIRealtime("any-model", url=server.url, transcription="any"))

    Args:
        hears: what it takes the user's turns for, one after the other; the last again and again.
        answers: texts, or :class:`FakeAnswer`, in the same way.
        version: whose names it uses: "ga" (the default) or "beta".
        key: if given, clients that do not show it are refused with HTTP 401.
        pace: seconds between one slice of an answer (0.1 s of sound) and the next; 0 (the default)
            sends an answer at once, as services nearly do.  With 0.1 it can be interrupted while
            it is being made.
        options: those of :class:`~voicews.testing.FakeServer`.

    Raises:
        ConfigError: ``hears`` or ``answers`` is empty.
    """

    connection_class = FakeOpenAIConnection

    def __init__(
        self,
        *,
        hears: Sequence[str] = ("What time is it?",),
        answers: Sequence[FakeAnswer | str] = ("It is time for tea.",),
        version: Literal["ga", "beta"] = "ga",
        key: str | None = None,
        pace: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.script = Script(type(self).__name__, hears, answers)
        self.version = version
        self.pace = pace
        self._key = key

    @property
    def url(self) -> str:
        """What ``OpenAIRealtime.url`` is set to."""
        return f"{self.address}/v1/realtime"

    def judge(self, path: str, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], str] | None:
        """Refuse wrong paths (404) and wrong keys (401)."""
        if urlsplit(path).path != "/v1/realtime":
            return 404, {}, "the path is /v1/realtime\n"
        if self._key is not None and self._key not in (
            headers.get("authorization", "").removeprefix("Bearer "),
            headers.get("api-key"),
        ):
            return 401, {}, "the key is wrong\n"
        return None


_KINDS: Mapping[str, Callable[[FakeOpenAIConnection, Json], None]] = {
    "session.update": FakeOpenAIConnection._update,
    "input_audio_buffer.append": FakeOpenAIConnection._append,
    "input_audio_buffer.commit": FakeOpenAIConnection._commit,
    "input_audio_buffer.clear": FakeOpenAIConnection._clear,
    "conversation.item.create": FakeOpenAIConnection._create_item,
    "conversation.item.truncate": FakeOpenAIConnection._truncate,
    "response.create": FakeOpenAIConnection._create_response,
    "response.cancel": FakeOpenAIConnection._cancel,
}


def _at(data: object, *keys: str) -> Any:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _merged(settings: Mapping[str, Any], further: Mapping[str, Any]) -> Json:
    merged = dict(settings)
    for name, value in further.items():
        own = merged.get(name)
        merged[name] = _merged(own, value) if isinstance(own, dict) and isinstance(value, dict) else value
    return merged
