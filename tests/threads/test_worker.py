from __future__ import annotations

import threading

import pytest

from tests.patience import PATIENCE
from voicews.errors import ThreadUnavailable
from voicews.threads.worker import Worker


class Sleeper(Worker):
    def __init__(self) -> None:
        super().__init__("sleeper")
        self.told: list[BaseException] = []
        self.crash: BaseException | None = None

    def work(self) -> None:
        self._ending.wait()
        if self.crash is not None:
            raise self.crash

    def failed(self, error: BaseException) -> None:
        self.told.append(error)


def test_a_worker_is_a_named_daemon() -> None:
    worker = Sleeper()
    assert worker.name == "voicews-sleeper"
    assert worker.daemon


def test_where_there_is_no_thread_it_can_be_started_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    worker = Sleeper()
    with monkeypatch.context() as crowded:
        crowded.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(ThreadUnavailable, match="voicews-sleeper"):
            worker.start()
    assert worker.ended_within(0)
    worker.start()
    worker.stop()
    assert worker.ended_within(10)


def test_it_ends_on_request_and_only_then() -> None:
    worker = Sleeper()
    worker.start()
    assert not worker.ended_within(0.01)
    worker.stop()
    worker.stop()
    assert worker.ended_within(10)
    assert worker.error is None


def test_one_that_was_never_started_has_ended() -> None:
    assert Sleeper().ended_within(0)


def test_it_keeps_and_tells_what_ended_it() -> None:
    worker = Sleeper()
    worker.crash = SystemExit(3)
    worker.start()
    worker.stop()
    assert worker.ended_within(10)
    assert worker.error is worker.crash
    assert worker.told == [worker.crash]


def test_untold_it_ends_as_an_unhandled_exception() -> None:
    class Plain(Worker):
        def work(self) -> None:
            raise KeyError("lost")

    seen: list[BaseException | None] = []
    before = threading.excepthook
    threading.excepthook = lambda args: seen.append(args.exc_value)
    try:
        worker = Plain("plain")
        worker.start()
        worker.join(PATIENCE)
    finally:
        threading.excepthook = before
    assert seen == [worker.error]
