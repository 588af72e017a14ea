"""Microphone and loudspeaker of one run: their threads, and who takes over from one that hangs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from voicews.audio.base import AudioSink, AudioSource
from voicews.audio.silence import NullSink, SilenceSource
from voicews.buffers import DropOldestQueue
from voicews.commands import Command
from voicews.config import ClientConfig
from voicews.dialects.base import Dialect
from voicews.errors import AudioError, DeviceLostError
from voicews.events import DeviceLost, Event
from voicews.lifecycle import Fault
from voicews.stats import Counters
from voicews.threads.capture import Capture
from voicews.threads.player import Player

__all__ = ["DeviceOpened", "Devices", "PlayedOut"]

log = logging.getLogger(__name__)

_HUNG = 2.0
"""Seconds in one call of a sound device after which its driver is held to hang."""


@dataclass(frozen=True)
class DeviceOpened:
    """News for the supervisor: a sound device works; with an error, silence took its place."""

    device: str
    error: AudioError | None


@dataclass(frozen=True)
class PlayedOut:
    """News for the supervisor: the player has ended."""


class Devices:
    """The two sound threads.

    Args:
        silence_for: "microphone" and "speaker", where silence may take the place of none.
        is_muted: asked per captured frame.
        emit: tells the user's callbacks.
        interrupted: called by the player with the milliseconds heard, after a flush.
        post: gets the news.

    Attributes:
        capture: the present capture thread.
        player: the present player thread.
        fallbacks: why silence took a device's place.
    """

    def __init__(
        self,
        microphone: AudioSource,
        speaker: AudioSink,
        dialect: Dialect,
        config: ClientConfig,
        *,
        silence_for: frozenset[str],
        outbox: DropOldestQueue[Command],
        counters: Counters,
        is_muted: Callable[[], bool],
        emit: Callable[[Event], None],
        interrupted: Callable[[int], None],
        post: Callable[[object], None],
    ) -> None:
        self._microphone = microphone
        self._speaker = speaker
        self._dialect = dialect
        self._config = config
        self._silence_for = silence_for
        self._outbox = outbox
        self._counters = counters
        self._is_muted = is_muted
        self._emit = emit
        self._interrupted = interrupted
        self._post = post
        self._unopened = {"microphone", "speaker"}
        self.fallbacks: list[AudioError] = []
        self.capture = self._make_capture()
        self.player = self._make_player()

    def start(self) -> None:
        """Let both open."""
        self.capture.start()
        self.player.start()

    def opened(self, news: DeviceOpened) -> None:
        """Take note of one that is open."""
        if news.error is not None:
            log.info("no %s, using silence: %s", news.device, news.error)
            self.fallbacks.append(news.error)
        self._unopened.discard(news.device)

    @property
    def unopened(self) -> list[str]:
        """Those that are not open yet."""
        return sorted(self._unopened)

    def look_for_hung(self) -> None:
        """A thread that hangs in a driver is left there by name, and another takes its place."""
        if self.capture.hangs(_HUNG):
            self._leave(self.capture, "microphone")
            self.capture = self._make_capture(lost=True)
            self.capture.start()
        if self.player.hangs(_HUNG):
            self._leave(self.player, "speaker")
            self.player = self._make_player(abandoned=self.player)
            self.player.start()

    def _leave(self, worker: Capture | Player, device: str) -> None:
        log.error("%s hangs in the %s's driver and is left there", worker.name, device)
        worker.abandon()
        error = DeviceLostError(f"the {device} has hung for {_HUNG:g} s, in its driver or sound server")
        self._emit(DeviceLost(device, error))

    def _make_capture(self, *, lost: bool = False) -> Capture:
        return Capture(
            self._microphone,
            format=self._dialect.input_format,
            frame=self._config.frame,
            outbox=self._outbox,
            counters=self._counters,
            is_muted=self._is_muted,
            emit=self._emit,
            opened=lambda error: self._post(DeviceOpened("microphone", error)),
            fault=lambda error: self._post(Fault(error)),
            fallback=SilenceSource() if "microphone" in self._silence_for else None,
            lost=lost,
        )

    def _make_player(self, *, abandoned: Player | None = None) -> Player:
        return Player(
            self._speaker,
            format=self._dialect.output_format,
            seconds=self._config.buffers.playback,
            emit=self._emit,
            opened=lambda error: self._post(DeviceOpened("speaker", error)),
            fault=lambda error: self._post(Fault(error)),
            interrupted=self._interrupted,
            ended=lambda: self._post(PlayedOut()),
            fallback=NullSink() if "speaker" in self._silence_for else None,
            abandoned=abandoned,
        )
