"""What the user's own code can do to us."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest

from tests.faults.conftest import Try
from tests.faults.matrix import Ends, Fails, Fault, Recovers
from tests.faults.trial import Trial
from voicews import (
    AudioReceived,
    Backoff,
    CallbackError,
    CallbackFailed,
    Connected,
    Disconnected,
    Event,
    Message,
    OutboxFull,
    PlaybackStarted,
    Reconnecting,
    State,
    StateChanged,
    Transcript,
    Undelivered,
)
from voicews.dialects import Plain
from voicews.testing import steps

LOST = (Disconnected, Reconnecting)


# -- close() --------------------------------------------------------------------------------------


def closes_in(kind: type[Event], bring: Callable[[Trial], None], trial: Trial) -> None:
    """close() in the callback of an event of this kind."""
    closed = threading.Event()

    def close() -> None:
        trial.voice.close()
        trial.voice.close()
        closed.set()

    trial.voice.once(kind, close)
    if not trial.fault.opens:
        trial.open()
        trial.error = None  # opening what is being closed is refused, and rightly
    bring(trial)
    assert closed.wait(20.0)


def nothing(trial: Trial) -> None:
    """It comes by itself."""


def cut(trial: Trial) -> None:
    trial.server.accepted().cut()


def swallow(trial: Trial) -> None:
    """Something is said that the server will never read."""
    trial.server.accepted().freeze()
    said = len(trial.accepted)
    trial.wait_until(lambda: len(trial.accepted) > said + 5, "words")
    cut(trial)


def say(message: dict[str, Any], trial: Trial) -> None:
    trial.server.accepted().send(message)


def fail_in_a_callback(trial: Trial) -> None:
    def fail() -> None:
        raise ValueError("a mistake in a callback")

    trial.voice.once(AudioReceived, fail)


def closes_twice(trial: Trial) -> None:
    trial.voice.close()
    trial.voice.close()


def closes_in_threads(trial: Trial) -> None:
    """Many at once, with nobody first."""
    start = threading.Barrier(8)
    errors: list[BaseException] = []

    def close() -> None:
        start.wait()
        try:
            trial.voice.close()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=close) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors


def closes_while_opening(trial: Trial) -> None:
    """Another thread closes while open() waits for a server that says nothing."""
    opener = threading.Thread(target=trial.open)
    opener.start()
    trial.server.connection()
    trial.voice.close()
    opener.join()
    trial.error = None


def closes_while_waiting(trial: Trial) -> None:
    """In the backoff after a drop."""
    cut(trial)
    trial.wait_for(Reconnecting)
    trial.voice.close()
    assert trial.voice.state is State.CLOSED


def closes_on_silence(trial: Trial) -> None:
    """The server is frozen, and can neither read our last words nor answer our Close."""
    trial.server.freeze()
    trial.close()
    trial.server.thaw()


def in_callback(
    kind: type[Event], bring: Callable[[Trial], None] = nothing, *, opens: bool = True, aloud: bool = False
) -> Fault:
    name = f"close() in a callback for {kind.__name__}"
    return Fault(name, partial(closes_in, kind, bring), Ends(), opens=opens, aloud=aloud)


CLOSING = [
    in_callback(StateChanged, opens=False),
    in_callback(Connected, opens=False),
    in_callback(Disconnected, cut),
    in_callback(Reconnecting, cut),
    in_callback(Undelivered, swallow),
    in_callback(Message, partial(say, {"type": "news"})),
    in_callback(Transcript, partial(say, {"type": "transcript", "text": "stop"})),
    in_callback(AudioReceived),
    in_callback(PlaybackStarted, opens=False),
    in_callback(CallbackError, fail_in_a_callback, aloud=True),
    Fault("close() twice", closes_twice, Ends()),
    Fault("close() from eight threads at once", closes_in_threads, Ends()),
    Fault(
        "close() while open() waits",
        closes_while_opening,
        Ends(),
        lambda trial: [steps.stall()],
        opens=False,
    ),
    Fault(
        "close() within the backoff",
        closes_while_waiting,
        Ends(),
        config={"backoff": Backoff(initial=5.0, jitter=0.0)},
    ),
    Fault("close() while the server is frozen", closes_on_silence, Ends()),
    Fault(
        "close() while the server never says its last words",
        Trial.close,
        Ends(),
        dialect=partial(Plain, eof={"type": "over"}),
    ),
]


# -- callbacks --------------------------------------------------------------------------------------


def on_each(kind: type[Event], callback: Callable[[Event], None], trial: Trial) -> None:
    """The callback meets a drop and a recovery, too."""
    trial.voice.on(kind, callback)
    cut(trial)
    trial.wait_for(Reconnecting)
    trial.heal()
    trial.wait_for(CallbackError, 5)


def raises(event: Event) -> None:
    raise ValueError("a mistake in a callback")


def exits(event: Event) -> None:
    sys.exit(3)


def is_interrupted(event: Event) -> None:
    raise KeyboardInterrupt


def sleeps(trial: Trial) -> None:
    """One callback takes longer than anybody should; later events wait for it, sound does not."""
    never = threading.Event()
    arrived = len(trial.ledger.frames)
    trial.voice.once(AudioReceived, lambda: never.wait(1.2))
    trial.wait_until(lambda: len(trial.ledger.frames) > arrived + 60, "sound, meanwhile")


def reads_nothing(trial: Trial) -> None:
    """A stream of events that nobody pulls."""
    stream = trial.voice.events(Event)
    trial.server.accepted().send({"type": "news"})
    for _ in range(300):
        trial.server.accepted().send(b"\x01\x00" * 320)
    trial.wait_for(Message)
    stream.close()


def sends_all_the_time(trial: Trial) -> None:
    """Faster than any connection could take it, and over a drop."""
    for number in range(2000):
        trial.say(f"word of a flood {number}")
        if number == 1000:
            cut(trial)
    trial.wait_for(Reconnecting)
    trial.heal()


def interrupts_all_the_time(trial: Trial) -> None:
    for _ in range(200):
        with contextlib.suppress(OutboxFull):
            trial.voice.interrupt()
        trial.voice.mute()
        trial.voice.unmute()


CALLBACKS = [
    Fault("a callback that raises", partial(on_each, Event, raises), aloud=True, told=LOST),
    Fault("a callback that exits (SystemExit)", partial(on_each, AudioReceived, exits), aloud=True),
    Fault(
        "a callback that raises KeyboardInterrupt",
        partial(on_each, AudioReceived, is_interrupted),
        aloud=True,
    ),
    Fault(
        "a callback that raises, with fail_fast",
        fail_in_a_callback,
        Fails(CallbackFailed),
        aloud=True,
        config={"fail_fast": True},
        told=(CallbackError, StateChanged),
    ),
    Fault("events that nobody pulls", reads_nothing),
    Fault("words faster than the line", sends_all_the_time, Recovers(4.0)),
    Fault("interrupt() and mute() 200 times", interrupts_all_the_time),
]


def _named(faults: Sequence[Fault]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("fault", faults, ids=str)


@_named(CLOSING)
def test_closing(fault: Fault, attempt: Try) -> None:
    attempt(fault, "The program closes")


@_named(CALLBACKS)
def test_callbacks(fault: Fault, attempt: Try) -> None:
    attempt(fault, "The program's own code")


@pytest.mark.filterwarnings("ignore::voicews.SlowCallback")
def test_a_callback_that_sleeps(attempt: Try) -> None:
    attempt(Fault("a callback that sleeps", sleeps), "The program's own code")
