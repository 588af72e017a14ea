"""What a session with the Gemini Live API makes of a conversation."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from voicews.backoff import Verdict, judge
from voicews.commands import EndTurn, InterruptResponse, SendAudio, SendText, StartTurn, ToolResult
from voicews.config import AudioFormat
from voicews.dialects import GeminiLive
from voicews.dialects import gemini_session as module
from voicews.dialects.gemini_session import GeminiSession
from voicews.errors import ConnectionClosed, ServiceError, VoicewsError
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

READY = '{"setupComplete": {}}'
DONE = {"turnComplete": True}
FRAME = b"\1\0" * 320


def begin(*, ready: bool = True, **settings: Any) -> GeminiSession:
    session = GeminiLive("any", key="k", **settings).begin(None, History())
    assert isinstance(session, GeminiSession)
    if ready:
        session.receive(READY)
        session.messages_to_send()
    return session


def tell(session: GeminiSession, *contents: dict[str, Any]) -> list[Event]:
    return [event for one in contents for event in session.receive(json.dumps({"serverContent": one}))]


def said(session: GeminiSession) -> list[Any]:
    return [json.loads(message) for message in session.messages_to_send()]


def is_over(session: GeminiSession) -> bool:
    return session.finished


def heard(text: str, **more: Any) -> dict[str, Any]:
    return {"inputTranscription": {"text": text, **more}}


def spoken(text: str) -> dict[str, Any]:
    return {"outputTranscription": {"text": text}}


def sound(pcm: bytes, kind: str = "audio/pcm;rate=24000") -> dict[str, Any]:
    data = base64.b64encode(pcm).decode()
    return {"modelTurn": {"parts": [{"inlineData": {"mimeType": kind, "data": data}}]}}


# -- the user --------------------------------------------------------------------------------------


def test_words_that_are_finished_are_final_at_once() -> None:
    assert tell(begin(), heard("Turn"), heard(" on.", finished=True), heard("And")) == [
        SpeechStarted(),
        Transcript("user", "Turn", final=False),
        Transcript("user", "Turn on.", final=False),
        SpeechStopped(),
        Transcript("user", "Turn on."),
        SpeechStarted(),
        Transcript("user", "And", final=False),
    ]


def test_a_hypothesis_is_for_the_moment() -> None:
    session = begin()
    hypothesis = {"interimInputTranscription": {"text": "Turn onto"}}
    assert tell(session, hypothesis, heard("Turn on"))[1:] == [
        Transcript("user", "Turn onto", final=False),
        Transcript("user", "Turn on", final=False),
    ]


def test_words_in_the_middle_of_the_answer_belong_to_what_is_answered() -> None:
    session = begin()
    tell(session, heard("Tell me"), sound(b"\1\0"))
    assert tell(session, heard(" a")) == [Transcript("user", "Tell me a", replaces="Tell me")]
    assert tell(session, heard(" story.")) == [Transcript("user", "Tell me a story.", replaces="Tell me a")]
    tell(session, DONE)
    assert tell(session, heard("More."))[-1] == Transcript("user", "More.", final=False)


def test_an_interruption_begins_another_utterance_that_the_turn_s_end_does_not_cut() -> None:
    session = begin()
    tell(session, heard("Tell me."), spoken("Once upon"))
    assert tell(session, {"interrupted": True}, heard("Wait"), DONE, heard(" please.")) == [
        Interrupted(),
        Transcript("assistant", "Once upon"),
        SpeechStarted(),
        Transcript("user", "Wait", final=False),
        ResponseDone(),
        Transcript("user", "Wait please.", final=False),
    ]


def test_a_server_that_tells_of_speech_is_believed() -> None:
    session = begin()

    def activity(kind: str) -> list[Event]:
        return session.receive(json.dumps({"voiceActivity": {"voiceActivityType": kind}}))

    assert activity("ACTIVITY_START") == [SpeechStarted()]
    assert activity("ACTIVITY_START") == []
    assert tell(session, heard("Hi.")) == [Transcript("user", "Hi.", final=False)]
    assert activity("ACTIVITY_END") == [SpeechStopped()]
    assert activity("ACTIVITY_END") == []
    assert tell(session, heard(" Ho.")) == [Transcript("user", "Hi. Ho.", final=False)]
    assert tell(session, spoken("Yes."))[:2] == [Transcript("user", "Hi. Ho."), ResponseStarted()]
    assert activity("TYPE_OF_TOMORROW") == [Message({"voiceActivityType": "TYPE_OF_TOMORROW"})]


# -- the answer --------------------------------------------------------------------------------------


def test_a_message_may_hold_everything_at_once() -> None:
    everything = {**heard("Hi."), **sound(b"\1\0"), **spoken("Yes."), **DONE}
    assert tell(begin(), everything) == [
        SpeechStarted(),
        Transcript("user", "Hi.", final=False),
        SpeechStopped(),
        Transcript("user", "Hi."),
        ResponseStarted(),
        AudioReceived(b"\1\0", AudioFormat(24000)),
        Token("Yes."),
        Transcript("assistant", "Yes."),
        ResponseDone(),
    ]


def test_text_answers_leave_thoughts_out() -> None:
    parts = [{"text": "Hm.", "thought": True}, {"text": "Yes"}, {"text": "."}, {"executableCode": {}}]
    turn = {"modelTurn": {"parts": parts}}
    assert tell(begin(output="text"), turn, DONE) == [
        ResponseStarted(),
        Token("Yes"),
        Token("."),
        Transcript("assistant", "Yes."),
        ResponseDone(),
    ]
    assert tell(begin(), turn, DONE) == [], "where answers are spoken, text beside them is no answer"


def test_the_rate_is_what_the_sound_says() -> None:
    session = begin()
    formats = [
        event.format
        for kind in ("audio/pcm;rate=16000", "audio/pcm", "audio/pcm; x=y; rate=8000")
        for event in tell(session, sound(b"\1\0", kind))
        if isinstance(event, AudioReceived)
    ]
    assert formats == [AudioFormat(16000), AudioFormat(24000), AudioFormat(8000)]


def test_both_alphabets_of_base64_are_understood() -> None:
    for data in ("-_-_", "+/+/"):
        turn = {"modelTurn": {"parts": [{"inlineData": {"mimeType": "audio/pcm", "data": data + "AA=="}}]}}
        assert tell(begin(), turn)[-1] == AudioReceived(b"\xfb\xff\xbf\0", AudioFormat(24000))


def test_samples_may_be_split() -> None:
    session = begin()
    events = tell(session, sound(b"\1"), sound(b"\2\3"), DONE, sound(b"\4\5"))
    assert [event.pcm for event in events if isinstance(event, AudioReceived)] == [b"\1\2", b"\4\5"]


@pytest.mark.parametrize("kind", ["audio/pcm;rate=fast", "audio/pcm;rate=1", 7, None])
@pytest.mark.parametrize("data", ["AQAB", "???", "A", "\xe9", 7, None])
def test_sound_that_cannot_be_played_costs_its_message(kind: Any, data: Any) -> None:
    session = begin()
    for part in ({"mimeType": kind, "data": "AQA="}, {"mimeType": "audio/pcm", "data": data}):
        if part["data"] != "AQAB":
            events = tell(session, {"modelTurn": {"parts": [{"inlineData": part}]}})
            assert events[0] == Message({"inlineData": part})
            assert not any(isinstance(event, AudioReceived) for event in events)
    assert tell(session, sound(b"\1\0"))[-1] == AudioReceived(b"\1\0", AudioFormat(24000))


def test_what_is_wrong_is_told_once() -> None:
    session = begin()
    wrong = {"modelTurn": {"parts": [{"inlineData": {"mimeType": "audio/pcm", "data": "?"}}]}}
    assert [type(event) for event in tell(session, wrong, wrong)] == [Message, ServerError, Message]


def test_other_kinds_of_data_are_messages() -> None:
    [event] = tell(begin(), sound(b"x", "image/png"))
    assert isinstance(event, Message)


def test_sources_are_told_as_they_are() -> None:
    assert tell(begin(), {"groundingMetadata": {"a": 1}}) == [
        Message({"serverContent": {"groundingMetadata": {"a": 1}}})
    ]


@pytest.mark.parametrize(
    ("reason", "errors"),
    [
        ("NEED_MORE_INPUT", []),
        ("BLOCKLIST", [ServerError("the server did not finish its answer", "BLOCKLIST")]),
    ],
)
def test_why_a_turn_ended(reason: str, errors: list[Event]) -> None:
    assert tell(begin(), {**DONE, "turnCompleteReason": reason}) == errors


def test_nobody_has_to_listen_to_the_end() -> None:
    session = begin()
    session.send(InterruptResponse())
    assert said(session) == []
    assert len(tell(session, sound(b"\1\0"))) == 2, "nothing was being said when it was interrupted"
    session.send(InterruptResponse())
    assert tell(session, sound(b"\3\0"), spoken("more")) == [Token("more")]
    assert tell(session, DONE, sound(b"\5\0"))[-1] == AudioReceived(b"\5\0", AudioFormat(24000))


def test_an_endless_answer_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LONGEST_TEXT", 10)
    session = begin()
    for _ in range(100):
        tell(session, spoken("abcd"))
    assert tell(session, DONE)[0] == Transcript("assistant", "abcd" * 3)


# -- tools ---------------------------------------------------------------------------------------------


def test_calls_and_their_results() -> None:
    session = begin()
    calls = [{"id": "1", "name": "light", "args": {"on": True}}, {"name": "time"}, {"id": "3"}]
    assert session.receive(json.dumps({"toolCall": {"functionCalls": calls}})) == [
        ToolCall("1", "light", {"on": True}),
        ToolCall("call-2", "time", {}),
    ]
    session.send(ToolResult("1", {"state": "on"}))
    session.send(ToolResult("call-2", error="no clock"))
    assert said(session) == [
        {
            "toolResponse": {
                "functionResponses": [{"id": "1", "name": "light", "response": {"output": {"state": "on"}}}]
            }
        },
        {"toolResponse": {"functionResponses": [{"name": "time", "response": {"error": "no clock"}}]}},
    ]


def test_calls_are_taken_back() -> None:
    session = begin()
    session.receive('{"toolCall": {"functionCalls": [{"id": "1", "name": "light"}]}}')
    assert session.receive('{"toolCallCancellation": {"ids": ["1", 7]}}') == [ToolCallCancelled("1")]
    assert session.receive('{"toolCallCancellation": {"ids": "1"}}') == []


def test_late_words_before_the_answer_to_a_call_are_kept_together() -> None:
    session = begin()
    tell(session, heard("Light"))
    session.receive('{"toolCall": {"functionCalls": [{"id": "1", "name": "light"}]}}')
    assert tell(session, heard(" on.")) == [Transcript("user", "Light on.", replaces="Light")]


@pytest.mark.parametrize(
    ("args", "told"), [({"on": True}, {"on": True}), ('{"on": true}', {"on": True}), (None, {}), ("", {})]
)
@pytest.mark.parametrize("listed", [True, False])
def test_arguments_in_any_form(args: Any, told: dict[str, Any], listed: bool) -> None:
    call = {"id": "1", "name": "light", "args": args}
    message = json.dumps({"toolCall": {"functionCalls": [call] if listed else call}})
    assert begin().receive(message) == [ToolCall("1", "light", told)]


@pytest.mark.parametrize("args", [[], 7, "[1]", "light", False])
def test_other_arguments_are_refused_to_the_server(args: Any) -> None:
    session = begin()
    call = {"id": "1", "name": "light", "args": args}
    assert session.receive(json.dumps({"toolCall": {"functionCalls": [call]}})) == []
    [response] = said(session)[0]["toolResponse"]["functionResponses"]
    assert (response["id"], response["name"]) == ("1", "light")
    assert "no JSON object" in response["response"]["error"]


def test_calls_without_a_name_never_share_one() -> None:
    session, names = begin(), []
    for _ in range(3):
        [call] = session.receive('{"toolCall": {"functionCalls": [{"name": "light"}]}}')
        assert isinstance(call, ToolCall)
        names.append(call.call_id)
        if len(names) == 1:
            session.send(ToolResult(call.call_id, "on"))
    assert len(set(names)) == 3


# -- what never comes, or otherwise ------------------------------------------------------------------------


def next_turn(session: GeminiSession) -> None:
    """The conversation goes on as if nothing had been."""
    session.send(SendText("Next."))
    tell(session, {})
    assert tell(session, sound(b"\1\0"), spoken("Yes."), DONE) == [
        ResponseStarted(),
        AudioReceived(b"\1\0", AudioFormat(24000)),
        Token("Yes."),
        Transcript("assistant", "Yes."),
        ResponseDone(),
    ]


@pytest.mark.parametrize("value", [{}, True, None, [], 7, "yes"])
def test_that_the_server_is_ready_may_be_said_in_any_way(value: Any) -> None:
    session = begin(ready=False)
    session.receive(json.dumps({"setupComplete": value}))
    assert session.ready


@pytest.mark.parametrize("end", [{"generationComplete": True}, {"interrupted": True}])
def test_an_answer_whose_end_is_lost_is_ended_by_the_next(end: dict[str, Any]) -> None:
    session = begin()
    tell(session, heard("One."), spoken("First."), sound(b"\1\0"), end)
    events = tell(session, sound(b"\2\0"), spoken("Second."))
    assert [event for event in events if not isinstance(event, Transcript)] == [
        ResponseDone(),
        ResponseStarted(),
        AudioReceived(b"\2\0", AudioFormat(24000)),
        Token("Second."),
    ]
    tell(session, DONE)
    next_turn(session)


def test_words_that_interrupt_are_final_although_the_end_is_lost() -> None:
    session = begin()
    tell(session, heard("One."), sound(b"\1\0"), {"interrupted": True}, heard("Two."))
    assert Transcript("user", "Two.") in tell(session, sound(b"\2\0"))


def test_an_answer_that_never_ends_is_given_up() -> None:
    session = begin()
    tell(session, spoken("Hello."))
    session.messages_to_send()
    assert session.tick_interval == 1.0
    assert [event for now in range(100, 115) for event in session.tick(now)] == []
    assert session.tick(115.0) == [Transcript("assistant", "Hello."), ResponseDone()]
    session.messages_to_send()
    assert session.tick_interval is None
    next_turn(session)


def test_an_answer_that_goes_on_is_not_given_up() -> None:
    session = begin()
    for now in range(100):
        tell(session, spoken("a"))
        assert session.tick(now) == []


def test_an_answer_that_nobody_wants_and_that_never_ends_is_over_with_the_next_turn() -> None:
    session = begin()
    tell(session, sound(b"\1\0"))
    session.send(InterruptResponse())
    assert tell(session, sound(b"\1\0")) == []
    session.send(SendText("Next."))
    assert tell(session, sound(b"\2\0")) == [
        ResponseDone(),
        ResponseStarted(),
        AudioReceived(b"\2\0", AudioFormat(24000)),
    ]
    session.send(InterruptResponse())
    assert tell(session, heard("Next."))[:2] == [ResponseDone(), SpeechStarted()]


@pytest.mark.parametrize("flag", [True, "true", 1])
def test_flags_in_any_form(flag: Any) -> None:
    session = begin()
    tell(session, spoken("One"))
    assert tell(session, {"interrupted": flag})[0] == Interrupted()
    assert tell(session, {"turnComplete": flag}) == [ResponseDone()]


@pytest.mark.parametrize("flag", [False, "false", 0, None, {}])
def test_flags_that_are_not_set(flag: Any) -> None:
    session = begin()
    tell(session, spoken("One"))
    assert tell(session, {"turnComplete": flag, "interrupted": flag}) == []


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("no", ServerError("no")),
        ({"code": 400, "message": "no", "status": "INVALID"}, ServerError("no", 400)),
        ({"status": "INVALID"}, ServerError("INVALID", "INVALID")),
        (7, ServerError("it did not say why")),
    ],
)
def test_errors(error: Any, told: Event) -> None:
    assert begin().receive(json.dumps({"error": error})) == [told]


# -- an answer called off before it begins -----------------------------------------------------------------


def is_silent(session: GeminiSession) -> bool:
    """The next answer is not heard of, but the one after it is."""
    answer = tell(session, sound(b"\1\0"), spoken("No."), DONE)
    told = [event for event in answer if not isinstance(event, SpeechStopped)]
    next_turn(session)
    return all(isinstance(event, Transcript) and event.role == "user" for event in told)


def test_an_answer_to_what_was_written_or_said_can_be_called_off() -> None:
    session = begin()
    session.send(SendText("Hello."))
    session.send(InterruptResponse())
    assert is_silent(session)
    tell(session, heard("Hello."))
    session.send(InterruptResponse())
    assert is_silent(session)
    tell(session, heard("Hello.", finished=True))
    session.send(InterruptResponse())
    assert is_silent(session)


def test_an_answer_to_a_turn_of_ours_can_be_called_off() -> None:
    session = begin(turn_detection=None)
    session.send(StartTurn())
    session.send(EndTurn())
    session.send(InterruptResponse())
    assert is_silent(session)


def test_the_answer_to_a_result_can_be_called_off_while_the_call_lasts() -> None:
    session = begin()
    session.receive('{"toolCall": {"functionCalls": [{"id": "1", "name": "light"}]}}')
    session.send(InterruptResponse())
    session.send(ToolResult("1", "on"))
    assert is_silent(session)


def test_who_speaks_on_wants_an_answer() -> None:
    session = begin()
    tell(session, heard("Hello"))
    session.send(InterruptResponse())
    tell(session, heard(" there."))
    assert ResponseStarted() in tell(session, sound(b"\1\0"))


# -- text and turns ----------------------------------------------------------------------------------------


def test_text_is_part_of_the_stream_or_a_turn_of_its_own() -> None:
    session = begin()
    session.send(SendText("Hello."))
    assert said(session) == [{"realtimeInput": {"text": "Hello."}}]
    session = begin(text_input="content")
    session.send(SendText("Hello."))
    turns = [{"role": "user", "parts": [{"text": "Hello."}]}]
    assert said(session) == [{"clientContent": {"turns": turns, "turnComplete": True}}]


def test_push_to_talk() -> None:
    session = begin(turn_detection=None)
    session.send(SendAudio(FRAME, 0.0))
    session.send(EndTurn())
    assert said(session) == [], "what is outside of turns is not heard"
    session.send(StartTurn())
    session.send(SendAudio(FRAME, 0.0))
    session.send(SendText("and this"))
    session.send(EndTurn())
    session.send(SendText("Hello."))
    kinds = [sorted(message["realtimeInput"]) for message in said(session)]
    assert kinds == [
        ["activityStart"],
        ["audio"],
        ["text"],
        ["activityEnd"],
        ["activityStart"],
        ["text"],
        ["activityEnd"],
    ]


# -- the end -----------------------------------------------------------------------------------------------


def test_the_answer_to_the_last_words_is_waited_for() -> None:
    session = begin()
    session.send(SendAudio(FRAME, 0.0))
    tell(session, heard("Good night."))
    session.messages_to_send()
    session.finish()
    assert said(session) == [{"realtimeInput": {"audioStreamEnd": True}}]
    session.tick(0.0)
    session.tick(100.0)
    assert not is_over(session)
    tell(session, spoken("Sleep well."), DONE)
    assert is_over(session)


def test_a_server_that_heard_nothing_does_not_say_so() -> None:
    session = begin()
    session.send(SendAudio(FRAME, 0.0))
    session.tick(99.0)
    session.finish()
    session.tick(100.0)
    session.tick(101.9)
    session.receive('{"usageMetadata": {}}')
    session.tick(102.1)
    session.tick(104.0)
    assert not is_over(session)
    session.tick(104.1)
    assert is_over(session)


def test_after_long_silence_there_is_nothing_to_wait_for() -> None:
    session = begin()
    for _ in range(200):
        session.send(SendAudio(bytes(640), 0.0))
    session.finish()
    assert is_over(session)


@pytest.mark.parametrize("turn_detection", ["auto", None])
def test_what_was_asked_is_answered_before_the_end(turn_detection: str | None) -> None:
    session = begin(turn_detection=turn_detection)
    for _ in range(200):
        session.send(SendAudio(bytes(640), 0.0))
    session.send(SendText("Hello."))
    session.finish()
    assert not is_over(session)
    tell(session, spoken("Hi."), DONE)
    assert is_over(session)


def test_an_open_turn_is_ended_at_the_end() -> None:
    session = begin(turn_detection=None)
    session.send(StartTurn())
    session.messages_to_send()
    session.finish()
    assert said(session) == [{"realtimeInput": {"activityEnd": {}}}]
    assert not is_over(session)


def test_before_it_is_ready_there_is_nothing_to_finish() -> None:
    session = begin(ready=False)
    session.finish()
    assert is_over(session)


# -- the session's end ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("left", "seconds"), [("50s", 50.0), ("9.5s", 9.5), ("soon", 0.0), ("-1s", 0.0)])
def test_the_end_is_announced(left: str, seconds: float) -> None:
    assert begin().receive(json.dumps({"goAway": {"timeLeft": left}})) == [SessionExpiring(seconds)]
    assert begin().receive('{"goAway": {}}') == [SessionExpiring(0.0)]


def resumed(*, asked: bool) -> GeminiSession:
    dialect = GeminiLive("any", key="k")
    lost = dialect.begin(None, History())
    lost.receive(READY)
    lost.receive('{"sessionResumptionUpdate": {"newHandle": "h", "resumable": true}}')
    new = dialect.begin(lost, History())
    assert isinstance(new, GeminiSession)
    if asked:
        new.messages_to_send()
    return new


@pytest.mark.parametrize("code", [1007, 1008])
def test_a_handle_that_is_refused_is_given_up(code: int) -> None:
    session = resumed(asked=True)
    refusal = ConnectionClosed(code)
    judged = session.classify(refusal)
    assert isinstance(judged, ServiceError)
    assert judge(judged) is Verdict.RETRY
    assert judged.__cause__ is refusal
    assert session.handle is None
    [again] = GeminiLive("any", key="k").begin(session, History()).messages_to_send()
    assert '"handle"' not in str(again)


def test_other_refusals_are_what_they_seem() -> None:
    refusal = ConnectionClosed(1007)
    assert begin(ready=False).classify(refusal) is refusal
    going = resumed(asked=True)
    going.receive(READY)
    assert going.classify(refusal) is refusal
    assert going.handle == "h"
    for error in (ConnectionClosed(1011), VoicewsError("x")):
        assert resumed(asked=True).classify(error) is error


def test_a_connection_that_never_came_refuses_no_handle() -> None:
    assert resumed(asked=False).handle == "h"
