"""A server that speaks the language of ElevenLabs Agents, for tests without a key."""

from __future__ import annotations

import base64
import binascii
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from voicews.config import AudioFormat
from voicews.dialects.mulaw import from_mulaw, to_mulaw
from voicews.testing.script import FakeAnswer, Script
from voicews.testing.server import FakeConnection, FakeServer
from voicews.testing.speech import Ear, hum

__all__ = ["FakeElevenLabsAgent", "FakeElevenLabsAgentConnection"]

Json = dict[str, Any]

_PATH = "/v1/convai/conversation"
_PAUSE = 0.5
"""Seconds of silence that end the user's turn."""
_SLICE = 0.1
"""Seconds of sound in one message."""
_WORD = 0.25
"""Seconds of speech after which one more word is guessed."""
_NORMAL, _REFUSED = 1000, 1008


class FakeElevenLabsAgentConnection(FakeConnection):
    """One call of a :class:`FakeElevenLabsAgent`."""

    server: FakeElevenLabsAgent

    def on_open(self) -> None:
        """Wait for the client's first message."""
        self._lock = threading.RLock()  # the answer's script, the beat and the hooks share all below
        self.settings: Json = {}
        """The client's first message; empty before it came."""
        self.said: list[tuple[str, str]] = []
        """The conversation as role and text; an interrupted answer as far as it was spoken."""
        self.updates: list[str] = []
        """What the client has told the agent in ``contextual_update``."""
        self.pongs: list[int] = []
        """The numbers of answered pings."""
        self.results: dict[str, str] = {}
        """What the client's functions have returned, by call id."""
        self._ear = Ear(_format_of(self.server.input_format))
        self._words: list[str] = []
        self._guessed = 0
        self._events = 0
        self._answers = self._answering = 0
        self._answer: tuple[str, float, float] = ("", 0.0, 0.0)
        self._called: dict[str, FakeAnswer] = {}

    def say(self, kind: str, payload: str, **fields: object) -> None:
        """Send an event of this type, with these fields in the object that the type has for them.

        Raises:
            ConnectionClosed: the client has gone.
        """
        self.send({"type": kind, payload: fields})

    def fail(self, message: str, *, code: int = 1011, error_type: str = "unknown") -> None:
        """Report an error; nothing ends by it.

        Raises:
            ConnectionClosed: the client has gone.
        """
        self.say("error", "error_event", code=code, message=message, error_type=error_type)

    def hang_up(self) -> None:
        """End the call as an agent does that has said goodbye."""
        self.close(_NORMAL, "Call ended by agent")

    # -- what the client says ---------------------------------------------------------------

    def on_message(self, message: str | bytes) -> None:
        """Understand a message."""
        try:
            data = json.loads(message)
            if "user_audio_chunk" in data:
                self._hear(base64.b64decode(data["user_audio_chunk"], validate=True))
                return
            understand = _KINDS[data["type"]]
        except (ValueError, TypeError, KeyError, binascii.Error):
            self._refuse("The message is of no known type.", "invalid_message")
            return
        with self._lock:
            understand(self, data)

    def _refuse(self, message: str, error_type: str) -> None:
        self.fail(message, code=_REFUSED, error_type=error_type)
        self.close(_REFUSED, message)

    def _begin(self, data: Json) -> None:
        self.settings = data
        override = data.get("conversation_config_override", {})
        if override and not self.server.allows_overrides:
            self._refuse("The override is not allowed by the agent's settings.", "override_error")
            return
        self.say(
            "conversation_initiation_metadata",
            "conversation_initiation_metadata_event",
            conversation_id=f"conversation-{self.number}",
            agent_output_audio_format=self.server.output_format,
            user_input_audio_format=self.server.input_format,
        )
        beat = self.server.beat
        if beat is not None:
            self.start(lambda: self._beat(beat))
        greeting = override.get("agent", {}).get("first_message", self.server.greeting)
        if greeting:
            self._start_speaking(FakeAnswer(greeting))

    def _hear(self, sound: bytes) -> None:
        ear = self._ear
        pcm = from_mulaw(sound) if self.server.input_format.startswith("ulaw") else sound
        with self._lock:
            if ear.hear(pcm):
                self._words = self.server.script.heard().split()
                self._guessed = 0
                self._interrupt()
            if not ear.speaking:
                return
            if ear.quiet >= _PAUSE:
                ear.forget()
                self._take_turn(" ".join(self._words))
                return
            known = min(len(self._words), int((ear.loud_until - ear.began) / _WORD))
            if known > self._guessed:
                self._guessed = known
                self._tell_user("tentative_user_transcript", "tentative_user_transcription_event", known)

    def _tell_user(self, kind: str, payload: str, count: int) -> None:
        self.say(kind, payload, user_transcript=" ".join(self._words[:count]), event_id=self._next())

    def _take_turn(self, text: str) -> None:
        self._words = text.split()
        self.said.append(("user", text))
        self._tell_user("user_transcript", "user_transcription_event", len(self._words))
        self._begin_answer()

    def _write(self, data: Json) -> None:
        self._interrupt()
        self.said.append(("user", data["text"]))
        self._begin_answer()

    def _update(self, data: Json) -> None:
        self.updates.append(data["text"])

    def _pong(self, data: Json) -> None:
        self.pongs.append(data["event_id"])

    def _return(self, data: Json) -> None:
        answer = self._called.pop(data["tool_call_id"], None)
        if answer is not None:
            self.results[data["tool_call_id"]] = data["result"]
            self._start_speaking(answer)

    def _note(self, data: Json) -> None:
        return

    # -- answers ----------------------------------------------------------------------------

    def _next(self) -> int:
        with self._lock:
            self._events += 1
            return self._events

    def _begin_answer(self) -> None:
        answer = self.server.script.answer()
        if answer.call is None:
            self._start_speaking(answer)
            return
        name, arguments = answer.call
        event_id = self._next()
        call_id = f"call-{self.number}-{event_id}"
        self._called[call_id] = answer
        self.say(
            "client_tool_call",
            "client_tool_call",
            tool_name=name,
            tool_call_id=call_id,
            parameters=dict(arguments),
            event_id=event_id,
        )

    def _start_speaking(self, answer: FakeAnswer) -> None:
        if self.server.pace:
            self.start(lambda: self._speak(answer))
        else:
            self._speak(answer)

    def _speak(self, answer: FakeAnswer) -> None:
        format = _format_of(self.server.output_format)  # noqa: A001 - the audio world's word
        pcm = answer.pcm if answer.pcm is not None else hum(answer.text, format)
        with self._lock:
            self._answers += 1
            self._answering = this = self._answers
            # The microphone's sound comes in real time, and so tells how much has been heard.
            length = 0.0 if self._writes else format.seconds(pcm)
            self._answer = (answer.text, self._ear.heard, length)
            if answer.text:
                self.said.append(("assistant", answer.text))
                self.say(
                    "agent_response",
                    "agent_response_event",
                    agent_response=f"{answer.text} ",
                    event_id=self._next(),
                )
        if self._writes:
            return
        step = format.bytes(_SLICE)
        for start in range(0, len(pcm), step):
            if start and self.server.pace:
                self.pause(self.server.pace)
            with self._lock:
                if self._answering != this:
                    return
                self._send_sound(pcm[start : start + step], self._next())

    @property
    def _writes(self) -> bool:
        override = self.settings.get("conversation_config_override", {})
        return override.get("conversation", {}).get("text_only") is True

    def _send_sound(self, pcm: bytes, event_id: int) -> None:
        sound = to_mulaw(pcm) if self.server.output_format.startswith("ulaw") else pcm
        self.say("audio", "audio_event", audio_base_64=base64.b64encode(sound).decode(), event_id=event_id)

    def _interrupt(self) -> None:
        text, began, length = self._answer
        heard = self._ear.heard - began
        self._answering = 0
        if not text or heard >= length:
            return
        self._answer = ("", 0.0, 0.0)
        late, now = self._next(), self._next()
        self.say("interruption", "interruption_event", event_id=now)
        # The service cannot take back what is already on its way.
        self._send_sound(bytes(320), late)
        words = text.split()
        spoken = " ".join(words[: int(len(words) * heard / length)])
        said = f"{spoken}..." if spoken else ""
        place = len(self.said) - 1 - self.said[::-1].index(("assistant", text))
        self.said[place : place + 1] = [("assistant", said)] if said else []
        self.say(
            "agent_response_correction",
            "agent_response_correction_event",
            original_agent_response=text,
            corrected_agent_response=said,
            event_id=self._next(),
        )

    def _beat(self, seconds: float) -> None:
        """Ask for signs of life until the client has gone."""
        while True:
            self.say("ping", "ping_event", event_id=self._next(), ping_ms=50)
            self.pause(seconds)


class FakeElevenLabsAgent(FakeServer[FakeElevenLabsAgentConnection]):
    """A server that speaks the language of ElevenLabs Agents, scripted.

    It takes loud sound for speech, answers after half a second of silence, calls functions, is
    interrupted and corrects itself, and refuses what the service refuses.  Example::

        with FakeElevenLabsAgent(hears=["Hello."], answers=["Hello yourself."]) as server:
            client = VoiceClient(ElevenLabsAgent("agent-1", url=server.url))

    Args:
        hears: what it takes the user's turns for, one after the other; the last again and again.
        answers: texts, or :class:`~voicews.testing.FakeAnswer`, in the same way.
        greeting: what the agent says first, unless the client overrides it; empty (the default): it waits.
        key: if given, the agent is private: a signed address has to be asked for with this key, over
            HTTP at the same port, and is good for one call.
        allows_overrides: False refuses clients that override the agent's settings.
        input_format: what the agent says that it hears, such as "pcm_16000" or "ulaw_8000".
        output_format: what it says that it speaks.
        beat: seconds between its pings; None sends none.
        pace: seconds between one slice of an answer (0.1 s of sound) and the next; 0 (the default)
            sends an answer at once, as the service nearly does.
        options: those of :class:`~voicews.testing.FakeServer`.

    Raises:
        ConfigError: ``hears`` or ``answers`` is empty.
    """

    connection_class = FakeElevenLabsAgentConnection

    def __init__(
        self,
        *,
        hears: Sequence[str] = ("What time is it?",),
        answers: Sequence[FakeAnswer | str] = ("It is time for tea.",),
        greeting: str = "",
        key: str | None = None,
        allows_overrides: bool = True,
        input_format: str = "pcm_16000",
        output_format: str = "pcm_16000",
        beat: float | None = 2.0,
        pace: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.script = Script(type(self).__name__, hears, answers)
        self.greeting = greeting
        self.allows_overrides = allows_overrides
        self.input_format = input_format
        self.output_format = output_format
        self.beat = beat
        self.pace = pace
        self._key = key
        self._tokens = threading.Lock()
        self._signed = 0
        self._good: set[str] = set()

    @property
    def url(self) -> str:
        """What ``ElevenLabsAgent.url`` is set to."""
        return f"{self.address}{_PATH}"

    def judge(self, path: str, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], str] | None:
        """Hand out signed addresses; refuse wrong paths (404), no agent (400) and no token (403)."""
        parts = urlsplit(path)
        wanted = dict(parse_qsl(parts.query))
        if parts.path == f"{_PATH}/get-signed-url":
            return self._sign(wanted, headers)
        if parts.path != _PATH:
            return 404, {}, f"the path is {_PATH}\n"
        if "agent_id" not in wanted:
            return 400, {}, "agent_id is missing\n"
        with self._tokens:
            if self._key is not None and wanted.get("token") not in self._good:
                return 403, {}, "the agent is private\n"
            self._good.discard(wanted.get("token", ""))
        return None

    def _sign(
        self, wanted: Mapping[str, str], headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], str]:
        if self._key is not None and headers.get("xi-api-key") != self._key:
            return 401, {}, '{"detail": {"status": "invalid_api_key"}}'
        with self._tokens:
            self._signed += 1
            token = f"token-{self._signed}"
            self._good.add(token)
        query = urlencode({"agent_id": wanted.get("agent_id", ""), "token": token})
        signed = json.dumps({"signed_url": f"{self.url}?{query}"})
        return 200, {"Content-Type": "application/json"}, signed


def _format_of(name: str) -> AudioFormat:
    return AudioFormat(int(name.rsplit("_", maxsplit=1)[-1]))


_KINDS: Mapping[str, Callable[[FakeElevenLabsAgentConnection, Json], None]] = {
    "conversation_initiation_client_data": FakeElevenLabsAgentConnection._begin,
    "user_message": FakeElevenLabsAgentConnection._write,
    "contextual_update": FakeElevenLabsAgentConnection._update,
    "pong": FakeElevenLabsAgentConnection._pong,
    "client_tool_result": FakeElevenLabsAgentConnection._return,
    "user_activity": FakeElevenLabsAgentConnection._note,
    "feedback": FakeElevenLabsAgentConnection._note,
}
