"""Every event, as a line that a script can read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from voicews import (
    AudioReceived,
    CallbackError,
    ConnectFailed,
    Message,
    Reconnecting,
    ResponseDone,
    State,
    StateChanged,
    ToolCall,
    Transcript,
    Word,
)
from voicews.cli.announcements import Check, Verdict
from voicews.config import AudioFormat
from voicews.events import Event
from voicews.recording.lines import to_json


def parsed(event: Event) -> dict[str, Any]:
    line = to_json(event, event.at - 1.5)
    assert "\n" not in line
    members: dict[str, Any] = json.loads(line)
    assert members.pop("at") == 1.5
    return members


@pytest.mark.parametrize(
    ("event", "members"),
    [
        (
            Transcript("user", "Où?\n", words=(Word("Où?", 0.5, 1.0),)),
            {
                "event": "Transcript",
                "role": "user",
                "text": "Où?\n",
                "final": True,
                "words": [{"text": "Où?", "start": 0.5, "end": 1.0, "confidence": None, "speaker": None}],
                "replaces": None,
            },
        ),
        (
            StateChanged(State.IDLE, State.CONNECTING),
            {"event": "StateChanged", "old": "IDLE", "new": "CONNECTING"},
        ),
        (
            Reconnecting(1, 0.1234567, ConnectFailed("no\nway")),
            {
                "event": "Reconnecting",
                "attempt": 1,
                "delay": 0.123457,
                "error": {"type": "ConnectFailed", "message": "no way"},
                "lasted": None,
            },
        ),
        (
            AudioReceived(bytes(640), AudioFormat(24000)),
            {"event": "AudioReceived", "pcm": 640, "format": {"rate": 24000, "channels": 1}},
        ),
        (
            ToolCall("7", "f", {"a": [1, None, {"b": (True,)}]}),
            {"event": "ToolCall", "call_id": "7", "name": "f", "arguments": {"a": [1, None, {"b": [True]}]}},
        ),
        (Message(b"\0\1"), {"event": "Message", "data": 2}),
        (Message({1}), {"event": "Message", "data": "{1}"}),
        (
            CallbackError("f", ResponseDone(), ValueError("x")),
            {
                "event": "CallbackError",
                "callback": "f",
                "during": {"event": "ResponseDone"},
                "error": {"type": "ValueError", "message": "x"},
            },
        ),
        (
            Verdict([Check("a", "b", True)]),
            {"event": "Verdict", "checks": [{"what": "a", "found": "b", "ok": True}]},
        ),
    ],
)
def test_an_event_as_json(event: Event, members: dict[str, Any]) -> None:
    assert parsed(event) == members


def test_half_a_pair_from_a_server_can_be_written() -> None:
    data = json.loads('{"type": "x", "\\ud800": ["\\udfff"], "whole": "\\ud83d\\ude00"}')
    event = Message(data)
    assert json.loads(to_json(event, event.at).encode())["data"] == data
