"""Who waited for what, out of events and sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.timeline.recordings import ERROR, Tape
from voicews.timeline.reading import Recording
from voicews.timeline.story import Story, speech, tell


@pytest.fixture
def story_of(tmp_path: Path):  # type: ignore[no-untyped-def]
    def make(tape: Tape) -> Story:
        recording = Recording(tape.save(tmp_path))
        return tell(recording.happenings, recording.levels, recording.seconds)

    return make


def approx(seconds: float) -> float:
    return pytest.approx(seconds, abs=0.03)  # type: ignore[return-value]


def test_speech_is_what_stands_out() -> None:
    levels = np.full(1000, 0.002)
    levels[100:200] = 0.1
    levels[230:300] = 0.1  # a pause within
    levels[400:403] = 0.1  # a click
    levels[500:520] = 0.1
    assert [(span.start, span.end) for span in speech(levels)] == [(1.0, 3.0), (5.0, 5.2)]
    noisy = levels + 0.03
    assert [span.start for span in speech(noisy)] == [1.0, 5.0]  # 12 dB above the room
    assert not speech(levels / 4 + 0.015)
    assert not speech(np.zeros(100))
    assert not speech(np.zeros(0))


def test_a_wait_is_taken_apart(story_of) -> None:  # type: ignore[no-untyped-def]
    tape = Tape(10)
    tape.turn(1.0, "How late is it?", "Half past two.", thinking=0.9, tool="clock")
    (wait,) = (story := story_of(tape)).waits
    assert wait.seconds == approx(1.55)
    assert {name: round(seconds, 1) for name, seconds in wait.shares.items()} == {
        "endpointing": 0.4,
        "recognising": 0.1,
        "thinking": 0.1,
        "tool": 0.8,
        "synthesis": 0.1,
        "playing": 0.1,
    }
    assert wait.reason == ("tool", approx(0.8))
    assert sum(wait.shares.values()) == pytest.approx(wait.seconds)
    assert [(said.side, said.text) for said in story.utterances] == [
        ("user", "How late is it?"),
        ("assistant", "Half past two."),
    ]
    question, answer = story.utterances
    assert (question.start, question.end) == (approx(1.0), approx(2.0))
    assert (answer.start, answer.end) == (approx(3.55), approx(4.55))
    assert story.typical_wait == wait.seconds
    assert [mark.text for mark in story.marks] == ["calls the tool clock"]


def test_an_answer_that_waited_for_the_connection(story_of) -> None:  # type: ignore[no-untyped-def]
    tape = Tape(10)
    tape.turn(1.0, "Is anybody there?", "Yes.", thinking=3.0)
    tape.tell(3.0, "Disconnected", generation=1, error=ERROR)
    tape.tell(3.0, "Reconnecting", attempt=1, delay=1.0, error=ERROR)
    tape.tell(5.0, "Connected", generation=2, resumed=True)
    story = story_of(tape)
    (outage,) = story.outages
    assert (outage.start, outage.end, outage.restored) == (3.0, 5.0, True)
    assert outage.why == ERROR["message"]
    (wait,) = story.waits
    assert wait.reason == ("link away", approx(2.0))


def test_a_written_question_is_waited_for_from_its_sending(story_of) -> None:  # type: ignore[no-untyped-def]
    tape = Tape(6)
    tape.tell(1.0, "Said", command="SendText", text="How late is it?")
    tape.tell(1.5, "Token", text="Half ")
    tape.tell(1.6, "Token", text="past two.")
    tape.tell(1.7, "AudioReceived", pcm=640)
    tape.tell(1.7, "PlaybackStarted")
    tape.sound(1, 1.75, 3.0)
    tape.tell(2.0, "ResponseDone")
    tape.tell(3.0, "PlaybackFinished", heard_ms=1250)
    story = story_of(tape)
    assert [said.text for said in story.utterances] == ["⌨ How late is it?", "Half past two."]
    (wait,) = story.waits
    assert (wait.start, wait.end) == (1.0, approx(1.75))
    assert list(wait.shares) == ["thinking", "synthesis", "playing"]


def test_a_greeting_answers_nobody(story_of) -> None:  # type: ignore[no-untyped-def]
    tape = Tape(8)
    tape.tell(0.5, "ResponseStarted")
    tape.tell(0.6, "AudioReceived", pcm=640)
    tape.tell(0.6, "PlaybackStarted")
    tape.sound(1, 0.65, 1.5)
    tape.tell(0.7, "Transcript", role="assistant", text="Welcome!", final=True)
    tape.tell(0.7, "ResponseDone")
    tape.tell(1.5, "PlaybackFinished", heard_ms=850)
    tape.turn(3.0, "Thank you.", "You are welcome.")
    story = story_of(tape)
    assert [said.text for said in story.utterances] == ["Welcome!", "Thank you.", "You are welcome."]
    (wait,) = story.waits
    assert wait.start == approx(4.0)


def test_an_interruption_ends_an_answer(story_of) -> None:  # type: ignore[no-untyped-def]
    tape = Tape(12)
    end = tape.turn(1.0, "Tell me all.", "In the beginning…", heard=2.0, cut=True)
    tape.turn(end + 0.3, "Stop.", "All right.")
    story = story_of(tape)
    assert [(said.text, said.interrupted) for said in story.utterances if said.side == "assistant"] == [
        ("In the beginning…", True),
        ("All right.", False),
    ]
    (mark,) = story.marks
    assert (mark.text, mark.bad, mark.at) == ("interrupted after 2.0 s", True, approx(end))
    assert len(story.waits) == 2


def test_a_question_without_an_answer(story_of) -> None:  # type: ignore[no-untyped-def]
    tape = Tape(30)
    tape.turn(1.0, "One?", "One.")
    tape.sound(0, 6.0, 7.0)
    tape.tell(6.2, "SpeechStarted")
    tape.tell(7.4, "SpeechStopped")
    tape.tell(7.5, "Transcript", role="user", text="Two?", final=True)
    tape.turn(15.0, "Three?", "Three.")
    tape.tell(20.0, "Said", command="SendText", text="Four?")
    story = story_of(tape)
    assert [(mark.text, mark.at) for mark in story.marks] == [
        ("no answer came", 7.5),
        ("no answer came", 20.0),
    ]
    assert [wait.start for wait in story.waits] == [approx(2.0), approx(16.0)]


def test_words_that_go_with_the_connection(story_of) -> None:  # type: ignore[no-untyped-def]
    tape = Tape(10)
    tape.sound(0, 1.0, 2.5)
    tape.tell(1.2, "SpeechStarted")
    tape.tell(1.8, "Transcript", role="user", text="What is seven", final=False)
    tape.tell(2.0, "Disconnected", generation=1, error=ERROR)
    tape.tell(3.0, "Connected", generation=2, resumed=True)
    tape.turn(5.0, "What is seven times eight?", "Fifty-six.")
    story = story_of(tape)
    assert [said.text for said in story.utterances if said.side == "user"] == [
        "What is seven …",
        "What is seven times eight?",
    ]
    assert [(mark.text, mark.at) for mark in story.marks] == [("the words went with the connection", 2.0)]
    assert [wait.start for wait in story.waits] == [approx(6.0)]


def test_an_answer_that_has_not_begun_is_left_to_the_next_connection(story_of) -> None:  # type: ignore[no-untyped-def]
    tape = Tape(10)
    tape.sound(0, 1.0, 2.0)
    tape.tell(2.4, "SpeechStopped")
    tape.tell(2.5, "Transcript", role="user", text="Well?", final=True)
    tape.tell(2.6, "ResponseStarted")
    tape.tell(3.0, "Disconnected", generation=1, error=ERROR)
    tape.tell(4.0, "Connected", generation=2, resumed=True)
    tape.tell(4.1, "AudioReceived", pcm=640)
    tape.tell(4.1, "PlaybackStarted")
    tape.sound(1, 4.2, 5.0)
    (wait,) = story_of(tape).waits
    assert (wait.start, wait.end) == (approx(2.0), approx(4.2))
    assert wait.reason[0] == "link away"


def test_a_service_that_only_transcribes_owes_no_answer(story_of) -> None:  # type: ignore[no-untyped-def]
    tape = Tape(20)
    for at in (1.0, 8.0):
        tape.sound(0, at, at + 1)
        tape.tell(at + 0.5, "Transcript", role="user", text="he", final=False)
        tape.tell(at + 1.5, "Transcript", role="user", text="hello", final=True)
    story = story_of(tape)
    assert not story.marks
    assert not story.waits
    assert story.typical_wait is None
    assert [(said.text, said.start) for said in story.utterances] == [
        ("hello", approx(1.0)),
        ("hello", approx(8.0)),
    ]


def test_words_without_any_sound(story_of) -> None:  # type: ignore[no-untyped-def]
    tape = Tape(5)
    tape.tell(1.0, "SpeechStarted")
    tape.tell(2.0, "Transcript", role="user", text="hello", final=True)
    tape.tell(2.5, "Transcript", role="assistant", text="Good day.", final=True)
    tape.tell(2.5, "ResponseDone")
    story = story_of(tape)
    assert [(said.text, said.start) for said in story.utterances] == [("hello", 1.0), ("Good day.", 2.5)]
    assert not story.waits


def test_muted_and_away_at_the_end(story_of) -> None:  # type: ignore[no-untyped-def]
    tape = Tape(10)
    tape.tell(1.0, "Muted")
    tape.tell(2.0, "Unmuted")
    tape.tell(3.0, "Muted")
    tape.tell(4.0, "Disconnected", generation=1, error=ERROR)
    story = story_of(tape)
    assert [(span.start, span.end) for span in story.muted] == [(1.0, 2.0), (3.0, 10.0)]
    assert [(out.start, out.end, out.restored) for out in story.outages] == [(4.0, 10.0, False)]
    tape.tell(6.0, "StateChanged", old="RECONNECTING", new="CLOSING")
    assert [(out.start, out.end) for out in story_of(tape).outages] == [(4.0, 6.0)]


def test_a_slow_first_connection_is_an_outage(story_of) -> None:  # type: ignore[no-untyped-def]
    tape = Tape(10)
    tape._events = [event for event in tape._events if event["event"] != "Connected"]
    tape.tell(3.0, "Connected", generation=1, resumed=False)
    (outage,) = story_of(tape).outages
    assert (outage.start, outage.end, outage.why) == (0.01, 3.0, "connecting")


def test_a_first_connection_that_fails_says_why(story_of) -> None:  # type: ignore[no-untyped-def]
    tape = Tape(10)
    tape._events = [event for event in tape._events if event["event"] != "Connected"]
    tape.tell(
        0.5, "Reconnecting", attempt=1, delay=1.0, error={"type": "ConnectFailed", "message": "refused"}
    )
    tape.tell(3.0, "Connected", generation=1, resumed=False)
    tape.tell(
        6.0, "Reconnecting", attempt=1, delay=1.0, error=ERROR
    )  # as a part that begins in an outage has it
    tape.tell(7.0, "Connected", generation=2, resumed=True)
    assert [(out.start, out.end, out.why) for out in story_of(tape).outages] == [
        (0.01, 3.0, "refused"),
        (6.0, 7.0, ERROR["message"]),
    ]


def test_events_that_tell_nothing_new_change_nothing(story_of) -> None:  # type: ignore[no-untyped-def]
    tape = Tape(10)
    end = tape.turn(1.0, "One?", "One.")
    before = story_of(tape)
    tape.tell(0.5, "Interrupted", heard_ms=0)
    tape.tell(0.6, "Unmuted")
    tape.tell(2.2, "Transcript", role="user", text=" ", final=True)
    tape.tell(2.6, "Transcript", role="assistant", text="O", final=False)
    tape.tell(end + 0.1, "Interrupted", heard_ms=1000)
    after = story_of(tape)
    assert [said.text for said in after.utterances] == [said.text for said in before.utterances]
    assert not after.marks
    assert not after.muted


def test_an_answer_of_which_nothing_is_heard_has_no_wait(story_of) -> None:  # type: ignore[no-untyped-def]
    tape = Tape(10)
    tape.turn(1.0, "One?", "", heard=0.0)
    story = story_of(tape)
    assert [said.text for said in story.utterances] == ["One?"]
    assert not story.waits


def test_troubles_are_marked(story_of) -> None:  # type: ignore[no-untyped-def]
    tape = Tape(10)
    happened: list[tuple[str, dict[str, object]]] = [
        ("FramesDropped", {"buffer": "outbox", "cause": "stale", "count": 42}),
        ("FramesDropped", {"buffer": "recording", "cause": "overflow", "count": 7}),
        ("DeviceLost", {"device": "microphone", "error": ERROR}),
        ("DeviceRestored", {"device": "microphone"}),
        ("ServerError", {"message": "busy", "code": 7}),
        ("ReconnectFailed", {"attempts": 5, "error": ERROR}),
        ("Undelivered", {"command": {}, "sent": True}),
        ("Undelivered", {"command": {}, "sent": False}),
        ("CallbackError", {"callback": "show", "error": {"type": "ValueError", "message": ""}}),
        ("RecordingFailed", {"path": "a.wav", "error": ERROR}),
        ("CaptureFinished", {}),
        ("Note", {"text": "two\nlines"}),
        ("Said", {"command": "InterruptResponse", "text": None}),
    ]
    for number, (event, members) in enumerate(happened):
        tape.tell(1 + number / 2, event, **members)
    assert [mark.text for mark in story_of(tape).marks] == [
        "42 captured frames dropped (stale)",
        "7 pieces of the recording dropped (overflow)",
        f"microphone lost: {ERROR['message']}",
        "microphone works again",
        "server error: busy",
        "given up after 5 attempts",
        "perhaps not delivered",
        "not delivered",
        "the callback show failed: ValueError",
        f"not recorded any more: {ERROR['message']}",
        "the microphone has come to its end",
        "two lines",
        "you interrupt",
    ]
