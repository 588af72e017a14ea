"""The fake WhisperLive server, and the whole client on it."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.patience import PATIENCE
from tests.testing.caller import Caller, loud
from voicews import Connected, HandshakeRejected, ServiceError, Transcript
from voicews.config import AudioFormat
from voicews.dialects import WhisperLive
from voicews.testing import FakeWhisperLive

SETUP = {"uid": "u", "language": "en", "task": "transcribe", "model": "tiny.en", "audio_format": "int16"}


def hear(client: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(client.recv(PATIENCE))
    return message


def begin(client: ClientConnection, **settings: Any) -> None:
    client.send(json.dumps({**SETUP, **settings}))
    assert hear(client) == {"uid": "u", "message": "SERVER_READY", "backend": "faster_whisper"}


def segments(client: ClientConnection) -> list[tuple[str, bool]]:
    return [(one["text"], one["completed"]) for one in hear(client)["segments"]]


def test_what_is_not_finished_is_told_again_and_again() -> None:
    with FakeWhisperLive(hears=["One two.", "Three."], pace=0.02) as server, connect(server.url) as client:
        begin(client, same_output_threshold=2, word_timestamps=True)
        client.send(loud(0.9))
        client.send(bytes(9600))
        assert [segments(client) for _ in range(3)] == [[(" One two.", False)]] * 3
        finished = hear(client)["segments"]
        assert finished[0] == {
            "start": "0.000",
            "end": "0.900",
            "text": " One two.",
            "completed": True,
            "words": [
                {"word": " One", "start": "0.000", "end": "0.300", "probability": 0.9},
                {"word": " two.", "start": "0.300", "end": "0.600", "probability": 0.9},
            ],
        }
        client.send(loud(0.1))
        client.send(bytes(32000))
        assert segments(client) == [(" One two.", True), (" Three.", False)]


def test_new_speech_finishes_what_was_said_before() -> None:
    with FakeWhisperLive(hears=["One.", "Two."], pace=0.02) as server, connect(server.url) as client:
        begin(client, send_last_n_segments=1)
        client.send(loud(0.5) + bytes(12800) + loud(0.7))
        assert segments(client) == [(" One.", True), (" Two.", False)]


def test_languages_are_found_out() -> None:
    with FakeWhisperLive(pace=0.02) as server, connect(server.url) as client:
        begin(client, language=None, audio_format="float32")
        client.send(struct.pack("<16000f", *([0.5] * 16000)))
        assert hear(client) == {"uid": "u", "language": "en", "language_prob": 0.97}
        assert segments(client) == [(" Turn on the light.", False)]


def test_it_hangs_up_without_its_last_words() -> None:
    with FakeWhisperLive(pace=5.0) as server, connect(server.url) as client:
        begin(client)
        client.send(loud(2.0))
        client.send(b"END_OF_AUDIO")
        with pytest.raises(ConnectionClosed):
            client.recv(PATIENCE)
        assert server.connection().wait_until_closed() == 1000


@pytest.mark.parametrize("wrong", ["no JSON", "7", '{"uid": "u"}'])
def test_settings_that_lack_end_the_connection(wrong: str) -> None:
    with FakeWhisperLive() as server, connect(server.url) as client:
        client.send(wrong)
        assert server.connection().wait_until_closed() == 1000


def test_reasons_to_send_a_client_away() -> None:
    for settings, status in (({"full": 9.9}, "WAIT"), ({"failure": "no such model"}, "ERROR")):
        with FakeWhisperLive(**settings) as server, connect(server.url) as client:
            client.send(json.dumps(SETUP))
            assert hear(client)["status"] == status
            assert server.connection().wait_until_closed() == 1000
    with FakeWhisperLive(lifetime=0.0) as server, connect(server.url) as client:
        begin(client)
        client.send(bytes(640))
        assert hear(client)["message"] == "DISCONNECT"


def test_keys() -> None:
    with FakeWhisperLive(key="right") as server:
        for url, headers in ((server.url, {}), (f"{server.url}?token=wrong", {"Authorization": "Bearer no"})):
            with pytest.raises(InvalidStatus, match="401"):
                connect(url, additional_headers=headers)
        with connect(f"{server.url}?token=right") as client:
            begin(client)


# -- the whole client ------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["float32", "int16"])
def test_a_conversation(encoding: Any) -> None:
    with FakeWhisperLive(hears=["Turn on the light.", "Thank you."]) as server:
        with Caller(WhisperLive(server.url, encoding=encoding)) as caller:
            caller.speak(1.2, then=0.4)
            assert caller.hear(Transcript, which=lambda one: one.final).text == "Turn on the light."
            caller.speak(0.7)
            caller.hear(Transcript, which=lambda one: one.text == "Thank you.")
        # The second utterance was still under way when the client closed.
        assert [turn.text for turn in caller.client.history] == ["Turn on the light.", "Thank you."]
        assert server.connection().wait_until_closed() == 1000
        assert server.connection().received[-1] == b"END_OF_AUDIO"


def test_an_utterance_survives_a_lost_connection() -> None:
    with FakeWhisperLive() as server, Caller(WhisperLive(server.url, encoding="int16")) as caller:
        caller.speak(1.2)
        caller.hear(Transcript)
        server.drop()
        caller.hear(Connected, 2)
        assert caller.hear(Transcript, which=lambda one: one.final).text == "Turn on the light."
        assert AudioFormat(16000).seconds(server.connection(2).wait_for_binary(32000)) >= 1.0


def test_after_the_longest_connection_time_there_is_another() -> None:
    with FakeWhisperLive() as server, Caller(WhisperLive(server.url)) as caller:
        caller.hear(Connected)
        server.connection().disconnect()
        caller.hear(Connected, 2)


def test_no_model_and_no_key_are_the_end() -> None:
    with FakeWhisperLive(failure="Failed: huge") as server, pytest.raises(ServiceError, match="huge"):
        Caller(WhisperLive(server.url)).client.run()
    with FakeWhisperLive(key="right") as server, pytest.raises(HandshakeRejected, match="401"):
        Caller(WhisperLive(server.url, key="wrong")).client.run()


def test_the_same_word_twice_is_final_twice() -> None:
    """The server takes the second back instead of finishing it."""
    with FakeWhisperLive(hears=["Stop.", "stop."], pace=0.02) as server:
        with Caller(WhisperLive(server.url, same_output=2, settle=0.3)) as caller:
            caller.speak(0.6, then=1.2)
            assert caller.hear(Transcript, which=lambda one: one.final).text == "Stop."
            caller.speak(0.6, then=1.2)
            caller.hear(Transcript, which=lambda one: one.text == "stop." and not one.final)
        assert [turn.text for turn in caller.client.history] == ["Stop.", "stop."]
