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
    ProxyFailed,
    RemoteProtocolError,
    ServiceError,
    TlsFailed,
    VoicewsError,
)
from voicews.audio.portaudio import choose
from voicews.cli.failures import CommandFailed, advice, in_words, joined, one_line


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (ConnectFailed("refused"), "voicews serve"),
        (ConnectTimeout("slow"), "network"),
        (TlsFailed("bad"), "certificate"),
        (TlsFailed("bad"), "--ca-file"),
        (ProxyFailed("refused", fatal=True), "--proxy"),
        (HandshakeRejected(401), "--header"),
        (HandshakeRejected(403), "--header"),
        (HandshakeRejected(404), "path"),
        (DeviceNotFound("none"), "voicews devices"),
        (MessageTooLarge("big"), "voice server"),
        (RemoteProtocolError("odd"), "--dialect"),
    ],
)
def test_what_to_do(error: VoicewsError, hint: str) -> None:
    assert hint in str(advice(error))
    assert one_line(error) == f"{error} ({advice(error)})"


def test_where_a_dialect_has_its_key_from() -> None:
    assert "in the environment, OPENAI_API_KEY" in str(advice(HandshakeRejected(401), ["OPENAI_API_KEY"]))


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


def test_advice_for_programmers_gives_way_to_the_commands_own() -> None:
    with pytest.raises(DeviceNotFound) as none:
        choose([], None, "output")
    assert "NullSink()" in str(none.value)
    text = one_line(none.value)
    assert "NullSink" not in text
    assert text.count("VOICEWS_AUDIO=null") == text.count("voicews devices") == 1
    refused = ConnectFailed("[::1]:9 cannot be reached: Connection refused; is the server running?")
    assert one_line(refused).count("server") == 1


def test_a_refusal_names_the_server_and_nothing_secret() -> None:
    error = HandshakeRejected(
        401, "the server refused the WebSocket handshake with HTTP 401: check the key or token"
    )
    text = one_line(error, "wss://me:secret@voice.example:8443/secret?token=secret")
    assert text == (
        "the server voice.example:8443 refused the WebSocket handshake with HTTP 401 "
        '(it wants a token, or another one: --header "Authorization: Bearer TOKEN")'
    )


def test_always_one_line() -> None:
    assert one_line(CommandFailed("a\n  b")) == "a b"
    assert one_line(CommandFailed()) == "CommandFailed"


@pytest.mark.parametrize(
    "told",
    [
        "refused the way to x:1 with HTTP 407: check the name and password in ProxySettings.url",
        "accepts no way of ours to log in; it wants a name and password in ProxySettings.url",
    ],
)
def test_a_proxy_is_spoken_of_as_the_command_does(told: str) -> None:
    line = one_line(ProxyFailed(f"the proxy p:1 {told}", fatal=True))
    assert "ProxySettings" not in line
    assert line.endswith("(check --proxy, and the name and password in it if it wants them)")


def test_settings_are_called_as_the_command_does() -> None:
    for said, wanted in {
        "OpenAIRealtime.model is missing": "--set model is missing",
        "Plain.url is 'x'": "the URL is 'x'",
        "Request.url has a blank": "the URL has a blank",
        "Request.headers['X-A'] must be a str": "--header X-A must be a str",
        "GeminiLive.key is not a key": "the key is not a key",
        "TlsSettings.ca_file is 'x'": "--ca-file is 'x'",
        "ProxySettings.url must be": "--proxy must be",
        "h:1 did not answer within Timeouts.connect": "h:1 did not answer in time",
        "it was not there within Timeouts.fetch (5 s)": "it was not there within 5 s",
        "a message has more than Limits.fragments (9)": "a message has more than 9",
    }.items():
        assert in_words(said) == wanted


@pytest.mark.parametrize(
    ("url", "error", "hint"),
    [
        ("wss://h:1", ConnectFailed("h:1 hung up during the TLS handshake"), "begins with ws://"),
        ("wss://h:1", TlsFailed("no: it does not speak TLS there"), "begins with ws://"),
        ("ws://h:1", ConnectFailed("the WebSocket handshake with h:1 failed: reset"), "begins with wss://"),
        ("ws://h:1", RemoteProtocolError("what answered the handshake is not HTTP"), "begins with wss://"),
        ("ws://h:1", HandshakeRejected(400), "begins with wss://"),
    ],
)
def test_the_other_scheme_is_suggested(url: str, error: VoicewsError, hint: str) -> None:
    assert hint in one_line(error, url)
    assert hint not in one_line(error, url.replace("wss", "ws") if "wss" in url else "wss://h:1")


def test_what_is_suggested_already_is_not_said_again() -> None:
    told = one_line(TlsFailed("no: it does not speak TLS there; is it a ws:// server?"), "wss://h:1")
    assert told.count("ws://") == 1
    assert "certificate" not in told


def test_a_proxy_that_is_not_there_is_not_the_server() -> None:
    told = one_line(ConnectFailed("the proxy p:1 cannot be reached: Connection refused; is it running?"))
    assert told == (
        "the proxy p:1 cannot be reached: Connection refused "
        "(check --proxy, and the name and password in it if it wants them)"
    )


@pytest.mark.parametrize(
    ("first", "both"),
    [
        ("it is gone", "it is gone; attempt 1"),
        ("is it there?", "is it there? Attempt 1"),
        ("It is gone.", "It is gone. Attempt 1"),
    ],
)
def test_two_parts_of_a_line(first: str, both: str) -> None:
    assert joined(first, "attempt 1") == both
