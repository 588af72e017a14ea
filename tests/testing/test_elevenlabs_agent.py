"""The fake of ElevenLabs' agents, and the whole client with it."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
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
    Reconnecting,
    ResponseDone,
    ServerError,
    ServiceError,
    SpeechStopped,
    State,
    StateChanged,
    Token,
    Transcript,
    Turn,
    VoiceClient,
)
from voicews.audio import NullSink, SilenceSource
from voicews.commands import SendMessage
from voicews.dialects import ElevenLabsAgent
from voicews.dialects.mulaw import from_mulaw, to_mulaw
from voicews.testing import FakeAnswer, FakeElevenLabsAgent
from voicews.testing.speech import hum

SOUND = AudioFormat(16000)
FIRST: dict[str, Any] = {"type": "conversation_initiation_client_data"}


@contextmanager
def call(server: FakeElevenLabsAgent, first: dict[str, Any] | None = FIRST) -> Iterator[ClientConnection]:
    with connect(f"{server.url}?agent_id=a", close_timeout=1) as client:
        if first is not None:
            say(client, first)
            assert hear(client)["type"] == "conversation_initiation_metadata"
        yield client


def say(client: ClientConnection, message: dict[str, Any]) -> None:
    client.send(json.dumps(message))


def speak(client: ClientConnection, pcm: bytes) -> None:
    say(client, {"user_audio_chunk": base64.b64encode(pcm).decode()})


def hear(client: ClientConnection, kind: str | None = None) -> dict[str, Any]:
    """The next message, or the next of this kind."""
    while True:
        message: dict[str, Any] = json.loads(client.recv(PATIENCE))
        if kind is None or message["type"] == kind:
            return message


def close_code(client: ClientConnection) -> int | None:
    with pytest.raises(ConnectionClosed) as caught:
        while True:
            client.recv(PATIENCE)
    return caught.value.rcvd.code if caught.value.rcvd is not None else None


def test_a_spoken_turn() -> None:
    with FakeElevenLabsAgent(hears=["Hello there."], answers=["Hello."], beat=None) as server:
        with call(server) as client:
            speak(client, loud(0.3))
            tentative = hear(client)["tentative_user_transcription_event"]
            assert tentative["user_transcript"] == "Hello"
            speak(client, bytes(16000))
            assert hear(client)["user_transcription_event"]["user_transcript"] == "Hello there."
            assert hear(client)["agent_response_event"]["agent_response"] == "Hello. "
            sound = [hear(client)["audio_event"] for _ in range(3)]
        assert b"".join(base64.b64decode(one["audio_base_64"]) for one in sound) == hum("Hello.", SOUND)
        assert server.connection().said == [("user", "Hello there."), ("assistant", "Hello.")]


def test_an_interruption_and_its_correction() -> None:
    with FakeElevenLabsAgent(answers=[LONG], beat=None) as server, call(server) as client:
        say(client, {"type": "user_message", "text": "Go."})
        speak(client, bytes(SOUND.bytes(1.0)))
        speak(client, loud(0.1))
        number = hear(client, "interruption")["interruption_event"]["event_id"]
        assert hear(client)["audio_event"]["event_id"] < number
        corrected = hear(client)["agent_response_correction_event"]
        assert corrected["original_agent_response"] == LONG
        assert corrected["corrected_agent_response"] == "This is a very..."
        assert server.connection().said == [("user", "Go."), ("assistant", "This is a very...")]


def test_an_answer_interrupted_before_its_first_word() -> None:
    with FakeElevenLabsAgent(greeting=LONG, beat=None) as server, call(server) as client:
        speak(client, loud(0.1))
        assert (
            hear(client, "agent_response_correction")["agent_response_correction_event"][
                "corrected_agent_response"
            ]
            == ""
        )
        assert server.connection().said == []


def test_an_answer_interrupted_while_it_is_made() -> None:
    with FakeElevenLabsAgent(greeting=LONG, beat=None, pace=0.1) as server, call(server) as client:
        assert hear(client)["type"] == "agent_response"
        assert hear(client)["type"] == "audio"
        speak(client, loud(0.1))
        speak(client, bytes(16000))
        hear(client, "agent_response_correction")
        assert hear(client)["type"] == "user_transcript"
        assert hear(client)["agent_response_event"]["agent_response"] == "It is time for tea. "
        sound = [hear(client, "audio")["audio_event"]["event_id"] for _ in range(4)]
        assert sound == sorted(sound)


def test_an_answer_without_words() -> None:
    answers = [FakeAnswer(pcm=b"\1\2" * 100)]
    with FakeElevenLabsAgent(answers=answers, beat=None) as server, call(server) as client:
        say(client, {"type": "user_message", "text": "Hum."})
        assert base64.b64decode(hear(client)["audio_event"]["audio_base_64"]) == b"\1\2" * 100


def test_pings_and_notes() -> None:
    with FakeElevenLabsAgent(beat=0.05) as server, call(server) as client:
        for kind in ("user_activity", "feedback"):
            say(client, {"type": kind})
        say(client, {"type": "contextual_update", "text": "It is dark."})
        say(client, {"type": "client_tool_result", "tool_call_id": "never", "result": "x", "is_error": False})
        for _ in range(2):
            number = hear(client, "ping")["ping_event"]["event_id"]
            say(client, {"type": "pong", "event_id": number})
        connection = server.connection()
        connection.wait_for_message({"type": "pong"}, number=2)
        connection.wait_for(lambda one: number in one.pongs)
        assert connection.updates == ["It is dark."]
        assert connection.results == {}


@pytest.mark.parametrize(
    "message", ["no JSON", "[]", "{}", '{"type": "sing"}', b"\1\2", '{"user_audio_chunk": "!"}']
)
def test_nonsense_ends_the_call(message: str | bytes) -> None:
    with FakeElevenLabsAgent(beat=None) as server, call(server, None) as client:
        client.send(message)
        assert hear(client)["error_event"]["error_type"] == "invalid_message"
        assert close_code(client) == 1008


def test_overrides_have_to_be_allowed() -> None:
    override = {"agent": {"language": "de"}}
    with FakeElevenLabsAgent(allows_overrides=False) as server, call(server, None) as client:
        say(client, {**FIRST, "conversation_config_override": override})
        assert hear(client)["error_event"]["error_type"] == "override_error"
        assert close_code(client) == 1008


@pytest.mark.parametrize(("suffix", "status"), [("", 400), ("/more", 404), ("?agent_id=a&token=x", 403)])
def test_refusals(suffix: str, status: int) -> None:
    with FakeElevenLabsAgent(key="right") as server:
        with pytest.raises(InvalidStatus) as caught:
            connect(server.url + suffix)
        assert caught.value.response.status_code == status


def test_signed_addresses_are_for_one_call() -> None:
    with FakeElevenLabsAgent(key="right", beat=None) as server:
        where = f"http{server.url[2:]}/get-signed-url?agent_id=a"
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(where, headers={"xi-api-key": "wrong"}))
        assert refused.value.code == 401
        refused.value.close()
        with urllib.request.urlopen(urllib.request.Request(where, headers={"xi-api-key": "right"})) as answer:
            signed = json.load(answer)["signed_url"]
        with connect(signed):
            assert server.connection().query["agent_id"] == "a"
        with pytest.raises(InvalidStatus):
            connect(signed)


# -- the whole client --------------------------------------------------------------------------------


def agent(server: FakeElevenLabsAgent, **settings: Any) -> ElevenLabsAgent:
    return ElevenLabsAgent("agent-1", url=server.url, **settings)


@pytest.mark.parametrize("formats", [("pcm_16000", "pcm_24000"), ("ulaw_8000", "ulaw_8000")])
def test_a_conversation(formats: tuple[str, str]) -> None:
    up, down = formats
    answers = ["First.", "Second."]
    with FakeElevenLabsAgent(
        hears=["One?", "Two?"], answers=answers, greeting="Hello.", input_format=up, output_format=down
    ) as server:
        sound = AudioFormat(int(down.split("_")[1]))
        spoken = b"".join(hum(text, sound) for text in ("Hello.", *answers))
        if down.startswith("ulaw"):
            spoken = from_mulaw(to_mulaw(spoken))
        with Caller(agent(server, input_format=AudioFormat(int(up.split("_")[1])))) as caller:
            for number in (1, 2):
                caller.speak(0.0, then=0.6)  # what was said before is played meanwhile
                caller.speak(0.3, then=0.6)
                caller.hear(SpeechStopped, number)
                caller.hear(Transcript, number + 1, which=lambda line: line.role == "assistant")
            caller.speaker.wait_for(len(spoken))
            caller.hear(ResponseDone, 3)
        assert caller.speaker.written == spoken
        assert [turn.text for turn in caller.client.history] == [
            "Hello.",
            "One?",
            "First.",
            "Two?",
            "Second.",
        ]
        assert server.connection().wait_until_closed() == 1000
        assert not server.failures


def test_an_interruption() -> None:
    """Late sound is not heard, and what is remembered is what was spoken."""
    with FakeElevenLabsAgent(hears=["Stop."], answers=["Good."], greeting=LONG, beat=None) as server:
        caller = Caller(agent(server))
        caller.speaker.speed = 1.0
        with caller:
            caller.speaker.wait_for(16000)
            caller.speak(0.3, then=0.6)
            heard_ms = caller.hear(Interrupted).heard_ms
            assert heard_ms is not None
            assert heard_ms < SOUND.seconds(hum(LONG, SOUND)) * 1000
            corrected = caller.hear(Transcript, which=lambda line: line.replaces is not None)
            caller.hear(Transcript, which=lambda line: line.text == "Good.")
        assert corrected.replaces == LONG
        assert LONG.startswith(corrected.text.removesuffix("..."))
        expected = [corrected.text, "Stop.", "Good."] if corrected.text else ["Stop.", "Good."]
        assert [turn.text for turn in caller.client.history] == expected
        assert server.connection().said == [(turn.role, turn.text) for turn in caller.client.history]


def test_writing_and_a_function() -> None:
    def get_time(zone: str) -> str:
        """Tell the time."""
        return f"12:00 {zone}"

    answers = [FakeAnswer("It is noon.", call=("get_time", {"zone": "UTC"}))]
    with FakeElevenLabsAgent(answers=answers) as server:
        with Caller(agent(server, text_only=True), tools=[get_time]) as caller:
            caller.client.send_text("What time is it?")
            caller.hear(ResponseDone)
            caller.client.send_text("Really?")
            caller.hear(ResponseDone, 2)
        assert list(server.connection().results.values()) == ["12:00 UTC"] * 2
        assert not caller.heard(Token)
        assert caller.speaker.written == b""
        assert not any("user_audio_chunk" in message for message in server.connection().received_json)


def test_a_lost_call_goes_on() -> None:
    with FakeElevenLabsAgent(hears=["Who am I?"], answers=["Ada."], greeting="Hello Ada.") as server:
        with Caller(agent(server, first_message="Hi Ada.")) as caller:
            caller.hear(Transcript)
            server.connection(1).drop()
            caller.hear(Reconnecting)
            again = server.connection(2)
            again.wait_for_message({"type": "contextual_update"})
            caller.speak(0.3, then=0.6)
            caller.hear(Transcript, which=lambda line: line.text == "Ada.")
        [update] = again.updates
        assert "assistant: Hi Ada." in update
        assert caller.client.history.turns == (
            Turn("assistant", "Hi Ada."),
            Turn("user", "Who am I?"),
            Turn("assistant", "Ada."),
        )


def test_a_private_agent() -> None:
    with FakeElevenLabsAgent(key="right", beat=None) as server:
        with Caller(agent(server, private=True, key="right")) as caller:
            server.connection(1).drop()
            server.connection(2).wait_for_message(FIRST)
            caller.hear(Reconnecting)
        voice = VoiceClient(
            agent(server, private=True, key="wrong"), microphone=SilenceSource(), speaker=NullSink()
        )
        with pytest.raises(HandshakeRejected) as caught:
            voice.open()
        assert caught.value.status == 401


def test_errors_and_the_agents_goodbye() -> None:
    with FakeElevenLabsAgent(beat=None) as server, Caller(agent(server)) as caller:
        server.connection().fail("The model is slow.", error_type="llm_timeout")
        assert caller.hear(ServerError).code == "llm_timeout"
        server.connection().hang_up()
        caller.hear(StateChanged, which=lambda change: change.new is State.CLOSED)
        assert not caller.heard(Reconnecting)


def test_what_is_refused_ends_the_run() -> None:
    with FakeElevenLabsAgent(allows_overrides=False) as server:
        voice = VoiceClient(agent(server, language="de"), microphone=SilenceSource(), speaker=NullSink())
        with pytest.raises(ServiceError) as caught:
            voice.open()
        assert caught.value.code == "override_error"
    with FakeElevenLabsAgent(beat=None) as server, Caller(agent(server)) as caller:
        caller.client.send(SendMessage({"type": "sing"}))
        caller.hear(StateChanged, which=lambda change: change.new is State.FAILED)
