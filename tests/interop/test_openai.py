"""OpenAI's own client and models: the fake satisfies them, and so does all that we say."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest

from tests.interop.venvs import ROOT, run
from tests.testing.caller import LONG
from tests.testing.test_openai_realtime import FORMAT, Room
from voicews import Connected, Interrupted, ResponseDone, SpeechStarted
from voicews.dialects import OpenAIRealtime
from voicews.testing import FakeAnswer, FakeOpenAIRealtime

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1000)]

NAMED_IN_SESSIONS = {
    f"server session.{word}: unknown session.{word}.session.{name}"
    for word in ("created", "updated")
    for name in ("id", "object")
}
"""Fields that the service's answers have (they are in the model of the HTTP call that makes a session)
and the models of these two events lack."""


def said_on_both_sides(server: FakeOpenAIRealtime) -> dict[str, list[Any]]:
    assert server.failures == ()
    return {
        "client": [message for one in server.connections for message in one.received_json],
        "server": [json.loads(message) for one in server.connections for message in one.sent],
    }


def complaints(said: dict[str, list[Any]], version: str = "ga") -> set[str]:
    found = run("openai", "openai_models", said={**said, "beta": version == "beta"})["complaints"]
    return set(found) - NAMED_IN_SESSIONS


def kinds(messages: list[Any]) -> set[str]:
    return {message["type"] for message in messages}


def light(on: bool) -> bool:
    """Switch the light."""
    return on


def converse(version: Literal["ga", "beta"]) -> dict[str, list[Any]]:
    """A spoken turn, a call, an interruption, a drop, an interruption by hand: nearly all we can say."""
    answers: list[FakeAnswer | str] = [
        FakeAnswer("It is on.", call=("light", {"on": True})),
        LONG,
        "word " * 200,
        "Yes?",
    ]
    with FakeOpenAIRealtime(hears=["Light on."], answers=answers, version=version) as server:
        dialect = OpenAIRealtime(
            "any",
            url=server.url,
            version=version,
            instructions="Be brief.",
            voice="alloy",
            speed=1.1,
            noise_reduction="near_field",
            transcription={"model": "any", "language": "en"},
            turn_detection={"type": "server_vad", "silence_duration_ms": 100},
            session_length=None,
        )
        here = Room(dialect, tools=[light])
        with here.client:
            here.ears.wait(Connected)
            here.say()
            here.ears.wait(ResponseDone, 2)
            here.client.send_text("Tell me a story.")
            here.ears.wait(ResponseDone, 3)
            here.speaker.wait_for(FORMAT.bytes(1.0))
            here.say()
            here.ears.wait(Interrupted)
            server.connection().wait_for_message({"type": "conversation.item.truncate"})
            here.ears.wait(SpeechStarted, 2)
            server.drop()
            here.ears.wait(Connected, 2)
            server.pace = 0.05
            here.client.send_text("Talk.")
            here.speaker.wait_for(len(here.speaker.written) + FORMAT.bytes(0.1))
            here.client.interrupt()
            server.connection(2).wait_for_message({"type": "response.cancel"})
        return said_on_both_sides(server)


def push_to_talk(version: Literal["ga", "beta"]) -> dict[str, list[Any]]:
    with FakeOpenAIRealtime(version=version) as server:
        dialect = OpenAIRealtime(
            "any", url=server.url, version=version, turn_detection=None, transcription="any", output="text"
        )
        here = Room(dialect)
        with here.client:
            here.ears.wait(Connected)
            here.client.start_talking()
            here.say()
            server.connection().wait_for_message({"type": "input_audio_buffer.append"}, number=20)
            here.client.stop_talking()
            here.ears.wait(ResponseDone)
        return said_on_both_sides(server)


@pytest.mark.parametrize("version", ["ga", "beta"])
def test_all_that_is_said_is_valid(version: Literal["ga", "beta"]) -> None:
    one, other = converse(version), push_to_talk(version)
    said = {side: one[side] + other[side] for side in one}
    assert complaints(said, version) == set()
    assert kinds(said["client"]) == {
        "session.update",
        "input_audio_buffer.append",
        "input_audio_buffer.clear",
        "input_audio_buffer.commit",
        "conversation.item.create",
        "conversation.item.truncate",
        "response.cancel",
        "response.create",
    }
    older = {"response.audio.delta", "response.text.done", "conversation.item.created"}
    newer = {"response.output_audio.delta", "response.output_text.done", "conversation.item.added"}
    assert kinds(said["server"]) >= (newer if version == "ga" else older)


def test_a_session_that_only_transcribes() -> None:
    with FakeOpenAIRealtime() as server:
        dialect = OpenAIRealtime(
            url=server.url,
            session_type="transcription",
            transcription="gpt-live-transcribe",
            turn_detection={"type": "server_vad", "silence_duration_ms": 100},
        )
        here = Room(dialect)
        with here.client:
            here.say()
            here.ears.wait(SpeechStarted)
        assert here.ears.lines == [("user", "What time is it?")]
        assert server.connection().query == {"intent": "transcription"}
        said = said_on_both_sides(server)
    assert complaints(said) == set()


def test_a_conversation_with_their_client() -> None:
    answers: list[FakeAnswer | str] = ["Hello yourself.", FakeAnswer("Done.", call=("light", {"on": True}))]
    with FakeOpenAIRealtime(key="right", hears=["Hello."], answers=answers) as server:
        understood = run("openai", "openai_realtime", server.address)
        said = said_on_both_sides(server)
    assert understood["facts"] == {
        "instructions": "Be brief.",
        "seconds": 0.75,
        "heard": ["Hello."],
        "said": ["Hello yourself."],
        "truncated": 100,
        "call": ["light", {"on": True}],
        "call in the summary": "function_call",
        "then said": ["Done."],
        "error": "response_cancel_not_active",
    }
    turn = understood["steps"]["spoken turn"]
    assert turn[:3] == [
        "InputAudioBufferSpeechStartedEvent",
        "InputAudioBufferSpeechStoppedEvent",
        "InputAudioBufferCommittedEvent",
    ]
    assert turn.count("ResponseAudioDeltaEvent") == 8
    assert turn[-1] == "ResponseDoneEvent"
    assert not any(name == "BaseModel" for step in understood["steps"].values() for name in step)
    assert complaints(said) == set()


def test_the_fake_lives_with_the_websockets_that_vendors_pin() -> None:
    told = run("openai", "fake_among_vendors", str(ROOT))
    assert told == {"websockets": "15.0.1", "said": ["Hello yourself."], "code": 1000, "threads": []}


@pytest.mark.parametrize(
    ("side", "wrong"),
    [
        ("client", {"type": "conversation.item.truncate", "item_id": "i", "audio_end_ms": 1}),
        ("client", {"type": "input_audio_buffer.append", "audio": 7}),
        ("client", {"type": "response.cancel", "odd": 1}),
        ("server", {"type": "response.created", "response": {}}),
        ("server", {"type": "singing", "event_id": "e"}),
    ],
    ids=lambda value: value if isinstance(value, str) else value["type"],
)
def test_the_models_are_strict(side: str, wrong: Any) -> None:
    assert complaints({side: [wrong]})
