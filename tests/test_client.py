"""The client as users meet it, against a real WebSocket peer."""

from __future__ import annotations

import builtins
import contextlib
import errno
import queue
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import voicews
from tests.fakes import EarSpeaker, HandMicrophone
from tests.patience import PATIENCE
from tests.peer import Peer, peer, unused_port
from voicews import (
    AudioFormat,
    BackendFallback,
    Backoff,
    Buffers,
    CallbackError,
    CaptureFinished,
    ClientConfig,
    ConfigError,
    Connected,
    ConnectFailed,
    ConnectionClosed,
    DeviceNotFound,
    Disconnected,
    Event,
    HandshakeRejected,
    Interrupted,
    InvalidState,
    KeepaliveTimeout,
    Message,
    OutboxFull,
    PlaybackFinished,
    PlaybackStarted,
    ReconnectFailed,
    Reconnecting,
    ResponseDone,
    ResponseStarted,
    State,
    StateChanged,
    ThreadUnavailable,
    Timeouts,
    Token,
    Transcript,
    Turn,
    Undelivered,
    Unsupported,
    VoiceClient,
)
from voicews.audio import Microphone
from voicews.audio.silence import NullSink, SilenceSource
from voicews.commands import Command, InterruptResponse, SendMessage, SendText
from voicews.dialects import Plain
from voicews.testing import FaultServer
from voicews.threads.supervisor import Supervisor

QUICK = ClientConfig(backoff=Backoff(initial=0.01, jitter=0.0, max_attempts=3))


class Diary:
    """All events of a client, to wait for and look at."""

    def __init__(self, voice: VoiceClient) -> None:
        self.events: list[Event] = []
        self.news = threading.Condition()
        voice.on(Event, self.note)

    def note(self, event: Event) -> None:
        with self.news:
            self.events.append(event)
            self.news.notify_all()

    def of(self, kind: type[Event]) -> list[Any]:
        with self.news:
            return [event for event in self.events if isinstance(event, kind)]

    def wait_for(self, kind: type[Event], count: int = 1) -> Any:
        with self.news:
            there = self.news.wait_for(lambda: len(self.of(kind)) >= count, PATIENCE)
            assert there, f"no {kind.__name__} number {count} in {self.events!r}"
            return self.of(kind)[count - 1]


@pytest.fixture
def server() -> Iterator[Peer]:
    with peer() as server:
        yield server


def quiet(server: Peer | str, **options: Any) -> VoiceClient:
    """A client without sound devices."""
    url = server if isinstance(server, str) else server.url
    options.setdefault("microphone", SilenceSource())
    options.setdefault("speaker", NullSink())
    options.setdefault("config", QUICK)
    return VoiceClient(options.pop("dialect", url), **options)


# -- sound there and back ----------------------------------------------------------------------


def test_captured_frames_reach_the_server_unchanged_and_in_order(server: Peer) -> None:
    frames = [bytes([n, 1] * 320) for n in range(50)]
    with quiet(server, microphone=HandMicrophone(list(frames))):
        heard = server.call().wait_for_audio(50 * 640)
    assert heard[: 50 * 640] == b"".join(frames)


def test_received_sound_reaches_the_speaker_unchanged_and_in_order(server: Peer) -> None:
    speaker = EarSpeaker(speed=50)
    sound = bytes(range(256)) * 200
    with quiet(server, speaker=speaker) as voice:
        diary = Diary(voice)
        call = server.call()
        for start in range(0, len(sound), 1500):
            call.send(sound[start : start + 1500])
        assert speaker.wait_for(len(sound)) == sound
        assert diary.wait_for(PlaybackFinished).heard_ms == pytest.approx(1600, abs=2)
        kinds = [type(e) for e in diary.events if isinstance(e, PlaybackStarted | PlaybackFinished)]
        assert kinds[0] is PlaybackStarted


def test_the_speaker_is_reopened_when_the_server_names_another_rate(server: Peer) -> None:
    speaker = EarSpeaker(speed=50)
    with quiet(server, speaker=speaker):
        call = server.call()
        call.send({"type": "ready", "sample_rate": 24000})
        call.send(bytes(4800))
        speaker.wait_for(4800)
    assert [opened.rate for opened in speaker.opened] == [16000, 24000]


def test_each_device_is_used_by_its_own_thread_only(server: Peer) -> None:
    microphone, speaker = HandMicrophone(), EarSpeaker(speed=50)
    with quiet(server, microphone=microphone, speaker=speaker):
        server.call().send(bytes(640))
        speaker.wait_for(640)
    assert microphone.threads == {"voicews-capture"}
    assert speaker.threads == {"voicews-player"}
    assert microphone.closed
    assert speaker.closed


def test_a_muted_microphone_sends_silence(server: Peer) -> None:
    with quiet(server, microphone=HandMicrophone([b"\x01\x02" * 320] * 5)) as voice:
        assert not voice.muted
        server.call().wait_for_audio(5 * 640)
    microphone = HandMicrophone([b"\x01\x02" * 320] * 5)
    voice = quiet(server, microphone=microphone)
    voice.mute()
    with voice:
        assert server.call(2).wait_for_audio(5 * 640) == bytes(len(server.call(2).audio))


def test_after_the_end_of_a_file_silence_follows(server: Peer) -> None:
    frame = b"\x01\x02" * 320
    with quiet(server, microphone=HandMicrophone([frame], endless=False)) as voice:
        diary = Diary(voice)
        heard = server.call().wait_for_audio(4 * 640)
        assert heard[:640] == frame
        assert set(heard[640 : 4 * 640]) == {0}
    assert len(diary.of(CaptureFinished)) <= 1


def test_push_to_talk_says_when_a_turn_begins_and_ends(server: Peer) -> None:
    config = ClientConfig(push_to_talk=True)
    with quiet(server, microphone=HandMicrophone([b"\x01\x02" * 320] * 3), config=config) as voice:
        assert voice.muted
        voice.start_talking()
        assert not voice.muted
        server.call().wait_for_text("start_of_turn")
        voice.stop_talking()
        server.call().wait_for_text("end_of_turn")
        assert voice.muted


# -- being told ---------------------------------------------------------------------------------


def test_what_the_server_says_is_heard_in_order(server: Peer) -> None:
    with quiet(server) as voice:
        diary = Diary(voice)
        call = server.call()
        call.send({"type": "transcript", "role": "user", "text": "hello", "final": True})
        call.send({"type": "response_started"})
        call.send({"type": "token", "text": "Hi "})
        call.send({"type": "token", "text": "there"})
        call.send({"type": "response_done"})
        call.send({"type": "weather", "sun": True})
        diary.wait_for(Message)
        said = [e for e in diary.events if isinstance(e, Transcript | Token | ResponseStarted | ResponseDone)]
        assert said == [
            Transcript("user", "hello"),
            ResponseStarted(),
            Token("Hi "),
            Token("there"),
            Transcript("assistant", "Hi there"),
            ResponseDone(),
        ]
        assert diary.of(Message)[0].data == {"type": "weather", "sun": True}
        assert voice.history.turns == (Turn("user", "hello"), Turn("assistant", "Hi there"))


def test_callbacks_run_on_their_own_thread_one_after_the_other(server: Peer) -> None:
    threads = set()
    with quiet(server) as voice:
        voice.on(Message, lambda: threads.add(threading.current_thread().name))
        diary = Diary(voice)
        server.call().send({"a": 1})
        diary.wait_for(Message)
    assert threads == {"voicews-callbacks"}


def test_a_callback_that_raises_is_reported_and_survived(server: Peer) -> None:
    def bad(event: Event) -> None:
        raise ValueError("oh dear")

    with quiet(server) as voice:
        voice.on(Message, bad)
        diary = Diary(voice)
        server.call().send({"a": 1})
        server.call().send({"a": 2})
        diary.wait_for(CallbackError, 2)
        error = diary.of(CallbackError)[0]
    assert isinstance(error.error, ValueError)
    assert "bad" in error.callback
    assert error.event == Message({"a": 1})
    assert voice.state is State.CLOSED


def test_with_fail_fast_a_callback_that_raises_ends_the_run(server: Peer) -> None:
    voice = quiet(server, config=ClientConfig(fail_fast=True))
    voice.on(Message, lambda: 1 / 0)
    voice.once(Connected, lambda: server.call().send({"a": 1}))
    with pytest.raises(voicews.CallbackFailed) as caught:
        voice.run()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert voice.state is State.FAILED


def test_once_off_and_decorators(server: Peer) -> None:
    heard: list[str] = []
    with quiet(server) as voice:

        @voice.once(Message)
        def first(message: Message) -> None:
            heard.append(f"first {message.data}")

        @voice.on(Message)
        def each(message: Message) -> None:
            heard.append(f"each {message.data}")
            if message.data == 2:
                voice.off(Message, each)

        diary = Diary(voice)
        for number in (1, 2, 3):
            server.call().send(str(number))
        diary.wait_for(Message, 3)
    assert heard == ["first 1", "each 1", "each 2"]


def test_events_can_be_pulled(server: Peer) -> None:
    def say(call: Any) -> None:
        call.send({"type": "transcript", "text": "one"})
        call.send({"type": "transcript", "text": "two"})
        call.close()

    with quiet(server) as voice:
        stream = voice.events(Transcript)
        say(server.call())
        assert [line.text for line in stream] == ["one", "two"]
        voice.wait(PATIENCE)
    assert voice.state is State.CLOSED


def test_wait_for_an_event_and_for_a_state(server: Peer) -> None:
    with quiet(server) as voice:
        assert voice.wait_for(State.CONNECTED, 0) is State.CONNECTED
        with pytest.raises(TimeoutError):
            voice.wait_for(State.CLOSED, 0.01)
        timer = threading.Timer(0.05, server.call().send, [{"type": "transcript", "text": "hi"}])
        timer.start()
        line = voice.wait_for(Transcript, PATIENCE)
        assert isinstance(line, Transcript)
        assert line.text == "hi"
        timer.join()
        with pytest.raises(TimeoutError):
            voice.wait_for(Transcript, 0.01)


def test_waiting_in_a_callback_is_refused(server: Peer) -> None:
    refused: queue.Queue[Exception] = queue.Queue()
    with quiet(server) as voice:

        def impatient() -> None:
            for wait in (voice.wait, lambda: voice.wait_for(Message)):
                try:
                    wait()
                except InvalidState as error:
                    refused.put(error)

        voice.on(Message, impatient)
        server.call().send("now")
        assert "callback" in str(refused.get(timeout=PATIENCE))
        assert "callback" in str(refused.get(timeout=PATIENCE))


# -- saying -------------------------------------------------------------------------------------


def test_text_goes_to_the_server_and_into_the_history(server: Peer) -> None:
    with quiet(server) as voice:
        voice.send_text("turn on the light")
        assert server.call().wait_for_text("text")["text"] == "turn on the light"
    assert voice.history.turns == (Turn("user", "turn on the light"),)


def test_raw_messages_can_be_sent(server: Peer) -> None:
    with quiet(server) as voice:
        voice.send(SendMessage({"type": "custom", "n": 1}))
        assert server.call().wait_for_text("custom") == {"type": "custom", "n": 1}


def test_what_cannot_be_said_is_refused_in_the_callers_thread(server: Peer) -> None:
    class Dance(Command):
        pass

    voice = quiet(server)
    with pytest.raises(InvalidState, match="IDLE"):
        voice.send_text("too early")
    with voice:
        with pytest.raises(Unsupported, match=r"Plain cannot send Dance.*text \(SendText\)"):
            voice.send(Dance())
        with pytest.raises(ConfigError):
            voice.send_text("  ")
        with pytest.raises(ConfigError):
            voice.send("hello")  # type: ignore[arg-type]
    with pytest.raises(InvalidState, match="CLOSED"):
        voice.send_text("too late")


def test_text_said_while_the_connection_is_away_goes_over_the_next_one(server: Peer) -> None:
    config = ClientConfig(backoff=Backoff(initial=0.3, jitter=0.0), buffers=Buffers(outbox=0.1))
    with quiet(server, config=config) as voice:
        server.call().cut()
        voice.wait_for(State.RECONNECTING, PATIENCE)
        for number in range(5):
            voice.send_text(f"text {number}")
        with pytest.raises(OutboxFull):
            voice.send_text("one too many")
        call = server.call(2)
        call.wait(lambda: len(call.texts) >= 5)
        assert [text["text"] for text in call.texts] == [f"text {n}" for n in range(5)]


# -- interruption -------------------------------------------------------------------------------


def test_the_servers_interruption_silences_the_speaker_and_tells_what_was_heard(server: Peer) -> None:
    speaker = EarSpeaker()
    with quiet(server, speaker=speaker) as voice:
        diary = Diary(voice)
        call = server.call()
        call.send({"type": "response_started"})
        call.send(bytes(16000 * 2 * 20))
        speaker.wait_for(3200)
        call.send({"type": "interrupted"})
        heard = diary.wait_for(Interrupted).heard_ms
        assert speaker.flushes == 1
        assert 0 <= heard < 5000
        assert call.wait_for_text("truncate")["heard_ms"] == heard
        assert len(speaker.written) < 16000 * 2 * 10
        assert voice.stats().playback_ms == 0


def test_the_users_interruption_does_the_same_and_tells_the_server(server: Peer) -> None:
    speaker = EarSpeaker()
    with quiet(server, speaker=speaker) as voice:
        diary = Diary(voice)
        call = server.call()
        call.send(bytes(16000 * 2 * 5))
        speaker.wait_for(640)
        voice.interrupt()
        diary.wait_for(Interrupted)
        call.wait_for_text("interrupt")


# -- losing and finding the connection ------------------------------------------------------------


def test_a_lost_connection_comes_back_and_the_user_is_told(server: Peer) -> None:
    voice = quiet(server)
    diary = Diary(voice)
    with voice:
        server.call().cut()
        server.call(2).wait_for_audio(640)
        diary.wait_for(Connected, 2)
    told = [e for e in diary.events if isinstance(e, Disconnected | Reconnecting | Connected | StateChanged)]
    assert [type(event).__name__ for event in told] == [
        *("StateChanged", "StateChanged", "Connected"),
        *("Disconnected", "StateChanged", "Reconnecting", "StateChanged", "Connected"),
        *("StateChanged", "Disconnected", "StateChanged"),
    ]
    assert told[2] == Connected(1, resumed=False)
    assert isinstance(told[3].error, ConnectionClosed)
    assert told[5].attempt == 1
    assert told[7] == Connected(2, resumed=True)
    assert told[9] == Disconnected(2, None)


def test_the_newest_two_seconds_of_an_outage_are_sent_afterwards(server: Peer) -> None:
    config = ClientConfig(backoff=Backoff(initial=0.3, jitter=0.0), buffers=Buffers(max_audio_age=30))
    microphone = HandMicrophone()
    with quiet(server, config=config, microphone=microphone) as voice:
        server.call().wait_for_audio(640)
        server.call().cut()
        voice.wait_for(State.RECONNECTING, PATIENCE)
        microphone.frames.extend(bytes([n, 7] * 320) for n in range(1, 201))
        heard = server.call(2).wait_for_audio(100 * 640)
        assert voice.stats().frames_dropped["overflow"] >= 100
    marks = [heard[at] for at in range(0, len(heard), 640) if heard[at + 1] == 7]
    # Of the 100 frames that were kept, those captured since are silence.
    assert 30 <= len(marks) <= 100
    assert marks == list(range(201 - len(marks), 201))


def test_stale_sound_is_not_sent(server: Peer) -> None:
    config = ClientConfig(
        backoff=Backoff(initial=0.5, jitter=0.0), buffers=Buffers(outbox=2.0, max_audio_age=0.1)
    )
    microphone = HandMicrophone()
    with quiet(server, config=config, microphone=microphone) as voice:
        server.call().wait_for_audio(640)
        server.call().cut()
        voice.wait_for(State.RECONNECTING, PATIENCE)
        microphone.frames.extend([b"\x01\x07" * 320] * 20)
        heard = server.call(2).wait_for_audio(3 * 640)
        assert set(heard) == {0}
        assert voice.stats().frames_dropped["stale"] >= 15


def test_after_max_attempts_the_user_is_told_and_run_raises() -> None:
    voice = quiet(f"ws://127.0.0.1:{unused_port()}")
    diary = Diary(voice)
    with pytest.raises(ConnectFailed):
        voice.run()
    assert [event.attempt for event in diary.of(Reconnecting)] == [1, 2, 3]
    assert [event.delay for event in diary.of(Reconnecting)] == [0.01, 0.02, 0.04]
    assert diary.of(ReconnectFailed)[0].attempts == 3
    assert voice.state is State.FAILED


def test_a_refused_handshake_is_fatal(server: Peer) -> None:
    server.refuse_with = 401
    voice = quiet(server)
    diary = Diary(voice)
    with pytest.raises(HandshakeRejected) as caught:
        voice.run()
    assert caught.value.status == 401
    assert diary.of(Reconnecting) == []


def test_a_close_in_good_order_ends_the_run_and_plays_what_was_said(server: Peer) -> None:
    speaker = EarSpeaker(speed=5)
    sound = b"\x05\x06" * 16000

    def say_and_leave(call: Any) -> None:
        call.send(sound)
        call.close(1000)

    server.react = say_and_leave
    voice = quiet(server, speaker=speaker)
    voice.run()
    assert voice.state is State.CLOSED
    assert bytes(speaker.written) == sound
    assert speaker.position == pytest.approx(1.0)


def test_a_conversation_that_ends_well_before_open_returns_is_no_error(server: Peer) -> None:
    class SlowToOpen(EarSpeaker):
        """Opens only after the conversation is over."""

        def open(self, format: AudioFormat) -> None:
            server.call().wait_until_over()
            super().open(format)

    server.react = lambda call: call.close(1000)
    voice = quiet(server, speaker=SlowToOpen())
    voice.open()
    assert voice.wait(PATIENCE)
    assert voice.state is State.CLOSED
    voice.close()


def test_a_fatal_close_code_ends_the_run_with_its_error(server: Peer) -> None:
    server.react = lambda call: call.close(1008, "policy")
    with pytest.raises(ConnectionClosed) as caught:
        quiet(server).run()
    assert caught.value.code == 1008
    assert caught.value.reason == "policy"


def test_nonsense_from_the_server_is_answered_with_a_close_code(server: Peer) -> None:
    def speak_latin1(call: Any) -> None:
        call.link.socket.sendall(b"\x81\x02\xe9\xe8")

    server.react = speak_latin1
    with pytest.raises(voicews.RemoteProtocolError):
        quiet(server).run()
    server.call().wait_until_over()
    assert server.call().close_code == 1007


def test_a_silent_server_is_noticed_by_the_keepalive() -> None:
    import socket

    def accept_and_freeze(listener: socket.socket, links: list[socket.socket]) -> None:
        from websockets.server import ServerProtocol

        link, _ = listener.accept()
        links.append(link)
        protocol = ServerProtocol()
        while not protocol.events_received() and not protocol.handshake_exc:
            protocol.receive_data(link.recv(65536))
            for event in protocol.events_received():
                protocol.send_response(protocol.accept(event))  # type: ignore[arg-type]
                link.sendall(b"".join(protocol.data_to_send()))
                return

    config = ClientConfig(
        timeouts=Timeouts(ping_interval=0.1, pong=0.2), backoff=Backoff(initial=0.01, max_attempts=0)
    )
    links: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept_and_freeze, args=[listener, links])
        thread.start()
        with pytest.raises(KeepaliveTimeout):
            quiet(f"ws://127.0.0.1:{listener.getsockname()[1]}", config=config).run()
        thread.join(PATIENCE)
        for link in links:
            link.close()


def test_the_round_trip_of_a_ping_is_measured(server: Peer) -> None:
    with quiet(server) as voice:
        for _ in range(200):
            if voice.stats().rtt is not None:
                break
            server.call().wait_for_audio(len(server.call().audio) + 640)
        rtt = voice.stats().rtt
    assert rtt is not None
    assert 0 < rtt < 5


def test_a_resuming_dialect_tells_the_next_server_what_was_said(server: Peer) -> None:
    with quiet(server, dialect=Plain(server.url, resume=True)) as voice:
        diary = Diary(voice)
        call = server.call()
        assert call.wait_for_text("hello")["history"] == []
        voice.send_text("my name is Ada")
        call.wait_for_text("text")
        call.send({"type": "transcript", "role": "assistant", "text": "Hello Ada", "final": True})
        diary.wait_for(Transcript)
        call.cut()
        hello = server.call(2).wait_for_text("hello")
    assert hello["history"] == [
        {"role": "user", "text": "my name is Ada"},
        {"role": "assistant", "text": "Hello Ada"},
    ]


# -- opening and closing ----------------------------------------------------------------------------


def test_a_client_can_be_opened_again(server: Peer) -> None:
    voice = quiet(server)
    for number in (1, 2, 3):
        with voice:
            server.call(number).wait_for_audio(640)
        assert server.call(number).close_code in (1000, None)
        assert voice.state is State.CLOSED


def test_closing_says_all_that_is_waiting(server: Peer) -> None:
    voice = quiet(server)
    voice.open()
    for number in range(50):
        voice.send_text(f"text {number}")
    voice.close()
    call = server.call()
    call.wait_until_over()
    assert [text["text"] for text in call.texts] == [f"text {n}" for n in range(50)]
    assert call.close_code == 1000


def test_closing_awaits_the_servers_last_words(server: Peer) -> None:
    dialect = Plain(server.url, eof={"type": "end_of_stream"})
    voice = quiet(server, dialect=dialect)
    diary = Diary(voice)

    def last_words() -> None:
        call = server.call()
        call.wait_for_text("end_of_stream")
        call.send({"type": "transcript", "text": "last words"})
        call.send({"type": "finished"})

    with voice:
        helper = threading.Thread(target=last_words)
        helper.start()
    helper.join(PATIENCE)
    assert [line.text for line in diary.of(Transcript)] == ["last words"]
    assert [event.new for event in diary.of(StateChanged)][-2:] == [State.CLOSING, State.CLOSED]


def test_close_is_idempotent_and_legal_before_open_and_in_a_callback(server: Peer) -> None:
    voice = quiet(server)
    voice.close()
    voice.close()
    assert voice.state is State.CLOSED
    voice.on(Message, voice.close)
    voice.once(Connected, lambda: server.call().send("bye"))
    voice.run()
    assert voice.state is State.CLOSED
    voice.close()


def test_two_threads_may_close_at_once(server: Peer) -> None:
    voice = quiet(server)
    voice.open()
    closers = [threading.Thread(target=voice.close) for _ in range(4)]
    for closer in closers:
        closer.start()
    for closer in closers:
        closer.join(PATIENCE)
    assert voice.state is State.CLOSED


def test_a_wrong_kind_of_event_is_refused_and_harms_nothing(server: Peer) -> None:
    with quiet(server) as voice:
        for wrong in ("connected", Transcript("user", "x"), int):
            with pytest.raises(ConfigError, match="by class"):
                voice.events(wrong)  # type: ignore[arg-type]
            with pytest.raises(ConfigError, match="by class"):
                voice.wait_for(wrong, 1)  # type: ignore[arg-type]
            with pytest.raises(ConfigError, match="by class"):
                voice.on(wrong)  # type: ignore[arg-type]
        server.call().wait_for_audio(len(server.call().audio) + 6400)
        assert voice.state is State.CONNECTED


def test_a_callback_that_was_called_instead_of_passed_is_refused() -> None:
    voice = VoiceClient("ws://localhost", microphone=SilenceSource(), speaker=NullSink())
    with pytest.raises(ConfigError, match="called instead of passed"):
        voice.on(Transcript, None)  # type: ignore[call-overload]

    def forgotten(event: Event) -> None:
        """`@voice.on` without the class."""

    with pytest.raises(ConfigError, match="by class"):
        voice.on(forgotten)  # type: ignore[arg-type]


def test_a_callback_that_raises_on_the_last_event_is_told_too(server: Peer) -> None:
    voice = quiet(server)
    told: list[CallbackError] = []

    def fail_at_the_end(change: StateChanged) -> None:
        if change.new is State.CLOSED:
            raise ValueError("at the end")

    voice.on(StateChanged, fail_at_the_end)
    voice.on(CallbackError, told.append)
    with voice:
        server.call()
    assert [str(event.error) for event in told] == ["at the end"]


def test_one_client_may_wait_for_another_in_its_callbacks(server: Peer) -> None:
    with quiet(server) as first:
        done = threading.Event()

        def ask_another() -> None:
            with quiet(server) as second:
                assert second.wait_for(State.CONNECTED, PATIENCE)
            done.set()

        first.once(Message, ask_another)
        server.call().send("ask")
        assert done.wait(PATIENCE)


def test_the_length_of_a_run_stands_still_once_it_is_over(server: Peer) -> None:
    with quiet(server) as voice:
        server.call()
    assert voice.stats().seconds == voice.stats().seconds


def test_where_warnings_are_errors_a_fallback_closes_the_client(server: Peer, without_sound: None) -> None:
    voice = VoiceClient(server.url, config=ClientConfig(allow_silence=True))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(BackendFallback):
            voice.open()
    assert voice.state is State.CLOSED


def test_an_unknown_word_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEWS_AUDIO", "Null")
    with pytest.raises(ConfigError, match="VOICEWS_AUDIO=Null"):
        VoiceClient("ws://localhost")


def test_opening_twice_is_refused(server: Peer) -> None:
    with quiet(server) as voice, pytest.raises(InvalidState, match="already open"):
        voice.open()


def test_open_with_a_timeout_gives_up_and_closes() -> None:
    config = ClientConfig(backoff=Backoff(initial=30, cap=30, max_attempts=None))
    voice = quiet(f"ws://127.0.0.1:{unused_port()}", config=config)
    with pytest.raises(TimeoutError):
        voice.open(timeout=0.1)
    assert voice.state is State.CLOSED


def test_close_interrupts_the_backoff() -> None:
    config = ClientConfig(backoff=Backoff(initial=30, cap=30, max_attempts=None))
    voice = quiet(f"ws://127.0.0.1:{unused_port()}", config=config)
    voice.on(Reconnecting, voice.close)
    began = time.monotonic()
    with pytest.raises(InvalidState):
        voice.open()
    assert time.monotonic() - began < 10


def test_run_returns_quietly_when_a_callback_closes_while_connecting() -> None:
    config = ClientConfig(backoff=Backoff(initial=30, cap=30, max_attempts=None))
    voice = quiet(f"ws://127.0.0.1:{unused_port()}", config=config)
    voice.on(Reconnecting, voice.close)
    voice.run()
    assert voice.state is State.CLOSED


def test_run_goes_on_with_a_client_that_is_open(server: Peer) -> None:
    voice = quiet(server)
    voice.open()
    voice.on(Message, voice.close)
    server.call().send("bye")
    voice.run()
    assert len(server.calls) == 1


def test_a_server_that_never_answers_the_close_is_left_at_the_deadline(server: Peer) -> None:
    dialect = Plain(server.url, eof={"type": "end_of_stream"})
    voice = quiet(server, dialect=dialect, config=ClientConfig(timeouts=Timeouts(close=1.0)))
    voice.open()
    began = time.monotonic()
    voice.close()
    assert time.monotonic() - began < 3
    assert voice.state is State.CLOSED


def test_a_device_that_cannot_be_had_ends_the_opening(server: Peer) -> None:
    for option in ("microphone", "speaker"):
        device: Any = HandMicrophone() if option == "microphone" else EarSpeaker()
        device.broken = DeviceNotFound("no such device")
        voice = quiet(server, **{option: device})
        with pytest.raises(DeviceNotFound):
            voice.open()
        assert voice.state is State.FAILED


def test_a_device_that_fails_is_replaced_by_silence_until_it_is_back(server: Peer) -> None:
    microphone, speaker = HandMicrophone([b"\x01\x01" * 320]), EarSpeaker(speed=50)
    with quiet(server, microphone=microphone, speaker=speaker) as voice:
        diary = Diary(voice)
        call = server.call()
        call.wait_for_audio(640)
        microphone.broken = voicews.DeviceLostError("unplugged")
        assert diary.wait_for(voicews.DeviceLost).device == "microphone"
        call.wait_for_audio(len(call.audio) + 5 * 640)
        microphone.broken = None
        assert diary.wait_for(voicews.DeviceRestored).device == "microphone"
        speaker.broken = voicews.DeviceLostError("unplugged")
        call.send(bytes(640))
        assert diary.wait_for(voicews.DeviceLost, 2).device == "speaker"
        speaker.broken = None
        assert diary.wait_for(voicews.DeviceRestored, 2).device == "speaker"
        before = len(speaker.written)
        call.send(b"\x09\x09" * 320)
        assert speaker.wait_for(before + 640)[before:] == b"\x09\x09" * 320
        assert voice.state is State.CONNECTED


def test_wrong_arguments_are_named() -> None:
    for wrong in (None, 8765, b"ws://localhost"):
        with pytest.raises(ConfigError):
            VoiceClient(wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="must be a ClientConfig, not dict"):
        VoiceClient("ws://localhost", config={})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="Microphone\\(device='USB'\\)"):
        VoiceClient("ws://localhost", microphone="USB")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="Speaker\\(device=2\\)"):
        VoiceClient("ws://localhost", speaker=2)  # type: ignore[arg-type]


def test_the_environment_can_take_the_sound_away(monkeypatch: pytest.MonkeyPatch, server: Peer) -> None:
    monkeypatch.setenv("VOICEWS_AUDIO", "null")
    with VoiceClient(server.url):
        assert server.call().wait_for_audio(640)[:640] == bytes(640)


def test_stats_before_opening_are_refused() -> None:
    with pytest.raises(InvalidState):
        VoiceClient("ws://localhost").stats()


def test_stats_count_what_happened(server: Peer) -> None:
    with quiet(server) as voice:
        call = server.call()
        call.wait_for_audio(10 * 640)
        call.send({"type": "speech_stopped"})
        call.send(bytes(32000))
        voice.wait_for(PlaybackFinished, PATIENCE)
        stats = voice.stats()
    assert stats.frames_captured >= 10
    assert stats.frames_sent >= 10
    assert stats.bytes_sent >= 6400
    assert stats.bytes_received >= 32000
    assert stats.sound_received == 1.0
    assert stats.connections == 1
    assert stats.response is not None
    assert voice.stats().bytes_sent >= stats.bytes_sent


@pytest.fixture
def without_sound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment in which neither PortAudio nor SDL finds a device, whatever the machine has."""
    (tmp_path / "asound.conf").write_text("pcm.!default { type hw card 31 }\n")
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "asound.conf"))
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/none")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("SDL_AUDIODRIVER", "alsa")


def test_without_devices_a_plain_client_says_what_to_do(server: Peer, without_sound: None) -> None:
    with pytest.raises(DeviceNotFound, match="connect one"):
        VoiceClient(server.url).open()


def test_without_devices_silence_takes_their_place_where_allowed(server: Peer, without_sound: None) -> None:
    voice = VoiceClient(server.url, config=ClientConfig(allow_silence=True))
    with pytest.warns(BackendFallback) as warned:
        voice.open()
    assert server.call().wait_for_audio(640)[:640] == bytes(640)
    voice.close()
    assert sorted("microphone" in str(warning.message) for warning in warned) == [False, True]


def test_a_device_asked_for_by_name_is_never_replaced_by_silence(server: Peer, without_sound: None) -> None:
    config = ClientConfig(allow_silence=True)
    voice = VoiceClient(server.url, microphone=Microphone(device="USB"), speaker=NullSink(), config=config)
    with pytest.raises(DeviceNotFound):
        voice.open()


def test_an_interruption_hushes_even_if_the_server_cannot_be_told() -> None:
    config = ClientConfig(buffers=Buffers(outbox=0.1), backoff=Backoff(initial=5.0, jitter=0.0))
    with FaultServer() as server, quiet(server.url, config=config, speaker=EarSpeaker()) as voice:
        diary = Diary(voice)
        server.accepted().send(bytes(64000))
        diary.wait_for(PlaybackStarted)
        server.stop()
        diary.wait_for(Reconnecting)
        with pytest.raises(OutboxFull):
            while True:
                voice.send_text("and")
        with pytest.raises(OutboxFull):
            voice.interrupt()
        diary.wait_for(Interrupted)


# -- what became of what was said --------------------------------------------------------------------


def test_what_a_lost_connection_may_have_swallowed_is_told() -> None:
    with FaultServer() as server, quiet(server.url) as voice:
        diary = Diary(voice)
        connection = server.accepted()
        voice.send_text("heard")
        connection.wait_for(lambda c: any("heard" in str(text) for text in c.texts))
        connection.wait_for(lambda c: c.pings >= 2)  # the keepalive's, and the one that asks
        asked = connection.received
        connection.wait_for(lambda c: c.received > asked + 5)
        connection.freeze()
        voice.send_text("swallowed")
        deadline = time.monotonic() + PATIENCE
        while voice.history.turns[-1].text != "swallowed" and time.monotonic() < deadline:
            threading.Event().wait(0.005)
        connection.cut()
        told = diary.wait_for(Undelivered)
        diary.wait_for(Connected)
        voice.send_text("again")
        server.accepted(2).wait_for(lambda c: any("again" in str(text) for text in c.texts))
    assert told == Undelivered(SendText("swallowed"), sent=True)
    assert diary.of(Undelivered) == [told]


def test_what_could_not_be_said_before_the_end_is_told() -> None:
    config = ClientConfig(backoff=Backoff(initial=0.2, jitter=0.0, max_attempts=1))
    with peer() as server:
        voice = quiet(server, config=config)
        voice.open()
        diary = Diary(voice)
        server.call().cut()
        diary.wait_for(Reconnecting)
        server.refuse_with = 503
        voice.send_text("too late")
        diary.wait_for(ReconnectFailed)
        voice.close()
    assert diary.of(Undelivered) == [Undelivered(SendText("too late"), sent=False)]
    stats = voice.stats()
    assert stats.frames_captured == stats.frames_sent + sum(stats.frames_dropped.values())


def test_an_interruption_that_comes_too_late_is_told_and_is_no_lost_frame() -> None:
    config = ClientConfig(backoff=Backoff(initial=0.3, jitter=0.0))
    with peer() as server, quiet(server, config=config) as voice:
        diary = Diary(voice)
        server.call().cut()
        diary.wait_for(Reconnecting)
        voice.interrupt()
        assert diary.wait_for(Undelivered) == Undelivered(InterruptResponse(), sent=False)
        server.call(2).wait_for_audio()
        assert "superseded" not in voice.stats().frames_dropped
        assert server.call(2).texts == []


# -- at the very beginning ------------------------------------------------------------------------


def test_what_another_thread_is_about_to_open_is_closed(
    server: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    voice, closing = quiet(server), threading.Event()
    start = Supervisor.start

    def start_late(self: Supervisor) -> None:
        assert closing.wait(PATIENCE)
        threading.Event().wait(0.1)
        start(self)

    def open_it() -> None:
        with contextlib.suppress(InvalidState):
            voice.open()

    monkeypatch.setattr(Supervisor, "start", start_late)
    opener = threading.Thread(target=open_it)
    opener.start()
    while voice._supervisor is None:
        threading.Event().wait(0.001)
    closing.set()
    voice.close()
    assert voice.state is State.CLOSED
    opener.join()


THREADS = ["callbacks", "supervisor", "capture", "player", "receiver", "sender"]


@pytest.mark.parametrize("missing", THREADS)
def test_where_no_thread_is_left_it_can_be_opened_later(
    missing: str, server: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def start_others(self: threading.Thread) -> None:
        if self.name == f"voicews-{missing}":
            raise RuntimeError("can't start new thread")
        start(self)

    voice = quiet(server)
    with monkeypatch.context() as crowded:
        crowded.setattr(threading.Thread, "start", start_others)
        with pytest.raises(ThreadUnavailable, match=rf"voicews-{missing} .*can't start new thread"):
            voice.open(PATIENCE)
        voice.close()
    with voice:
        assert voice.state is State.CONNECTED


def test_an_error_that_is_raised_again_does_not_grow() -> None:
    """One object is kept; each wait() raises it."""
    voice = VoiceClient(
        f"ws://127.0.0.1:{unused_port()}",
        microphone=SilenceSource(),
        speaker=NullSink(),
        config=ClientConfig(backoff=Backoff(max_attempts=0)),
    )
    lengths, contexts = set(), set()
    with pytest.raises(ConnectFailed):
        voice.open()
    for _ in range(100):
        with pytest.raises(ConnectFailed) as caught:
            voice.wait()
        assert caught.value is voice.error
        lengths.add(len(traceback.format_exception(caught.value)))
        contexts.add(id(caught.value.__context__))
        with pytest.raises(ConnectFailed):
            voice.wait_for(State.CONNECTED)
    assert (len(lengths), len(contexts)) == (1, 1)


def test_a_library_that_cannot_be_loaded_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python opens files for it, and there may be no descriptor left."""
    real = builtins.__import__

    def crowded(name: str, *args: Any, **options: Any) -> Any:
        if name == "websocket":
            raise OSError(errno.EMFILE, "Too many open files")
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", crowded)
    config = ClientConfig(backoff=Backoff(max_attempts=0))
    voice = VoiceClient("ws://127.0.0.1:9", microphone=SilenceSource(), speaker=NullSink(), config=config)
    with pytest.raises(ConnectFailed, match=r"websocket-client cannot be loaded: Too many open files"):
        voice.open()


@pytest.mark.parametrize("shared", ["microphone", "speaker"])
@pytest.mark.parametrize("recorded", [False, True])
def test_a_device_object_serves_one_open_client(
    server: Peer, tmp_path: Path, shared: str, recorded: bool
) -> None:
    """Each of two would get a part of the sound."""
    microphone, speaker = HandMicrophone(), EarSpeaker()
    recorder = voicews.Recorder(tmp_path) if recorded else None
    first = VoiceClient(server.url, microphone=microphone, speaker=speaker, recorder=recorder)
    second = VoiceClient(
        server.url,
        microphone=microphone if shared == "microphone" else HandMicrophone(),
        speaker=speaker if shared == "speaker" else EarSpeaker(),
    )
    with first:
        with pytest.raises(InvalidState, match="in use by another open client; give each client an object"):
            second.open()
        assert second.state is State.IDLE
        assert first.state is State.CONNECTED
    with second, pytest.raises(InvalidState, match="in use by another open client"):
        first.open()
    with first:
        assert first.state is State.CONNECTED
