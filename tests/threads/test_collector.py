"""Fetching answers where it can hold up nobody, and through the whole client."""

from __future__ import annotations

import dataclasses
import json
import queue
import threading
from collections.abc import Callable, Sequence

import pytest

from tests.fakes import EarSpeaker
from tests.peer import PATIENCE, peer
from voicews import Backoff, ClientConfig, ServerError, SoundOffered, VoiceClient, VoicewsError
from voicews.audio.silence import SilenceSource
from voicews.config import AudioFormat, Timeouts
from voicews.dialects import Plain, Session
from voicews.dialects.base import Sound
from voicews.errors import ConnectFailed, ServiceError, Unsupported
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
        self.collector = Collector(fetch)

    def collect(self, offer: SoundOffered = OFFER) -> None:
        self.collector.collect(offer, lambda *brought: self.brought.put(brought))

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


def test_by_default_there_is_nothing_to_fetch() -> None:
    with pytest.raises(Unsupported, match="Plain"):
        Plain("ws://localhost").collect(OFFER)
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
    fetcher: Callable[[str], bytes] = str.encode

    def begin(self, previous: Session | None, history: History, tools: Sequence[Tool] = ()) -> Session:
        return Elsewhere()

    def collect(self, offer: SoundOffered) -> Sound:
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
