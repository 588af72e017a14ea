"""What `voicews bench` does with a server: pings, marked sound in real time, and then a burst of it."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from voicews.buffers import DropOldestQueue, ShutDown
from voicews.cli.chirps import MARK_SECONDS, MARKS, Recogniser, mark
from voicews.commands import Command, SendAudio
from voicews.config import Buffers, ClientConfig
from voicews.deadline import Deadline
from voicews.dialects.base import Dialect
from voicews.errors import ConnectTimeout, ServiceError
from voicews.events import AudioReceived, Event, ServerError
from voicews.history import History
from voicews.stats import Counters
from voicews.threads.collector import Collector
from voicews.threads.connection import Connection, Ended, Linked, News, Ready
from voicews.threads.worker import Worker

__all__ = ["Measurement", "Progress"]

PING_EVERY = 0.1
MARK_EVERY = 0.7
_FRAME = 0.02
_LISTEN, _TALK = 0.2, 0.65
"""Shares of the time: pings alone, and pings with sound; the rest is for the burst."""
_LAST_MARKS = 1.0
"""Seconds in which the last marks may still come back, from a server that sends marks back."""
_HUSH = 0.5
"""Seconds without sound after which a burst has come back."""
_GOODBYE = 1.0
_LOOK = 0.1
_MOST = 30_000
"""Pieces of received sound that may wait to be looked at."""


@dataclass
class Progress:
    """What has been measured so far.  Times are in seconds; those of a point count from its beginning."""

    phase: str = "connecting"
    share: float = 0.0
    """How much of the time has passed, from 0 to 1."""
    connect: float | None = None
    """From the name's resolution to the WebSocket's acceptance."""
    pings: int = 0
    rtts: list[tuple[float, float]] = field(default_factory=list)
    """When a pong came, and the round trip."""
    marks: int = 0
    """Marks sent."""
    echoes: list[tuple[float, float]] = field(default_factory=list)
    """When a mark came back, and how long after it was sent."""
    sound_sent: float = 0.0
    sound_received: float = 0.0
    bytes_per_second: int = 0
    """Of the sound, in real time."""
    up: float | None = None
    """Bytes of sound in a second that the server took."""
    down: float | None = None
    """Bytes of sound in a second that came back of the burst."""
    complaints: list[str] = field(default_factory=list)
    """What the server reported as errors."""


class _Samples(Counters):
    """Passes each measured round trip on."""

    def __init__(self, note: Callable[[float], None]) -> None:
        super().__init__()
        self._note = note

    def sample(self, name: str, seconds: float) -> None:
        if name == "rtt":
            self._note(seconds)


class _Talker(Worker):
    """Says marks in real time, with silence between them."""

    def __init__(self, dialect: Dialect, outbox: DropOldestQueue[Command]) -> None:
        super().__init__("talker")
        self._outbox = outbox
        self._format = dialect.input_format
        self.said: list[float] = []
        """When the frame with a mark's end was ready."""
        self.frames = 0

    def work(self) -> None:
        """Until asked to end, but a mark that has begun is said to its end."""
        size = self._format.bytes(_FRAME)
        # A mark ends in the middle of a frame: a server may shift it by some samples.
        lead = self._format.bytes(0.75 * _FRAME)
        pause = bytes(self._format.bytes(MARK_EVERY - MARK_SECONDS) - lead)
        began = time.monotonic()
        try:
            while not self._ending.is_set():
                number = len(self.said)
                sound = bytes(lead) + mark(number, self._format) + pause
                end = (lead + self._format.bytes(MARK_SECONDS) - 1) // size
                for place in range(len(sound) // size):
                    self.frames += 1
                    self._wait_until(began + self.frames * _FRAME)
                    self._outbox.put(SendAudio(sound[place * size : (place + 1) * size], time.monotonic()))
                    if place == end:
                        self.said.append(time.monotonic())
                    elif place > end and self._ending.is_set():
                        return
        except ShutDown:
            return

    def _wait_until(self, at: float) -> None:
        while (left := at - time.monotonic()) > 0:
            if self._ending.wait(left):
                threading.Event().wait(max(0.0, at - time.monotonic()))


class Measurement:
    """One connection, measured for so long.

    Args:
        dialect: the server.
        seconds: how long all of it may take, connecting aside.
        burst: seconds of sound that are sent at once in the end; 0 sends none.
        way: its ``tls`` and ``proxy`` lead to the server.

    Attributes:
        progress: what has been measured so far; changed by :meth:`run` only.
    """

    def __init__(self, dialect: Dialect, *, seconds: float, burst: float, way: ClientConfig) -> None:
        self._dialect = dialect
        self._seconds = seconds
        self._burst = burst
        self._config = replace(way, buffers=Buffers(outbox=max(2.0, 2 * burst), max_audio_age=60.0))
        self._outbox: DropOldestQueue[Command] = DropOldestQueue(
            round(self._config.buffers.outbox / _FRAME),
            droppable=lambda command: isinstance(command, SendAudio),
        )
        self._talker = _Talker(dialect, self._outbox)
        self._lock = threading.Lock()
        self._rtts: deque[tuple[float, float]] = deque(maxlen=_MOST)
        self._heard: deque[AudioReceived | ServerError] = deque(maxlen=_MOST)
        self._news: DropOldestQueue[News] = DropOldestQueue(100)
        self._frames_sent = 0
        self._recogniser: Recogniser | None = None
        self._came: list[tuple[float, int]] = []
        self._began = 0.0
        self._draw: Callable[[], None] = lambda: None
        self.progress = Progress(bytes_per_second=dialect.input_format.bytes(1.0))
        self._connection = Connection(
            1,
            dialect,
            dialect.begin(None, History(0), ()),
            self._config,
            outbox=self._outbox,
            counters=_Samples(self._note_rtt),
            collector=Collector(),
            tell=self._news.put,
            hear=self._hear,
            sending=_say_nothing,
            sent=self._sent,
            refused=_say_nothing,
        )

    # -- from the connection's threads --------------------------------------------------------

    def _note_rtt(self, seconds: float) -> None:
        self._rtts.append((time.monotonic(), seconds))

    def _hear(self, event: Event, _generation: int) -> None:
        if isinstance(event, AudioReceived | ServerError):
            self._heard.append(event)

    def _sent(self, command: Command, _at: float) -> None:
        if isinstance(command, SendAudio):
            self._frames_sent += 1

    # -- the thread that measures -------------------------------------------------------------

    def run(self, draw: Callable[[], None]) -> None:
        """Measure to the end; ``progress`` tells what there is, also after an error or Ctrl+C.

        Args:
            draw: called about ten times a second.

        Raises:
            VoicewsError: it could not connect, or the connection was lost.
        """
        self._draw = draw
        began = time.monotonic()
        self._connection.start()
        try:
            self._connect(began)
            self._began = time.monotonic()
            self._listen_and_talk()
            self._throw_in()
            self._enter("done")
        finally:
            self._take_in(last=True)
            self._talker.stop()
            self._outbox.shutdown(immediate=True)
            self._connection.close()
            self._connection.ended_within(_GOODBYE)
            self._connection.abort()
            self._connection.ended_within(_GOODBYE)
            self._talker.ended_within(_GOODBYE)

    def _connect(self, began: float) -> None:
        linked = Deadline(self._config.timeouts.connect + 2.0)
        while self.progress.connect is None:
            if isinstance(self._next_news(), Linked):
                self.progress.connect = time.monotonic() - began
            elif linked.passed:
                raise ConnectTimeout("the attempt to connect hangs")
        accepted = Deadline(self._config.timeouts.session)
        while not self._connection.session.ready:
            if accepted.passed:
                raise ConnectTimeout("the server did not accept the session in time")
            self._next_news()

    def _next_news(self, seconds: float = _LOOK) -> News | None:
        """What the connection tells within so many seconds.

        Raises:
            VoicewsError: that it is over.
        """
        try:
            news = self._news.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return None
        if isinstance(news, Ended):
            if news.error is None:
                raise ServiceError("the server ended the connection")
            raise news.error
        return None if isinstance(news, Ready) else news

    def _enter(self, phase: str) -> None:
        self.progress.phase = phase
        self._take_in()
        self._draw()

    def _listen_and_talk(self) -> None:
        talk_at, stop_at = self._seconds * _LISTEN, self._seconds * (_LISTEN + _TALK)
        self._enter("pings")
        ping_at, look_at = 0.0, PING_EVERY / 2
        while (now := time.monotonic() - self._began) < stop_at:
            if now >= talk_at and self.progress.phase == "pings":
                self._talker.start()
                self._enter("pings and sound")
            if now >= ping_at:
                ping_at = max(ping_at + PING_EVERY, now)
                # Halfway to the next ping: looking at what came must not delay a pong.
                look_at = now + PING_EVERY / 2
                self.progress.pings += 1
                self._connection.ping()
            elif now >= look_at:
                look_at = ping_at + PING_EVERY
                self._take_in()
                self._draw()
            self._next_news(min(ping_at, look_at, stop_at) - (time.monotonic() - self._began))
        self._talker.stop()
        patience = Deadline(_LAST_MARKS)
        while self._awaits_something() and not patience.passed:
            self._next_news()
            self._take_in()
            self._draw()

    def _awaits_something(self) -> bool:
        progress = self.progress
        marks = bool(progress.echoes) and len(progress.echoes) < len(self._talker.said)
        return self._talker.is_alive() or marks or len(progress.rtts) < progress.pings

    def _throw_in(self) -> None:
        """Send sound as fast as it goes, then a ping: its pong says that all of it was taken."""
        if not self._burst or not self.progress.rtts:
            return
        self._enter("burst")
        frames, before = round(self._burst / _FRAME), self._frames_sent
        size = self._dialect.input_format.bytes(_FRAME)
        pongs, since = len(self.progress.rtts), time.monotonic()
        deadline = Deadline(max(1.0, self._seconds * (1 - _LISTEN - _TALK) + 1.0))
        for _ in range(frames):
            self._outbox.put(SendAudio(bytes(size), time.monotonic()))
        while self._frames_sent - before < frames and not deadline.passed:
            self._next_news(0.002)
        sent = self._frames_sent - before
        self._connection.ping()
        self.progress.pings += 1
        while len(self.progress.rtts) <= pongs and not deadline.passed:
            self._next_news(0.002)
            self._take_in()
        if len(self.progress.rtts) > pongs:
            # The pong of the burst is no measure of the line at rest.
            came, _ = self.progress.rtts.pop()
            self.progress.pings -= 1
            way_back = min(rtt for _, rtt in self.progress.rtts)
            took = max(1e-6, self._began + came - since - way_back)
            self.progress.up = sent * size / took
        if self.progress.echoes:
            self._await_echo_of_burst(since, sent * size, deadline)

    def _await_echo_of_burst(self, since: float, expected: int, deadline: Deadline) -> None:
        def came() -> list[tuple[float, int]]:
            return [(at, count) for at, count in self._came if at > since]

        while not deadline.passed:
            self._next_news()
            self._take_in()
            self._draw()
            pieces = came()
            if sum(count for _, count in pieces) >= 0.9 * expected:
                break
            if pieces and time.monotonic() - pieces[-1][0] > _HUSH:
                break
        pieces = came()
        if len(pieces) > 1 and pieces[-1][0] > pieces[0][0]:
            self.progress.down = sum(count for _, count in pieces[1:]) / (pieces[-1][0] - pieces[0][0])

    def _take_in(self, *, last: bool = False) -> None:
        """Add what the connection's threads have left since the last time."""
        progress = self.progress
        while self._rtts:
            at, rtt = self._rtts.popleft()
            progress.rtts.append((at - self._began, rtt))
        while self._heard:
            event = self._heard.popleft()
            if isinstance(event, ServerError):
                progress.complaints.append(str(event))
                continue
            progress.sound_received += event.format.seconds(event.pcm)
            self._came.append((event.at, len(event.pcm)))
            if self._recogniser is None or self._recogniser.format != event.format:
                self._recogniser = Recogniser(event.format)
            self._recogniser.feed(event.pcm, event.at)
        if self._recogniser is not None and progress.phase != "burst":
            for found in self._recogniser.look(last=last):
                self._match(found.number, found.at)
        progress.marks = len(self._talker.said)
        progress.sound_sent = self._frames_sent * _FRAME
        if self._began:
            progress.share = min(1.0, (time.monotonic() - self._began) / self._seconds)

    def _match(self, number: int, at: float) -> None:
        """A mark has come back: of those that sounded so, the newest that had been sent."""
        sent = [said for n, said in enumerate(self._talker.said) if n % MARKS == number and said <= at]
        if sent:
            self.progress.echoes.append((at - self._began, at - sent[-1]))


def _say_nothing(_refused: Command) -> None:
    """Nothing but sound is said, and that is counted."""
