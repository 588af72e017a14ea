"""What the contract's base classes do by themselves."""

from __future__ import annotations

import pytest

from voicews.dialects import Plain, Request
from voicews.dialects.base import bare_url
from voicews.errors import ConnectionClosed
from voicews.history import History


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ws://localhost:8765/talk", "ws://localhost:8765/talk"),
        ("wss://user:hunter2@voice.example/talk?key=hunter2#hunter2", "wss://voice.example/talk"),
        ("wss://hunter2@[::1]:443", "wss://[::1]:443"),
        ("hunter2", ""),
        ("ws://host:hunter2", ""),
        ("ws://[hunter2", ""),
    ],
)
def test_bare_url_shows_where_but_no_secret(url: str, shown: str) -> None:
    assert bare_url(url) == shown


def test_a_request_shows_nothing_secret() -> None:
    request = Request("ws://host/?key=hunter2", {"Authorization": "hunter2"}, ("hunter2",))
    assert "hunter2" not in f"{request!r} {request}"


def test_a_dialect_leaves_errors_as_they_are() -> None:
    error = ConnectionClosed(1006)
    assert Plain("ws://host").classify(error) is error


def test_a_session_needs_no_ticks_unless_it_says_so() -> None:
    session = Plain("ws://host").begin(None, History())
    assert session.tick_interval is None
    session.tick(1.0)
    assert session.messages_to_send() == []
