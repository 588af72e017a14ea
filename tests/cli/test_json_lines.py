"""Every event, as a line that a script can read."""

from __future__ import annotations

import io
import json

from voicews import ResponseDone, Transcript
from voicews.cli.json_lines import JsonLines


def test_each_event_is_a_line() -> None:
    out = io.StringIO()
    lines = JsonLines(out)
    lines.start()
    lines.show(Transcript("user", "a"))
    lines.draw()
    lines.show(ResponseDone())
    lines.stop()
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == [
        "Transcript",
        "ResponseDone",
    ]
