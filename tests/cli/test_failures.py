"""Errors for people: one line, and what to do."""

from __future__ import annotations

import pytest

from voicews import (
    ConfigError,
    ConnectFailed,
    ConnectTimeout,
    DeviceNotFound,
    FormatUnsupported,
    HandshakeRejected,
    MessageTooLarge,
    RemoteProtocolError,
    ServiceError,
    TlsFailed,
    VoicewsError,
)
from voicews.cli.failures import CommandFailed, advice, one_line


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (ConnectFailed("refused"), "voicews serve"),
        (ConnectTimeout("slow"), "network"),
        (TlsFailed("bad"), "certificate"),
        (HandshakeRejected(401), "token"),
        (HandshakeRejected(403), "token"),
        (HandshakeRejected(404), "path"),
        (DeviceNotFound("none"), "voicews devices"),
        (MessageTooLarge("big"), "voice server"),
        (RemoteProtocolError("odd"), "plain dialect"),
    ],
)
def test_what_to_do(error: VoicewsError, hint: str) -> None:
    assert hint in str(advice(error))
    assert one_line(error) == f"{error} ({advice(error)})"


@pytest.mark.parametrize(
    "error",
    [
        HandshakeRejected(500),
        ServiceError("full"),
        FormatUnsupported("x"),
        ConfigError("y"),
        CommandFailed("z"),
    ],
)
def test_errors_that_say_it_themselves(error: VoicewsError) -> None:
    assert advice(error) is None
    assert one_line(error) == str(error)


def test_always_one_line() -> None:
    assert one_line(CommandFailed("a\n  b")) == "a b"
    assert one_line(CommandFailed()) == "CommandFailed"
