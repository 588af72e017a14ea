"""The receiver thread over a real transport, against a real peer."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.patience import PATIENCE
from tests.peer import Peer, peer, unused_port
from voicews.backoff import judge
from voicews.buffers import DropOldestQueue
from voicews.commands import Command
from voicews.config import Limits, Timeouts, TlsSettings
from voicews.dialects import Plain
from voicews.dialects.base import Request
from voicews.errors import ConnectFailed, ConnectionClosed, MessageTooLarge, RemoteProtocolError, ServiceError
from voicews.events import Event, Message, ServerError
from voicews.history import History
from voicews.stats import Counters
from voicews.threads.receiver import Listener, Receiver
from voicews.threads.sender import Sender, ping_payload
from voicews.transport import Transport


class Ear(Listener):
    """Remembers what it is told, in order."""

    def __init__(self) -> None:
        self.told: queue.Queue[object] = queue.Queue()
        self.threads: set[str] = set()

    def _note(self, what: object) -> None:
        self.threads.add(threading.current_thread().name)
        self.told.put(what)

    def opened(self) -> None:
        self._note("linked")

    def ready(self) -> None:
        self._note("ready")

    def heard(self, event: Event) -> None:
        self._note(event)

    def ended(self, error: BaseException | None) -> None:
        self._note(("ended", error))

    def next(self) -> object:
        return self.told.get(timeout=PATIENCE)

    def end(self) -> BaseException | None:
        """What it ended with; events on the way are passed over."""
        while True:
            match self.next():
                case ("ended", error):
                    assert error is None or isinstance(error, BaseException)
                    return error


class Rig:
    def __init__(self, url: str, *, await_ready: bool = False, limit: int = 1 << 20) -> None:
        self.session = Plain(url, await_ready=await_ready).begin(None, History())
        self.lock = threading.Lock()
        self.outbox: DropOldestQueue[Command] = DropOldestQueue(10)
        self.ear = Ear()
        self.counters = Counters()
        self.transport = Transport(
            Request(url), timeouts=Timeouts(connect=5), limits=Limits(message=limit), tls=TlsSettings()
        )
        self.sender: Sender | None = None
        self.receiver = Receiver(
            lambda: self.transport,
            self.make_sender,
            self.session,
            self.lock,
            listener=self.ear,
            counters=self.counters,
        )
        self.receiver.start()

    def make_sender(self, transport: Transport) -> Sender:
        self.sender = Sender(
            transport,
            self.session,
            self.lock,
            outbox=self.outbox,
            max_audio_age=2.0,
            sending=lambda command: None,
            sent=lambda command, at: None,
            confirms=True,
            refused=lambda command: None,
            hear=lambda event: None,
            fail=lambda error: None,
        )
        return self.sender

    def end(self) -> None:
        self.transport.abort()
        assert self.receiver.ended_within(PATIENCE)
        assert self.sender is None or self.sender.ended_within(PATIENCE)


@pytest.fixture
def server() -> Iterator[Peer]:
    with peer() as server:
        yield server


Make = Callable[..., Rig]


@pytest.fixture
def make(server: Peer) -> Iterator[Make]:
    rigs: list[Rig] = []

    def build(url: str | None = None, **options: bool | int) -> Rig:
        rigs.append(Rig(url or server.url, **options))  # type: ignore[arg-type]
        return rigs[-1]

    yield build
    for rig in rigs:
        rig.end()


def test_it_dials_announces_and_passes_on_from_its_own_thread(make: Make, server: Peer) -> None:
    rig = make()
    assert rig.ear.next() == "linked"
    assert rig.ear.next() == "ready"
    server.call().send({"type": "error", "message": "hm"})
    assert rig.ear.next() == ServerError("hm")
    assert rig.ear.threads == {"voicews-receiver"}


def test_ready_waits_for_the_servers_word_and_comes_once(make: Make, server: Peer) -> None:
    rig = make(await_ready=True)
    assert rig.ear.next() == "linked"
    server.call().send("early")
    assert rig.ear.next() == Message("early")
    server.call().send({"type": "ready", "sample_rate": 8000})
    assert rig.ear.next() == "ready"
    server.call().send({"type": "ready", "sample_rate": 16000})
    server.call().send("late")
    assert rig.ear.next() == Message("late")


def test_nobody_there(make: Make) -> None:
    assert isinstance(make(f"ws://127.0.0.1:{unused_port()}").ear.end(), ConnectFailed)


def test_the_servers_close_is_echoed_and_told(make: Make, server: Peer) -> None:
    rig = make()
    server.call().close(4321, "enough")
    error = rig.ear.end()
    assert isinstance(error, ConnectionClosed)
    assert (error.code, error.reason, error.by_peer) == (4321, "enough", True)
    server.call().wait_until_over()
    assert server.call().close_code == 4321


def test_our_close_ends_without_an_error(make: Make, server: Peer) -> None:
    rig = make()
    assert rig.ear.next() == "linked"
    assert rig.ear.next() == "ready"
    assert rig.sender is not None
    rig.sender.close(1000)
    assert rig.ear.end() is None


def test_a_reset_is_a_close_without_a_frame(make: Make, server: Peer) -> None:
    rig = make()
    server.call().reset()
    error = rig.ear.end()
    assert isinstance(error, ConnectionClosed)
    assert error.code == 1006


@pytest.mark.parametrize(
    ("raw", "kind", "code"),
    [
        (b"\x81\x02\xc3\x28", RemoteProtocolError, 1007),
        (b"\xc1\x00", RemoteProtocolError, 1002),
        (b"\x82\x7f" + (1 << 31).to_bytes(8, "big"), MessageTooLarge, 1009),
    ],
)
def test_a_broken_frame_is_answered_with_its_code(
    make: Make, server: Peer, raw: bytes, kind: type[BaseException], code: int
) -> None:
    rig = make()
    server.call().link.socket.sendall(raw)
    assert isinstance(rig.ear.end(), kind)
    server.call().wait_until_over()
    assert server.call().close_code == code


@pytest.mark.parametrize(
    ("reason", "code", "answer"),
    [
        ("\u00dcberlastet, sp\u00e4ter".encode()[:16], 1011, 1011),
        ("sp\u00e4ter".encode("latin-1"), 1013, 1007),
        (b"why " * 50, 1012, 1002),
        (b"\xff\xfe", 1008, 1007),
    ],
)
def test_the_code_of_a_close_with_a_bad_reason_decides(
    make: Make, server: Peer, reason: bytes, code: int, answer: int
) -> None:
    rig = make()
    payload = code.to_bytes(2, "big") + reason
    size = bytes((len(payload),)) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2, "big")
    server.call().link.socket.sendall(b"\x88" + size + payload)
    error = rig.ear.end()
    assert isinstance(error, ConnectionClosed)
    assert error.code == code
    assert judge(error) is judge(ConnectionClosed(code))
    server.call().wait_until_over()
    assert server.call().close_code == answer


def test_an_error_that_ends_the_session_is_answered_with_a_close(make: Make, server: Peer) -> None:
    rig = make()
    server.call().send({"type": "error", "message": "no credit", "fatal": True})
    assert isinstance(rig.ear.end(), ServiceError)
    server.call().wait_until_over()
    assert server.call().close_code == 1000


def test_a_pong_tells_the_round_trip(make: Make, server: Peer) -> None:
    rig = make()
    assert rig.ear.next() == "linked"
    assert rig.sender is not None
    rig.sender.ping(ping_payload())
    server.call().send("after the pong")
    server.call().link.ping().wait(PATIENCE)
    server.call().send("later still")
    while rig.ear.next() != Message("later still"):
        continue
    rtt = rig.counters.last("rtt")
    assert rtt is not None
    assert 0 < rtt < PATIENCE


def test_an_unasked_pong_is_no_measure(make: Make, server: Peer) -> None:
    rig = make()
    server.call().link.pong(b"unasked")
    server.call().send("done")
    while rig.ear.next() != Message("done"):
        continue
    assert rig.counters.last("rtt") is None
