"""What all threads have in common: a name, a way to be asked to end, a kept exception."""

from __future__ import annotations

import contextlib
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable

from voicews.starting import wanting

__all__ = ["Worker", "each"]

log = logging.getLogger(__name__)


def each(*steps: Callable[[], object]) -> None:
    """Take all steps of a clean-up in order: one that raises does not keep the next from being taken.

    Raises:
        BaseException: what the first of those that failed has raised; the others are logged.
    """
    first: BaseException | None = None
    for step in steps:
        try:
            step()
        except BaseException as error:
            if first is not None:
                with contextlib.suppress(Exception):  # a handler of the log's may be what fails
                    log.error("another step of the clean-up failed", exc_info=error)
            first = first or error
    if first is not None:
        raise first


class Worker(threading.Thread, ABC):
    """A named daemon thread that ends on request and keeps the exception that ended it.

    Attributes:
        error: what :meth:`work` raised, or None.
        home: the worker whose run it is part of; inherited from the worker that made it.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name=f"voicews-{name}", daemon=True)
        self.error: BaseException | None = None
        parent = threading.current_thread()
        self.home: Worker = parent.home if isinstance(parent, Worker) else self
        self._ending = threading.Event()

    @abstractmethod
    def work(self) -> None:
        """The thread's job; returns soon after :meth:`stop` was called."""

    def start(self) -> None:
        """Begin.

        Raises:
            ThreadUnavailable: the system has no thread left; then nothing has begun.
        """
        with wanting(self):
            super().start()

    def stop(self) -> None:
        """Ask the thread to end; any thread may, and more than once."""
        self._ending.set()

    def run(self) -> None:
        """Do the job.  What it raises is kept, and told to :meth:`failed`.

        Whatever goes wrong there too, the owner learns that this thread has ended.
        """
        try:
            self.work()
        except BaseException as error:  # noqa: BLE001 - it is kept and told
            self.error = error
            self.failed(error)
        finally:
            self.home.left(self)

    def failed(self, error: BaseException) -> None:
        """The job raised what it should have handled; runs on this thread."""
        raise error

    def left(self, worker: Worker) -> None:
        """A thread of the run that this one owns has ended; called on that thread, as its last deed."""

    def ended_within(self, seconds: float | None) -> bool:
        """Wait for the end; True if it came.  A thread never started counts as ended."""
        if self.ident is None:
            return True
        self.join(seconds)
        return not self.is_alive()
