"""The story that all displays tell."""

from __future__ import annotations

import pytest

from voicews import (
    AudioReceived,
    CallbackError,
    Connected,
    ConnectFailed,
    ConnectionClosed,
    DeviceLost,
    DeviceLostError,
    DeviceRestored,
    Disconnected,
    Event,
    FramesDropped,
    Interrupted,
    Message,
    PlaybackStarted,
    ReconnectFailed,
    Reconnecting,
    RecordingError,
    RecordingFailed,
    ResponseDone,
    ServerError,
    State,
    StateChanged,
    Token,
    ToolCall,
    Transcript,
)
from voicews.cli.announcements import Check, Figures, Note, TurnScore, Verdict, Written
from voicews.cli.narration import Narrator, milliseconds
from voicews.config import AudioFormat


def told(*events: Event) -> list[str]:
    narrator = Narrator()
    return [str(line) for event in events for line in narrator.tell(event)]


def test_a_turn_and_its_answer() -> None:
    narrator = Narrator()
    assert not list(narrator.tell(Transcript("user", "What is", final=False)))
    assert narrator.hearing == "What is"
    (line,) = narrator.tell(Transcript("user", "What is it?"))
    assert str(line) == "you    What is it?"
    assert not narrator.hearing
    for word in ("It", " is", " late."):
        assert not list(narrator.tell(Token(word)))
    assert narrator.saying == "It is late."
    (line,) = narrator.tell(Transcript("assistant", "It is late."))
    assert str(line) == "voice  It is late."
    assert not narrator.saying
    assert not list(narrator.tell(ResponseDone()))


def test_an_answer_in_tokens_only_is_told_at_its_end() -> None:
    assert told(Token("Good"), Token(" day. "), ResponseDone()) == ["voice  Good day."]


def test_an_answer_whose_transcript_grows() -> None:
    narrator = Narrator()
    assert not list(narrator.tell(Transcript("assistant", "It is", final=False)))
    assert narrator.saying == "It is"


def test_an_interruption_ends_the_answer() -> None:
    assert told(Token("Once upon"), Interrupted(1240)) == [
        "voice  Once upon",
        "voice  (interrupted after 1.2 s)",
    ]
    assert told(Interrupted()) == ["voice  (interrupted)"]


def test_a_lost_connection_and_its_return() -> None:
    lost = ConnectionClosed(1006)
    narrator = Narrator()
    lines = [
        str(line)
        for event in (
            StateChanged(State.IDLE, State.CONNECTING),
            Connected(1, resumed=False),
            StateChanged(State.CONNECTING, State.CONNECTED),
            Token("half an ans"),
            Disconnected(1, lost),
            StateChanged(State.CONNECTED, State.RECONNECTING),
            Reconnecting(1, 1.0, lost),
            Reconnecting(2, 2.0, lost),
            Connected(2, resumed=True),
        )
        for line in narrator.tell(event)
    ]
    assert lines == [
        "link   connected",
        "voice  half an ans",
        "link   the server ended the connection without a Close frame",
        "link   attempt 1 in 1.0 s",
        "link   attempt 2 in 2.0 s",
        "link   connected again after 0.0 s",
    ]
    assert narrator.state is State.RECONNECTING


def test_what_was_lost_meanwhile_is_told_once() -> None:
    lost = ConnectionClosed(1006)
    drops = [FramesDropped("outbox", "overflow", 50), FramesDropped("outbox", "stale", 7)]
    lines = told(Disconnected(1, lost), *drops, Connected(2, resumed=True), drops[1])
    assert lines[1:] == [
        "link   connected again after 0.0 s; 57 captured frames were too old by then",
        "sound  7 captured frames dropped: they waited too long",
    ]


def test_a_connection_that_never_came_about_says_why_each_time() -> None:
    refused = OSError("refused")
    asking = ConnectFailed("h:1 cannot be reached: refused; is it there?")
    assert told(Reconnecting(1, 1.0, asking)) == [
        "link   h:1 cannot be reached: refused; is it there? Attempt 1 in 1.0 s"
    ]
    advised = ConnectFailed("h:1 cannot be reached: refused; is the server running?")
    assert told(Reconnecting(1, 1.0, advised)) == [
        "link   h:1 cannot be reached: refused; attempt 1 in 1.0 s"
    ]
    assert told(ReconnectFailed(0, refused)) == []
    assert told(Reconnecting(1, 1.0, refused), ReconnectFailed(1, refused)) == [
        "link   refused; attempt 1 in 1.0 s",
        "link   given up after 1 more attempt",
    ]


def test_attempts_that_are_counted_on_are_explained() -> None:
    [line] = told(Reconnecting(3, 4.0, OSError("gone"), lasted=8.04))
    assert line == (
        "link   gone; attempt 3 in 4.0 s (the session lasted only 8.0 s, so earlier attempts still count)"
    )


def test_the_usual_end_is_no_trouble() -> None:
    narrator = Narrator()
    assert not list(narrator.tell(Disconnected(1, None)))
    (line,) = narrator.tell(Disconnected(1, ConnectionClosed(1000)))
    assert line.tone == "quiet"
    (line,) = narrator.tell(Disconnected(1, ConnectionClosed(1006)))
    assert line.tone == "trouble"


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (FramesDropped("outbox", "overflow", 5), "sound  5 captured frames dropped: too many were waiting"),
        (
            FramesDropped("playback", "stale", 2),
            "sound  2 pieces of the answer dropped: they waited too long",
        ),
        (FramesDropped("events", "overflow", 2), "sound  2 events dropped: too many were waiting"),
        (
            FramesDropped("recording", "overflow", 2),
            "sound  2 pieces of the recording dropped: too many were waiting",
        ),
        (RecordingFailed("a.wav", RecordingError("no room")), "sound  not recorded any more: no room"),
        (DeviceLost("microphone", DeviceLostError("gone\nnow")), "sound  microphone lost: gone now"),
        (DeviceLost("speaker", DeviceLostError("")), "sound  speaker lost: DeviceLostError"),
        (DeviceRestored("speaker"), "sound  speaker works again"),
        (ServerError("too much", 429), "server reports an error: 429: too much"),
        (ToolCall("1", "lights", {}), "server asks for the tool lights, which this command does not have"),
        (Message({"mood": "good"}), "server says {'mood': 'good'}"),
        (CallbackError("f", ResponseDone(), ValueError("no")), "error  no"),
        (Note("hello"), "note   hello"),
    ],
)
def test_what_else_happens(event: Event, line: str) -> None:
    assert told(Connected(1, resumed=False), event)[1:] == [line]


def test_long_messages_are_cut() -> None:
    (line,) = told(Message("x" * 1000))
    assert len(line) < 220


def test_what_needs_no_words() -> None:
    assert not told(AudioReceived(b"", AudioFormat()), PlaybackStarted())


def test_before_the_first_connection_drops_are_told_once_it_is_there() -> None:
    drops = [FramesDropped("outbox", "stale", 50)] * 3
    waiting = StateChanged(State.IDLE, State.CONNECTING)
    refused = Reconnecting(1, 1.0, ConnectionClosed(1006))
    assert told(waiting, *drops, refused, *drops, Connected(1, resumed=False))[-1] == (
        "link   connected; 300 captured frames were too old by then"
    )
    assert len(told(waiting, *drops, refused, *drops, Connected(1, resumed=False))) == 2


def test_what_is_written_is_shown_once() -> None:
    answer = ResponseDone()
    assert told(Written("Hm?"), answer) == ["you    Hm?"]
    assert told(Written("Hm?"), Transcript("user", "Hm?"), answer) == ["you    Hm?"]
    assert told(Written("Hm?"), Transcript("user", "Oh?")) == ["you    Hm?", "you    Oh?"]
    assert told(Written("Hm?"), answer, Transcript("user", "Hm?")) == ["you    Hm?", "you    Hm?"]


def test_figures_fit_80_columns() -> None:
    figures = Figures(12.34, 3, 0.0004, 0.31, 0.4, 1234, 0, 1)
    lines = told(figures)
    assert lines[1:] == [
        "3 answers in 12.3 s",
        "round trip of a ping (median)         0.4 ms",
        "end of speech -> first sound (median) 400 ms",
        "server heard the end -> first sound   310 ms",
        "frames sent / dropped                 1234 / 0",
        "reconnects                            1",
    ]
    without = told(Figures(1.0, 0, None, None, None, 0, 0, 0))
    assert "end of speech -> first sound (median)" not in "\n".join(without)
    assert "round trip of a ping (median)         not measured" in without


def test_scores_and_verdict_fit_80_columns() -> None:
    good = TurnScore(1, "Hi", "Hi", 1, 1.0, "Hello.", True, "Hello.", 0.0, 0.4)
    bad = TurnScore(2, "Hi there", "I share", 2, 0.0, "Two.", False, "Too.", 1.0, None)
    verdict = Verdict([Check("words understood", "50% of 3", False), Check("answers right", "1 of 2", True)])
    lines = told(good, bad, verdict)
    assert max(map(len, lines)) <= 80
    assert lines[2] == "   1         100%  right                0%  400 ms"
    assert lines[3] == "   2           0%  WRONG              100%  not measured"
    assert "      understood: I share" in lines
    assert "      sounded like: Too." in lines
    assert lines[-2:] == [
        "FAIL words understood                 50% of 3",
        "ok   answers right                    1 of 2",
    ]
    assert not verdict.ok


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "not measured"), (0.00042, "0.4 ms"), (0.0123, "12 ms"), (0.4, "400 ms"), (1.234, "1.23 s")],
)
def test_times_are_for_people(seconds: float | None, text: str) -> None:
    assert milliseconds(seconds) == text
