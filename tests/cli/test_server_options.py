"""The options that say which server it is, as `talk` and `bench` share them."""

from __future__ import annotations

import argparse

import pytest

from voicews import ClientConfig, ConfigError, ProxySettings, TlsSettings
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
def test_the_way(options: list[str], config: ClientConfig) -> None:
    assert way(*options) == config


@pytest.mark.parametrize("url", ["", "p:1", "https://me:hunter2@p:1", "http://me:hunter2@p:1/x"])
def test_what_is_no_proxy_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^--proxy must be http://") as caught:
        way("--proxy", url)
    assert "hunter2" not in str(caught.value)


def test_another_dialect() -> None:
    assert described("ws://x", "--dialect", "vosk") == Vosk("ws://x")


@pytest.mark.parametrize("options", [(), ("--dialect", "plain")])
def test_no_server(options: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="where is the server"):
        described(*options)


def test_the_list_for_help_knows_them() -> None:
    assert "plain" in DIALECTS
    assert "openai-realtime" in DIALECTS
