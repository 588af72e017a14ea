"""The supervisor thread: facts into one mailbox, orders out of the lifecycle's table.

It dials, waits out the backoff, pings, notices silence, and closes everything in order.
It never touches a socket or a sound device itself.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from voicews.audio.base import AudioSink, AudioSource
from voicews.buffers import DropOldestQueue, ShutDown
from voicews.commands import Command, InterruptResponse, SendAudio, SendText, ToolResult, TruncateResponse
from voicews.config import ClientConfig
from voicews.deadline import Deadline
from voicews.dialects.base import Dialect
from voicews.errors import (
    AudioError,
    CallbackFailed,
    ConnectTimeout,
    KeepaliveTimeout,
    SessionExpired,
    ShutdownTimeout,
    VoicewsError,
)
from voicews.events import (
    AudioReceived,
    Connected,
    Disconnected,
    Event,
    Interrupted,
    ReconnectFailed,
    Reconnecting,
    ResponseDone,
    ResponseStarted,
    ServerError,
    SessionExpiring,
    StateChanged,
    ToolCall,
    ToolCallCancelled,
    Transcript,
    Undelivered,
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
from voicews.stats import Counters, Stats
from voicews.systemd import notify
from voicews.threads.alarms import Alarms
from voicews.threads.callbacks import Callbacks, Handlers
from voicews.threads.collector import Collector
from voicews.threads.connection import Connection, Ended, Failing, Linked, News, Ready
from voicews.threads.devices import LOOK, DeviceOpened, Devices, PlayedOut
from voicews.threads.drops import Drops
from voicews.threads.floor import Expiring, Floor, Interruptions, Quiet
from voicews.threads.player import Player
from voicews.threads.statistics import Statistics
from voicews.threads.toolbox import Toolbox
from voicews.threads.worker import Worker, each
from voicews.tools import Tool

__all__ = ["Supervisor"]

log = logging.getLogger(__name__)

_MAILBOX = 256
_TOOL = "tool "
_WARNED, _WARN_AGAIN = 5, 300.0
"""Attempts of which each is a warning in the log, and the seconds between two of the later ones that are."""
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
class _Left:
    """News: a thread of the run has ended."""

    worker: Worker


class Supervisor(Worker):
    """One run of a client, from open to closed.

    Args:
        lifecycle: the client's state; moved by this thread only.
        history: what was said; added to by this run.
        tools: the functions that the server may call, by name; may grow while this runs.
        changed: notified after each change of state, and when the devices are open.
        ended: called on this thread when all is over.

    Attributes:
        drops: what the buffers threw away.
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
        self._counters = Counters()
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
        self._collector = Collector()
        self._devices = Devices(
            dialect,
            microphone,
            speaker,
            config,
            silence_for=silence_for,
            outbox=self.outbox,
            counters=self._counters,
            is_muted=is_muted,
            emit=self._emit_and_follow,
            opened=lambda device, error: self.post(DeviceOpened(device, error)),
            fault=lambda error: self.post(Fault(error)),
            interrupted=self._interrupted,
            played_out=lambda: self.post(PlayedOut()),
        )
        for worker in (self, self.callbacks, self._devices.capture, self.player):
            worker.home = self
        self.fallbacks: list[AudioError] = []
        self._connection: Connection | None = None
        self._latest: Connection | None = None
        """The present connection, or that of the last attempt."""
        self._generation = 0
        self._accepted_generation = 0
        self._ping_at = 0.0
        self._warned_at = 0.0
        self._alarms = Alarms()
        self._floor = Floor()
        self.interruptions = Interruptions()
        self._moving_on = False
        self.drops = Drops(
            {
                "outbox": lambda: self.outbox.dropped,
                "playback": lambda: self.player.dropped,
                "events": lambda: self.callbacks.dropped,
            },
            self.callbacks.emit,
        )
        self._statistics = Statistics(
            self._counters,
            frame=config.frame,
            waiting=self.outbox.droppable_size,
            drops=self.drops.counts,
            traffic=self._traffic,
            devices=self._devices,
            callbacks=self.callbacks,
        )
        self._abandoned: list[Connection] = []
        self.play_out = False
        self.last_drop: BaseException | None = None
        self.survivors: tuple[threading.Thread, ...] = ()
        self.over = False

    # -- from other threads -----------------------------------------------------------------

    def left(self, worker: Worker) -> None:
        """A thread of this run has ended; called on that thread, as its last deed."""
        if worker is not self:
            self.post(_Left(worker))

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
        return not self._devices.unopened

    @property
    def player(self) -> Player:
        """The thread that plays; another one after it hung."""
        return self._devices.player

    @property
    def closing_time(self) -> float:
        """Seconds after which a close must be over, its last callbacks included."""
        playing_out = self.player.waiting + _PLAYING_OUT if self.play_out else 0.0
        return self._config.timeouts.close + playing_out + 1.0

    @property
    def connections(self) -> int:
        """Sessions accepted so far."""
        return self._statistics.connections

    def stats(self) -> Stats:
        """What was counted and measured so far."""
        return self._statistics.snapshot()

    def _traffic(self) -> tuple[int, int]:
        connection = self._connection
        return (connection.bytes_sent, connection.bytes_received) if connection is not None else (0, 0)

    def _callback_failed(self, error: BaseException) -> None:
        """Runs on the callbacks thread."""
        if self._config.fail_fast:
            failure = CallbackFailed(f"a callback raised {type(error).__name__}: {error}")
            failure.__cause__ = error
            self.post(Fault(failure))

    def _interrupted(self, heard_ms: int) -> None:
        """Runs on the player thread."""
        if not self.interruptions.is_news():
            return
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
            self.post(Quiet())

    def _about_to_send(self, command: Command) -> None:
        """Runs on the sender thread."""
        self.interruptions.end([command])
        self._statistics.sending(command)

    def _sent(self, command: Command, at: float) -> None:
        """Runs on the sender thread."""
        if isinstance(command, SendAudio):
            self._statistics.frame_sent()
        elif isinstance(command, SendText):
            # The server may have answered already, but not before it was asked.
            self._history.add("user", command.text, at=at)

    def _refused(self, command: Command) -> None:
        """Runs on the sender thread."""
        self.interruptions.end([command])
        self.callbacks.emit(Undelivered(command, sent=False))

    def _hear(self, event: Event, generation: int) -> None:
        """Send what the server said where it belongs; runs on the thread that heard it."""
        self._statistics.heard(event)
        match event:
            case AudioReceived():
                self.callbacks.emit(event)
                self.interruptions.play(lambda: self.player.feed(event, generation))
                return
            case Interrupted(heard_ms=None):
                self.interruptions.heard()
                self.player.flush()
                return
            case ResponseStarted():
                self.interruptions.answer_began()
                self.player.begin_answer(generation)
            case ResponseDone():
                self.player.end_answer(generation)
            case Transcript(final=True):
                self._history.add(event.role, event.text, instead_of=event.replaces)
            case SessionExpiring():
                self.post(Expiring(generation, event.seconds))
            case ToolCall() | ToolCallCancelled():
                self.post(event)
        self._emit_and_follow(event)

    # -- the supervisor thread ----------------------------------------------------------------

    def start(self) -> None:
        """Begin, unless no thread can be had: then nothing has begun.

        Raises:
            ThreadUnavailable: the machine has no thread left.
        """
        try:
            self.callbacks.start()
            super().start()
        except RuntimeError:
            self.callbacks.finish()
            raise

    def work(self) -> None:
        """Run until CLOSED or FAILED."""
        self._alarms.set("housekeeping", LOOK)
        self._alarms.set("stats", self._config.stats_interval)
        try:
            self._act_on(Open())
            while not self._lifecycle.state.ended:
                try:
                    mail = self._mailbox.get(timeout=self._alarms.next())
                except queue.Empty:
                    # One at a time, for each may move or clear the others.
                    if (alarm := self._alarms.due()) is not None:
                        self._ring(alarm)
                else:
                    self._read(mail)
        except BaseException as error:  # noqa: BLE001 - the run ends with it
            # A bug of ours or a dialect's; the user must still get an end with a cause.
            each(
                partial(log.error, "the supervisor failed", exc_info=error),
                partial(self._fail_at_once, error),
                partial(self._tear_down, graceful=False, play_out=False),
                partial(self._move, TornDown()),
            )
        finally:
            each(
                partial(self._mailbox.shutdown, immediate=True),
                self.callbacks.finish,
                partial(self._ended, self),
                self._statistics.end,
                self._be_over,
            )

    def _fail_at_once(self, error: BaseException) -> None:
        if not self._lifecycle.state.ended:
            self._move(Fault(error))

    def _be_over(self) -> None:
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
            case DeviceOpened(device, error):
                self._device_opened(device, error)
            case Expiring(generation, seconds) if generation == self._generation:
                self._move_on_soon(seconds)
            case Quiet() if self._moving_on:
                self._move_on()
            case ToolCall():
                self._call_tool(mail)
            case ToolCallCancelled(call_id):
                self._toolbox.cancel(call_id)
                self._alarms.clear(_TOOL + call_id)
            case _Left(worker):
                self._miss(worker)

    def _miss(self, worker: Worker) -> None:
        """A thread has ended: if that is news, it was kept from telling it, so take it as told."""
        news = self._connection.ended_by(worker) if self._connection is not None else None
        if news is not None:
            self._hear_news(news)
        elif worker in (self._devices.capture, self.player, self.callbacks):
            # They end when this run does, and those of hung devices are replaced.
            self._act_on(Fault(worker.error or VoicewsError(f"the thread {worker.name} ended by itself")))

    def _act_on(self, fact: Fact) -> None:
        order = self._move(fact)
        match order:
            case Connect(delay=delay):
                self._tell_last_words(resumes=True)
                if isinstance(fact, Open):
                    self._alarms.set("devices", self._config.timeouts.device)
                    self._devices.start()
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
            notify(f"STATUS={new.name}")
            self.callbacks.emit(StateChanged(old, new))
        if isinstance(order, Connect) and isinstance(fact, Dropped):
            self._statistics.session_missing()
            event = Reconnecting(order.attempt, order.delay, fact.error, order.lasted)
            self._log_attempt(event)
            self.callbacks.emit(event)
        return order

    def _log_attempt(self, event: Reconnecting) -> None:
        """Each of the first as a warning, then one in a while: an outage may last for days."""
        loud = event.attempt <= _WARNED or event.at - self._warned_at >= _WARN_AGAIN
        if loud:
            self._warned_at = event.at
        note = f"; {event.note}" if event.note else ""
        log.log(
            logging.WARNING if loud else logging.INFO,
            "%s (trying again in %.1f s, attempt %d%s)",
            event.error,
            event.delay,
            event.attempt,
            note,
        )

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
                self.drops.tell()
                connected = self._lifecycle.state is State.CONNECTED
                self._fail_with(self._devices.look(connected=connected))
                notify("WATCHDOG=1")
                self._alarms.set("housekeeping", LOOK)
            case "stats":
                self._alarms.set("stats", self._config.stats_interval)
                self.callbacks.emit(self.stats())
            case _ if alarm.startswith(_TOOL):
                self._toolbox.expire(alarm.removeprefix(_TOOL), self._config.tool_timeout)
            case "devices":
                self._fail_with(self._devices.overdue())

    def _fail_with(self, error: BaseException | None) -> None:
        if error is not None:
            self._act_on(Fault(error))

    def _device_opened(self, device: str, error: AudioError | None) -> None:
        if error is not None:
            log.info("no %s, using silence: %s", device, error)
        with self._changed:
            if error is not None:
                self.fallbacks.append(error)
            self._devices.unopened.discard(device)
            self._changed.notify_all()
        if not self._devices.unopened:
            self._alarms.clear("devices")
            notify("READY=1")

    # -- connections ----------------------------------------------------------------------------

    def _dial(self) -> None:
        self._generation += 1
        # They were about what went with the last connection.
        superseded = self.outbox.take_if(
            lambda command: isinstance(command, InterruptResponse | TruncateResponse | ToolResult)
        )
        self.interruptions.end(superseded)
        self._tell_undelivered(superseded, sent=False)
        previous = self._latest.session if self._latest is not None else None
        session = self._dialect.begin(previous, self._history, tuple(self._tools.copy().values()))
        self._connection = self._latest = Connection(
            self._generation,
            self._dialect,
            session,
            self._config,
            outbox=self.outbox,
            counters=self._counters,
            collector=self._collector,
            tell=self.post,
            hear=self._hear,
            sending=self._about_to_send,
            sent=self._sent,
            refused=self._refused,
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
                self._statistics.session_accepted()
                self._accepted_generation = news.generation
                self._alarms.clear("session")
                self._act_on(SessionAccepted())
                self.callbacks.emit(Connected(news.generation, resumed=self.connections > 1))
                if self._config.timeouts.ping_interval is not None:
                    self._ping()
            case Failing():
                self._alarms.set("grace", _GRACE)
            case Ended(error=error):
                self._connection_ended(error)

    def _connection_ended(self, error: BaseException | None) -> None:
        connection = self._connection
        self._forget_connection()
        if self._accepted_generation == self._generation:
            self.callbacks.emit(Disconnected(self._generation, error))
        if connection is not None:
            self._tell_undelivered(connection.unconfirmed, sent=True)
        if error is None:
            self._act_on(Close())
        else:
            log.info("connection %d ended: %s", self._generation, error)
            self.last_drop = error
            self._act_on(Dropped(error))

    def _tell_last_words(self, *, resumes: bool) -> None:
        if self._latest is None:
            return
        for event in self._latest.last_words(resumes=resumes):
            if isinstance(event, ServerError):
                # It may be all that there is to say about why the run ended.
                log.warning("%s", event)
            self._hear(event, self._latest.generation)

    def _forget_connection(self) -> None:
        connection, self._connection = self._connection, None
        self._alarms.clear("overdue", "session", "grace", "ping", "pong", "expiry")
        self._moving_on = False
        self._floor.reset()
        self._toolbox.cancel_all()
        if connection is not None:
            self._statistics.bytes_passed(connection.bytes_sent, connection.bytes_received)

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

    def _tell_undelivered(self, commands: Iterable[Command], *, sent: bool) -> None:
        for command in commands:
            self.callbacks.emit(Undelivered(command, sent))

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
            log.warning("the result of call %r could not be sent", result.call_id)

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
        """Any byte answers a ping, and the time for that runs from the first that has no answer yet."""
        interval, pong = self._config.timeouts.ping_interval, self._config.timeouts.pong
        if self._connection is None or interval is None:
            return
        if not self._alarms.is_set("pong") or self._connection.last_received >= self._ping_at:
            self._ping_at = time.monotonic()
            self._alarms.set("pong", pong)
        self._connection.ping()
        self._alarms.set("ping", interval)

    def _check_life(self) -> None:
        if self._connection is None or self._connection.last_received >= self._ping_at:
            return
        pong = self._config.timeouts.pong
        if time.monotonic() > self._ping_at + pong + LOOK:
            self._ping()  # this process stood still, and so did the thread that reads the answer
            return
        self._abort(KeepaliveTimeout(f"the server has not sent a byte for {pong:g} s after a ping"))

    # -- closing ----------------------------------------------------------------------------------

    def _tear_down(self, graceful: bool, play_out: bool) -> None:
        """End everything in order, under one deadline; only playing out may take longer."""
        deadline = Deadline(self._config.timeouts.close)
        self._alarms.clear("dial", "devices", "ping", "pong", "session", "overdue")
        capture = self._devices.capture
        each(
            capture.stop,
            lambda: capture.ended_within(min(_CAPTURE, _most_of(deadline))),
            partial(self._end_connection, deadline, graceful),
            partial(self._tell_last_words, resumes=False),
            partial(self._end_player, deadline, play_out),
            lambda: capture.ended_within(deadline.remaining()),
            self.drops.tell,
            partial(self._look_for_survivors, deadline),
        )

    def _look_for_survivors(self, deadline: Deadline) -> None:
        threads = self._devices.alive() + self._toolbox.alive(deadline.remaining())
        threads.extend(self._collector.alive(deadline.remaining()))
        for connection in self._abandoned:
            threads.extend(connection.alive())
        self.survivors = tuple(thread for thread in threads if thread.is_alive())
        for thread in self.survivors:
            log.error("%s still runs after the deadline", thread.name)

    def _end_connection(self, deadline: Deadline, graceful: bool) -> None:
        connection = self._connection
        steps: list[Callable[[], object]] = []
        if connection is not None:
            steps = [
                partial(self._say_goodbye, connection, deadline, graceful),
                connection.abort,
                partial(self._part_with, connection, deadline),
            ]
        # Only now, for a sender that fails gives back what it could not say.
        each(*steps, self._empty_outbox)

    def _say_goodbye(self, connection: Connection, deadline: Deadline, graceful: bool) -> None:
        # A session may call itself ready before there is a server to say it to.
        if graceful and connection.linked and connection.session.ready:
            self.outbox.shutdown()
            if not connection.ended_within(max(0.0, _most_of(deadline) - _GRACE)):
                connection.close()
                connection.ended_within(_most_of(deadline))

    def _part_with(self, connection: Connection, deadline: Deadline) -> None:
        if not connection.ended_within(deadline.remaining()):
            self._abandoned.append(connection)
        if self._accepted_generation == connection.generation:
            self.callbacks.emit(Disconnected(connection.generation, None))
        self._forget_connection()
        self._tell_undelivered(connection.unconfirmed, sent=True)

    def _empty_outbox(self) -> None:
        self.outbox.shutdown()
        left = self.outbox.drain()
        unsent = [command for command in left if not isinstance(command, SendAudio)]
        if len(unsent) < len(left):
            self.outbox.count_drop("unsent", len(left) - len(unsent))
        if unsent:
            names = ", ".join(type(command).__name__ for command in unsent)
            log.warning("closed before these could be sent: %s", names)
        self._tell_undelivered(unsent, sent=False)

    def _end_player(self, deadline: Deadline, play_out: bool) -> None:
        if play_out:
            self.player.finish(play_out=True)
            patience = Deadline(self.player.waiting + _PLAYING_OUT)
            while self.player.is_alive() and not patience.passed:
                notify("WATCHDOG=1")
                try:
                    mail = self._mailbox.get(timeout=min(LOOK, patience.remaining() or 0.0))
                except queue.Empty:
                    continue
                if isinstance(mail, PlayedOut | Close):
                    break
            deadline = Deadline(_GRACE)
        self.player.stop()
        self.player.ended_within(deadline.remaining())


def _most_of(deadline: Deadline) -> float:
    """What is left, less what the steps after this one need."""
    return max(0.0, (deadline.remaining() or 0.0) - _GRACE)
