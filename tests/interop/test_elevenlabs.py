"""ElevenLabs' own client, model and types: the fake satisfies them, and so does all that we say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.interop.venvs import run
from tests.testing.caller import LONG, Caller
from voicews import AudioFormat, Interrupted, Reconnecting, ServerError, Transcript
from voicews.commands import SendMessage
from voicews.dialects import ElevenLabsAgent
from voicews.history import History
from voicews.testing import FakeAnswer, FakeElevenLabsAgent
from voicews.testing.speech import hum

NOON = FakeAnswer("It is noon.", call=("get_time", {"zone": "UTC"}))
SOUND = AudioFormat(16000)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1000)]


def kinds(messages: list[Any]) -> set[str]:
    return {message.get("type", "user_audio_chunk") for message in messages}


def get_time(zone: str) -> str:
    """Tell the time."""
    return f"12:00 {zone}"


def test_a_call_by_their_client(said_by_fakes: list[Any]) -> None:
    with FakeElevenLabsAgent(
        hears=["What time is it?"],
        answers=[NOON, "You are welcome."],
        greeting=LONG,
        key="right",
        beat=0.2,
    ) as server:
        # What is late after the interruption must not be among it.
        sound = len(hum(LONG, SOUND) + hum("It is noon.You are welcome.", SOUND))
        told = run("elevenlabs", "elevenlabs_agent", f"http{server.address[2:]}", str(sound), LONG)
        assert not server.failures
        connection = server.connection()
        assert list(connection.results.values()) == ["12:00 UTC"]
        assert connection.updates == ["It is dark."]
        assert connection.pongs
    lines = [line for line in told["heard"] if line[0] != "latency"]
    corrected = "This is a very..."
    assert lines == [
        ["started"],
        ["agent", LONG],
        ["interrupted"],
        ["corrected", LONG, corrected],
        ["user", "What time is it?"],
        ["agent", "It is noon."],
        ["agent", "You are welcome."],
        ["stopped"],
        ["over", "user"],
    ]
    assert told["sound"] == sound
    assert told["id"] == "conversation-1"
    assert {"interruption", "agent_response_correction", "client_tool_call"} <= kinds(said_by_fakes)


def our_call(said_by_fakes: list[Any]) -> list[Any]:
    """All kinds of messages, in a call of our client: ours are returned."""
    with FakeElevenLabsAgent(
        hears=["Stop.", "What time is it?"], answers=["Good.", NOON], greeting=LONG, beat=0.2
    ) as server:
        dialect = ElevenLabsAgent(
            "agent-1",
            url=server.url,
            instructions="Be brief.",
            first_message=LONG,
            language="en",
            voice="v1",
            variables={"name": "Ada"},
            user_id="u1",
        )
        caller = Caller(dialect, tools=[get_time])
        caller.speaker.speed = 1.0
        with caller:
            caller.speaker.wait_for(16000)
            caller.speak(0.3, then=0.6)
            caller.hear(Interrupted)
            caller.hear(Transcript, which=lambda line: line.text == "Good.")
            server.connection(1).fail("The model is slow.", error_type="llm_timeout")
            caller.hear(ServerError)
            server.connection(1).drop()
            caller.hear(Reconnecting)
            again = server.connection(2)
            again.wait_for_message({"type": "contextual_update"})
            caller.client.send_text("What time is it?")
            caller.hear(Transcript, which=lambda line: line.text == "It is noon.")
            caller.client.send(SendMessage({"type": "user_activity"}))
            again.wait_for_message({"type": "user_activity"})
            again.wait_for_message({"type": "pong"})
        ours = [message for one in server.connections for message in one.received_json]
    assert kinds(ours) == {
        "conversation_initiation_client_data",
        "user_audio_chunk",
        "pong",
        "contextual_update",
        "user_message",
        "client_tool_result",
        "user_activity",
    }
    assert kinds(said_by_fakes) == {
        "conversation_initiation_metadata",
        "ping",
        "audio",
        "agent_response",
        "agent_response_correction",
        "interruption",
        "tentative_user_transcript",
        "user_transcript",
        "client_tool_call",
        "error",
    }
    return ours


def first_messages() -> list[Any]:
    everything = ElevenLabsAgent("a", text_only=True, first_message="", language="de", voice="v")
    return [
        json.loads(message)
        for dialect in (everything, ElevenLabsAgent("a"))
        for message in dialect.begin(None, History()).messages_to_send()
    ]


def test_first_messages_have_the_vendors_model() -> None:
    good = first_messages()
    assert run("elevenlabs", "elevenlabs_models", said=good) == []
    [override] = [message["conversation_config_override"] for message in good[:1]]
    bad = [
        {**good[1], "user_id": 7},
        {**good[1], "conversation_config_override": {**override, "voice": "v"}},
    ]
    assert len(run("elevenlabs", "elevenlabs_models", said=bad)) == 2


def complaints(ours: list[Any], theirs: list[Any]) -> list[str]:
    """Those of TypeScript's compiler: its types are all that ElevenLabs publishes of most messages."""
    said = {"ours": ours, "theirs": theirs}
    found: list[str] = run("elevenlabs", "elevenlabs_types", said=said)
    return found


def test_all_messages_have_the_vendors_types(said_by_fakes: list[Any]) -> None:
    ours = our_call(said_by_fakes)
    different = {json.dumps(message): message for message in [*ours, *first_messages()]}
    assert complaints(list(different.values()), said_by_fakes) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "ping", "ping_event": {"event_id": "7"}},
        {"type": "error", "error_event": {"code": 1008, "error_type": "no_such_thing"}},
        {"type": "interruption", "interruption_event": {"event_id": 7, "more": 1}},
        {"type": "sing"},
    ],
    ids=lambda message: message["type"],
)
def test_the_types_are_strict(wrong: Any) -> None:
    [found, *_] = complaints([], [wrong])
    assert "error TS" in found
