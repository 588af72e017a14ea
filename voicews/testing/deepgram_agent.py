"""A server that speaks the language of Deepgram's Voice Agent, for tests without a key."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from voicews.config import AudioFormat
from voicews.testing.script import FakeAnswer, Script
from voicews.testing.server import FakeConnection, FakeServer
from voicews.testing.speech import Ear, hum

__all__ = ["FakeDeepgramAgent", "FakeDeepgramAgentConnection"]

Json = dict[str, Any]

_PAUSE = 0.5
"""Seconds of silence that end the user's turn."""
_SLICE = 0.1
"""Seconds of sound in one message."""
_NORMAL, _INTERNAL_ERROR = 1000, 1011


class FakeDeepgramAgentConnection(FakeConnection):
    """One session with a :class:`FakeDeepgramAgent`."""

    server: FakeDeepgramAgent

    def on_open(self) -> None:
        """Greet."""
        self._lock = threading.RLock()  # the answer's script, the watch and the hooks share all below
        self.settings: Json = {}
        """The client's ``Settings`` message; empty before it came."""
        self.said: list[tuple[str, str]] = []
        """The conversation as role and text, what was restored included."""
        self.results: dict[str, str] = {}
        """What the client's functions have returned, by call id."""
        self._ear: Ear | None = None
        self._answers = self._answering = self._calls = 0
        self._called: dict[str, FakeAnswer] = {}
        self._last_word_at = time.monotonic()
        self.send({"type": "Welcome", "request_id": f"request-{self.number}"})
        self.start(self._watch)

    def fail(self, description: str, code: str = "INTERNAL_SERVER_ERROR") -> None:
        """Report an error and end the session, as the service does.

        Raises:
            ConnectionClosed: the client has gone.
        """
        self.send({"type": "Error", "description": description, "code": code})
        self.close(_NORMAL)

    def warn(self, description: str, code: str) -> None:
        """Report what does not end the session.

        Raises:
            ConnectionClosed: the client has gone.
        """
        self.send({"type": "Warning", "description": description, "code": code})

    def cancel_calls(self) -> None:
        """Take back all calls of functions that have not been answered.

        Raises:
            ConnectionClosed: the client has gone.
        """
        with self._lock:
            names = {one: answer.call[0] for one, answer in self._called.items() if answer.call is not None}
            self._called.clear()
        functions = [{"id": call_id, "name": name} for call_id, name in names.items()]
        self.send({"type": "FunctionCallCancelled", "functions": functions})

    # -- what the client says ---------------------------------------------------------------

    def on_message(self, message: str | bytes) -> None:
        """Hear sound, obey messages."""
        with self._lock:
            self._last_word_at = time.monotonic()
        if isinstance(message, bytes):
            self._hear(message)
            return
        try:
            data = json.loads(message)
            understand = _KINDS[data["type"]]
        except (ValueError, TypeError, KeyError):
            self.fail("The message is of no known type.", "UNPARSABLE_CLIENT_MESSAGE")
            return
        understand(self, data)

    def _set(self, data: Json) -> None:
        agent = data.get("agent")
        if isinstance(agent, dict) and "provider" not in agent.get("think", {}):
            self.fail("agent.think.provider is missing.", "INVALID_SETTINGS")
            return
        self.settings = data
        self._ear = Ear(AudioFormat(data["audio"]["input"]["sample_rate"]))
        self._output = AudioFormat(data["audio"]["output"]["sample_rate"])
        self.send({"type": "SettingsApplied"})
        if isinstance(agent, dict):
            messages = agent.get("context", {}).get("messages", [])
            self.said.extend((one["role"], one["content"]) for one in messages)
            if "greeting" in agent:
                self._start_speaking(FakeAnswer(agent["greeting"]))

    def _hear(self, pcm: bytes) -> None:
        ear = self._ear
        if ear is None:
            self.fail("Sound came before the settings.", "UNPARSABLE_CLIENT_MESSAGE")
        elif ear.hear(pcm):
            self._stop_answering()
            self.send({"type": "UserStartedSpeaking"})
        elif ear.speaking and ear.quiet >= _PAUSE:
            self._end_turn()

    def _end_turn(self) -> None:
        assert self._ear is not None
        self._ear.forget()
        self._tell("user", self.server.script.heard())
        self._begin_answer()

    def _force_end(self, data: Json) -> None:
        if self._ear is not None and self._ear.speaking:
            self._end_turn()

    def _inject_user(self, data: Json) -> None:
        if self._ear is not None and self._ear.speaking:
            self.send({"type": "InjectionRefused", "message": "The user is speaking."})
            return
        self._stop_answering()
        self._tell("user", data["content"])
        self._begin_answer()

    def _inject_agent(self, data: Json) -> None:
        if self._answering and data.get("behavior", "default") == "default":
            self.send({"type": "InjectionRefused", "message": "The agent is speaking."})
            return
        self._stop_answering()
        self._start_speaking(FakeAnswer(data["message"]))

    def _return(self, data: Json) -> None:
        with self._lock:
            answer = self._called.pop(data.get("id", ""), None)
        if answer is None:
            self.warn("The response is of no call that is awaited.", "UNKNOWN_FUNCTION_CALL")
            return
        self.results[data["id"]] = data["content"]
        self._start_speaking(answer)

    def _prompted(self, data: Json) -> None:
        self.send({"type": "PromptUpdated"})

    def _kept_alive(self, data: Json) -> None:
        return

    # -- answers ----------------------------------------------------------------------------

    def _tell(self, role: str, content: str) -> None:
        with self._lock:
            self.said.append((role, content))
            self.send(
                {
                    "type": "ConversationText",
                    "role": role,
                    "content": content,
                    "conversational_behavior": "default",
                }
            )

    def _begin_answer(self) -> None:
        answer = self.server.script.answer()
        self.send({"type": "AgentThinking", "content": "What do I say?"})
        if answer.call is None:
            self._start_speaking(answer)
            return
        name, arguments = answer.call
        with self._lock:
            self._calls += 1
            call_id = f"call-{self.number}-{self._calls}"
            self._called[call_id] = answer
        call = {"id": call_id, "name": name, "arguments": json.dumps(dict(arguments)), "client_side": True}
        self.send({"type": "FunctionCallRequest", "functions": [call]})

    def _start_speaking(self, answer: FakeAnswer) -> None:
        if self.server.pace:
            self.start(lambda: self._answer(answer))
        else:
            self._answer(answer)

    def _stop_answering(self) -> None:
        with self._lock:
            self._answering = 0

    def _answer(self, answer: FakeAnswer) -> None:
        with self._lock:
            self._answers += 1
            self._answering = this = self._answers
        pcm = answer.pcm if answer.pcm is not None else hum(answer.text, self._output)
        if answer.text:
            self._tell("assistant", answer.text)
        step = self._output.bytes(_SLICE)
        for start in range(0, len(pcm), step):
            if start and self.server.pace:
                self.pause(self.server.pace)
            with self._lock:
                if self._answering != this:
                    return
                self.send(pcm[start : start + step])
        with self._lock:
            self._answering = 0
            self.send({"type": "AgentAudioDone"})

    def _watch(self) -> None:
        """Hang up on a client that says nothing for too long."""
        while True:
            with self._lock:
                left = self._last_word_at + self.server.patience - time.monotonic()
            if left <= 0:
                break
            self.pause(left)
        reason = "We waited too long for a message."
        self.send({"type": "Error", "description": reason, "code": "CLIENT_MESSAGE_TIMEOUT"})
        self.close(_INTERNAL_ERROR, reason)


class FakeDeepgramAgent(FakeServer[FakeDeepgramAgentConnection]):
    """A server that speaks the language of Deepgram's Voice Agent, scripted.

    It takes loud sound for speech, answers after half a second of silence or when it is told
    to, calls functions, is interrupted, and refuses what the service refuses.  Example::

        with FakeDeepgramAgent(hears=["Hello."], answers=["Hello yourself."]) as server:
            client = VoiceClient(DeepgramAgent("any-model", url=server.url))

    Args:
        hears: what it takes the user's turns for, one after the other; the last again and again.
        answers: texts, or :class:`~voicews.testing.FakeAnswer`, in the same way.
        key: if given, clients that do not show it are refused with HTTP 401.
        pace: seconds between one slice of an answer (0.1 s of sound) and the next; 0 (the default)
            sends an answer at once, as the service nearly does.  With 0.1 it can be interrupted
            while it is being made.
        patience: seconds without any message after which it hangs up, as the service does.
        options: those of :class:`~voicews.testing.FakeServer`.

    Raises:
        ConfigError: ``hears`` or ``answers`` is empty.
    """

    connection_class = FakeDeepgramAgentConnection

    def __init__(
        self,
        *,
        hears: Sequence[str] = ("What time is it?",),
        answers: Sequence[FakeAnswer | str] = ("It is time for tea.",),
        key: str | None = None,
        pace: float = 0.0,
        patience: float = 10.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.script = Script(type(self).__name__, hears, answers)
        self.pace = pace
        self.patience = patience
        self._key = key

    @property
    def url(self) -> str:
        """What ``DeepgramAgent.url`` is set to."""
        return f"{self.address}/v1/agent/converse"

    def judge(self, path: str, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], str] | None:
        """Refuse wrong paths (404) and wrong keys (401)."""
        if urlsplit(path).path != "/v1/agent/converse":
            return 404, {}, "the path is /v1/agent/converse\n"
        shown = headers.get("authorization", "")
        if self._key is not None and shown not in (f"Token {self._key}", f"Bearer {self._key}"):
            return 401, {}, '{"err_code": "INVALID_AUTH", "err_msg": "Invalid credentials."}'
        return None


_KINDS: Mapping[str, Callable[[FakeDeepgramAgentConnection, Json], None]] = {
    "Settings": FakeDeepgramAgentConnection._set,
    "ForceEndTurn": FakeDeepgramAgentConnection._force_end,
    "InjectUserMessage": FakeDeepgramAgentConnection._inject_user,
    "InjectAgentMessage": FakeDeepgramAgentConnection._inject_agent,
    "FunctionCallResponse": FakeDeepgramAgentConnection._return,
    "UpdatePrompt": FakeDeepgramAgentConnection._prompted,
    "KeepAlive": FakeDeepgramAgentConnection._kept_alive,
}
