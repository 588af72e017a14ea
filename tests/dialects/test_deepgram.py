"""The key, and the sign of life, of both of Deepgram's services."""

from __future__ import annotations

from typing import Any

import pytest

from voicews.config import AudioFormat
from voicews.dialects.deepgram import Keepalive, authorized, checked_key, linear16
from voicews.errors import ConfigError


def test_a_sign_of_life_is_due_after_an_interval_without_a_word() -> None:
    keepalive = Keepalive()
    assert [keepalive.due() for _ in range(3)] == [False, True, True]
    keepalive.spoke()
    assert [keepalive.due() for _ in range(2)] == [False, True]


CLOUD, OWN = "wss://api.eu.deepgram.com/v1/listen", "wss://voice.example/v1/listen"


def test_only_the_cloud_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEPGRAM_API_KEY", raising=False)
    with pytest.raises(ConfigError, match=r"X\.key is missing"):
        checked_key("X.key", None, CLOUD, "Token", {})
    assert checked_key("X.key", None, OWN, "Token", {}) == ""
    assert checked_key("X.key", None, CLOUD, "Token", {"authorization": "Token t"}) == ""
    assert checked_key("X.key", "given", OWN, "Bearer", {}) == "given"


def test_the_key_of_the_environment_goes_to_the_cloud_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPGRAM_API_KEY", "from-environment")
    assert checked_key("X.key", None, CLOUD, "Token", {}) == "from-environment"
    assert checked_key("X.key", None, OWN, "Token", {}) == ""
    assert checked_key("X.key", None, "wss://deepgram.com.example/", "Token", {}) == ""


def test_a_function_is_asked_when_the_key_is_shown() -> None:
    key = checked_key("X.key", lambda: "fresh", CLOUD, "Bearer", {})
    assert authorized("X.key", key, "Bearer", {"a": "b"}) == {"Authorization": "Bearer fresh", "a": "b"}
    with pytest.raises(ConfigError, match=r"X\.key cannot be a key"):
        authorized("X.key", lambda: "no key", "Bearer", {})


def test_headers_of_your_own_win() -> None:
    assert authorized("X.key", "key", "Token", {"authorization": "b"}) == {"authorization": "b"}
    assert authorized("X.key", "", "Token", {"a": "b"}) == {"a": "b"}


@pytest.mark.parametrize("scheme", ["token", "Basic", None, 7])
def test_unknown_schemes(scheme: Any) -> None:
    with pytest.raises(ConfigError, match=r"X\.scheme is"):
        checked_key("X.key", "key", CLOUD, scheme, {})


def test_uncompressed_sound() -> None:
    assert linear16(AudioFormat(8000)) == {"encoding": "linear16", "sample_rate": 8000}
