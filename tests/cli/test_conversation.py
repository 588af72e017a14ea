"""A client that is shown and followed."""

from __future__ import annotations

import sys
import time

import pytest

from tests.fakes import EarSpeaker, HandMicrophone
from tests.patience import PATIENCE
from tests.peer import Peer, unused_port
from voicews import Backoff, ClientConfig, ConnectFailed, ConnectionClosed
from voicews.cli.conversation import Conversation
from voicews.dialects.plain import Plain


def conversation(url: str, attempts: int = 0, **options: bool) -> Conversation:
    return Conversation(
        Plain(url),
        HandMicrophone(),
        EarSpeaker(),
        ClientConfig(backoff=Backoff(max_attempts=attempts)),
        **options,
    )


def test_following_until_a_fact(server: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    talk = conversation(server.url, plain=True)
    assert not talk.connected
    with talk.shown(), talk.opened():
        assert talk.connected
        began = time.monotonic()
        assert not talk.follow(lambda: False, 0.2)
        assert 0.2 <= time.monotonic() - began < PATIENCE
        talk.client.send_text("Hello?")
        assert talk.follow(lambda: len(talk.turns.finished) == 1, PATIENCE)
        talk.note("enough")
    (turn,) = talk.turns.finished
    assert turn.understood == "Hello?"
    out = capsys.readouterr().out
    assert out.index("voice  That was all.") < out.index("note   enough") < out.index("1 answer in")


def test_a_server_that_ends_it_well(server: Peer) -> None:
    server.react = lambda call: call.close(1000)
    talk = conversation(server.url, plain=True)
    with talk.shown(), talk.opened():
        assert not talk.follow(lambda: False, PATIENCE)
    assert talk.over


def test_a_lost_connection_that_cannot_be_restored_raises(server: Peer) -> None:
    talk = conversation(server.url, plain=True)
    with pytest.raises(ConnectionClosed), talk.shown(), talk.opened():
        server.call().cut()
        talk.follow(lambda: False, PATIENCE)


def test_no_figures_of_what_never_was(capsys: pytest.CaptureFixture[str]) -> None:
    talk = conversation(f"ws://127.0.0.1:{unused_port()}", plain=True)
    with pytest.raises(ConnectFailed), talk.shown(), talk.opened():
        raise AssertionError("it did not open")
    assert "answers in" not in capsys.readouterr().out
    assert not talk.connected


def test_a_terminal_without_rich_gets_plain_lines_and_a_note(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.delitem(sys.modules, "voicews.cli.screen", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    conversation("ws://localhost")
    (note,) = capsys.readouterr().err.splitlines()
    assert 'pip install ".[cli]"' in note
    conversation("ws://localhost", plain=True)
    conversation("ws://localhost", json=True)
    assert not capsys.readouterr().err
