"""The family of errors, and what they say."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

from voicews import errors
from voicews.errors import (
    ConnectionClosed,
    HandshakeRejected,
    KeepaliveTimeout,
    MessageTooLarge,
    RemoteProtocolError,
    ServiceError,
    ShutdownTimeout,
    VoicewsError,
    VoicewsWarning,
)


def drawn_tree() -> dict[str, tuple[str, set[str]]]:
    """{class: (its parent in the tree, further parents in brackets)}, as the module's docstring draws it."""
    drawing = (errors.__doc__ or "").split("::", 1)[1].split("Errors of other", 1)[0]
    tree: dict[str, tuple[str, set[str]]] = {}
    above: list[tuple[int, str]] = []
    for line in drawing.splitlines():
        if not (match := re.match(r"( +)(\w+)(?:\((\w+)\))?$", line)):
            assert not line.strip()
            continue
        depth, name, builtin = len(match[1]), match[2], match[3]
        above = [(d, n) for d, n in above if d < depth]
        tree[name] = (above[-1][1] if above else "", {builtin} if builtin else set())
        above.append((depth, name))
    return tree


def real_tree() -> dict[str, tuple[str, set[str]]]:
    tree: dict[str, tuple[str, set[str]]] = {}
    for name in errors.__all__:
        bases = [base.__name__ for base in getattr(errors, name).__bases__]
        own = [base for base in bases if base in errors.__all__]
        assert len(own) <= 1, name
        others = {base for base in bases if base not in own} - ({"Exception"} if not own else set())
        tree[name] = (own[0] if own else "", others)
    return tree


def test_the_drawn_tree_is_the_real_one() -> None:
    assert drawn_tree() == real_tree()


@pytest.mark.parametrize("name", errors.__all__)
def test_one_root_for_errors_and_one_for_warnings(name: str) -> None:
    kind = getattr(errors, name)
    assert issubclass(kind, VoicewsWarning if issubclass(kind, Warning) else VoicewsError)
    assert inspect.getdoc(kind)


def test_fitting_builtins_catch_them() -> None:
    for name, builtin in {
        "ConfigError": ValueError,
        "InvalidState": RuntimeError,
        "TransportError": OSError,
        "ConnectTimeout": TimeoutError,
        "FormatUnsupported": ValueError,
        "BackendMissing": ImportError,
        "ShutdownTimeout": TimeoutError,
    }.items():
        assert issubclass(getattr(errors, name), builtin)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (HandshakeRejected(401), "the server refused the WebSocket handshake with HTTP 401"),
        (HandshakeRejected(401, "go away"), "go away"),
        (ConnectionClosed(1001), "the server ended the connection with code 1001"),
        (ConnectionClosed(1001, "restart"), "the server ended the connection with code 1001: restart"),
        (ConnectionClosed(1006, by_peer=False), "this side ended the connection without a Close frame"),
        (ConnectionClosed(1006, message="reset by the network"), "reset by the network"),
        (KeepaliveTimeout("silent for 10 s"), "silent for 10 s"),
        (ServiceError("no money"), "the server reported an error: no money"),
        (ServiceError("no money", code=402), "the server reported an error 402: no money"),
        (ShutdownTimeout(["a", "b"]), "still running after the deadline: a, b"),
        (
            ShutdownTimeout(["a"], callback="show"),
            (
                "still running after the deadline: a; the callback show has not returned "
                "(a callback must not wait for the closing thread)"
            ),
        ),
        (MessageTooLarge("5 MiB"), "5 MiB"),
    ],
    ids=repr,
)
def test_messages(error: VoicewsError, text: str) -> None:
    assert str(error) == text


def test_facts_are_attributes() -> None:
    refused = HandshakeRejected(429, headers={"server": "x"}, retry_after=7.0)
    assert (refused.status, refused.headers, refused.retry_after) == (429, {"server": "x"}, 7.0)
    assert HandshakeRejected(429).headers == {}
    closed = ConnectionClosed(1011, "oops")
    assert (closed.code, closed.reason, closed.by_peer) == (1011, "oops", True)
    silent = KeepaliveTimeout("x")
    assert (silent.code, silent.reason, silent.by_peer) == (1006, "", False)
    assert (RemoteProtocolError("x").code, RemoteProtocolError("x", code=1007).code) == (1002, 1007)
    assert MessageTooLarge("x").code == 1009
    service = ServiceError("x", code="busy", fatal=True)
    assert (service.message, service.code, service.fatal) == ("x", "busy", True)
    assert ShutdownTimeout(["a"]).threads == ("a",)


def test_headers_are_not_shown() -> None:
    error = HandshakeRejected(401, headers={"x-debug": "hunter2"})
    assert "hunter2" not in f"{error} {error!r}"


@pytest.mark.parametrize(
    "error",
    [
        HandshakeRejected(429, headers={"a": "b"}, retry_after=7.0),
        ConnectionClosed(1011, "oops", by_peer=False),
        KeepaliveTimeout("x"),
        ServiceError("x", code=7, fatal=True),
        RemoteProtocolError("x", code=1007),
        MessageTooLarge("x"),
        ShutdownTimeout(["a", "b"]),
    ],
    ids=repr,
)
def test_errors_can_be_copied_and_sent_to_another_process(error: VoicewsError) -> None:
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)
