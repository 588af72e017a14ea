"""The Gemini Live API's language: the settings, the handshake, and the promises of every dialect.

What a session makes of a conversation is in :mod:`tests.dialects.test_gemini_session`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import pytest

from tests.dialects.contract import DialectContract
from tests.dialects.golden import replay
from voicews.commands import EndTurn, StartTurn
from voicews.config import AudioFormat
from voicews.dialects import Dialect, GeminiLive
from voicews.errors import ConfigError
from voicews.history import History, Turn
from voicews.tools import Tool

KEY = "AIza-unit-test-key"
READY = b'{"setupComplete": {"sessionId": "s"}}'
SOUND = {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": "AQACAA=="}}
WORDS: list[dict[str, Any]] = [
    {"setupComplete": {"sessionId": "s"}},
    {"serverContent": {"inputTranscription": {"text": "Turn on the"}}},
    {"serverContent": {"modelTurn": {"role": "model", "parts": [SOUND, {"text": "x", "thought": True}]}}},
    {"serverContent": {"inputTranscription": {"text": " light.", "finished": True}}},
    {"serverContent": {"interimInputTranscription": {"text": "Turn"}}},
    {"serverContent": {"outputTranscription": {"text": "It is on."}}},
    {"serverContent": {"interrupted": True}},
    {"serverContent": {"generationComplete": True}},
    {"serverContent": {"turnComplete": True, "turnCompleteReason": "BLOCKLIST"}},
    {"serverContent": {"waitingForInput": True}},
    {"toolCall": {"functionCalls": [{"id": "1", "name": "light", "args": {"on": True}}]}},
    {"toolCallCancellation": {"ids": ["1"]}},
    {"sessionResumptionUpdate": {"newHandle": "h", "resumable": True}},
    {"goAway": {"timeLeft": "50s"}},
    {"voiceActivity": {"voiceActivityType": "ACTIVITY_START"}},
    {"voiceActivityDetectionSignal": {"vadSignalType": "VAD_SIGNAL_TYPE_EOS"}},
]


class TestContract(DialectContract):
    def dialect(self) -> Dialect:
        return GeminiLive(
            "any",
            key=KEY,
            url="wss://me:hunter2@voice.example/?x=query-token",
            headers={"X-Secret": "header-token"},
        )

    @property
    def handshake(self) -> Sequence[str | bytes]:
        return (READY,)

    @property
    def server_words(self) -> Sequence[dict[str, Any]]:
        return WORDS

    def said_sound(self, message: str | bytes) -> bytes:
        audio = json.loads(message).get("realtimeInput", {}).get("audio")
        return base64.b64decode(audio["data"]) if audio else b""

    def server_sound(self, pcm: bytes) -> str | bytes | None:
        sound = {"mimeType": "audio/pcm;rate=24000", "data": base64.b64encode(pcm).decode()}
        return json.dumps({"serverContent": {"modelTurn": {"parts": [{"inlineData": sound}]}}}).encode()

    @property
    def secrets(self) -> Sequence[str]:
        return KEY, "hunter2", "query-token", "header-token"


def live(model: str = "gemini-x", **settings: Any) -> GeminiLive:
    return GeminiLive(model, **{"key": KEY, **settings})


def setup(
    dialect: GeminiLive, *, history: History | None = None, tools: Sequence[Tool] = ()
) -> dict[str, Any]:
    [said] = dialect.begin(None, history or History(), tools).messages_to_send()
    return dict(json.loads(said)["setup"])


# -- settings ------------------------------------------------------------------------------------


def test_the_setup_of_everyday() -> None:
    assert setup(live()) == {
        "model": "models/gemini-x",
        "generationConfig": {"responseModalities": ["AUDIO"]},
        "realtimeInputConfig": {
            "automaticActivityDetection": {},
            "activityHandling": "START_OF_ACTIVITY_INTERRUPTS",
        },
        "inputAudioTranscription": {},
        "outputAudioTranscription": {},
        "contextWindowCompression": {"slidingWindow": {}},
        "sessionResumption": {},
    }


def test_all_settings_reach_the_server() -> None:
    light = Tool("light", "Switch the light.", {"type": "object", "properties": {"on": {"type": "boolean"}}})
    dialect = live(
        "projects/p/locations/l/models/gemini-y",
        instructions="Be brief.",
        voice="Kore",
        language="de-DE",
        turn_detection={"silenceDurationMs": 200},
        interruptible=False,
        transcription=False,
        output="text",
        resume=False,
        compress=False,
        server_tools=[{"googleSearch": {}}],
        options={"generationConfig": {"temperature": 0.1}},
    )
    assert setup(dialect, tools=[light]) == {
        "model": "projects/p/locations/l/models/gemini-y",
        "generationConfig": {
            "responseModalities": ["TEXT"],
            "speechConfig": {
                "voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}},
                "languageCode": "de-DE",
            },
            "temperature": 0.1,
        },
        "realtimeInputConfig": {
            "automaticActivityDetection": {"silenceDurationMs": 200},
            "activityHandling": "NO_INTERRUPTION",
        },
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "tools": [
            {
                "functionDeclarations": [
                    {
                        "name": "light",
                        "description": "Switch the light.",
                        "parametersJsonSchema": dict(light.parameters),
                    }
                ]
            },
            {"googleSearch": {}},
        ],
    }


def test_text_is_written_down_by_itself() -> None:
    said = setup(live(output="text"))
    assert "inputAudioTranscription" in said
    assert "outputAudioTranscription" not in said


def test_turns_are_yours_if_the_server_does_not_decide() -> None:
    assert not {StartTurn, EndTurn} & live().accepts
    manual = live(turn_detection=None)
    assert live().accepts < manual.accepts >= {StartTurn, EndTurn}
    assert setup(manual)["realtimeInputConfig"]["automaticActivityDetection"] == {"disabled": True}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": ""}, r"GeminiLive\.model"),
        ({"instructions": " "}, r"GeminiLive\.instructions"),
        ({"voice": 7}, r"GeminiLive\.voice"),
        ({"language": ""}, r"GeminiLive\.language"),
        ({"output": "video"}, r"GeminiLive\.output is 'video'"),
        ({"text_input": "spoken"}, r"GeminiLive\.text_input"),
        ({"turn_detection": "never"}, r"GeminiLive\.turn_detection"),
        ({"turn_detection": {"x": object()}}, r"GeminiLive\.turn_detection"),
        ({"server_tools": {"googleSearch": {}}}, r"GeminiLive\.server_tools"),
        ({"server_tools": [7]}, r"GeminiLive\.server_tools"),
        ({"options": 7}, r"GeminiLive\.options"),
        ({"input_format": AudioFormat(16000, 2)}, r"GeminiLive\.input_format"),
        ({"url": "https://x"}, r"GeminiLive\.url"),
        ({"headers": 7}, r"GeminiLive\.headers"),
        ({"key": "two words"}, r"GeminiLive\.key"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        live(**settings)


# -- the key -------------------------------------------------------------------------------------


@pytest.fixture
def no_keys(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    return monkeypatch


def test_the_key_comes_from_the_environment(no_keys: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="GEMINI_API_KEY"):
        GeminiLive("m")
    no_keys.setenv("GEMINI_API_KEY", "second")
    assert GeminiLive("m").request().headers == {"x-goog-api-key": "second"}
    no_keys.setenv("GOOGLE_API_KEY", "first")
    assert GeminiLive("m").request().headers == {"x-goog-api-key": "first"}
    assert GeminiLive("m", key="own").request().headers == {"x-goog-api-key": "own"}


def test_the_environment_s_key_goes_to_google_only(no_keys: pytest.MonkeyPatch) -> None:
    no_keys.setenv("GEMINI_API_KEY", "secret")
    assert GeminiLive("m", url="ws://localhost:1").request().headers == {}
    assert GeminiLive("m", headers={"authorization": "Bearer t"}).request().headers == {
        "authorization": "Bearer t"
    }


def test_where_it_is(no_keys: pytest.MonkeyPatch) -> None:
    url = live().request().url
    assert url.startswith("wss://generativelanguage.googleapis.com/ws/google.ai.generativelanguage.v1beta.")
    assert url.endswith(".GenerativeService.BidiGenerateContent")
    token = live(key="auth_tokens/abc").request()
    assert token.url.endswith(".v1alpha.GenerativeService.BidiGenerateContentConstrained")
    assert token.headers == {"Authorization": "Token auth_tokens/abc"}


def test_a_function_is_asked_for_the_key_each_time() -> None:
    keys = iter(["one", "auth_tokens/two"])
    dialect = live(key=lambda: next(keys))
    assert dialect.request().headers == {"x-goog-api-key": "one"}
    assert dialect.request().headers == {"Authorization": "Token auth_tokens/two"}


# -- a conversation that goes on -------------------------------------------------------------------


def test_a_session_is_taken_up_by_its_handle() -> None:
    dialect, history = live(), History()
    lost = dialect.begin(None, history)
    lost.receive(READY)
    assert "handle" not in setup(dialect)["sessionResumption"]
    lost.receive('{"sessionResumptionUpdate": {"newHandle": "h1", "resumable": true}}')
    lost.receive('{"sessionResumptionUpdate": {"newHandle": "", "resumable": false}}')
    history.add("user", "Hello.")
    new = dialect.begin(lost, history)
    [said] = new.messages_to_send()
    assert json.loads(said)["setup"]["sessionResumption"] == {"handle": "h1"}
    assert "historyConfig" not in said
    new.receive(READY)
    assert new.messages_to_send() == []
    [again] = dialect.begin(new, history).messages_to_send()
    assert json.loads(again)["setup"]["sessionResumption"] == {"handle": "h1"}, "the last one that is known"


def test_without_a_handle_the_conversation_is_told_anew() -> None:
    history = History(turns=(Turn("user", "Hello."), Turn("assistant", "Hi.")))
    session = live().begin(None, history)
    [said] = session.messages_to_send()
    assert json.loads(said)["setup"]["historyConfig"] == {"initialHistoryInClientContent": True}
    session.receive(READY)
    [restored] = session.messages_to_send()
    assert json.loads(restored) == {
        "clientContent": {
            "turns": [
                {"role": "user", "parts": [{"text": "Hello."}]},
                {"role": "model", "parts": [{"text": "Hi."}]},
            ],
            "turnComplete": True,
        }
    }


def test_golden() -> None:
    history = replay(live("any", input_format=AudioFormat(4000)), "gemini_live")
    assert list(history) == [
        Turn("user", "Turn on the light."),
        Turn("assistant", "It is on."),
        Turn("user", "Tell me a story."),
        Turn("assistant", "Once upon"),
        Turn("user", "Stop."),
        Turn("assistant", "Yes."),
        Turn("user", "Are you there?"),
        Turn("assistant", "I am."),
        Turn("user", "Good night."),
        Turn("assistant", "Sleep well."),
    ]
