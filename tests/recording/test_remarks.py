"""What a recording holds beside the client's events."""

from __future__ import annotations

import json

from voicews.recording.lines import to_json
from voicews.recording.remarks import Remark, Said


def test_a_remark_reads_as_its_text() -> None:
    assert str(Remark("the button")) == "the button"


def test_what_was_said_in_another_way_is_a_line() -> None:
    said = Said("SendText", "Hello")
    assert json.loads(to_json(said, said.at)) == {
        "event": "Said",
        "at": 0.0,
        "command": "SendText",
        "text": "Hello",
    }
