"""Deepgram's Voice Agent: its handshake, turns, functions, and a conversation that is taken up again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.dialects.contract import DialectContract
from tests.dialects.golden import replay
from voicews.commands import InterruptResponse, SendAudio, SendMessage, SendText, ToolResult
from voicews.config import AudioFormat
from voicews.dialects import DeepgramAgent, Dialect, Plain, Session
from voicews.dialects import deepgram_agent as module
from voicews.errors import ConfigError, ConnectionClosed, ServiceError
from voicews.events import (
    AudioReceived,
    Event,
    Interrupted,
    Message,
    ResponseDone,
    ResponseStarted,
    ServerError,
    SessionExpiring,
    SpeechStarted,
    SpeechStopped,
    Token,
    ToolCall,
    Transcript,
)
from voicews.history import History, Turn
from voicews.tools import Tool

URL = "ws://localhost:8765/v1/agent/converse"
WELCOME: dict[str, Any] = {"type": "Welcome", "request_id": "r"}
APPLIED: dict[str, Any] = {"type": "SettingsApplied"}
STARTED: dict[str, Any] = {"type": "UserStartedSpeaking"}
DONE: dict[str, Any] = {"type": "AgentAudioDone"}
CLOCK = Tool("get_time", "Tell the time.", {"type": "object", "properties": {}})
SOUND = AudioFormat(24000)


def text(role: str, content: str) -> dict[str, Any]:
    return {"type": "ConversationText", "role": role, "content": content}


def request(*calls: tuple[str, Any], **more: Any) -> dict[str, Any]:
    functions = [
        {"id": call_id, "name": "get_time", "arguments": arguments, "client_side": True, **more}
        for call_id, arguments in calls
    ]
    return {"type": "FunctionCallRequest", "functions": functions}


WORDS: list[dict[str, Any]] = [
    STARTED,
    text("user", "hello"),
    {"type": "InjectionRefused", "message": "not now"},
    text("assistant", "hi"),
    DONE,
    {"type": "AgentStartedSpeaking", "total_latency": 0.5, "tts_latency": 0.1, "ttt_latency": 0.4},
    request(("f1", "{}")),
    {"type": "FunctionCallCancelled", "functions": [{"id": "f1", "name": "get_time"}]},
    {"type": "Warning", "description": "long", "code": "PROMPT_TOO_LONG"},
    {"type": "Error", "description": "broken", "code": "INTERNAL_SERVER_ERROR"},
    WELCOME,
    APPLIED,
]


class TestDeepgramAgentContract(DialectContract):
    def dialect(self) -> Dialect:
        return DeepgramAgent(
            {"type": "custom", "model": "mine", "secret": "provider-hunter2"},
            key="key-hunter2",
            headers={"X-Token": "header-hunter2"},
            options={"agent": {"think": {"endpoint": {"headers": {"authorization": "options-hunter2"}}}}},
            url=f"{URL}?token=query-hunter2",
            instructions="Be brief.",
            greeting="Hello.",
        )

    @property
    def handshake(self) -> Sequence[str | bytes]:
        return json.dumps(WELCOME), json.dumps(APPLIED)

    @property
    def server_words(self) -> Sequence[dict[str, Any]]:
        return WORDS

    def said_sound(self, message: str | bytes) -> bytes:
        return message if isinstance(message, bytes) else b""

    def server_sound(self, pcm: bytes) -> str | bytes | None:
        return pcm

    @property
    def secrets(self) -> Sequence[str]:
        return "key-hunter2", "header-hunter2", "query-hunter2", "options-hunter2", "provider-hunter2"


def make(**settings: Any) -> DeepgramAgent:
    return DeepgramAgent(**{"think": "any-model", "url": URL, **settings})


def begin(
    previous: Session | None = None,
    history: History | None = None,
    tools: Sequence[Tool] = (),
    **settings: Any,
) -> tuple[Session, dict[str, Any]]:
    """A session that is ready, and the settings it has sent."""
    session = make(**settings).begin(previous, history or History(), tools)
    tell(session, WELCOME)
    [sent] = said(session)
    tell(session, APPLIED)
    assert session.ready
    return session, sent


def ready(**settings: Any) -> Session:
    return begin(**settings)[0]


def tell(session: Session, *words: dict[str, Any] | bytes) -> list[Event]:
    return [
        event
        for word in words
        for event in session.receive(word if isinstance(word, bytes) else json.dumps(word))
    ]


def said(session: Session) -> list[Any]:
    return [json.loads(m) if isinstance(m, str) else m for m in session.messages_to_send()]


def test_a_whole_conversation() -> None:
    history = replay(make(instructions="Be brief.", greeting="Hello."), "deepgram_agent")
    assert history.turns == (
        Turn("assistant", "Hello."),
        Turn("user", "What time is it?"),
        Turn("assistant", "It is twelve. Anything else?"),
        Turn("user", "Thanks."),
        Turn("assistant", "You are"),
        Turn("user", "Go on."),
        Turn("assistant", "You are welcome."),
    )


# -- the handshake --------------------------------------------------------------------------------


def test_the_least_settings() -> None:
    _, settings = begin()
    assert settings == {
        "type": "Settings",
        "audio": {
            "input": {"encoding": "linear16", "sample_rate": 16000},
            "output": {"encoding": "linear16", "sample_rate": 24000, "container": "none"},
        },
        "agent": {
            "listen": {"provider": {"type": "deepgram", "version": "v1", "model": "nova-3"}},
            "think": {"provider": {"type": "open_ai", "model": "any-model"}},
            "speak": {"provider": {"type": "deepgram", "model": "aura-2-thalia-en"}},
        },
    }


def test_further_settings() -> None:
    _, settings = begin(
        tools=[CLOCK],
        think={"type": "anthropic", "model": "x", "temperature": 0.5},
        speak={"type": "open_ai", "model": "tts-1", "voice": "alloy"},
        language="de",
        input_format=AudioFormat(48000),
        output_format=AudioFormat(8000),
        options={"tags": ["kiosk"], "agent": {"think": {"context_length": "max"}, "greeting": "Hi."}},
    )
    assert settings["audio"]["input"]["sample_rate"] == 48000
    assert settings["audio"]["output"]["sample_rate"] == 8000
    assert settings["tags"] == ["kiosk"]
    agent = settings["agent"]
    assert agent["listen"]["provider"]["language"] == "de"
    assert agent["think"] == {
        "provider": {"type": "anthropic", "model": "x", "temperature": 0.5},
        "functions": [
            {"name": "get_time", "description": "Tell the time.", "parameters": dict(CLOCK.parameters)}
        ],
        "context_length": "max",
    }
    assert agent["speak"] == {"provider": {"type": "open_ai", "model": "tts-1", "voice": "alloy"}}
    assert agent["greeting"] == "Hi."


def test_ears_of_the_second_version() -> None:
    _, settings = begin(listen="flux-general-multi", language="de")
    assert settings["agent"]["listen"]["provider"] == {
        "type": "deepgram",
        "version": "v2",
        "model": "flux-general-multi",
        "language_hints": ["de"],
    }
    _, settings = begin(listen={"type": "deepgram", "model": "nova-2", "language": "fr"}, language="de")
    assert settings["agent"]["listen"]["provider"] == {
        "type": "deepgram",
        "version": "v1",
        "model": "nova-2",
        "language": "fr",
    }


def test_settings_stored_at_deepgram() -> None:
    _, settings = begin(history=History(turns=(Turn("user", "a"),)), tools=[CLOCK], think=None, agent="id-1")
    assert settings["agent"] == "id-1"


def test_the_settings_are_sent_once_and_answer_the_greeting() -> None:
    session = make().begin(None, History())
    tell(session, APPLIED)
    assert not session.ready
    tell(session, WELCOME, WELCOME)
    assert [message["type"] for message in said(session)] == ["Settings"]


# -- taking up a lost conversation ------------------------------------------------------------------


def context(settings: dict[str, Any]) -> list[tuple[str, str]]:
    return [(m["role"], m["content"]) for m in settings["agent"].get("context", {}).get("messages", [])]


def test_a_lost_conversation_is_told_and_not_greeted() -> None:
    history = History(turns=(Turn("user", "My name is Ada."), Turn("assistant", "Hello Ada.")))
    _, settings = begin(history=history, greeting="Hello.")
    assert context(settings) == [("user", "My name is Ada."), ("assistant", "Hello Ada.")]
    assert "greeting" not in settings["agent"]
    assert begin(greeting="Hello.")[1]["agent"]["greeting"] == "Hello."


def test_an_answer_that_was_cut_off_by_the_loss_is_remembered_over_several_attempts() -> None:
    lost = ready()
    tell(lost, text("assistant", "It is"), text("assistant", "twelve."))
    never = make().begin(lost, History())
    again = make().begin(never, History())
    assert tell(again, WELCOME) == [Transcript("assistant", "It is twelve.")]
    assert context(said(again)[0]) == [("assistant", "It is twelve.")]
    assert tell(again, WELCOME) == []
    assert context(begin(again)[1]) == []


def test_the_session_of_another_dialect_is_not_taken_up() -> None:
    assert context(begin(Plain("ws://localhost").begin(None, History()))[1]) == []


# -- turns ------------------------------------------------------------------------------------------


def test_sound_without_words_is_an_answer_too() -> None:
    session = ready()
    assert tell(session, b"\1\2", b"\3\4", DONE, DONE) == [
        ResponseStarted(),
        AudioReceived(b"\1\2", SOUND),
        AudioReceived(b"\3\4", SOUND),
        ResponseDone(),
    ]


def test_an_answer_that_has_been_sent_whole_can_still_be_interrupted() -> None:
    session = ready()
    tell(session, b"\1\2", DONE)
    assert tell(session, STARTED, STARTED) == [SpeechStarted(), Interrupted()]
    tell(session, text("user", "a"))
    assert tell(session, STARTED) == [SpeechStarted()]


def test_late_sound_of_an_interrupted_answer_is_dropped() -> None:
    session = ready()
    tell(session, b"\1\2", STARTED)
    assert tell(session, b"\3\4", {"type": "LatencyReport"}, b"\5\6")[1:] == []
    tell(session, {"type": "AgentThinking", "content": ""})
    assert tell(session, b"\7\7")[-2:] == [ResponseStarted(), AudioReceived(b"\7\7", SOUND)]


def test_sound_after_a_cough_is_heard() -> None:
    """Nothing was being sent, so nothing can be late."""
    session = ready()
    tell(session, STARTED)
    assert AudioReceived(b"\1\2", SOUND) in tell(session, b"\1\2")


def test_the_rest_of_an_answer_that_nobody_wants_is_not_heard() -> None:
    session = ready()
    session.send(InterruptResponse())
    assert AudioReceived(b"\1\2", SOUND) in tell(session, b"\1\2")
    session.send(InterruptResponse())
    session.send(InterruptResponse())
    assert said(session) == []
    assert tell(session, b"\3\4", text("assistant", "a")) == [Token("a")]
    assert tell(session, DONE) == [Transcript("assistant", "a"), ResponseDone()]
    assert AudioReceived(b"\5\6", SOUND) in tell(session, b"\5\6")


def test_an_unfinished_sample_does_not_shift_the_next_answer() -> None:
    events = tell(ready(), b"\1\2\3", DONE, b"\4\5")
    assert [event.pcm for event in events if isinstance(event, AudioReceived)] == [b"\1\2", b"\4\5"]


def test_an_endless_answer_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LONGEST_ANSWER", 10)
    session = ready()
    for _ in range(100):
        assert tell(session, text("assistant", "abcd "))[-1] == Token("abcd ")
    assert tell(session, DONE)[0] == Transcript("assistant", "abcd abcd ")


def test_what_was_written_is_not_told_again() -> None:
    session = ready()
    session.send(SendText(" hello "))
    assert said(session) == [{"type": "InjectUserMessage", "content": " hello "}]
    assert tell(session, text("user", "hello")) == []
    assert tell(session, text("user", "hello")) == [Transcript("user", "hello")]


@pytest.mark.parametrize("word", [text("system", "a"), {"type": "ConversationText", "role": "user"}])
def test_a_text_of_nobody_is_a_message(word: dict[str, Any]) -> None:
    assert tell(ready(), word)[0] == Message(word)


# -- functions --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "error", "content"),
    [
        ("12:00", None, "12:00"),
        ({"time": 12}, None, '{"time": 12}'),
        (None, None, "null"),
        (None, "ValueError: no clock", '{"error": "ValueError: no clock"}'),
    ],
)
def test_results(result: Any, error: str | None, content: str) -> None:
    session = ready()
    assert tell(session, request(("f1", '{"zone": "UTC"}'))) == [ToolCall("f1", "get_time", {"zone": "UTC"})]
    session.send(ToolResult("f1", result, error))
    session.send(ToolResult("f1", result, error))
    assert said(session) == [
        {"type": "FunctionCallResponse", "id": "f1", "name": "get_time", "content": content}
    ]


def test_arguments_that_are_no_object_are_answered_at_once() -> None:
    session = ready()
    assert tell(session, request(("f1", "[1"), ("f2", "{}"))) == [
        ServerError("the arguments for get_time are no JSON object", "arguments"),
        ToolCall("f2", "get_time", {}),
    ]
    [answer] = said(session)
    assert (answer["id"], answer["content"]) == ("f1", '{"error": "the arguments are no JSON object"}')


@pytest.mark.parametrize(
    ("arguments", "told"), [({"a": 1}, {"a": 1}), ('{"a": 1}', {"a": 1}), (None, {}), ("", {}), ("null", {})]
)
@pytest.mark.parametrize("listed", [True, False])
def test_arguments_in_any_form(arguments: Any, told: dict[str, Any], listed: bool) -> None:
    word = request(("f1", arguments))
    if not listed:
        [word["functions"]] = word["functions"]
    assert tell(ready(), word) == [ToolCall("f1", "get_time", told)]


@pytest.mark.parametrize("arguments", [[], 7, "light", False])
def test_other_arguments_are_refused_to_the_server(arguments: Any) -> None:
    session = ready()
    assert [type(event) for event in tell(session, request(("f1", arguments)))] == [ServerError]
    assert [answer["id"] for answer in said(session)] == ["f1"]


@pytest.mark.parametrize("client_side", [False, "false", 0])
def test_functions_of_the_server_are_its_own(client_side: Any) -> None:
    assert tell(ready(), request(("f1", "{}"), client_side=client_side)) == []
    assert tell(ready(), request(("f1", "{}"), name=None)) == []


def test_calls_without_end_do_not_fill_the_memory() -> None:
    session = ready()
    tell(session, *[request((str(number), "{}")) for number in range(101)])
    session.send(ToolResult("0", "late"))
    session.send(ToolResult("1", "in time"))
    assert [message["id"] for message in said(session)] == ["1"]


def test_only_a_call_that_was_told_can_be_cancelled() -> None:
    assert tell(ready(), {"type": "FunctionCallCancelled", "functions": [{"id": "f1"}, {}]}) == []


# -- what never comes, or otherwise -------------------------------------------------------------------


def is_silent(session: Session) -> bool:
    """The next answer is not heard of, but the one after it is."""
    events = tell(session, {"type": "AgentStartedSpeaking"}, text("assistant", "No."), b"\1\1", DONE)
    assert tell(session, text("user", "Next."), b"\2\2", text("assistant", "Yes."), DONE) == [
        Transcript("user", "Next."),
        ResponseStarted(),
        AudioReceived(b"\2\2", SOUND),
        Token("Yes."),
        Transcript("assistant", "Yes."),
        ResponseDone(),
    ]
    return events == []


def test_an_answer_to_what_was_written_or_said_can_be_called_off() -> None:
    session = ready()
    session.send(SendText("Hello."))
    session.send(InterruptResponse())
    assert is_silent(session)
    tell(session, STARTED, text("user", "Hello."))
    session.send(InterruptResponse())
    assert is_silent(session)


def test_the_answer_to_a_result_can_be_called_off_while_the_call_lasts() -> None:
    session = ready()
    tell(session, request(("f1", "{}")))
    session.send(InterruptResponse())
    session.send(ToolResult("f1", "on"))
    assert is_silent(session)


@pytest.mark.parametrize(
    "anew", [SendText("Hello."), STARTED, text("user", "Hello.")], ids=["text", "speech", "words"]
)
def test_the_answer_to_what_comes_after_is_heard(anew: Any) -> None:
    session = ready()
    session.send(SendText("Never mind."))
    session.send(InterruptResponse())
    session.send(anew) if isinstance(anew, SendText) else tell(session, anew)
    assert ResponseStarted() in tell(session, b"\1\1")


def test_an_answer_whose_end_is_lost_is_ended_by_the_next_words() -> None:
    session = ready()
    tell(session, text("assistant", "One."), b"\1\1")
    assert tell(session, text("user", "And?"), text("assistant", "Two.")) == [
        Transcript("assistant", "One."),
        ResponseDone(),
        Transcript("user", "And?"),
        ResponseStarted(),
        Token("Two."),
    ]


def test_an_answer_that_never_ends_is_given_up() -> None:
    session = ready()
    tell(session, text("assistant", "One."))
    for now in range(4):
        tell(session, b"\1\1")
        assert session.tick(now) == []
    assert [session.tick(now) for now in range(10, 15)] == [
        [],
        [],
        [],
        [Transcript("assistant", "One."), ResponseDone()],
        [],
    ]


def test_a_turn_ends_although_its_words_are_never_told() -> None:
    session = ready()
    tell(session, STARTED)
    assert tell(session, b"\1\1") == [SpeechStopped(), ResponseStarted(), AudioReceived(b"\1\1", SOUND)]
    assert tell(session, text("user", "Hello"))[-1] == Transcript("user", "Hello")
    tell(session, DONE)
    session.finish()
    tell(session, b"\1\1", DONE)
    assert session.finished


def test_what_is_said_later_is_no_echo_of_what_was_written() -> None:
    session = ready()
    session.send(SendText("Stop"))
    tell(session, text("assistant", "Yes?"), DONE)
    assert tell(session, text("user", "Stop")) == [Transcript("user", "Stop")]
    session.send(SendText("Stop"))
    tell(session, STARTED)
    assert tell(session, text("user", "Stop")) == [SpeechStopped(), Transcript("user", "Stop")]


def test_a_server_that_converses_has_accepted_the_settings() -> None:
    session = make().begin(None, History())
    tell(session, WELCOME, text("assistant", "Hello."))
    assert session.ready


@pytest.mark.parametrize("field", ["description", "message", "error"])
def test_an_error_that_is_told_elsewhere(field: str) -> None:
    assert tell(ready(), {"type": "Warning", field: "slow"}) == [ServerError("slow")]
    assert tell(ready(), {"type": "InjectionRefused", field: "slow"}) == [
        ServerError("slow", "InjectionRefused")
    ]
    with pytest.raises(ServiceError, match="slow"):
        tell(ready(), {"type": "Error", field: "slow"})


# -- signs of life, and the end -----------------------------------------------------------------------


def test_a_sign_of_life_only_while_no_sound_goes() -> None:
    session = make().begin(None, History())
    for now in (0.0, 4.0):
        session.tick(now)
    assert said(session) == []
    session = ready()
    for now in (8.0, 12.0):
        session.tick(now)
    assert said(session) == [{"type": "KeepAlive"}]
    session.send(SendAudio(b"\1\2", 0.0))
    session.tick(16.0)
    assert said(session) == [b"\1\2"]
    session.send(SendMessage({"type": "UpdatePrompt", "prompt": "x"}))
    session.tick(20.0)
    assert said(session) == [{"type": "UpdatePrompt", "prompt": "x"}, {"type": "KeepAlive"}]
    session.finish()
    session.tick(24.0)
    assert said(session) == []


def test_the_end_of_a_session_is_told_once_in_time() -> None:
    session = ready()
    assert session.tick(100.0) == []
    assert session.tick(100.0 + 6890) == []
    assert session.tick(100.0 + 6950) == [SessionExpiring(250.0)]
    assert session.tick(100.0 + 7300) == []


def test_a_short_session_tells_its_end_later() -> None:
    session = ready(session_length=60)
    assert session.tick(0.0) == []
    assert session.tick(50.0) == []
    assert session.tick(61.0) == [SessionExpiring(0.0)]


def test_a_session_without_end() -> None:
    session = ready(session_length=None)
    session.tick(0.0)
    session.tick(1e9)
    assert tell(session, DONE) == []


def test_the_end_waits_for_what_is_owed_only() -> None:
    session = ready()
    session.finish()
    assert session.finished
    session = ready()
    tell(session, text("assistant", "a"))
    session.finish()
    assert not session.finished
    tell(session, DONE)
    assert session.finished


def test_the_end_ends_the_users_turn() -> None:
    """And waits for its words, and for the answer to them."""
    session = ready()
    tell(session, STARTED)
    session.finish()
    session.finish()
    assert [json.loads(one) for one in session.messages_to_send()] == [{"type": "ForceEndTurn"}]
    for word in (STARTED, text("user", "Good night."), text("assistant", "Sleep well.")):
        assert not session.finished
        tell(session, word)
    assert not session.finished
    tell(session, DONE)
    assert session.finished


@pytest.mark.parametrize("word", [DONE, {"type": "InjectionRefused", "message": "no"}])
def test_the_end_waits_for_the_answer_to_what_was_written(word: dict[str, Any]) -> None:
    session = ready()
    session.send(SendText("Good night."))
    session.finish()
    assert not session.finished
    tell(session, text("user", "Good night."))
    assert not session.finished
    tell(session, *([text("assistant", "Sleep well."), word] if word is DONE else [word]))
    assert session.finished


def test_an_answer_that_nobody_wants_is_not_waited_for() -> None:
    session = ready()
    tell(session, text("assistant", "Well, "))
    session.send(InterruptResponse())
    session.finish()
    assert session.finished


def test_what_is_written_ends_the_answer_that_it_cuts_short() -> None:
    session = ready()
    tell(session, text("assistant", "Well, "))
    session.send(InterruptResponse())
    session.send(SendText("Stop."))
    assert tell(session, text("user", "Stop.")) == [Transcript("assistant", "Well, "), ResponseDone()]
    assert tell(session, text("assistant", "Good."))[0] == ResponseStarted()


# -- errors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "accepted", "fatal"),
    [
        ("INTERNAL_SERVER_ERROR", True, False),
        ("INTERNAL_SERVER_ERROR", False, False),
        ("CLIENT_MESSAGE_TIMEOUT", False, False),
        ("UNPARSABLE_CLIENT_MESSAGE", True, True),
        ("INVALID_SETTINGS", False, True),
        ("SOMETHING_NEW", True, False),
        ("SOMETHING_NEW", False, True),
        (None, False, True),
    ],
)
def test_errors(code: str | None, accepted: bool, fatal: bool) -> None:
    session = make().begin(None, History())
    tell(session, WELCOME, *([APPLIED] if accepted else []))
    with pytest.raises(ServiceError, match="broken") as caught:
        tell(session, {"type": "Error", "description": "broken", "code": code})
    assert (caught.value.code, caught.value.fatal) == (code, fatal)


def test_close_codes_mean_what_they_mean_everywhere() -> None:
    error = ConnectionClosed(1011)
    assert make().classify(error) is error


# -- settings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("think", None),
        ("think", ""),
        ("think", 7),
        ("think", {"a": {1}}),
        ("listen", None),
        ("speak", ""),
        ("instructions", " "),
        ("greeting", 7),
        ("language", ""),
        ("url", "http://localhost/"),
        ("scheme", "Basic"),
        ("input_format", AudioFormat(16000, 2)),
        ("output_format", 24000),
        ("options", {"a": float("nan")}),
        ("headers", {"a": 1}),
        ("session_length", 0),
    ],
)
def test_wrong_settings(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"DeepgramAgent\.{name}"):
        make(**{name: value})


def test_a_model_or_stored_settings_but_not_both() -> None:
    with pytest.raises(ConfigError, match="one of the two"):
        make(agent="id-1")


def test_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPGRAM_API_KEY", "from-environment")
    assert DeepgramAgent("x").request().headers == {"Authorization": "Token from-environment"}
    assert make().request().headers == {}
    monkeypatch.delenv("DEEPGRAM_API_KEY")
    with pytest.raises(ConfigError, match="DEEPGRAM_API_KEY"):
        DeepgramAgent("x")


def test_settings_compare_hash_and_vary() -> None:
    dialect = make(options={"tags": ["x"]})
    assert dialect == replace(dialect)
    assert hash(dialect) == hash(replace(dialect))
    assert replace(dialect, greeting="Hi.") != dialect
    assert repr(dialect) == f"DeepgramAgent('any-model', url='{URL}')"
    assert repr(make(think=None, agent="id-1")) == f"DeepgramAgent('id-1', url='{URL}')"
