"""OpenAI's Realtime language: the settings, and the promises that every dialect makes.

What a session makes of a conversation is in :mod:`tests.dialects.test_openai_session`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import pytest

from tests.dialects.contract import DialectContract
from tests.dialects.golden import replay
from voicews.backoff import Verdict, judge
from voicews.commands import EndTurn, SendAudio, SendMessage, SendText, StartTurn, ToolResult
from voicews.config import AudioFormat
from voicews.dialects import Dialect, OpenAIRealtime
from voicews.errors import ConfigError, ConnectionClosed, SessionExpired
from voicews.history import History, Turn
from voicews.tools import Tool

MODEL = "gpt-realtime-2.1"
KEY = "sk-unit-test-0123456789"
SMALL = "wss://voice.example/v1"
"""A server that takes few samples per second, so that the golden transcripts stay readable."""

PLACE = {"response_id": "r1", "item_id": "i1", "output_index": 0, "content_index": 0}
HEARD = {"item_id": "u1", "content_index": 0}
CALL = {"call_id": "c1", "name": "light", "arguments": '{"on": true}'}

GA_WORDS: list[dict[str, Any]] = [
    {"type": "session.created", "session": {"id": "s"}},
    {"type": "session.updated", "session": {"id": "s"}},
    {"type": "input_audio_buffer.speech_started", "audio_start_ms": 20, "item_id": "u1"},
    {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 900, "item_id": "u1"},
    {"type": "input_audio_buffer.committed", "item_id": "u1", "previous_item_id": None},
    {"type": "input_audio_buffer.cleared"},
    {"type": "input_audio_buffer.timeout_triggered", "audio_start_ms": 0, "audio_end_ms": 1, "item_id": "u1"},
    {"type": "conversation.created", "conversation": {"id": "c"}},
    {"type": "conversation.item.added", "item": {"id": "u1"}, "previous_item_id": None},
    {"type": "conversation.item.done", "item": {"id": "u1"}, "previous_item_id": None},
    {"type": "conversation.item.deleted", "item_id": "u1"},
    {"type": "conversation.item.truncated", "item_id": "i1", "content_index": 0, "audio_end_ms": 10},
    {"type": "conversation.item.input_audio_transcription.delta", **HEARD, "delta": "turn"},
    {"type": "conversation.item.input_audio_transcription.updated", **HEARD, "transcript": "turn on"},
    {"type": "conversation.item.input_audio_transcription.completed", **HEARD, "transcript": "turn it on"},
    {"type": "conversation.item.input_audio_transcription.failed", **HEARD, "error": {"message": "noise"}},
    {"type": "response.created", "response": {"id": "r1", "status": "in_progress"}},
    {"type": "response.output_item.added", "item": {"type": "function_call", "call_id": "c1", "name": "n"}},
    {"type": "response.output_item.done", "item": {"type": "function_call", **CALL}},
    {"type": "response.content_part.added", **PLACE, "part": {"type": "audio"}},
    {"type": "response.content_part.done", **PLACE, "part": {"type": "audio"}},
    {"type": "response.output_audio.delta", **PLACE, "delta": "AAABAA=="},
    {"type": "response.output_audio.done", **PLACE},
    {"type": "response.output_audio_transcript.delta", **PLACE, "delta": "It "},
    {"type": "response.output_audio_transcript.done", **PLACE, "transcript": "It is on."},
    {"type": "response.output_text.delta", **PLACE, "delta": "It "},
    {"type": "response.output_text.done", **PLACE, "text": "It is on."},
    {"type": "response.function_call_arguments.delta", **PLACE, "call_id": "c1", "delta": "{"},
    {"type": "response.function_call_arguments.done", **PLACE, **CALL},
    {"type": "response.done", "response": {"id": "r1", "status": "completed", "output": []}},
    {"type": "rate_limits.updated", "rate_limits": []},
    {"type": "error", "error": {"type": "invalid_request_error", "code": "x", "message": "no"}},
]
BETA_WORDS: list[dict[str, Any]] = [
    {"type": "transcription_session.created", "session": {}},
    {"type": "transcription_session.updated", "session": {}},
    {"type": "conversation.item.created", "item": {"id": "u1"}, "previous_item_id": None},
    {"type": "response.audio.delta", **PLACE, "delta": "AAABAA=="},
    {"type": "response.audio.done", **PLACE},
    {"type": "response.audio_transcript.delta", **PLACE, "delta": "It "},
    {"type": "response.audio_transcript.done", **PLACE, "transcript": "It is on."},
    {"type": "response.text.delta", **PLACE, "delta": "It "},
    {"type": "response.text.done", **PLACE, "text": "It is on."},
]


class Realtime(DialectContract):
    """What all ways of using it have in common."""

    beta = False

    @property
    def handshake(self) -> Sequence[str | bytes]:
        return [
            '{"type": "session.created", "session": {"id": "s"}}',
            '{"type": "session.updated", "session": {"id": "s"}}',
        ]

    @property
    def server_words(self) -> Sequence[dict[str, Any]]:
        return [*GA_WORDS, *BETA_WORDS]

    def said_sound(self, message: str | bytes) -> bytes:
        said = json.loads(message)
        return base64.b64decode(said["audio"]) if said["type"] == "input_audio_buffer.append" else b""

    def server_sound(self, pcm: bytes) -> str | bytes | None:
        name = "response.audio.delta" if self.beta else "response.output_audio.delta"
        return json.dumps({"type": name, **PLACE, "delta": base64.b64encode(pcm).decode()})

    @property
    def secrets(self) -> Sequence[str]:
        return [KEY, "hunter2"]


class TestContract(Realtime):
    def dialect(self) -> Dialect:
        return OpenAIRealtime(MODEL, key=KEY, instructions="Be brief.", headers={"X-Token": "hunter2"})


class TestContractPushToTalk(Realtime):
    def dialect(self) -> Dialect:
        return OpenAIRealtime(MODEL, key=KEY, turn_detection=None)


class TestContractBeta(Realtime):
    beta = True

    def dialect(self) -> Dialect:
        return OpenAIRealtime(
            "llm", key=KEY, version="beta", url="ws://localhost:8000/v1/realtime?token=hunter2"
        )


class TestContractTranscription(Realtime):
    def dialect(self) -> Dialect:
        return OpenAIRealtime(key=KEY, session_type="transcription", transcription="gpt-live-transcribe")


# -- golden transcripts ---------------------------------------------------------------------------


def test_a_whole_conversation() -> None:
    dialect = OpenAIRealtime(
        MODEL,
        key=KEY,
        url=SMALL,
        rate=4000,
        instructions="Be brief.",
        voice="marin",
        turn_detection={"type": "server_vad", "silence_duration_ms": 300},
        transcription={"model": "gpt-live-transcribe", "language": "en"},
        noise_reduction="far_field",
        speed=1.1,
    )
    history = replay(dialect, "openai_realtime")
    assert history.turns == (
        Turn("user", "Tell me a story."),
        Turn("assistant", "Once upon a"),
        Turn("user", "Stop. Light on, please."),
        Turn("assistant", "The light is on."),
        Turn("user", "And now?"),
        Turn("assistant", "It is still on."),
        Turn("user", "Thanks."),
    )


def test_a_whole_conversation_in_the_beta_shape() -> None:
    dialect = OpenAIRealtime(
        "llm",
        url=SMALL,
        rate=4000,
        version="beta",
        turn_detection=None,
        transcription="whisper",
        voice="alloy",
        speed=1.1,
        noise_reduction="near_field",
        session_length=None,
    )
    history = replay(dialect, "openai_realtime_beta")
    assert history.turns == (Turn("user", "Good morning."), Turn("assistant", "Good morning to you."))


def test_a_session_that_only_transcribes() -> None:
    dialect = OpenAIRealtime(
        url=SMALL,
        rate=4000,
        session_type="transcription",
        transcription="gpt-live-transcribe",
        turn_detection="semantic_vad",
        session_length=None,
    )
    assert replay(dialect, "openai_realtime_transcription").turns == (Turn("user", "Note this down."),)


# -- settings -------------------------------------------------------------------------------------


def settings_of(dialect: OpenAIRealtime, tools: Sequence[Tool] = ()) -> Any:
    session = dialect.begin(None, History(), tools)
    session.receive('{"type": "session.created"}')
    return json.loads(session.messages_to_send()[0])["session"]


def test_the_least_settings() -> None:
    assert settings_of(OpenAIRealtime(MODEL, key=KEY)) == {
        "type": "realtime",
        "output_modalities": ["audio"],
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "turn_detection": {"type": "server_vad"},
                "transcription": {"model": "gpt-live-transcribe"},
            },
            "output": {"format": {"type": "audio/pcm", "rate": 24000}},
        },
    }


def test_other_servers_decide_about_transcription_themselves() -> None:
    dialect = OpenAIRealtime("p", url="ws://localhost:8080")
    assert "transcription" not in settings_of(dialect)["audio"]["input"]
    off = OpenAIRealtime("p", url="ws://localhost:8080", transcription=None)
    assert settings_of(off)["audio"]["input"]["transcription"] is None


def test_options_are_merged_and_win() -> None:
    dialect = OpenAIRealtime(
        MODEL, key=KEY, voice="marin", options={"audio": {"output": {"voice": "cedar"}}, "tracing": "auto"}
    )
    settings = settings_of(dialect)
    assert settings["audio"]["output"] == {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "cedar"}
    assert settings["tracing"] == "auto"


def test_text_and_rate() -> None:
    dialect = OpenAIRealtime("m", url="wss://voice.example/v1", output="text", rate=16000)
    assert dialect.input_format == dialect.output_format == AudioFormat(16000)
    assert settings_of(dialect)["output_modalities"] == ["text"]
    beta = OpenAIRealtime("m", url="wss://voice.example/v1", output="text", version="beta")
    assert settings_of(beta)["modalities"] == ["text"]


LIGHT = Tool("light", "Switch the light.", {"type": "object", "properties": {"on": {"type": "boolean"}}})


@pytest.mark.parametrize("version", ["ga", "beta"])
def test_tools_are_told(version: Any) -> None:
    dialect = OpenAIRealtime(MODEL, key=KEY, version=version, tool_choice="required")
    settings = settings_of(dialect, [LIGHT])
    assert settings["tool_choice"] == "required"
    assert settings["tools"] == [
        {
            "type": "function",
            "name": "light",
            "description": "Switch the light.",
            "parameters": LIGHT.parameters,
        }
    ]


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("ws://localhost:8080", "ws://localhost:8080/v1/realtime?model=a%20b"),
        ("ws://localhost:8080/", "ws://localhost:8080/v1/realtime?model=a%20b"),
        ("ws://localhost:8080/v1/", "ws://localhost:8080/v1/realtime?model=a%20b"),
        ("wss://x.example/openai/v1/realtime", "wss://x.example/openai/v1/realtime?model=a%20b"),
        ("ws://localhost/v1?language=en", "ws://localhost/v1/realtime?language=en&model=a%20b"),
        ("ws://localhost/v1?model=other", "ws://localhost/v1/realtime?model=other"),
    ],
)
def test_addresses(url: str, asked: str) -> None:
    assert OpenAIRealtime("a b", url=url).request().url == asked


def test_a_transcription_needs_no_model() -> None:
    dialect = OpenAIRealtime(key=KEY, session_type="transcription")
    assert dialect.request().url == "wss://api.openai.com/v1/realtime?intent=transcription"
    assert dialect.accepts == {SendAudio, SendMessage}


def test_a_model_in_the_query_is_enough() -> None:
    assert OpenAIRealtime(url="ws://localhost/v1/realtime?model=x").model is None


@pytest.mark.parametrize(
    ("url", "variable", "headers"),
    [
        ("wss://api.openai.com/v1/realtime", "OPENAI_API_KEY", {"Authorization": f"Bearer {KEY}"}),
        ("wss://eu.api.openai.com", "OPENAI_API_KEY", {"Authorization": f"Bearer {KEY}"}),
        ("wss://me.openai.azure.com/openai/v1", "AZURE_OPENAI_API_KEY", {"api-key": KEY}),
    ],
)
def test_keys_come_from_the_environment(
    url: str, variable: str, headers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("AZURE_OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match=f"key is missing.*{variable}"):
        OpenAIRealtime(MODEL, url=url)
    monkeypatch.setenv(variable, KEY)
    assert OpenAIRealtime(MODEL, url=url).request().headers == headers


def test_a_key_of_the_environment_goes_to_its_own_service_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for url in ("ws://localhost:8080", "wss://api.openai.com.example/v1", "wss://notapi.openai.com.example"):
        assert OpenAIRealtime("m", url=url).request().headers == {}
    given = OpenAIRealtime("m", url="ws://localhost:8080", key="mine")
    assert given.request().headers == {"Authorization": "Bearer mine"}


def test_a_fresh_key_for_each_attempt() -> None:
    keys = iter(["first", "second", "sec ret"])
    dialect = OpenAIRealtime(MODEL, key=lambda: next(keys))
    assert dialect.request().headers == {"Authorization": "Bearer first"}
    assert dialect.request().headers == {"Authorization": "Bearer second"}
    with pytest.raises(ConfigError, match="cannot be a key") as caught:
        dialect.request()
    assert "sec ret" not in str(caught.value)


def test_own_headers_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    dialect = OpenAIRealtime(MODEL, headers={"authorization": "Bearer fresh"}, subprotocols=["realtime"])
    request = dialect.request()
    assert (request.headers, request.subprotocols) == ({"authorization": "Bearer fresh"}, ("realtime",))
    assert OpenAIRealtime(MODEL, key=KEY, version="beta").request().headers["OpenAI-Beta"] == "realtime=v1"


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": None},
        {"model": " "},
        {"instructions": 7},
        {"voice": ""},
        {"voice": {"id": {1}}},
        {"url": "http://api.openai.com"},
        {"key": "a b"},
        {"version": "alpha"},
        {"turn_detection": "vad"},
        {"turn_detection": {"threshold": 0.5}},
        {"turn_detection": {"type": ["server_vad"]}},
        {"turn_detection": False},
        {"transcription": ""},
        {"session_type": "translation"},
        {"output": "both"},
        {"noise_reduction": "on"},
        {"speed": 2},
        {"speed": True},
        {"rate": 16000},
        {"rate": 7},
        {"tool_choice": None},
        {"options": {"a": {1}}},
        {"headers": {"a": 1}},
        {"subprotocols": "realtime"},
        {"await_updated": "no"},
        {"session_length": 0},
        {"session_length": "1 h"},
    ],
    ids=str,
)
def test_wrong_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        OpenAIRealtime(**{"model": MODEL, "key": KEY, **wrong})


def test_turns_are_ours_only_where_the_server_leaves_them_to_us() -> None:
    ours = OpenAIRealtime(MODEL, key=KEY, turn_detection=None)
    assert {StartTurn, EndTurn, SendText, ToolResult} <= ours.accepts
    assert ours.accepts - OpenAIRealtime(MODEL, key=KEY).accepts == {StartTurn, EndTurn}


def test_settings_are_copied() -> None:
    options: dict[str, Any] = {"a": [1]}
    dialect = OpenAIRealtime(MODEL, key=KEY, options=options)
    options["a"].append(2)
    assert dialect.options == {"a": [1]}
    assert hash(dialect) == hash(OpenAIRealtime(MODEL, key=KEY, options={}))


# -- the end --------------------------------------------------------------------------------------


def test_a_session_that_lived_its_hour_is_no_fault() -> None:
    dialect = OpenAIRealtime(MODEL, key=KEY)
    closed = ConnectionClosed(1001, "Your session hit the maximum duration of 60 minutes.")
    expired = dialect.classify(closed)
    assert isinstance(expired, SessionExpired)
    assert expired.__cause__ is closed
    assert judge(expired) is Verdict.RETRY
    for other in (ConnectionClosed(1001, "restarting"), ConnectionClosed(1008, "maximum duration")):
        assert dialect.classify(other) is other
