"""The checks that most dialects make of their settings."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

import pytest

from voicews import dialects
from voicews.config import AudioFormat
from voicews.dialects.settings import (
    checked_format,
    checked_headers,
    checked_json,
    checked_number,
    checked_text,
    checked_texts,
    checked_url,
    given_key,
)
from voicews.errors import ConfigError

VARIABLE = "VOICEWS_TEST_KEY"


@pytest.mark.parametrize("url", ["ws://localhost", "wss://voice.example:8443/v1/listen?model=x"])
def test_urls(url: str) -> None:
    assert checked_url("X.url", url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://a/",
        "ws://",
        "ws://a:0/",
        "ws://a:99999/",
        "ws://a/#b",
        "ws://[::1/",
        "ws://a b/",
        None,
        b"ws://a/",
    ],
)
def test_no_urls(url: Any) -> None:
    with pytest.raises(ConfigError, match=r"X\.url is"):
        checked_url("X.url", url)


@pytest.mark.parametrize("url", ["http://me:hunter2@a/?key=hunter2", "hunter2", "ws://a/?key=hunter2#x"])
def test_a_wrong_url_is_not_shown_whole(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        checked_url("X.url", url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("localhost:8765/talk", r"did you mean ws://localhost:8765/talk\?"),
        ("192.168.1.7:2700", r"did you mean ws://192.168.1.7:2700\?"),
        (
            "https://a.example/?key=x",
            r"'https://a.example/' \(the rest is not shown\).*did you mean wss://a.example/\?",
        ),
        ("http://a:8765", r"did you mean ws://a:8765\?"),
        ("ws://a/#b", "leave out what begins with #"),
        ("", "is empty"),
        (None, "is None"),
        (b"ws://a", "of type bytes"),
        ("hunter2", "it is not shown"),
    ],
)
def test_a_wrong_url_says_what_to_do(url: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=r"X\.url is .*such as ws://localhost:8765") as caught:
        checked_url("X.url", url)
    assert re.search(message, str(caught.value))


def test_a_given_key_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, " from-environment\n")
    assert given_key("X.key", "given", VARIABLE, needed=True) == "given"
    assert given_key("X.key", None, VARIABLE, needed=True) == "from-environment"
    assert given_key("X.key", "", VARIABLE, needed=True) == ""


def test_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert given_key("X.key", None, VARIABLE, needed=False) == ""
    with pytest.raises(ConfigError, match=f"X.key is missing.*{VARIABLE}"):
        given_key("X.key", None, VARIABLE, needed=True)


@pytest.mark.parametrize("key", ["a\r\nX: y", "k\N{LATIN SMALL LETTER E WITH ACUTE}y", "a b", 7, b"key"])
def test_a_key_that_cannot_be_a_header_is_refused_unseen(key: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        given_key("X.key", key, VARIABLE, needed=True)
    assert str(key) not in str(caught.value)


def test_texts_are_copied() -> None:
    words = ["a", "b"]
    assert checked_texts("X.words", words) == ("a", "b")
    assert checked_text("X.word", "a") == "a"


@pytest.mark.parametrize("value", ["ab", [1], None, 7])
def test_no_texts(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"X\.words"):
        checked_texts("X.words", value)


@pytest.mark.parametrize("value", ["", " \n", None, 7])
def test_no_text(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"X\.word"):
        checked_text("X.word", value)


def test_headers_and_json_are_copied() -> None:
    headers, options = {"a": "b"}, {"list": [1]}
    own_headers, own_options = checked_headers("X.headers", headers), checked_json("X.options", options)
    headers["a"] = "c"
    options["list"].append(2)
    assert (own_headers, own_options) == ({"a": "b"}, {"list": [1]})


@pytest.mark.parametrize("value", [{"hunter2": 1}, {1: "hunter2"}, "hunter2", None])
def test_no_headers(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"X\.headers") as caught:
        checked_headers("X.headers", value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("value", [{"hunter2": {1}}, {"a": float("nan")}, "hunter2", None, 7])
def test_no_json(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"X\.options") as caught:
        checked_json("X.options", value)
    assert "hunter2" not in str(caught.value)


def test_formats() -> None:
    assert checked_format("X.input_format", AudioFormat(8000)) == AudioFormat(8000)
    assert checked_format("X.input_format", AudioFormat(8000, 2), mono=False).channels == 2
    for wrong in (AudioFormat(8000, 2), 8000, None):
        with pytest.raises(ConfigError, match=r"X\.input_format"):
            checked_format("X.input_format", wrong)


def test_numbers() -> None:
    checked_number("X.limit", 7, 7, "seconds")
    checked_number("X.limit", None, 7, "seconds", optional=True)
    for wrong in (6.9, True, "7", float("nan"), None):
        with pytest.raises(ConfigError, match=r"X\.limit is .*; it must be 7 or more seconds"):
            checked_number("X.limit", wrong, 7, "seconds")
    with pytest.raises(ConfigError, match="or None"):
        checked_number("X.limit", 0, 7, "seconds", optional=True)


LEAST: dict[str, dict[str, Any]] = {
    "DeepgramAgent": {"key": "k", "think": "m"},
    "DeepgramListen": {"key": "k"},
    "ElevenLabsAgent": {"key": "k", "agent_id": "a"},
    "GeminiLive": {"key": "k", "model": "m"},
    "HomeAssistantAssist": {"key": "k", "url": "ws://localhost"},
    "OpenAIRealtime": {"key": "k", "model": "m"},
    "Plain": {"url": "ws://localhost"},
    "Vosk": {"url": "ws://localhost"},
    "WhisperLive": {"url": "ws://localhost"},
}


@pytest.mark.parametrize("name", LEAST)
def test_a_value_of_any_type_in_any_setting_is_taken_or_refused_in_words(name: str) -> None:
    made = getattr(dialects, name)
    made(**LEAST[name])
    for setting in (field.name for field in fields(made) if field.init):
        for value in (5, "x", [1], {"a": 1}, {1: 2}, None, object(), float("nan"), b"x", ()):
            try:
                made(**{**LEAST[name], setting: value})
            except ConfigError as error:
                assert setting in str(error), (setting, value)  # noqa: PT017 - one of many, and most may pass
