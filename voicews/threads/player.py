"""The player thread: it alone touches the loudspeaker, from open to close."""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from voicews.audio.base import AudioSink
from voicews.audio.clock import SAME_UTTERANCE
from voicews.audio.convert import blend
from voicews.audio.silence import NullSink
from voicews.buffers import DropOldestQueue, ShutDown
from voicews.config import AudioFormat
from voicews.deadline import Deadline
from voicews.errors import (
    AudioError,
    BackendMissing,
    DeviceLostError,
    DeviceNotFound,
    FormatUnsupported,
)
from voicews.events import (
    AudioReceived,
    DeviceLost,
    DeviceRestored,
    Event,
    PlaybackFinished,
    PlaybackStarted,
)
from voicews.threads.device_worker import WAKING, Abandoned, DeviceWorker
from voicews.threads.reopening import DeviceUser

__all__ = ["SLICE", "CatchUp", "Player", "Sound"]

log = logging.getLogger(__name__)

SLICE = 0.02
"""Seconds of one item in the playback buffer."""
_POLL = 0.005
_LOOK = 1.0
"""Seconds between two looks at an idle device, so that one that has gone is noticed before an answer."""
_TRIAL, _TRIAL_LASTS = 0.1, WAKING + 1.0
"""Seconds of silence that an opened device has to play, and the time it may take for that."""


@dataclass(slots=True, eq=False)
class Sound:
    """A slice of received sound, or (``pcm`` empty) a sign."""

    generation: int
    format: AudioFormat
    pcm: bytes = field(repr=False)
    epoch: int
    """How many flushes came before it."""
    begins_answer: bool = False
    ends_answer: bool = False


class _Intake:
    """What came to be played; shared by a player and the one that takes its place.

    The lock makes one step of what receivers, fetchers, whoever interrupts, and the player itself do
    to it; so no interruption is told twice, or lost while another player takes over.
    """

    def __init__(self, slices: int) -> None:
        self.lock = threading.RLock()  # a signal handler may interrupt whoever interrupts
        self.playback = DropOldestQueue[Sound](slices, droppable=lambda sound: bool(sound.pcm))
        self.flush_wanted = threading.Event()
        self.generation = 0
        self.epoch = 0
        self.came = 0
        # How much of it was played to its end, or silenced.
        self.settled = -1


class CatchUp:
    """Finds sound that waits without need: pure rules for the player, which asks for each slice.

    What a server sends as fast as it is heard needs no more in the buffer than its jitter.  A stall of
    the machine, or of the network, leaves more there, and all that follows is heard later by as much.
    So where the buffer's least has been the same for two windows, it is more than is needed.
    Sound that is sent faster than it is heard makes it grow, and then shrink.
    """

    _WINDOW = 2.0
    _SAME = 0.05
    _MUCH = 0.6
    _LEFT = 0.1
    _EVERY = 8
    """Of so many slices two are made one: fast enough to matter, slow enough to be understood."""
    _FIRST = 1.0
    """What a server sends ahead in the first second of an answer is its own choice."""

    def __init__(self) -> None:
        self._surplus = 0.0
        self._slices = 0
        self.begin(0.0)

    def begin(self, now: float) -> None:
        """A new answer."""
        self._began = self._since = now
        self._ahead = self._surplus = 0.0
        self._before, self._least = -1.0, math.inf

    def due(self, waiting: float, now: float) -> bool:
        """True if this slice should be made one with the next.

        Args:
            waiting: seconds in the buffer.
            now: monotonic seconds.
        """
        self._least = min(self._least, waiting)
        if now - self._began <= self._FIRST:
            self._ahead = max(self._ahead, waiting)
        if now - self._since >= self._WINDOW:
            enough = self._ahead + self._LEFT
            if abs(self._least - self._before) <= self._SAME and self._least >= enough + self._MUCH:
                self._surplus = self._least - enough
            self._since, self._before, self._least = now, self._least, math.inf
        self._slices += 1
        if self._surplus <= 0 or self._slices % self._EVERY:
            return False
        self._surplus -= SLICE
        return True


class Player(DeviceWorker):
    """Plays the playback buffer, and knows what was really heard.

    Args:
        sink: the loudspeaker.
        format: what the server is expected to send; another one reopens the loudspeaker.
        seconds: how much received sound may wait.
        patience: seconds that opening the loudspeaker may take.
        emit: tells the user's callbacks.
        opened: called once the loudspeaker (or its fallback) is open.
        fault: called with the error if it cannot be opened.
        interrupted: called with the milliseconds heard after a :meth:`flush`.
        ended: called when the thread ends.
        fallback: taken in place of a loudspeaker that does not exist, or whose library does not.
        awaits: True treats a loudspeaker that cannot be opened at first as one that was lost.
        abandoned: a player that hangs in its device; this one takes over its buffer.
    """

    def __init__(
        self,
        sink: AudioSink,
        *,
        format: AudioFormat,
        seconds: float,
        patience: float,
        emit: Callable[[Event], None],
        opened: Callable[[AudioError | None], None],
        fault: Callable[[BaseException], None],
        interrupted: Callable[[int], None],
        ended: Callable[[], None],
        fallback: AudioSink | None = None,
        awaits: bool = False,
        abandoned: Player | None = None,
    ) -> None:
        super().__init__("player", "speaker", patience, abandoned)
        self._sink = sink
        self._format = format
        slices = max(1, round(seconds / SLICE))
        self._intake: _Intake = _Intake(slices) if abandoned is None else abandoned._intake
        self._playback = self._intake.playback
        self._flush_wanted = self._intake.flush_wanted
        self._emit = emit
        self._opened = opened
        self._fault = fault
        self._interrupted = interrupted
        self._ended = ended
        self._fallback = fallback
        self._awaits = awaits
        self._poked = threading.Event()
        self._moved_at = time.monotonic()
        # Below: used by the player thread only.
        self._out: AudioSink = sink
        self._playing = False
        self._flushing = False
        self._pending = 0.0
        # Until when the device may still be waking, and since when it has nothing more to play.
        self._awake_by = 0.0
        self._dry_since = 0.0
        self._answer_is_over = False
        self._catch_up = CatchUp()
        # Seconds that left the loudspeaker since the run began, and those before it was last opened.
        self._heard = self._heard_before = 0.0
        self._started_at = 0.0
        self._answer_at = 0.0
        self._answers_are_marked = False
        if abandoned is not None:
            self._take_over(abandoned)

    def _take_over(self, abandoned: Player) -> None:
        """Its sound, and what somebody waits to be told of it."""
        self._format = abandoned._format
        self._heard = self._heard_before = abandoned._heard
        self._started_at, self._answer_at = abandoned._started_at, abandoned._answer_at
        self._answers_are_marked = abandoned._answers_are_marked
        self._playing = abandoned._playing
        if abandoned._flushing:
            self._flush_wanted.set()

    # -- from other threads -----------------------------------------------------------------

    def feed(self, sound: AudioReceived, generation: int) -> None:
        """Take received sound; the receiver thread calls it.

        What an earlier connection had left to say gives way to the new one.
        """
        step = sound.format.bytes(SLICE)
        with self._intake.lock:
            if self._enter(generation):
                for start in range(0, len(sound.pcm), step):
                    pcm = sound.pcm[start : start + step]
                    self._put(Sound(generation, sound.format, pcm, self._intake.epoch))

    def begin_answer(self, generation: int) -> None:
        """What follows belongs to a new answer; the receiver thread calls it."""
        with self._intake.lock:
            if self._enter(generation):
                self._put(Sound(generation, self._format, b"", self._intake.epoch, begins_answer=True))

    def end_answer(self, generation: int) -> None:
        """The answer is complete, so its end need not be guessed; the receiver thread calls it."""
        with self._intake.lock:
            if self._enter(generation):
                self._put(Sound(generation, self._format, b"", self._intake.epoch, ends_answer=True))

    def flush(self) -> None:
        """Be silent at once; any thread.

        ``interrupted`` is called when it is, unless nothing is left to silence: all has been played,
        or nothing came since the last flush, for the server's word and the user's own interruption
        are often the same.
        """
        intake = self._intake
        with intake.lock:
            if intake.came == intake.settled:
                return
            intake.settled = intake.came
            intake.epoch += 1
            self._playback.clear()
            self._flush_wanted.set()
        self._poke()

    def finish(self, *, play_out: bool) -> None:
        """End after (``play_out``) or before what is left to play; any thread."""
        if not play_out:
            self._ending.set()
        self._playback.shutdown(immediate=not play_out)
        self._poked.set()

    def stop(self) -> None:
        """End now."""
        self.finish(play_out=False)

    @property
    def waiting(self) -> float:
        """Seconds of sound in the playback buffer."""
        return self._playback.qsize() * SLICE

    @property
    def stuck_for(self) -> float:
        """Seconds for which sound has been waiting, and none of it was given to a device."""
        return time.monotonic() - self._moved_at if self._playback.qsize() else 0.0

    @property
    def dropped(self) -> dict[str, int]:
        """Slices thrown away, by cause."""
        return dict(self._playback.dropped)

    @property
    def underruns(self) -> int:
        """Times that the loudspeaker ran dry in the middle of an answer."""
        return self._sink.underruns

    def _enter(self, generation: int) -> bool:
        """False for a connection that was left behind and has woken up.  Call under the lock."""
        if generation > self._intake.generation:
            self._intake.generation = generation
            self._playback.drop_if(lambda sound: sound.generation < generation, "superseded")
        return generation == self._intake.generation

    def _put(self, sound: Sound) -> None:
        if not self._playback.qsize():
            self._moved_at = time.monotonic()
        try:
            self._playback.put(sound)
        except ShutDown:
            log.debug("sound came after the end")
        except queue.Full:
            log.warning("the playback buffer is full of answers without sound")
        if not sound.ends_answer:
            self._intake.came += 1

    def _poke(self) -> None:
        """Wake the thread from either of its two waits."""
        self._poked.set()
        self._playback.interrupt()

    # -- the player thread ------------------------------------------------------------------

    def failed(self, error: BaseException) -> None:
        """A sink that raises what it should not ends the run with that error."""
        log.error("the player thread failed", exc_info=error)
        self._fault(error)

    def work(self) -> None:
        """Open, play until asked to end, close."""
        try:
            if self._lost:
                self._play_to_nobody()
                self._reopening.missing()
            elif not self._open_first():
                return
            try:
                while not self._ending.is_set():
                    try:
                        self._step()
                    except AudioError as error:
                        self._lose(error)
            except ShutDown:
                log.debug("the playback buffer is shut and played")
            finally:
                self._end(self._out)
                self._ended()
        except Abandoned:
            self._come_back(self._sink)

    def _step(self) -> None:
        if self._flush_wanted.is_set():
            self._flush()
        if self._reopening.ready():
            self._reopen()
        pending = self._look()
        if pending >= self._out.lead:
            self._pause(min(_POLL, pending - self._out.lead + 0.001))
            return
        sound = self._next(pending)
        if self._flush_wanted.is_set():
            self._flush()
        if sound is None or sound.epoch != self._intake.epoch:
            return
        now = time.monotonic()
        self._answer_is_over = sound.ends_answer
        if sound.begins_answer:
            self._catch_up.begin(now)
            self._answers_are_marked = True
            left = self._look()
            self._answer_at = self._heard + (0.0 if self._lost else left)
        if not sound.pcm:
            return
        if sound.format is not self._format and sound.format != self._format:
            self._change_format(sound.format)
        if not self._playing:
            self._playing = True
            self._started_at = self._heard
            if not self._answers_are_marked:
                self._answer_at = self._started_at
            self._awake_by = max(self._awake_by, now + WAKING)
            self._emit(PlaybackStarted())
        pcm = self._blended(sound) if self._catch_up.due(self.waiting, now) else sound.pcm
        self._in_device(lambda: self._out.write(pcm), self._patience_until(self._awake_by))
        self._moved_at = time.monotonic()
        self._dry_since = math.inf

    def _blended(self, sound: Sound) -> bytes:
        """This slice and the next as one, if they belong together."""
        try:
            other = self._playback.get_nowait()
        except (queue.Empty, ShutDown):
            return sound.pcm
        if (other.epoch, other.format, len(other.pcm)) != (sound.epoch, sound.format, len(sound.pcm)):
            self._playback.unget(other)
            return sound.pcm
        if not self._lost:
            self._heard_before += SLICE  # it is heard together with the other
        return blend(sound.pcm, other.pcm, sound.format.channels)

    def _look(self) -> float:
        """Look after the device, and how far it has come; returns the seconds it has still to play."""
        pending = self._in_device(self._out.pending)
        if not self._lost:
            self._heard = self._heard_before + self._out.position
        if pending < self._pending:
            self._moved_at = time.monotonic()
        self._pending = pending
        return pending

    def _next(self, pending: float) -> Sound | None:
        """The next slice; None if the device should be looked after, or somebody wants something."""
        came, busy = self._intake.came, pending > 0
        if not busy:
            self._dry_since = min(self._dry_since, time.monotonic())
        try:
            return self._playback.get(timeout=self._leisure(pending))
        except queue.Empty:
            if not busy and self._playing and not self._may_go_on():
                self._finish_playing(came)
            return None
        except ShutDown:
            if not busy:
                if self._playing:
                    self._emit(PlaybackFinished(self._milliseconds_since(self._started_at)))
                raise
            self._pause(self._leisure(pending))
            return None

    def _may_go_on(self) -> float:
        """Seconds for which sound that goes on would still belong to what was played: a server that sends
        as fast as it is heard leaves holes."""
        if self._answer_is_over:
            return 0.0
        return max(0.0, self._dry_since + SAME_UTTERANCE - time.monotonic())

    def _finish_playing(self, came: int) -> None:
        with self._intake.lock:
            if self._flush_wanted.is_set():
                return  # an interruption is told instead
            self._intake.settled = max(self._intake.settled, came)
        self._playing = False
        self._emit(PlaybackFinished(self._milliseconds_since(self._started_at)))

    def _leisure(self, pending: float) -> float:
        """Seconds to wait for sound: a busy device wants to be looked after, a lost one to be reopened."""
        if pending > 0:
            return min(self._out.attention, pending)
        if self._playing:
            return self._may_go_on()
        remaining = self._reopening.remaining
        return _LOOK if remaining is None else min(_LOOK, remaining)

    def _pause(self, seconds: float = _POLL) -> None:
        """Give the device time, unless somebody wants something."""
        self._poked.wait(seconds)
        self._poked.clear()

    def _flush(self) -> None:
        self._flushing = True
        self._flush_wanted.clear()
        self._playing = False
        try:
            heard = self._in_device(self._out.flush)
            if not self._lost:
                self._heard = self._heard_before + heard
        except AudioError as error:
            self._lose(error)  # which is silence, too
        self._flushing = False
        self._interrupted(self._milliseconds_since(self._answer_at))

    def _milliseconds_since(self, heard: float) -> int:
        """That left the loudspeaker."""
        return max(0, round((self._heard - heard) * 1000))

    def _change_format(self, format: AudioFormat) -> None:
        """Another rate: let the old sound end first, as far as nobody interrupts."""
        while self._look() > 0 and not self._ending.is_set() and not self._flush_wanted.is_set():
            self._pause()
        self._give_back(self._out, WAKING)
        self._begin_anew(self._out)
        self._in_device(lambda: self._out.open(format), self._patience)
        self._format = format

    # -- the device ---------------------------------------------------------------------------

    def _open_first(self) -> bool:
        """False if that was not possible, and told as a fault."""
        try:
            self._out.open(self._format)
        except AudioError as error:
            hopeless = isinstance(error, BackendMissing | FormatUnsupported)
            if self._awaits and not hopeless:
                log.warning("no loudspeaker yet, playing to nobody: %s", error)
                self._lose(error)
                self._opened(None)
            elif self._fallback is not None and isinstance(error, DeviceNotFound | BackendMissing):
                self._sink = self._out = self._fallback
                self._out.open(self._format)
                self._opened(error)
            else:
                self._fault(error)
                return False
        else:
            self._opened(None)
        return True

    def _lose(self, error: AudioError) -> None:
        """Let time pass as if the sound were played, until the device can be opened again."""
        log.warning("loudspeaker lost, playing to nobody: %s", error)
        self._give_back(self._out)
        self._lost = True
        self._play_to_nobody()
        self._reopening.lost()
        self._emit(DeviceLost("speaker", error))

    def _play_to_nobody(self) -> None:
        nobody = NullSink()
        nobody.open(self._format)
        self._begin_anew(nobody)

    def _begin_anew(self, out: AudioSink) -> None:
        """The position of a sink that was just opened is 0."""
        self._out = out
        self._awake_by = time.monotonic() + WAKING
        self._heard_before = self._heard
        self._pending = 0.0

    def _try_out(self, trial: DeviceUser) -> None:
        sink = self._sink
        sink.open(self._format)
        try:
            if not trial.superseded:
                sink.write(bytes(self._format.bytes(_TRIAL)))
            deadline = Deadline(_TRIAL_LASTS)
            while not trial.superseded and sink.pending() > 0:
                if deadline.passed:
                    raise DeviceLostError("the loudspeaker was opened but plays nothing", hangs=True)
                if self._ending.wait(_POLL):
                    break
        finally:
            if not trial.superseded:
                sink.close()

    def _reopen(self) -> None:
        try:
            self._in_device(lambda: self._sink.open(self._format), self._patience)
        except AudioError as error:
            log.debug("the loudspeaker is still away: %s", error)
            self._reopening.missing()
            return
        self._reopening.opened()
        self._out.close()
        self._begin_anew(self._sink)
        self._lost = False
        self._emit(DeviceRestored("speaker"))
