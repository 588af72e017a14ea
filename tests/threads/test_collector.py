"""Fetching answers where it can hold up nobody, and through the whole client."""

from __future__ import annotations

import dataclasses
import json
import queue
import threading
from collections.abc import Callable, Sequence

import pytest

from tests.fakes import EarSpeaker
from tests.line import Line, listening
from tests.patience import PATIENCE
from tests.peer import Call, peer
from voicews import Backoff, ClientConfig, ServerError, SoundOffered, State, VoiceClient, VoicewsError
from voicews.audio.silence import SilenceSource
from voicews.config import AudioFormat, Timeouts
from voicews.dialects import Plain, Session
from voicews.dialects.base import Fetch, Sound
from voicews.dialects.fetching import fetch
from voicews.errors import ConnectFailed, ServiceError, ThreadUnavailable, Unsupported
from voicews.events import AudioReceived, Event
from voicews.history import History
from voicews.threads import collector as module
from voicews.threads.collector import Collector
from voicews.tools import Tool

OFFER = SoundOffered("http://localhost/answer.wav", "audio/wav")
FORMAT = AudioFormat(8000)


class Rig:
    def __init__(self, fetch: Callable[[SoundOffered], Sound]) -> None:
        self.brought: queue.Queue[tuple[SoundOffered, Sound | VoicewsError]] = queue.Queue()
        self.fetch = fetch
        self.collector = Collector()

    def collect(self, offer: SoundOffered = OFFER) -> None:
        self.collector.collect(offer, lambda: self.fetch(offer), lambda *brought: self.brought.put(brought))

    def get(self) -> Sound | VoicewsError:
        offer, sound = self.brought.get(timeout=PATIENCE)
        assert offer == OFFER
        return sound


def test_sound_is_fetched_on_a_thread_of_its_own() -> None:
    threads = []

    def fetch(offer: SoundOffered) -> Sound:
        threads.append(threading.current_thread().name)
        return offer.url.encode(), FORMAT

    rig = Rig(fetch)
    rig.collect()
    assert rig.get() == (b"http://localhost/answer.wav", FORMAT)
    assert threads == ["voicews-fetch"]
    assert rig.collector.alive(PATIENCE) == []


@pytest.mark.parametrize(
    ("raised", "told"), [(ConnectFailed("gone"), ConnectFailed), (KeyError("bug"), ServiceError)]
)
def test_what_goes_wrong_is_told(raised: Exception, told: type[VoicewsError]) -> None:
    def fetch(offer: SoundOffered) -> Sound:
        raise raised

    rig = Rig(fetch)
    rig.collect()
    error = rig.get()
    assert type(error) is told
    assert raised in (error, getattr(error, "__cause__", None))
    assert rig.collector.alive(PATIENCE) == []


def test_not_too_many_at_once() -> None:
    going_on = threading.Event()

    def fetch(offer: SoundOffered) -> Sound:
        assert going_on.wait(PATIENCE)
        return b"", FORMAT

    rig = Rig(fetch)
    for _ in range(module._AT_ONCE + 1):
        rig.collect()
    assert isinstance(rig.get(), ServiceError)
    assert len(rig.collector.alive(0)) == module._AT_ONCE
    going_on.set()
    assert rig.collector.alive(PATIENCE) == []


def test_where_no_thread_is_left_it_is_told_and_tried_again_with_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig(lambda offer: (b"", FORMAT))
    with monkeypatch.context() as crowded:
        crowded.setattr(threading.Thread, "start", no_thread)
        for _ in range(module._AT_ONCE + 1):
            rig.collect()
            error = rig.get()
            assert isinstance(error, ThreadUnavailable)
            assert isinstance(error.__cause__, RuntimeError)
    assert rig.collector.alive(0) == []
    rig.collect()
    assert rig.get() == (b"", FORMAT)


def no_thread(self: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_by_default_there_is_nothing_to_fetch() -> None:
    with pytest.raises(Unsupported, match="Plain"):
        Plain("ws://localhost").collect(OFFER, fetch)
    assert Plain("ws://localhost").begin(None, History()).collected(OFFER, (b"", FORMAT)) == []


# -- the whole client ------------------------------------------------------------------------------


class Elsewhere(Session):
    """A session whose server says where its answers are."""

    def __init__(self) -> None:
        self._asked_to_end = self._done = False

    ready = True

    @property
    def finished(self) -> bool:
        return self._asked_to_end and self._done

    def send(self, command: object) -> None:
        pass

    def receive(self, message: str | bytes) -> list[Event]:
        return [SoundOffered(json.loads(message)["url"])]

    def collected(self, offer: SoundOffered, sound: Sound | VoicewsError) -> list[Event]:
        self._done = True
        if isinstance(sound, VoicewsError):
            return [ServerError(str(sound))]
        return [AudioReceived(*sound)]

    def messages_to_send(self) -> list[str | bytes]:
        return []

    def finish(self) -> None:
        self._asked_to_end = True


@dataclasses.dataclass(frozen=True, repr=False)
class Fetching(Plain):
    _: dataclasses.KW_ONLY
    fetcher: Callable[[str], bytes] | None = None

    def begin(self, previous: Session | None, history: History, tools: Sequence[Tool] = ()) -> Session:
        return Elsewhere()

    def collect(self, offer: SoundOffered, fetch: Fetch) -> Sound:
        if self.fetcher is None:
            return fetch(offer.url, {}), self.output_format
        return self.fetcher(offer.url), self.output_format


def test_the_answer_is_played_and_an_end_waits_for_it() -> None:
    going_on, asked = threading.Event(), threading.Event()

    def fetcher(url: str) -> bytes:
        asked.set()
        assert going_on.wait(PATIENCE)
        return b"\1\2" * 160

    speaker = EarSpeaker(speed=20.0)
    with peer() as server:
        voice = VoiceClient(
            Fetching(server.url, fetcher=fetcher), microphone=SilenceSource(), speaker=speaker
        )
        with voice:
            server.call().send('{"url": "http://localhost/answer"}')
            assert asked.wait(PATIENCE)
            closing = threading.Thread(target=voice.close, kwargs={"play_out": True})
            closing.start()
            closing.join(0.1)
            assert closing.is_alive(), "the last answer is still to come"
            going_on.set()
            closing.join(PATIENCE)
    assert b"\1\2" * 160 in bytes(speaker.written)


def test_a_fetch_that_fails_is_told() -> None:
    def fetcher(url: str) -> bytes:
        raise ConnectFailed("nobody there")

    config = ClientConfig(backoff=Backoff(max_attempts=0), timeouts=Timeouts(close=2.0))
    with peer() as server:
        voice = VoiceClient(
            Fetching(server.url, fetcher=fetcher),
            microphone=SilenceSource(),
            speaker=EarSpeaker(),
            config=config,
        )
        errors: queue.Queue[ServerError] = queue.Queue()
        voice.on(ServerError, errors.put)
        with voice:
            server.call().send('{"url": "http://localhost/answer"}')
            assert errors.get(timeout=PATIENCE).message == "nobody there"


class Trickle:
    """A server of a byte now and then: no single read is waited for long, and the last never comes."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._pause = threading.Event()

    def __call__(self, line: Line) -> None:
        line.read_head()
        self._asked.set()
        line.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not self._pause.wait(0.02):
            line.write(b"x")

    def fetching(self, call: Call, port: int) -> threading.Thread:
        """The thread that fetches an answer from here, once it is at it."""
        call.send(json.dumps({"url": f"http://127.0.0.1:{port}/"}))
        assert self._asked.wait(PATIENCE)
        [thread] = [one for one in threading.enumerate() if one.name == "voicews-fetch"]
        return thread


def test_a_close_waits_for_no_server_that_trickles() -> None:
    config = ClientConfig(backoff=Backoff(max_attempts=0), timeouts=Timeouts(close=1.0, fetch=PATIENCE))
    trickle = Trickle()
    with peer() as server, listening(trickle) as slow:
        voice = VoiceClient(
            Fetching(server.url), microphone=SilenceSource(), speaker=EarSpeaker(), config=config
        )
        with voice:
            thread = trickle.fetching(server.call(), slow.port)
        assert not thread.is_alive(), "close() raises ShutdownTimeout where one is left"


def test_a_lost_connection_ends_what_it_was_fetching() -> None:
    config = ClientConfig(backoff=Backoff(initial=0.01), timeouts=Timeouts(close=2.0, fetch=2 * PATIENCE))
    trickle = Trickle()
    with peer() as server, listening(trickle) as slow:
        voice = VoiceClient(
            Fetching(server.url), microphone=SilenceSource(), speaker=EarSpeaker(), config=config
        )
        with voice:
            call = server.call()
            thread = trickle.fetching(call, slow.port)
            call.cut()
            thread.join(PATIENCE)
            assert not thread.is_alive()


def test_where_no_thread_can_fetch_the_conversation_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def start_others(self: threading.Thread) -> None:
        (no_thread if self.name == "voicews-fetch" else start)(self)

    config = ClientConfig(backoff=Backoff(max_attempts=0), timeouts=Timeouts(close=2.0))
    with peer() as server:
        voice = VoiceClient(
            Fetching(server.url, fetcher=str.encode),
            microphone=SilenceSource(),
            speaker=EarSpeaker(),
            config=config,
        )
        errors: queue.Queue[ServerError] = queue.Queue()
        voice.on(ServerError, errors.put)
        with voice, monkeypatch.context() as crowded:
            crowded.setattr(threading.Thread, "start", start_others)
            for _ in range(2):
                server.call().send('{"url": "http://localhost/answer"}')
                assert "voicews-fetch cannot be had" in errors.get(timeout=PATIENCE).message
            assert voice.state is State.CONNECTED
