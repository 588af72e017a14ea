"""The fake Gemini Live API, and the whole client on it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.patience import PATIENCE
from tests.testing.caller import Caller, loud
from voicews import (
    AudioReceived,
    Connected,
    ConnectionClosed,
    HandshakeRejected,
    Interrupted,
    ResponseDone,
    ResponseStarted,
    Transcript,
)
from voicews.dialects import GeminiLive
from voicews.testing import FakeAnswer, FakeGeminiConnection, FakeGeminiLive
from voicews.tools import Tool

SETUP: dict[str, Any] = {"model": "models/any", "inputAudioTranscription": {}, "outputAudioTranscription": {}}


def say(client: ClientConnection, **message: Any) -> None:
    client.send(json.dumps(message))


def hear(client: ClientConnection) -> dict[str, Any]:
    message = client.recv(PATIENCE)
    assert isinstance(message, bytes), "the service answers in binary frames"
    return dict(json.loads(message))


def hear_until(client: ClientConnection, fact: Callable[[dict[str, Any]], object]) -> list[dict[str, Any]]:
    heard = [hear(client)]
    while not fact(heard[-1]):
        heard.append(hear(client))
    return heard


def turn_is_complete(message: dict[str, Any]) -> object:
    return message.get("serverContent", {}).get("turnComplete")


def begin(client: ClientConnection, **setup: Any) -> None:
    say(client, setup={**SETUP, **setup})
    assert "setupComplete" in hear(client)


def sound(pcm: bytes) -> dict[str, Any]:
    return {"audio": {"data": base64.b64encode(pcm).decode(), "mimeType": "audio/pcm;rate=16000"}}


def has_a_handle(connection: FakeGeminiConnection) -> bool:
    last = connection.sent[-1]
    return isinstance(last, bytes) and b"newHandle" in last


def texts(messages: list[dict[str, Any]], kind: str) -> str:
    contents = [message.get("serverContent", {}) for message in messages]
    return "".join(content[kind]["text"] for content in contents if kind in content)


def test_a_turn_is_heard_and_answered() -> None:
    with FakeGeminiLive(hears=["Hello there."], answers=["Hello yourself."]) as server:
        with connect(server.url) as client:
            begin(client, sessionResumption={})
            say(client, realtimeInput=sound(loud(0.5)))
            say(client, realtimeInput=sound(bytes(16000)))
            heard = hear_until(client, turn_is_complete)
            assert texts(heard, "inputTranscription") == "Hello there."
            assert texts(heard, "outputTranscription") == "Hello yourself."
            handle = hear(client)["sessionResumptionUpdate"]["newHandle"]
        with connect(server.url) as client:
            begin(client, sessionResumption={"handle": handle})
            assert server.connection(2).said == [("user", "Hello there."), ("model", "Hello yourself.")]


def test_text_answers() -> None:
    with FakeGeminiLive(answers=["Yes, I do."]) as server, connect(server.url) as client:
        begin(client, generationConfig={"responseModalities": ["TEXT"]})
        say(client, realtimeInput={"text": "Do you?"})
        parts = [
            part["text"]
            for message in hear_until(client, turn_is_complete)
            for part in message["serverContent"].get("modelTurn", {}).get("parts", [])
        ]
        assert "".join(parts) == "Yes, I do."


def test_a_restored_conversation_is_not_answered() -> None:
    with FakeGeminiLive(answers=["One.", "Two."]) as server, connect(server.url) as client:
        begin(client, historyConfig={"initialHistoryInClientContent": True})
        turns = [{"role": "user", "parts": [{"text": "Hi."}]}, {"role": "model", "parts": [{"text": "Ho."}]}]
        say(client, clientContent={"turns": turns})
        say(client, clientContent={"turns": [], "turnComplete": True})
        more = [{"role": "user", "parts": [{"text": "More."}]}]
        say(client, client_content={"turns": more, "turn_complete": True})
        assert texts(hear_until(client, turn_is_complete), "outputTranscription") == "One."
        said = [("user", "Hi."), ("model", "Ho."), ("user", "More."), ("model", "One.")]
        assert server.connection().said == said


def test_an_answer_is_interrupted_by_speech_or_left_alone() -> None:
    long = FakeAnswer("a long story about nothing at all", bytes(24000 * 2 * 3))
    for handling, interrupted in (("START_OF_ACTIVITY_INTERRUPTS", True), ("NO_INTERRUPTION", False)):
        with FakeGeminiLive(answers=[long], pace=0.02) as server, connect(server.url) as client:
            begin(client, realtimeInputConfig={"activityHandling": handling})
            say(client, realtimeInput={"text": "Go."})
            hear(client)
            say(client, realtimeInput=sound(loud(0.2)))
            heard = hear_until(client, turn_is_complete)
            assert ({"interrupted": True} in [one["serverContent"] for one in heard]) is interrupted


def test_turns_of_the_client() -> None:
    manual = {"automaticActivityDetection": {"disabled": True}}
    with FakeGeminiLive() as server, connect(server.url) as client:
        begin(client, realtimeInputConfig=manual)
        say(client, realtimeInput={"activityStart": {}})
        say(client, realtimeInput=sound(loud(0.2) + bytes(32000)))
        say(client, realtimeInput={"activityEnd": {}})
        assert texts(hear_until(client, turn_is_complete), "inputTranscription") == "What time is it?"
        say(client, realtimeInput={"activityStart": {}})
        say(client, realtimeInput={"text": "Hello."})
        say(client, realtimeInput={"activityEnd": {}})
        assert texts(hear_until(client, turn_is_complete), "outputTranscription") == "It is time for tea."


def test_a_turn_without_words_is_not_answered_and_nothing_is_written_down_unasked() -> None:
    manual = {"automaticActivityDetection": {"disabled": True}}
    with FakeGeminiLive() as server, connect(server.url) as client:
        say(client, setup={"model": "m", "realtimeInputConfig": manual})
        say(client, realtimeInput={"activityStart": {}})
        say(client, realtimeInput={"activityEnd": {}})
        say(client, realtimeInput={"activityStart": {}})
        say(client, realtimeInput=sound(loud(0.2)))
        say(client, realtimeInput={"activityEnd": {}})
        heard = hear_until(client, turn_is_complete)
        assert not texts(heard, "inputTranscription")
        assert not texts(heard, "outputTranscription")


def test_a_stream_that_ends_is_a_turn_s_end() -> None:
    with FakeGeminiLive() as server, connect(server.url) as client:
        begin(client, realtimeInputConfig={"automaticActivityDetection": {"silenceDurationMs": 5000}})
        say(client, realtimeInput=sound(loud(0.2) + bytes(32000)))
        say(client, realtimeInput={"audioStreamEnd": True})
        assert texts(hear_until(client, turn_is_complete), "inputTranscription") == "What time is it?"


def test_functions_are_called_and_taken_back() -> None:
    answer = FakeAnswer("It is on.", call=("light", {"on_off": True}))
    with FakeGeminiLive(answers=[answer]) as server, connect(server.url) as client:
        begin(client)
        say(client, realtimeInput={"text": "Light!"})
        [call] = hear(client)["toolCall"]["functionCalls"]
        assert call == {"id": "call-1", "name": "light", "args": {"on_off": True}}
        result = {"id": "call-1", "name": "light", "response": {"is_on": True}}
        say(client, tool_response={"function_responses": [result]})
        assert texts(hear_until(client, turn_is_complete), "outputTranscription") == "It is on."
        assert server.connection().results == {"call-1": {"is_on": True}}
        say(client, realtimeInput={"text": "Light!"})
        hear(client)
        server.connection().call_off()
        assert hear(client) == {"toolCallCancellation": {"ids": ["call-2"]}}
        say(client, toolResponse={"functionResponses": [{"id": "call-2"}]})
        server.connection().go_away(9)
        assert hear(client) == {"goAway": {"timeLeft": "9s"}}


@pytest.mark.parametrize(
    "messages",
    [
        ["no JSON"],
        ["[]"],
        ['{"realtimeInput": {}}'],
        ['{"setup": {"model": "m", "colour": "red"}}'],
        ['{"setup": {"model": "m", "sessionResumption": {"handle": "lost"}}}'],
        ['{"setup": {"model": "m"}}', '{"surprise": {}}'],
        ['{"setup": {"model": "m"}}', '{"realtimeInput": {"audio": {"data": "?"}}}'],
    ],
)
def test_what_it_does_not_know_ends_the_connection(messages: list[str]) -> None:
    with FakeGeminiLive() as server, connect(server.url) as client:
        for message in messages:
            client.send(message)
        assert server.connection().wait_until_closed() == 1007


def test_keys_and_addresses() -> None:
    with FakeGeminiLive(key="right") as server:
        for url, headers in ((server.url, {"x-goog-api-key": "wrong"}), (server.address, {})):
            with pytest.raises(InvalidStatus, match=r"401|404"):
                connect(url, additional_headers=headers)
        with connect(f"{server.url}?key=right") as client:
            begin(client)
        with connect(server.url, additional_headers={"Authorization": "Token right"}) as client:
            begin(client)


# -- the whole client ------------------------------------------------------------------------------


def test_a_conversation() -> None:
    server = FakeGeminiLive(
        hears=["Hello.", "Good night."], answers=["Hello yourself.", "Sleep well."], key="k"
    )
    with server:
        with Caller(GeminiLive("any", key="k", url=server.url)) as caller:
            caller.speak(0.5, then=0.6)
            caller.hear(ResponseDone)
            assert caller.heard(AudioReceived)
            caller.client.send_text("And now?")
            caller.hear(ResponseDone, 2)
            caller.speak(0.5)
            caller.wait_until_spoken()
        said = [turn.text for turn in caller.client.history]
        assert said[:4] == ["Hello.", "Hello yourself.", "And now?", "Sleep well."]
        assert said[4:] == ["Good night.", "Sleep well."], "the turn that was open at the end was answered"
        assert server.connection().wait_until_closed() == 1000


def test_an_answer_is_interrupted() -> None:
    story = FakeAnswer("a long story about nothing at all", bytes(24000 * 2 * 20))
    with FakeGeminiLive(hears=["Go on.", "Stop."], answers=[story, "Yes?"], pace=0.05) as server:
        with Caller(GeminiLive("any", key="k", url=server.url)) as caller:
            caller.speaker.speed = 1.0
            caller.speak(0.3, then=0.6)
            caller.hear(AudioReceived, 3)
            caller.speak(0.3, then=0.6)
            caller.hear(Interrupted)
            caller.hear(Transcript, which=lambda one: one.text == "Yes?")
        roles = [turn.role for turn in caller.client.history]
        assert roles == ["user", "assistant", "user", "assistant"]


def test_a_function_is_called() -> None:
    def light(on: bool) -> str:
        """Switch the light."""
        return f"light is {on}"

    answer = FakeAnswer("It is on.", call=("light", {"on": True}))
    with FakeGeminiLive(answers=[answer]) as server:
        dialect = GeminiLive("any", key="k", url=server.url)
        with Caller(dialect, tools=[Tool.of(light)]) as caller:
            caller.client.send_text("Light!")
            caller.hear(ResponseDone)
            assert server.connection().results == {"call-1": {"output": "light is True"}}


def test_a_connection_lost_in_mid_answer_goes_on_in_the_next() -> None:
    story = FakeAnswer("A very long story.", bytes(24000 * 2 * 20))
    with (
        FakeGeminiLive(answers=["First.", story, "Third."], pace=0.02) as server,
        Caller(GeminiLive("any", key="k", url=server.url)) as caller,
    ):
        caller.client.send_text("One.")
        caller.hear(ResponseDone)
        server.connection().wait_for(has_a_handle)
        caller.client.send_text("Two.")
        caller.hear(ResponseStarted, 2)
        server.drop()
        caller.hear(Connected, 2)
        second = server.connection(2)
        second.wait_for(lambda one: one.setup)
        assert second.setup["sessionResumption"] == {"handle": "handle-1"}
        assert second.said == [("user", "One."), ("model", "First.")]
        caller.client.send_text("Three.")
        caller.hear(Transcript, which=lambda one: one.text == "Third.")


def test_a_session_that_ends_is_left_in_time_and_one_that_is_lost_is_told_anew() -> None:
    with (
        FakeGeminiLive(answers=["First."]) as server,
        Caller(GeminiLive("any", key="k", url=server.url)) as caller,
    ):
        caller.client.send_text("One.")
        caller.hear(ResponseDone)
        server.connection().wait_for(has_a_handle)
        server.connection().go_away(60)
        caller.hear(Connected, 2)
        server.forget_sessions()
        server.drop()
        caller.hear(Connected, 3)
        last = server.connection(4)
        last.wait_for(lambda one: one.said)
        assert "historyConfig" in last.setup
        assert last.said == [("user", "One."), ("model", "First.")]


def test_refusals_are_the_end() -> None:
    with FakeGeminiLive(key="right") as server:
        with pytest.raises(HandshakeRejected, match="401"):
            Caller(GeminiLive("any", key="wrong", url=server.url)).client.run()
        with pytest.raises(ConnectionClosed, match="Unknown name"):
            Caller(GeminiLive("any", key="right", url=server.url, options={"colour": "red"})).client.run()
