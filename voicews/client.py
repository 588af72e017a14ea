"""VoiceClient: the one class that most users meet.  It hands every request on."""

from __future__ import annotations

import atexit
import enum
import logging
import os
import queue
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from voicews.audio.base import AudioSink, AudioSource
from voicews.audio.defaults import default_microphone, default_speaker
from voicews.buffers import ShutDown
from voicews.callables import safe_repr
from voicews.commands import Command, EndTurn, InterruptResponse, SendText, StartTurn, ToolResult
from voicews.config import ClientConfig
from voicews.deadline import Deadline, checked_timeout
from voicews.descriptors import occupy_standard_descriptors
from voicews.dialects.base import Dialect, unsupported
from voicews.dialects.defaults import dialect_of
from voicews.errors import (
    BackendFallback,
    ConfigError,
    InvalidState,
    OutboxFull,
    ShutdownTimeout,
    Unsupported,
)
from voicews.events import Event, StateChanged
from voicews.history import History
from voicews.lifecycle import Close, Lifecycle, State
from voicews.recording.recorder import Recorder
from voicews.stats import Stats
from voicews.systemd import notify
from voicews.threads.callbacks import Callback, EventStream, Handlers, require_event_class
from voicews.threads.worker import Worker
from voicews.tools import Tool

if TYPE_CHECKING:
    from voicews.threads.supervisor import Supervisor

__all__ = ["VoiceClient"]

log = logging.getLogger(__name__)

E = TypeVar("E", bound=Event)
F = TypeVar("F", bound=Callback)


class _Nothing(enum.Enum):
    """Tells on(kind), a decorator, from on(kind, None), a slip such as on(kind, print())."""

    GIVEN = enum.auto()


class VoiceClient:
    """A spoken conversation over one WebSocket.

    ::

        voice = VoiceClient("ws://localhost:8765")
        voice.on(Transcript, lambda line: line.final and print(line.role, line))
        voice.run()

    Args:
        server: a ``ws://`` or ``wss://`` URL of a server that speaks the plain dialect, or
            any :class:`~voicews.dialects.Dialect`.
        microphone: an :class:`~voicews.audio.AudioSource`; None is the default device, or
            silence if the environment says ``VOICEWS_AUDIO=null``.
        speaker: an :class:`~voicews.audio.AudioSink`; None likewise.
        config: all other settings.
        tools: functions that the server may call; see :meth:`tool`.
        recorder: a :class:`~voicews.Recorder` that writes down what is said and heard.

    Every fact can be had in three ways: ask for it (:attr:`state`, :meth:`stats`), wait for
    it (:meth:`wait_for`), or be told (:meth:`on`).  All methods may be called from any
    thread, callbacks included.  A client can be opened again after it was closed.

    Raises:
        ConfigError: an argument is wrong.
    """

    def __init__(
        self,
        server: str | Dialect,
        *,
        microphone: AudioSource | None = None,
        speaker: AudioSink | None = None,
        config: ClientConfig | None = None,
        tools: Sequence[Callable[..., Any] | Tool] = (),
        recorder: Recorder | None = None,
    ) -> None:
        from voicews.threads.supervisor import Supervisor  # most of the package; not with the module

        self._dialect = dialect_of(server)
        if microphone is not None and not isinstance(microphone, AudioSource):
            raise ConfigError(
                f"the microphone must be an AudioSource such as Microphone(device={safe_repr(microphone)}), "
                f"not {type(microphone).__name__}"
            )
        if speaker is not None and not isinstance(speaker, AudioSink):
            raise ConfigError(
                f"the speaker must be an AudioSink such as Speaker(device={safe_repr(speaker)}), "
                f"not {type(speaker).__name__}"
            )
        self._microphone = microphone or default_microphone()
        self._speaker = speaker or default_speaker()
        self._given = (self._microphone, self._speaker)  # what a recorder wraps stays the same device
        if config is not None and not isinstance(config, ClientConfig):
            raise ConfigError(f"the config must be a ClientConfig, not {type(config).__name__}")
        self._config = config or ClientConfig()
        devices = {"microphone": microphone, "speaker": speaker}
        unnamed = {name for name, device in devices.items() if device is None}
        self._silence_for = frozenset(unnamed if self._config.allow_silence else ())
        self._handlers = Handlers()
        self._history = History(self._config.buffers.history)
        self._lifecycle = Lifecycle(self._config.backoff, self._config.retry)
        self._changed = threading.Condition()
        self._opening = threading.RLock()  # a signal handler may close what it interrupts
        self._muted = threading.Event()
        self._supervisor: Supervisor | None = None
        self._new_supervisor = Supervisor
        self._tools: dict[str, Tool] = {}
        if self._config.push_to_talk:
            self._muted.set()
        if recorder is not None and not isinstance(recorder, Recorder):
            raise ConfigError(f"the recorder must be a Recorder such as Recorder({safe_repr(recorder)})")
        self._recorder = recorder
        if recorder is not None:
            self._microphone = recorder.microphone(self._microphone, self._muted.is_set)
            self._speaker = recorder.speaker(self._speaker)
        if callable(tools) or isinstance(tools, str | Tool) or not isinstance(tools, Iterable):
            raise ConfigError(f"tools must be a list of functions such as [{safe_repr(tools)}]")
        for function in tools:
            self._offer(function if isinstance(function, Tool) else Tool.of(function))

    def __repr__(self) -> str:
        return f"<VoiceClient {self._dialect!r} {self._lifecycle.state.name}>"

    # -- be told ----------------------------------------------------------------------------

    @overload
    def on(self, kind: type[Event]) -> Callable[[F], F]: ...
    @overload
    def on(self, kind: type[Event], callback: F) -> F: ...
    def on(self, kind: type[Event], callback: F | _Nothing = _Nothing.GIVEN) -> F | Callable[[F], F]:
        """Call a function on every event of a class; of all classes with ``Event``.

        Use it as a method or as a decorator.  The function is called on the thread
        ``voicews-callbacks``, in the order in which things happened, and may call any
        method of the client.  It is called with the event if it needs an argument or takes
        ``*args``; one that can do without (``led.blink``) is called with none.

        Raises:
            ConfigError: it is an async function, a generator or a method without its object, or needs
                more than one argument.
        """
        return self._register(kind, callback, once=False)

    @overload
    def once(self, kind: type[Event]) -> Callable[[F], F]: ...
    @overload
    def once(self, kind: type[Event], callback: F) -> F: ...
    def once(self, kind: type[Event], callback: F | _Nothing = _Nothing.GIVEN) -> F | Callable[[F], F]:
        """The same for the next such event only."""
        return self._register(kind, callback, once=True)

    def _register(self, kind: type[Event], callback: F | _Nothing, *, once: bool) -> F | Callable[[F], F]:
        require_event_class(kind)

        def register(function: F) -> F:
            self._handlers.add(kind, function, once=once)
            return function

        return register if callback is _Nothing.GIVEN else register(callback)

    def off(self, kind: type[Event], callback: Callback | None = None) -> None:
        """Take back :meth:`on`: of one function, or of all for this class."""
        self._handlers.remove(kind, callback)

    # -- be called --------------------------------------------------------------------------

    @overload
    def tool(self, function: F) -> F: ...
    @overload
    def tool(self, *, name: str | None = None, description: str | None = None) -> Callable[[F], F]: ...
    def tool(
        self, function: F | None = None, *, name: str | None = None, description: str | None = None
    ) -> F | Callable[[F], F]:
        """Let the server call a function; a decorator, with or without arguments.

        ::

            @voice.tool
            def set_light(room: str, on: bool) -> str:
                \"\"\"Switch a light on or off.\"\"\"

        Its arguments are described by the type hints, its purpose by the docstring (see
        :meth:`voicews.Tool.of`).  It is called on a thread of its own, ``voicews-tool-NAME``; what it
        returns (JSON) or raises is told to the server, as is a result that takes longer than
        ``ClientConfig.tool_timeout``.  Functions added while the client is open are offered from the
        next session on.

        Raises:
            ConfigError: the function cannot be described, or there is a tool of this name; the message
                says why.
            Unsupported: the dialect has no tools.
        """

        def register(function: F) -> F:
            self._offer(Tool.of(function, name=name, description=description))
            return function

        return register if function is None else register(function)

    def _offer(self, tool: Tool) -> None:
        if ToolResult not in self._dialect.accepts:
            raise Unsupported(f"{type(self._dialect).__name__} has no tools, so {tool.name} cannot be called")
        if self._tools.setdefault(tool.name, tool) is not tool:
            raise ConfigError(
                f'there is a tool named {tool.name} already; give this one another with name="…"'
            )

    # -- wait -------------------------------------------------------------------------------

    def events(self, kind: type[E] = Event) -> EventStream[E]:  # type: ignore[assignment]
        """The events from now on, to iterate over until the client has ended.

        Raises:
            InvalidState: the client is not open.
        """
        return self._running("events()").callbacks.stream(kind, self._config.buffers.events)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the client has ended.

        Args:
            timeout: seconds; None waits as long as it takes.

        Returns:
            True if it has ended (or was never opened), False after ``timeout``.

        Raises:
            VoicewsError: what the run ended with, if not well.
            InvalidState: called from a callback, where it would wait for itself.
        """
        timeout = checked_timeout(timeout)
        self._refuse_in_callback("wait()")
        supervisor = self._supervisor
        if supervisor is None:
            return True
        deadline = Deadline(timeout)
        with self._changed:
            while not supervisor.over:
                if deadline.passed:
                    return False
                self._changed.wait(deadline.remaining())
        self._raise_what_went_wrong()
        return True

    def wait_for(self, what: State | type[E], timeout: float | None = None) -> E | State:
        """Wait for a state (or be in it already), or for the next event of a class.

        Returns:
            The event, or the state.

        Raises:
            TimeoutError: it did not come within ``timeout`` seconds.
            VoicewsError: the client ended first, with this error.
            InvalidState: the client ended first without an error, or is not open; or this
                is a callback, which would wait for itself.
        """
        timeout = checked_timeout(timeout)
        self._refuse_in_callback("wait_for()")
        if isinstance(what, State):
            return self._wait_for_state(what, timeout)
        with self.events(what) as stream:
            try:
                return stream.get(timeout)
            except InvalidState:
                self._raise_what_went_wrong()
                raise

    def _wait_for_state(self, state: State, timeout: float | None) -> State:
        if self.state is state:
            return state
        deadline = Deadline(timeout)
        # A state may last so shortly that only its event tells of it.
        try:
            changes = self.events(StateChanged)
        except InvalidState:
            if self.state is state:
                return state
            self._raise_what_went_wrong()
            raise
        with changes:
            if self.state is state:
                return state
            try:
                while changes.get(deadline.remaining()).new is not state:
                    continue
            except TimeoutError:
                raise TimeoutError(f"still {self.state.name}, not {state.name}, after {timeout} s") from None
            except InvalidState:
                self._raise_what_went_wrong()
                raise InvalidState(
                    f"the client is {self.state.name} and cannot become {state.name}"
                ) from None
        return state

    # -- ask --------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where the client is in its life."""
        return self._lifecycle.state

    @property
    def error(self) -> BaseException | None:
        """What ended, or is ending, the last run; None if nothing went wrong."""
        return self._lifecycle.error

    @property
    def history(self) -> History:
        """What was said, newest last; kept over reconnects and reopening."""
        return self._history

    def stats(self) -> Stats:
        """What was counted and measured in this (or the last) run; always on, and cheap to ask for.

        With ``ClientConfig.stats_interval`` it also comes as an event.

        Raises:
            InvalidState: the client was never opened.
        """
        supervisor = self._supervisor
        if supervisor is None:
            raise InvalidState("there are no figures before open()")
        return supervisor.stats()

    # -- life -------------------------------------------------------------------------------

    def open(self, timeout: float | None = None) -> None:
        """Open the devices, connect, and return when the server has accepted the session.

        Failures that may pass are retried as ``config.backoff`` says; meanwhile this waits.
        It also returns if the server has ended the conversation in good order by then.

        Args:
            timeout: seconds to wait at most, after which the client is closed again; None
                leaves it to the backoff.

        Raises:
            InvalidState: it is open already, another open client has the same microphone or speaker
                object, or close() was called meanwhile.
            AudioError, ThreadUnavailable: a sound device, or a thread, cannot be had.
            RecordingError: the recorder's files cannot be made.
            VoicewsError: the connection did not come about; what the last attempt met.
            TimeoutError: ``timeout`` has passed.
        """
        timeout = checked_timeout(timeout)
        with self._opening, _sharing:
            if self._supervisor is not None:
                if not self._supervisor.over:
                    raise InvalidState(f"the client is already open ({self.state.name})")
                hanging = [thread.name for thread in self._supervisor.survivors if thread.is_alive()]
                if hanging:
                    raise InvalidState(
                        f"{', '.join(hanging)} of the last run still hangs and may hold a device; "
                        "make a new VoiceClient with devices of its own"
                    )
            self._require_devices_of_its_own()
            before = self._supervisor
            occupy_standard_descriptors()
            atexit.unregister(_close_forgotten)  # to run before what modules loaded since then do at exit
            atexit.register(_close_forgotten)
            supervisor = self._new_supervisor(
                self._dialect,
                self._microphone,
                self._speaker,
                self._config,
                silence_for=self._silence_for,
                lifecycle=self._lifecycle,
                history=self._history,
                handlers=self._handlers,
                tools=self._tools,
                is_muted=self._muted.is_set,
                changed=self._changed,
                ended=_running.discard,
            )
            if self._recorder is not None:
                formats = self._dialect.input_format, self._dialect.output_format
                self._recorder.begin(supervisor.callbacks, type(self._dialect).__name__, *formats)
            self._supervisor = supervisor
            _opened.add(self)
            _running.add(supervisor)
            try:
                supervisor.start()
            except RuntimeError:  # the machine has no thread left
                self._supervisor = before
                _running.discard(supervisor)
                raise
        try:
            in_time = self._wait_until_open(supervisor, Deadline(timeout))
        except BaseException:
            self.close()
            raise
        if not in_time:
            self.close()
            raise TimeoutError(f"no session within {timeout} s") from supervisor.last_drop
        if self.state.ended:
            self._raise_what_went_wrong()
            if not supervisor.connections:
                raise InvalidState("the client was closed, by close() or by the server, before it was open")
        try:
            for error in supervisor.fallbacks:
                warnings.warn(BackendFallback(f"using silence: {error}"), stacklevel=2)
        except BackendFallback:  # where warnings are errors
            self.close()
            raise

    def _require_devices_of_its_own(self) -> None:
        """Two clients that read one source would each get half of its sound.  Call under ``_sharing``."""
        for other in list(_opened):
            if other is self or other._supervisor is None or other._supervisor.over:
                continue
            for mine, theirs in zip(self._given, other._given, strict=True):
                if mine is theirs:
                    raise InvalidState(
                        f"{mine!r} is in use by another open client; give each client an object of its own, "
                        f"such as another {type(mine).__name__}(…), or close the other client first"
                    )

    def _wait_until_open(self, supervisor: Supervisor, deadline: Deadline) -> bool:
        """False if the deadline has passed."""
        with self._changed:
            while not (supervisor.over or self._is_open(supervisor)):
                if deadline.passed:
                    return False
                self._changed.wait(deadline.remaining())
        return True

    def _is_open(self, supervisor: Supervisor) -> bool:
        if self.state is State.CONNECTED:
            return supervisor.devices_open
        # Whoever waits may miss CONNECTED where the server closes at once, and playing out takes long.
        return self.state is State.CLOSING and self.error is None and supervisor.connections > 0

    def close(self, *, play_out: bool = False) -> None:
        """End the conversation: send what is waiting, hear the server's last words, close.

        Takes ``Timeouts.close`` at most.  May be called from anywhere, twice, and before
        open(); from a callback (or any other thread of voicews) it only asks for the end and
        returns at once.

        It waits for the callback and the tools that are running, so **never close on a thread for which one
        of them waits**: in a window's thread, if a callback touches the window (from another thread Tk's
        ``after`` waits for the main loop), or while holding a lock that a callback wants.  Let callbacks put
        events into a queue, and the window look into it: see ``examples/tk_window.py``.

        Args:
            play_out: True also plays what has been received but not heard, for as long as
                that lasts; False is silent at once.

        Raises:
            ShutdownTimeout: a thread has not ended in time; it is named in ``threads``.
        """
        with self._opening:  # what another thread is about to start can then be waited for
            supervisor = self._supervisor
        if supervisor is None:
            if self.state is State.IDLE:
                self._lifecycle.handle(Close(), time.monotonic())
            return
        supervisor.play_out = play_out
        supervisor.post(Close())
        if self._is_within():
            return
        deadline = Deadline(supervisor.closing_time)
        for thread in (supervisor, supervisor.callbacks):
            thread.ended_within(deadline.remaining())
        threads = (supervisor, supervisor.callbacks, *supervisor.survivors)
        left = [thread.name for thread in threads if thread.is_alive()]
        if self._recorder is not None and not self._recorder.ended_within(deadline.remaining()):
            left.append("voicews-recorder")
        if left:
            raise ShutdownTimeout(left, callback=supervisor.callbacks.calling)

    def run(self) -> None:
        """Open (unless it is open), wait until the client has ended or Ctrl+C is pressed, close.

        Raises:
            VoicewsError: what went wrong, if anything did.
        """
        try:
            if self._supervisor is None or self.state.ended:
                self._open_unless_closed()
            self.wait()
        except KeyboardInterrupt:
            log.info("interrupted from the keyboard")
        finally:
            self.close()

    def _open_unless_closed(self) -> None:
        try:
            self.open()
        except InvalidState:
            # A callback that closes while we connect has ended the run as it should.
            if self.state is not State.CLOSED:
                raise

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        self.close()

    # -- talk -------------------------------------------------------------------------------

    def send_text(self, text: str) -> None:
        """Say something in writing.  While the connection is away it waits for the next one.

        Raises:
            InvalidState: the client is not open.
            OutboxFull: too much is waiting already.
            Unsupported: the dialect takes no text.
            ConfigError: ``text`` is no text, or empty.
        """
        if not isinstance(text, str) or not text.strip():
            raise ConfigError(f"send_text() takes a text that is not empty, not {safe_repr(text)}")
        self.send(SendText(text))

    def send(self, command: Command) -> None:
        """Say anything that the dialect accepts; see :mod:`voicews.commands`.

        Raises:
            InvalidState: the client is not open.
            OutboxFull: too much is waiting already.
            Unsupported: the dialect has no words for it.
            ConfigError: it is no command.
        """
        if not isinstance(command, Command):
            raise ConfigError(f"send() takes a Command such as SendText({safe_repr(command)})")
        self._running(type(command).__name__)
        if type(command) not in self._dialect.accepts:
            raise unsupported(type(self._dialect).__name__, command, self._dialect.accepts)
        self._put(command)

    def start_talking(self) -> None:
        """Push to talk, pressed: unmute, and tell the server if the dialect has a word for it."""
        self.unmute()
        self._say_if_accepted(StartTurn())

    def stop_talking(self) -> None:
        """Push to talk, released: mute, and tell the server that the turn is finished."""
        self.mute()
        self._say_if_accepted(EndTurn())

    def mute(self) -> None:
        """Send silence instead of the microphone's sound, from the next frame on."""
        self._muted.set()

    def unmute(self) -> None:
        """Send the microphone's sound again."""
        self._muted.clear()

    @property
    def muted(self) -> bool:
        """True while silence is sent instead of the microphone's sound."""
        return self._muted.is_set()

    def interrupt(self) -> None:
        """Silence the answer that is playing, and tell the server to stop if it can be told.

        An :class:`~voicews.Interrupted` event tells how much of it was heard.

        Raises:
            InvalidState: the client is not open.
            OutboxFull: the server could not be told; it is silent here all the same.
        """
        supervisor = self._running("interrupt()")
        command = InterruptResponse()
        supervisor.interruptions.begin(command if InterruptResponse in self._dialect.accepts else None)
        try:
            self._say_if_accepted(command, urgent=True)
        except BaseException:
            supervisor.interruptions.end([command])
            raise
        finally:
            supervisor.player.flush()

    def _say_if_accepted(self, command: Command, *, urgent: bool = False) -> None:
        self._running(type(command).__name__)
        if type(command) in self._dialect.accepts:
            self._put(command, urgent=urgent)

    def _put(self, command: Command, *, urgent: bool = False) -> None:
        outbox = self._running(type(command).__name__).outbox
        try:
            outbox.put(command, urgent=urgent)
            if self._recorder is not None:
                self._recorder.told(command)
        except ShutDown:
            raise InvalidState(f"{type(command).__name__} came while the client was closing") from None
        except queue.Full:
            raise OutboxFull(
                f"{outbox.maxsize} messages wait for the connection already; "
                f"this {type(command).__name__} was not taken"
            ) from None

    # -- within -----------------------------------------------------------------------------

    def _running(self, what: str) -> Supervisor:
        supervisor = self._supervisor
        if supervisor is None or self.state.ended:
            hint = "call open() first" if self.state in (State.IDLE, State.CLOSED) else "it has failed"
            raise InvalidState(f"{what} needs an open client; this one is {self.state.name}: {hint}")
        return supervisor

    def _refuse_in_callback(self, what: str) -> None:
        if self._is_within():
            raise InvalidState(f"{what} in a callback would wait for itself; register a callback instead")

    def _is_within(self) -> bool:
        """True on a thread of this very client, which must not wait for the client."""
        thread = threading.current_thread()
        return isinstance(thread, Worker) and thread.home is self._supervisor

    def _raise_what_went_wrong(self) -> None:
        error = self._lifecycle.error
        if error is None:
            return
        # Each raise lengthens the traceback of the one object that is kept, and changes its context.
        began, context = self._lifecycle.traceback, error.__context__
        try:
            raise error.with_traceback(began)
        finally:
            error.__context__ = context
            del error


class _InheritedClient(VoiceClient):
    """What an open client is in a child process: its threads and its sockets are the parent's."""

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_"):
            return super().__getattribute__(name)
        raise InvalidState(
            f"{name} of a client that was opened before fork(): it stays with the parent process; "
            "make a new client here, or start this process by spawn"
        )

    def _leave(self) -> None:
        """The ``with`` block was entered, and will be left, in the parent."""


_running: set[Supervisor] = set()
_opened: weakref.WeakSet[VoiceClient] = weakref.WeakSet()
_sharing = threading.RLock()
"""Held from the look at what other clients use until a client is among them."""


def _after_fork() -> None:
    """In a child process none of the parent's threads runs, and their locks may be held for ever."""
    global _sharing  # noqa: PLW0603 - the lock may be held by a thread that does not exist here
    _sharing = threading.RLock()
    for client in list(_opened):
        if client._supervisor is not None and not client._supervisor.over:
            client.__class__ = _InheritedClient
    _opened.clear()
    _running.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@atexit.register
def _close_forgotten() -> None:
    """Give devices and sockets back at the interpreter's end."""
    notify("STOPPING=1")
    running = list(_running)
    for supervisor in running:
        supervisor.post(Close())
    for supervisor in running:
        if not supervisor.ended_within(supervisor.closing_time):
            log.warning("at exit: %s still runs", supervisor.name)
