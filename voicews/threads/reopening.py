"""When and how a lost sound device is asked for again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from voicews.backoff import Backoff
from voicews.errors import AudioError, DeviceLostError
from voicews.threads.worker import Worker

__all__ = ["REOPENING", "DeviceUser", "Reopening"]

log = logging.getLogger(__name__)

REOPENING = Backoff(initial=0.2, factor=2.0, cap=5.0, jitter=0.0, max_attempts=None)
"""The delays; a device must have worked for ``stable_after`` seconds to begin with the first again."""
_OVERDUE = 10.0
"""Seconds after which a trial that hangs no longer keeps another from being made."""
_MOST_HANGING = 4
"""Threads that may hang at a time: a driver that holds so many will hold the next one too."""
_LOOK = 0.05
"""Seconds between two looks at a trial that is under way."""


class DeviceUser(Worker):
    """A thread that uses a sound device, and may be left hanging in its driver.

    Attributes:
        superseded: True once another thread has begun to use the device: this one, if it comes
            back, has to leave it alone, and otherwise gives it back.
    """

    superseded = False


class _Trial(DeviceUser):
    """Uses the device once, where it may hang without making silence or time stand still."""

    def __init__(self, device: str, try_out: Callable[[DeviceUser], None]) -> None:
        super().__init__(f"{device}-trial")
        self._try_out = try_out
        self.began = time.monotonic()

    def work(self) -> None:
        self._try_out(self)

    def failed(self, error: BaseException) -> None:
        log.debug("%s: %s", self.name, error)


class Reopening:
    """The backoff of one device; used by the thread that owns it.

    Opening can hang as long as the sound server does, so the device is first tried out on a
    thread of its own.  Only one that was opened, and has moved sound, is opened for good.

    Args:
        device: its name, for the threads'.
        try_out: opens the device, moves a little sound, closes it unless the thread was superseded,
            which is its argument; raises what hinders it.
        left: threads that hang in the device already.
    """

    def __init__(
        self, device: str, try_out: Callable[[DeviceUser], None], left: Sequence[DeviceUser] = ()
    ) -> None:
        self._device = device
        self._try_out = try_out
        self._attempt = 0
        self._opened_at = time.monotonic()
        self._again_at: float | None = None
        self._trial: _Trial | None = None
        self._left: list[DeviceUser] = list(left)
        # Since when it is there and does not answer.
        self._mute_since = time.monotonic() if left else None

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
        self._mute_since = None

    def ready(self) -> bool:
        """True once the device was tried out with success.  Call it every now and then.

        Raises:
            BaseException: what the device raised, if it is no AudioError.
        """
        if self._trial is None:
            due = self._again_at is not None and time.monotonic() >= self._again_at
            if due and len(self.trials) < _MOST_HANGING:
                self._begin()
            return False
        trial = self._trial
        if trial.is_alive():
            overdue = time.monotonic() - trial.began > _OVERDUE
            if overdue and len(self.trials) < _MOST_HANGING:
                log.warning("%s hangs in the driver", trial.name)
                self._left = [*self.trials]
                self._trial = None
                self._found_mute(trial.began)
                self.missing()
            return False
        self._trial = None
        if trial.error is None:
            return True
        if not isinstance(trial.error, AudioError):
            raise trial.error
        if isinstance(trial.error, DeviceLostError) and trial.error.hangs:
            self._found_mute(trial.began)
        else:
            self._mute_since = None
        self.missing()
        return False

    def _begin(self) -> None:
        for thread in self._left:
            thread.superseded = True
        self._trial = _Trial(self._device, self._try_out)
        self._trial.start()

    def _found_mute(self, since: float) -> None:
        if self._mute_since is None:
            self._mute_since = since

    @property
    def remaining(self) -> float | None:
        """Seconds until :meth:`ready` should be asked; None if the device works."""
        if self._again_at is None:
            return None
        return _LOOK if self._trial is not None else max(_LOOK, self._again_at - time.monotonic())

    @property
    def hanging(self) -> float:
        """Seconds for which the device has been there and has not answered; any thread."""
        since, trial = self._mute_since, self._trial
        if since is None and trial is not None and trial.is_alive():
            since = trial.began
        return 0.0 if since is None else time.monotonic() - since

    @property
    def trials(self) -> list[DeviceUser]:
        """The trials that still run, and what else hangs in the device; any thread."""
        present = [self._trial] if self._trial is not None else []
        return [trial for trial in (*self._left, *present) if trial.is_alive()]

    def finish(self, seconds: float) -> None:
        """Give the trial that is under way so long to give the device back."""
        if self._trial is not None:
            self._trial.ended_within(seconds)
