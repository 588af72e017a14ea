from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicews import ConnectionClosed, ServiceError
from voicews.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Hello, \N{SNOWMAN} \N{FAMILY}!", "Hello, \N{SNOWMAN} \N{FAMILY}!"),
        ("\x1b]0;title\x07", "\ufffd]0;title\ufffd"),
        ("\x9b2J", "\ufffd2J"),
        ("one\r\ntwo\ttabs", "one  two tabs"),
        ("abc\N{RIGHT-TO-LEFT OVERRIDE}def", "abc\ufffddef"),
        (
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        ),
    ],
)
def test_examples(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_lines_are_kept_where_they_are_wanted() -> None:
    assert printable("one\n\ttwo\r\x1b", lines=True) == "one\n\ttwo \ufffd"


@given(st.text(), st.booleans())
def test_no_control_character_is_left(text: str, lines: bool) -> None:
    shown = printable(text, lines=lines)
    kept = {"\t", "\n"} if lines else set()
    assert not [
        mark for mark in shown if unicodedata.category(mark) in ("Cc", "Zl", "Zp") and mark not in kept
    ]
    assert len(shown) == len(text)
    assert printable(shown, lines=lines) == shown
    if not lines:
        assert len(shown.splitlines()) <= 1


def test_a_server_cannot_write_lines_of_our_log() -> None:
    forged = "bye\n2026-01-01 INFO all is well\x1b[2J"
    for error in (ConnectionClosed(1008, forged), ServiceError(forged), ServiceError("x", code=forged)):
        assert len(str(error).splitlines()) == 1
        assert "\x1b" not in str(error)
    assert ConnectionClosed(1008, forged).reason == forged, "programs get it as it was"
    assert ServiceError(forged).message == forged
