"""What the capture and the player thread have in common: a sound device, in whose driver they may hang."""

from __future__ import annotations

import logging
import threading
import time
from abc import abstractmethod
from collections.abc import Callable
from typing import Protocol, TypeVar

from voicews.errors import AudioError
from voicews.threads.reopening import DeviceUser, Reopening

__all__ = ["WAKING", "Abandoned", "DeviceWorker"]

log = logging.getLogger(__name__)

T = TypeVar("T")

_HUNG = 2.0
"""Seconds in one call of a sound device after which its driver is held to hang."""
WAKING = 3.0
"""The same while the device wakes: an idle HDMI or Bluetooth device, or a sink that nobody reads, may take
two seconds for its first sound, and to end before that."""
_LAST_TRIAL = 1.0
"""Seconds that the end waits for a trial to give the device back."""


class Abandoned(Exception):
    """This thread has come back from a driver, and another has taken its place."""


class _Closable(Protocol):
    def close(self) -> None: ...


class DeviceWorker(DeviceUser):
    """The thread that owns a sound device.

    Args:
        name: of the thread.
        device: "microphone" or "speaker".
        patience: seconds that opening the device, and its first sound, may take.
        abandoned: the thread that this one takes the place of, for it hangs in the device.
    """

    def __init__(
        self, name: str, device: str, patience: float, abandoned: DeviceWorker | None = None
    ) -> None:
        super().__init__(name)
        self.device = device
        self._patience = patience
        self._handover = threading.Lock()
        self._back_by: float | None = None
        self._abandoned = False
        self._lost = abandoned is not None
        left = [] if abandoned is None else [*abandoned.trials, abandoned]
        self._reopening = Reopening(device, self._try_out, left)

    # -- from other threads -----------------------------------------------------------------

    @property
    def hangs(self) -> bool:
        """True if a call of the device has lasted too long; a driver can hang for ever."""
        back_by = self._back_by
        return back_by is not None and self.is_alive() and time.monotonic() > back_by

    @property
    def trial_hangs_for(self) -> float:
        """Seconds for which the lost device has been there and has not answered."""
        return self._reopening.hanging

    @property
    def trials(self) -> list[DeviceUser]:
        """Threads that try the device out, or hang in it."""
        return self._reopening.trials

    @property
    def is_lost(self) -> bool:
        """True from the device's loss until it is restored."""
        return self._lost

    def abandon(self) -> None:
        """Leave this thread to its hanging device: it will tell nothing any more."""
        with self._handover:
            self._abandoned = True
        self._ending.set()

    def abandon_if_hanging(self) -> bool:
        """The same, unless it has come back by now; True if it was done."""
        with self._handover:
            if not self.hangs:
                return False
            self._abandoned = True
        self._ending.set()
        return True

    # -- this thread ------------------------------------------------------------------------

    @abstractmethod
    def _try_out(self, trial: DeviceUser) -> None:
        """Open the device, move a little sound, close it; runs on ``trial``, a thread of its own."""

    def _in_device(self, call: Callable[[], T], patience: float | None = None) -> T:
        """Call the device, and let others see for how long.

        Raises:
            Abandoned: meanwhile another thread has taken over.
        """
        with self._handover:  # else it could be abandoned, and its device given away, between the two
            if self._abandoned:
                raise Abandoned
            self._back_by = time.monotonic() + (_HUNG if patience is None else patience)
        try:
            result = call()
        except BaseException:
            if self._is_replaced():
                raise Abandoned from None
            raise
        if self._is_replaced():
            raise Abandoned
        return result

    def _patience_until(self, awake_by: float) -> float:
        """Seconds that a call may take of a device that may be waking until then."""
        return max(_HUNG, awake_by - time.monotonic())

    def _is_replaced(self) -> bool:
        """Back from the device: if another thread has taken over, it did so before, never after."""
        with self._handover:
            self._back_by = None
            return self._abandoned

    def _give_back(self, device: _Closable, patience: float | None = None) -> None:
        """Close what may be broken already."""
        try:
            self._in_device(device.close, patience)
        except AudioError as error:
            log.warning("the %s could not be closed: %s", self.device, error)

    def _come_back(self, device: _Closable) -> None:
        """From a driver that this thread was left in."""
        log.info("%s is back from the driver that it was left in", self.name)
        if not self.superseded:
            try:
                device.close()
            except Exception as error:  # noqa: BLE001 - whatever it is, it concerns nobody any more
                log.debug("%s could not close the %s: %s", self.name, self.device, error)

    def _end(self, device: _Closable) -> None:
        """The last thing this thread does."""
        self._reopening.finish(_LAST_TRIAL)
        self._give_back(device)
