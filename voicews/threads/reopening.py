"""When and how a lost sound device is asked for again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from voicews.backoff import Backoff
from voicews.errors import AudioError
from voicews.threads.worker import Worker

__all__ = ["REOPENING", "Reopening"]

log = logging.getLogger(__name__)

REOPENING = Backoff(initial=0.2, factor=2.0, cap=5.0, jitter=0.0, max_attempts=None)
"""The delays; a device must have worked for ``stable_after`` seconds to begin with the first again."""
_OVERDUE = 10.0
"""Seconds after which a trial that hangs no longer keeps another from being made."""
_MOST_HANGING = 4
"""Trials that may hang at a time: a driver that holds so many threads will hold the next one too."""
_LOOK = 0.05
"""Seconds between two looks at a trial that is under way."""


class _Trial(Worker):
    """Uses the device once, where it may hang without making silence or time stand still."""

    def __init__(self, device: str, try_out: Callable[[], None]) -> None:
        super().__init__(f"{device}-trial")
        self._try_out = try_out
        self.began = time.monotonic()

    def work(self) -> None:
        self._try_out()

    def failed(self, error: BaseException) -> None:
        log.debug("%s: %s", self.name, error)


class Reopening:
    """The backoff of one device; used by the thread that owns it.

    Opening can hang as long as the sound server does, so the device is first tried out on a
    thread of its own.  Only one that was opened, and has moved sound, is opened for good.

    Args:
        device: its name, for the threads'.
        try_out: opens the device, moves a little sound, closes it; raises what hinders it.
    """

    def __init__(self, device: str, try_out: Callable[[], None]) -> None:
        self._device = device
        self._try_out = try_out
        self._attempt = 0
        self._opened_at = time.monotonic()
        self._again_at: float | None = None
        self._trial: _Trial | None = None
        self._left: list[_Trial] = []

    def lost(self) -> None:
        """The device has failed."""
        if time.monotonic() - self._opened_at >= REOPENING.stable_after:
            self._attempt = 0
        self.missing()

    def missing(self) -> None:
        """It could not be opened again."""
        self._again_at = time.monotonic() + REOPENING.delay(self._attempt)
        self._attempt += 1

    def opened(self) -> None:
        """It works."""
        self._opened_at = time.monotonic()
        self._again_at = None

    def ready(self) -> bool:
        """True once the device was tried out with success.  Call it every now and then.

        Raises:
            BaseException: what the device raised, if it is no AudioError.
        """
        if self._trial is None:
            if self._again_at is not None and time.monotonic() >= self._again_at:
                self._trial = _Trial(self._device, self._try_out)
                self._trial.start()
            return False
        if self._trial.is_alive():
            if self.hanging > _OVERDUE and len(self.trials) < _MOST_HANGING:
                log.warning("%s hangs in the driver", self._trial.name)
                self._left = [trial for trial in (*self._left, self._trial) if trial.is_alive()]
                self._trial = None
                self.missing()
            return False
        error, self._trial = self._trial.error, None
        if error is None:
            return True
        if not isinstance(error, AudioError):
            raise error
        self.missing()
        return False

    @property
    def remaining(self) -> float | None:
        """Seconds until :meth:`ready` should be asked; None if the device works."""
        if self._again_at is None:
            return None
        return _LOOK if self._trial is not None else max(0.0, self._again_at - time.monotonic())

    @property
    def hanging(self) -> float:
        """Seconds for which the present trial has been under way; any thread."""
        trial = self._trial
        return time.monotonic() - trial.began if trial is not None and trial.is_alive() else 0.0

    @property
    def trials(self) -> list[threading.Thread]:
        """The trials that still run; any thread."""
        present = [self._trial] if self._trial is not None else []
        return [trial for trial in (*self._left, *present) if trial.is_alive()]

    def finish(self, seconds: float) -> None:
        """Give the trial that is under way so long to give the device back."""
        if self._trial is not None:
            self._trial.ended_within(seconds)
