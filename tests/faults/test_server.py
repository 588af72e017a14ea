"""What a server can do to us, on one connection or on the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest

from tests.faults.conftest import Try
from tests.faults.matrix import Ends, Fails, Fault, Recovers
from tests.faults.trial import NOTICED, Trial
from voicews import (
    Backoff,
    ConnectionClosed,
    Disconnected,
    FramesDropped,
    HandshakeRejected,
    Message,
    MessageTooLarge,
    ReconnectFailed,
    Reconnecting,
    RemoteProtocolError,
    ServiceError,
    State,
    StateChanged,
    TlsFailed,
)
from voicews.dialects import Plain
from voicews.testing import FaultServer, steps

Scripts = Callable[[Trial], Sequence[Any]]
LOST = (Disconnected, Reconnecting)
GIVEN_UP = (Disconnected, StateChanged)


def nothing(trial: Trial) -> None:
    """The server's script does it all."""


def until_lost(trial: Trial) -> None:
    """Until the client has noticed.  All is well again from the last sound that arrived."""
    trial.wait_for(Reconnecting)
    trial.heal(since=trial.ledger.frames[-1].arrived)


def opening(trial: Trial) -> None:
    """It happens to the first connection."""
    trial.open()


def then(*bad: Any, count: int = 30) -> Scripts:
    """Good for so many messages, then bad; the next connection is good."""
    return lambda trial: [trial.serve_then(*bad, count=count), trial.serve]


def next_time(*scripts: Any) -> Scripts:
    """The first connection is cut, the next ones go as told, and then all is good."""
    return lambda trial: [trial.serve_then(steps.cut(), count=30), *scripts, trial.serve]


def awaited(trial: Trial, count: int | None = None, then: Any = None) -> list[Any]:
    """The script of a server that says when it is ready, and is good for so many messages."""
    listen = steps.listen(trial.ledger.converse, count=count)
    return [steps.accept(), steps.send({"type": "ready"}), listen, *filter(None, [then])]


def first(*bad: Any) -> Scripts:
    """Already the first connection is bad, and so are all that follow."""
    return lambda trial: [list(bad)]


def dropped_200_times(trial: Trial) -> None:
    """Not one of the connections lives long enough for a conversation."""
    trial.open()
    after(200, trial)


def after(number: int, trial: Trial) -> None:
    """The fault is over when so many attempts have been told."""
    trial.wait_for(Reconnecting, number)
    trial.heal()


def goes_elsewhere(trial: Trial) -> None:
    """A redirect must not be followed, least of all from TLS to plain."""
    with FaultServer(trial.serve) as elsewhere:
        scheme = elsewhere.url if trial.fault.tls else "ws://localhost"
        trial.server.script([steps.redirect(f"{scheme}/")])
        trial.open()
        assert not elsewhere.connections


def accepts_and_drops(trial: Trial) -> None:
    """A link that lives only for a moment must not make the backoff forget."""
    trial.wait_for(Reconnecting, 7)
    trial.heal()
    delays = [told.delay for told in trial.of(Reconnecting)[:7]]
    assert delays == sorted(delays), delays
    assert delays[3:] == [0.4] * 4, delays


def talks_on(trial: Trial) -> None:
    """So long that the fault would show."""
    trial.wait_until(lambda: trial.server.accepted(1).received > 120, "the conversation")


def is_flooded(kind: Any, trial: Trial) -> None:
    """The client has drunk it all when the server reads again."""
    received = len(trial.ledger.frames)
    trial.wait_until(lambda: len(trial.ledger.frames) > received + 20, "the end of the flood")
    if kind is not None:
        trial.wait_for(kind)
    trial.heal()


REFUSALS = [
    *(
        Fault(
            f"the handshake is refused with {status}",
            opening,
            Fails(HandshakeRejected),
            first(steps.refuse(status, body=b"no")),
            opens=False,
        )
        for status in (401, 403, 404)
    ),
    *(
        Fault(
            f"after a drop it is refused with {status}",
            nothing,
            Fails(HandshakeRejected),
            next_time(steps.refuse(status)),
            told=(Reconnecting, *GIVEN_UP[1:]),
        )
        for status in (401, 404)
    ),
    *(
        Fault(
            f"it is refused with {status} twice",
            partial(after, 3),
            scripts=next_time(steps.refuse(status), steps.refuse(status, body=b"later")),
            told=(*LOST, Reconnecting, Reconnecting),
        )
        for status in (500, 503)
    ),
    Fault(
        "it is refused with 429 and Retry-After",
        partial(after, 2),
        Recovers(within=3.0),
        next_time(steps.refuse(429, retry_after=1)),
        told=(*LOST, Reconnecting),
    ),
    Fault(
        "it is refused until no attempt is left",
        nothing,
        Fails(HandshakeRejected),
        lambda trial: [trial.serve_then(steps.cut()), steps.refuse(503)],
        told=(*LOST, Reconnecting, Reconnecting, ReconnectFailed, StateChanged),
        config={"backoff": Backoff(initial=0.05, jitter=0.0, max_attempts=3)},
    ),
    Fault("a redirect", goes_elsewhere, Fails(HandshakeRejected), opens=False),
    Fault("a redirect from TLS to plain", goes_elsewhere, Fails(HandshakeRejected), opens=False, tls="good"),
    Fault(
        "an answer that accepts another key",
        opening,
        Fails(RemoteProtocolError),
        first(steps.accept_wrongly()),
        opens=False,
    ),
    Fault(
        "an extension that was not offered",
        opening,
        Fails(RemoteProtocolError),
        first(steps.accept({"Sec-WebSocket-Extensions": "permessage-deflate"})),
        opens=False,
    ),
    Fault(
        "something else than HTTP answers",
        partial(after, 2),
        scripts=next_time(steps.answer(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")),
        told=(*LOST, Reconnecting),
    ),
    Fault(
        "an endless header",
        opening,
        Fails(MessageTooLarge),
        first(steps.answer(b"HTTP/1.1 101 Switching\r\nX: " + b"x" * 100_000)),
        opens=False,
    ),
    Fault(
        "a handshake slower than allowed",
        partial(after, 2),
        scripts=next_time(steps.accept_slowly(0.02)),
        told=(*LOST, Reconnecting),
    ),
]

PHASES = [
    Fault(
        "cut as soon as TCP stands",
        partial(after, 2),
        scripts=next_time(steps.cut()),
        told=(*LOST, Reconnecting),
    ),
    Fault("reset as soon as TCP stands", partial(after, 2), scripts=next_time(steps.reset())),
    Fault(
        "cut within the TLS handshake",
        partial(after, 2),
        scripts=next_time([steps.await_bytes(100), steps.cut()]),
        tls="good",
    ),
    Fault(
        "silent within the TLS handshake",
        partial(after, 2),
        scripts=next_time(steps.stall()),
        tls="good",
    ),
    Fault(
        "cut within the HTTP handshake",
        partial(after, 2),
        scripts=next_time([steps.answer(b"HTTP/1.1 101 Swi"), steps.cut()]),
    ),
    Fault("silent after the HTTP request", partial(after, 2), scripts=next_time(steps.stall())),
    Fault(
        "silent before the session is accepted",
        partial(after, 2),
        scripts=lambda trial: [
            awaited(trial, count=30, then=steps.cut()),
            [steps.accept(), steps.listen()],
            awaited(trial),
        ],
        dialect=partial(Plain, await_ready=True),
        told=(*LOST, Reconnecting),
    ),
    *(
        Fault(
            f"{name} before the session is accepted",
            partial(after, 2),
            scripts=lambda trial, step=step: [  # type: ignore[misc]
                awaited(trial, count=30, then=steps.cut()),
                [steps.accept(), step],
                awaited(trial),
            ],
            dialect=partial(Plain, await_ready=True),
            told=(*LOST, Reconnecting),
        )
        for name, step in (("cut", steps.cut()), ("reset", steps.reset()), ("closed", steps.close(1011)))
    ),
    Fault("cut in the middle of a turn", until_lost, scripts=then(steps.cut()), told=LOST),
    Fault(
        "cut during playback",
        until_lost,
        scripts=then(*(steps.send(bytes([1, 0]) * 16000) for _ in range(3)), steps.cut()),
        told=LOST,
    ),
    Fault("reset", until_lost, scripts=then(steps.reset()), told=LOST),
    Fault("cut in the middle of a frame", until_lost, scripts=then(steps.cut_in_frame()), told=LOST),
    Fault("half closed: the server's FIN alone", until_lost, scripts=then(steps.half_close()), told=LOST),
    Fault(
        "half open: forgotten without a word",
        until_lost,
        Recovers(within=2.0 + NOTICED),
        then(steps.half_open()),
        told=LOST,
    ),
    Fault(
        "cut while the client closes",
        nothing,
        scripts=lambda trial: [[steps.accept(), steps.listen(trial.ledger.converse), steps.cut()]],
    ),
    Fault(
        "dropped again and again as soon as it is accepted",
        accepts_and_drops,
        scripts=next_time(*[[steps.accept(), steps.cut()]] * 6),
    ),
    Fault(
        "200 drops in a row",
        dropped_200_times,
        scripts=lambda trial: [*[trial.serve_then(steps.cut(), count=3)] * 200, trial.serve],
        config={"backoff": Backoff(initial=0.0, max_attempts=None)},
        opens=False,
    ),
]

FAREWELLS = [
    *(
        Fault(f"closed with {code}", until_lost, scripts=then(steps.close(code, "why")), told=LOST)
        for code in (1001, 1011, 1012, 1013, 4000)
    ),
    Fault("closed without a code", until_lost, scripts=then(steps.raw(b"\x88\x00")), told=LOST),
    Fault("closed with 1000", nothing, Ends(), then(steps.close(1000)), told=GIVEN_UP),
    *(
        Fault(
            f"closed with {code}",
            nothing,
            Fails(ConnectionClosed),
            then(steps.close(code, "why")),
            told=GIVEN_UP,
        )
        for code in (1002, 1008, 1009)
    ),
    Fault(
        "a fatal error in the server's own words",
        nothing,
        Fails(ServiceError),
        then(steps.send({"type": "error", "message": "no credit", "fatal": True}), steps.listen()),
    ),
]

SILENCES = [
    Fault(
        "neither reads nor writes any more",
        until_lost,
        Recovers(within=2.0 + NOTICED),
        then(steps.stall()),
        told=LOST,
    ),
    Fault(
        "reads, but never writes",
        until_lost,
        Recovers(within=2.0 + NOTICED),
        then(steps.stall_writing()),
        told=LOST,
    ),
    Fault(
        "writes, but does not read for a second",
        partial(is_flooded, None),
        scripts=lambda trial: [
            trial.serve_then(
                *(step for _ in range(20) for step in (steps.wait(0.05), steps.send({"type": "still_here"}))),
                steps.listen(trial.ledger.converse),
            )
        ],
        transit=1.5,
    ),
    Fault(
        "a message that drips for a second",
        partial(is_flooded, Message),
        scripts=lambda trial: [
            trial.serve_then(
                steps.drip('{"type": "drip"}' + " " * 50, 0.02), steps.listen(trial.ledger.converse)
            )
        ],
        told=(Message,),
        transit=2.0,
    ),
    Fault(
        "idle, then silent",
        until_lost,
        Recovers(within=2.5 + NOTICED),
        then(steps.stall(), count=10),
        every=0.5,
    ),
]

NONSENSE = [
    *(
        Fault(name, nothing, Fails(error), then(step, steps.listen()), told=GIVEN_UP)
        for name, step, error in (
            ("a message of 2 GiB", steps.oversized(), MessageTooLarge),
            ("a message of 2 GiB, of which little comes", steps.oversized(send=1000), MessageTooLarge),
            ("a message without end, in big pieces", steps.endless_message(65536), MessageTooLarge),
            ("a message without end, in small pieces", steps.endless_message(1), MessageTooLarge),
            ("text that is not UTF-8", steps.bad_utf8(), RemoteProtocolError),
            ("reserved bits", steps.reserved_bits(), RemoteProtocolError),
            ("a masked frame", steps.masked_frame(), RemoteProtocolError),
            ("a frame of an unknown kind", steps.raw(b"\x83\x00"), RemoteProtocolError),
            ("a continuation of nothing", steps.raw(b"\x80\x00"), RemoteProtocolError),
            ("a ping of 126 bytes", steps.raw(b"\x89\x7e\x00\x7e" + bytes(126)), RemoteProtocolError),
            ("a pong of 126 bytes", steps.raw(b"\x8a\x7e\x00\x7e" + bytes(126)), RemoteProtocolError),
            ("a ping in pieces", steps.raw(b"\x09\x00"), RemoteProtocolError),
            ("a message within a message", steps.raw(b"\x01\x00\x01\x00"), RemoteProtocolError),
            ("a Close of one byte", steps.raw(b"\x88\x01\x03"), RemoteProtocolError),
            ("a Close with a code that cannot be", steps.raw(b"\x88\x02\x03\xed"), RemoteProtocolError),
            (
                "a sample rate that cannot be",
                steps.send({"type": "ready", "sample_rate": 1}),
                RemoteProtocolError,
            ),
        )
    ),
    Fault(
        "JSON that is none",
        partial(is_flooded, Message),
        scripts=lambda trial: [trial.serve_then(steps.bad_json(), steps.listen(trial.ledger.converse))],
        told=(Message,),
    ),
    Fault(
        "a flood of sound",
        partial(is_flooded, FramesDropped),
        scripts=lambda trial: [
            trial.serve_then(
                steps.flood(bytes([1, 0]) * 8000, count=400), steps.listen(trial.ledger.converse)
            )
        ],
        transit=3.0,
        told=(FramesDropped,),
    ),
    Fault(
        "a flood of messages",
        partial(is_flooded, Message),
        scripts=lambda trial: [
            trial.serve_then(
                steps.flood('{"type": "noise"}', count=3000), steps.listen(trial.ledger.converse)
            )
        ],
        transit=3.0,
    ),
    Fault(
        "a flood of pings",
        partial(is_flooded, None),
        scripts=lambda trial: [
            trial.serve_then(steps.ping_flood(count=30_000), steps.listen(trial.ledger.converse))
        ],
        transit=3.0,
    ),
]

CERTIFICATES = [
    Fault(f"a certificate: {kind}", opening, Fails(TlsFailed), opens=False, tls=kind)
    for kind in ("wrong-name", "expired", "self-signed", "unknown-issuer")
]


def speaks_no_tls(trial: Trial) -> None:
    """The server behind a wss:// address speaks plain."""
    trial.url = trial.url.replace("ws://", "wss://")
    trial.open()


CERTIFICATES += [
    Fault(
        "no TLS behind wss://",
        speaks_no_tls,
        Fails(TlsFailed),
        opens=False,
        scripts=first(steps.await_bytes(1), steps.raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
    ),
    Fault("TLS cut", until_lost, scripts=then(steps.cut()), tls="good", told=LOST),
    Fault("TLS reset", until_lost, scripts=then(steps.reset()), tls="good", told=LOST),
    Fault("TLS, silent", until_lost, Recovers(2.0 + NOTICED), then(steps.stall()), tls="good", told=LOST),
]


def _named(faults: Sequence[Fault]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("fault", faults, ids=str)


@_named(REFUSALS)
def test_refusals(fault: Fault, attempt: Try) -> None:
    attempt(fault, "The server refuses")


@_named(PHASES)
def test_phases(fault: Fault, attempt: Try) -> None:
    attempt(fault, "The connection breaks")


@_named(FAREWELLS)
def test_farewells(fault: Fault, attempt: Try) -> None:
    attempt(fault, "The server closes")


@_named(SILENCES)
def test_silences(fault: Fault, attempt: Try) -> None:
    attempt(fault, "The server falls silent")


@_named(NONSENSE)
def test_nonsense(fault: Fault, attempt: Try) -> None:
    attempt(fault, "The server talks nonsense")


@_named(CERTIFICATES)
def test_certificates(fault: Fault, attempt: Try) -> None:
    attempt(fault, "TLS")


def test_names_are_single() -> None:
    faults = [*REFUSALS, *PHASES, *FAREWELLS, *SILENCES, *NONSENSE, *CERTIFICATES]
    assert len({fault.name for fault in faults}) == len(faults)
    assert State.CLOSED.ended
