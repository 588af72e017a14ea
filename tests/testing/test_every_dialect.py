"""The whole client over each fake: talk, drop in mid-answer, restore, interrupt, call a function, close."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from tests.dialects.cast import CAST, Role
from tests.line import Line, deaf_port, listening
from tests.peer import PATIENCE
from tests.testing.caller import Caller
from voicews import State, VoiceClient
from voicews.audio import NullSink, SilenceSource
from voicews.commands import InterruptResponse, ToolResult
from voicews.dialects import Dialect
from voicews.events import (
    Connected,
    Interrupted,
    Reconnecting,
    ResponseDone,
    ResponseStarted,
    SpeechStarted,
    StateChanged,
    Transcript,
)
from voicews.testing import FakeAnswer, FakeConnection

LONG = "This is a very long answer that takes several seconds, which nobody will hear to its very end."


def those(fact: Callable[[Dialect], object]) -> pytest.MarkDecorator:
    """The dialects of which it is true."""
    chosen = [role for role in CAST if fact(role.play("ws://localhost"))]
    return pytest.mark.parametrize("role", chosen, ids=str)


all_dialects = those(lambda dialect: True)
that_answer = those(lambda dialect: dialect.answers)


def user_said(line: Transcript) -> bool:
    return line.role == "user" and line.final


def told(connection: FakeConnection) -> str:
    """All that the client has written there."""
    return "\n".join(message for message in connection.received if isinstance(message, str))


def size(connection: FakeConnection) -> int:
    return sum(len(message) for message in connection.received)


@all_dialects
@pytest.mark.parametrize("place", ["connect", "TLS", "handshake"])
def test_a_close_does_not_wait_for_a_server_that_does_not_answer(role: Role, place: str) -> None:
    """There is nobody yet who could be told, or have last words."""
    asked = threading.Event()

    def say_nothing(line: Line) -> None:
        asked.set()
        line.wait_for_end()

    with listening(say_nothing) as silent, deaf_port() as deaf:
        scheme = "wss" if place == "TLS" else "ws"
        url = f"{scheme}://127.0.0.1:{deaf if place == 'connect' else silent.port}"
        voice = VoiceClient(role.play(url), microphone=SilenceSource(), speaker=NullSink())
        if place == "connect":
            voice.on(StateChanged, asked.set)
        opening = threading.Thread(target=voice.run)
        opening.start()
        try:
            assert asked.wait(PATIENCE)
        finally:
            began = time.monotonic()
            voice.close()
        assert time.monotonic() - began < 1.0
        opening.join(PATIENCE)
        assert voice.state is State.CLOSED


@all_dialects
def test_a_spoken_turn(role: Role) -> None:
    with role.fake(hears=["One?"]) as server:
        with Caller(role.play(server.url)) as caller:
            caller.hear(Connected)
            caller.speak(0.6, then=1.2)
            assert caller.hear(Transcript, which=user_said).text == "One?"
            if role.play(server.url).answers:
                caller.hear(ResponseDone)
                caller.speaker.wait_for(3200)
        assert [turn.text for turn in caller.client.history if turn.role == "user"] == ["One?"]
        assert server.connection().wait_until_closed() == 1000
        assert not server.failures


@that_answer
def test_a_drop_in_mid_answer(role: Role) -> None:
    """The next connection knows what was said on the one before."""
    with role.fake(answers=["I shall.", LONG, "Seven."]) as server:
        with Caller(role.play(server.url)) as caller:
            caller.client.send_text("Remember seven.")
            caller.hear(ResponseDone)
            server.pace = 0.1
            caller.client.send_text("Go on.")
            caller.hear(ResponseStarted, 2)
            server.drop()
            caller.hear(Reconnecting)
            caller.hear(Connected, 2)
            server.pace = 0.0
            caller.client.send_text("What was it?")
            caller.hear(Transcript, which=lambda line: line.text == "Seven.")
        assert role.memory in told(server.connection(2))
        assert [turn.text for turn in caller.client.history][:2] == ["Remember seven.", "I shall."]
        assert not server.failures


@those(lambda dialect: not dialect.answers)
def test_a_drop_in_mid_word(role: Role) -> None:
    """What was not understood yet is sent again."""
    with role.fake(hears=["One", "One two three."]) as server, Caller(role.play(server.url)) as caller:
        caller.speak(0.6)
        server.connection(1).wait_for(lambda one: size(one) > 12800, 10, "half a second of sound")
        server.drop()
        caller.hear(Connected, 2)
        caller.speak(0.6, then=1.2)
        assert caller.hear(Transcript, which=user_said).text == "One two three."


@those(lambda dialect: InterruptResponse in dialect.accepts)
def test_an_interruption(role: Role) -> None:
    with role.fake(answers=[LONG, "Good."], pace=0.05) as server:
        caller = Caller(role.play(server.url))
        caller.speaker.speed = 1.0
        with caller:
            caller.client.send_text("Go on.")
            caller.speaker.wait_for(6400)
            caller.client.interrupt()
            heard_ms = caller.hear(Interrupted).heard_ms
            assert heard_ms is not None
            assert heard_ms < 4000
            caller.client.send_text("Really?")
            caller.hear(Transcript, which=lambda line: line.text == "Good.")
        assert not server.failures


@those(lambda dialect: ToolResult in dialect.accepts)
def test_a_function(role: Role) -> None:
    def get_time(zone: str) -> str:
        """Tell the time."""
        return f"12:00 {zone}"

    with role.fake(answers=[FakeAnswer("At noon.", call=("get_time", {"zone": "UTC"}))]) as server:
        with Caller(role.play(server.url), tools=[get_time]) as caller:
            caller.client.send_text("When?")
            caller.hear(Transcript, which=lambda line: line.text == "At noon.")
        assert "12:00 UTC" in told(server.connection())
        assert not server.failures


@all_dialects
def test_the_last_spoken_words_are_not_lost(role: Role) -> None:
    """The client closes while the user's last word is hardly over."""
    with role.fake(hears=["Good night."]) as server:
        with Caller(role.play(server.url)) as caller:
            caller.hear(Connected)
            caller.speak(1.2)
            caller.hear(SpeechStarted)
            caller.wait_until_spoken()
        assert [turn.text for turn in caller.client.history if turn.role == "user"] == ["Good night."]
        assert server.connection().wait_until_closed() == 1000


@that_answer
def test_the_answer_to_the_last_written_words_is_not_lost(role: Role) -> None:
    with role.fake(answers=["Sleep well."], pace=0.02) as server:
        with Caller(role.play(server.url)) as caller:
            caller.client.send_text("Good night.")
        assert [turn.text for turn in caller.client.history] == ["Good night.", "Sleep well."]
