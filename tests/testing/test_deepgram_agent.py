"""The fake voice agent, and the whole client with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.patience import PATIENCE
from tests.testing.caller import LONG, Caller, loud
from voicews import (
    AudioFormat,
    HandshakeRejected,
    Interrupted,
    ReconnectFailed,
    Reconnecting,
    ResponseDone,
    ServerError,
    ServiceError,
    State,
    StateChanged,
    Tool,
    ToolCall,
    ToolCallCancelled,
    Transcript,
    Turn,
)
from voicews.audio import NullSink, SilenceSource
from voicews.client import VoiceClient
from voicews.commands import SendMessage
from voicews.dialects import DeepgramAgent
from voicews.testing import FakeAnswer, FakeDeepgramAgent
from voicews.testing.speech import hum

SETTINGS: dict[str, Any] = {
    "type": "Settings",
    "audio": {
        "input": {"encoding": "linear16", "sample_rate": 16000},
        "output": {"encoding": "linear16", "sample_rate": 24000, "container": "none"},
    },
    "agent": {"think": {"provider": {"type": "open_ai", "model": "any"}}},
}
SOUND = AudioFormat(24000)


@contextmanager
def call(
    server: FakeDeepgramAgent, settings: dict[str, Any] | None = SETTINGS, **headers: str
) -> Iterator[ClientConnection]:
    with connect(server.url, additional_headers=headers, close_timeout=1) as client:
        assert hear(client)["type"] == "Welcome"
        if settings is not None:
            say(client, settings)
            assert hear(client) == {"type": "SettingsApplied"}
        yield client


def say(client: ClientConnection, message: dict[str, Any]) -> None:
    client.send(json.dumps(message))


def hear(client: ClientConnection) -> Any:
    message = client.recv(PATIENCE)
    return json.loads(message) if isinstance(message, str) else message


def hear_answer(client: ClientConnection) -> tuple[list[Any], bytes]:
    """All messages up to AgentAudioDone, and the sound among them."""
    messages = [hear(client)]
    while messages[-1] != {"type": "AgentAudioDone"}:
        messages.append(hear(client))
    sound = b"".join(one for one in messages if isinstance(one, bytes))
    return [one for one in messages[:-1] if not isinstance(one, bytes)], sound


def close_code(client: ClientConnection) -> int | None:
    with pytest.raises(ConnectionClosed) as caught:
        client.recv(PATIENCE)
    return caught.value.rcvd.code if caught.value.rcvd is not None else None


def test_a_spoken_turn() -> None:
    with FakeDeepgramAgent(hears=["Hello?"], answers=["Hello yourself."]) as server, call(server) as client:
        client.send(loud(0.3))
        assert hear(client) == {"type": "UserStartedSpeaking"}
        client.send(bytes(16000))
        [user, thinking, agent], sound = hear_answer(client)
        assert (user["role"], user["content"]) == ("user", "Hello?")
        assert thinking["type"] == "AgentThinking"
        assert (agent["role"], agent["content"]) == ("assistant", "Hello yourself.")
        assert sound == hum("Hello yourself.", SOUND)
        assert server.connection().said == [("user", "Hello?"), ("assistant", "Hello yourself.")]


def test_the_greeting_and_what_was_said_before() -> None:
    said = [{"type": "History", "role": "user", "content": "I am Ada."}]
    agent = {**SETTINGS["agent"], "greeting": "Welcome back.", "context": {"messages": said}}
    with FakeDeepgramAgent() as server, call(server, {**SETTINGS, "agent": agent}) as client:
        [line], _ = hear_answer(client)
        assert line["content"] == "Welcome back."
        assert server.connection().said == [("user", "I am Ada."), ("assistant", "Welcome back.")]


def test_a_turn_ended_by_hand() -> None:
    with FakeDeepgramAgent(hears=["Hello?"]) as server, call(server) as client:
        say(client, {"type": "ForceEndTurn"})
        client.send(loud(0.3))
        say(client, {"type": "ForceEndTurn"})
        assert hear(client)["type"] == "UserStartedSpeaking"
        assert hear(client)["content"] == "Hello?"


def test_words_put_into_mouths() -> None:
    with FakeDeepgramAgent(answers=["Twelve."], pace=0.1) as server, call(server) as client:
        say(client, {"type": "InjectUserMessage", "content": "What time is it?"})
        lines, _ = hear_answer(client)
        assert [line.get("content") for line in lines][::2] == ["What time is it?", "Twelve."]
        say(client, {"type": "InjectAgentMessage", "message": "A long story, to be interrupted."})
        assert hear(client)["content"].startswith("A long")
        say(client, {"type": "InjectAgentMessage", "message": "Me first."})
        while isinstance(refused := hear(client), bytes):
            pass
        assert refused["type"] == "InjectionRefused"
        say(client, {"type": "InjectAgentMessage", "message": "Now.", "behavior": "interrupt"})
        while isinstance(line := hear(client), bytes):
            pass
        assert line["content"] == "Now."
        client.send(loud(0.1))
        say(client, {"type": "InjectUserMessage", "content": "And I?"})
        while (refused := hear(client)) == {"type": "UserStartedSpeaking"} or isinstance(refused, bytes):
            pass
        assert refused["message"] == "The user is speaking."


def test_a_function() -> None:
    answers = [FakeAnswer("It is noon.", call=("get_time", {"zone": "UTC"}))]
    with FakeDeepgramAgent(answers=answers) as server, call(server) as client:
        say(client, {"type": "InjectUserMessage", "content": "What time is it?"})
        assert [hear(client)["type"] for _ in range(2)] == ["ConversationText", "AgentThinking"]
        [function] = hear(client)["functions"]
        assert (function["name"], json.loads(function["arguments"])) == ("get_time", {"zone": "UTC"})
        response = {"type": "FunctionCallResponse", "name": "get_time", "content": "12:00"}
        say(client, {**response, "id": "another"})
        assert hear(client)["type"] == "Warning"
        say(client, {**response, "id": function["id"]})
        [line], _ = hear_answer(client)
        assert line["content"] == "It is noon."
        assert server.connection().results == {function["id"]: "12:00"}


def test_stored_settings_and_an_answer_without_words() -> None:
    answers = [FakeAnswer(pcm=b"\1\2" * 100)]
    with FakeDeepgramAgent(answers=answers) as server, call(server, {**SETTINGS, "agent": "id-1"}) as client:
        say(client, {"type": "InjectUserMessage", "content": "Hum."})
        assert hear_answer(client)[1] == b"\1\2" * 100


def test_small_talk() -> None:
    with FakeDeepgramAgent() as server, call(server) as client:
        say(client, {"type": "KeepAlive"})
        say(client, {"type": "UpdatePrompt", "prompt": "x"})
        assert hear(client) == {"type": "PromptUpdated"}


@pytest.mark.parametrize(
    "message", ["no JSON", "[]", "{}", '{"type": "Sing"}', b"\1\2", '{"type": "Settings", "agent": {}}']
)
def test_nonsense_ends_the_session(message: str | bytes) -> None:
    with FakeDeepgramAgent() as server, call(server, None) as client:
        client.send(message)
        assert hear(client)["code"] in ("UNPARSABLE_CLIENT_MESSAGE", "INVALID_SETTINGS")
        assert close_code(client) == 1000


def test_whoever_says_nothing_is_hung_up_on() -> None:
    with FakeDeepgramAgent(patience=0.3) as server, call(server) as client:
        say(client, {"type": "KeepAlive"})
        assert hear(client)["code"] == "CLIENT_MESSAGE_TIMEOUT"
        assert close_code(client) == 1011


@pytest.mark.parametrize(("suffix", "key", "status"), [("", "wrong", 401), ("/more", "right", 404)])
def test_refusals(suffix: str, key: str, status: int) -> None:
    with FakeDeepgramAgent(key="right") as server:
        with pytest.raises(InvalidStatus) as caught:
            connect(server.url + suffix, additional_headers={"Authorization": f"Bearer {key}"})
        assert caught.value.response.status_code == status
        with call(server, Authorization="Token right"):
            assert server.refused == 1


# -- the whole client --------------------------------------------------------------------------------


def agent(server: FakeDeepgramAgent, **settings: Any) -> DeepgramAgent:
    return DeepgramAgent("any-model", url=server.url, **settings)


def test_a_conversation() -> None:
    with FakeDeepgramAgent(hears=["One?", "Two?"], answers=["First.", "Second."]) as server:
        with Caller(agent(server, greeting="Hello.")) as caller:
            for number, said in enumerate(("Hello.", "Hello.First."), 1):
                caller.hear(ResponseDone, number)
                caller.speaker.wait_for(len(hum(said, SOUND)))  # or speaking would cut its end off
                caller.speak(0.3, then=0.6)
            caller.hear(ResponseDone, 3)
            caller.speaker.wait_for(len(hum("Hello.First.Second.", SOUND)))
        assert caller.speaker.written == hum("Hello.", SOUND) + hum("First.", SOUND) + hum("Second.", SOUND)
        assert caller.client.history.turns == (
            Turn("assistant", "Hello."),
            Turn("user", "One?"),
            Turn("assistant", "First."),
            Turn("user", "Two?"),
            Turn("assistant", "Second."),
        )
        assert server.connection().wait_until_closed() == 1000
        assert not server.failures


def test_an_interruption() -> None:
    with FakeDeepgramAgent(hears=["Tell me.", "Stop."], answers=[LONG, "Good."], pace=0.05) as server:
        caller = Caller(agent(server))
        caller.speaker.speed = 1.0
        with caller:
            caller.speak(0.3, then=0.6)
            caller.speaker.wait_for(9600)
            caller.speak(0.3, then=0.6)
            interrupted = caller.hear(Interrupted)
            assert interrupted.heard_ms is not None
            caller.hear(Transcript, which=lambda line: line.text == "Good.")
            caller.hear(ResponseDone, 2)
        assert len(caller.speaker.written) < len(hum(LONG, SOUND))
        assert [turn.text for turn in caller.client.history] == ["Tell me.", LONG, "Stop.", "Good."]


def test_writing_and_a_function() -> None:
    def get_time(zone: str) -> str:
        """Tell the time.

        Args:
            zone: where.
        """
        return f"12:00 {zone}"

    answers = [FakeAnswer("It is noon.", call=("get_time", {"zone": "UTC"}))]
    with FakeDeepgramAgent(answers=answers) as server:
        with Caller(agent(server), tools=[get_time]) as caller:
            caller.client.send_text("What time is it?")
            caller.hear(ResponseDone)
        connection = server.connection()
        [function] = connection.settings["agent"]["think"]["functions"]
        assert function["name"] == "get_time"
        assert function["parameters"]["properties"] == {"zone": {"type": "string", "description": "where."}}
        assert list(connection.results.values()) == ["12:00 UTC"]
        assert [turn.text for turn in caller.client.history] == ["What time is it?", "It is noon."]


def test_a_function_that_is_no_longer_wanted() -> None:
    answers = [FakeAnswer("It is noon.", call=("get_time", {}))]
    tool = Tool("get_time", "Tell the time.", {"type": "object", "properties": {}})
    with FakeDeepgramAgent(answers=answers) as server:
        dialect = agent(server)
        with Caller(dialect, tools=[tool]) as caller:
            caller.client.send_text("What time is it?")
            wanted = caller.hear(ToolCall)
            server.connection().cancel_calls()
            assert caller.hear(ToolCallCancelled).call_id == wanted.call_id


def test_a_lost_conversation_goes_on() -> None:
    with FakeDeepgramAgent(hears=["I am Ada.", "Who am I?"], answers=["Hello Ada.", "Ada."]) as server:
        with Caller(agent(server, greeting="Hi.")) as caller:
            caller.hear(ResponseDone)
            caller.speak(0.3, then=0.6)
            caller.hear(ResponseDone, 2)
            server.connection(1).drop()
            caller.hear(Reconnecting)
            again = server.connection(2)
            again.wait_for_message({"type": "Settings"})
            caller.speak(0.3, then=0.6)
            caller.hear(ResponseDone, 3)
        assert again.said == [
            ("assistant", "Hi."),
            ("user", "I am Ada."),
            ("assistant", "Hello Ada."),
            ("user", "Who am I?"),
            ("assistant", "Ada."),
        ]


def test_an_answer_lost_on_the_way_is_remembered() -> None:
    with FakeDeepgramAgent(answers=["A long answer that is cut off."], pace=0.1) as server:
        with Caller(agent(server)) as caller:
            caller.client.send_text("Go.")
            caller.speaker.wait_for(4800)
            server.connection(1).drop()
            caller.hear(Transcript)
            said = server.connection(2).wait_for_message({"type": "Settings"})["agent"]["context"]["messages"]
        assert [one["content"] for one in said] == ["Go.", "A long answer that is cut off."]
        assert [turn.text for turn in caller.client.history] == ["Go.", "A long answer that is cut off."]


def test_warnings_and_errors() -> None:
    with FakeDeepgramAgent() as server:
        with Caller(agent(server)) as caller:
            server.connection(1).warn("The prompt is long.", "PROMPT_TOO_LONG")
            assert caller.hear(ServerError).code == "PROMPT_TOO_LONG"
            server.connection(1).fail("The model is gone.")
            error = caller.hear(Reconnecting).error
            assert isinstance(error, ServiceError)
            assert error.code == "INTERNAL_SERVER_ERROR"
            server.connection(2).wait_for_message({"type": "Settings"})
            caller.client.send(SendMessage({"type": "Sing"}))
            caller.hear(StateChanged, which=lambda change: change.new is State.FAILED)
        assert not caller.heard(ReconnectFailed)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"key": "wrong"}, HandshakeRejected),
        ({"key": "right", "options": {"agent": {"think": "nothing"}}}, ServiceError),
    ],
)
def test_what_is_refused_ends_the_run(settings: dict[str, Any], error: type[Exception]) -> None:
    with FakeDeepgramAgent(key="right") as server:
        voice = VoiceClient(agent(server, **settings), microphone=SilenceSource(), speaker=NullSink())
        with pytest.raises(error):
            voice.open()
