"""Whatever a thread's clean-up raises, the client learns that the thread has ended, and comes to an end.

Each step that some thread takes when it ends raises in turn, once after it was done and once instead.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.peer import PATIENCE, peer
from voicews import Backoff, ClientConfig, State, StateChanged, Timeouts, VoiceClient, VoicewsError
from voicews.audio.silence import NullSink, SilenceSource
from voicews.buffers import DropOldestQueue
from voicews.dialects import Plain
from voicews.dialects.fetching import Fetcher
from voicews.threads.callbacks import Callbacks, Handlers
from voicews.threads.capture import Capture
from voicews.threads.collector import Collector
from voicews.threads.connection import Connection
from voicews.threads.devices import Devices
from voicews.threads.drops import Drops
from voicews.threads.player import Player
from voicews.threads.receiver import Receiver
from voicews.threads.reopening import Reopening
from voicews.threads.sender import Sender
from voicews.threads.statistics import Statistics
from voicews.threads.supervisor import Supervisor
from voicews.threads.toolbox import Toolbox
from voicews.threads.worker import Worker, each
from voicews.transport import Transport
from voicews.wire import Wire

pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning",
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)

CONFIG = ClientConfig(timeouts=Timeouts(close=2.0), backoff=Backoff(initial=0.01))


class Broken(Exception):
    """What no step is known to raise."""


class Breaking:
    """Makes a method raise, from the moment on that the test says."""

    def __init__(self, owner: type, name: str, done: bool) -> None:
        self.on = False
        self.raised = threading.Event()
        original = getattr(owner, name)

        def step(*args: Any, **options: Any) -> Any:
            result = original(*args, **options) if done or not self.on else None
            if self.on:
                self.raised.set()
                raise Broken(f"{owner.__name__}.{name}")
            return result

        self.step = step


Break = Callable[[type, str, bool], Breaking]


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> Break:
    def make(owner: type, name: str, done: bool) -> Breaking:
        one = Breaking(owner, name, done)
        monkeypatch.setattr(owner, name, one.step)
        return one

    return make


def sockets() -> dict[int, socket.socket]:
    return {id(one): one for one in gc.get_objects() if issubclass(type(one), socket.socket)}


@pytest.fixture(autouse=True)
def nothing_for_later_tests() -> Iterator[None]:
    """A socket that a step did not give back is closed here: collected later, it would fail another test."""
    before = sockets()
    yield
    for number, one in sockets().items():
        if number not in before:
            one.close()
    gc.collect()


def client(server: Any, **options: Any) -> VoiceClient:
    return VoiceClient(server, microphone=SilenceSource(), speaker=NullSink(), config=CONFIG, **options)


def ended(voice: VoiceClient) -> BaseException | None:
    """What the run ended with, once it is known to have ended."""
    try:
        assert voice.wait(PATIENCE), f"still {voice.state.name}"
    except (Broken, VoicewsError) as error:
        return error
    return None


OF_A_LOST_LINK = [
    (Transport, "abort"),
    (Transport, "close"),
    (Wire, "abort"),
    (Wire, "close"),
    (Wire, "_discard"),
    (Sender, "stop"),
    (Sender, "failed"),
    (Sender, "ended_within"),
    (Receiver, "_release"),
    (Receiver, "_give_back"),
    (Connection, "ended"),
    (Connection, "_one_error"),
    (Connection, "_sender_failed"),
    (Fetcher, "abort"),
    (Plain, "classify"),
]


@pytest.mark.parametrize("done", [True, False], ids=["after", "instead"])
@pytest.mark.parametrize(("owner", "name"), OF_A_LOST_LINK, ids=lambda part: getattr(part, "__name__", part))
@pytest.mark.keeps("what a step that was not taken would have given back")
def test_after_a_lost_link_the_client_reconnects_or_fails(
    breaking: Break, owner: type, name: str, done: bool
) -> None:
    step = breaking(owner, name, done)
    with peer() as server:
        voice = client(server.url)
        voice.open()
        with voice.events(StateChanged) as changes:
            step.on = True
            server.call().reset()
            # Never "connected" for ever: the loss is told, and what follows from it.
            assert changes.get(PATIENCE).new in (State.RECONNECTING, State.CLOSING)
            step.on = False
            with contextlib.suppress(TimeoutError, VoicewsError, Broken):
                voice.wait_for(State.CONNECTED, 5.0)
            assert voice.state in (State.CONNECTED, State.CLOSING, State.FAILED)
        with contextlib.suppress(VoicewsError):
            voice.close()
        ended(voice)
        assert voice.state.ended


OF_A_CLOSE = [
    *OF_A_LOST_LINK,
    (Capture, "stop"),
    (Capture, "_end"),
    (Capture, "_give_back"),
    (Player, "finish"),
    (Player, "_end"),
    (Player, "_give_back"),
    (Reopening, "finish"),
    (SilenceSource, "close"),
    (NullSink, "close"),
    (Callbacks, "finish"),
    (Connection, "close"),
    (DropOldestQueue, "shutdown"),
    (DropOldestQueue, "drain"),
    (Devices, "alive"),
    (Toolbox, "alive"),
    (Collector, "alive"),
    (Drops, "tell"),
    (Statistics, "end"),
    (Statistics, "bytes_passed"),
    (Supervisor, "_say_goodbye"),
    (Supervisor, "_part_with"),
    (Supervisor, "_forget_connection"),
    (Supervisor, "_tell_undelivered"),
    (Supervisor, "_empty_outbox"),
    (Supervisor, "_end_connection"),
    (Supervisor, "_end_player"),
    (Supervisor, "_look_for_survivors"),
]


@pytest.mark.parametrize("done", [True, False], ids=["after", "instead"])
@pytest.mark.parametrize(("owner", "name"), OF_A_CLOSE, ids=lambda part: getattr(part, "__name__", part))
@pytest.mark.keeps("what a step that was not taken would have given back")
def test_a_close_ends_whatever_one_of_its_steps_raises(
    breaking: Break, owner: type, name: str, done: bool
) -> None:
    step, before = breaking(owner, name, done), set(threading.enumerate())
    with peer() as server:
        voice = client(server.url)
        voice.open()
        step.on = True
        began = time.monotonic()
        with contextlib.suppress(VoicewsError):
            voice.close()
        ended(voice)
        took = time.monotonic() - began
        step.on = False
        assert voice.state.ended
        assert took < 2 * CONFIG.timeouts.close + 3.0
    left = {
        thread.name for thread in set(threading.enumerate()) - before if thread.name.startswith("voicews-")
    }
    assert not done or not left, left


@pytest.mark.parametrize(
    ("owner", "name"), [(SilenceSource, "read"), (NullSink, "pending"), (Handlers, "matching")]
)
def test_a_thread_that_ends_by_itself_ends_the_run(breaking: Break, owner: type, name: str) -> None:
    """Nobody would hear, or be heard, or be told anything any more."""
    step = breaking(owner, name, False)
    with peer() as server:
        voice = client(server.url)
        voice.open()
        step.on = True
        server.call().send('{"type": "response_started"}')
        server.call().send(bytes(6400))
        assert step.raised.wait(PATIENCE)
        error = ended(voice)
        step.on = False
        assert isinstance(error, Broken)
        assert voice.state is State.FAILED


def test_even_where_what_tells_of_the_failure_fails_too(breaking: Break) -> None:
    reading, telling = breaking(SilenceSource, "read", False), breaking(Capture, "failed", False)
    with peer() as server:
        voice = client(server.url)
        voice.open()
        reading.on = telling.on = True
        assert isinstance(ended(voice), Broken)


@pytest.mark.parametrize("option", [socket.SO_LINGER, None], ids=["setsockopt", "close"])
def test_a_socket_that_refuses_to_be_given_back(monkeypatch: pytest.MonkeyPatch, option: int | None) -> None:
    """macOS answers EINVAL to options of a socket that was shut down; a close can tell a late ECONNRESET."""

    class Refusing(socket.socket):
        def setsockopt(self, *args: Any) -> None:
            if args[1] == option and threading.current_thread().name.startswith("voicews-"):
                raise OSError(errno.EINVAL, "Invalid argument")
            super().setsockopt(*args)

        def close(self) -> None:
            super().close()
            if option is None and threading.current_thread().name.startswith("voicews-"):
                raise OSError(errno.ECONNRESET, "Connection reset by peer")

    with peer() as server:
        monkeypatch.setattr("voicews.wire.socket.socket", Refusing)
        with client(server.url) as voice:
            server.call().reset()
            server.call(2).wait_for_audio()
            voice.wait_for(State.CONNECTED, PATIENCE)
            assert voice.stats().reconnects == 1


def test_all_steps_are_taken_and_all_failures_are_told(caplog: pytest.LogCaptureFixture) -> None:
    taken: list[str] = []

    def fail(what: str) -> None:
        taken.append(what)
        raise Broken(what)

    with pytest.raises(Broken, match="first"):
        each(lambda: fail("first"), lambda: taken.append("between"), lambda: fail("second"))
    assert taken == ["first", "between", "second"]
    assert "Broken: second" in caplog.text


def test_the_owner_is_told_even_if_the_thread_fails_to_fail() -> None:
    class Owner(Worker):
        def __init__(self) -> None:
            super().__init__("owner")
            self.told: list[Worker] = []

        def work(self) -> None: ...

        def left(self, worker: Worker) -> None:
            self.told.append(worker)

    class Child(Worker):
        def work(self) -> None:
            raise Broken

        def failed(self, error: BaseException) -> None:
            raise Broken("here too")

    owner, child = Owner(), Child("child")
    child.home = owner
    child.start()
    assert child.ended_within(PATIENCE)
    assert owner.told == [child]
