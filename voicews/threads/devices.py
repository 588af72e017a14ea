"""The two sound devices of a run: who owns them, what becomes of hung ones, whether sound moves."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from voicews.audio.base import AudioSink, AudioSource
from voicews.audio.silence import NullSink, SilenceSource
from voicews.buffers import DropOldestQueue
from voicews.commands import Command, SendAudio
from voicews.config import ClientConfig
from voicews.dialects.base import Dialect
from voicews.errors import AudioError, DeviceLostError
from voicews.events import DeviceLost, Event
from voicews.stats import Counters
from voicews.threads.capture import Capture
from voicews.threads.player import Player
from voicews.threads.watchdog import Watchdog

__all__ = ["LOOK", "DeviceOpened", "Devices", "PlayedOut"]

log = logging.getLogger(__name__)

LOOK = 1.0
"""Seconds between two calls of :meth:`Devices.look`."""


@dataclass(frozen=True)
class DeviceOpened:
    """News for the supervisor: a device works; with an error, silence took its place."""

    device: str
    error: AudioError | None


@dataclass(frozen=True)
class PlayedOut:
    """News for the supervisor: the player has ended."""


class Devices:
    """Microphone and loudspeaker with their threads; used by the supervisor thread.

    Args:
        silence_for: the devices, "microphone" or "speaker", that silence may take the place of.
        outbox: where captured frames go.
        counters: counts them.
        is_muted: asked per frame.
        emit: tells the user's callbacks.
        opened: called with the device, and why silence took its place or None; on the device's thread.
        fault: called with what no other attempt mends; likewise.
        interrupted: called with the milliseconds heard; on the player thread.
        played_out: called when the player has ended; on its thread.

    Attributes:
        capture, player: the present threads.
        unopened: the devices that have not been opened yet.
    """

    def __init__(
        self,
        dialect: Dialect,
        microphone: AudioSource,
        speaker: AudioSink,
        config: ClientConfig,
        *,
        silence_for: frozenset[str],
        outbox: DropOldestQueue[Command],
        counters: Counters,
        is_muted: Callable[[], bool],
        emit: Callable[[Event], None],
        opened: Callable[[str, AudioError | None], None],
        fault: Callable[[BaseException], None],
        interrupted: Callable[[int], None],
        played_out: Callable[[], None],
    ) -> None:
        self._dialect = dialect
        self._microphone = microphone
        self._speaker = speaker
        self._config = config
        self._silence_for = silence_for
        self._outbox = outbox
        self._counters = counters
        self._is_muted = is_muted
        self._emit = emit
        self._opened = opened
        self._fault = fault
        self._interrupted = interrupted
        self._played_out = played_out
        self._watchdog = Watchdog(config.watchdog)
        self._looked_at = time.monotonic()
        self.unopened = {"microphone", "speaker"}
        self.capture = self._make_capture()
        self.player = self._make_player()

    def _make_capture(self, *, abandoned: Capture | None = None) -> Capture:
        return Capture(
            self._microphone,
            format=self._dialect.input_format,
            frame=self._config.frame,
            patience=self._config.timeouts.device,
            outbox=self._outbox,
            counters=self._counters,
            is_muted=self._is_muted,
            emit=self._emit,
            opened=lambda error: self._opened("microphone", error),
            fault=self._fault,
            fallback=SilenceSource() if "microphone" in self._silence_for else None,
            awaits=self._config.await_devices,
            abandoned=abandoned,
        )

    def _make_player(self, *, abandoned: Player | None = None) -> Player:
        return Player(
            self._speaker,
            format=self._dialect.output_format,
            seconds=self._config.buffers.playback,
            patience=self._config.timeouts.device,
            emit=self._emit,
            opened=lambda error: self._opened("speaker", error),
            fault=self._fault,
            interrupted=self._interrupted,
            ended=self._played_out,
            fallback=NullSink() if "speaker" in self._silence_for else None,
            awaits=self._config.await_devices,
            abandoned=abandoned,
        )

    def start(self) -> None:
        """Begin to open both."""
        self.capture.start()
        self.player.start()

    def look(self, *, connected: bool) -> AudioError | None:
        """Replace a thread that hangs in a driver, and judge whether sound moves.

        Args:
            connected: whether captured sound should be leaving.

        Returns:
            Why the watchdog barks, or None.
        """
        now, before = time.monotonic(), self._looked_at
        self._looked_at = now
        if now - before > 2 * LOOK:  # this process itself stood still, and so did they
            self._watchdog.rest()
            return None
        for worker in (self.capture, self.player):
            if worker.abandon_if_hanging():
                self._replace(worker, "a call of its driver does not return")
        if not connected or SendAudio not in self._dialect.accepts:
            self._watchdog.rest()
            return None
        return self._watchdog.look(
            now,
            sent=self._counters.count("frames_sent") + self._outbox.dropped.get("refused", 0),
            playing_stuck_for=self.player.stuck_for,
            trials_hang_for={worker.device: worker.trial_hangs_for for worker in (self.capture, self.player)},
        )

    def overdue(self) -> AudioError | None:
        """The time for opening them is up.

        Returns:
            Why the run has to end; None if they are awaited.
        """
        seconds = self._config.timeouts.device
        if not self._config.await_devices:
            names = " and ".join(sorted(self.unopened))
            return DeviceLostError(f"the {names} could not be opened within {seconds} s")
        for worker in (self.capture, self.player):
            if worker.device in self.unopened:
                worker.abandon()
                self._replace(worker, f"it could not be opened within {seconds} s")
                self._opened(worker.device, None)
        return None

    def _replace(self, worker: Capture | Player, why: str) -> None:
        """Leave a thread in the driver, by name, and let another take its place."""
        log.error("%s is left in the driver: the %s does not answer", worker.name, worker.device)
        if not worker.is_lost:
            error = DeviceLostError(f"the {worker.device} is lost: {why}", hangs=True)
            self._emit(DeviceLost(worker.device, error))
        if worker is self.capture:
            self.capture = self._make_capture(abandoned=self.capture)
            self.capture.start()
        else:
            self.player = self._make_player(abandoned=self.player)
            self.player.start()

    def alive(self) -> list[threading.Thread]:
        """The threads that should have ended and have not."""
        for trial in (*self.capture.trials, *self.player.trials):
            log.warning("%s is left in the driver", trial.name)
        return [worker for worker in (self.capture, self.player) if worker.is_alive()]
