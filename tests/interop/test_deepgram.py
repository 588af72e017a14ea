"""Deepgram's own client and models: the fakes satisfy them, and so does all that we say."""

from __future__ import annotations

import json
import struct
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.fakes import HandMicrophone
from tests.interop.venvs import run
from tests.testing.caller import Caller
from voicews import (
    AudioFormat,
    Backoff,
    ClientConfig,
    History,
    ResponseDone,
    ServerError,
    Transcript,
    Turn,
    VoiceClient,
)
from voicews.audio import NullSink
from voicews.commands import EndTurn, SendMessage
from voicews.dialects import DeepgramAgent, DeepgramListen
from voicews.testing import FakeAnswer, FakeDeepgramAgent, FakeDeepgramListen
from voicews.testing.speech import hum

LOUD = struct.pack("<h", 4000) * 320
QUICK = ClientConfig(backoff=Backoff(initial=0.01, jitter=0.0))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1000)]


def check(**messages: list[Any]) -> None:
    """Every message is valid by Deepgram's models, and none of its fields is unknown to them."""
    assert all(messages.values())
    assert run("deepgram", "deepgram_models", said=messages)["complaints"] == []


def kinds(messages: list[Any]) -> set[str]:
    return {message["type"] for message in messages}


def test_transcription_by_our_client(said_by_fakes: list[Any]) -> None:
    microphone = HandMicrophone([LOUD] * 30 + [bytes(640)] * 80)
    with FakeDeepgramListen(hears=["Turn on the light.", "Thank you."]) as server:
        dialect = DeepgramListen(key="right", url=server.url)
        voice = VoiceClient(dialect, microphone=microphone, speaker=NullSink(), config=QUICK)
        with voice:
            voice.send(SendMessage({"type": "Configure", "keyterms": ["voicews"]}))
            voice.wait_for(Transcript, timeout=10)
            server.connection().wait_for(lambda one: len(one.received_binary) > 640 * 110, what="sound")
            server.connection().drop()
            again = server.connection(2)
            errors = voice.events(ServerError)
            voice.send(SendMessage({"type": "Nonsense"}))
            assert next(iter(errors)).code == "SchemaError"
        assert voice.history.turns[0].text == "Turn on the light."
        ours = [message for one in server.connections for message in one.received_json]
    session = dialect.begin(None, History())
    session.tick(0.0)
    session.tick(3.0)
    assert again.wait_until_closed() == 1000
    check(
        listen=[
            *(message for message in ours if message["type"] != "Nonsense"),
            *said_by_fakes,
            {"type": "KeepAlive"},
            {"type": "Finalize"},
        ]
    )
    assert session.messages_to_send() == ['{"type":"KeepAlive"}']
    assert {"Results", "SpeechStarted", "UtteranceEnd", "Metadata", "Error"} <= kinds(said_by_fakes)
    assert kinds(ours) >= {"Configure", "CloseStream"}


def test_transcription_by_their_client(said_by_fakes: list[Any]) -> None:
    with FakeDeepgramListen(hears=["Turn on the light.", "Thank you.", "Goodbye."], key="right") as server:
        heard = run("deepgram", "deepgram_listen", server.address)
        assert not server.failures
    finals = [words for kind, words, final in heard if final and words]
    assert finals == ["Turn on the light.", "Thank you.", "Goodbye."]
    assert [kind for kind, _, _ in heard if kind == "ListenV1ConfigureSuccess"]
    assert {kind.removeprefix("ListenV1") for kind, _, _ in heard} == kinds(said_by_fakes)
    check(listen=said_by_fakes)


def get_time(zone: str = "UTC") -> str:
    """Tell the time.

    Args:
        zone: where.
    """
    return f"12:00 {zone}"


NOON = FakeAnswer("It is noon.", call=("get_time", {"zone": "UTC"}))


def test_an_agent_by_our_client(said_by_fakes: list[Any]) -> None:
    with FakeDeepgramAgent(hears=["What time is it?"], answers=[NOON, "Bye."], key="right") as server:
        dialect = DeepgramAgent(
            "gpt-4o-mini",
            instructions="Be brief.",
            greeting="Hello.",
            language="en",
            key="right",
            url=server.url,
            options={"tags": ["voicews"], "experimental": True},
        )
        with Caller(dialect, tools=[get_time]) as caller:
            caller.hear(ResponseDone)
            caller.speak(0.3, then=0.6)
            caller.hear(ResponseDone, 2)
            server.connection(1).drop()
            again = server.connection(2)
            again.wait_for_message({"type": "Settings"})
            caller.client.send_text("Goodbye.")
            caller.hear(ResponseDone, 3)
            caller.client.send(EndTurn())
            again.wait_for_message({"type": "ForceEndTurn"})
            again.cancel_calls()
            again.warn("The prompt is long.", "PROMPT_TOO_LONG")
            caller.hear(ServerError)
        assert again.said[0] == ("assistant", "Hello.")
        ours = [message for one in server.connections for message in one.received_json]
    assert kinds(ours) == {"Settings", "FunctionCallResponse", "InjectUserMessage", "ForceEndTurn"}
    assert {"Welcome", "ConversationText", "FunctionCallRequest", "FunctionCallCancelled"} <= kinds(
        said_by_fakes
    )
    check(agent=[*ours, *said_by_fakes, {"type": "KeepAlive"}])


@pytest.mark.parametrize("listen", ["flux-general-multi", {"type": "deepgram", "model": "nova-2"}])
def test_settings_of_an_agent(listen: Any) -> None:
    """Other shapes of them: ears of another kind, no greeting, a brain at an address of its own."""
    dialect = DeepgramAgent(
        {"type": "open_ai", "model": "x", "temperature": 1},
        listen=listen,
        language="de",
        url="ws://localhost/",
        options={"agent": {"think": {"endpoint": {"url": "https://llm.example/", "headers": {"a": "b"}}}}},
    )
    stored = DeepgramAgent(agent="id-1", url="ws://localhost/")
    said = []
    for one in (dialect, stored):
        session = one.begin(None, History(turns=(Turn("user", "a"),)))
        session.receive('{"type":"Welcome","request_id":"r"}')
        said += [json.loads(message) for message in session.messages_to_send()]
    check(agent=said)


def test_an_agent_by_their_client(said_by_fakes: list[Any]) -> None:
    answers: list[FakeAnswer | str] = [NOON, "You are welcome.", "Bye."]
    with FakeDeepgramAgent(hears=["What time is it?", "Goodbye."], answers=answers, key="right") as server:
        told = run("deepgram", "deepgram_agent", server.address)
        assert not server.failures
        assert server.connection().results == {"call-1-1": "12:00"}
    lines = [text for kind, text in told["heard"] if kind == "AgentV1ConversationText"]
    assert lines == [
        "Hello.",
        "What time is it?",
        "It is noon.",
        "Thanks.",
        "You are welcome.",
        "Goodbye.",
        "Bye.",
    ]
    assert told["sound"] == len(hum("Hello.It is noon.You are welcome.Bye.", AudioFormat(24000)))
    assert {kind.removeprefix("AgentV1") for kind, _ in told["heard"]} == kinds(said_by_fakes)
    check(agent=said_by_fakes)


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "Results", "channel_index": [0, 1], "start": 0.0},
        {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": "late"},
        {"type": "Metadata"},
        {"type": "Singing"},
    ],
    ids=lambda message: message["type"],
)
def test_the_models_are_strict(wrong: Any) -> None:
    assert len(run("deepgram", "deepgram_models", said={"listen": [wrong]})["complaints"]) == 1


def test_all_parameters_of_the_address_are_known() -> None:
    dialect = DeepgramListen(
        key="", url="ws://localhost/", language="de", endpointing=300, keyterms=["voicews"]
    )
    names = {pair.split("=")[0] for pair in urlsplit(dialect.request().url).query.split("&")}
    assert names <= set(run("deepgram", "deepgram_models", said={})["parameters"])
