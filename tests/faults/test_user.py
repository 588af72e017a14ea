"""What the user's own code can do to us."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial

import pytest

from tests.faults.conftest import Try
from tests.faults.matrix import Fails, Fault, Recovers
from tests.faults.trial import Trial
from voicews import (
    AudioReceived,
    CallbackError,
    CallbackFailed,
    Disconnected,
    Event,
    Message,
    OutboxFull,
    Reconnecting,
    StateChanged,
)

LOST = (Disconnected, Reconnecting)


def cut(trial: Trial) -> None:
    trial.server.accepted().cut()


def fail_in_a_callback(trial: Trial) -> None:
    def fail() -> None:
        raise ValueError("a mistake in a callback")

    trial.voice.once(AudioReceived, fail)


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
    before = trial.microphone.captured
    for _ in range(200):
        with contextlib.suppress(OutboxFull):
            trial.voice.interrupt()
        trial.voice.mute()
        trial.voice.unmute()
    # Any of them may have been captured just between the two.
    trial.silenced = trial.microphone.captured - before + 2


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


@_named(CALLBACKS)
def test_callbacks(fault: Fault, attempt: Try) -> None:
    attempt(fault, "The program's own code")


@pytest.mark.filterwarnings("ignore::voicews.SlowCallback")
def test_a_callback_that_sleeps(attempt: Try) -> None:
    attempt(Fault("a callback that sleeps", sleeps), "The program's own code")
