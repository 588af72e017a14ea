"""The key, and the sign of life, of both of Deepgram's services."""

from __future__ import annotations

from typing import Any

import pytest

from voicews.config import AudioFormat
from voicews.dialects.deepgram import Keepalive, authorization, checked_key, linear16
from voicews.errors import ConfigError


def test_a_sign_of_life_is_due_after_an_interval_without_a_word() -> None:
    keepalive = Keepalive()
    assert [keepalive.due() for _ in range(3)] == [False, True, True]
    keepalive.spoke()
    assert [keepalive.due() for _ in range(2)] == [False, True]


@pytest.mark.parametrize(("host", "needed"), [("api.deepgram.com", True), ("voice.example", False)])
def test_only_the_cloud_needs_a_key(monkeypatch: pytest.MonkeyPatch, host: str, needed: bool) -> None:
    monkeypatch.delenv("DEEPGRAM_API_KEY", raising=False)
    if needed:
        with pytest.raises(ConfigError, match=r"X\.key is missing"):
            checked_key("X.key", None, host, "Token")
    else:
        assert checked_key("X.key", None, host, "Token") == ""
    assert checked_key("X.key", "given", host, "Bearer") == "given"


def test_a_function_is_asked_when_the_key_is_shown() -> None:
    def no_key() -> str:
        return ""

    key = checked_key("X.key", lambda: "fresh", "api.deepgram.com", "Bearer")
    assert authorization("X.key", key, "Bearer") == {"Authorization": "Bearer fresh"}
    assert authorization("X.key", no_key, "Bearer") == {}
    assert authorization("X.key", "", "Token") == {}


@pytest.mark.parametrize("scheme", ["token", "Basic", None, 7])
def test_unknown_schemes(scheme: Any) -> None:
    with pytest.raises(ConfigError, match=r"X\.scheme is"):
        checked_key("X.key", "key", "api.deepgram.com", scheme)


def test_uncompressed_sound() -> None:
    assert linear16(AudioFormat(8000)) == {"encoding": "linear16", "sample_rate": 8000}
