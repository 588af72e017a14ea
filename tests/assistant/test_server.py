"""The whole server, called by an independent client, with real ears and a real voice."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.assistant.caller import Caller, calling, pcm_of, resampled, silence, spoken
from tests.patience import PATIENCE
from voicews.assistant import AssistantConfig, AssistantServer, HomeHelper
from voicews.assistant.speech import utterances, word_error_rate
from voicews.assistant.voice import HibariVoice
from voicews.assistant.whisper import WhisperEars
from voicews.errors import BackendMissing, ConfigError, InvalidState, ShutdownTimeout, TransportError
from voicews.history import History

Call = Callable[[], Caller]


def transcribe(ears: WhisperEars, pcm: bytes, rate: int) -> str:
    hearing = ears.listen()
    hearing.feed(resampled(pcm, rate))
    return hearing.finish()


class TestConversation:
    def test_a_spoken_turn_is_heard_answered_and_spoken(self, call: Call, ears: WhisperEars) -> None:
        caller = call()
        caller.speak(pcm_of(utterances()[0].path) + silence(1.0), speed=1.0)
        answer = caller.wait("response_done")
        assert caller.messages[0] == {"type": "ready", "sample_rate": 24000}
        order = [kind for kind in caller.kinds() if kind not in ("transcript", "token")]
        assert order == ["ready", "speech_started", "speech_stopped", "response_started", "response_done"]
        partials = [message for message in caller.of("transcript") if not message["final"]]
        assert partials
        assert word_error_rate("What is seven times eight?", caller.heard()[0]) == 0
        assert answer["text"] == "Seven times eight is fifty-six."
        assert len(caller.of("token")) == 5
        assert "".join(message["text"] for message in caller.of("token")) == answer["text"]
        assert caller.largest <= 4800  # 100 ms
        assert word_error_rate(answer["text"], transcribe(ears, bytes(caller.sound), 24000)) == 0

    def test_the_bundled_conversation_gets_right_answers(self, call: Call, ears: WhisperEars) -> None:
        caller = call()
        wrong = 0.0
        for count, utterance in enumerate(utterances(), 1):
            sound_before = len(caller.sound)
            caller.speak(pcm_of(utterance.path) + silence(0.8))
            answer = caller.wait("response_done", count)["text"]
            heard = caller.heard()[-1]
            echo = transcribe(ears, bytes(caller.sound[sound_before:]), 24000)
            rate = word_error_rate(utterance.words, heard)
            spoken_rate = word_error_rate(answer, echo)
            print(f"{utterance.words!r} -> {heard!r} (WER {rate:.2f})")
            print(f"    {answer!r} -> {echo!r} (WER {spoken_rate:.2f})")
            wrong += rate / len(utterances())
            assert utterance.is_answered_by(answer), answer
            assert spoken_rate <= 0.2
        assert wrong <= 0.1

    def test_written_turns_are_answered_in_order(self, call: Call) -> None:
        caller = call()
        for sum_ in ("1 plus 1", "2 plus 2", "3 plus 3"):
            caller.tell(type="text", text=sum_)
        caller.wait("response_done", 3)
        assert caller.answers() == [
            "One plus one is two.",
            "Two plus two is four.",
            "Three plus three is six.",
        ]
        assert not caller.of("interrupted")

    def test_history_makes_it_go_on_where_it_was(self, call: Call) -> None:
        caller = call()
        turns = [{"role": "user", "text": "My name is Clara."}, {"role": "assistant", "text": "Hello."}]
        caller.tell(type="hello", rate=16000, channels=1, history=turns)
        assert caller.ask("What is my name?") == "Your name is Clara."
        assert caller.ask("What did I say first?") == "The first thing you said was: My name is Clara."

    def test_each_client_has_its_own_history(self, call: Call) -> None:
        first, second = call(), call()
        first.ask("My name is Clara.")
        assert second.ask("What is my name?") == "You have not told me your name."
        assert first.ask("What is my name?") == "Your name is Clara."

    def test_push_to_talk(self, call: Call) -> None:
        caller = call()
        caller.tell(type="start_of_turn")
        caller.wait("speech_started")
        # A pause much longer than what ends a turn otherwise, between the two halves.
        sum_ = pcm_of(utterances()[0].path)
        caller.speak(sum_ + silence(1.5))
        assert not caller.of("speech_stopped")
        caller.tell(type="end_of_turn")
        assert caller.wait("response_done")["text"] == "Seven times eight is fifty-six."
        assert len(caller.of("speech_stopped")) == 1

    def test_end_of_stream_ends_the_turn_at_once_and_is_answered_before_finished(self, call: Call) -> None:
        caller = call()
        caller.speak(pcm_of(utterances()[0].path)[:-9600])
        caller.tell(type="end_of_stream")
        caller.wait("finished")
        assert caller.answers() == ["Seven times eight is fifty-six."]
        assert caller.kinds()[-2:] == ["response_done", "finished"]
        assert caller.sound
        caller.connection.send(silence(0.1))  # what still comes is not an error
        assert not caller.of("error")

    def test_end_of_stream_without_a_turn(self, call: Call) -> None:
        caller = call()
        caller.tell(type="end_of_stream")
        caller.wait("finished")
        assert caller.kinds() == ["ready", "finished"]

    def test_sound_that_just_stops_coming_ends_the_turn(self, call: Call) -> None:
        caller = call()
        caller.speak(pcm_of(utterances()[0].path)[:-9600])
        assert caller.wait("response_done")["text"] == "Seven times eight is fifty-six."

    def test_other_rates_and_stereo_are_converted(self, call: Call) -> None:
        import numpy as np

        caller = call()
        caller.tell(type="hello", rate=8000, channels=2)
        mono = np.frombuffer(pcm_of(utterances()[0].path) + silence(1.0), "<i2")[::2]
        caller.connection.send(np.repeat(mono, 2).tobytes())
        assert caller.wait("response_done")["text"] == "Seven times eight is fifty-six."

    def test_a_click_is_no_turn(self, call: Call) -> None:
        caller = call()
        click = b"\xff\x3f" * 200
        caller.speak(silence(0.3) + click + silence(1.0), speed=10)
        caller.tell(type="end_of_stream")
        caller.wait("finished")
        assert caller.kinds() == ["ready", "finished"]

    def test_long_speech_without_words_is_asked_for_again(self, call: Call) -> None:
        import numpy as np

        caller = call()
        caller.tell(type="start_of_turn")
        noise = np.random.default_rng(1).normal(0, 3000, 32000).astype("<i2").tobytes()
        caller.speak(noise, speed=10)
        caller.tell(type="end_of_turn")
        assert caller.wait("response_done")["text"] == "Sorry, I did not catch that."
        assert not caller.of("transcript")


class TestInterruption:
    LONG = "one two three four five six seven eight nine ten. " * 8

    @pytest.fixture
    def long_winded(self, ears: WhisperEars, voice: HibariVoice) -> Iterator[AssistantServer]:
        def brain(history: History, text: str) -> Iterator[str]:
            if "stop" in text.lower():
                yield " | ".join(f"{turn.role}: {turn.text}" for turn in history)
            else:
                yield from (f"{word} " for word in self.LONG.split())

        with AssistantServer(brain=brain, ears=ears, voice=voice) as server:
            yield server

    def test_speaking_over_what_still_plays_cuts_it_off(
        self, long_winded: AssistantServer, voice: HibariVoice
    ) -> None:
        with calling(long_winded.url) as caller:
            caller.tell(type="text", text="go")
            caller.wait("response_done")  # all 25 seconds are sent, and would still be playing
            caller.speak(silence(1.2) + spoken(voice, "Stop.") + silence(0.8), speed=1.0)
            assert "text" not in caller.wait("interrupted")
            order = [kind for kind in caller.kinds() if kind in ("speech_started", "interrupted")]
            assert order == ["speech_started", "interrupted"]
            told = caller.wait("response_done", 2)["text"]
            assert told.startswith("user: go | assistant: one two")
            assert len(told) < len(self.LONG) / 2  # it remembers what was heard, not what was sent

    def test_speaking_while_it_still_answers_ends_that_answer(
        self, ears: WhisperEars, voice: HibariVoice
    ) -> None:
        asked_for_more = threading.Event()
        closed = threading.Event()

        def endless(history: History, text: str) -> Iterator[str]:
            try:
                while True:
                    yield "And so on and so on. "
                    asked_for_more.wait(0.05)
            finally:
                closed.set()

        with AssistantServer(brain=endless, ears=ears, voice=voice) as server, calling(server.url) as caller:
            caller.tell(type="text", text="go")
            caller.wait_until(lambda caller: len(caller.sound) > 48000)
            caller.speak(silence(1.0) + spoken(voice, "Stop.") + silence(0.2), speed=1.0)
            cut = caller.wait("interrupted")
            assert closed.wait(PATIENCE)
            at = caller.messages.index(cut)
            assert "token" not in [message["type"] for message in caller.messages[at : at + 3]]
            assert not caller.of("response_done")
            assert cut["text"].startswith("And so on")
            caller.tell(type="interrupt")
            asked_for_more.set()

    def test_nothing_of_the_cut_answer_follows_the_news(self, ears: WhisperEars, voice: HibariVoice) -> None:
        def endless(history: History, text: str) -> Iterator[str]:
            while True:
                yield "And so on and so on. "

        with AssistantServer(brain=endless, ears=ears, voice=voice) as server, calling(server.url) as caller:
            for count in range(1, 11):
                enough = len(caller.of("token")) + 20
                caller.tell(type="text", text="go")
                caller.wait_until(partial(lambda least, caller: len(caller.of("token")) > least, enough))
                caller.tell(type="interrupt")
                done = caller.wait("response_done", count)
                sound = len(caller.sound)
                caller.tell(type="nonsense")  # answered by the reader at once
                caller.wait("error", count)
                assert caller.messages[-1]["type"] == "error"
                assert caller.messages[-2] == done
                assert len(caller.sound) == sound

    def test_the_clients_own_interruption_ends_the_answer_quietly(self, long_winded: AssistantServer) -> None:
        with calling(long_winded.url) as caller:
            caller.tell(type="text", text="go")
            caller.wait("response_done")
            caller.tell(type="interrupt")
            caller.tell(type="truncate", heard_ms=1500)
            told = caller.ask("stop")
            assert told.startswith("user: go | assistant: one two")
            assert len(told) < 80
            assert not caller.of("interrupted")

    def test_after_the_answer_has_been_played_there_is_nothing_to_interrupt(self, call: Call) -> None:
        caller = call()
        caller.ask("Yes.")  # "All right." lasts less than a second
        played = threading.Event()
        assert not played.wait(len(caller.sound) / 48000 + 0.5)
        caller.speak(pcm_of(utterances()[0].path) + silence(0.8))
        caller.wait("response_done", 2)
        assert not caller.of("interrupted")

    def test_without_interruptions_it_is_deaf_while_it_speaks(
        self, ears: WhisperEars, voice: HibariVoice
    ) -> None:
        config = AssistantConfig(interruptible=False)
        with (
            AssistantServer(brain=lambda _, text: self.LONG, ears=ears, voice=voice, config=config) as server,
            calling(server.url) as caller,
        ):
            caller.ask("go")
            caller.speak(spoken(voice, "Stop.") + silence(0.8))
            caller.tell(type="end_of_stream")
            caller.wait("finished")
            assert not caller.of("speech_started")


class TestSpeakingUp:
    def test_a_timer_rings_by_itself_for_everybody(self, call: Call) -> None:
        first, second = call(), call()
        assert first.ask("Set a timer for one second.") == "Your timer is set for one second."
        assert first.wait("response_done", 2)["text"] == "Your one-second timer is done."
        assert second.wait("response_done", 1)["text"] == "Your one-second timer is done."
        assert second.sound

    def test_a_timer_that_rings_while_nobody_is_there_is_told_to_the_next(
        self, ears: WhisperEars, voice: HibariVoice
    ) -> None:
        clock = [0.0]
        home = HomeHelper(clock=lambda: clock[0])
        with AssistantServer(brain=home, ears=ears, voice=voice) as server:
            with calling(server.url) as caller:
                caller.ask("Set a timer for ten minutes")
            assert server.wait_for(lambda server: not server.clients)
            clock[0] = 601
            with calling(server.url) as caller:
                assert caller.wait("response_done")["text"] == "Your ten-minute timer is done."

    def test_an_alarm_waits_until_the_user_has_finished(self, call: Call) -> None:
        caller = call()
        caller.ask("Set a timer for one second")
        caller.tell(type="start_of_turn")
        caller.wait("speech_started")
        never = threading.Event()
        assert not never.wait(1.5)
        assert len(caller.of("response_done")) == 1
        caller.speak(pcm_of(utterances()[0].path))
        caller.tell(type="end_of_turn")
        caller.wait("response_done", 3)
        assert caller.answers()[1:] == ["Seven times eight is fifty-six.", "Your one-second timer is done."]

    def test_an_alarm_that_was_talked_over_comes_again(self, call: Call) -> None:
        caller = call()
        caller.ask("Set a timer for one second")
        caller.wait("response_done", 2)
        caller.tell(type="start_of_turn")  # it has just begun to play
        caller.wait("interrupted")
        caller.tell(type="end_of_turn")
        assert caller.wait("response_done", 3)["text"] == "Your one-second timer is done."

    def test_a_brain_that_fails_to_speak_up_goes_on_answering(
        self, ears: WhisperEars, voice: HibariVoice
    ) -> None:
        class Broken:
            def __call__(self, history: History, text: str) -> str:
                return "Fine."

            def next_due(self) -> float:
                raise ValueError("no idea")

            def take_due(self) -> list[str]:
                return []

        with (
            AssistantServer(brain=Broken(), ears=ears, voice=voice) as server,
            calling(server.url) as caller,
        ):
            assert caller.ask("hello") == "Fine."
            assert caller.ask("hello") == "Fine."


class TestBadClients:
    @pytest.mark.parametrize(
        ("message", "code"),
        [
            ("no json", "bad_json"),
            ("[1]", "bad_json"),
            ("[" * 100_000, "bad_json"),
            ('{"type": "fly"}', "unknown_type"),
            ("{}", "unknown_type"),
            ('{"type": 7}', "unknown_type"),
            ('{"type": ["a"]}', "unknown_type"),
            ('{"type": "text"}', "bad_text"),
            ('{"type": "text", "text": " "}', "bad_text"),
            (json.dumps({"type": "text", "text": "a" * 5000}), "bad_text"),
            ('{"type": "truncate"}', "bad_truncate"),
            ('{"type": "truncate", "heard_ms": true}', "bad_truncate"),
            ('{"type": "truncate", "heard_ms": -1}', "bad_truncate"),
            ('{"type": "truncate", "heard_ms": NaN}', "bad_truncate"),
            ('{"type": "hello", "history": 3}', "bad_hello"),
            ('{"type": "hello", "history": [{"role": "god", "text": "x"}]}', "bad_hello"),
            ('{"type": "hello", "history": [7]}', "bad_hello"),
            (b"\x00\x00\x00", "bad_audio"),
        ],
    )
    def test_nonsense_is_answered_and_survived(self, call: Call, message: str | bytes, code: str) -> None:
        caller = call()
        caller.connection.send(message)
        error = caller.wait("error")
        assert error["code"] == code
        assert error["fatal"] is False
        assert caller.ask("What is seven times eight?") == "Seven times eight is fifty-six."

    @pytest.mark.parametrize("hello", [{"rate": 11}, {"rate": "fast"}, {"channels": 7}, {"rate": None}])
    def test_sound_that_cannot_be_used_ends_the_connection(
        self, call: Call, hello: dict[str, object]
    ) -> None:
        caller = call()
        caller.tell(type="hello", **hello)
        assert caller.wait("error")["fatal"] is True
        caller.wait_until(lambda caller: caller.hung_up)

    def test_harmless_surprises(self, call: Call) -> None:
        caller = call()
        caller.tell(type="end_of_turn")
        caller.tell(type="interrupt")
        caller.tell(type="truncate", heard_ms=100)
        caller.tell(type="start_of_turn")
        caller.tell(type="start_of_turn")
        caller.tell(type="end_of_turn")
        caller.connection.send(b"")
        caller.tell(type="end_of_stream")
        caller.tell(type="end_of_stream")
        caller.wait("finished")
        assert not caller.of("error")
        assert len(caller.of("finished")) == 1

    def test_too_many_turns_at_once_are_refused_with_a_word(
        self, ears: WhisperEars, voice: HibariVoice
    ) -> None:
        go_on = threading.Event()

        def slow(history: History, text: str) -> Iterator[str]:
            go_on.wait(PATIENCE)
            yield "Done."

        config = AssistantConfig(backlog=2)
        with (
            AssistantServer(brain=slow, ears=ears, voice=voice, config=config) as server,
            calling(server.url) as caller,
        ):
            for _ in range(10):
                caller.tell(type="text", text="hello")
            assert caller.wait("error")["code"] == "busy"
            caller.wait_until(lambda caller: len(caller.of("error")) >= 7)
            go_on.set()
            caller.wait("response_done", 10 - len(caller.of("error")))

    def test_a_foreign_web_page_may_not_call(self, server: AssistantServer) -> None:
        with (
            pytest.raises(InvalidStatus) as caught,
            connect(server.url, origin=Origin("https://evil.example")),
        ):
            pass
        assert caught.value.response.status_code == 403
        with calling(server.url, origin=server.url.replace("ws:", "http:")) as caller:
            caller.wait("ready")


class TestBadBrains:
    @pytest.mark.parametrize("when", ["at once", "in the middle"])
    def test_its_failure_is_told_and_survived(
        self, ears: WhisperEars, voice: HibariVoice, when: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        def brain(history: History, text: str) -> Iterator[str]:
            if when == "at once":
                raise ZeroDivisionError("secret")
            yield "Well. "
            raise ZeroDivisionError("secret")

        with AssistantServer(brain=brain, ears=ears, voice=voice) as server, calling(server.url) as caller:
            caller.tell(type="text", text="hello")
            error = caller.wait("error")
            assert error["code"] == "brain_failed"
            assert "ZeroDivisionError" in error["message"]
            assert "secret" not in error["message"]
            assert caller.wait("response_done")["text"] == ("" if when == "at once" else "Well.")
            caller.tell(type="text", text="hello")
            caller.wait("response_done", 2)
        assert "secret" in caplog.text

    def test_a_plain_string_is_a_fine_answer(self, ears: WhisperEars, voice: HibariVoice) -> None:
        with (
            AssistantServer(brain=lambda _, text: f"You said {text}", ears=ears, voice=voice) as server,
            calling(server.url) as caller,
        ):
            assert caller.ask("hello there") == "You said hello there"
            assert len(caller.of("token")) == 4

    def test_a_brain_that_hangs_is_named_when_closing(self, ears: WhisperEars, voice: HibariVoice) -> None:
        go_on = threading.Event()
        busy = threading.Event()

        def brain(history: History, text: str) -> Iterator[str]:
            busy.set()
            go_on.wait(30)
            yield "Done."

        server = AssistantServer(brain=brain, ears=ears, voice=voice)
        server.start()
        with calling(server.url) as caller:
            caller.tell(type="text", text="hello")
            assert busy.wait(PATIENCE)
            began = time.monotonic()
            with pytest.raises(ShutdownTimeout) as caught:
                server.close(deadline=1.5)
            assert time.monotonic() - began < 6
            assert caught.value.threads == ("voicews-assistant-client-1",)
            go_on.set()
            assert server.wait_for(lambda server: not server.clients)


class TestSeveralClients:
    def test_they_speak_at_the_same_time(self, server: AssistantServer) -> None:
        answers: dict[int, str] = {}

        def converse(index: int) -> None:
            utterance = utterances()[(0, 1, 3, 0)[index]]
            with calling(server.url) as caller:
                caller.speak(pcm_of(utterance.path) + silence(0.8), speed=1.0)
                caller.wait("response_done")
                if utterance.is_answered_by(caller.answers()[0]):
                    answers[index] = caller.answers()[0]

        threads = [threading.Thread(target=converse, args=(index,)) for index in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(answers) == [0, 1, 2, 3]
        assert server.connections == 4
        assert server.wait_for(lambda server: not server.clients)


class TestBadBehaviour:
    def test_drop_cuts_the_connection_without_a_word(self, server: AssistantServer) -> None:
        with calling(server.url) as first, calling(server.url) as second:
            first.wait("ready")
            second.wait("ready")
            assert server.clients == (1, 2)
            assert server.drop(client=1) == 1
            first.wait_until(lambda caller: caller.hung_up)
            assert first.connection.close_code == 1006
            assert second.ask("1 plus 1") == "One plus one is two."
            assert server.drop() == 1
            second.wait_until(lambda caller: caller.hung_up)
        assert server.drop() == 0

    def test_drop_with_a_code(self, server: AssistantServer) -> None:
        with calling(server.url) as caller:
            caller.wait("ready")
            assert server.drop(1012) == 1
            caller.wait_until(lambda caller: caller.hung_up)
            assert caller.connection.close_code == 1012

    def test_the_conversation_goes_on_after_a_drop(self, server: AssistantServer) -> None:
        with calling(server.url) as caller:
            caller.ask("My name is Clara.")
            server.drop()
            caller.wait_until(lambda caller: caller.hung_up)
        with calling(server.url) as caller:
            caller.tell(type="hello", history=[{"role": "user", "text": "My name is Clara."}])
            assert caller.ask("What is my name?") == "Your name is Clara."
        assert server.connections == 2

    def test_stalled_it_neither_reads_nor_writes_nor_pongs(self, server: AssistantServer) -> None:
        with calling(server.url) as caller:
            caller.wait("ready")
            server.stall()
            caller.tell(type="text", text="1 plus 1")
            pong = caller.connection.ping()
            assert not pong.wait(0.5)
            assert caller.kinds() == ["ready"]
            with pytest.raises(InvalidState):
                server.drop(1000)
            server.resume()
            assert pong.wait(PATIENCE)
            assert caller.wait("response_done")["text"] == "One plus one is two."

    def test_stalled_it_accepts_tcp_but_shakes_no_hands(self, server: AssistantServer) -> None:
        server.stall()
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            sock.settimeout(0.3)
            with pytest.raises(TimeoutError):
                sock.recv(1)
            server.resume()
            sock.settimeout(5)
            assert sock.recv(8) == b"HTTP/1.1"
        assert server.connections == 0

    def test_stalled_connections_can_be_cut_and_closed(self, ears: WhisperEars, voice: HibariVoice) -> None:
        with AssistantServer(ears=ears, voice=voice) as server:
            with calling(server.url) as caller:
                caller.wait("ready")
                server.stall()
                assert server.drop() == 1
                caller.wait_until(lambda caller: caller.hung_up)
            server.resume()
            with calling(server.url) as caller:
                caller.wait("ready")
                server.stall()
                began = time.monotonic()
                server.close()
                assert time.monotonic() - began < 6

    def test_refuse_and_accept(self, server: AssistantServer) -> None:
        server.refuse(503, retry_after=2.5)
        with pytest.raises(InvalidStatus) as caught, connect(server.url):
            pass
        assert caught.value.response.status_code == 503
        assert caught.value.response.headers["Retry-After"] == "2.5"
        server.refuse(401)
        with pytest.raises(InvalidStatus) as caught, connect(server.url):
            pass
        assert caught.value.response.status_code == 401
        assert "Retry-After" not in caught.value.response.headers
        assert server.wait_for(lambda server: server.refused == 2)
        assert server.connections == 0
        server.accept()
        with calling(server.url) as caller:
            caller.wait("ready")

    def test_a_handshake_that_never_comes_does_not_hold_up_closing(
        self, ears: WhisperEars, voice: HibariVoice
    ) -> None:
        server = AssistantServer(ears=ears, voice=voice)
        server.start()
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            with calling(server.url) as caller:
                caller.wait("ready")
            began = time.monotonic()
            server.close(deadline=2.0)
            assert time.monotonic() - began < 4
            sock.settimeout(5)
            assert sock.recv(1000) == b""


class TestLife:
    def test_it_can_be_started_and_closed_again_and_again(
        self, ears: WhisperEars, voice: HibariVoice
    ) -> None:
        server = AssistantServer(ears=ears, voice=voice)
        server.close()
        for _ in range(3):
            server.start()
            with pytest.raises(InvalidState):
                server.start()
            assert repr(server) == f"<AssistantServer {server.url}, 0 clients>"
            with calling(server.url) as caller:
                caller.wait("ready")
                server.close()
                caller.wait_until(lambda caller: caller.hung_up)
                assert caller.connection.close_code == 1001
            server.close()
        assert repr(server) == "<AssistantServer not running, 0 clients>"
        for ask in (lambda: server.port, lambda: server.url):
            with pytest.raises(InvalidState):
                ask()

    def test_wait_ends_when_it_is_closed(self, ears: WhisperEars, voice: HibariVoice) -> None:
        server = AssistantServer(ears=ears, voice=voice)
        server.start()
        assert not server.wait(0.01)
        closer = threading.Timer(0.1, server.close)
        closer.start()
        assert server.wait(PATIENCE)
        closer.join(PATIENCE)

    def test_a_taken_port_is_told(
        self, server: AssistantServer, ears: WhisperEars, voice: HibariVoice
    ) -> None:
        other = AssistantServer(port=server.port, ears=ears, voice=voice)
        with pytest.raises(TransportError, match=f"127.0.0.1:{server.port}"):
            other.start()
        other.close()

    def test_wrong_settings_are_told(self, ears: WhisperEars, voice: HibariVoice) -> None:
        with pytest.raises(ConfigError, match="port"):
            AssistantServer(port=70000)
        with pytest.raises(ConfigError, match="ears"):
            AssistantServer(ears="big", voice=voice).start()
        with pytest.raises(ConfigError, match="voice"):
            AssistantServer(ears=ears, voice="loud").start()

    def test_no_websockets(
        self, ears: WhisperEars, voice: HibariVoice, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import sys

        monkeypatch.setitem(sys.modules, "voicews.assistant.link", None)
        with pytest.raises(BackendMissing, match=r'pip install "\.\[assistant\]"'):
            AssistantServer(ears=ears, voice=voice).start()

    def test_a_client_that_vanishes_in_mid_answer_leaves_nothing(self, server: AssistantServer) -> None:
        with calling(server.url) as caller:
            caller.tell(type="text", text="Tell me a joke.")
            caller.wait("token")
            caller.connection.socket.shutdown(socket.SHUT_RDWR)
        assert server.wait_for(lambda server: not server.clients)

    def test_urls(self, ears: WhisperEars, voice: HibariVoice) -> None:
        with AssistantServer("0.0.0.0", ears=ears, voice=voice) as server:
            assert server.url == f"ws://127.0.0.1:{server.port}"
            assert server.ears is ears
            assert server.voice is voice
            assert server.startup < 5
            with calling(server.url) as caller:
                caller.wait("ready")
