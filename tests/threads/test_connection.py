"""One connection: it ends once, with the error of whoever knows most."""

from __future__ import annotations

import dataclasses
import queue
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.line import Line, listening
from tests.patience import PATIENCE
from tests.peer import Peer, peer, unused_port
from voicews.buffers import DropOldestQueue
from voicews.commands import Command
from voicews.config import AudioFormat, ClientConfig
from voicews.dialects import Plain
from voicews.dialects.base import Fetch, Request
from voicews.errors import (
    ConnectFailed,
    ConnectionClosed,
    KeepaliveTimeout,
    ServiceError,
    SessionExpired,
    VoicewsError,
)
from voicews.events import Event, SoundOffered
from voicews.history import History
from voicews.stats import Counters
from voicews.threads.collector import Collector
from voicews.threads.connection import Connection, Ended, Linked, News, Ready


class Rig:
    def __init__(self, dialect: Plain) -> None:
        self.news: queue.Queue[News] = queue.Queue()
        self.heard: queue.Queue[tuple[Event, int]] = queue.Queue()
        self.connection = Connection(
            7,
            dialect,
            dialect.begin(None, History()),
            ClientConfig(),
            outbox=DropOldestQueue[Command](10),
            counters=Counters(),
            collector=Collector(),
            tell=self.news.put,
            hear=lambda event, generation: self.heard.put((event, generation)),
            sending=lambda command: None,
            sent=lambda command, at: None,
            refused=lambda command: None,
        )
        self.connection.start()

    def end(self) -> BaseException | None:
        while True:
            news = self.news.get(timeout=PATIENCE)
            assert news.generation == 7
            if isinstance(news, Ended):
                return news.error


Make = Callable[[Plain], Rig]


@pytest.fixture
def server() -> Iterator[Peer]:
    with peer() as server:
        yield server


@pytest.fixture
def make() -> Iterator[Make]:
    rigs: list[Rig] = []

    def build(dialect: Plain) -> Rig:
        rigs.append(Rig(dialect))
        return rigs[-1]

    yield build
    for rig in rigs:
        rig.connection.abort()
        assert rig.connection.ended_within(PATIENCE)
        assert rig.connection.alive() == []


def test_it_tells_its_life_and_numbers_what_it_hears(make: Make, server: Peer) -> None:
    rig = make(Plain(server.url))
    assert rig.news.get(timeout=PATIENCE) == Linked(7)
    assert rig.news.get(timeout=PATIENCE) == Ready(7)
    server.call().send("hello")
    assert rig.heard.get(timeout=PATIENCE)[1] == 7
    assert rig.connection.last_received > 0
    assert rig.connection.bytes_received > 0
    server.call().close(1001)
    error = rig.end()
    assert isinstance(error, ConnectionClosed)
    assert error.code == 1001
    assert rig.news.empty()


def test_a_named_cause_goes_before_what_the_threads_meet(make: Make, server: Peer) -> None:
    rig = make(Plain(server.url))
    rig.news.get(timeout=PATIENCE)
    cause = KeepaliveTimeout("silence")
    rig.connection.abort(cause)
    rig.connection.abort(ConnectionClosed(1006))
    assert rig.end() is cause


def test_abort_before_and_while_dialling(make: Make) -> None:
    dialling, go_on = threading.Event(), threading.Event()

    class Slow(Plain):
        def request(self) -> Request:
            dialling.set()
            go_on.wait(PATIENCE)
            return super().request()

    rig = make(Slow(f"ws://127.0.0.1:{unused_port()}"))
    assert dialling.wait(PATIENCE)
    rig.connection.abort()
    go_on.set()
    assert isinstance(rig.end(), ConnectionClosed)


def test_an_abort_ends_what_a_request_fetches(make: Make) -> None:
    """The first address of a private agent comes over HTTP, from a server that may say nothing for ever."""
    asked = threading.Event()

    def say_nothing(line: Line) -> None:
        asked.set()
        line.wait_for_end()

    class Asking(Plain):
        def prepare(self, fetch: Fetch) -> Request:
            fetch(self.url.replace("ws", "http"), {})
            return self.request()

    with listening(say_nothing) as silent:
        rig = make(Asking(f"ws://127.0.0.1:{silent.port}"))
        assert asked.wait(PATIENCE)
        rig.connection.abort()
        assert isinstance(rig.end(), ConnectionClosed)


def test_a_request_that_raises_is_a_failed_connect(make: Make) -> None:
    class Broken(Plain):
        def request(self) -> Request:
            raise KeyError("token")

    error = make(Broken("ws://localhost")).end()
    assert isinstance(error, ConnectFailed)
    assert isinstance(error.__cause__, KeyError)


def test_a_dialect_may_say_what_an_error_means(make: Make, server: Peer) -> None:
    @dataclasses.dataclass(frozen=True, repr=False)
    class Strict(Plain):
        def classify(self, error: VoicewsError) -> VoicewsError:
            if isinstance(error, ConnectionClosed) and error.code == 4001:
                return ServiceError("bad key", code=4001, fatal=True)
            return error

    rig = make(Strict(server.url))
    server.call().close(4001)
    error = rig.end()
    assert isinstance(error, ServiceError)
    assert error.fatal


def test_a_session_may_say_what_its_end_means(make: Make, server: Peer) -> None:
    """It knows what was said before; the dialect has the last word."""
    rig = make(Plain(server.url))
    session = rig.connection.session
    session.classify = lambda error: SessionExpired(f"after {type(error).__name__}")  # type: ignore[method-assign]
    server.call().close(4001)
    error = rig.end()
    assert isinstance(error, SessionExpired)
    assert str(error) == "after ConnectionClosed"


def test_the_servers_own_word_goes_before_a_broken_pipe(make: Make, server: Peer) -> None:
    """A server that says why and hangs up may break the sender's pipe first."""
    rig = make(Plain(server.url))
    assert rig.news.get(timeout=PATIENCE) == Linked(7)
    rig.connection._sender_failed(ConnectionClosed(1006, message="broken pipe"))
    server.call().close(1013, "later")
    error = rig.end()
    assert isinstance(error, ConnectionClosed)
    assert error.code == 1013


def test_a_dialect_that_fails_to_classify_does_not_keep_the_connection_alive(
    make: Make, server: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Plain):
        def classify(self, error: VoicewsError) -> VoicewsError:
            raise KeyError("bug")

    rig = make(Failing(server.url))
    server.call().close(1001)
    error = rig.end()
    assert isinstance(error, ConnectionClosed)
    assert "classify() failed" in caplog.text


def test_what_was_fetched_comes_too_late_for_a_connection_that_is_over(make: Make, server: Peer) -> None:
    rig = make(Plain(server.url))
    server.call().close(1001)
    rig.end()
    rig.connection._collected(SoundOffered("http://localhost/"), (b"", AudioFormat()))
    assert rig.heard.empty()


def test_nobody_hears_what_is_said_to_an_aborted_connection(make: Make, server: Peer) -> None:
    rig = make(Plain(server.url))
    assert rig.news.get(timeout=PATIENCE) == Linked(7)
    rig.connection.abort()
    rig.connection.heard(SoundOffered("http://localhost/"))
    assert rig.heard.empty()
    rig.end()
