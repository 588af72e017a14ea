"""The bounded queue between threads that drops the oldest instead of waiting."""

from __future__ import annotations

import functools
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self, TypeVar

from voicews.callables import safe_repr
from voicews.deadline import checked_timeout
from voicews.errors import ConfigError

__all__ = ["DropOldestQueue", "ShutDown"]

T = TypeVar("T")

if hasattr(queue, "ShutDown"):  # Python 3.13
    ShutDown: type[Exception] = queue.ShutDown
else:

    class ShutDown(Exception):  # type: ignore[no-redef]  # the standard library's name
        """The queue was shut down."""


@functools.cache
def _also(kind: type, base: type) -> Any:
    """The same class as a subclass of another one, too."""
    return type(kind.__name__, (kind, base), {"__module__": kind.__module__, "__doc__": kind.__doc__})


class DropOldestQueue(queue.Queue[T]):
    """A :class:`queue.Queue` whose producers never wait.

    At ``maxsize`` a new item pushes out the oldest droppable one.  Items that are not
    droppable are never lost without a word: where nothing can make room for one,
    :meth:`put` raises :class:`queue.Full`.

    Whoever waits has a lock of its own to wait for.  That is what a Condition does as well, in a
    fifth of the steps, which is most of what it costs to hand a frame from thread to thread.

    It is a :class:`queue.Queue` by name and manners only.  All methods and all state are its own, for
    gevent puts another class in that one's place, whose inside is different.

    Args:
        maxsize: the most items it holds; at least 1.
        droppable: tells which items may be dropped; default all.  Runs under the queue's
            lock, so it has to be quick and must not touch the queue.

    Raises:
        ConfigError: ``maxsize`` is no whole number of at least 1.
    """

    def __new__(cls, *_args: Any, **_options: Any) -> Self:
        # The standard class may have been replaced since it was inherited from.
        kind: Any = cls if issubclass(cls, queue.Queue) else _also(cls, queue.Queue)
        made: Self = super(DropOldestQueue, kind).__new__(kind)
        return made

    def __init__(self, maxsize: int, *, droppable: Callable[[T], bool] | None = None) -> None:
        if not isinstance(maxsize, int) or isinstance(maxsize, bool) or maxsize < 1:
            raise ConfigError(
                f"DropOldestQueue's maxsize is {safe_repr(maxsize)}; it must be a whole number of at least 1"
            )
        self._maxsize = maxsize
        self._droppable = droppable
        self._items: deque[T] = deque()
        self._mutex = threading.Lock()
        self._unfinished = 0
        self._all_done = threading.Condition(self._mutex)
        self._dropped: Counter[str] = Counter()
        self._shut = False
        self._interrupted = False
        self._bells: deque[threading.Lock] = deque()
        """One for each who waits; it holds them all until a producer opens it."""

    # -- producers ------------------------------------------------------------------------

    def put(self, item: T, block: bool = True, timeout: float | None = None, *, urgent: bool = False) -> None:
        """Append an item, or with ``urgent`` put it before all that may be dropped.  Never waits.

        An urgent item does not overtake what may not be dropped: an interruption concerns what was said
        before it.

        ``block`` and ``timeout`` are there for :class:`queue.Queue`'s sake and mean nothing.
        A droppable item that finds no room because nothing older may go is itself dropped
        and counted.

        Raises:
            queue.Full: the item is not droppable and neither is anything in the full queue.
            ShutDown: the queue is shut down.
        """
        with self._mutex:
            if self._shut:
                raise ShutDown
            if len(self._items) >= self._maxsize and not self._make_room(item):
                return
            if urgent:
                self._items.insert(self._place_of_urgent(self._items), item)
            else:
                self._items.append(item)
            self._unfinished += 1
            if self._bells:
                self._ring()

    def put_nowait(self, item: T) -> None:
        """The same as :meth:`put`."""
        self.put(item)

    def _place_of_urgent(self, items: Iterable[T]) -> int:
        """Behind the last item that may not be dropped.  Call under the lock."""
        if self._droppable is None:
            return 0
        return max((place for place, old in enumerate(items, 1) if not self._droppable(old)), default=0)

    def _make_room(self, item: T) -> bool:
        """Drop the oldest droppable item; False if that is ``item`` itself.  Call under the lock."""
        if self._droppable is None:
            self._items.popleft()
        else:
            for index, old in enumerate(self._items):
                if self._droppable(old):
                    del self._items[index]
                    break
            else:
                if not self._droppable(item):
                    raise queue.Full
                self._dropped["overflow"] += 1
                return False
        self._forget(1, "overflow")
        return True

    # -- the consumer ---------------------------------------------------------------------

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        """Take the first item, waiting for one if there is none.

        Raises:
            queue.Empty: none came within ``timeout`` seconds, or at once without ``block``,
                or :meth:`interrupt` was called.
            ShutDown: the queue is shut down and empty.
        """
        with self._mutex:
            if block and not self._items:
                self._wait(timeout)
            if self._items:
                return self._items.popleft()
            if self._shut:
                raise ShutDown
            raise queue.Empty

    def _wait(self, timeout: float | None) -> None:
        """Wait for something to happen, and leave the lock, which the caller holds, for that time."""
        timeout = checked_timeout(timeout)
        end = None if timeout is None else time.monotonic() + timeout
        while not (self._items or self._shut or self._interrupted):
            remaining = -1.0 if end is None else min(end - time.monotonic(), threading.TIMEOUT_MAX)
            if end is not None and remaining <= 0:
                return
            bell = threading.Lock()
            bell.acquire()
            outside = False
            try:
                self._bells.append(bell)
                outside = True  # before the fact: a signal's handler runs after a call, not before it
                self._mutex.release()
                bell.acquire(timeout=remaining)
            finally:
                if outside:
                    self._mutex.acquire()
                self._leave(bell)
        self._interrupted = False

    def _leave(self, bell: threading.Lock) -> None:
        """Wait no more."""
        if bell in self._bells:
            self._bells.remove(bell)
        elif self._items and self._bells:  # a signal may take this one away before it takes its item
            self._ring()

    def _ring(self) -> None:
        """Wake the one who waits longest.  Call under the lock."""
        while self._bells:
            try:
                self._bells[0].release()
            except RuntimeError:  # a Ctrl+C came between the next line and this one: it is awake already
                self._bells.popleft()
            else:
                self._bells.popleft()
                return

    def _ring_all(self) -> None:
        while self._bells:
            self._ring()

    def get_nowait(self) -> T:
        """The first item; :class:`queue.Empty` if there is none."""
        return self.get(block=False)

    def unget(self, item: T) -> None:
        """Give back an item taken with :meth:`get`: it is first again.

        Unlike an urgent put it is also taken by a queue that is shut down or full, so that
        nothing is lost; the queue can so hold one item more than ``maxsize`` per consumer.
        It undoes the get, so no :meth:`task_done` belongs to that one.
        """
        with self._mutex:
            self._items.appendleft(item)
            self._ring()

    # -- anybody --------------------------------------------------------------------------

    def task_done(self) -> None:
        """Say that an item taken with :meth:`get` has been dealt with.

        Raises:
            ValueError: that was said more often than there were items.
        """
        with self._mutex:
            if not self._unfinished:
                raise ValueError("task_done() called too many times")
            self._unfinished -= 1
            if not self._unfinished:
                self._all_done.notify_all()

    def join(self) -> None:
        """Wait until all items were dropped or dealt with."""
        with self._mutex:
            self._all_done.wait_for(lambda: not self._unfinished)

    def empty(self) -> bool:
        """True if it holds nothing."""
        return not self._items

    def full(self) -> bool:
        """True if one more item would push out another."""
        return len(self._items) >= self._maxsize

    def clear(self, cause: str = "cleared") -> int:
        """Drop every droppable item, counted under ``cause``; returns how many."""
        return self.drop_if(lambda item: self._droppable is None or self._droppable(item), cause)

    def drop_if(self, unwanted: Callable[[T], bool], cause: str) -> int:
        """Drop the items for which ``unwanted`` is true, counted under ``cause``; returns how many."""
        with self._mutex:
            kept = deque(item for item in self._items if not unwanted(item))
            count = len(self._items) - len(kept)
            self._items = kept  # in one step: a Ctrl+C between two would lose what is kept
            self._forget(count, cause)
            return count

    def take_if(self, wanted: Callable[[T], bool]) -> list[T]:
        """Take the items for which ``wanted`` is true, each as by :meth:`get`, without waiting."""
        with self._mutex:
            taken: list[T] = []
            kept: deque[T] = deque()
            for item in self._items:
                (taken if wanted(item) else kept).append(item)
            self._items = kept
            return taken

    def droppable_size(self) -> int:
        """How many of its items may be dropped."""
        with self._mutex:
            return len(self._items) if self._droppable is None else sum(map(self._droppable, self._items))

    def drain(self) -> list[T]:
        """Take all items at once, each as by :meth:`get`, without waiting."""
        with self._mutex:
            items, self._items = self._items, deque()
            return list(items)

    def count_drop(self, cause: str, count: int = 1) -> None:
        """Count items that the consumer itself threw away."""
        with self._mutex:
            self._dropped[cause] += count

    def _forget(self, count: int, cause: str) -> None:
        if not count:
            return
        self._dropped[cause] += count
        self._unfinished -= count
        if self._unfinished <= 0:
            self._unfinished = 0
            self._all_done.notify_all()

    @property
    def dropped(self) -> Mapping[str, int]:
        """How many items were dropped, by cause."""
        with self._mutex:
            return dict(self._dropped)

    @property
    def shut(self) -> bool:
        """True once :meth:`shutdown` was called."""
        return self._shut

    # What queue.Queue has as attributes, some only in newer versions of Python.

    @property
    def maxsize(self) -> int:  # type: ignore[override]
        """The most items it holds."""
        return self._maxsize

    @property
    def queue(self) -> deque[T]:
        """The items themselves, for whoever holds :attr:`mutex`."""
        return self._items

    @property
    def mutex(self) -> threading.Lock:  # type: ignore[override]
        """What guards the items."""
        return self._mutex

    @property
    def unfinished_tasks(self) -> int:  # type: ignore[override]
        """Items put, and neither dropped nor done."""
        return self._unfinished

    @property
    def is_shutdown(self) -> bool:
        """The same as :attr:`shut`."""
        return self._shut

    def interrupt(self) -> None:
        """Make the get that waits, or else the next one that would, raise :class:`queue.Empty`.

        So a consumer that has other duties can be told of them without an item that stands
        in line, or that could itself be dropped.
        """
        with self._mutex:
            self._interrupted = True
            self._ring_all()

    def shutdown(self, immediate: bool = False) -> None:
        """Take no more items: a put raises at once, a get once the queue is empty.

        Args:
            immediate: also throw away what is in it, without counting it as dropped.
        """
        with self._mutex:
            self._shut = True
            if immediate:
                self._unfinished = max(0, self._unfinished - len(self._items))
                self._items.clear()
                if not self._unfinished:
                    self._all_done.notify_all()
            self._ring_all()

    def qsize(self) -> int:
        """How many items it holds."""
        return len(self._items)

    def __repr__(self) -> str:
        # Without the lock, so that it can be looked at wherever it is.
        return f"<{type(self).__name__} {len(self._items)}/{self._maxsize}{' shut' if self.shut else ''}>"

    __str__ = __repr__
