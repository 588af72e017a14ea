"""What `stats()` and `Stats` events tell, of real clients and a real server."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes import EarSpeaker, HandMicrophone
from tests.patience import PATIENCE
from tests.peer import Peer, peer
from voicews import (
    AudioReceived,
    Backoff,
    Buffers,
    ClientConfig,
    Connected,
    Event,
    FramesDropped,
    Interrupted,
    Message,
    State,
    Stats,
    Timeouts,
    VoiceClient,
)


@pytest.fixture
def server() -> Iterator[Peer]:
    with peer() as running:
        yield running


def client(server: Peer, **settings: Any) -> VoiceClient:
    settings = {"backoff": Backoff(initial=0.05, jitter=0.0), **settings}
    return VoiceClient(
        server.url, microphone=HandMicrophone(), speaker=EarSpeaker(), config=ClientConfig(**settings)
    )


def test_nothing_has_happened_yet(server: Peer) -> None:
    with client(server, timeouts=Timeouts(ping_interval=None)) as voice:
        stats = voice.stats()
    assert isinstance(stats, Stats)
    assert (stats.connections, stats.reconnects, stats.outage) == (1, 0, 0.0)
    assert (stats.frames_received, stats.sound_received, stats.playback_ms) == (0, 0, 0)
    assert {stats.rtt, stats.rtt_min, stats.rtt_median, stats.rtt_p95} == {None}
    assert {stats.response, stats.response_median, stats.response_p95} == {None}
    assert dict(stats.playback_dropped) == dict(stats.events_dropped) == {}


def test_sound_that_comes_is_counted_in_frames_and_in_seconds(server: Peer) -> None:
    with client(server) as voice, voice.events(AudioReceived) as sound:
        for _ in range(3):
            server.call().send(bytes(3200))
        for _ in range(3):
            sound.get(PATIENCE)
        assert voice.stats().frames_received == 3
        assert voice.stats().sound_received == pytest.approx(0.3)


def test_round_trips_have_a_least_a_median_and_a_tail(server: Peer) -> None:
    config = {"timeouts": Timeouts(ping_interval=0.01), "stats_interval": 0.1}
    with client(server, **config) as voice, voice.events(Stats) as told:
        stats = next(stats for stats in told if stats.rtt_p95 is not None)
    assert 0 < stats.rtt_min <= stats.rtt_median <= stats.rtt_p95  # type: ignore[operator]
    assert stats.rtt is not None


def test_the_depth_of_the_outbox_is_told_in_milliseconds(server: Peer) -> None:
    config = {"backoff": Backoff(initial=30, jitter=0.0), "stats_interval": 0.1}
    with client(server, **config) as voice, voice.events(Stats) as told:
        server.call().cut()
        stats = next(stats for stats in told if stats.frames_waiting)
    assert stats.outbox_ms == pytest.approx(stats.frames_waiting * 20)


def test_a_text_that_waits_is_no_sound(server: Peer) -> None:
    config = {"backoff": Backoff(initial=30, jitter=0.0), "buffers": Buffers(outbox=0.1)}
    with client(server, **config) as voice:
        server.call().cut()
        voice.wait_for(State.RECONNECTING, PATIENCE)
        for number in range(5):
            voice.send_text(f"text {number}")
        stats = voice.stats()
    assert (stats.frames_waiting, stats.outbox_ms) == (0, 0.0)


def test_sound_that_waits_and_sound_that_was_silenced(server: Peer) -> None:
    sound, interruptions = queue.Queue[Event](), queue.Queue[Event]()
    voice = client(server)
    voice.on(AudioReceived, sound.put)
    voice.on(Interrupted, interruptions.put)
    with voice:
        server.call().send(bytes(320000))
        sound.get(timeout=PATIENCE)
        assert 0 < voice.stats().playback_ms <= 10000
        voice.interrupt()
        interruptions.get(timeout=PATIENCE)
        stats = voice.stats()
    assert stats.playback_ms == 0
    assert stats.playback_dropped["cleared"] > 0
    assert set(stats.frames_dropped) <= {"unsent"}, "it is the server's sound that was dropped, not ours"


def test_an_outage_lasts_from_the_loss_to_the_next_session(server: Peer) -> None:
    with client(server, backoff=Backoff(initial=0.3, jitter=0.0)) as voice:
        before = voice.stats()
        server.call().cut()
        voice.wait_for(State.RECONNECTING, PATIENCE)
        during = voice.stats()
        voice.wait_for(State.CONNECTED, PATIENCE)
        after, later = voice.stats(), voice.stats()
    assert (before.outage, before.reconnects) == (0.0, 0)
    assert 0 < during.outage < after.outage
    assert during.reconnects == 0
    assert after.outage >= 0.3
    assert later.outage == after.outage == voice.stats().outage
    assert (after.reconnects, after.connections) == (1, 2)
    assert after.bytes_sent >= during.bytes_sent >= before.bytes_sent > 0


def test_an_outage_that_outlasts_the_run_ends_with_it(server: Peer) -> None:
    with client(server, backoff=Backoff(initial=30, jitter=0.0)) as voice:
        server.call().cut()
        voice.wait_for(State.RECONNECTING, PATIENCE)
    assert voice.stats().outage == voice.stats().outage > 0


def test_a_conversation_that_the_server_ends_well_has_no_outage(server: Peer) -> None:
    voice = client(server)
    voice.open()
    server.call().close(1000)
    assert voice.wait(PATIENCE)
    assert voice.stats().outage == 0
    voice.close()


# -- from the end of speech to the first sound --------------------------------------------------------


def spoken(server: Peer, voice: VoiceClient, *messages: dict[str, Any] | bytes) -> Stats:
    """What the figures are once all of this has been heard."""
    call = server.call()
    with voice.events(Message) as answers:
        for message in messages:
            call.send(message)
        call.send({"type": "the end of it"})
        answers.get(PATIENCE)
    return voice.stats()


STOPPED = {"type": "speech_stopped"}


def test_only_the_first_sound_counts(server: Peer) -> None:
    with client(server) as voice:
        stats = spoken(server, voice, STOPPED, bytes(640), bytes(640))
        again = spoken(server, voice, bytes(640))
    assert stats.response == stats.response_median == stats.response_p95 == again.response
    assert stats.response is not None
    assert 0 <= stats.response < PATIENCE


def test_a_user_who_speaks_on_has_not_been_answered(server: Peer) -> None:
    with client(server) as voice:
        stats = spoken(server, voice, STOPPED, {"type": "speech_started"}, bytes(640))
        assert stats.response is None
        assert spoken(server, voice, STOPPED, bytes(640)).response is not None


def test_the_answer_to_a_text_is_not_one_to_speech(server: Peer) -> None:
    with client(server) as voice:
        spoken(server, voice, STOPPED)
        voice.send_text("And now in writing")
        server.call().wait_for_text("text")
        assert spoken(server, voice, bytes(640)).response is None


def test_a_lost_connection_takes_its_turn_with_it(server: Peer) -> None:
    with client(server) as voice:
        spoken(server, voice, STOPPED)
        with voice.events(Connected) as connections:
            server.call().cut()
            connections.get(PATIENCE)
        with voice.events(Message) as answers:
            server.call(2).send(bytes(640))
            server.call(2).send({"type": "the end of it"})
            answers.get(PATIENCE)
        assert voice.stats().response is None


# -- as events ----------------------------------------------------------------------------------------


def test_figures_come_by_themselves_where_that_is_wished(server: Peer) -> None:
    heard: queue.Queue[tuple[Stats, str]] = queue.Queue()
    voice = client(server, stats_interval=0.1)
    voice.on(Stats, lambda stats: heard.put((stats, threading.current_thread().name)))
    with voice:
        told = [heard.get(timeout=PATIENCE) for _ in range(3)]
    assert {thread for _, thread in told} == {"voicews-callbacks"}
    times = [stats.seconds for stats, _ in told]
    assert times == sorted(set(times))
    assert times[0] >= 0.1
    assert voice.stats().seconds >= times[-1]


def test_they_also_come_while_there_is_no_connection(server: Peer) -> None:
    config = {"backoff": Backoff(initial=30, jitter=0.0), "stats_interval": 0.1}
    with client(server, **config) as voice, voice.events(Stats) as told:
        server.call().cut()
        assert next(stats for stats in told if stats.outage > 0.1).reconnects == 0


def test_nobody_who_did_not_ask_gets_them(server: Peer) -> None:
    heard: list[Event] = []
    voice = client(server)
    voice.on(Event, heard.append)
    with voice:
        spoken(server, voice, {"type": "speech_started"})
    assert not [event for event in heard if isinstance(event, Stats)]


def test_a_slow_callback_misses_some_and_that_is_counted(server: Peer) -> None:
    """Nothing but figures waits in line, so nothing else can have been dropped."""
    busy, free = threading.Event(), threading.Event()

    def dawdle(_: Connected) -> None:
        busy.set()
        assert free.wait(PATIENCE)

    voice = client(
        server,
        stats_interval=0.1,
        slow_callback=PATIENCE,
        buffers=Buffers(events=10),
    )
    voice.on(Connected, dawdle)
    voice.on(Stats, lambda: None)
    with voice:
        assert busy.wait(PATIENCE)
        with voice.events(Stats) as told:
            late = next(stats for stats in told if stats.events_dropped)
        assert late.events_dropped["overflow"] >= 1
        assert late.events_waiting == 10
        with voice.events(FramesDropped) as drops:
            drop = drops.get(PATIENCE)
        free.set()
    assert (drop.buffer, drop.cause) == ("events", "overflow")


def test_a_run_begins_anew(server: Peer) -> None:
    with client(server) as voice:
        assert spoken(server, voice, bytes(640)).frames_received == 1
    with voice:
        assert voice.stats().frames_received == 0
