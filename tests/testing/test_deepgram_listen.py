"""The fake transcription service, and the whole client with it."""

from __future__ import annotations

import json
import queue
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.fakes import HandMicrophone
from tests.patience import PATIENCE
from voicews import Backoff, ClientConfig, HandshakeRejected, ServiceError, Transcript, VoiceClient
from voicews.audio import NullSink
from voicews.dialects import DeepgramListen
from voicews.testing import FakeDeepgramListen

LOUD = struct.pack("<h", 4000) * 320
QUIET = bytes(640)
SETTINGS = "?model=nova-3&encoding=linear16&sample_rate=16000"
EAGER = f"{SETTINGS}&interim_results=true&vad_events=true&utterance_end_ms=1000"
QUICK = ClientConfig(backoff=Backoff(initial=0.01, jitter=0.0))


@contextmanager
def call(server: FakeDeepgramListen, query: str = SETTINGS, **headers: str) -> Iterator[ClientConnection]:
    with connect(server.url + query, additional_headers=headers, close_timeout=1) as client:
        yield client


def speak(client: ClientConnection, seconds: float, pcm: bytes = LOUD) -> None:
    for _ in range(round(seconds * 50)):
        client.send(pcm)


def say(client: ClientConnection, kind: str, **more: Any) -> None:
    client.send(json.dumps({"type": kind, **more}))


def hear(client: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(client.recv(PATIENCE))
    return message


def words(results: dict[str, Any]) -> str:
    return str(results["channel"]["alternatives"][0]["transcript"])


def test_an_utterance() -> None:
    with FakeDeepgramListen(hears=["Turn on the light."]) as server, call(server, EAGER) as client:
        speak(client, 0.2, QUIET)
        speak(client, 0.6)
        assert hear(client) == {"type": "SpeechStarted", "channel": [0, 1], "timestamp": 0.2}
        assert [(words(r), r["is_final"]) for r in (hear(client), hear(client))] == [
            ("Turn", False),
            ("Turn on", False),
        ]
        speak(client, 1.0, QUIET)
        final = hear(client)
        assert (words(final), final["is_final"], final["speech_final"]) == ("Turn on the light.", True, True)
        assert (final["start"], final["duration"]) == (0.0, pytest.approx(1.1))
        [first, *_, last] = final["channel"]["alternatives"][0]["words"]
        assert (first["word"], first["start"]) == ("turn", 0.2)
        assert (last["punctuated_word"], last["end"]) == ("light.", pytest.approx(0.8))
        assert hear(client) == {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": 0.8}
        assert server.connection().seconds == pytest.approx(1.8)


def test_silence_is_reported() -> None:
    with FakeDeepgramListen() as server, call(server) as client:
        speak(client, 3.0, QUIET)
        silence = hear(client)
        assert (words(silence), silence["is_final"], silence["speech_final"]) == ("", True, False)


def test_the_end_of_a_turn_by_hand() -> None:
    query = f"{SETTINGS}&endpointing=false"
    with FakeDeepgramListen(hears=["Hello."]) as server, call(server, query) as client:
        say(client, "Finalize")
        speak(client, 0.5)
        speak(client, 1.0, QUIET)
        say(client, "Finalize")
        final = hear(client)
        assert (words(final), final["from_finalize"], final["speech_final"]) == ("Hello.", True, False)


def test_the_end_of_the_stream() -> None:
    with FakeDeepgramListen(hears=["Hello."]) as server, call(server) as client:
        speak(client, 0.5)
        say(client, "CloseStream")
        assert words(hear(client)) == "Hello."
        assert hear(client)["duration"] == 0.5
        with pytest.raises(ConnectionClosed) as caught:
            client.recv(PATIENCE)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1000


@pytest.mark.parametrize("message", ["no JSON", "[]", '{"type": "Sing"}', "{}"])
def test_nonsense_is_an_error_that_ends_nothing(message: str) -> None:
    with FakeDeepgramListen() as server, call(server) as client:
        client.send(message)
        error = hear(client)
        assert (error["type"], error["variant"], error["message"]) == ("Error", "SchemaError", message)
        say(client, "KeepAlive")
        server.connection().fail("Sorry", "I am tired.")
        assert hear(client) == {"type": "Error", "variant": "Sorry", "description": "I am tired."}


def test_new_keyterms() -> None:
    with FakeDeepgramListen() as server, call(server) as client:
        say(client, "Configure", keyterms=["voicews"])
        assert hear(client) == {
            "type": "ConfigureSuccess",
            "request_id": "request-1",
            "keyterms": ["voicews"],
        }
        say(client, "Configure", features={"numerals": True})
        assert hear(client) == {"type": "ConfigureSuccess", "request_id": "request-1"}
    with FakeDeepgramListen() as server, call(server, SETTINGS.replace("nova-3", "nova-2")) as client:
        say(client, "Configure", keyterms=["voicews"])
        assert hear(client)["code"] == "CONFIGURE_KEYTERMS_NOT_SUPPORTED"


def test_whoever_says_nothing_is_hung_up_on() -> None:
    with FakeDeepgramListen(patience=0.3) as server, call(server) as client:
        say(client, "KeepAlive")
        with pytest.raises(ConnectionClosed) as caught:
            client.recv(PATIENCE)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1011
        assert "NET-0001" in caught.value.rcvd.reason


@pytest.mark.parametrize(
    ("query", "key", "status"),
    [
        ("", "Token right", 400),
        (SETTINGS.replace("linear16", "opus"), "Token right", 400),
        (f"{SETTINGS}k", "Bearer right", 400),
        (SETTINGS, "Token wrong", 401),
        (f"/more{SETTINGS}", "Token right", 404),
    ],
)
def test_refusals(query: str, key: str, status: int) -> None:
    with FakeDeepgramListen(key="right") as server:
        with pytest.raises(InvalidStatus) as caught, call(server, query, Authorization=key):
            pytest.fail("it was let in")
        assert caught.value.response.status_code == status


# -- the whole client --------------------------------------------------------------------------------


class Reader:
    """All transcripts of a client, from the first on."""

    def __init__(self, voice: VoiceClient) -> None:
        self._lines: queue.Queue[Transcript] = queue.Queue(1000)
        voice.on(Transcript, self._lines.put_nowait)

    def until_final(self) -> list[Transcript]:
        lines = [self._lines.get(timeout=PATIENCE)]
        while not lines[-1].final:
            lines.append(self._lines.get(timeout=PATIENCE))
        return lines


def client(server: FakeDeepgramListen, microphone: HandMicrophone, **settings: Any) -> VoiceClient:
    dialect = DeepgramListen(url=server.url, **settings)
    return VoiceClient(dialect, microphone=microphone, speaker=NullSink(), config=QUICK)


def test_a_client_is_understood() -> None:
    with FakeDeepgramListen(hears=["Turn on the light.", "Thank you."]) as server:
        voice = client(server, HandMicrophone([LOUD] * 50))
        reader = Reader(voice)
        with voice:
            lines = reader.until_final()
        assert [line.text for line in lines] == [
            "Turn",
            "Turn on",
            "Turn on the",
            "Turn on the light.",
            "Turn on the light.",
        ]
        assert [word.text for word in lines[-1].words] == ["Turn", "on", "the", "light."]
        assert [turn.text for turn in voice.history] == ["Turn on the light."]
        connection = server.connection()
        assert connection.wait_for_message({"type": "CloseStream"})
        assert connection.wait_until_closed() == 1000


def test_the_last_words_are_told_when_the_client_closes() -> None:
    with FakeDeepgramListen(hears=["Turn on the light."]) as server:
        voice = client(server, HandMicrophone([LOUD] * 30), endpointing=False)
        with voice:
            server.connection().wait_for(lambda one: len(one.received_binary) > 640 * 35, what="sound")
        assert [turn.text for turn in voice.history] == ["Turn on the light."]


def test_words_survive_a_lost_connection() -> None:
    """What was said, but not yet understood, is said again; its time goes on."""
    with FakeDeepgramListen(hears=["Turn on", "Turn on the light."]) as server:
        voice = client(server, HandMicrophone([LOUD] * 40))
        reader = Reader(voice)
        with voice:
            server.connection(1).wait_for(lambda one: len(one.received_binary) >= 6400, what="sound")
            server.connection(1).drop()
            final = reader.until_final()[-1]
        assert final.text == "Turn on the light."
        assert final.words[0].start < 0.05
        assert server.connection(2).received_binary.count(LOUD) == 40


def test_push_to_talk() -> None:
    microphone = HandMicrophone()
    with FakeDeepgramListen(hears=["Hello."]) as server:
        dialect = DeepgramListen(url=server.url, endpointing=False, utterance_end=None)
        config = ClientConfig(push_to_talk=True)
        voice = VoiceClient(dialect, microphone=microphone, speaker=NullSink(), config=config)
        reader = Reader(voice)
        with voice:
            voice.start_talking()
            microphone.frames.extend([LOUD] * 20)
            server.connection().wait_for(lambda one: one.received_binary.count(LOUD) >= 20, what="speech")
            voice.stop_talking()
            assert reader.until_final()[-1].text == "Hello."
        assert server.connection().wait_for_message({"type": "Finalize"})


def test_a_wrong_key_ends_the_run() -> None:
    with FakeDeepgramListen(key="right") as server:
        voice = client(server, HandMicrophone(), key="wrong")
        with pytest.raises(HandshakeRejected) as caught:
            voice.open()
        assert caught.value.status == 401


def talked(server: FakeDeepgramListen, **settings: Any) -> tuple[VoiceClient, list[str]]:
    """A turn of push to talk, until the server has made a final transcript of it; and what was heard."""
    microphone = HandMicrophone()
    dialect = DeepgramListen(url=server.url, **settings)
    config = ClientConfig(push_to_talk=True, backoff=Backoff(initial=0.01))
    voice = VoiceClient(dialect, microphone=microphone, speaker=NullSink(), config=config)
    reader = Reader(voice)
    with voice:
        voice.start_talking()
        microphone.frames.extend([LOUD] * 20)
        server.connection().wait_for(lambda one: one.received_binary.count(LOUD) >= 20, what="speech")
        voice.stop_talking()
        return voice, [line.text for line in reader.until_final()]


def test_push_to_talk_with_a_server_that_does_not_know_finalize() -> None:
    with FakeDeepgramListen(hears=["Hello."], finalizes=False) as server:
        voice, lines = talked(server, finalize=False)
        assert lines[-1] == "Hello."
        assert voice.error is None
        assert server.connection().wait_for_message({"type": "CloseStream"})


def test_the_words_are_not_lost_where_finalize_is_refused() -> None:
    with FakeDeepgramListen(hears=["Hello."], finalizes=False) as server:
        voice, lines = talked(server)
        assert lines[-1] == "Hello."
        assert [turn.text for turn in voice.history] == ["Hello."]
        assert isinstance(voice.error, ServiceError)
        assert "finalize=False" in str(voice.error)
