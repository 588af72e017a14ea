"""Plain lines: no control codes, and an encoding that cannot say everything is no reason to fail."""

from __future__ import annotations

import io
import sys

import pytest

from voicews import State, StateChanged, Transcript
from voicews.cli.announcements import Note
from voicews.cli.lines import Lines
from voicews.cli.streams import prepare


def test_finished_lines_only() -> None:
    out = io.StringIO()
    lines = Lines(out)
    lines.start()
    for event in (
        StateChanged(State.IDLE, State.CONNECTING),
        Transcript("user", "Wh", final=False),
        Transcript("user", "What?"),
    ):
        lines.show(event)
        lines.draw()
    lines.stop()
    assert out.getvalue() == "you    What?\n"


def test_an_encoding_that_lacks_a_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    assert prepare()
    lines = Lines(out)
    lines.start()
    lines.show(Note("où…"))
    assert raw.getvalue() == b"note   o?...\n"
