"""The options that say which server it is, as `talk` and `bench` share them."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from voicews import ClientConfig, ConfigError, ProxySettings, TlsSettings
from voicews.cli.failures import one_line
from voicews.cli.server_options import DIALECTS, add_server_options, described_server, described_way
from voicews.dialects import Dialect, Plain, Vosk


def described(*options: str) -> Dialect:
    parser = argparse.ArgumentParser()
    add_server_options(parser)
    return described_server(parser.parse_args(options))


def test_a_url_is_a_server_that_speaks_the_plain_dialect() -> None:
    assert described("ws://x/talk", "--header", "X-Token: abc") == Plain(
        "ws://x/talk", headers={"X-Token": "abc"}
    )


def way(*options: str) -> ClientConfig:
    parser = argparse.ArgumentParser()
    add_server_options(parser)
    return described_way(parser.parse_args(["ws://x", *options]))


@pytest.mark.parametrize(
    ("options", "config"),
    [
        ([], ClientConfig()),
        (["--proxy", "http://me:it@p:1"], ClientConfig(proxy=ProxySettings(url="http://me:it@p:1"))),
        (["--proxy", "environment"], ClientConfig(proxy=ProxySettings(environment=True))),
        (["--ca-file", "own.pem"], ClientConfig(tls=TlsSettings(ca_file="own.pem"))),
        (
            ["--ca-file", "own.pem", "--proxy", "socks5h://p"],
            ClientConfig(tls=TlsSettings(ca_file="own.pem"), proxy=ProxySettings(url="socks5h://p")),
        ),
    ],
)
def test_the_way(
    options: list[str], config: ClientConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.pem").touch()
    assert way(*options) == config


@pytest.mark.parametrize("url", ["", "p:1", "https://me:hunter2@p:1", "http://me:hunter2@p:1/x"])
def test_what_is_no_proxy_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^ProxySettings.url must be http://") as caught:
        way("--proxy", url)
    assert "hunter2" not in str(caught.value)
    assert one_line(caught.value).startswith("--proxy must be http://")


def test_a_file_of_authorities_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match=r"^--ca-file nowhere.pem was not found; give the path of a PEM"):
        way("--ca-file", "nowhere.pem")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("localhost:8765", "ws://localhost:8765"),
        ("localhost", "ws://localhost"),
        ("voice.example/talk", "wss://voice.example/talk"),
        ("192.168.0.5:80/x?token=hunter2", "ws://192.168.0.5:80/x"),
        ("[::1]:9", "ws://[::1]:9"),
        ("http://x:9/talk", "ws://x:9/talk"),
        ("HTTPS://x/talk", "wss://x/talk"),
        ("w://x", "ws://x"),
        ("wsss://x", "wss://x"),
        ("wws://x", "ws://x"),
        ("ws:/x", "ws://x"),
        ("ws:x", "ws://x"),
        ("ws//x", "ws://x"),
        ("ws;//x:1", "ws://x:1"),
        ("wss:///x", "wss://x"),
        ("://x", "wss://x"),
    ],
)
def test_an_address_that_was_mistyped(typed: str, meant: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        described(typed)
    assert str(wrong.value) == (
        f"the URL must look like ws://host:port/path or wss://host/path; did you mean {meant}?"
    )


@pytest.mark.parametrize(
    "typed",
    ["", "ftp://x", "me:hunter2@x", "http://me:hunter2@x", "ws://", "x:99999", "gopher:x", "?", "a b"],
)
def test_an_address_from_which_nothing_can_be_made(typed: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        described(typed)
    assert str(wrong.value) == "the URL must look like ws://host:port/path or wss://host/path"


def test_an_address_that_is_well_formed_and_wrong_is_the_dialects_affair() -> None:
    with pytest.raises(ConfigError, match="leave out what begins with #"):
        described("ws://x/#y")


def test_a_port_that_cannot_be_one() -> None:
    with pytest.raises(ConfigError, match=r"the URL has the port 99999; it must be from 1 to 65535"):
        described("ws://x:99999/y")


def test_another_dialect() -> None:
    assert described("ws://x", "--dialect", "vosk") == Vosk("ws://x")


@pytest.mark.parametrize("options", [(), ("--dialect", "plain")])
def test_no_server(options: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="where is the server"):
        described(*options)


def test_the_list_for_help_knows_them() -> None:
    assert "plain" in DIALECTS
    assert "openai-realtime" in DIALECTS
