"""The fake house, and the whole client in it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.patience import PATIENCE
from tests.testing.caller import LONG, Caller, loud
from voicews import (
    Backoff,
    ClientConfig,
    Interrupted,
    Reconnecting,
    ResponseDone,
    ServerError,
    ServiceError,
    SpeechStopped,
    Token,
    Transcript,
    Turn,
    VoiceClient,
)
from voicews.audio import NullSink, SilenceSource
from voicews.config import AudioFormat
from voicews.dialects import HomeAssistantAssist
from voicews.dialects.wave_sound import wave_sound
from voicews.testing import FakeAnswer, FakeHomeAssistant
from voicews.testing.speech import hum

HOUSE = AudioFormat(22050)
LISTEN = {"start_stage": "stt", "end_stage": "tts", "input": {"sample_rate": 16000}}


class Guest:
    """A client that a test leads by the hand."""

    def __init__(self, link: ClientConnection) -> None:
        self._link = link
        self._number = 0

    def say(self, kind: str, **more: Any) -> int:
        self._number += 1
        self._link.send(json.dumps({"type": kind, "id": self._number, **more}))
        return self._number

    def begin(self, **run: Any) -> int:
        return self.say("assist_pipeline/run", **{**LISTEN, **run})

    def speak(self, handler: int, pcm: bytes) -> None:
        for start in range(0, len(pcm), 640):
            self._link.send(bytes([handler]) + pcm[start : start + 640])

    def stop(self, handler: int) -> None:
        self._link.send(bytes([handler]))

    def hear(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._link.recv(PATIENCE))
        return message

    def stages(self, last: str = "run-end") -> list[str]:
        """The kinds of events up to this one."""
        kinds: list[str] = []
        while last not in kinds:
            message = self.hear()
            kinds += [message["event"]["type"]] if message["type"] == "event" else []
        return kinds

    def event(self, kind: str) -> dict[str, Any]:
        """The data of the next of this kind."""
        while True:
            message = self.hear()
            if message["type"] == "event" and message["event"]["type"] == kind:
                data: dict[str, Any] = message["event"]["data"]
                return data


@contextmanager
def visit(server: FakeHomeAssistant) -> Iterator[Guest]:
    with connect(server.url, close_timeout=1) as link:
        guest = Guest(link)
        assert guest.hear()["type"] == "auth_required"
        link.send(json.dumps({"type": "auth", "access_token": "right"}))
        assert guest.hear()["type"] == "auth_ok"
        yield guest


def test_a_spoken_turn() -> None:
    with FakeHomeAssistant(hears=["Turn it on."], answers=["It is on."], key="right") as server:
        with visit(server) as guest:
            guest.begin()
            assert guest.hear() == {"id": 1, "type": "result", "success": True, "result": None}
            handler = guest.event("run-start")["runner_data"]["stt_binary_handler_id"]
            guest.speak(handler, bytes(3200) + loud(0.3) + bytes(17600))
            assert guest.event("stt-vad-start") == {"timestamp": 100}
            assert guest.event("stt-vad-end") == {"timestamp": 400}
            assert guest.event("stt-end")["stt_output"] == {"text": "Turn it on."}
            assert guest.event("intent-progress")["chat_log_delta"] == {"role": "assistant"}
            words = [guest.event("intent-progress")["chat_log_delta"]["content"] for _ in range(3)]
            assert "".join(words) == "It is on."
            output = guest.event("intent-end")["intent_output"]
            assert output["response"]["speech"]["plain"]["speech"] == "It is on."
            assert output["continue_conversation"] is False
            where = guest.event("tts-end")["tts_output"]["url"]
            assert guest.stages() == ["run-end"]
            with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{where}") as answer:
                assert answer.headers["Content-Type"] == "audio/x-wav"
                assert wave_sound(answer.read()) == (hum("It is on.", HOUSE), HOUSE)
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(f"http://127.0.0.1:{server.port}{where}x")
            assert refused.value.code == 404
            refused.value.close()
        assert server.conversations == {
            output["conversation_id"]: [("user", "Turn it on."), ("assistant", "It is on.")]
        }


def test_a_wake_word() -> None:
    with FakeHomeAssistant() as server, visit(server) as guest:
        guest.begin(start_stage="wake_word", end_stage="stt")
        handler = guest.event("run-start")["runner_data"]["stt_binary_handler_id"]
        guest.speak(handler, loud(0.3) + bytes(17600))
        assert guest.event("wake_word-end")["wake_word_output"]["timestamp"] == 300
        guest.speak(handler, loud(0.3))
        guest.stop(handler)
        assert guest.stages() == ["stt-start", "stt-vad-start", "stt-end", "run-end"]


def test_a_turn_by_hand() -> None:
    with FakeHomeAssistant() as server, visit(server) as guest:
        guest.begin(input={"sample_rate": 16000, "no_vad": True}, end_stage="intent")
        handler = guest.event("run-start")["runner_data"]["stt_binary_handler_id"]
        guest.speak(handler, loud(0.3) + bytes(32000))
        guest.stop(handler)
        kinds = guest.stages()
        assert "stt-vad-end" not in kinds
        assert "tts-start" not in kinds
        assert kinds[-2:] == ["intent-end", "run-end"]


@pytest.mark.parametrize(
    ("run", "pcm", "code"),
    [
        ({}, bytes(6400), "stt-no-text-recognized"),
        ({"start_stage": "wake_word"}, loud(0.1), "wake-stream-failed"),
        ({"timeout": 0.1}, bytes(6400), "timeout"),
    ],
)
def test_runs_that_come_to_nothing(run: dict[str, Any], pcm: bytes, code: str) -> None:
    with FakeHomeAssistant() as server, visit(server) as guest:
        guest.begin(**run)
        handler = guest.event("run-start")["runner_data"]["stt_binary_handler_id"]
        guest.speak(handler, pcm)
        guest.stop(handler)
        assert guest.event("error")["code"] == code
        assert guest.stages() == ["run-end"]
        guest.speak(handler, pcm)  # nobody hears it
        guest.say("ping")
        assert guest.hear()["type"] == "pong"


def test_a_run_that_is_called_off() -> None:
    with FakeHomeAssistant(pace=0.05, answers=[LONG]) as server, visit(server) as guest:
        run = guest.begin(start_stage="intent", input={"text": "Go on."})
        guest.event("intent-progress")
        off = guest.say("unsubscribe_events", subscription=run)
        while (message := guest.hear())["type"] == "event":
            assert message["id"] == run
        assert message == {"id": off, "type": "result", "success": True, "result": None}
        guest.say("unsubscribe_events", subscription=run)
        assert guest.hear()["error"]["code"] == "not_found"
        assert [said for [said] in server.conversations.values()] == [("user", "Go on.")]


@pytest.mark.parametrize(
    ("kind", "more", "code"),
    [
        ("sing", {}, "unknown_command"),
        ("ping", {"id": 0}, "id_reuse"),
        ("ping", {"id": "one"}, "id_reuse"),
        ("assist_pipeline/run", {}, "invalid_format"),
        ("assist_pipeline/run", {**LISTEN, "pipeline": "no"}, "pipeline-not-found"),
    ],
)
def test_refusals(kind: str, more: dict[str, Any], code: str) -> None:
    with FakeHomeAssistant(pipelines=["yes"]) as server, visit(server) as guest:
        guest.say(kind, **more)
        assert guest.hear()["error"]["code"] == code


def test_nonsense() -> None:
    with FakeHomeAssistant() as server, connect(server.url) as link:
        guest = Guest(link)
        guest.hear()
        for message in ("no JSON", "[]", "{}"):
            link.send(message)
            assert guest.hear()["error"]["code"] == "invalid_format"
        guest.say("ping")
        assert guest.hear()["type"] == "auth_invalid"
        with pytest.raises(ConnectionClosed):
            link.recv(PATIENCE)


# -- the whole client --------------------------------------------------------------------------------


def house(server: FakeHomeAssistant, **settings: Any) -> HomeAssistantAssist:
    return HomeAssistantAssist(server.url, key="right", **settings)


def test_a_conversation() -> None:
    answers = ["Which one?", "It is on."]
    with FakeHomeAssistant(hears=["Turn it on.", "The red one."], answers=answers, key="right") as server:
        with Caller(house(server)) as caller:
            for number in (1, 2):
                server.connection().wait_for(lambda one, n=number: len(one.runs) >= n)
                caller.speak(0.3, then=0.6)
                caller.hear(SpeechStopped, number)
                caller.hear(ResponseDone, number)
            caller.speaker.wait_for(sum(len(hum(text, HOUSE)) for text in answers))
        assert caller.speaker.written == b"".join(hum(text, HOUSE) for text in answers)
        assert caller.client.history.turns == (
            Turn("user", "Turn it on."),
            Turn("assistant", "Which one?"),
            Turn("user", "The red one."),
            Turn("assistant", "It is on."),
        )
        assert [(turn.role, turn.text) for turn in caller.client.history] in server.conversations.values()
        assert server.connection().wait_until_closed() == 1000
        assert not server.failures


def test_push_to_talk() -> None:
    config = ClientConfig(push_to_talk=True)
    with FakeHomeAssistant(hears=["Hello."], answers=["Hi."]) as server:
        with Caller(house(server, listen="turns"), config=config) as caller:
            caller.client.start_talking()
            caller.speak(0.4)
            server.connection().wait_for(lambda one: loud(0.02) in one.received_binary, what="speech")
            caller.wait_until_spoken()
            caller.client.stop_talking()
            caller.hear(ResponseDone)
        assert [turn.text for turn in caller.client.history] == ["Hello.", "Hi."]
        assert len(server.connection().runs) == 1


def test_an_interruption() -> None:
    with FakeHomeAssistant(answers=[LONG, "Good."]) as server:
        caller = Caller(house(server))
        caller.speaker.speed = 1.0
        with caller:
            caller.client.send_text("Go on.")
            caller.speaker.wait_for(16000)
            caller.client.interrupt()
            heard_ms = caller.hear(Interrupted).heard_ms
            assert heard_ms is not None
            assert heard_ms < HOUSE.seconds(hum(LONG, HOUSE)) * 1000
            server.connection().wait_for(lambda one: len(one.runs) >= 3)  # it listens again at once
            caller.speak(0.3, then=0.6)
            caller.hear(Transcript, which=lambda line: line.text == "Good.")


def test_a_lost_house_goes_on_with_the_conversation() -> None:
    with FakeHomeAssistant(hears=["Who am I?"], answers=["Hello Ada.", "Ada."]) as server:
        with Caller(house(server)) as caller:
            caller.client.send_text("I am Ada.")
            caller.hear(ResponseDone)
            server.connection(1).drop()
            caller.hear(Reconnecting)
            server.connection(2).wait_for(lambda one: bool(one.runs))
            caller.speak(0.3, then=0.6)
            caller.hear(Transcript, which=lambda line: line.text == "Ada.")
        [said] = server.conversations.values()
        assert [text for _, text in said] == ["I am Ada.", "Hello Ada.", "Who am I?", "Ada."]


def test_a_drop_in_mid_answer() -> None:
    with FakeHomeAssistant(answers=[LONG, "Good."], pace=0.02) as server, Caller(house(server)) as caller:
        caller.client.send_text("Go on.")
        caller.hear(Token, 3)
        server.connection(1).drop(reset=True)
        server.connection(2).wait_for(lambda one: bool(one.runs))
        caller.client.send_text("Once more.")
        caller.hear(Transcript, which=lambda line: line.text == "Good.")


def test_the_last_words_are_answered_and_played() -> None:
    with FakeHomeAssistant(hears=["Good night."], answers=["Sleep well."], pace=0.02) as server:
        with Caller(house(server)) as caller:
            server.connection().wait_for(lambda one: bool(one.runs))
            caller.speak(0.3)
            server.connection().wait_for(
                lambda one: loud(0.2) in one.received_binary.replace(b"\1", b""), PATIENCE
            )
        assert [turn.text for turn in caller.client.history] == ["Good night.", "Sleep well."]


def test_a_sound_that_is_gone() -> None:
    def forget(connection: Any, message: str | bytes) -> None:
        connection.server.refuse(503)  # the socket is open; what is asked for from now on is not there

    with FakeHomeAssistant(on_message=forget) as server, Caller(house(server)) as caller:
        caller.client.send_text("Hello.")
        assert "503" in caller.hear(ServerError).message
        caller.hear(ResponseDone)


def test_errors() -> None:
    with FakeHomeAssistant(answers=[FakeAnswer("Well.", pcm=b"\1\2" * 100)]) as server:
        with Caller(house(server)) as caller:
            server.connection().wait_for(lambda one: bool(one.runs))
            server.connection().fail("The engine is gone.")
            assert caller.hear(ServerError).code == "stt-stream-failed"
            server.connection().wait_for(lambda one: len(one.runs) >= 2)
            caller.client.send_text("Well?")
            caller.hear(ResponseDone)
            caller.speaker.wait_for(200)
        assert caller.speaker.written == b"\1\2" * 100


@pytest.mark.parametrize(
    ("settings", "code"), [({"key": "wrong"}, "auth_invalid"), ({"pipeline": "none"}, "pipeline-not-found")]
)
def test_what_is_refused_ends_the_run(settings: dict[str, Any], code: str) -> None:
    with FakeHomeAssistant(key="right") as server:
        dialect = HomeAssistantAssist(**{"url": server.url, "key": "right", **settings})
        config = ClientConfig(backoff=Backoff(initial=0.01))
        voice = VoiceClient(dialect, microphone=SilenceSource(), speaker=NullSink(), config=config)
        with pytest.raises(ServiceError) as caught:
            voice.open()
        assert caught.value.code == code
