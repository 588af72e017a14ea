"""What a run has counted and measured, put together for whoever asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from voicews.commands import Command, SendText
from voicews.events import AudioReceived, Event, SpeechStarted, SpeechStopped
from voicews.stats import Counters, Stats, quantile
from voicews.threads.callbacks import Callbacks
from voicews.threads.devices import Devices

__all__ = ["Statistics"]


class Statistics:
    """The figures of one run.

    Args:
        counters: what the threads count.
        frame: seconds of a captured frame.
        waiting: gives the number of frames in the outbox.
        drops: gives what the buffers threw away: by buffer, then by cause.
        traffic: gives the bytes sent and received on the present connection.
    """

    def __init__(
        self,
        counters: Counters,
        *,
        frame: float,
        waiting: Callable[[], int],
        drops: Callable[[], Mapping[str, Mapping[str, int]]],
        traffic: Callable[[], tuple[int, int]],
        devices: Devices,
        callbacks: Callbacks,
    ) -> None:
        self._counters = counters
        self._frame = frame
        self._waiting = waiting
        self._drops = drops
        self._traffic = traffic
        self._devices = devices
        self._callbacks = callbacks
        self._began = time.monotonic()
        self._ended: float | None = None
        self._connections = 0
        self._outage: tuple[float, float | None] = (0.0, None)
        """How long the past ones took together, and when the present one began."""
        self._speech_stopped_at: float | None = None

    # -- from the supervisor ------------------------------------------------------------------

    def session_accepted(self) -> None:
        """There is a session; it ends an outage if there was one before."""
        self._connections += 1
        self._outage = (self._outage_until(time.monotonic()), None)

    def session_missing(self) -> None:
        """An attempt has failed, or a session is lost; after the first session that is an outage."""
        self._speech_stopped_at = None
        if self._connections and self._outage[1] is None:
            self._outage = (self._outage[0], time.monotonic())

    def bytes_passed(self, sent: int, received: int) -> None:
        """What a connection that is over has sent and received."""
        self._counters.add("bytes_sent", sent)
        self._counters.add("bytes_received", received)

    def end(self) -> None:
        """The run is over: time stands still."""
        self._ended = time.monotonic()

    # -- from the threads of the connection ---------------------------------------------------

    def heard(self, event: Event) -> None:
        """The server has said something."""
        if isinstance(event, AudioReceived):
            if (stopped_at := self._speech_stopped_at) is not None:
                self._speech_stopped_at = None
                self._counters.sample("response", event.at - stopped_at)
            self._counters.add("frames_received")
            self._counters.add("sound_received", event.format.seconds(event.pcm))
        elif isinstance(event, SpeechStopped):
            self._speech_stopped_at = event.at
        elif isinstance(event, SpeechStarted):
            self._speech_stopped_at = None

    def frame_sent(self) -> None:
        """A captured frame has gone into the kernel."""
        self._counters.add("frames_sent")

    def sending(self, command: Command) -> None:
        """This is about to be said; what comes after a text answers that, and not speech."""
        if isinstance(command, SendText):
            self._speech_stopped_at = None

    # -- from any thread ----------------------------------------------------------------------

    @property
    def connections(self) -> int:
        """Sessions accepted so far."""
        return self._connections

    def snapshot(self) -> Stats:
        """All of it now."""
        now = self._ended or time.monotonic()
        counters, drops, player = self._counters, self._drops(), self._devices.player
        sent, received = self._traffic()
        waiting = self._waiting()
        rtts, responses = counters.ordered("rtt"), counters.ordered("response")
        return Stats(
            seconds=now - self._began,
            connections=self._connections,
            reconnects=max(0, self._connections - 1),
            outage=self._outage_until(now),
            frames_captured=counters.count("frames_captured"),
            frames_sent=counters.count("frames_sent"),
            frames_dropped=drops["outbox"],
            frames_waiting=waiting,
            outbox_ms=waiting * self._frame * 1000,
            frames_received=counters.count("frames_received"),
            sound_received=counters.seconds("sound_received"),
            playback_ms=player.waiting * 1000,
            playback_dropped=drops["playback"],
            events_waiting=self._callbacks.waiting,
            events_dropped=drops["events"],
            bytes_sent=counters.count("bytes_sent") + sent,
            bytes_received=counters.count("bytes_received") + received,
            overflows=self._devices.capture.overflows,
            underruns=player.underruns,
            rtt=counters.last("rtt"),
            rtt_min=quantile(rtts, 0),
            rtt_median=quantile(rtts, 0.5),
            rtt_p95=quantile(rtts, 0.95),
            response=counters.last("response"),
            response_median=quantile(responses, 0.5),
            response_p95=quantile(responses, 0.95),
        )

    def _outage_until(self, now: float) -> float:
        past, since = self._outage
        return past if since is None else past + now - since
