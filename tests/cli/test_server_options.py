"""The options that say which server it is, as `talk` and `bench` share them."""

from __future__ import annotations

import argparse

import pytest

from voicews import ConfigError
from voicews.cli.server_options import DIALECTS, add_server_options, described_server
from voicews.dialects import Dialect, Plain, Vosk


def described(*options: str) -> Dialect:
    parser = argparse.ArgumentParser()
    add_server_options(parser)
    return described_server(parser.parse_args(options))


def test_a_url_is_a_server_that_speaks_the_plain_dialect() -> None:
    assert described("ws://x/talk", "--header", "X-Token: abc") == Plain(
        "ws://x/talk", headers={"X-Token": "abc"}
    )


def test_another_dialect() -> None:
    assert described("ws://x", "--dialect", "vosk") == Vosk("ws://x")


@pytest.mark.parametrize("options", [(), ("--dialect", "plain")])
def test_no_server(options: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="where is the server"):
        described(*options)


def test_the_list_for_help_knows_them() -> None:
    assert "plain" in DIALECTS
    assert "openai-realtime" in DIALECTS
