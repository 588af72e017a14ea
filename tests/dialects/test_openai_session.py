"""What a session makes of OpenAI's Realtime language: turns, answers, calls, errors, the end.

Whole conversations are in :mod:`tests.dialects.test_openai_realtime`.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from voicews.commands import (
    EndTurn,
    InterruptResponse,
    SendAudio,
    SendMessage,
    SendText,
    StartTurn,
    ToolResult,
    TruncateResponse,
)
from voicews.config import AudioFormat
from voicews.dialects import OpenAIRealtime, Session
from voicews.dialects.openai_session import OpenAISession
from voicews.errors import LocalProtocolError, ServiceError, Unsupported
from voicews.events import (
    AudioReceived,
    Event,
    Interrupted,
    Message,
    ResponseDone,
    ResponseStarted,
    ServerError,
    SessionExpiring,
    SpeechStarted,
    SpeechStopped,
    Token,
    ToolCall,
    ToolCallCancelled,
    Transcript,
)
from voicews.history import History

FORMAT = AudioFormat(24000)
HEARD = "conversation.item.input_audio_transcription"


class Talk:
    """A session that is ready, and short words for both sides."""

    def __init__(self, **settings: Any) -> None:
        settings = {"turn_detection": "server_vad", "session_length": None, **settings}
        self.session: Session = OpenAIRealtime("gpt-realtime-2.1", key="k", **settings).begin(None, History())
        assert isinstance(self.session, OpenAISession)
        self.hear("session.created")
        self.hear("session.updated")
        self.said()

    def hear(self, kind: str, **fields: Any) -> list[Event]:
        return self.session.receive(json.dumps({"type": kind, "event_id": "e", **fields}))

    def said(self) -> list[Any]:
        return [json.loads(message) for message in self.session.messages_to_send()]

    def said_kinds(self) -> list[str]:
        return [message["type"] for message in self.said()]

    def begin(self, name: str | None = "r1") -> list[Event]:
        return self.hear("response.created", response={"id": name, "status": "in_progress"})

    def sound(self, seconds: float, response: str | None = "r1", item: str = "i1") -> list[Event]:
        delta = base64.b64encode(bytes(FORMAT.bytes(seconds))).decode()
        return self.hear(
            "response.output_audio.delta", response_id=response, item_id=item, content_index=0, delta=delta
        )

    def words(self, text: str, response: str | None = "r1", item: str = "i1") -> list[Event]:
        return self.hear(
            "response.output_audio_transcript.delta",
            response_id=response,
            item_id=item,
            content_index=0,
            delta=text,
        )

    def done(self, name: str | None = "r1", status: str = "completed", **fields: Any) -> list[Event]:
        return self.hear("response.done", response={"id": name, "status": status, **fields})

    def speak(self) -> list[Event]:
        return self.hear("input_audio_buffer.speech_started", item_id="u1", audio_start_ms=0)

    def stop(self) -> list[Event]:
        return self.hear("input_audio_buffer.speech_stopped", item_id="u1", audio_end_ms=0)

    def commit(self, item: str = "u1") -> list[Event]:
        return self.hear("input_audio_buffer.committed", item_id=item)

    def call(self, name: str | None = "light", arguments: Any = '{"on": true}', call_id: str = "c1") -> Any:
        named = {} if name is None else {"name": name}
        return self.hear(
            "response.function_call_arguments.done", call_id=call_id, arguments=arguments, **named
        )

    def error(self, code: str | None = "odd", **fields: Any) -> list[Event]:
        return self.hear(
            "error", error={"type": "invalid_request_error", "code": code, "message": "no", **fields}
        )


# -- interruption -----------------------------------------------------------------------------------


def test_what_is_still_on_its_way_is_not_heard() -> None:
    talk = Talk()
    talk.begin()
    assert talk.sound(0.1) == [AudioReceived(bytes(4800), FORMAT)]
    assert talk.speak() == [SpeechStarted(), Interrupted()]
    assert talk.sound(0.1) == []
    assert talk.words("late") == []
    assert talk.done(status="cancelled", status_details={"reason": "turn_detected"}) == [ResponseDone()]
    assert talk.sound(0.1) == []
    talk.stop()
    assert talk.begin("r2") == [ResponseStarted()]
    assert talk.sound(0.1, "r1") == []
    assert len(talk.sound(0.1, "r2")) == 1


def test_an_answer_that_plays_on_after_its_end_can_be_interrupted_too() -> None:
    talk = Talk()
    talk.begin()
    talk.words("One two three four.")
    talk.sound(1.0)
    assert talk.done() == [Transcript("assistant", "One two three four."), ResponseDone()]
    assert talk.speak() == [SpeechStarted(), Interrupted()]
    talk.session.send(TruncateResponse(500))
    assert talk.said() == [
        {"type": "conversation.item.truncate", "item_id": "i1", "content_index": 0, "audio_end_ms": 500}
    ]
    corrected = talk.hear("conversation.item.truncated", item_id="i1", content_index=0, audio_end_ms=500)
    assert corrected == [Transcript("assistant", "One two", replaces="One two three four.")]
    assert talk.speak() == [SpeechStarted()]
    talk.session.send(TruncateResponse(500))
    assert talk.said() == []


def test_an_answer_of_which_nothing_was_heard_is_taken_back() -> None:
    talk = Talk()
    talk.begin()
    talk.words("One two.")
    talk.sound(1.0)
    talk.done()
    talk.session.send(TruncateResponse(0))
    assert talk.said()[0]["audio_end_ms"] == 0
    assert talk.speak()[0] == Transcript("assistant", "", replaces="One two.")


@pytest.mark.parametrize("heard_ms", [951, 1000, 99_999])
def test_what_was_heard_to_its_end_is_not_truncated(heard_ms: int) -> None:
    talk = Talk()
    talk.begin()
    talk.sound(1.0)
    talk.session.send(TruncateResponse(heard_ms))
    assert talk.said() == []


def test_each_item_is_truncated_where_the_user_stopped_listening() -> None:
    talk = Talk()
    talk.begin()
    for item in ("i1", "i2", "i3"):
        talk.words(f"{item} spoken", item=item)
        talk.sound(1.0, item=item)
    talk.session.send(TruncateResponse(1500))
    told = [(message["item_id"], message["audio_end_ms"]) for message in talk.said()]
    assert told == [("i2", 500), ("i3", 0)]
    assert talk.done() == [Transcript("assistant", "i1 spoken\ni2"), ResponseDone()]


def test_interrupting_by_hand() -> None:
    talk = Talk()
    talk.session.send(InterruptResponse())
    assert talk.said() == []
    talk.begin()
    talk.sound(0.1)
    talk.session.send(InterruptResponse())
    assert talk.said() == [{"type": "response.cancel", "response_id": "r1"}]
    assert talk.sound(0.1) == []
    talk.session.send(InterruptResponse())
    assert talk.said() == []
    assert talk.error("response_cancel_not_active") == []


def test_a_server_that_interrupts_without_having_heard_speech() -> None:
    talk = Talk()
    talk.begin()
    talk.words("One")
    talk.sound(0.1)
    ended = talk.done(status="cancelled", status_details={"reason": "turn_detected"})
    assert ended == [Interrupted(), Transcript("assistant", "One"), ResponseDone()]


def test_a_server_that_lets_itself_not_be_interrupted() -> None:
    talk = Talk(turn_detection={"type": "server_vad", "interrupt_response": False})
    talk.begin()
    talk.sound(0.1)
    assert talk.speak() == [SpeechStarted()]
    assert len(talk.sound(0.1)) == 1


def test_push_to_talk_silences_the_answer_once_the_server_has_heard_it() -> None:
    talk = Talk(turn_detection=None)
    talk.begin()
    talk.sound(0.1)
    talk.session.send(StartTurn())
    assert talk.said_kinds() == ["input_audio_buffer.clear", "response.cancel"]
    assert talk.hear("input_audio_buffer.cleared") == [Interrupted()]


def test_an_answer_called_off_before_it_began_is_never_heard_of() -> None:
    talk = Talk(turn_detection=None)
    talk.session.send(SendText("Hello"))
    talk.session.send(InterruptResponse())
    talk.said()
    assert talk.begin() == []
    assert talk.said() == [{"type": "response.cancel", "response_id": "r1"}]
    assert talk.sound(0.1) == talk.words("late") == talk.done(status="cancelled") == []
    talk.session.send(SendText("Hello again"))
    assert talk.said_kinds() == ["conversation.item.create", "response.create"]
    assert talk.begin("r2") == [ResponseStarted()]


# -- answers ----------------------------------------------------------------------------------------


def test_one_answer_at_a_time_is_asked_for() -> None:
    talk = Talk()
    talk.session.send(SendText("One"))
    talk.session.send(SendText("Two"))
    assert talk.said_kinds() == ["conversation.item.create", "response.create", "conversation.item.create"]
    talk.begin()
    assert talk.said() == []
    talk.done()
    assert talk.said_kinds() == ["response.create"]
    talk.begin("r2")
    talk.done("r2")
    assert talk.said() == []


def test_a_server_that_began_to_answer_by_itself_is_asked_again() -> None:
    talk = Talk()
    talk.session.send(SendText("One"))
    talk.said()
    assert talk.error("conversation_already_has_active_response") == []
    talk.begin()
    talk.done()
    assert talk.said_kinds() == ["response.create"]


def test_while_the_user_speaks_nothing_is_asked_for() -> None:
    talk = Talk()
    talk.speak()
    talk.session.send(SendText("And this."))
    assert talk.said_kinds() == ["conversation.item.create"]


def test_text_answers() -> None:
    talk = Talk(output="text")
    talk.begin()
    place = {"response_id": "r1", "item_id": "i1", "content_index": 0}
    assert talk.hear("response.output_text.delta", **place, delta="It is") == [Token("It is")]
    assert talk.hear("response.output_text.delta", **place, delta="") == []
    assert talk.hear("response.output_text.done", **place, text="It is on.") == []
    assert talk.done() == [Transcript("assistant", "It is on."), ResponseDone()]
    assert talk.speak() == [SpeechStarted()]


def test_an_answer_that_is_only_told_at_its_end() -> None:
    talk = Talk()
    talk.begin()
    output = [
        {"type": "function_call", "id": "f"},
        {
            "role": "assistant",
            "id": "i1",
            "content": [{"type": "audio", "transcript": "Hello"}, {"text": "you"}],
        },
    ]
    assert talk.done(output=output) == [Transcript("assistant", "Hello\nyou"), ResponseDone()]


def test_answers_without_names() -> None:
    talk = Talk()
    assert talk.sound(0.1, response=None) != []
    talk.words("Hello", response=None)
    assert talk.done(None) == [Transcript("assistant", "Hello"), ResponseDone()]
    talk.begin(None)
    talk.session.send(InterruptResponse())
    assert talk.said() == [{"type": "response.cancel"}]
    assert talk.done("r9", "cancelled") == [ResponseDone()]


def test_an_answer_that_never_ends_is_ended_by_the_next() -> None:
    talk = Talk()
    talk.begin()
    talk.words("Hello")
    assert talk.begin("r2") == [Transcript("assistant", "Hello"), ResponseDone(), ResponseStarted()]
    assert talk.done("r1") == []


@pytest.mark.parametrize(
    ("status", "details", "told"),
    [
        ("failed", {"error": {"code": "c", "message": "m"}}, ServerError("m", "c")),
        ("failed", {}, ServerError("the server could not answer")),
        (
            "incomplete",
            {"reason": "max_output_tokens"},
            ServerError("the answer is not complete: max_output_tokens", "max_output_tokens"),
        ),
        ("incomplete", None, ServerError("the answer is not complete: no reason given")),
    ],
)
def test_answers_that_go_wrong(status: str, details: Any, told: Event) -> None:
    talk = Talk()
    talk.begin()
    assert talk.done(status=status, status_details=details) == [told, ResponseDone()]
    assert talk.done("other", status, status_details=details) == [told]


def test_sound_that_is_none() -> None:
    talk = Talk()
    message, why = talk.hear("response.output_audio.delta", response_id="r1", item_id="i1", delta="???")
    assert isinstance(message, Message)
    assert isinstance(why, ServerError)
    assert "base64" in why.message
    assert [type(event) for event in talk.hear("response.output_audio.delta", delta="???")] == [Message]
    assert [type(event) for event in talk.hear("response.output_audio.delta", delta=7)] == [
        Message,
        ServerError,
    ]
    assert talk.sound(0.1)[-1] == AudioReceived(bytes(4800), FORMAT)


def test_samples_cut_in_two() -> None:
    talk = Talk()
    talk.begin()
    place = {"response_id": "r1", "item_id": "i1", "content_index": 0}
    heard = [
        event
        for piece in (b"\1", b"\2\3", b"\4")
        for event in talk.hear("response.output_audio.delta", **place, delta=base64.b64encode(piece).decode())
    ]
    assert heard == [AudioReceived(b"\1\2", FORMAT), AudioReceived(b"\3\4", FORMAT)]


# -- what the user said -----------------------------------------------------------------------------


def test_an_answer_waits_for_the_words_that_it_answers() -> None:
    talk = Talk()
    talk.commit("u1")
    talk.begin()
    talk.words("At noon.")
    assert talk.done() == [ResponseDone()]
    heard = talk.hear(f"{HEARD}.completed", item_id="u1", transcript="When?")
    assert heard == [Transcript("user", "When?"), Transcript("assistant", "At noon.")]


def test_an_answer_does_not_wait_beyond_the_next_turn() -> None:
    talk = Talk()
    talk.commit("u1")
    talk.begin()
    talk.words("At noon.")
    talk.done()
    assert talk.speak() == [Transcript("assistant", "At noon."), SpeechStarted()]


def test_a_waiting_answer_is_truncated_as_well() -> None:
    talk = Talk()
    talk.commit("u1")
    talk.begin()
    talk.words("At twelve noon.")
    talk.sound(1.0)
    talk.done()
    talk.session.send(TruncateResponse(700))
    heard = talk.hear(f"{HEARD}.completed", item_id="u1", transcript="When?")
    assert heard == [Transcript("user", "When?"), Transcript("assistant", "At twelve")]


def test_a_waiting_answer_of_which_nothing_was_heard_is_never_told() -> None:
    talk = Talk()
    talk.commit("u1")
    talk.begin()
    talk.words("At noon.")
    talk.sound(1.0)
    talk.done()
    talk.session.send(TruncateResponse(0))
    assert talk.hear(f"{HEARD}.completed", item_id="u1", transcript="When?") == [Transcript("user", "When?")]


def test_no_answer_waits_where_nothing_is_transcribed() -> None:
    talk = Talk(transcription=None)
    talk.commit("u1")
    talk.begin()
    talk.words("At noon.")
    assert talk.done() == [Transcript("assistant", "At noon."), ResponseDone()]


def test_two_utterances_at_a_time() -> None:
    talk = Talk()
    talk.hear(f"{HEARD}.delta", item_id="u1", delta="One")
    assert talk.hear(f"{HEARD}.delta", item_id="u2", delta="Two") == [Transcript("user", "Two", False)]
    assert talk.hear(f"{HEARD}.delta", item_id="u1", delta=" and") == [Transcript("user", "One and", False)]
    assert talk.hear(f"{HEARD}.updated", item_id="u2", transcript="Too") == [Transcript("user", "Too", False)]
    assert talk.hear(f"{HEARD}.completed", item_id="u1", transcript="One, and") == [
        Transcript("user", "One, and")
    ]


def test_a_cough_is_no_transcript_unless_words_were_guessed() -> None:
    talk = Talk()
    assert talk.hear(f"{HEARD}.completed", item_id="u1", transcript=" ") == []
    talk.hear(f"{HEARD}.delta", item_id="u2", delta="ugh")
    assert talk.hear(f"{HEARD}.completed", item_id="u2", transcript="") == [Transcript("user", "")]


def test_utterances_without_end_are_forgotten() -> None:
    talk = Talk()
    for number in range(200):
        talk.hear(f"{HEARD}.delta", item_id=f"u{number}", delta="x")
        talk.commit(f"u{number}")
    assert talk.hear(f"{HEARD}.delta", item_id="u0", delta="y") == [Transcript("user", "y", False)]
    assert talk.hear(f"{HEARD}.delta", item_id="u199", delta="y") == [Transcript("user", "xy", False)]


@pytest.mark.parametrize("name", ["delta", "updated", "completed"])
def test_transcripts_without_text_are_unknown(name: str) -> None:
    assert isinstance(Talk().hear(f"{HEARD}.{name}", item_id="u1")[0], Message)


def test_a_transcript_that_fails_without_a_reason() -> None:
    told = Talk().hear(f"{HEARD}.failed", item_id="u1")
    assert told == [ServerError("what was said could not be transcribed")]


def test_a_turn_that_was_committed_by_somebody_else() -> None:
    talk = Talk()
    talk.speak()
    assert talk.commit() == [SpeechStopped()]
    assert talk.commit() == []


# -- calls ------------------------------------------------------------------------------------------


def test_all_results_are_awaited_before_the_answer() -> None:
    talk = Talk()
    talk.begin()
    assert talk.call() == [ToolCall("c1", "light", {"on": True})]
    assert talk.call(call_id="c2") == [ToolCall("c2", "light", {"on": True})]
    talk.session.send(ToolResult("c1", "done"))
    talk.done()
    assert [message["item"]["output"] for message in talk.said()] == ["done"]
    talk.session.send(ToolResult("c2", error="no lamp"))
    result, ask = talk.said()
    assert result["item"] == {
        "type": "function_call_output",
        "call_id": "c2",
        "output": '{"error":"no lamp"}',
    }
    assert ask == {"type": "response.create"}


@pytest.mark.parametrize(
    ("result", "output"),
    [(None, "null"), (7, "7"), ([1, "a"], '[1,"a"]'), ("as it is", "as it is"), (True, "true")],
)
def test_results_are_written_as_json(result: Any, output: str) -> None:
    talk = Talk()
    talk.session.send(ToolResult("c1", result))
    assert talk.said()[0]["item"]["output"] == output


def test_a_call_told_twice_is_called_once() -> None:
    talk = Talk()
    item = {"type": "function_call", "call_id": "c1", "name": "light", "arguments": ""}
    assert talk.hear("response.output_item.added", item=item) == []
    assert talk.call(None, "") == [ToolCall("c1", "light", {})]
    assert talk.hear("response.output_item.done", item=item) == []
    assert talk.hear("response.output_item.done", item={"type": "message"}) == []
    assert not any(
        isinstance(event, ToolCall)
        for event in talk.hear("response.output_item.done", item={"type": "function_call"})
    )


def test_a_call_whose_name_comes_later() -> None:
    talk = Talk()
    assert talk.call(None) == []
    item = {"type": "function_call", "call_id": "c1", "name": "light", "arguments": '{"on": false}'}
    assert talk.hear("response.output_item.done", item=item) == [ToolCall("c1", "light", {"on": False})]


@pytest.mark.parametrize("arguments", ["[1]", "7", "{"])
def test_arguments_that_are_none_are_refused_at_once(arguments: str) -> None:
    talk = Talk()
    talk.begin()
    assert talk.call(arguments=arguments) == []
    assert "no JSON object" in talk.said()[0]["item"]["output"]
    talk.done()
    assert talk.said_kinds() == ["response.create"]


# -- errors -----------------------------------------------------------------------------------------


def test_errors_that_the_session_survives() -> None:
    assert Talk().error() == [ServerError("no", "odd")]
    assert Talk().error(None) == [ServerError("no", "invalid_request_error")]
    assert Talk().error(17) == [ServerError("no", 17)]  # type: ignore[arg-type]
    assert Talk().hear("error") == [ServerError("it did not say why")]


@pytest.mark.parametrize(
    ("code", "fatal"),
    [("invalid_api_key", True), ("model_not_found", True), ("session_limit_reached", False)],
)
def test_errors_that_end_the_session(code: str, fatal: bool) -> None:
    with pytest.raises(ServiceError) as caught:
        Talk().error(code)
    assert (caught.value.code, caught.value.fatal) == (code, fatal)


def test_settings_that_are_refused() -> None:
    with pytest.raises(ServiceError) as caught:
        Talk().error(event_id="voicews-settings")
    assert caught.value.fatal


@pytest.mark.parametrize(("kind", "fatal"), [("invalid_request_error", True), ("server_error", False)])
def test_an_error_instead_of_a_session(kind: str, fatal: bool) -> None:
    session = OpenAIRealtime("m", key="k").begin(None, History())
    with pytest.raises(ServiceError) as caught:
        session.receive(json.dumps({"type": "error", "error": {"type": kind, "message": "no"}}))
    assert caught.value.fatal is fatal


def test_a_turn_that_cannot_be_restored_ends_nothing() -> None:
    session = OpenAIRealtime("m", key="k").begin(None, History())
    session.receive('{"type": "session.created"}')
    refused = {"type": "invalid_request_error", "message": "no", "event_id": "voicews-restored-1"}
    assert session.receive(json.dumps({"type": "error", "error": refused})) == [
        ServerError("no", "invalid_request_error")
    ]


def test_an_expired_session_is_moved_from_at_once() -> None:
    assert Talk().error("session_expired") == [SessionExpiring(0.0)]


# -- what does not come as expected -------------------------------------------------------------------

OUTPUT = [{"type": "message", "role": "assistant", "id": "i1", "content": [{"transcript": "Hello."}]}]
CALL = {"type": "function_call", "id": "i2", "call_id": "c1", "name": "light", "arguments": '{"on": true}'}


def next_turn(talk: Talk) -> None:
    """The conversation goes on as if nothing had been."""
    talk.said()
    talk.session.send(SendText("Next."))
    assert talk.said_kinds() == ["conversation.item.create", "response.create"]
    assert talk.begin("next")[-1] == ResponseStarted()
    assert talk.words("Yes.", "next", "n") == [Token("Yes.")]
    assert talk.sound(0.1, "next", "n") == [AudioReceived(bytes(4800), FORMAT)]
    assert talk.done("next") == [Transcript("assistant", "Yes."), ResponseDone()]
    assert talk.speak() == [SpeechStarted(), Interrupted()]


@pytest.mark.parametrize("name", ["r1", "other", None, "", 7, {}])
@pytest.mark.parametrize("status", ["completed", "cancelled", "failed", "incomplete", None, 7])
def test_an_answer_ends_whatever_its_end_is_called(name: Any, status: Any) -> None:
    talk = Talk()
    talk.begin()
    talk.words("Hello.")
    talk.session.send(SendText("And?"))
    talk.said()
    ended = talk.done(name, status)
    assert ended[-2:] == [Transcript("assistant", "Hello."), ResponseDone()]
    assert talk.said_kinds() == ["response.create"]
    talk.begin("r2")
    talk.done("r2")
    next_turn(talk)


@pytest.mark.parametrize("kind", ["completed", "cancelled", "failed", "incomplete"])
@pytest.mark.parametrize("fields", [{}, {"response": None}, {"response": "r1"}, {"response_id": "r1"}])
def test_an_answer_ends_by_a_word_of_its_own_for_how(kind: str, fields: dict[str, Any]) -> None:
    talk = Talk()
    talk.begin()
    talk.words("Hello.")
    ended = talk.hear(f"response.{kind}", **fields)
    assert ended[-2:] == [Transcript("assistant", "Hello."), ResponseDone()]
    next_turn(talk)


@pytest.mark.parametrize("name", ["r1", None])
def test_an_answer_that_is_only_done(name: str | None) -> None:
    talk = Talk()
    talk.session.send(SendText("Hello"))
    done = [ResponseStarted(), Transcript("assistant", "Hello."), ResponseDone()]
    assert talk.done(name, output=OUTPUT) == done
    next_turn(talk)


def test_an_answer_that_is_only_done_and_empty_is_told_to_whoever_waits() -> None:
    talk = Talk()
    assert talk.done() == []
    talk.session.send(SendText("Hello"))
    assert talk.done("r2") == [ResponseStarted(), ResponseDone()]
    talk.session.send(SendText("Hello"))
    failed = talk.done("r3", "failed", status_details="out of memory")
    assert failed == [ResponseStarted(), ServerError("out of memory"), ResponseDone()]
    talk.speak()
    talk.stop()
    assert talk.done("r4") == [ResponseStarted(), ResponseDone()]
    next_turn(talk)


def test_an_end_that_comes_twice_ends_no_other_answer() -> None:
    talk = Talk()
    talk.begin()
    talk.done(output=OUTPUT)
    assert talk.done(output=OUTPUT) == []
    talk.begin("r2")
    assert talk.done(output=OUTPUT) == []
    assert talk.done("r2") == [ResponseDone()]


def test_an_answer_that_begins_without_having_been_announced_ends_the_one_before() -> None:
    talk = Talk()
    talk.begin()
    talk.words("One.")
    begun = talk.words("Two.", "r2", "i2")
    assert begun == [Transcript("assistant", "One."), ResponseDone(), ResponseStarted(), Token("Two.")]
    assert talk.done("r2") == [Transcript("assistant", "Two."), ResponseDone()]
    next_turn(talk)


def test_an_answer_after_one_that_was_stopped_and_never_ended_is_heard() -> None:
    talk = Talk()
    talk.begin()
    talk.sound(0.1)
    talk.session.send(InterruptResponse())
    assert talk.sound(0.1) == []
    assert talk.sound(0.1, "r2")[-1] == AudioReceived(bytes(4800), FORMAT)
    talk.done("r2")
    next_turn(talk)


def test_servers_that_call_all_answers_alike() -> None:
    talk = Talk()
    for _ in range(3):
        assert talk.begin("resp_TODO")[-1] == ResponseStarted()
        assert talk.sound(0.1, "resp_TODO") == [AudioReceived(bytes(4800), FORMAT)]
        talk.session.send(InterruptResponse())
        assert talk.sound(0.1, "resp_TODO") == []
        assert talk.done("resp_TODO", "cancelled") == [ResponseDone()]


@pytest.mark.parametrize("announced", [True, False])
def test_a_call_that_only_stands_in_the_summary(announced: bool) -> None:
    talk = Talk()
    talk.session.send(SendText("Light!"))
    if announced:
        talk.begin()
    events = talk.done(output=[CALL])
    assert events == [
        *([] if announced else [ResponseStarted()]),
        ToolCall("c1", "light", {"on": True}),
        ResponseDone(),
    ]
    talk.said()
    talk.session.send(ToolResult("c1", "on"))
    assert talk.said_kinds() == ["conversation.item.create", "response.create"]
    talk.begin("r2")
    talk.done("r2")
    next_turn(talk)


def test_a_call_in_the_summary_too_is_called_once() -> None:
    talk = Talk()
    talk.begin()
    talk.call()
    assert talk.hear("response.output_item.done", response_id="r1", item=CALL) == []
    assert talk.done(output=[CALL]) == [ResponseDone()]
    for number in range(1100):
        talk.call(call_id=f"d{number}")
        assert talk.call(call_id=f"d{number}") == []


def test_a_call_of_which_only_the_beginning_is_told() -> None:
    talk = Talk()
    talk.begin()
    item = {"type": "function_call", "id": "i2", "call_id": "c1", "name": "light", "arguments": ""}
    assert talk.hear("response.output_item.added", response_id="r1", item=item) == []
    assert talk.hear("response.function_call_arguments.delta", call_id="c1", delta='{"on": true}') == []
    assert talk.done() == [ToolCall("c1", "light", {"on": True}), ResponseDone()]
    talk.begin("r2")
    assert talk.done("r2") == [ResponseDone()]


def test_an_end_of_another_answer_in_between_loses_no_text() -> None:
    talk = Talk()
    talk.begin()
    talk.session.send(SendText("And?"))
    talk.done("other")
    talk.error("conversation_already_has_active_response")
    talk.said()
    assert talk.sound(0.1) == [AudioReceived(bytes(4800), FORMAT)]
    assert talk.done() == []
    assert talk.said_kinds() == ["response.create"]


@pytest.mark.parametrize("status", ["cancelled", "failed", "incomplete"])
def test_a_call_that_was_not_finished_is_not_called(status: str) -> None:
    talk = Talk()
    talk.begin()
    assert not any(isinstance(event, ToolCall) for event in talk.done(status=status, output=[CALL]))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"on": True}, {"on": True}),
        (None, {}),
        ("", {}),
        (" ", {}),
        ("null", {}),
        ("{}", {}),
        ('{"on": true}', {"on": True}),
    ],
)
def test_arguments_in_any_form(arguments: Any, told: dict[str, Any]) -> None:
    assert Talk().call(arguments=arguments) == [ToolCall("c1", "light", told)]
    item = {**CALL, "arguments": arguments}
    assert Talk().hear("response.output_item.done", item=item) == [ToolCall("c1", "light", told)]
    assert ToolCall("c1", "light", told) in Talk().done(output=[item])


def test_arguments_that_are_missing() -> None:
    call = {"call_id": "c1", "name": "light"}
    assert Talk().hear("response.function_call_arguments.done", **call) == [ToolCall("c1", "light", {})]
    talk = Talk()
    for piece in ('{"on":', " true}"):
        assert talk.hear("response.function_call_arguments.delta", call_id="c1", delta=piece) == []
    told = talk.hear("response.function_call_arguments.done", **call)
    assert told == [ToolCall("c1", "light", {"on": True})]


@pytest.mark.parametrize("arguments", [[], 7, True, "[1]", "light"])
def test_other_arguments_are_refused_to_the_server(arguments: Any) -> None:
    talk = Talk()
    assert talk.call(arguments=arguments) == []
    assert "no JSON object" in talk.said()[0]["item"]["output"]


def test_a_call_that_never_gets_a_name_is_refused_to_the_server() -> None:
    talk = Talk()
    talk.begin()
    talk.call(None)
    talk.done()
    result, ask = talk.said()
    assert (result["item"]["call_id"], ask["type"]) == ("c1", "response.create")
    assert "function" in result["item"]["output"]


def test_a_call_that_is_never_answered_holds_up_no_other() -> None:
    talk = Talk()
    talk.begin()
    talk.call(call_id="never")
    talk.done()
    talk.begin("r2")
    talk.call(call_id="c2")
    talk.done("r2")
    talk.session.send(ToolResult("c2", "on"))
    assert talk.said_kinds() == ["conversation.item.create", "response.create"]


def test_a_text_is_answered_although_a_call_is_not() -> None:
    talk = Talk()
    talk.begin()
    talk.call()
    talk.session.send(SendText("Well?"))
    talk.said()
    talk.done()
    assert talk.said_kinds() == ["response.create"]


def test_a_call_whose_item_is_deleted_is_called_off() -> None:
    talk = Talk()
    talk.begin()
    talk.hear("response.output_item.done", item=CALL)
    assert talk.hear("conversation.item.deleted", item_id="i2") == [ToolCallCancelled("c1")]
    assert talk.hear("conversation.item.deleted", item_id="i2") == []


@pytest.mark.parametrize("error", ["no memory", {"message": "no memory"}])
def test_an_error_that_is_told_as_text(error: Any) -> None:
    assert Talk().hear("error", error=error) == [ServerError("no memory")]
    assert Talk().hear(f"{HEARD}.failed", item_id="u1", error=error) == [ServerError("no memory")]
    talk = Talk()
    talk.begin()
    assert talk.done(status="failed", status_details={"error": error})[0] == ServerError("no memory")
    assert talk.done("r2", "failed", error=error) == [ServerError("no memory")]


def test_an_error_that_is_told_beside_its_place() -> None:
    assert Talk().hear("error", message="no memory", code="oom") == [ServerError("no memory", "oom")]


def test_an_error_instead_of_the_end() -> None:
    talk = Talk()
    talk.begin()
    talk.words("Hello.")
    talk.session.send(SendText("And?"))
    talk.said()
    broken = talk.error("oom", type="server_error")
    assert broken == [ServerError("no", "oom"), Transcript("assistant", "Hello."), ResponseDone()]
    assert talk.said_kinds() == ["response.create"]
    assert talk.done(status="failed") == [ServerError("the server could not answer")]


def test_an_error_about_something_else_leaves_the_answer_alone() -> None:
    talk = Talk()
    talk.begin()
    assert talk.error() == [ServerError("no", "odd")]
    assert talk.error(event_id="mine", type="server_error") == [ServerError("no", "odd")]
    assert talk.done() == [ResponseDone()]


# -- an answer called off before it begins --------------------------------------------------------------


@pytest.mark.parametrize("words", [["stop"], ["commit"], ["stop", "commit"]])
@pytest.mark.parametrize("announced", [True, False])
def test_an_answer_to_speech_that_was_called_off_before_it_began(words: list[str], announced: bool) -> None:
    talk = Talk()
    talk.speak()
    for word in words:
        getattr(talk, word)()
    talk.session.send(InterruptResponse())
    assert talk.said() == []
    if announced:
        assert talk.begin() == []
    assert talk.sound(0.1) == talk.words("late") == []
    assert talk.said() == [{"type": "response.cancel", "response_id": "r1"}]
    assert talk.call() == []
    assert talk.done(status="cancelled", output=OUTPUT) == []
    next_turn(talk)


def test_it_may_be_called_off_between_the_two_words_for_the_end_of_a_turn() -> None:
    talk = Talk()
    talk.speak()
    talk.stop()
    talk.session.send(InterruptResponse())
    talk.commit()
    assert talk.begin() == []


def test_it_may_be_called_off_while_an_older_one_has_not_ended() -> None:
    talk = Talk()
    talk.begin()
    talk.sound(0.1)
    talk.speak()
    talk.stop()
    talk.session.send(InterruptResponse())
    talk.done(status="cancelled")
    assert talk.begin("r2") == []
    assert talk.said_kinds() == ["response.cancel"]


def test_the_answer_to_the_next_turn_is_not_called_off() -> None:
    talk = Talk()
    talk.speak()
    talk.stop()
    talk.session.send(InterruptResponse())
    talk.speak()
    talk.stop()
    assert talk.begin() == [ResponseStarted()]


def test_one_who_speaks_calls_off_the_answer_before_and_not_the_one_to_come() -> None:
    talk = Talk()
    talk.begin()
    talk.sound(0.1)
    talk.speak()
    talk.session.send(InterruptResponse())
    talk.done(status="cancelled")
    talk.stop()
    assert talk.begin("r2") == [ResponseStarted()]


def test_the_answer_to_a_result_can_be_called_off_while_the_call_lasts() -> None:
    talk = Talk()
    talk.begin()
    talk.call()
    talk.done()
    talk.session.send(InterruptResponse())
    talk.session.send(ToolResult("c1", "on"))
    assert talk.said_kinds() == ["conversation.item.create"]
    next_turn(talk)


def test_a_text_after_an_answer_that_was_called_off_is_answered() -> None:
    talk = Talk(session_length=None)
    talk.speak()
    talk.stop()
    talk.session.send(InterruptResponse())
    talk.session.send(SendText("Hello"))
    talk.begin()
    talk.said()
    talk.done(status="cancelled")
    assert talk.said_kinds() == ["response.create"]
    assert talk.begin("r2") == [ResponseStarted()]


# -- the end of the user's turn ---------------------------------------------------------------------------


@pytest.mark.parametrize("turn_detection", ["server_vad", None])
@pytest.mark.parametrize("words", [["stop", "commit"], ["commit", "stop"], ["stop"], ["commit"]])
def test_the_end_of_a_turn_is_told_once(turn_detection: Any, words: list[str]) -> None:
    talk = Talk(turn_detection=turn_detection)
    for _ in range(2):
        assert SpeechStarted() in talk.speak()
        assert [event for word in words for event in getattr(talk, word)()] == [SpeechStopped()]
        talk.begin()
        talk.done()


def test_turns_of_ours_that_the_server_hears_nothing_of_but_their_end() -> None:
    talk = Talk(turn_detection=None)
    for item in ("u1", "u2"):
        talk.session.send(StartTurn())
        talk.session.send(SendAudio(bytes(4800), 0.0))
        talk.session.send(EndTurn())
        assert talk.commit(item) == [SpeechStopped()]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("response.created", {"response": {"id": "r1"}}),
        (f"{HEARD}.completed", {"item_id": "u1", "transcript": "Hello"}),
        (f"{HEARD}.failed", {"item_id": "u1"}),
        ("input_audio_buffer.cleared", {}),
        ("conversation.item.deleted", {"item_id": "u1"}),
    ],
)
def test_a_turn_ends_although_nobody_says_so(kind: str, fields: dict[str, Any]) -> None:
    talk = Talk()
    talk.speak()
    assert talk.hear(kind, **fields)[0] == SpeechStopped()
    assert talk.stop() == talk.commit("u2") == []
    talk.done()
    next_turn(talk)


@pytest.mark.parametrize("item", ["u0", None])
def test_late_words_of_the_turn_before_do_not_end_this_one(item: str | None) -> None:
    talk = Talk()
    talk.speak()
    assert talk.hear(f"{HEARD}.completed", item_id=item, transcript="Hello") == [Transcript("user", "Hello")]
    assert talk.stop() == [SpeechStopped()]


def test_an_answer_does_not_wait_for_words_under_a_name_that_never_comes() -> None:
    talk = Talk(turn_detection=None)
    talk.commit("u1")
    talk.begin()
    talk.words("At noon.")
    talk.done()
    heard = talk.hear(f"{HEARD}.completed", item_id="other", transcript="When?")
    assert heard == [Transcript("user", "When?"), Transcript("assistant", "At noon.")]


def test_an_answer_does_not_wait_for_words_that_were_there_before() -> None:
    talk = Talk()
    talk.hear(f"{HEARD}.completed", item_id="u1", transcript="When?")
    talk.commit("u1")
    talk.begin()
    talk.words("At noon.")
    assert talk.done() == [Transcript("assistant", "At noon."), ResponseDone()]


def test_an_answer_does_not_wait_for_words_that_were_deleted() -> None:
    talk = Talk()
    talk.commit("u1")
    talk.hear(f"{HEARD}.delta", item_id="u1", delta="Wh")
    talk.begin()
    talk.words("At noon.")
    talk.done()
    assert talk.hear("conversation.item.deleted", item_id="u1") == [
        Transcript("user", ""),
        Transcript("assistant", "At noon."),
    ]


def test_words_that_cannot_be_transcribed_to_their_end_are_kept_as_far_as_they_go() -> None:
    talk = Talk()
    talk.hear(f"{HEARD}.delta", item_id="u1", delta="When")
    assert talk.hear(f"{HEARD}.failed", item_id="u1", error="too loud") == [
        Transcript("user", "When"),
        ServerError("too loud"),
    ]


# -- what never comes ---------------------------------------------------------------------------------------


def wait(talk: Talk, seconds: float) -> list[Event]:
    """The session's clock goes on, as often as it asks for."""
    events: list[Event] = []
    for step in range(int(seconds) + 1):
        talk.session.messages_to_send() if talk.session.tick_interval is None else None
        events += talk.session.tick(1000.0 + step)
    return events


def test_a_clock_while_something_is_waited_for() -> None:
    talk = Talk()
    assert talk.session.tick_interval is None
    talk.session.send(SendText("Hello"))
    talk.said()
    assert talk.session.tick_interval == 0.5
    talk.begin()
    talk.done()
    talk.said()
    assert talk.session.tick_interval is None


def test_an_answer_that_was_stopped_and_never_ends_holds_up_no_other() -> None:
    talk = Talk(turn_detection=None)
    talk.begin()
    talk.words("Hello.")
    talk.session.send(StartTurn())
    talk.session.send(SendAudio(bytes(4800), 0.0))
    talk.session.send(EndTurn())
    assert "response.create" not in talk.said_kinds()
    assert wait(talk, 2) == []
    assert wait(talk, 4) == [Transcript("assistant", "Hello."), ResponseDone()]
    assert talk.said_kinds() == ["response.create"]


def test_an_answer_that_never_ends_is_given_up() -> None:
    talk = Talk()
    talk.begin()
    talk.words("Hello.")
    talk.session.send(SendText("And?"))
    talk.said()
    assert wait(talk, 14) == []
    assert wait(talk, 16) == [Transcript("assistant", "Hello."), ResponseDone()]
    assert talk.said_kinds() == ["response.create"]


@pytest.mark.parametrize(("before", "replaced"), [("Well,", "Well,"), ("", None)])
def test_an_answer_that_was_given_up_and_goes_on_is_told_to_its_end(
    before: str, replaced: str | None
) -> None:
    talk = Talk()
    talk.begin()
    talk.words(before)
    assert wait(talk, 16)[-1] == ResponseDone()
    assert talk.words(" yes.") == [Token(" yes.")]
    assert talk.sound(0.1) == [AudioReceived(bytes(4800), FORMAT)]
    assert talk.done() == [Transcript("assistant", f"{before} yes.", replaces=replaced)]
    assert talk.done() == []


def test_an_answer_that_never_begins_is_given_up() -> None:
    talk = Talk()
    talk.session.send(SendText("Hello"))
    talk.session.send(InterruptResponse())
    assert wait(talk, 16) == []
    next_turn(talk)


def test_an_answer_that_goes_on_is_not_given_up() -> None:
    talk = Talk()
    talk.begin()
    for step in range(60):
        assert talk.words("x") == [Token("x")]
        assert talk.session.tick(1000.0 + step) == []


def test_a_text_in_a_turn_that_the_server_does_not_answer_is_answered() -> None:
    talk = Talk()
    talk.speak()
    talk.session.send(SendText("Hello"))
    talk.stop()
    assert talk.said_kinds() == ["conversation.item.create"]
    assert wait(talk, 16) == []
    assert talk.said_kinds() == ["response.create"]


def test_an_answer_does_not_wait_for_ever_for_the_words_that_it_answers() -> None:
    talk = Talk(turn_detection=None)
    talk.commit("u1")
    talk.hear(f"{HEARD}.delta", item_id="u1", delta="Whe")
    talk.begin()
    talk.words("At noon.")
    talk.done()
    assert wait(talk, 16) == [Transcript("user", "Whe"), Transcript("assistant", "At noon.")]
    late = talk.hear(f"{HEARD}.completed", item_id="u1", transcript="When?")
    assert late == [Transcript("user", "When?", replaces="Whe")]


def test_the_end_where_the_server_confirms_nothing() -> None:
    talk = Talk(await_updated=False)
    talk.session.finish()
    assert not talk.session.finished
    wait(talk, 4)
    assert talk.session.finished


def test_a_server_that_converses_has_accepted_us() -> None:
    session = OpenAIRealtime("m", key="k").begin(None, History())
    session.receive('{"type": "session.created"}')
    session.receive('{"type": "response.created", "response": {"id": "r1"}}')
    assert session.ready


# -- beginning and end ------------------------------------------------------------------------------


def test_nothing_is_said_too_early_or_that_cannot_be_said() -> None:
    session = OpenAIRealtime("m", key="k").begin(None, History())
    with pytest.raises(LocalProtocolError, match="SendText before"):
        session.send(SendText("x"))
    with pytest.raises(Unsupported, match=r"StartTurn; it takes .*SendText"):
        Talk().session.send(StartTurn())


def test_servers_that_never_confirm_the_settings() -> None:
    session = OpenAIRealtime("m", key="k", await_updated=False).begin(None, History())
    assert not session.ready
    session.receive('{"type": "session.created"}')
    assert session.ready


def test_servers_that_confirm_what_they_have_not_been_told() -> None:
    session = OpenAIRealtime("m", key="k").begin(None, History())
    session.receive('{"type": "session.updated"}')
    assert session.ready
    assert json.loads(session.messages_to_send()[0])["type"] == "session.update"


def test_own_words_go_as_they_are() -> None:
    talk = Talk()
    talk.session.send(SendMessage({"type": "response.create", "response": {"conversation": "none"}}))
    talk.session.send(SendMessage('{"type":"x"}'))
    assert talk.said() == [
        {"type": "response.create", "response": {"conversation": "none"}},
        {"type": "x"},
    ]


def test_the_end_waits_for_the_answer() -> None:
    talk = Talk()
    talk.begin()
    talk.session.finish()
    talk.hear("session.updated")
    assert not talk.session.finished
    talk.done()
    assert talk.session.finished


def test_the_end_waits_for_an_answer_that_was_asked_for() -> None:
    talk = Talk()
    talk.session.send(SendText("One"))
    talk.session.finish()
    talk.hear("session.updated")
    assert not talk.session.finished
    talk.error()
    assert talk.session.finished


def test_the_end_where_the_server_refuses_the_sign() -> None:
    talk = Talk()
    talk.session.finish()
    assert not talk.session.finished
    assert talk.error(event_id="voicews-sign") == []
    assert talk.session.finished


def test_the_end_of_a_turn_of_ours() -> None:
    talk = Talk(turn_detection=None)
    talk.session.send(StartTurn())
    talk.session.send(SendAudio(bytes(4800), 0.0))
    talk.said()
    talk.session.finish()
    assert talk.said_kinds() == ["input_audio_buffer.commit", "session.update"]


def test_the_end_between_turns_of_ours() -> None:
    talk = Talk(turn_detection=None)
    talk.session.send(SendAudio(bytes(4800), 0.0))
    talk.session.send(EndTurn())
    talk.said()
    talk.session.finish()
    assert talk.said_kinds() == ["session.update"]


def test_the_end_before_the_beginning() -> None:
    session = OpenAIRealtime("m", key="k").begin(None, History())
    session.finish()
    assert session.finished


def test_the_end_is_told_by_the_clock() -> None:
    talk = Talk(session_length=100.0)
    assert talk.session.tick_interval == 5.0
    for now in (0.0, 50.0, 89.0):
        assert talk.session.tick(now) == []
    assert talk.session.tick(91.0) == [SessionExpiring(9.0)]
    assert talk.session.tick(96.0) == []
    assert talk.said() == []


def test_what_a_command_brings_about_is_told_although_the_server_is_silent() -> None:
    talk = Talk(turn_detection=None, session_length=100.0)
    talk.session.send(SendText("Hello"))
    talk.begin()
    talk.sound(1.0)
    talk.session.send(StartTurn())
    assert talk.session.tick(1.0) == [Interrupted()]
    assert talk.session.tick(2.0) == []


def test_no_clock_for_sessions_without_end() -> None:
    talk = Talk()
    assert talk.session.tick_interval is None
    talk.session.tick(1e6)
    assert talk.said() == []


@pytest.mark.parametrize("code", ["odd", "conversation_already_has_active_response"])
def test_an_answer_called_off_that_never_comes_takes_no_other_with_it(code: str) -> None:
    talk = Talk()
    talk.session.send(SendText("Hello"))
    talk.session.send(InterruptResponse())
    talk.error(code)
    assert talk.begin() == [ResponseStarted()]
    assert talk.done() == [ResponseDone()]
    assert talk.said_kinds() == ["conversation.item.create", "response.create"]
