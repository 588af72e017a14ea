"""DropOldestQueue against a plain model, and among many threads."""

from __future__ import annotations

import itertools
import queue
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from voicews.buffers import DropOldestQueue, ShutDown
from voicews.errors import ConfigError

MINUTE = 60.0
"""Far more than any wait here needs: it only ends a test that has failed."""


class Item(NamedTuple):
    number: int
    droppable: bool


def audio(item: Item) -> bool:
    return item.droppable


class QueueMachine(RuleBasedStateMachine):
    """Each step is done to the queue and to a list, and both must say the same."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = itertools.count()
        self.model: list[Item] = []
        self.taken: list[Item] = []
        self.dropped: Counter[str] = Counter()
        self.unfinished = 0
        self.shut = False

    @initialize(maxsize=st.integers(1, 6), selective=st.booleans())
    def make(self, maxsize: int, selective: bool) -> None:
        self.maxsize = maxsize
        self.selective = selective
        self.queue: DropOldestQueue[Item] = DropOldestQueue(maxsize, droppable=audio if selective else None)

    def may_go(self, item: Item) -> bool:
        return item.droppable or not self.selective

    @rule(droppable=st.booleans(), urgent=st.booleans())
    def put(self, droppable: bool, urgent: bool) -> None:
        item = Item(next(self.numbers), droppable)
        if self.shut:
            with pytest.raises(ShutDown):
                self.queue.put(item, urgent=urgent)
            return
        if len(self.model) >= self.maxsize:
            victim = next((old for old in self.model if self.may_go(old)), None)
            if victim is not None:
                self.model.remove(victim)
                self.unfinished -= 1
            elif not self.may_go(item):
                with pytest.raises(queue.Full):
                    self.queue.put(item, urgent=urgent)
                return
            self.dropped["overflow"] += 1
            if victim is None:
                self.queue.put(item, urgent=urgent)
                return
        self.queue.put(item, urgent=urgent)
        kept = [place for place, old in enumerate(self.model, 1) if not self.may_go(old)]
        self.model.insert(max(kept, default=0) if urgent else len(self.model), item)
        self.unfinished += 1

    @rule(nowait=st.booleans())
    def get(self, nowait: bool) -> None:
        take = self.queue.get_nowait if nowait else lambda: self.queue.get(timeout=0)
        if self.model:
            item = take()
            assert item == self.model.pop(0)
            self.taken.append(item)
        else:
            with pytest.raises(ShutDown if self.shut else queue.Empty):
                take()

    @precondition(lambda self: self.taken)
    @rule()
    def unget(self) -> None:
        item = self.taken.pop()
        self.queue.unget(item)
        self.model.insert(0, item)

    @precondition(lambda self: self.taken)
    @rule()
    def task_done(self) -> None:
        self.taken.pop()
        self.queue.task_done()
        self.unfinished -= 1

    @rule(odd=st.booleans())
    def drop_if(self, odd: bool) -> None:
        kept = [item for item in self.model if item.number % 2 != odd]
        gone = len(self.model) - len(kept)
        assert self.queue.drop_if(lambda item: item.number % 2 == odd, "parity") == gone
        self.forget(kept, gone, "parity")

    @rule(odd=st.booleans())
    def take_if(self, odd: bool) -> None:
        wanted = [item for item in self.model if item.number % 2 == odd]
        assert self.queue.take_if(lambda item: item.number % 2 == odd) == wanted
        self.taken += wanted
        self.model = [item for item in self.model if item.number % 2 != odd]

    @rule()
    def clear(self) -> None:
        kept = [item for item in self.model if not self.may_go(item)]
        gone = len(self.model) - len(kept)
        assert self.queue.clear() == gone
        self.forget(kept, gone, "cleared")

    def forget(self, kept: list[Item], gone: int, cause: str) -> None:
        self.model = kept
        self.unfinished -= gone
        if gone:
            self.dropped[cause] += gone

    @rule()
    def drain(self) -> None:
        assert self.queue.drain() == self.model
        self.taken += self.model
        self.model = []

    @rule(count=st.integers(1, 3))
    def count_drop(self, count: int) -> None:
        self.queue.count_drop("stale", count)
        self.dropped["stale"] += count

    @rule()
    def interrupt(self) -> None:
        self.queue.interrupt()

    @precondition(lambda self: not self.shut or self.model)
    @rule(immediate=st.booleans())
    def shutdown(self, immediate: bool) -> None:
        self.queue.shutdown(immediate)
        self.shut = True
        if immediate:
            self.unfinished -= len(self.model)
            self.model = []

    @invariant()
    def agree(self) -> None:
        if not hasattr(self, "queue"):
            return
        assert list(self.queue.queue) == self.model
        assert self.queue.qsize() == len(self.model)
        assert self.queue.droppable_size() == sum(map(self.may_go, self.model))
        assert self.queue.empty() == (not self.model)
        assert self.queue.dropped == self.dropped
        assert self.queue.unfinished_tasks == self.unfinished
        assert self.queue.shut == self.queue.is_shutdown == self.shut


TestQueueMachine = QueueMachine.TestCase


def filled(maxsize: int, *items: Item, selective: bool = True) -> DropOldestQueue[Item]:
    made: DropOldestQueue[Item] = DropOldestQueue(maxsize, droppable=audio if selective else None)
    for item in items:
        made.put(item)
    return made


# -- one thread --------------------------------------------------------------------------------


@pytest.mark.parametrize("maxsize", [0, -1, True, 1.5, "2", None])
def test_a_size_that_is_none(maxsize: int) -> None:
    with pytest.raises(ConfigError, match=r"maxsize is .*; it must be a whole number of at least 1"):
        DropOldestQueue(maxsize)


def test_the_oldest_goes_and_is_counted() -> None:
    full = filled(2, Item(1, True), Item(2, True), Item(3, True))
    assert full.drain() == [Item(2, True), Item(3, True)]
    assert full.dropped == {"overflow": 1}


def test_anything_may_go_unless_told_otherwise() -> None:
    full = filled(1, Item(1, False), Item(2, False), selective=False)
    assert full.drain() == [Item(2, False)]
    assert full.dropped == {"overflow": 1}


def test_what_may_not_go_stays_and_keeps_its_place() -> None:
    full = filled(3, Item(1, False), Item(2, True), Item(3, False), Item(4, True))
    assert full.drain() == [Item(1, False), Item(3, False), Item(4, True)]


def test_nothing_can_make_room() -> None:
    full = filled(2, Item(1, False), Item(2, False))
    with pytest.raises(queue.Full):
        full.put(Item(3, False))
    full.put(Item(4, True))
    assert full.dropped == {"overflow": 1}
    assert full.drain() == [Item(1, False), Item(2, False)]


def test_urgent_goes_first() -> None:
    some = filled(3, Item(1, True), Item(2, True))
    some.put(Item(3, False), urgent=True)
    assert some.get() == Item(3, False)


def test_urgent_does_not_overtake_what_may_not_be_dropped() -> None:
    """Else an interruption would come before the text whose answer it is to stop."""
    some = filled(9, Item(1, True), Item(2, False), Item(3, True))
    some.put(Item(4, False), urgent=True)
    some.put(Item(5, False), urgent=True)
    assert [item.number for item in some.drain()] == [1, 2, 4, 5, 3]


def test_put_nowait_is_put() -> None:
    some = filled(1, Item(1, True))
    some.put_nowait(Item(2, True))
    assert some.get() == Item(2, True)


def test_an_item_given_back_is_kept_by_a_full_or_shut_queue() -> None:
    full = filled(1, Item(1, False))
    item = full.get()
    full.put(Item(2, False))
    full.shutdown()
    full.unget(item)
    assert [full.get(), full.get()] == [Item(1, False), Item(2, False)]
    with pytest.raises(ShutDown):
        full.get()


def test_an_immediate_end_keeps_count_of_what_is_being_worked_on() -> None:
    some = filled(3, Item(1, True), Item(2, True))
    some.get()
    some.shutdown(immediate=True)
    assert some.empty()
    assert some.dropped == {}
    assert some.unfinished_tasks == 1


def test_a_function_that_raises_leaves_the_queue_as_it_was() -> None:
    def broken(_item: Item) -> bool:
        raise LookupError

    some: DropOldestQueue[Item] = DropOldestQueue(1, droppable=broken)
    some.put(Item(1, True))
    calls: list[Callable[[], object]] = [
        lambda: some.put(Item(2, True)),
        lambda: some.drop_if(broken, "x"),
        lambda: some.take_if(broken),
        some.clear,
    ]
    for call in calls:
        with pytest.raises(LookupError):
            call()
    assert some.drain() == [Item(1, True)]
    assert some.dropped == {}


def test_the_counts_are_a_copy() -> None:
    some = filled(1, Item(1, True))
    before = some.dropped
    some.put(Item(2, True))
    assert before == {}


def test_get_gives_up_after_its_timeout() -> None:
    with pytest.raises(queue.Empty):
        filled(1).get(timeout=0.01)
    with pytest.raises(queue.Empty):
        filled(1).get(timeout=-1)


def test_an_interruption_is_kept_for_the_next_wait_and_used_up() -> None:
    some = filled(2)
    some.interrupt()
    some.interrupt()
    with pytest.raises(queue.Empty):
        some.get(timeout=MINUTE)
    some.put(Item(1, True))
    assert some.get(timeout=MINUTE) == Item(1, True)


def test_repr_can_be_had_under_the_lock() -> None:
    some = filled(3, Item(1, True))
    with some.mutex:
        assert repr(some) == "<DropOldestQueue 1/3>"
    some.shutdown()
    assert repr(some) == "<DropOldestQueue 1/3 shut>"


def test_it_is_generic_at_run_time() -> None:
    assert DropOldestQueue[int].__origin__ is DropOldestQueue  # type: ignore[attr-defined]
    assert isinstance(DropOldestQueue[int](1), DropOldestQueue)


# -- two threads -------------------------------------------------------------------------------


class Getter(threading.Thread):
    """Waits in get() and keeps what came of it."""

    def __init__(self, source: DropOldestQueue[Item], timeout: float | None = None) -> None:
        super().__init__(name="voicews-test-getter", daemon=True)
        self.source = source
        self.timeout = timeout
        self.item: Item | None = None
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self.item = self.source.get(timeout=self.timeout)
        except (queue.Empty, ShutDown) as error:
            self.error = error

    def done(self) -> None:
        self.join(MINUTE)
        assert not self.is_alive()


@pytest.mark.parametrize("timeout", [None, MINUTE])
def test_a_get_that_waits_is_woken(timeout: float | None) -> None:
    """By an item, by an interruption, by an item given back, by the end; in time either way."""
    some = filled(2)
    wakes: list[Callable[[], None]] = [lambda: some.put(Item(1, True)), lambda: some.unget(Item(2, True))]
    for wake in wakes:
        getter = Getter(some, timeout)
        getter.start()
        wake()
        getter.done()
        assert getter.item is not None
    getter = Getter(some, timeout)
    getter.start()
    some.interrupt()
    getter.done()
    assert isinstance(getter.error, queue.Empty)
    getters = [Getter(some, timeout) for _ in range(3)]
    for getter in getters:
        getter.start()
    some.shutdown()
    for getter in getters:
        getter.done()
        assert isinstance(getter.error, ShutDown)


class Bells(deque[threading.Lock]):
    """Tells when somebody has begun to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.hung = threading.Semaphore(0)

    def append(self, bell: threading.Lock, /) -> None:
        super().append(bell)
        self.hung.release()


def watched() -> tuple[DropOldestQueue[Item], Bells]:
    some = filled(2)
    some._bells = bells = Bells()
    return some, bells


def interrupted(some: DropOldestQueue[Item], bells: Bells, handler: Callable[..., None]) -> None:
    """Wait for an item in the main thread until a signal, whose handler raises."""

    caught: list[int] = []
    ended = threading.Event()

    def catch(number: int, frame: object) -> None:
        if not caught:
            caught.append(number)
            handler(number, frame)

    def press() -> None:
        assert bells.hung.acquire(timeout=MINUTE)
        # A signal that comes after Python has last looked, and before the kernel waits, wakes nobody.
        while not caught:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
            ended.wait(0.05)

    before = signal.signal(signal.SIGUSR1, catch)
    finger = threading.Thread(target=press, name="voicews-test-finger")
    finger.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            some.get(timeout=MINUTE)
    finally:
        ended.set()
        finger.join(MINUTE)
        signal.signal(signal.SIGUSR1, before)


def test_an_item_for_one_whom_a_signal_takes_away_goes_to_the_next() -> None:
    """As on Ctrl+C: the handler raises in the middle of the main thread's wait."""
    some, bells = watched()
    next_one = Getter(some)

    def put_and_raise(*_: object) -> None:
        next_one.start()
        assert bells.hung.acquire(timeout=MINUTE)
        some.put(Item(1, True))
        raise KeyboardInterrupt

    interrupted(some, bells, put_and_raise)
    next_one.done()
    assert next_one.item == Item(1, True)
    assert not bells


def test_a_signal_leaves_nobody_behind_who_waits_no_more() -> None:
    some, bells = watched()

    def raise_it(*_: object) -> None:
        raise KeyboardInterrupt

    interrupted(some, bells, raise_it)
    assert not bells
    some.put(Item(1, True))
    assert some.get(timeout=MINUTE) == Item(1, True)


class Cut:
    """A lock or a line of bells in which a Ctrl+C comes at the end of one call."""

    def __init__(self, part: Any, call: str) -> None:
        self.part = part
        self.call: str | None = call

    def __getattr__(self, name: str) -> Any:
        if name != self.call:
            return getattr(self.part, name)

        def last(*arguments: Any) -> None:
            self.call = None
            getattr(self.part, name)(*arguments)
            raise KeyboardInterrupt

        return last

    def __enter__(self) -> None:
        self.part.acquire()

    def __exit__(self, *_: object) -> None:
        self.part.release()

    def __len__(self) -> int:
        return len(self.part)

    def __contains__(self, bell: object) -> bool:
        return bell in self.part

    def __getitem__(self, index: int) -> Any:
        return self.part[index]


@pytest.mark.parametrize(("part", "call"), [("_bells", "append"), ("_mutex", "release")])
def test_a_ctrl_c_on_the_way_into_the_wait_leaves_nothing_behind(part: str, call: str) -> None:
    some = filled(2)
    setattr(some, part, Cut(getattr(some, part), call))
    with pytest.raises(KeyboardInterrupt):
        some.get(timeout=MINUTE)
    assert not len(some._bells)
    assert not some.mutex.locked()
    getter = Getter(some)
    getter.start()
    some.put(Item(1, True))
    getter.done()
    assert getter.item == Item(1, True)


def test_one_who_was_woken_half_does_not_keep_the_next_asleep() -> None:
    """A Ctrl+C between the two steps of waking leaves an open lock in the line."""
    some, bells = watched()
    getter = Getter(some)
    getter.start()
    assert bells.hung.acquire(timeout=MINUTE)
    bells.appendleft(threading.Lock())
    some.put(Item(1, True))
    getter.done()
    assert getter.item == Item(1, True)
    assert not bells


@pytest.mark.parametrize("end", ["task_done", "drop", "immediate"])
def test_join_waits_for_what_was_not_dropped(end: str) -> None:
    some = filled(2, Item(1, True), Item(2, True), Item(3, True))
    if end == "task_done":
        given = some.get()
        some.unget(given)
        for _ in range(2):
            some.get()
            some.task_done()
    elif end == "drop":
        some.clear()
    else:
        some.shutdown(immediate=True)
    waiter = threading.Thread(target=some.join, name="voicews-test-join", daemon=True)
    waiter.start()
    waiter.join(MINUTE)
    assert not waiter.is_alive()
    with pytest.raises(ValueError, match="too many"):
        some.task_done()


# -- many threads ------------------------------------------------------------------------------


@pytest.mark.parametrize("maxsize", [1, 7, 200])
@pytest.mark.parametrize("consumers", [1, 3])
def test_nothing_is_lost_among_many_threads_but_what_was_counted(maxsize: int, consumers: int) -> None:
    """Put = got + dropped, each producer's items stay in order, and words are never dropped."""
    producers, each = 4, 1500
    shared: DropOldestQueue[tuple[int, int, bool]] = DropOldestQueue(maxsize, droppable=lambda item: item[2])
    start = threading.Barrier(producers + consumers)
    room = threading.Semaphore(0)
    accepted: list[list[tuple[int, int, bool]]] = [[] for _ in range(producers)]
    got: list[list[tuple[int, int, bool]]] = [[] for _ in range(consumers)]

    def produce(me: int) -> None:
        start.wait(MINUTE)
        for number in range(each):
            item = (me, number, number % 5 != 0)
            while True:
                try:
                    shared.put(item)
                except queue.Full:
                    # Words must wait for room; drop-oldest has no waiting, so look again after the next get.
                    room.acquire(timeout=0.01)
                    continue
                break
            accepted[me].append(item)

    def consume(me: int) -> None:
        start.wait(MINUTE)
        while True:
            try:
                item = shared.get(timeout=0.001)
            except queue.Empty:
                continue
            except ShutDown:
                return
            room.release()
            if len(got[me]) % 97 == 13:
                shared.unget(item)
                item = shared.get()
            got[me].append(item)
            shared.task_done()

    threads = [
        threading.Thread(target=job, args=(me,), name=f"voicews-test-{job.__name__}-{me}", daemon=True)
        for job, count in ((produce, producers), (consume, consumers))
        for me in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads[:producers]:
        thread.join(MINUTE)
    shared.shutdown()
    for thread in threads[producers:]:
        thread.join(MINUTE)
    assert not any(thread.is_alive() for thread in threads)

    received = [item for items in got for item in items]
    dropped = sum(shared.dropped.values())
    assert len(set(received)) == len(received)
    assert len(received) + dropped == producers * each
    words = {item for items in accepted for item in items if not item[2]}
    assert words <= set(received)
    assert shared.unfinished_tasks == 0
    if consumers == 1:
        for me in range(producers):
            numbers = [number for producer, number, _ in received if producer == me]
            assert numbers == sorted(numbers)
