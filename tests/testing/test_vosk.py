"""The fake Vosk server, and the whole client on it."""

from __future__ import annotations

import json

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.patience import PATIENCE
from tests.testing.caller import Caller, loud
from voicews import Connected, Transcript
from voicews.dialects import Vosk
from voicews.errors import ConfigError
from voicews.testing import FakeVosk

SETTINGS = '{"config": {"sample_rate": 16000}}'


def test_each_message_of_sound_has_one_answer() -> None:
    with FakeVosk(hears=["one two", "three"]) as server, connect(server.url) as client:
        client.send(SETTINGS)
        for sound in (bytes(6400), loud(0.2), loud(0.2), bytes(16000), loud(0.2)):
            client.send(sound)
        client.send('{"eof" : 1}')
        answers = [json.loads(answer) for answer in client]
        assert [answer.get("partial", answer.get("text")) for answer in answers] == [
            "",
            "one",
            "one two",
            "one two",
            "three",
            "three",
        ]
        assert answers[3]["result"][1] == {"word": "two", "start": 0.5, "end": 0.8, "conf": 1.0}
        assert server.connection().wait_until_closed() == 1000


def test_alternatives_and_no_words() -> None:
    with FakeVosk() as server, connect(server.url) as client:
        client.send('{"config": {"words": false, "max_alternatives": 2}}')
        client.send(loud(0.5))
        client.recv(PATIENCE)
        client.send('{"reset" : 1}')
        best, other = json.loads(client.recv(PATIENCE))["alternatives"]
        assert best == {"confidence": 300.0, "text": "turn on the light"}
        assert other["text"] == "um"


@pytest.mark.parametrize("words", ['{"eof":1}', '{"eof": 1}', "hello"])
def test_text_that_is_not_exact_ends_the_connection(words: str) -> None:
    with FakeVosk() as server, connect(server.url) as client:
        client.send(words)
        with pytest.raises(ConnectionClosed):
            client.recv(PATIENCE)
        assert server.connection().wait_until_closed() == 1011


def test_old_servers_do_not_know_resets() -> None:
    with FakeVosk(knows_reset=False) as server, connect(server.url) as client:
        client.send('{"reset" : 1}')
        assert server.connection().wait_until_closed() == 1011


def test_the_one_in_cpp_answers_everything_and_does_not_hang_up() -> None:
    with FakeVosk(in_cpp=True) as server, connect(server.url) as client:
        client.send(SETTINGS)
        client.send('{"eof" : 1}')
        assert [json.loads(client.recv(PATIENCE)) for _ in range(2)] == [{"partial": ""}, {"text": ""}]
        client.send("still there")
        assert isinstance(client.recv(PATIENCE), bytes)


def test_it_needs_something_to_hear() -> None:
    with pytest.raises(ConfigError, match="hears"):
        FakeVosk(hears=[])


# -- the whole client ------------------------------------------------------------------------------


@pytest.mark.parametrize("in_cpp", [False, True])
def test_a_conversation(in_cpp: bool) -> None:
    with FakeVosk(hears=["turn on the light", "thank you"], in_cpp=in_cpp) as server:
        with Caller(Vosk(server.url)) as caller:
            caller.speak(0.6, then=1.0)
            partial = caller.hear(Transcript)
            assert (partial.text, partial.final) == ("turn", False)
            assert caller.hear(Transcript, which=lambda one: one.final).text == "turn on the light"
            caller.speak(0.6)
            caller.hear(Transcript, which=lambda one: one.text.startswith("thank"))
        # The second utterance was still under way when the client closed.
        assert [turn.text for turn in caller.client.history] == ["turn on the light", "thank you"]
        assert server.connection().wait_until_closed() == 1000


def test_an_utterance_survives_a_lost_connection() -> None:
    with FakeVosk(hears=["turn on the light"]) as server, Caller(Vosk(server.url)) as caller:
        caller.speak(0.6)
        caller.hear(Transcript)
        server.drop()
        caller.hear(Connected, 2)
        second = server.connection(2)
        second.wait_for(lambda one: loud(0.1) in one.received_binary)
        caller.client.stop_talking()
        final = caller.hear(Transcript, which=lambda one: one.final)
        assert final.text == "turn on the light"
        assert [turn.text for turn in caller.client.history] == ["turn on the light"]
