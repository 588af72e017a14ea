"""The callbacks thread: events to the user's functions, in order, where they can hurt nobody."""

from __future__ import annotations

import logging
import queue
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from voicews.buffers import DropOldestQueue, ShutDown
from voicews.callables import name_of, refuse_unrun, require_plain, safe_repr, signature_of
from voicews.deadline import Deadline, checked_timeout
from voicews.errors import ConfigError, InvalidState, SlowCallback
from voicews.events import AudioReceived, CallbackError, Event, Token, Transcript
from voicews.stats import Stats
from voicews.threads.worker import Worker

__all__ = ["Callback", "Callbacks", "EventStream", "Handlers", "is_droppable", "require_event_class"]

log = logging.getLogger(__name__)

E = TypeVar("E", bound=Event)
Callback = Callable[..., Any]


def is_droppable(event: Event) -> bool:
    """Events that a slow reader may miss: a later one says more, or the sound is played anyway."""
    return isinstance(event, Token | AudioReceived | Stats) or (
        isinstance(event, Transcript) and not event.final
    )


def _wants_event(callback: Callback) -> bool:
    """Whether a callback is called with the event or, as ``led.blink`` wants it, with nothing.

    Raises:
        ConfigError: it is not a callable, would not run when called, or needs more than one argument.
    """
    if not callable(callback):
        raise ConfigError(
            f"a callback must be a function, not {safe_repr(callback)} (was it called instead of passed?)"
        )
    require_plain("the callback", callback)
    signature = signature_of("the callback", callback)
    if signature is None:  # of some builtins
        return True
    parameters = signature.parameters.values()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p for p in positional if p.default is p.empty]
    missing = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if len(required) > 1 or missing:
        names = ", ".join(p.name for p in [*required, *missing])
        raise ConfigError(f"{name_of(callback)} needs {names}; a callback may take the event, or nothing")
    return bool(required) or any(p.kind is p.VAR_POSITIONAL for p in parameters)


def require_event_class(kind: object) -> None:
    """Raises ConfigError unless it is a class of events."""
    if not (isinstance(kind, type) and issubclass(kind, Event)):
        raise ConfigError(f"events are chosen by class, such as Transcript, not by {safe_repr(kind)}")


class _Handler:
    __slots__ = ("callback", "kind", "once", "wants_event")

    def __init__(self, kind: type[Event], callback: Callback, once: bool) -> None:
        self.kind = kind
        self.callback = callback
        self.once = once
        self.wants_event = _wants_event(callback)

    def __call__(self, event: Event) -> None:
        result = self.callback(event) if self.wants_event else self.callback()
        if result is not None:
            refuse_unrun(result)


class Handlers:
    """The user's functions by the class of event they want, in the order of registration."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handlers: tuple[_Handler, ...] = ()

    def add(self, kind: type[Event], callback: Callback, *, once: bool = False) -> None:
        """Register a function.

        Raises:
            ConfigError: ``kind`` is no class of event, or the function cannot be called so.
        """
        require_event_class(kind)
        handler = _Handler(kind, callback, once)
        with self._lock:
            self._handlers = (*self._handlers, handler)

    def remove(self, kind: type[Event], callback: Callback | None = None) -> None:
        """Forget one function, or all that were registered for this very class."""
        with self._lock:
            self._handlers = tuple(
                h for h in self._handlers if h.kind is not kind or callback not in (None, h.callback)
            )

    def wanted(self, event: Event) -> bool:
        """True if somebody wants to hear it."""
        for handler in self._handlers:  # noqa: SIM110 - any() makes a generator for each frame of sound
            if isinstance(event, handler.kind):
                return True
        return False

    def matching(self, event: Event) -> Iterator[_Handler]:
        """Those to call now.  One removed by an earlier callback is left out, one added is not yet in."""
        for handler in self._handlers:
            if isinstance(event, handler.kind) and self._claim(handler):
                yield handler

    def _claim(self, handler: _Handler) -> bool:
        with self._lock:
            if handler not in self._handlers:
                return False
            if handler.once:
                self._handlers = tuple(h for h in self._handlers if h is not handler)
            return True


class EventStream(Generic[E]):
    """Events to pull, from the moment it was made until the client has ended::

        for line in voice.events(Transcript):
            print(line.text)

    Holds up to ``maxsize`` events that nobody has pulled yet; beyond that tokens, sound and
    partial transcripts go first.  ``close()`` or leaving a ``with`` block ends it earlier.
    """

    def __init__(self, kind: type[E], maxsize: int) -> None:
        self._kind = kind
        self._queue: DropOldestQueue[E] = DropOldestQueue(maxsize, droppable=is_droppable)

    def feed(self, event: Event) -> None:
        """Take an event if it is of the right kind; any thread."""
        if not isinstance(event, self._kind):
            return
        try:
            self._queue.put(event)
        except ShutDown:
            log.debug("an event came after the end of its stream")
        except queue.Full:
            log.error("an event stream is not read: %s is lost", type(event).__name__)

    def get(self, timeout: float | None = None) -> E:
        """The next event.

        Raises:
            TimeoutError: none came within ``timeout`` seconds.
            InvalidState: the client has ended, so none will come any more.
        """
        deadline = Deadline(checked_timeout(timeout))
        while True:
            try:
                return self._queue.get(timeout=deadline.remaining())
            except ShutDown:
                raise InvalidState("the client has ended; there are no more events") from None
            except queue.Empty:
                if deadline.passed:
                    raise TimeoutError(f"no {self._kind.__name__} within {timeout} s") from None

    def __iter__(self) -> Iterator[E]:
        return self

    def __next__(self) -> E:
        try:
            return self.get()
        except InvalidState:
            raise StopIteration from None

    def close(self) -> None:
        """Take no more; what is held can still be pulled."""
        self._queue.shutdown()

    def __enter__(self) -> EventStream[E]:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Callbacks(Worker):
    """Calls the handlers, one event after the other.

    Args:
        handlers: the functions.
        maxsize: how many events may wait.
        slow: seconds after which a callback is named in a :class:`SlowCallback` warning.
        failed: called with the event and the exception of a callback that raised.
    """

    def __init__(
        self,
        handlers: Handlers,
        *,
        maxsize: int,
        slow: float,
        callback_failed: Callable[[BaseException], None],
    ) -> None:
        super().__init__("callbacks")
        self._handlers = handlers
        self._slow = slow
        self._callback_failed = callback_failed
        self._events: DropOldestQueue[Event] = DropOldestQueue(maxsize, droppable=is_droppable)
        self._order = threading.Lock()
        self._streams: list[weakref.ref[EventStream[Any]]] = []
        self.calling = ""
        """Name of the callback that is running; written by this thread only."""

    # -- from other threads -----------------------------------------------------------------

    def emit(self, event: Event) -> None:
        """Put an event in line for callbacks and streams; any thread, never waits."""
        with self._order:
            if self._streams:
                for stream in self._listening():
                    stream.feed(event)
            if not self._handlers.wanted(event) and is_droppable(event):
                return
            try:
                self._events.put(event)
            except ShutDown:
                log.debug("%s came after the end", type(event).__name__)
            except queue.Full:
                log.error("the callbacks are too slow: %s is lost", type(event).__name__)

    def stream(self, kind: type[E], maxsize: int) -> EventStream[E]:
        """A stream of the events from now on.

        Raises:
            ConfigError: ``kind`` is no class of event.
        """
        require_event_class(kind)
        stream = EventStream(kind, maxsize)
        self.attach(stream)
        return stream

    def attach(self, stream: EventStream[Any]) -> None:
        """Feed a stream from now on, for as long as somebody keeps it; close it in the end."""
        with self._order:
            if self._events.shut:
                stream.close()
            self._streams.append(weakref.ref(stream))

    def _listening(self) -> list[EventStream[Any]]:
        """The streams that somebody still keeps.  Call under the lock."""
        kept = [stream for reference in self._streams if (stream := reference()) is not None]
        if len(kept) < len(self._streams):
            self._streams = [weakref.ref(stream) for stream in kept]
        return kept

    def finish(self) -> None:
        """End after the events that are in line; streams end with them."""
        with self._order:
            self._events.shutdown()
            for stream in self._listening():
                stream.close()

    def stop(self) -> None:
        """End as :meth:`finish` does: events are never thrown away."""
        self.finish()

    @property
    def waiting(self) -> int:
        """Events in line for the callbacks."""
        return self._events.qsize()

    @property
    def dropped(self) -> dict[str, int]:
        """Events thrown away, by cause."""
        return dict(self._events.dropped)

    # -- the callbacks thread -----------------------------------------------------------------

    def work(self) -> None:
        """Call until finished."""
        while True:
            try:
                event = self._events.get()
            except ShutDown:
                return
            except queue.Empty:
                continue
            for handler in self._handlers.matching(event):
                self._call(handler, event)

    def _call(self, handler: _Handler, event: Event) -> None:
        name = self.calling = name_of(handler.callback)
        began = time.monotonic()
        try:
            handler(event)
        except BaseException as error:  # SystemExit too: it would end this thread without a word
            log.exception("the callback %s raised on %s", name, type(event).__name__)
            self._callback_failed(error)
            if not isinstance(event, CallbackError):
                self._tell_now(CallbackError(name, event, error))
        self.calling = ""
        took = time.monotonic() - began
        if took > self._slow:
            text = f"{name} took {took:.1f} s on {type(event).__name__}; later events had to wait"
            try:
                warnings.warn(SlowCallback(text), stacklevel=2)
            except SlowCallback:
                log.error("%s", text)

    def _tell_now(self, event: CallbackError) -> None:
        """Ahead of what is in line: after the last event, the line is closed."""
        with self._order:
            for stream in self._listening():
                stream.feed(event)
        for handler in self._handlers.matching(event):
            self._call(handler, event)
