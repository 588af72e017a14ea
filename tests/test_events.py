"""What a callback can hear."""

from __future__ import annotations

import dataclasses
import re
import time
from typing import Any

import pytest

from voicews import events
from voicews.commands import SendText
from voicews.config import AudioFormat
from voicews.errors import ConnectionClosed, RecordingError
from voicews.events import (
    AudioReceived,
    CallbackError,
    CaptureFinished,
    Connected,
    DeviceLost,
    DeviceRestored,
    Disconnected,
    Event,
    FramesDropped,
    Interrupted,
    Message,
    PlaybackFinished,
    PlaybackStarted,
    ReconnectFailed,
    Reconnecting,
    RecordingFailed,
    ResponseDone,
    ResponseStarted,
    ServerError,
    SessionExpiring,
    SoundOffered,
    SpeechStarted,
    SpeechStopped,
    StateChanged,
    Token,
    ToolCall,
    ToolCallCancelled,
    Transcript,
    Undelivered,
    Word,
)
from voicews.lifecycle import State

LOST = ConnectionClosed(1006)
EXAMPLES: list[Event] = [
    Undelivered(SendText("hello"), sent=True),
    StateChanged(State.IDLE, State.CONNECTING),
    Connected(1, resumed=False),
    Disconnected(1, LOST),
    Reconnecting(1, 0.5, LOST),
    ReconnectFailed(5, LOST),
    SpeechStarted(),
    SpeechStopped(),
    Transcript("user", "hello", False),
    Token("hel"),
    ResponseStarted(),
    ResponseDone(),
    AudioReceived(b"\1\2", AudioFormat()),
    PlaybackStarted(),
    PlaybackFinished(1200),
    Interrupted(300),
    ToolCall("call-1", "light", {"on": True}),
    SessionExpiring(60.0),
    SoundOffered("http://localhost/a.wav", "audio/wav"),
    ToolCallCancelled("call-1"),
    ServerError("no money", 402),
    Message({"type": "x"}),
    CaptureFinished(),
    FramesDropped("outbox", "overflow", 7),
    DeviceLost("microphone", LOST),
    DeviceRestored("microphone"),
    RecordingFailed("kept/conversation-001.wav", RecordingError("no room")),
    CallbackError("show", Token("a"), LOST),
]


def test_every_event_has_an_example() -> None:
    kinds = {getattr(events, name) for name in events.__all__} - {Event, Word}
    assert {type(event) for event in EXAMPLES} == kinds


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
def test_events_are_frozen_and_compare_without_their_time(event: Event) -> None:
    twin = dataclasses.replace(event)
    assert twin == event
    assert twin.at >= event.at
    assert not re.search(r"\bat=", repr(event))
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.at = 0.0  # type: ignore[misc]


@pytest.mark.parametrize("kind", [type(event) for event in EXAMPLES])
def test_events_are_one_family_of_leaves(kind: type[Event]) -> None:
    """Registering for a class never brings another one by surprise; only ``Event`` brings all."""
    assert kind.__bases__ == (Event,)


def test_the_time_is_that_of_making() -> None:
    before = time.monotonic()
    event = SpeechStarted()
    assert before <= event.at <= time.monotonic()


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Transcript("user", "hello"), "hello"),
        (Token("hel"), "hel"),
        (ServerError("no money"), "no money"),
        (ServerError("no money", 402), "402: no money"),
        (ServerError("no money", "broke"), "broke: no money"),
        (StateChanged(State.IDLE, State.CONNECTING), "IDLE -> CONNECTING"),
        (Interrupted(), "Interrupted(heard_ms=None)"),
    ],
)
def test_events_print_as_what_a_person_wants_to_read(event: Event, text: str) -> None:
    assert str(event) == text


def test_sound_is_not_printed() -> None:
    assert repr(AudioReceived(b"\1\2" * 1000, AudioFormat())) == (
        "AudioReceived(format=AudioFormat(rate=16000, channels=1))"
    )


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
def test_events_can_be_matched_by_their_fields(event: Any) -> None:
    match event:
        case Transcript(role, text, final):
            assert (role, text, final) == ("user", "hello", False)
        case AudioReceived(pcm, sound):
            assert (pcm, sound) == (b"\1\2", AudioFormat())
        case Event(at=at):
            assert at == event.at


def test_a_transcript_is_final_unless_it_says_otherwise() -> None:
    assert Transcript("user", "a").final
