"""The dialect that the guide writes keeps all promises, and works with a server."""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from typing import Any

import pytest

from examples.sherpa_dialect import Sherpa
from tests.dialects.contract import DialectContract
from tests.testing.caller import Caller
from voicews import AudioFormat, Transcript
from voicews.dialects import Dialect, Session
from voicews.events import Event
from voicews.history import History
from voicews.testing import FakeConnection, FakeServer
from voicews.testing.speech import Ear


def result(text: str, segment: int = 0) -> dict[str, Any]:
    return {"text": text, "segment": segment}


class SherpaConnection(FakeConnection):
    def on_open(self) -> None:
        self.ear = Ear(AudioFormat(16000))
        self.segment = 0

    def on_message(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            samples = array("h", (round(sample * 32768) for sample in array("f", message)))
            if self.ear.hear(samples.tobytes()):
                self.send({"text": "turn", "segment": self.segment})
            if self.ear.speaking and self.ear.quiet > 0.5:
                self.say_all()
        elif message == "Done":
            self.say_all()
            self.close()

    def say_all(self) -> None:
        if self.ear.speaking:
            self.send({"text": "turn on the light", "segment": self.segment})
        self.ear.forget()
        self.segment += 1
        self.send({"text": "", "segment": self.segment})


class FakeSherpa(FakeServer[SherpaConnection]):
    connection_class = SherpaConnection


class TestContract(DialectContract):
    def dialect(self) -> Dialect:
        return Sherpa()

    @property
    def handshake(self) -> Sequence[str | bytes]:
        return ()

    @property
    def server_words(self) -> Sequence[dict[str, Any]]:
        return [{"text": "turn on", "segment": 0}]

    def said_sound(self, message: str | bytes) -> bytes:
        if isinstance(message, str):
            return b""
        return array("h", (round(sample * 32768) for sample in array("f", message))).tobytes()

    def server_sound(self, pcm: bytes) -> str | bytes | None:
        return None


def tell(session: Session, *words: dict[str, Any]) -> list[Event]:
    return [event for word in words for event in session.receive(json.dumps(word))]


def test_a_segment_ends_with_the_next() -> None:
    session = Sherpa().begin(None, History())
    assert tell(session, result("turn"), result("turn on"), result("", 1), result("please", 2)) == [
        Transcript("user", "turn", final=False),
        Transcript("user", "turn on", final=False),
        Transcript("user", "turn on"),
        Transcript("user", "please", final=False),
    ]


def test_the_last_words_are_final() -> None:
    session = Sherpa().begin(None, History())
    session.finish()
    assert tell(session, result("turn"), result("turn on"), result("", 1)) == [
        Transcript("user", "turn"),
        Transcript("user", "turn on", replaces="turn"),
    ]


@pytest.mark.parametrize("pause", [0.8, 0.0])
def test_the_whole_client(pause: float) -> None:
    """With the end of the words heard by the server, and with none but the end of the stream."""
    with FakeSherpa() as server:
        with Caller(Sherpa(server.url)) as caller:
            caller.speak(0.4, then=pause)
            caller.hear(Transcript)
            caller.wait_until_spoken()
        assert [turn.text for turn in caller.client.history] == ["turn on the light"]
        assert server.connection().received[-1] == "Done"
        assert not server.failures
