"""The supervisor thread: facts into one mailbox, orders out of the lifecycle's table.

It dials, waits out the backoff, pings, notices silence, and closes everything in order.
It never touches a socket or a sound device itself.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from voicews.audio.base import AudioSink, AudioSource
from voicews.audio.silence import NullSink, SilenceSource
from voicews.buffers import DropOldestQueue, ShutDown
from voicews.commands import Command, InterruptResponse, SendAudio, SendText, ToolResult, TruncateResponse
from voicews.config import ClientConfig
from voicews.deadline import Deadline
from voicews.dialects.base import Dialect, Session
from voicews.errors import (
    AudioError,
    CallbackFailed,
    ConnectTimeout,
    DeviceLostError,
    KeepaliveTimeout,
    SessionExpired,
    ShutdownTimeout,
)
from voicews.events import (
    AudioReceived,
    Connected,
    Disconnected,
    Event,
    FramesDropped,
    Interrupted,
    ReconnectFailed,
    Reconnecting,
    ResponseStarted,
    SessionExpiring,
    SpeechStopped,
    StateChanged,
    ToolCall,
    ToolCallCancelled,
    Transcript,
)
from voicews.history import History
from voicews.lifecycle import (
    Close,
    Connect,
    Dropped,
    Fact,
    Fault,
    Lifecycle,
    Open,
    State,
    TearDown,
    TornDown,
)
from voicews.lifecycle import Connected as SessionAccepted
from voicews.stats import Counters
from voicews.threads.alarms import Alarms
from voicews.threads.callbacks import Callbacks, Handlers
from voicews.threads.capture import Capture
from voicews.threads.collector import Collector
from voicews.threads.connection import Connection, Ended, Failing, Linked, News, Ready
from voicews.threads.floor import Floor
from voicews.threads.player import Player
from voicews.threads.toolbox import Toolbox
from voicews.threads.worker import Worker
from voicews.tools import Tool

__all__ = ["Supervisor"]

log = logging.getLogger(__name__)

_MAILBOX = 256
_TOOL = "tool "
_HOUSEKEEPING = 1.0
"""Seconds between looks at what was dropped."""
_GRACE = 0.5
"""Seconds in which the receiver may still read why the sender failed; also the share of a
close that is kept for giving the devices back."""
_MOVING = 2.0
"""Seconds before its announced end in which a session is left even in mid-sentence."""
_CAPTURE = 1.0
"""Seconds that closing waits for the microphone before the last words are sent without it."""
_PLAYING_OUT = 2.0
"""Seconds that playing out may take beyond the sound in the playback buffer."""
_OVERDUE = 2.0
"""Seconds beyond the connect timeout after which an attempt that hangs in ``request()`` is abandoned."""


@dataclass(frozen=True)
class _DeviceOpened:
    """A sound device works; with an error, silence took its place."""

    device: str
    error: AudioError | None


@dataclass(frozen=True)
class _Expiring:
    """The server has announced the end of this connection's session."""

    generation: int
    seconds: float


@dataclass(frozen=True)
class _Quiet:
    """Nobody speaks."""


@dataclass(frozen=True)
class _PlayedOut:
    """The player has ended."""


class Supervisor(Worker):
    """One run of a client, from open to closed.

    Args:
        lifecycle: the client's state; moved by this thread only.
        history: what was said; added to by this run.
        tools: the functions that the server may call, by name; may grow while this runs.
        changed: notified after each change of state, and when the devices are open.
        ended: called on this thread when all is over.

    Attributes:
        fallbacks: why silence took a device's place.
        play_out: whether closing plays what has been received.
        last_drop: the last error that was worth another attempt.
        survivors: threads that closing could not end.
        over: True once nothing more will happen.
    """

    def __init__(
        self,
        dialect: Dialect,
        microphone: AudioSource,
        speaker: AudioSink,
        config: ClientConfig,
        *,
        silence_for: frozenset[str],
        lifecycle: Lifecycle,
        history: History,
        handlers: Handlers,
        tools: dict[str, Tool],
        is_muted: Callable[[], bool],
        changed: threading.Condition,
        ended: Callable[[Supervisor], None],
    ) -> None:
        super().__init__("supervisor")
        self._dialect = dialect
        self._config = config
        self._lifecycle = lifecycle
        self._history = history
        self._changed = changed
        self._ended = ended
        self.counters = Counters()
        self.outbox: DropOldestQueue[Command] = DropOldestQueue(
            max(1, round(config.buffers.outbox / config.frame)),
            droppable=lambda command: isinstance(command, SendAudio),
        )
        self._mailbox: DropOldestQueue[object] = DropOldestQueue(_MAILBOX, droppable=lambda _mail: False)
        self.callbacks = Callbacks(
            handlers,
            maxsize=config.buffers.events,
            slow=config.slow_callback,
            callback_failed=self._callback_failed,
        )
        self._handlers = handlers
        self._tools = tools
        self._toolbox = Toolbox(tools, self._answer)
        self._collector = Collector(dialect.collect)
        self._capture = Capture(
            microphone,
            format=dialect.input_format,
            frame=config.frame,
            outbox=self.outbox,
            counters=self.counters,
            is_muted=is_muted,
            emit=self.callbacks.emit,
            opened=lambda error: self.post(_DeviceOpened("microphone", error)),
            fault=lambda error: self.post(Fault(error)),
            fallback=SilenceSource() if "microphone" in silence_for else None,
        )
        self.player = Player(
            speaker,
            format=dialect.output_format,
            seconds=config.buffers.playback,
            emit=self._emit_and_follow,
            opened=lambda error: self.post(_DeviceOpened("speaker", error)),
            fault=lambda error: self.post(Fault(error)),
            interrupted=self._interrupted,
            ended=lambda: self.post(_PlayedOut()),
            fallback=NullSink() if "speaker" in silence_for else None,
        )
        self._unopened = {"microphone", "speaker"}
        self.fallbacks: list[AudioError] = []
        self._connection: Connection | None = None
        self._session: Session | None = None
        self._generation = 0
        self._accepted = 0
        self._accepted_generation = 0
        self._speech_stopped_at: float | None = None
        self._ping_at = 0.0
        self._alarms = Alarms()
        self._floor = Floor()
        self._moving_on = False
        self._told_drops: dict[tuple[str, str], int] = {}
        self._abandoned: list[Connection] = []
        self.play_out = False
        self.last_drop: BaseException | None = None
        self.survivors: tuple[threading.Thread, ...] = ()
        self.over = False

    # -- from other threads -----------------------------------------------------------------

    def post(self, mail: object) -> None:
        """Put a fact or news into the mailbox; any thread."""
        try:
            self._mailbox.put(mail)
        except ShutDown:
            log.debug("%s came after the end", type(mail).__name__)
        except queue.Full:
            log.error("the supervisor is stuck: %s is lost", type(mail).__name__)

    @property
    def devices_open(self) -> bool:
        """True once microphone and loudspeaker (or their fallbacks) are open."""
        return not self._unopened

    @property
    def closing_time(self) -> float:
        """Seconds after which a close must be over, its last callbacks included."""
        playing_out = self.player.waiting + _PLAYING_OUT if self.play_out else 0.0
        return self._config.timeouts.close + playing_out + 1.0

    @property
    def connections(self) -> int:
        """Sessions accepted so far."""
        return self._accepted

    @property
    def overflows(self) -> int:
        """Times that the microphone lost sound."""
        return self._capture.overflows

    def traffic(self) -> tuple[int, int]:
        """Bytes sent and received, on all connections."""
        sent, received = self.counters.count("bytes_sent"), self.counters.count("bytes_received")
        connection = self._connection
        if connection is not None:
            sent, received = sent + connection.bytes_sent, received + connection.bytes_received
        return sent, received

    def _callback_failed(self, error: BaseException) -> None:
        """Runs on the callbacks thread."""
        if self._config.fail_fast:
            failure = CallbackFailed(f"a callback raised {type(error).__name__}: {error}")
            failure.__cause__ = error
            self.post(Fault(failure))

    def _interrupted(self, heard_ms: int) -> None:
        """Runs on the player thread."""
        if TruncateResponse in self._dialect.accepts:
            try:
                self.outbox.put(TruncateResponse(heard_ms))
            except (ShutDown, queue.Full):
                log.warning("the server could not be told that %d ms were heard", heard_ms)
        self._emit_and_follow(Interrupted(heard_ms))

    def _emit_and_follow(self, event: Event) -> None:
        """Tell the user, and notice when a wish to move on can be fulfilled; any thread."""
        self._floor.follow(event)
        self.callbacks.emit(event)
        if self._moving_on and self._floor.quiet:
            self.post(_Quiet())

    def _sent(self, command: Command) -> None:
        """Runs on the sender thread."""
        if isinstance(command, SendAudio):
            self.counters.add("frames_sent")
        elif isinstance(command, SendText):
            self._history.add("user", command.text)

    def _hear(self, event: Event, generation: int) -> None:
        """Send what the server said where it belongs; runs on the thread that heard it."""
        match event:
            case AudioReceived():
                if self._speech_stopped_at is not None:
                    self.counters.sample("response", time.monotonic() - self._speech_stopped_at)
                    self._speech_stopped_at = None
                self.counters.add("sound_received", event.format.seconds(event.pcm))
                self.player.feed(event, generation)
            case Interrupted(heard_ms=None):
                self.player.flush()
                return
            case ResponseStarted():
                self.player.begin_answer(generation)
            case SpeechStopped():
                self._speech_stopped_at = time.monotonic()
            case Transcript(final=True):
                self._history.add(event.role, event.text, instead_of=event.replaces)
            case SessionExpiring():
                self.post(_Expiring(generation, event.seconds))
            case ToolCall() | ToolCallCancelled():
                self.post(event)
        self._emit_and_follow(event)

    # -- the supervisor thread ----------------------------------------------------------------

    def work(self) -> None:
        """Run until CLOSED or FAILED."""
        self.callbacks.start()
        self._alarms.set("housekeeping", _HOUSEKEEPING)
        try:
            self._act_on(Open())
            while not self._lifecycle.state.ended:
                try:
                    mail = self._mailbox.get(timeout=self._alarms.next())
                except queue.Empty:
                    for alarm in self._alarms.due():
                        self._ring(alarm)
                else:
                    self._read(mail)
        except BaseException as error:
            # A bug of ours or a dialect's; the user must still get an end with a cause.
            log.exception("the supervisor failed")
            self._move(Fault(error))
            try:
                self._tear_down(graceful=False, play_out=False)
            finally:
                self._move(TornDown())
        finally:
            self._mailbox.shutdown(immediate=True)
            self.callbacks.finish()
            self._ended(self)
            with self._changed:
                self.over = True
                self._changed.notify_all()

    def failed(self, error: BaseException) -> None:
        """Not even the clean-up worked."""
        log.critical("the supervisor could not clean up", exc_info=error)

    def _read(self, mail: object) -> None:
        match mail:
            case Fact():
                self._act_on(mail)
            case News():
                self._hear_news(mail)
            case _DeviceOpened(device, error):
                self._device_opened(device, error)
            case _Expiring(generation, seconds) if generation == self._generation:
                self._move_on_soon(seconds)
            case _Quiet() if self._moving_on:
                self._move_on()
            case ToolCall():
                self._call_tool(mail)
            case ToolCallCancelled(call_id):
                self._toolbox.cancel(call_id)
                self._alarms.clear(_TOOL + call_id)

    def _act_on(self, fact: Fact) -> None:
        order = self._move(fact)
        match order:
            case Connect(delay=delay):
                if isinstance(fact, Open):
                    self._alarms.set("devices", self._config.timeouts.device)
                    self._capture.start()
                    self.player.start()
                self._alarms.set("dial", delay)
            case TearDown(graceful=graceful):
                ended_well = isinstance(fact, Dropped) and self._lifecycle.error is None
                self._tear_down(graceful, self.play_out or ended_well)
                left = [thread.name for thread in self.survivors]
                self._move(TornDown(ShutdownTimeout(left) if left else None))

    def _move(self, fact: Fact) -> Connect | TearDown | None:
        """Let the lifecycle handle a fact, and tell what came of it."""
        lifecycle = self._lifecycle
        with self._changed:
            old = lifecycle.state
            order = lifecycle.handle(fact, time.monotonic())
            new = lifecycle.state
            self._changed.notify_all()
        if lifecycle.gave_up and new is State.CLOSING and old is not State.CLOSING and lifecycle.error:
            self.callbacks.emit(ReconnectFailed(lifecycle.attempt, lifecycle.error))
        if new is not old:
            log.info("%s -> %s", old.name, new.name)
            self.callbacks.emit(StateChanged(old, new))
        if isinstance(order, Connect) and isinstance(fact, Dropped):
            self.callbacks.emit(Reconnecting(order.attempt, order.delay, fact.error))
        return order

    def _ring(self, alarm: str) -> None:
        match alarm:
            case "dial":
                self._dial()
            case "overdue":
                self._abandon()
            case "session":
                self._abort(ConnectTimeout("the server did not accept the session in time"))
            case "grace":
                self._abort(None)
            case "expiry":
                self._move_on()
            case "ping":
                self._ping()
            case "pong":
                self._check_life()
            case "housekeeping":
                self._tell_drops()
                self._alarms.set("housekeeping", _HOUSEKEEPING)
            case _ if alarm.startswith(_TOOL):
                self._toolbox.expire(alarm.removeprefix(_TOOL), self._config.tool_timeout)
            case "devices":
                names = " and ".join(sorted(self._unopened))
                seconds = self._config.timeouts.device
                self._act_on(Fault(DeviceLostError(f"the {names} could not be opened within {seconds} s")))

    # -- devices --------------------------------------------------------------------------------

    def _device_opened(self, device: str, error: AudioError | None) -> None:
        if error is not None:
            log.info("no %s, using silence: %s", device, error)
        with self._changed:
            if error is not None:
                self.fallbacks.append(error)
            self._unopened.discard(device)
            self._changed.notify_all()
        if not self._unopened:
            self._alarms.clear("devices")

    # -- connections ----------------------------------------------------------------------------

    def _dial(self) -> None:
        self._generation += 1
        # They were about what went with the last connection.
        self.outbox.drop_if(
            lambda command: isinstance(command, InterruptResponse | TruncateResponse | ToolResult),
            "superseded",
        )
        session = self._dialect.begin(self._session, self._history, tuple(self._tools.copy().values()))
        self._session = session
        self._connection = Connection(
            self._generation,
            self._dialect,
            session,
            self._config,
            outbox=self.outbox,
            counters=self.counters,
            collector=self._collector,
            tell=self.post,
            hear=self._hear,
            sent=self._sent,
        )
        self._alarms.set("overdue", self._config.timeouts.connect + _OVERDUE)
        self._connection.start()

    def _hear_news(self, news: News) -> None:
        if self._connection is None or news.generation != self._connection.generation:
            return
        match news:
            case Linked():
                self._alarms.clear("overdue")
                self._alarms.set("session", self._config.timeouts.session)
            case Ready():
                self._accepted += 1
                self._accepted_generation = news.generation
                self._alarms.clear("session")
                self._act_on(SessionAccepted())
                self.callbacks.emit(Connected(news.generation, resumed=self._accepted > 1))
                if self._config.timeouts.ping_interval is not None:
                    self._ping()
            case Failing():
                self._alarms.set("grace", _GRACE)
            case Ended(error=error):
                self._connection_ended(error)

    def _connection_ended(self, error: BaseException | None) -> None:
        self._forget_connection()
        if self._accepted_generation == self._generation:
            self.callbacks.emit(Disconnected(self._generation, error))
        if error is None:
            self._act_on(Close())
        else:
            log.info("connection %d ended: %s", self._generation, error)
            self.last_drop = error
            self._act_on(Dropped(error))

    def _forget_connection(self) -> None:
        connection, self._connection = self._connection, None
        self._alarms.clear("overdue", "session", "grace", "ping", "pong", "expiry")
        self._moving_on = False
        self._floor.reset()
        self._toolbox.cancel_all()
        if connection is not None:
            self.counters.add("bytes_sent", connection.bytes_sent)
            self.counters.add("bytes_received", connection.bytes_received)

    def _abort(self, error: BaseException | None) -> None:
        if self._connection is not None:
            self._connection.abort(error)

    def _abandon(self) -> None:
        """The receiver hangs where no socket can wake it: in the user's ``request()``."""
        connection = self._connection
        if connection is not None:
            connection.abort()
            self._abandoned.append(connection)
            self._connection_ended(ConnectTimeout("the attempt to connect hangs and is left behind"))

    # -- tools --------------------------------------------------------------------------------------

    def _call_tool(self, call: ToolCall) -> None:
        """Call the function; one that we do not know is left to whoever listens for such calls."""
        if self._toolbox.knows(call.name):
            self._alarms.set(_TOOL + call.call_id, self._config.tool_timeout)
        elif self._handlers.wanted(call):
            return
        self._toolbox.call(call)

    def _answer(self, result: ToolResult) -> None:
        """Runs on the thread of the call, or on this one."""
        try:
            self.outbox.put(result)
        except (ShutDown, queue.Full):
            log.warning("the result of call %s could not be sent", result.call_id)

    # -- moving to a new session ------------------------------------------------------------------

    def _move_on_soon(self, seconds: float) -> None:
        """At a quiet moment, or when there is only just time for it."""
        self._moving_on = True
        self._alarms.set("expiry", max(0.0, seconds - _MOVING))
        if self._floor.quiet:
            self._move_on()

    def _move_on(self) -> None:
        self._moving_on = False
        self._alarms.clear("expiry")
        if self._connection is not None:
            self._connection.retire(SessionExpired("the server had announced the end of the session"))
            self._alarms.set("grace", _GRACE)

    # -- keepalive ------------------------------------------------------------------------------

    def _ping(self) -> None:
        interval = self._config.timeouts.ping_interval
        if self._connection is not None and interval is not None:
            self._connection.ping()
            self._alarms.set("ping", interval)
            if not self._alarms.is_set("pong"):
                self._ping_at = time.monotonic()
                self._alarms.set("pong", self._config.timeouts.pong)

    def _check_life(self) -> None:
        if self._connection is not None and self._connection.last_received < self._ping_at:
            seconds = self._config.timeouts.pong
            self._abort(KeepaliveTimeout(f"the server has not sent a byte for {seconds} s after a ping"))

    # -- what was dropped -------------------------------------------------------------------------

    def drops(self) -> dict[str, Mapping[str, int]]:
        """What was thrown away: by buffer, then by cause."""
        return {
            "outbox": self.outbox.dropped,
            "playback": self.player.dropped,
            "events": self.callbacks.dropped,
        }

    def _tell_drops(self) -> None:
        for buffer, causes in self.drops().items():
            for cause in ("overflow", "stale"):
                total = causes.get(cause, 0)
                new = total - self._told_drops.get((buffer, cause), 0)
                if new:
                    self._told_drops[buffer, cause] = total
                    self.callbacks.emit(FramesDropped(buffer, cause, new))

    # -- closing ----------------------------------------------------------------------------------

    def _tear_down(self, graceful: bool, play_out: bool) -> None:
        """End everything in order, under one deadline; only playing out may take longer."""
        deadline = Deadline(self._config.timeouts.close)
        self._alarms.clear("dial", "devices", "ping", "pong", "session", "overdue")
        self._capture.stop()
        self._capture.ended_within(min(_CAPTURE, _most_of(deadline)))
        self._end_connection(deadline, graceful)
        self._end_player(deadline, play_out)
        self._capture.ended_within(deadline.remaining())
        self._tell_drops()
        threads: list[threading.Thread] = [self._capture, self.player]
        threads.extend(self._toolbox.alive(deadline.remaining()))
        threads.extend(self._collector.alive(deadline.remaining()))
        for connection in self._abandoned:
            threads.extend(connection.alive())
        self.survivors = tuple(thread for thread in threads if thread.is_alive())
        for thread in self.survivors:
            log.error("%s still runs after the deadline", thread.name)

    def _end_connection(self, deadline: Deadline, graceful: bool) -> None:
        connection = self._connection
        if connection is not None and graceful and connection.session.ready:
            self.outbox.shutdown()
            if not connection.ended_within(max(0.0, _most_of(deadline) - _GRACE)):
                connection.close()
                connection.ended_within(_most_of(deadline))
        unsent = [command for command in self.outbox.drain() if not isinstance(command, SendAudio)]
        self.outbox.shutdown(immediate=True)
        if unsent:
            names = ", ".join(type(command).__name__ for command in unsent)
            log.warning("closed before these could be sent: %s", names)
        if connection is None:
            return
        connection.abort()
        if not connection.ended_within(deadline.remaining()):
            self._abandoned.append(connection)
        if self._accepted_generation == connection.generation:
            self.callbacks.emit(Disconnected(connection.generation, None))
        self._forget_connection()

    def _end_player(self, deadline: Deadline, play_out: bool) -> None:
        if play_out:
            self.player.finish(play_out=True)
            patience = Deadline(self.player.waiting + _PLAYING_OUT)
            while self.player.is_alive() and not patience.passed:
                try:
                    mail = self._mailbox.get(timeout=patience.remaining())
                except queue.Empty:
                    break
                if isinstance(mail, _PlayedOut | Close):
                    break
            deadline = Deadline(_GRACE)
        self.player.stop()
        self.player.ended_within(deadline.remaining())


def _most_of(deadline: Deadline) -> float:
    """What is left, less what the steps after this one need."""
    return max(0.0, (deadline.remaining() or 0.0) - _GRACE)
