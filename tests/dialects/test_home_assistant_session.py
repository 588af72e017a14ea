"""The rules of a connection to Home Assistant, beyond the golden conversation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.dialects.test_home_assistant_assist import RUNS, WELCOME, event, house
from voicews.commands import Command, EndTurn, InterruptResponse, SendAudio, SendMessage, SendText, StartTurn
from voicews.config import AudioFormat
from voicews.dialects.home_assistant_session import HomeAssistantSession
from voicews.errors import ConnectFailed, ServiceError
from voicews.events import (
    AudioReceived,
    Event,
    Interrupted,
    Message,
    ResponseDone,
    ResponseStarted,
    ServerError,
    SoundOffered,
    SpeechStarted,
    SpeechStopped,
    Token,
    Transcript,
)
from voicews.history import History

SECOND = b"\1\0" * 16000
SILENCE = bytes(32000)


class House:
    """A session, and what it has said since one last looked."""

    def __init__(self, previous: HomeAssistantSession | None = None, **settings: Any) -> None:
        session = house(**settings).begin(previous, History())
        assert isinstance(session, HomeAssistantSession)
        self.session = session

    def hear(self, *words: dict[str, Any]) -> list[Event]:
        return [event for word in words for event in self.session.receive(json.dumps(word))]

    def do(self, *commands: Command) -> None:
        for command in commands:
            self.session.send(command)

    def said(self) -> list[Any]:
        messages = self.session.messages_to_send()
        return [json.loads(one) if isinstance(one, str) else one for one in messages]

    def stages(self) -> list[str]:
        """What has been said, in short: where runs begin, or another message's type, or sound."""
        return [
            f"{len(one)} bytes" if isinstance(one, bytes) else one.get("start_stage", one["type"])
            for one in self.said()
        ]


def listening(**settings: Any) -> House:
    """One whose first run has begun."""
    made = House(**settings)
    made.hear(*WELCOME, RUNS)
    made.said()
    return made


def answered(number: int = 1, *, text: str = "Done.", more: bool = False) -> list[dict[str, Any]]:
    output = {"response": {"speech": {"plain": {"speech": text}}}, "conversation_id": "c"}
    return [
        event("stt-end", number, stt_output={"text": "Do it."}),
        event("intent-end", number, intent_output={**output, "continue_conversation": more}),
        event("tts-end", number, tts_output={"url": "/api/tts_proxy/1.wav"}),
        event("run-end", number),
    ]


def offer(events: list[Event]) -> SoundOffered:
    [found] = [one for one in events if isinstance(one, SoundOffered)]
    return found


def sound(seconds: float) -> tuple[bytes, AudioFormat]:
    made = AudioFormat(16000)
    return bytes(made.bytes(seconds)), made


# -- wake words --------------------------------------------------------------------------------------


def test_a_wake_word_is_told_and_then_a_command_is_heard() -> None:
    talk = listening(listen="wake_word")
    assert talk.hear(event("wake_word-end", wake_word_output={})) == []
    word = {"wake_word_output": {"wake_word_id": "okay_nabu", "timestamp": 2000}}
    assert talk.hear(event("wake_word-end", **word)) == [Message({"type": "wake_word-end", "data": word})]


@pytest.mark.parametrize(("more", "stage"), [(False, "wake_word"), (True, "stt")])
def test_a_question_of_the_house_needs_no_wake_word(more: bool, stage: str) -> None:
    talk = listening(listen="wake_word")
    talk.session.collected(offer(talk.hear(*answered(more=more))), sound(0.1))
    talk.session.tick(10.0)
    talk.session.tick(10.5)
    assert talk.stages() == [stage]


# -- turns -------------------------------------------------------------------------------------------


def test_a_turn_by_hand() -> None:
    talk = House(listen="turns")
    talk.hear(*WELCOME)
    assert talk.session.ready
    talk.said()
    talk.do(SendAudio(SECOND, 0.0))
    assert talk.said() == []
    talk.do(StartTurn(), SendAudio(b"\1\0", 0.0), EndTurn(), EndTurn(), SendAudio(b"\2\0", 0.0))
    [run] = talk.said()
    assert run["start_stage"] == "stt"
    talk.hear(RUNS)
    assert talk.said() == [b"\1\1\0", b"\1"]
    first = offer(talk.hear(*answered()))
    assert isinstance(talk.session.collected(first, sound(0.25))[-1], ResponseDone)
    talk.session.tick(100.0)
    talk.session.tick(200.0)
    assert talk.said() == []


def test_a_turn_interrupts_the_answer() -> None:
    talk = House(listen="turns")
    talk.hear(*WELCOME)
    talk.do(StartTurn())
    talk.hear(RUNS, *answered()[:2])
    talk.said()
    talk.do(StartTurn())
    assert talk.stages() == ["unsubscribe_events", "stt"]
    assert talk.hear(*answered()[2:]) == [Interrupted(), ResponseDone()]


# -- listening on and on -----------------------------------------------------------------------------


def test_it_listens_during_the_answer_where_it_does_not_hear_itself() -> None:
    talk = listening(barge_in=True)
    talk.session.collected(offer(talk.hear(*answered())), sound(5.0))
    assert talk.stages() == ["stt"]
    talk.hear(event("run-start", 2, runner_data={"stt_binary_handler_id": 9}))
    assert talk.hear(event("stt-vad-start", 2)) == [SpeechStarted(), Interrupted()]


def test_it_waits_until_the_answer_has_been_played() -> None:
    talk = listening()
    events = talk.session.collected(offer(talk.hear(*answered())), sound(5.0))
    assert sum(len(one.pcm) for one in events if isinstance(one, AudioReceived)) == 5 * 32000
    assert events[-1] == ResponseDone()
    talk.session.tick(100.0)
    talk.session.tick(105.2)
    assert talk.said() == []
    talk.session.tick(105.31)
    assert talk.stages() == ["stt"]


def test_an_interruption_ends_the_waiting() -> None:
    talk = listening()
    talk.session.collected(offer(talk.hear(*answered())), sound(5.0))
    talk.session.tick(100.0)
    talk.do(InterruptResponse())
    assert talk.stages() == ["stt"]
    talk.session.tick(110.0)
    assert talk.said() == []


def test_a_user_who_speaks_is_not_interrupted() -> None:
    talk = listening()
    talk.hear(event("stt-vad-start"))
    talk.do(InterruptResponse())
    assert talk.said() == []


def test_an_answer_that_was_called_off_is_not_heard() -> None:
    talk = listening()
    first = offer(talk.hear(*answered()[:3]))
    talk.do(InterruptResponse())
    assert talk.stages() == ["unsubscribe_events", "stt"]
    assert talk.session.collected(first, sound(1.0)) == []
    assert talk.hear(event("run-end"), event("error", code="x", message="y")) == [ResponseDone()]


def test_sound_is_kept_while_a_run_begins_but_not_without_end() -> None:
    talk = House()
    talk.hear(*WELCOME, event("run-start", runner_data={"stt_binary_handler_id": 1}))
    talk.do(SendText("Hello"))
    talk.do(InterruptResponse())
    talk.said()
    for number in range(5):
        talk.do(SendAudio(bytes([number]) * 32000, 0.0))
    assert talk.said() == []
    talk.hear(event("run-start", 5, runner_data={"stt_binary_handler_id": 7}))
    assert [(one[0], one[1], len(one)) for one in talk.said()] == [(7, 3, 32001), (7, 4, 32001)]


def test_the_house_may_say_several_things_at_once() -> None:
    talk = House()
    assert talk.session.receive(json.dumps([*WELCOME, RUNS, event("stt-vad-start")])) == [SpeechStarted()]
    assert talk.session.ready


# -- answers -----------------------------------------------------------------------------------------


def test_an_answer_in_pieces() -> None:
    talk = listening()
    heard = talk.hear(
        event("stt-end", stt_output={"text": "  "}),
        event("intent-progress", chat_log_delta={"role": "assistant"}),
        event("intent-progress", chat_log_delta={"content": "It "}),
        event("intent-progress", chat_log_delta={"role": "tool_result", "content": "secret"}),
        event("intent-progress", chat_log_delta={"content": "is on."}),
        event("intent-end", intent_output={"response": {"speech": {}}}),
    )
    assert heard == [ResponseStarted(), Token("It "), Token("is on."), Transcript("assistant", "It is on.")]


def test_an_answer_without_a_word() -> None:
    talk = listening(speaks=False)
    output = {"response": {"speech": {"plain": {"speech": ""}}}}
    assert talk.hear(event("intent-end", intent_output=output), event("run-end")) == []
    assert talk.stages() == ["stt"]


@pytest.mark.parametrize("url", ["", "ftp://x/y.wav", "http://[::1", 7, None])
def test_an_answer_at_no_address(url: Any) -> None:
    talk = listening()
    [error] = talk.hear(event("tts-end", tts_output={"url": url}))
    assert isinstance(error, ServerError)


def test_text_is_a_run_of_its_own() -> None:
    talk = listening()
    talk.do(SendText("What time is it?"))
    off, run = talk.said()
    assert (off["type"], off["subscription"]) == ("unsubscribe_events", 1)
    assert (run["start_stage"], run["input"], run["id"]) == ("intent", {"text": "What time is it?"}, 3)


def test_messages_of_ones_own_get_the_next_number() -> None:
    talk = listening()
    talk.do(SendMessage({"type": "get_states", "id": 1}), SendMessage("words"))
    assert talk.session.messages_to_send() == ['{"id":2,"type":"get_states"}', "words"]
    result = {"id": 2, "type": "result", "success": True, "result": []}
    assert talk.hear(result, {"id": 1, "type": "pong"}) == [
        Message(result),
        Message({"id": 1, "type": "pong"}),
    ]


# -- errors ------------------------------------------------------------------------------------------


def test_a_wrong_token_ends_the_run() -> None:
    talk = House()
    with pytest.raises(ServiceError, match="Invalid") as caught:
        talk.hear({"type": "auth_invalid", "message": "Invalid access token or password"})
    assert caught.value.fatal


@pytest.mark.parametrize(
    ("code", "fatal"), [("pipeline-not-found", True), ("unauthorized", True), ("home_assistant_error", False)]
)
def test_a_pipeline_that_cannot_be_run(code: str, fatal: bool) -> None:
    talk = House()
    talk.hear(*WELCOME)
    with pytest.raises(ServiceError) as caught:
        talk.hear({"id": 1, "type": "result", "success": False, "error": {"code": code, "message": "no"}})
    assert (caught.value.code, caught.value.fatal) == (code, fatal)


def test_a_later_run_that_is_refused_is_tried_again_after_a_while() -> None:
    talk = listening()
    refused = {"id": 1, "type": "result", "success": False, "error": {"code": "unknown_error"}}
    [error] = talk.hear(refused)
    assert isinstance(error, ServerError)
    talk.session.tick(10.0)
    assert talk.said() == []
    talk.session.tick(11.0)
    assert talk.stages() == ["stt"]


@pytest.mark.parametrize("code", ["stt-no-text-recognized", "wake-word-timeout", "timeout"])
def test_that_nobody_has_spoken_is_no_error(code: str) -> None:
    talk = listening()
    talk.do(SendAudio(SECOND, 0.0))
    talk.said()
    assert talk.hear(event("error", code=code, message="nobody"), event("run-end")) == []
    assert talk.stages() == ["stt"]


def test_a_run_that_hears_nothing_at_once_is_not_begun_again_and_again() -> None:
    talk = listening()
    talk.hear(event("error", code="stt-no-text-recognized", message="nobody"), event("run-end"))
    assert talk.said() == []
    talk.session.tick(10.0)
    talk.session.tick(11.0)
    assert talk.stages() == ["stt"]


def test_speech_ends_with_an_error() -> None:
    talk = listening()
    heard = talk.hear(event("stt-vad-start"), event("error", code="stt-stream-failed", message="no engine"))
    assert heard == [SpeechStarted(), SpeechStopped(), ServerError("no engine", "stt-stream-failed")]


def test_sound_that_cannot_be_fetched_is_an_error_that_ends_nothing() -> None:
    talk = listening()
    events = talk.session.collected(offer(talk.hear(*answered())), ConnectFailed("nobody there"))
    assert [type(one) for one in events] == [ServerError, ResponseDone]
    assert talk.stages() == ["stt"]


# -- what never comes, or otherwise ------------------------------------------------------------------


def wait(talk: House, seconds: float) -> list[Event]:
    """The session's clock goes on."""
    return [event for step in range(int(seconds) + 1) for event in talk.session.tick(1000.0 + step)]


def next_turn(talk: House, number: int) -> None:
    """The run with this number hears and answers as if nothing had been."""
    talk.said()
    talk.hear(event("run-start", number, runner_data={"stt_binary_handler_id": 9}))
    talk.do(SendAudio(b"\1\0", 0.0))
    assert talk.said() == [b"\x09\1\0"]
    told = talk.hear(*answered(number))
    assert [one for one in told if not isinstance(one, SoundOffered)] == [
        Transcript("user", "Do it."),
        ResponseStarted(),
        Transcript("assistant", "Done."),
    ]
    assert talk.session.collected(offer(told), sound(0.1))[-1] == ResponseDone()


def test_a_run_that_failed_and_never_ends_is_over() -> None:
    talk = listening()
    talk.hear(event("error", code="stt-stream-failed", message="no engine"))
    assert talk.said() == []
    wait(talk, 4)
    assert talk.stages() == ["stt"]
    next_turn(talk, 2)


def test_a_run_whose_answer_was_fetched_and_that_never_ends_is_over() -> None:
    talk = listening()
    told = talk.hear(*answered()[:-1])
    assert isinstance(talk.session.collected(offer(told), sound(0.1))[-1], AudioReceived)
    assert wait(talk, 3) == [ResponseDone()]
    talk.session.tick(2000.0)
    assert talk.stages() == ["stt"]
    assert talk.hear(event("run-end")) == []
    next_turn(talk, 2)


def test_a_run_that_ends_with_its_text_and_never_says_so_is_over() -> None:
    talk = listening(speaks=False)
    talk.hear(*answered()[:2])
    assert wait(talk, 3) == [ResponseDone()]


def test_an_answer_that_is_being_fetched_is_waited_for() -> None:
    talk = listening()
    told = talk.hear(*answered())
    assert wait(talk, 1000) == []
    assert talk.session.collected(offer(told), sound(0.1))[-1] == ResponseDone()


def test_a_run_that_never_begins_is_tried_again() -> None:
    talk = listening()
    talk.hear(event("run-end"))
    assert talk.stages() == ["stt"]
    [error] = wait(talk, 10)
    assert isinstance(error, ServerError)
    assert talk.stages() == ["unsubscribe_events"]
    talk.session.tick(1010.5)
    talk.session.tick(1011.5)
    assert talk.stages() == ["stt"]
    next_turn(talk, 4)


def test_a_run_of_which_nothing_is_heard_is_given_up_after_its_own_timeout() -> None:
    talk = listening(run_timeout=60.0)
    talk.hear(event("stt-vad-start"))
    assert wait(talk, 64) == []
    stopped, error = wait(talk, 66)
    assert stopped == SpeechStopped()
    assert isinstance(error, ServerError)


@pytest.mark.parametrize("number", [None, "x", -1, 256, 1.5, True, {}, [1]])
def test_a_run_that_does_not_say_how_it_takes_sound_is_tried_again(number: Any) -> None:
    talk = House()
    talk.hear(*WELCOME)
    talk.said()
    [error] = talk.hear(event("run-start", runner_data={"stt_binary_handler_id": number}))
    assert isinstance(error, ServerError)
    assert talk.stages() == ["unsubscribe_events"]
    wait(talk, 2)
    next_turn(talk, 3)


@pytest.mark.parametrize("number", ["7", 7.0, " 7"])
def test_numbers_in_any_form(number: Any) -> None:
    talk = House()
    talk.hear(*WELCOME)
    talk.said()
    start = {**event("run-start", runner_data={"stt_binary_handler_id": number}), "id": "1"}
    talk.hear({"id": "1", "type": "result", "success": "true"}, start)
    talk.do(SendAudio(b"\1\0", 0.0))
    assert talk.said() == [b"\7\1\0"]


@pytest.mark.parametrize("success", [None, {}, "maybe"])
def test_a_result_that_does_not_say_whether_it_is_one_ends_nothing(success: Any) -> None:
    talk = House()
    talk.hear(*WELCOME)
    talk.hear({"id": 1, "type": "result", "success": success})
    next_turn(talk, 1)


@pytest.mark.parametrize("stage", ["intent-start", "intent-end", "tts-start", "run-end"])
def test_a_turn_ends_although_nobody_says_so(stage: str) -> None:
    talk = listening()
    talk.hear(event("stt-vad-start"))
    assert talk.hear(event(stage))[0] == SpeechStopped()
    talk.do(SendAudio(SECOND, 0.0))
    assert b"\1" not in [message[:1] for message in talk.said() if isinstance(message, bytes)]


def test_an_error_that_is_told_as_text() -> None:
    talk = listening()
    told = {"id": 1, "type": "event", "event": {"type": "error", "data": "no engine"}}
    assert talk.hear(told) == [ServerError("no engine")]
    refused = {"id": 1, "type": "result", "success": False, "error": "no pipeline"}
    with pytest.raises(ServiceError, match="no pipeline"):
        talk.hear(refused)


# -- the end -----------------------------------------------------------------------------------------


def test_nobody_is_waited_for_who_has_not_begun() -> None:
    talk = House()
    talk.session.finish()
    assert talk.session.finished


@pytest.mark.parametrize("quiet", [True, False])
def test_the_end_of_listening(quiet: bool) -> None:
    """What has been said is answered; where nothing was, nothing is waited for."""
    talk = listening()
    talk.do(SendAudio(SECOND, 0.0))
    if quiet:
        talk.do(*[SendAudio(SILENCE, 0.0)] * 3)
    talk.said()
    talk.session.finish()
    assert talk.session.finished is quiet
    assert talk.stages() == (["unsubscribe_events"] if quiet else ["1 bytes"])
    talk.session.collected(offer(talk.hear(*answered())), sound(1.0)) if not quiet else None
    assert talk.session.finished
    talk.session.tick(10.0)
    talk.session.tick(20.0)
    assert talk.said() == []


def test_waiting_for_a_wake_word_is_called_off() -> None:
    talk = listening(listen="wake_word")
    talk.do(SendAudio(SECOND, 0.0))
    talk.said()
    talk.session.finish()
    assert talk.stages() == ["unsubscribe_events"]
    assert talk.session.finished


def test_the_conversation_goes_on_by_its_id() -> None:
    talk = listening()
    talk.hear(*answered())
    again = House(talk.session)
    again.hear(*WELCOME)
    assert again.said()[-1]["conversation_id"] == "c"
