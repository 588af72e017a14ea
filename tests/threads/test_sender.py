"""The sender thread over a real transport, against a real peer."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.patience import PATIENCE
from tests.peer import Peer, peer
from voicews.buffers import DropOldestQueue
from voicews.commands import Command, SendAudio, SendMessage, SendText
from voicews.config import Limits, Timeouts, TlsSettings
from voicews.dialects import Plain
from voicews.dialects.base import Request, Session
from voicews.errors import TransportError
from voicews.events import Event, SessionExpiring
from voicews.history import History
from voicews.threads.sender import Sender
from voicews.transport import PeerClose, Ping, Pong, Transport


class Rig:
    def __init__(self, server: Peer, session: Session, outbox: DropOldestQueue[Command]) -> None:
        self.transport = Transport(
            Request(server.url), generation=1, timeouts=Timeouts(), limits=Limits(), tls=TlsSettings()
        )
        self.transport.connect()
        self.call = server.call(len(server.calls) or 1)
        self.session = session
        self.outbox = outbox
        self.sending: queue.Queue[tuple[Command, int]] = queue.Queue()
        self.sent: queue.Queue[Command] = queue.Queue()
        self.refused: queue.Queue[Command] = queue.Queue()
        self.heard: queue.Queue[Event] = queue.Queue()
        self.failed = threading.Event()
        self.errors: list[BaseException] = []
        self.sender = Sender(
            self.transport,
            session,
            threading.Lock(),
            outbox=outbox,
            max_audio_age=2.0,
            confirms=True,
            sending=lambda command: self.sending.put((command, self.transport.bytes_sent)),
            sent=lambda command, at: self.sent.put(command),
            refused=self.refused.put,
            hear=self.heard.put,
            fail=self.fail,
        )

    def fail(self, error: BaseException) -> None:
        self.errors.append(error)
        self.failed.set()

    def end(self) -> None:
        self.transport.abort()
        self.sender.stop()
        assert self.sender.ended_within(PATIENCE)
        self.transport.close()


Make = Callable[..., Rig]


@pytest.fixture
def make() -> Iterator[Make]:
    rigs: list[Rig] = []

    def build(**settings: Any) -> Rig:
        session = Plain(server.url, **settings).begin(None, History())
        outbox: DropOldestQueue[Command] = DropOldestQueue(100, droppable=lambda c: isinstance(c, SendAudio))
        rigs.append(Rig(server, session, outbox))
        return rigs[-1]

    with peer() as server:
        yield build
        for rig in rigs:
            rig.end()


def test_the_sessions_opening_goes_before_the_outbox(make: Make) -> None:
    rig = make(hello={"type": "hello"})
    rig.outbox.put(SendText("first"))
    rig.outbox.put(SendAudio(b"\x01\x02", time.monotonic()))
    rig.sender.start()
    rig.call.wait_for_audio(2)
    assert [text["type"] for text in rig.call.texts] == ["hello", "text"]
    assert [type(rig.sent.get(timeout=PATIENCE)) for _ in range(2)] == [SendText, SendAudio]


def test_nothing_of_the_outbox_goes_before_the_session_is_ready(make: Make) -> None:
    rig = make(hello={"type": "hello"}, await_ready=True)
    rig.outbox.put(SendText("later"))
    rig.sender.start()
    rig.call.wait_for_text("hello")
    rig.sender.ping(b"")
    assert isinstance(rig.transport.receive(), Pong)
    assert len(rig.call.texts) == 1
    rig.session.receive('{"type": "ready"}')
    rig.sender.poke()
    rig.call.wait_for_text("text")


def test_control_frames_overtake_what_waits(make: Make) -> None:
    rig = make(await_ready=True)
    rig.sender.start()
    rig.sender.pong(b"old")
    rig.sender.ping(b"are you there")
    pong = rig.transport.receive()
    assert isinstance(pong, Pong)
    assert pong.payload == b"are you there"


def test_pings_are_answered(make: Make) -> None:
    rig = make()
    rig.sender.start()
    answer = rig.call.link.ping(b"hello")
    ping = rig.transport.receive()
    assert isinstance(ping, Ping)
    rig.sender.pong(ping.payload)
    assert answer.wait(PATIENCE)


def test_a_close_ends_the_sender(make: Make) -> None:
    rig = make()
    rig.sender.start()
    rig.sender.close(1001, "going")
    assert rig.sender.ended_within(PATIENCE)
    assert rig.sender.has_closed
    assert isinstance(rig.transport.receive(), PeerClose)
    rig.transport.abort()
    rig.call.wait_until_over()
    assert rig.call.close_code == 1001


def test_a_shut_outbox_is_sent_to_its_end_then_the_stream_is_closed(make: Make) -> None:
    rig = make(eof={"type": "end_of_stream"})
    for number in range(10):
        rig.outbox.put(SendText(str(number)))
    rig.outbox.shutdown()
    rig.sender.start()
    rig.call.wait_for_text("end_of_stream")
    assert [text.get("text") for text in rig.call.texts[:10]] == [str(n) for n in range(10)]
    assert not rig.sender.has_closed
    rig.session.receive('{"type": "finished"}')
    rig.sender.poke()
    assert rig.sender.ended_within(PATIENCE)
    assert rig.sender.has_closed


def test_what_the_session_says_as_it_finishes_goes_before_the_close(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may finish, on the receiver thread, right after the sender has asked what there is to send."""
    rig = make(eof={"type": "eof"})
    take, asked = rig.session.messages_to_send, iter(range(10))

    def messages_to_send() -> list[str | bytes]:
        messages = take()
        if messages and next(asked) == 0:
            rig.session.send(SendMessage({"type": "goodbye"}))
            rig.session.receive('{"type": "finished"}')
            rig.sender.poke()
        return messages

    monkeypatch.setattr(rig.session, "messages_to_send", messages_to_send)
    rig.outbox.shutdown()
    rig.sender.start()
    assert isinstance(rig.transport.receive(), PeerClose)
    rig.call.wait_for_text("goodbye")
    assert [text["type"] for text in rig.call.texts] == ["eof", "goodbye"]


def test_stale_sound_is_counted_and_not_sent(make: Make) -> None:
    rig = make()
    rig.outbox.put(SendAudio(b"\x01\x01", time.monotonic() - 60))
    rig.outbox.put(SendAudio(b"\x02\x02", time.monotonic()))
    rig.sender.start()
    assert rig.call.wait_for_audio(2) == b"\x02\x02"
    assert rig.outbox.dropped == {"stale": 1}


def test_a_command_that_did_not_get_out_is_given_back(make: Make) -> None:
    rig = make()
    rig.transport.abort()
    rig.outbox.put(SendText("keep me"))
    rig.sender.start()
    assert rig.failed.wait(PATIENCE)
    assert isinstance(rig.errors[0], TransportError)
    assert rig.outbox.get(timeout=0) == SendText("keep me")
    assert rig.sent.empty()


def test_it_says_what_it_will_say_before_the_server_can_know(make: Make) -> None:
    rig = make()
    before = rig.transport.bytes_sent
    rig.outbox.put(SendText("hello"))
    rig.sender.start()
    assert rig.sending.get(timeout=PATIENCE) == (SendText("hello"), before)
    assert rig.sent.get(timeout=PATIENCE) == SendText("hello")
    assert rig.transport.bytes_sent > before


def test_what_the_server_has_not_confirmed_is_known(make: Make) -> None:
    rig = make()
    for text in ("one", "two"):
        rig.outbox.put(SendText(text))
    rig.outbox.put(SendAudio(b"\x01\x02", time.monotonic()))
    rig.sender.start()
    rig.call.wait_for_audio(2)
    assert rig.sender.unconfirmed == [SendText("one"), SendText("two")]
    rig.sender.confirm(b"nobody's ping")
    first = rig.transport.receive()
    assert isinstance(first, Pong)
    rig.sender.confirm(first.payload)
    assert rig.sender.unconfirmed == [SendText("two")]
    second = rig.transport.receive()  # what came after the first ping is asked for by itself
    assert isinstance(second, Pong)
    rig.sender.confirm(second.payload)
    assert rig.sender.unconfirmed == []
    rig.outbox.put(SendText("three"))
    rig.call.wait(lambda: len(rig.call.texts) == 3)
    rig.sender.confirm_all()
    assert rig.sender.unconfirmed == []


def test_a_keepalive_ping_confirms_too(make: Make) -> None:
    rig = make()
    rig.sender.start()
    rig.sender.ping(b"early")
    early = rig.transport.receive()
    rig.outbox.put(SendText("one"))
    rig.call.wait_for_text("text")
    assert isinstance(early, Pong)
    rig.sender.confirm(early.payload)
    assert rig.sender.unconfirmed == [SendText("one")]
    rig.sender.ping(b"late")
    while rig.sender.unconfirmed:
        pong = rig.transport.receive()
        assert isinstance(pong, Pong)
        rig.sender.confirm(pong.payload)


def test_a_command_that_the_session_refuses_does_not_end_the_connection(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(Command):
        pass

    rig = make()
    rig.outbox.put(Odd())
    rig.outbox.put(SendMessage("fine"))
    rig.sender.start()
    rig.call.wait(lambda: rig.call.received == ["fine"])
    assert "Odd was not sent" in caplog.text
    assert isinstance(rig.refused.get(timeout=0), Odd)
    assert not rig.failed.is_set()


def test_a_session_that_needs_it_is_ticked(make: Make) -> None:
    ticks = threading.Semaphore(0)

    rig = make()

    class Ticking(type(rig.session)):  # type: ignore[misc]
        tick_interval = 0.01

        def tick(self, now: float) -> list[Event]:
            ticks.release()
            return [SessionExpiring(now)]

    rig.session.__class__ = Ticking
    rig.sender.start()
    for _ in range(5):
        assert ticks.acquire(timeout=PATIENCE)
        assert isinstance(rig.heard.get(timeout=PATIENCE), SessionExpiring)
