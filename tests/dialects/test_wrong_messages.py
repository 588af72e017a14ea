"""What a server says wrongly, twice or not at all costs that message, and not what comes after.

All golden conversations are gone through again: with each field of each message in turn being
something else, and with each message in turn being lost or said twice.  After each of these,
the next turn goes as if nothing had been.
"""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.dialects.golden import Stage, happenings
from voicews.config import AudioFormat
from voicews.dialects import (
    DeepgramAgent,
    DeepgramListen,
    Dialect,
    ElevenLabsAgent,
    GeminiLive,
    HomeAssistantAssist,
    OpenAIRealtime,
    Plain,
    Vosk,
    WhisperLive,
)
from voicews.errors import RemoteProtocolError, ServiceError

URL = "ws://localhost:1"
_4_KHZ = AudioFormat(4000)
CAST: Mapping[str, Dialect] = {
    "openai_realtime": OpenAIRealtime("m", key="k", transcription="any"),
    "openai_realtime_beta": OpenAIRealtime("m", url=URL, version="beta", turn_detection=None),
    "openai_realtime_transcription": OpenAIRealtime(
        url=URL, session_type="transcription", transcription="any", turn_detection="semantic_vad"
    ),
    "gemini_live": GeminiLive("m", key="k", input_format=_4_KHZ),
    "elevenlabs_agent": ElevenLabsAgent("a", url=URL),
    "deepgram_agent": DeepgramAgent("m", key="k", url=URL),
    "home_assistant_assist": HomeAssistantAssist(URL, key="k", input_format=_4_KHZ),
    "deepgram_listen": DeepgramListen(key="k", url=URL),
    "plain": Plain(URL, resume=True),
    "vosk": Vosk(URL, input_format=_4_KHZ, chunk=0.0),
    "whisper_live": WhisperLive(URL, model="tiny.en", encoding="int16", chunk=0.0),
}
WRONG: Mapping[str, Any] = {
    "nothing": None,
    "truth": True,
    "zero": 0,
    "negative": -1,
    "huge": 10**40,
    "fraction": 0.5,
    "no number": float("nan"),
    "empty text": "",
    "text": "\N{SNOWMAN}\ud800 7",
    "empty list": [],
    "list": [{}, [], None, "a", 7],
    "object": {"a": {"b": [7]}},
    "missing": ...,
}
FATAL = {
    "conversation_initiation_metadata": "the agent's audio format",
    "ready": "cannot be played",
    "metadata": "cannot be played",
}
"""Messages without whose sense there is no conversation, and what is said of them."""


def changed(message: Any, wrong: Any) -> Iterator[Any]:
    """The message, with something else in one place after the other."""
    places: Any = ()
    if isinstance(message, dict):
        places = list(message.items())
    elif isinstance(message, list):
        places = list(enumerate(message))
    for name, value in places:
        other = copy.copy(message)
        if wrong is ...:
            del other[name]
        else:
            other[name] = wrong
        yield other
        for inner in changed(value, wrong):
            other = copy.copy(message)
            other[name] = inner
            yield other


# -- the next turn, in each language ---------------------------------------------------------------------

PCM = base64.b64encode(b"\1\0" * 8).decode()


def write(stage: Stage) -> list[dict[str, Any]]:
    """The user asks in writing; returns what the client says to the server."""
    stage.happen("do", {"SendText": {"text": "And now?"}})
    return [line["client"] for line in stage.take() if "client" in line]


def told(stage: Stage, *messages: Any) -> list[str]:
    """The kinds of events that follow."""
    for message in messages:
        stage.happen("server binary" if isinstance(message, str) else "server", message)
    lines = stage.take()
    assert not [line for line in lines if "raises" in line]
    return [kind for line in lines for kind in line.get("event", ())]


def openai(stage: Stage) -> list[str]:
    write(stage)
    place = {"response_id": "next", "item_id": "next-item", "content_index": 0}
    return told(
        stage,
        {"type": "response.created", "response": {"id": "next"}},
        {"type": "response.output_audio_transcript.delta", **place, "delta": "Yes."},
        {"type": "response.output_audio.delta", **place, "delta": PCM},
        {"type": "response.done", "response": {"id": "next", "status": "completed"}},
        {"type": "input_audio_buffer.speech_started", "item_id": "next-user"},
    )


def gemini(stage: Stage) -> list[str]:
    write(stage)
    sound = {"inlineData": {"mimeType": "audio/pcm", "data": PCM}}
    return told(
        stage,
        {"serverContent": {"generationComplete": True}},
        {"serverContent": {"modelTurn": {"parts": [sound]}, "outputTranscription": {"text": "Yes."}}},
        {"serverContent": {"turnComplete": True}},
    )


def elevenlabs(stage: Stage) -> list[str]:
    for _ in range(4):
        stage.happen("tick", 10_000.0)
    write(stage)
    events = told(
        stage,
        {"type": "agent_response", "agent_response_event": {"agent_response": "Yes."}},
        {"type": "audio", "audio_event": {"audio_base_64": PCM, "event_id": 10**9}},
    )
    for _ in range(4):
        stage.happen("tick", 10_000.0)
    return events + told(stage)


def deepgram_agent(stage: Stage) -> list[str]:
    write(stage)
    user = {"type": "ConversationText", "role": "user", "content": "Now."}
    answer = {"type": "ConversationText", "role": "assistant", "content": "Yes."}
    return told(stage, user, {"type": "AgentStartedSpeaking"}, answer, PCM, {"type": "AgentAudioDone"})


def home_assistant(stage: Stage) -> list[str]:
    number = write(stage)[-1]["id"]

    def event(kind: str, **data: Any) -> dict[str, Any]:
        return {"id": number, "type": "event", "event": {"type": kind, "data": data}}

    speech = {"response": {"speech": {"plain": {"speech": "Yes."}}}}
    events = told(
        stage,
        event("run-start"),
        event("intent-end", intent_output=speech),
        event("tts-end", tts_output={"url": "/a.wav"}),
        event("run-end"),
    )
    stage.happen("collected", {"pcm": PCM, "rate": 16000})
    return events + told(stage)


NEXT: Mapping[str, Callable[[Stage], list[str]]] = {
    "openai_realtime": openai,
    "openai_realtime_beta": openai,
    "gemini_live": gemini,
    "elevenlabs_agent": elevenlabs,
    "deepgram_agent": deepgram_agent,
    "home_assistant_assist": home_assistant,
}
"""Those that answer, and whose sessions can be ready."""


def next_turn(name: str, stage: Stage, why: object) -> None:
    """Begins after anything, and goes to its end."""
    if name not in NEXT or not stage.session.ready:
        return
    stage.take()
    events = NEXT[name](stage)
    begun = events.index("ResponseStarted") if "ResponseStarted" in events else None
    assert begun is not None, f"no answer began after {why}: {events}"
    rest = events[begun:]
    for kind in ("AudioReceived", "Transcript", "ResponseDone"):
        assert kind in rest, f"no {kind} after {why}: {events}"


# -- the sweep ---------------------------------------------------------------------------------------------


def may_end_all(message: Any, error: BaseException) -> bool:
    """Whether the server has said, in this message, that it cannot go on."""
    kind = message.get("type", message.get("status"))
    if isinstance(kind, str) and kind in FATAL:
        return FATAL[kind] in str(error)
    says_so = isinstance(kind, str) and ("error" in kind.lower() or kind in ("auth_invalid", "WAIT"))
    return isinstance(error, ServiceError) and (says_so or message.get("success") is False)


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("name", CAST)
def test_a_wrong_field_costs_its_message(name: str, what: str) -> None:
    stage = Stage(CAST[name])
    tried = set()
    for kind, value in happenings(name):
        if kind == "server":
            for message in changed(value, WRONG[what]):
                written = json.dumps(message)
                if written in tried:
                    continue
                tried.add(written)
                other = stage.copy()
                try:
                    events = other.session.receive(written)
                except (RemoteProtocolError, ServiceError) as error:
                    if not may_end_all(message, error):
                        pytest.fail(f"{message} raised {error!r}")
                    continue
                assert all(f"{event} {event!r}" for event in events)
                next_turn(name, other, message)
        stage.happen(kind, value)
        stage.take()


@pytest.mark.parametrize("times", [0, 2])
@pytest.mark.parametrize("name", NEXT)
def test_a_message_that_is_lost_or_comes_twice_costs_no_turn(name: str, times: int) -> None:
    lines = happenings(name)
    for number, (kind, value) in enumerate(lines):
        if kind in ("server", "server binary"):
            stage = Stage(CAST[name])
            for other_kind, other_value in [*lines[:number], *[(kind, value)] * times]:
                stage.happen(other_kind, other_value)
            next_turn(name, stage, f"{value} {times} times")
            for other_kind, other_value in lines[number + 1 :]:
                if other_kind == "begin":
                    break
                if not (other_kind == "do" and not stage.session.ready):
                    stage.happen(other_kind, other_value)
            next_turn(name, stage, f"{value} {times} times, and the rest")
