"""What only the supervisor decides; the whole of its work is seen through the client's tests."""

from __future__ import annotations

import contextlib
import gc
import math
import queue
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.fakes import EarSpeaker, HandMicrophone
from tests.patience import PATIENCE
from tests.peer import peer, unused_port
from voicews import (
    AudioReceived,
    AudioStalled,
    Backoff,
    Buffers,
    ClientConfig,
    ConnectFailed,
    ConnectionClosed,
    ConnectTimeout,
    DeviceLost,
    DeviceLostError,
    DeviceRestored,
    Event,
    FramesDropped,
    Interrupted,
    InvalidState,
    KeepaliveTimeout,
    PlaybackFinished,
    PlaybackStarted,
    Reconnecting,
    ServerError,
    SessionExpired,
    SessionExpiring,
    ShutdownTimeout,
    State,
    StateChanged,
    Timeouts,
    Transcript,
    VoiceClient,
)
from voicews import client as client_module
from voicews.audio.silence import NullSink, SilenceSource
from voicews.commands import Command, InterruptResponse
from voicews.config import AudioFormat
from voicews.dialects import Plain, Session
from voicews.dialects.base import Request
from voicews.history import History
from voicews.lifecycle import Lifecycle
from voicews.threads.alarms import Alarms
from voicews.threads.callbacks import Handlers
from voicews.threads.sender import Sender
from voicews.threads.supervisor import Supervisor
from voicews.tools import Tool
from voicews.transport import Transport


def client(server: Any, **options: Any) -> VoiceClient:
    return VoiceClient(server, **{"microphone": SilenceSource(), "speaker": NullSink(), **options})


def test_a_session_that_is_never_accepted_is_left() -> None:
    config = ClientConfig(timeouts=Timeouts(session=0.1), backoff=Backoff(max_attempts=0))
    with peer() as server:
        voice = client(Plain(server.url, await_ready=True), config=config)
        with pytest.raises(ConnectTimeout, match="session"):
            voice.open()


def test_an_attempt_that_hangs_in_the_users_code_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicews.threads.supervisor._OVERDUE", 0.1)
    go_on = threading.Event()

    class Hanging(Plain):
        def request(self) -> Request:
            go_on.wait(PATIENCE)
            return super().request()

    config = ClientConfig(
        timeouts=Timeouts(connect=0.1, close=0.5), backoff=Backoff(initial=0.01, max_attempts=1)
    )
    voice = client(Hanging(f"ws://127.0.0.1:{unused_port()}"), config=config)
    try:
        with pytest.raises(ConnectTimeout):
            voice.open()
        with pytest.raises(ShutdownTimeout) as caught:
            voice.close()
        assert caught.value.threads == ("voicews-receiver", "voicews-receiver")
    finally:
        go_on.set()


def test_a_device_that_hangs_while_opening_is_a_fault() -> None:
    go_on = threading.Event()

    class Hanging(SilenceSource):
        def open(self, format: AudioFormat, frame_samples: int) -> None:
            go_on.wait(PATIENCE)
            super().open(format, frame_samples)

    config = ClientConfig(timeouts=Timeouts(device=0.1, close=0.7))
    with peer() as server:
        voice = client(server.url, microphone=Hanging(), config=config)
        with pytest.raises(DeviceLostError, match="microphone could not be opened"):
            voice.open()
        with pytest.raises(ShutdownTimeout) as caught:
            voice.close()
        assert caught.value.threads == ("voicews-capture",)
        assert voice.state is State.FAILED
        go_on.set()


def test_a_callback_that_waits_for_the_closing_thread_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = threading.Event()

    def waits() -> None:
        closed.wait(PATIENCE)

    with peer() as server:
        voice = client(server.url, config=ClientConfig(timeouts=Timeouts(close=0.3)))
        voice.open()
        voice.on(StateChanged, waits)
        monkeypatch.setattr("voicews.threads.supervisor.Supervisor.closing_time", 0.3)
        with pytest.raises(
            ShutdownTimeout, match=r"voicews-callbacks; the callback .*waits has not returned"
        ):
            voice.close()
        closed.set()
        monkeypatch.undo()
        voice.close()


def test_a_dialect_with_a_bug_ends_the_run_with_its_error(caplog: pytest.LogCaptureFixture) -> None:
    class Buggy(Plain):
        def begin(self, previous: Session | None, history: History, tools: Sequence[Tool] = ()) -> Session:
            raise ZeroDivisionError

    voice = client(Buggy("ws://localhost"))
    with pytest.raises(ZeroDivisionError):
        voice.run()
    assert voice.state is State.FAILED


def test_each_session_gets_the_one_before() -> None:
    seen: list[Session | None] = []

    class Remembering(Plain):
        def begin(self, previous: Session | None, history: History, tools: Sequence[Tool] = ()) -> Session:
            seen.append(previous)
            return super().begin(previous, history, tools)

    config = ClientConfig(backoff=Backoff(initial=0.01))
    with peer() as server, client(Remembering(server.url), config=config):
        server.call().cut()
        server.call(2).wait_for_audio()
    assert seen[0] is None
    assert isinstance(seen[1], Session)


def user_said(voice: VoiceClient) -> list[str]:
    return [turn.text for turn in voice.history if turn.role == "user"]


@pytest.mark.parametrize("end", ["close", "server", "error", "cut"])
def test_the_last_partial_is_final_once_no_more_can_come(end: str) -> None:
    """Whoever ends the connection, and whether it is dialled again or not."""
    config = ClientConfig(backoff=Backoff(initial=0.01))
    with peer() as server, client(Plain(server.url, resume=True), config=config) as voice:
        lines = voice.events(Transcript)
        call = server.call()
        call.send({"type": "partial", "text": "turn on the li"})
        assert lines.get(PATIENCE) == Transcript("user", "turn on the li", final=False)
        if end == "close":
            voice.close()
        elif end == "server":
            call.close()
        elif end == "error":
            call.close(1008)
        else:
            call.cut()
        assert lines.get(PATIENCE) == Transcript("user", "turn on the li")
        if end == "cut":
            history = server.call(2).wait_for_text("hello")["history"]
            assert history == [{"role": "user", "text": "turn on the li"}]
        with contextlib.suppress(ConnectionClosed):
            voice.wait(PATIENCE) if end != "cut" else voice.close()
        assert user_said(voice) == ["turn on the li"]


def test_the_last_partial_is_final_if_the_client_is_closed_between_two_connections() -> None:
    class Carrying(Plain):
        def begin(self, previous: Session | None, history: History, tools: Sequence[Tool] = ()) -> Session:
            session = super().begin(previous, history, tools)
            promote = session.last_words
            session.last_words = lambda *, resumes: [] if resumes else promote(resumes=False)  # type: ignore[method-assign]
            return session

    config = ClientConfig(backoff=Backoff(initial=60.0, cap=60.0))
    with peer() as server, client(Carrying(server.url), config=config) as voice:
        lines, attempts = voice.events(Transcript), voice.events(Reconnecting)
        server.call().send({"type": "partial", "text": "turn on"})
        assert not lines.get(PATIENCE).final
        server.call().cut()
        attempts.get(PATIENCE)
        assert user_said(voice) == []
        voice.close()
    assert user_said(voice) == ["turn on"]


def test_a_dialect_that_fails_at_its_last_words_does_not_keep_the_run_alive(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Buggy(Plain):
        def begin(self, previous: Session | None, history: History, tools: Sequence[Tool] = ()) -> Session:
            session = super().begin(previous, history, tools)
            session.last_words = None  # type: ignore[assignment, method-assign]
            return session

    with peer() as server, client(Buggy(server.url)) as voice:
        server.call().close()
        voice.wait(PATIENCE)
    assert voice.state is State.CLOSED
    assert "last_words() failed" in caplog.text


def test_a_server_of_another_language_that_closes_in_good_order_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with peer() as server, client(server.url) as voice:
        errors = voice.events(ServerError)
        server.call().send({"message": "SERVER_BUSY"})
        server.call().close()
        assert "SERVER_BUSY" in errors.get(PATIENCE).message
        voice.wait(PATIENCE)
    assert voice.state is State.CLOSED
    assert "SERVER_BUSY" in caplog.text


def test_a_close_frame_goes_out_although_the_servers_came_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides close at once: ours must not be lost because theirs is read before it is written."""
    gone, send_close, abort = threading.Event(), Transport.send_close, Transport.abort

    def hesitate(self: Transport, code: int, reason: str = "") -> None:
        server.call().link.close_timeout = PATIENCE
        threading.Thread(target=server.call().close).start()
        gone.wait(0.3)
        send_close(self, code, reason)

    def note(self: Transport) -> None:
        gone.set()
        abort(self)

    monkeypatch.setattr(Transport, "send_close", hesitate)
    monkeypatch.setattr(Transport, "abort", note)
    with peer() as server:
        voice = client(server.url)
        voice.open()
        voice.close()
        server.call().wait_until_over()
        assert server.call().link.close_code == 1000
        assert server.call().link.protocol.close_rcvd is not None


def test_drops_are_told() -> None:
    told: list[FramesDropped] = []
    news = threading.Event()

    def note(event: FramesDropped) -> None:
        told.append(event)
        news.set()

    microphone = HandMicrophone()
    config = ClientConfig(backoff=Backoff(initial=60, cap=60), buffers=Buffers(outbox=0.1))
    voice = client(f"ws://127.0.0.1:{unused_port()}", microphone=microphone, config=config)
    voice.on(FramesDropped, note)
    voice.once(Reconnecting, lambda: microphone.frames.extend([bytes(640)] * 30))
    opening = threading.Thread(target=voice.run)
    opening.start()
    assert news.wait(PATIENCE)
    voice.close()
    opening.join(PATIENCE)
    assert told[0].buffer == "outbox"
    assert told[0].cause == "overflow"
    assert told[0].count >= 20


def test_the_user_may_cut_the_playing_out_short() -> None:
    speaker = EarSpeaker()
    with peer() as server:

        def say_much_and_leave(call: Any) -> None:
            call.send(bytes(32000 * 60))
            call.close(1000)

        server.react = say_much_and_leave
        voice = client(server.url, speaker=speaker)
        voice.open()
        voice.wait_for(State.CLOSING, PATIENCE)
        speaker.wait_for(640)
        voice.close()
        assert voice.state is State.CLOSED
        assert speaker.position < 30


def test_open_returns_also_where_it_has_missed_the_moment_of_being_connected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server closes at once, and its long answer is played out."""
    with peer() as server:

        def say_much_and_leave(call: Any) -> None:
            call.send(bytes(32000 * 60))
            call.close(1000)

        server.react = say_much_and_leave
        voice = client(server.url, speaker=EarSpeaker())
        wait = voice._changed.wait

        def oversleep(timeout: float | None = None) -> bool:
            if voice.state in (State.CLOSING, State.CLOSED):
                return wait(timeout)
            while voice.state not in (State.CLOSING, State.CLOSED):
                assert wait(PATIENCE)
            return True

        with monkeypatch.context() as patched:
            patched.setattr(voice._changed, "wait", oversleep)
            voice.open(PATIENCE)
        assert voice.state is State.CLOSING
        voice.close()


class Expiring(Plain):
    """Its server announces the end of the session."""

    def begin(self, previous: Session | None, history: History, tools: Sequence[Tool] = ()) -> Session:
        session = super().begin(previous, history, tools)
        receive = session.receive

        def understand(message: str | bytes) -> list[Event]:
            if isinstance(message, str) and message.startswith("expiring "):
                return [SessionExpiring(float(message.split()[1]))]
            return receive(message)

        session.receive = understand  # type: ignore[method-assign]
        return session


def test_an_expiring_session_is_left_at_once_if_nobody_speaks() -> None:
    told: list[Event] = []
    config = ClientConfig(backoff=Backoff(initial=60, cap=60, max_attempts=0))
    with peer() as server, client(Expiring(server.url), config=config) as voice:
        voice.on(Event, told.append)
        server.call().send("expiring 60")
        server.call(2).wait_for_audio()
        server.call(1).wait_until_over()
        assert server.call(1).close_code == 1000
        voice.wait_for(State.CONNECTED, PATIENCE)
    again = [event for event in told if isinstance(event, Reconnecting)]
    assert [(event.attempt, event.delay) for event in again] == [(0, 0.0)]
    assert isinstance(again[0].error, SessionExpired)


def test_an_expiring_session_is_left_after_the_answer() -> None:
    with peer() as server, client(Expiring(server.url), speaker=EarSpeaker(speed=5)) as voice:
        call = server.call()
        started, done = voice.events(PlaybackStarted), voice.events(PlaybackFinished)
        call.send({"type": "response_started"})
        call.send(bytes(32000))
        started.get(PATIENCE)
        call.send("expiring 60")
        call.send({"type": "response_done"})
        done.get(PATIENCE)
        server.call(2).wait_for_audio()


def test_an_expiring_session_is_left_in_time_even_in_mid_sentence() -> None:
    with peer() as server, client(Expiring(server.url)):
        call = server.call()
        call.send({"type": "speech_started"})
        call.send("expiring 2.1")
        server.call(2).wait_for_audio()


def test_even_an_exit_in_a_dialect_ends_the_run_with_its_error(caplog: pytest.LogCaptureFixture) -> None:
    class Leaving(Plain):
        def begin(self, previous: Session | None, history: History, tools: Sequence[Tool] = ()) -> Session:
            raise SystemExit(3)

    voice = client(Leaving("ws://localhost"))
    with pytest.raises(SystemExit):
        voice.open()
    assert voice.state is State.FAILED


def test_last_words_may_be_binary() -> None:
    class Telegraphic(Plain):
        def begin(self, previous: Session | None, history: History, tools: Sequence[Tool] = ()) -> Session:
            session = super().begin(previous, history, tools)
            understand = session.receive

            def receive(message: str | bytes) -> list[Event]:
                if message == b"the end":
                    return [*understand('{"text": "the end"}'), *understand('{"type": "finished"}')]
                return understand(message)

            session.receive = receive  # type: ignore[method-assign]
            return session

    with peer() as server:
        voice = client(Telegraphic(server.url, eof="over"))
        voice.open()
        helper = threading.Thread(
            target=lambda: (
                server.call().wait(lambda: "over" in server.call().received) or server.call().send(b"the end")
            )
        )
        helper.start()
        voice.close()
        helper.join(PATIENCE)
        server.call().wait_until_over()
        assert server.call().close_code == 1000
        assert [turn.text for turn in voice.history] == ["the end"]


def test_a_server_without_last_words_still_gets_a_close_frame() -> None:
    with peer() as server:
        voice = client(Plain(server.url, eof="over"), config=ClientConfig(timeouts=Timeouts(close=2.0)))
        voice.open()
        voice.close()
        server.call().wait_until_over()
        assert server.call().close_code == 1000


def test_interruptions_of_a_lost_answer_do_not_reach_the_next_session() -> None:
    config = ClientConfig(backoff=Backoff(initial=0.3, jitter=0.0))
    with peer() as server, client(server.url, config=config) as voice:
        server.call().cut()
        voice.wait_for(State.RECONNECTING, PATIENCE)
        voice.interrupt()
        voice.send_text("and then")
        call = server.call(2)
        call.wait_for_text("text")
        assert [text["type"] for text in call.texts] == ["text"]


def test_an_interruption_is_told_once_even_if_the_server_confirms_it() -> None:
    told: list[Interrupted] = []
    with peer() as server, client(server.url) as voice:
        voice.on(Interrupted, told.append)
        started, said = voice.events(PlaybackStarted), voice.events(Transcript)
        call = server.call()
        call.send({"type": "response_started"})
        call.send(bytes(64000))
        started.get(PATIENCE)
        voice.interrupt()
        call.wait_for_text("interrupt")
        call.send({"type": "interrupted"})
        call.send({"type": "transcript", "text": "later"})
        said.get(PATIENCE)
        call.wait_for_text("truncate")
        voice.close()
        assert len(told) == 1
        assert len([text for text in call.texts if text["type"] == "truncate"]) == 1


def test_sound_that_slips_in_before_the_session_is_told_makes_no_second_interruption(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A frame comes after the user's interruption, and before the sender has said it."""
    told: list[Interrupted] = []
    slipped, said = threading.Event(), Sender._say

    def say_late(sender: Sender, command: Command) -> None:
        if isinstance(command, InterruptResponse):
            assert slipped.wait(PATIENCE)
        said(sender, command)

    monkeypatch.setattr(Sender, "_say", say_late)
    speaker = EarSpeaker()
    with peer() as server, client(server.url, speaker=speaker) as voice:
        voice.on(Interrupted, told.append)
        sounds, lines = voice.events(AudioReceived), voice.events(Transcript)
        call = server.call()
        call.send({"type": "response_started"})
        call.send(bytes(64000))
        sounds.get(PATIENCE)
        speaker.wait_for(640)
        voice.interrupt()
        call.send(b"\x07\x07" * 3200)
        sounds.get(PATIENCE)
        slipped.set()
        call.wait_for_text("interrupt")
        call.send({"type": "interrupted"})
        call.send({"type": "response_started"})
        call.send(b"\x09\x09" * 320)
        call.send({"type": "transcript", "text": "later"})
        lines.get(PATIENCE)
        with speaker.news:
            assert speaker.news.wait_for(lambda: b"\x09\x09" in speaker.written, PATIENCE)
        assert b"\x07\x07" not in speaker.written
        voice.interrupt()
        call.wait(lambda: len([text for text in call.texts if text["type"] == "truncate"]) == 2)
    assert len(told) == 2


def test_a_server_that_tells_no_answers_apart_confirms_an_interruption_without_a_second() -> None:
    told: list[Interrupted] = []
    speaker = EarSpeaker()
    with peer() as server, client(server.url, speaker=speaker) as voice:
        voice.on(Interrupted, told.append)
        first, lines = voice.events(Interrupted), voice.events(Transcript)
        call = server.call()
        call.send(bytes(64000))
        speaker.wait_for(640)
        voice.interrupt()
        first.get(PATIENCE)
        call.wait_for_text("interrupt")
        call.send(b"\x07\x07" * 32000)  # it was on its way
        with speaker.news:
            assert speaker.news.wait_for(lambda: b"\x07\x07" in speaker.written, PATIENCE)
        call.send({"type": "interrupted"})
        with speaker.news:
            assert speaker.news.wait_for(lambda: speaker.flushes == 2, PATIENCE)
        call.send(b"\x09\x09" * 32000)
        with speaker.news:
            assert speaker.news.wait_for(lambda: b"\x09\x09" in speaker.written, PATIENCE)
        call.send({"type": "interrupted"})  # by the server itself this time
        first.get(PATIENCE)
        call.send({"type": "transcript", "text": "later"})
        lines.get(PATIENCE)
    assert len(told) == 2


def test_a_hung_microphone_does_not_keep_the_last_words_back() -> None:
    go_on, hanging = threading.Event(), threading.Event()

    class Hanging(SilenceSource):
        def read(self) -> bytes:
            hanging.set()
            go_on.wait(PATIENCE)
            return super().read()

    with peer() as server:
        voice = client(server.url, microphone=Hanging(), config=ClientConfig(timeouts=Timeouts(close=3.0)))
        voice.open()
        assert hanging.wait(PATIENCE)
        voice.send_text("last words")
        with pytest.raises(ShutdownTimeout) as caught:
            voice.close()
        assert caught.value.threads == ("voicews-capture",)
        server.call().wait_until_over()
        assert server.call().close_code == 1000
        assert server.call().texts[0]["text"] == "last words"
        with pytest.raises(InvalidState, match="voicews-capture of the last run"):
            voice.open()
        go_on.set()


def test_a_device_may_close_the_client() -> None:
    class Fed(SilenceSource):
        def read(self) -> bytes:
            voice.close()
            return super().read()

    with peer() as server:
        voice = client(server.url, microphone=Fed())
        voice.run()
        assert voice.state is State.CLOSED


def test_a_client_that_nobody_holds_goes_on_and_is_closed_at_exit() -> None:
    with peer() as server:
        client(server.url).open()
        gc.collect()
        server.call().wait_for_audio(len(server.call().audio) + 6400)
        client_module._close_forgotten()
        server.call().wait_until_over()
        assert server.call().close_code == 1000


def test_a_state_that_passes_quickly_is_seen() -> None:
    config = ClientConfig(backoff=Backoff(initial=0.0))
    with peer() as server, client(server.url, config=config) as voice:
        timer = threading.Timer(0.05, server.call().cut)
        timer.start()
        assert voice.wait_for(State.RECONNECTING, PATIENCE) is State.RECONNECTING
        timer.join()


def test_waiting_for_a_state_of_a_client_that_is_not_open_is_refused() -> None:
    voice = client("ws://localhost")
    assert voice.wait_for(State.IDLE) is State.IDLE
    with pytest.raises(InvalidState):
        voice.wait_for(State.CONNECTED)


def test_an_opening_that_takes_too_long_says_what_was_in_the_way() -> None:
    config = ClientConfig(backoff=Backoff(initial=30, cap=30, max_attempts=None))
    voice = client(f"ws://127.0.0.1:{unused_port()}", config=config)
    told = threading.Event()
    voice.on(Reconnecting, told.set)
    with pytest.raises(TimeoutError) as caught:
        voice.open(timeout=1.0)
    assert isinstance(caught.value.__cause__, ConnectFailed)


def test_a_microphone_that_hangs_is_left_and_opened_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicews.threads.device_worker._HUNG", 0.2)
    go_on = threading.Event()
    mark = b"\x07\x07" * 320

    class Hanging(HandMicrophone):
        """Hangs in its third frame, and works again once another thread has opened it."""

        def read(self) -> bytes | None:
            if len(self.opened) == 1 and not self.frames:
                go_on.wait(PATIENCE)
                raise DeviceLostError("replaced")
            return super().read()

    microphone = Hanging([bytes(640)] * 3)
    with peer() as server, client(server.url, microphone=microphone) as voice:
        told = voice.events(DeviceLost), voice.events(DeviceRestored)
        assert told[0].get(PATIENCE).device == "microphone"
        assert told[1].get(PATIENCE).device == "microphone"
        microphone.frames.append(mark)
        call = server.call()
        call.wait(lambda: mark in call.audio)
        go_on.set()
        call.wait_for_audio(len(call.audio) + 6400)
        assert voice.state is State.CONNECTED
    # All but the one that hung.
    assert microphone.closed == len(microphone.opened) - 1


def test_a_speaker_that_hangs_is_left_and_opened_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicews.threads.device_worker._HUNG", 0.2)
    go_on = threading.Event()

    class Hanging(EarSpeaker):
        def write(self, pcm: bytes) -> None:
            if len(self.opened) == 1:
                go_on.wait(PATIENCE)
                raise DeviceLostError("replaced")
            super().write(pcm)

    speaker = Hanging(speed=50)
    mark = b"\x07\x07" * 320
    with peer() as server, client(server.url, speaker=speaker) as voice:
        told = voice.events(DeviceLost), voice.events(DeviceRestored)
        server.call().send(bytes(640))
        assert told[0].get(PATIENCE).device == "speaker"
        assert told[1].get(PATIENCE).device == "speaker"
        before = len(speaker.written)
        server.call().send(mark)
        assert speaker.wait_for(before + 640)[-640:] == mark
        go_on.set()
    assert speaker.closed == len(speaker.opened) - 1


@pytest.mark.parametrize("awaits", [False, True])
def test_devices_that_hang_in_their_first_opening(awaits: bool) -> None:
    go_on = threading.Event()

    class HangingMicrophone(HandMicrophone):
        def open(self, format: AudioFormat, frame_samples: int) -> None:
            go_on.wait(PATIENCE)
            super().open(format, frame_samples)

    class HangingSpeaker(EarSpeaker):
        def open(self, format: AudioFormat) -> None:
            go_on.wait(PATIENCE)
            super().open(format)

    config = ClientConfig(await_devices=awaits, timeouts=Timeouts(device=0.3, close=0.5))
    with peer() as server:
        voice = client(server.url, microphone=HangingMicrophone(), speaker=HangingSpeaker(), config=config)
        lost: queue.Queue[DeviceLost] = queue.Queue()
        voice.on(DeviceLost, lost.put)
        try:
            if awaits:
                voice.open()
                assert {lost.get(timeout=PATIENCE).device for _ in range(2)} == {"microphone", "speaker"}
                server.call().wait_for_audio(6400)
                restored = voice.events(DeviceRestored)
                go_on.set()
                assert {restored.get(PATIENCE).device for _ in range(2)} == {"microphone", "speaker"}
            else:
                with pytest.raises(DeviceLostError, match="microphone and speaker could not be opened"):
                    voice.open()
        finally:
            go_on.set()
            with contextlib.suppress(ShutdownTimeout):
                voice.close()


def test_a_watchdog_ends_a_deaf_run_with_an_error() -> None:
    go_on = threading.Event()

    class Hanging(HandMicrophone):
        def read(self) -> bytes | None:
            if self.frames:
                return super().read()
            go_on.wait(PATIENCE)
            return super().read()

    config = ClientConfig(watchdog=0.5, timeouts=Timeouts(send=0.4, close=2.0))
    with peer() as server:
        voice = client(server.url, microphone=Hanging([bytes(640)] * 3), config=config)
        voice.on(StateChanged, lambda change: go_on.set() if change.new is State.CLOSING else None)
        with pytest.raises(AudioStalled, match=r"no captured sound has been sent for 0\.5 s"):
            voice.run()
        assert voice.state is State.FAILED
        server.call().wait_until_over()
        assert server.call().close_code == 1000


class Clock:
    """Time that a test lets pass."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class PingedLink:
    """A connection that answers each ping ``rtt`` later, until it dies."""

    def __init__(self, clock: Clock, rtt: float, dies_at: float) -> None:
        self.clock, self.rtt, self.dies_at = clock, rtt, dies_at
        self.pings: list[float] = []
        self.killed_by: BaseException | None = None

    def ping(self) -> None:
        self.pings.append(self.clock.now)

    @property
    def last_received(self) -> float:
        answers = (at + self.rtt for at in self.pings if at + self.rtt < self.dies_at)
        return max((at for at in answers if at <= self.clock.now), default=0.0)

    def abort(self, error: BaseException | None) -> None:
        self.killed_by = error


@pytest.fixture(scope="module")
def idle_supervisor() -> Supervisor:
    """One that was never started: its methods are called by the test."""
    return Supervisor(
        Plain("ws://localhost"),
        SilenceSource(),
        NullSink(),
        ClientConfig(),
        silence_for=frozenset(),
        lifecycle=Lifecycle(),
        history=History(10),
        handlers=Handlers(),
        tools={},
        is_muted=lambda: False,
        changed=threading.Condition(),
        ended=lambda supervisor: None,
    )


SECONDS = st.sampled_from([0.1, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 20.0, 25.0]) | st.floats(0.05, 40.0)


@given(SECONDS, SECONDS, st.floats(0.001, 0.95), st.none() | st.floats(0.0, 50.0))
@example(10.0, 10.0, 0.01, None)
@example(1.0, 10.0, 0.01, 0.55)
@example(10.0, 10.0, 0.01, 10.01)
def test_a_live_link_is_never_hung_up_and_a_dead_one_in_time(
    idle_supervisor: Supervisor, interval: float, pong: float, share: float, dies_after: float | None
) -> None:
    """For all pairs of settings, with the clock of the test."""
    supervisor, clock = idle_supervisor, Clock()
    end = clock.now + 4 * (interval + pong) + (dies_after or 0.0)
    dies_at = math.inf if dies_after is None else clock.now + dies_after
    link = PingedLink(clock, rtt=pong * share, dies_at=dies_at)
    supervisor._config = ClientConfig(timeouts=Timeouts(ping_interval=interval, pong=pong))
    supervisor._connection = link  # type: ignore[assignment]
    supervisor._alarms = alarms = Alarms()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("voicews.threads.supervisor.time", clock)
        patch.setattr("voicews.threads.alarms.time", clock)
        supervisor._ping()
        while link.killed_by is None and clock.now < end:
            step = alarms.next()
            assert step is not None
            clock.now += step
            while (alarm := alarms.due()) is not None:
                supervisor._ring(alarm)
    if dies_after is None:
        assert link.killed_by is None
        assert len(link.pings) >= 4
    else:
        assert isinstance(link.killed_by, KeepaliveTimeout)
        assert clock.now <= dies_at + interval + pong + 1e-6


def test_a_process_that_stood_still_asks_again_before_it_hangs_up(idle_supervisor: Supervisor) -> None:
    supervisor, clock = idle_supervisor, Clock()
    link = PingedLink(clock, rtt=1.0, dies_at=0.0)
    supervisor._config = ClientConfig(timeouts=Timeouts(ping_interval=20, pong=10))
    supervisor._connection = link  # type: ignore[assignment]
    supervisor._alarms = Alarms()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("voicews.threads.supervisor.time", clock)
        patch.setattr("voicews.threads.alarms.time", clock)
        supervisor._ping()
        clock.now += 300
        while (alarm := supervisor._alarms.due()) is not None:
            supervisor._ring(alarm)
        assert link.killed_by is None
        clock.now += 10
        while (alarm := supervisor._alarms.due()) is not None:
            supervisor._ring(alarm)
    assert isinstance(link.killed_by, KeepaliveTimeout)


def test_the_first_attempts_are_each_a_warning_and_then_one_in_a_while(
    idle_supervisor: Supervisor, caplog: pytest.LogCaptureFixture
) -> None:
    """A day without a server, an attempt every half minute."""
    caplog.set_level("INFO")
    for attempt in range(1, 2881):
        event = Reconnecting(attempt, 30.0, ConnectFailed("nobody there"))
        object.__setattr__(event, "at", 1000.0 + 30.0 * attempt)
        idle_supervisor._log_attempt(event)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings[0] == "nobody there (trying again in 30.0 s, attempt 1)"
    assert ["attempt 5" in line for line in warnings[4:6]] == [True, False]
    assert 5 + 24 * 12 - 2 <= len(warnings) <= 5 + 24 * 12 + 1
    assert len(caplog.records) == 2880


def test_the_log_says_why_attempts_are_counted_on(
    idle_supervisor: Supervisor, caplog: pytest.LogCaptureFixture
) -> None:
    idle_supervisor._log_attempt(Reconnecting(3, 3.6, ConnectFailed("cut"), lasted=8.0))
    [line] = caplog.messages
    assert line.startswith("cut (trying again in 3.6 s, attempt 3; the session lasted only 8.0 s, so ")
