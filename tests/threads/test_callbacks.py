"""Registering, dispatching and pulling events."""

from __future__ import annotations

import functools
import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.patience import PATIENCE
from voicews.config import AudioFormat
from voicews.errors import ConfigError, InvalidState, SlowCallback
from voicews.events import AudioReceived, CallbackError, Event, Message, Token, Transcript
from voicews.threads.callbacks import Callbacks, Handlers, is_droppable


class Rig:
    def __init__(self, **options: Any) -> None:
        self.handlers = Handlers()
        self.failures: list[BaseException] = []
        options = {"maxsize": 100, "slow": 60.0} | options
        self.callbacks = Callbacks(self.handlers, callback_failed=self.failures.append, **options)

    def run(self, *events: Event) -> None:
        """Emit all, start, and wait until all were dispatched."""
        for event in events:
            self.callbacks.emit(event)
        self.callbacks.start()
        self.callbacks.finish()
        assert self.callbacks.ended_within(PATIENCE)


@pytest.fixture
def rig() -> Rig:
    return Rig()


class Led:
    """As gpiozero's: every argument has a default."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def blink(self, on_time: float = 1, off_time: float = 1, n: int | None = None) -> None:
        self.calls.append((on_time, off_time, n))


def test_the_signature_decides_whether_the_event_is_passed(rig: Rig) -> None:
    led, got, waiting = Led(), [], queue.Queue()  # type: ignore[var-annotated]
    rig.handlers.add(Message, led.blink)
    rig.handlers.add(Message, got.append)
    rig.handlers.add(Message, waiting.put)
    rig.handlers.add(Message, lambda *all: got.append(all))
    rig.handlers.add(Message, lambda: got.append("nothing"))
    event = Message(1)
    rig.run(event)
    assert led.calls == [(1, 1, None)]
    assert got == [event, (event,), "nothing"]
    assert waiting.get_nowait() is event


def test_print_prints_a_transcript_as_its_text(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    rig.handlers.add(Transcript, print)
    rig.run(Transcript("user", "hello world"))
    assert capsys.readouterr().out == "hello world\n"


async def _coroutine(event: Event) -> None:
    """Refused."""


class _AsyncCallable:
    async def __call__(self, event: Event) -> None:
        """Refused."""


def _steps(event: Event) -> Iterator[int]:
    """Refused."""
    yield 1


class _Unbound:
    def hello(self) -> None:
        """Refused: `self` would be the event."""


@pytest.mark.parametrize(
    ("callback", "hint"),
    [
        (_steps, "_steps is a generator function"),
        (functools.partial(_steps), "_steps is a generator function"),
        (functools.partial(_coroutine), "_coroutine is an async function"),
        (_Unbound.hello, "_Unbound.hello is a method without its object"),
    ],
)
def test_what_would_not_run_is_refused(rig: Rig, callback: Any, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        rig.handlers.add(Message, callback)


def test_a_coroutine_that_a_callback_returns_is_told_as_its_failure(rig: Rig) -> None:
    got: list[CallbackError] = []
    rig.handlers.add(Message, lambda event: _coroutine(event))
    rig.handlers.add(CallbackError, got.append)
    rig.run(Message(1))
    assert [str(told.error) for told in got] == ["it returned the coroutine _coroutine, which nobody runs"]


@pytest.mark.parametrize("callback", [_coroutine, _AsyncCallable()])
def test_async_functions_are_refused(rig: Rig, callback: Any) -> None:
    with pytest.raises(ConfigError, match="async"):
        rig.handlers.add(Message, callback)


@pytest.mark.parametrize(
    ("callback", "hint"),
    [
        (None, "called instead of passed"),
        (3, "must be a function"),
        (lambda a, b: None, "needs a, b"),
        (lambda *, key: None, "needs key"),
    ],
)
def test_what_cannot_be_called_is_refused_at_registration(rig: Rig, callback: Any, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        rig.handlers.add(Message, callback)


@pytest.mark.parametrize("kind", ["Transcript", int, Transcript("user", "x")])
def test_events_are_registered_by_class(rig: Rig, kind: Any) -> None:
    with pytest.raises(ConfigError, match="by class"):
        rig.handlers.add(kind, print)


def test_order_subclasses_and_removal(rig: Rig) -> None:
    got: list[str] = []

    def gone(event: Event) -> None:
        got.append("gone")

    def remover(event: Event) -> None:
        got.append("remover")
        rig.handlers.remove(Message, gone)
        rig.handlers.add(Message, lambda: got.append("late"))

    rig.handlers.add(Event, lambda: got.append("all"))
    rig.handlers.add(Message, remover)
    rig.handlers.add(Message, gone)
    rig.handlers.add(Message, lambda: got.append("once"), once=True)
    rig.handlers.add(Token, lambda: got.append("token"))
    rig.run(Message(1), Token("x"))
    assert got == ["all", "remover", "once", "all", "token"]


def test_removing_a_class_removes_all_its_functions(rig: Rig) -> None:
    rig.handlers.add(Message, print)
    rig.handlers.add(Message, repr)
    rig.handlers.remove(Message)
    assert not rig.handlers.wanted(Message(1))


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1), KeyboardInterrupt()])
def test_a_callback_that_raises_kills_nothing(rig: Rig, error: BaseException) -> None:
    got: list[Event] = []

    def bad(event: Event) -> None:
        raise error

    rig.handlers.add(Message, bad)
    rig.handlers.add(Event, got.append)
    stream = rig.callbacks.stream(CallbackError, 10)
    rig.callbacks.emit(Message(1))
    rig.callbacks.start()
    told = stream.get(PATIENCE)
    rig.callbacks.emit(Message(2))
    stream.get(PATIENCE)
    rig.callbacks.finish()
    assert rig.callbacks.ended_within(PATIENCE)
    assert told.error is error
    assert told.event == Message(1)
    assert [e for e in got if isinstance(e, Message)] == [Message(1), Message(2)]
    assert rig.failures == [error, error]


def test_an_error_handler_that_raises_does_not_call_itself(rig: Rig) -> None:
    def bad(event: Event) -> None:
        raise ValueError

    rig.handlers.add(CallbackError, bad)
    rig.run(CallbackError("x", Message(1), ValueError()))
    assert len(rig.failures) == 1


def test_a_slow_callback_is_named_in_a_warning() -> None:
    rig = Rig(slow=0.01)
    pause = threading.Event()

    def dawdle() -> None:
        pause.wait(0.05)

    rig.handlers.add(Message, dawdle)
    with pytest.warns(SlowCallback, match="dawdle"):
        rig.run(Message(1))


def test_only_what_can_be_missed_is_dropped() -> None:
    rig = Rig(maxsize=10)
    got: list[Event] = []
    rig.handlers.add(Event, got.append)
    rig.run(*[Token(str(n)) for n in range(20)], *[Message(n) for n in range(8)])
    assert [e for e in got if isinstance(e, Message)] == [Message(n) for n in range(8)]
    assert [e for e in got if isinstance(e, Token)] == [Token("18"), Token("19")]
    assert rig.callbacks.dropped == {"overflow": 18}


@pytest.mark.parametrize(
    ("event", "droppable"),
    [
        (Token("x"), True),
        (Transcript("user", "x", final=False), True),
        (Transcript("user", "x"), False),
        (AudioReceived(b"", AudioFormat()), True),
        (Message(1), False),
    ],
)
def test_which_events_may_be_dropped(event: Event, droppable: bool) -> None:
    assert is_droppable(event) is droppable


def test_a_stream_ends_with_the_callbacks_and_keeps_what_it_has(rig: Rig) -> None:
    stream = rig.callbacks.stream(Message, 10)
    rig.run(Message(1), Token("x"), Message(2))
    assert list(stream) == [Message(1), Message(2)]
    with pytest.raises(InvalidState):
        stream.get()
    assert list(rig.callbacks.stream(Message, 10)) == []
    rig.callbacks.emit(Message(3))


def test_a_stream_can_be_left(rig: Rig) -> None:
    with rig.callbacks.stream(Event, 10) as stream:
        rig.callbacks.emit(Message(1))
        with pytest.raises(TimeoutError):
            stream.get(0) and stream.get(0)
    rig.callbacks.emit(Message(2))
    assert list(stream) == []
    rig.run()
