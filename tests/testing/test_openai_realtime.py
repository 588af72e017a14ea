"""The fake of OpenAI's Realtime API, and the whole client over it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.fakes import EarSpeaker, HandMicrophone
from tests.patience import PATIENCE
from tests.testing.caller import LONG
from voicews import (
    AudioFormat,
    Backoff,
    ClientConfig,
    Connected,
    Event,
    HandshakeRejected,
    Interrupted,
    PlaybackFinished,
    Reconnecting,
    ResponseDone,
    ServerError,
    ServiceError,
    SpeechStarted,
    SpeechStopped,
    Timeouts,
    Tool,
    Transcript,
    Turn,
    VoiceClient,
)
from voicews.dialects import OpenAIRealtime
from voicews.testing import FakeAnswer, FakeOpenAIRealtime
from voicews.testing.speech import hum

FORMAT = AudioFormat(24000)
SPEECH = hum("x" * 6, FORMAT)  # 0.3 s
QUICK = ClientConfig(backoff=Backoff(initial=0.01, jitter=0.0, max_attempts=3), timeouts=Timeouts(close=3.0))


class Ears:
    """All events, to be waited for."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.news = threading.Condition()

    def __call__(self, event: Event) -> None:
        with self.news:
            self.events.append(event)
            self.news.notify_all()

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def wait(self, kind: type[Event], number: int = 1) -> Any:
        with self.news:
            there = self.news.wait_for(lambda: len(self.of(kind)) >= number, PATIENCE)
            assert there, f"no {kind.__name__} {number}; heard {self.events}"
            return self.of(kind)[number - 1]

    @property
    def lines(self) -> list[tuple[str, str]]:
        return [(line.role, line.text) for line in self.of(Transcript) if line.final]


class Room:
    """A client, its microphone, its loudspeaker, and all that it tells."""

    def __init__(self, dialect: OpenAIRealtime, config: ClientConfig = QUICK, **options: Any) -> None:
        self.mouth, self.speaker, self.ears = HandMicrophone(), EarSpeaker(), Ears()
        self.client = VoiceClient(
            dialect, microphone=self.mouth, speaker=self.speaker, config=config, **options
        )
        self.client.on(Event, self.ears)

    def say(self, pcm: bytes = SPEECH) -> None:
        step = FORMAT.bytes(0.02)
        self.mouth.frames.extend(pcm[start : start + step] for start in range(0, len(pcm), step))


@contextmanager
def room(server: FakeOpenAIRealtime, config: ClientConfig = QUICK, **settings: Any) -> Iterator[Room]:
    tools = settings.pop("tools", ())
    settings = {"transcription": "any", "turn_detection": FAST, **settings}
    made = Room(OpenAIRealtime("any", url=server.url, **settings), config, tools=tools)
    with made.client:
        yield made
    assert server.failures == ()


FAST = {"type": "server_vad", "silence_duration_ms": 100}


@pytest.mark.parametrize("version", ["ga", "beta"])
def test_a_spoken_conversation(version: Any) -> None:
    with (
        FakeOpenAIRealtime(hears=["One?", "Two?"], answers=["First.", "Second."], version=version) as server,
        room(server, version=version) as here,
    ):
        for number in (1, 2):
            here.say()
            here.ears.wait(SpeechStarted, number)
            here.ears.wait(SpeechStopped, number)
            here.ears.wait(ResponseDone, number)
            here.ears.wait(PlaybackFinished, number)
        said = [("user", "One?"), ("assistant", "First."), ("user", "Two?"), ("assistant", "Second.")]
        assert here.ears.lines == said
        assert server.connection().said == said
        assert here.speaker.written == hum("First.", FORMAT) + hum("Second.", FORMAT)
        assert not here.ears.of(Interrupted)


def test_text_and_a_tool() -> None:
    called: list[Any] = []

    def light(on: bool) -> dict[str, bool]:
        """Switch the light."""
        called.append(on)
        return {"on": on}

    answers = [FakeAnswer("It is on.", call=("light", {"on": True}))]
    with (
        FakeOpenAIRealtime(answers=answers) as server,
        room(server, tools=[light]) as here,
    ):
        here.client.send_text("Light, please.")
        here.ears.wait(ResponseDone, 2)
        assert called == [True]
        one = server.connection()
        assert list(one.results.values()) == ['{"on":true}']
        assert one.session["tools"][0]["name"] == "light"
        assert one.said == [("user", "Light, please."), ("assistant", "It is on.")]


def test_speaking_over_an_answer_tells_the_server_what_was_heard() -> None:
    with (
        FakeOpenAIRealtime(hears=["Stop!"], answers=[LONG, "As you wish."]) as server,
        room(server) as here,
    ):
        here.client.send_text("Tell me a story.")
        here.speaker.wait_for(FORMAT.bytes(0.5))
        here.say()
        cut = here.ears.wait(Interrupted)
        one = server.connection()
        one.wait_for_message({"type": "conversation.item.truncate"})
        one.wait_for(lambda c: c.truncated)
        assert one.truncated[0][1] == cut.heard_ms
        here.ears.wait(ResponseDone, 2)
        assert one.said[1] == ("assistant", "")
        told = here.client.history.turns[1]
        assert LONG.startswith(told.text)
        assert len(told.text) < len(LONG) * (cut.heard_ms / 1000) / (len(LONG) / 20) + 1
        assert not here.ears.of(ServerError)


def test_an_answer_in_the_making_is_cancelled() -> None:
    with (
        FakeOpenAIRealtime(answers=["word " * 200, "Yes?"], pace=0.05) as server,
        room(server) as here,
    ):
        here.client.send_text("Talk.")
        here.speaker.wait_for(FORMAT.bytes(0.2))
        here.client.interrupt()
        here.ears.wait(Interrupted)
        here.ears.wait(ResponseDone)
        server.connection().wait_for_message({"type": "response.cancel"})
        here.client.send_text("And now?")
        here.ears.wait(ResponseDone, 2)
        assert here.client.history.turns[-1] == Turn("assistant", "Yes?")


def test_push_to_talk() -> None:
    config = ClientConfig(push_to_talk=True, backoff=QUICK.backoff, timeouts=QUICK.timeouts)
    with (
        FakeOpenAIRealtime(hears=["Good morning."], answers=["Good morning to you."]) as server,
        room(server, config, turn_detection=None) as here,
    ):
        one = server.connection()
        here.ears.wait(Connected)
        here.client.start_talking()
        here.say()
        one.wait_for_message({"type": "input_audio_buffer.append"}, number=20)
        here.client.stop_talking()
        here.ears.wait(ResponseDone)
        assert here.ears.lines == [("user", "Good morning."), ("assistant", "Good morning to you.")]


def test_a_drop_in_mid_answer_is_survived_with_the_conversation() -> None:
    with (
        FakeOpenAIRealtime(answers=["I shall.", "word " * 200, "You said: remember seven."]) as server,
        room(server) as here,
    ):
        here.client.send_text("Remember seven.")
        here.ears.wait(ResponseDone)
        server.pace = 0.05
        here.client.send_text("Talk.")
        here.speaker.wait_for(FORMAT.bytes(1.0))
        server.drop()
        here.ears.wait(Connected, 2)
        two = server.connection(2)
        server.pace = 0.0
        here.client.send_text("What did I say?")
        here.ears.wait(ResponseDone, 2)
        assert two.said[:3] == [
            ("user", "Remember seven."),
            ("assistant", "I shall."),
            ("user", "Talk."),
        ]
        assert two.said[-1] == ("assistant", "You said: remember seven.")
        assert two.session["audio"] == server.connection(1).session["audio"]


def test_what_the_server_says_wrongly_ends_neither_the_run_nor_the_conversation() -> None:
    with FakeOpenAIRealtime(answers=["I am well."]) as server, room(server) as here:
        session = server.connection()
        session.say("response.created", response={"id": "r1"})
        session.say("response.output_audio.delta", response_id="r1", item_id="i", delta="no base64")
        session.say("response.output_audio_transcript.delta", response_id="r1", item_id="i", delta="Hello.")
        session.say("response.done", response={"id": "another", "status": "completed"})
        here.ears.wait(ResponseDone)
        here.client.send_text("How are you?")
        here.ears.wait(ResponseDone, 2)
        assert [error.code for error in here.ears.of(ServerError)] == ["invalid_message"]
        assert here.ears.lines == [("assistant", "Hello."), ("assistant", "I am well.")]
        assert here.client.stats().connections == 1


def test_an_expired_session_is_followed_by_another() -> None:
    with FakeOpenAIRealtime() as server, room(server) as here:
        here.client.send_text("Hello")
        here.ears.wait(ResponseDone)
        server.connection().expire()
        assert here.ears.wait(Connected, 2).resumed
        assert server.connection(2).session["type"] == "realtime"
        assert here.ears.wait(Reconnecting).attempt in (0, 1)


def test_a_planned_move_before_the_session_ends() -> None:
    with FakeOpenAIRealtime() as server, room(server, session_length=1.0) as here:
        # The first tick sets the clock, the second finds the end near.
        here.ears.wait(Connected, 2)
        assert here.ears.wait(Reconnecting).attempt == 0
        assert server.connection(1).wait_until_closed() == 1000


def test_the_last_words_are_waited_for() -> None:
    with FakeOpenAIRealtime(hears=["The last words."]) as server:
        with room(server) as here:
            here.ears.wait(Connected)
            here.say()
            here.ears.wait(SpeechStarted)
        assert ("user", "The last words.") in here.ears.lines


def test_a_wrong_key_is_fatal() -> None:
    with FakeOpenAIRealtime(key="right") as server:
        here = Room(OpenAIRealtime("any", url=server.url, key="wrong"))
        with pytest.raises(HandshakeRejected, match="401"):
            here.client.run()
        with room(server, key="right") as welcome:
            welcome.ears.wait(Connected)


def test_settings_that_the_server_refuses_are_fatal() -> None:
    with FakeOpenAIRealtime() as server:
        here = Room(OpenAIRealtime("any", url=server.url, voice="nobody"))
        with pytest.raises(ServiceError, match="nobody"):
            here.client.run()


# -- the fake's own rules -----------------------------------------------------------------------------


@contextmanager
def call(server: FakeOpenAIRealtime) -> Iterator[ClientConnection]:
    with connect(server.url, close_timeout=1) as client:
        assert json.loads(client.recv(PATIENCE))["type"] == "session.created"
        yield client


def ask(client: ClientConnection, **message: Any) -> Any:
    client.send(json.dumps(message))
    return json.loads(client.recv(PATIENCE))


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"type": "session.update", "session": {}}, "missing_parameter"),
        ({"type": "session.update"}, "missing_parameter"),
        ({"type": "input_audio_buffer.append", "audio": "?"}, "missing_audio_data"),
        ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty"),
        ({"type": "conversation.item.create", "item": {"type": "odd"}}, "invalid_value"),
        (
            {
                "type": "conversation.item.create",
                "item": {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "x"}]},
            },
            "invalid_value",
        ),
        ({"type": "conversation.item.truncate", "item_id": "x", "audio_end_ms": 1}, "invalid_value"),
        ({"type": "response.cancel"}, "response_cancel_not_active"),
        ({"type": "odd"}, "invalid_value"),
        ({"type": ["odd"]}, "invalid_value"),
        ({}, "invalid_json"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_the_service_refuses(message: Any, code: str) -> None:
    with FakeOpenAIRealtime() as server, call(server) as client:
        answer = ask(client, **message, event_id="mine")
        assert answer["type"] == "error"
        assert answer["error"]["code"] == code
        assert ask(client, type="input_audio_buffer.clear")["type"] == "input_audio_buffer.cleared"
    assert server.failures == ()


def test_one_answer_at_a_time() -> None:
    with FakeOpenAIRealtime(pace=0.2) as server, call(server) as client:
        assert ask(client, type="response.create")["type"] == "response.created"
        client.send('{"type": "response.create"}')
        kinds = [json.loads(client.recv(PATIENCE)) for _ in range(8)]
        assert any(kind["type"] == "error" for kind in kinds)


def test_speaking_up() -> None:
    with FakeOpenAIRealtime(version="beta") as server, call(server) as client:
        server.connection().speak_up("The tea is ready.")
        kinds: list[str] = []
        while not kinds or kinds[-1] != "response.done":
            kinds.append(json.loads(client.recv(PATIENCE))["type"])
        assert "response.audio.delta" in kinds
        assert "response.audio_transcript.done" in kinds


def test_other_paths_are_not_there() -> None:
    with (
        FakeOpenAIRealtime() as server,
        pytest.raises(InvalidStatus, match="404"),
        connect(server.address) as client,
    ):
        client.recv(PATIENCE)


def test_tools_by_hand() -> None:
    tool = Tool("light", "Switch it.", {"type": "object", "properties": {}})
    with FakeOpenAIRealtime() as server, room(server, tools=[tool]) as here:
        here.ears.wait(Connected)
        assert server.connection().session["tools"][0]["description"] == "Switch it."
