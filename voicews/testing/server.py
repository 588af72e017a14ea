"""A WebSocket server for tests: it says what you script, and behaves as badly as you ask.

The fakes of this package are made of it, one per dialect; make your own like this::

    class Parrot(FakeConnection):
        def on_message(self, message):
            self.send(message)

    class ParrotServer(FakeServer[Parrot]):
        connection_class = Parrot

    with ParrotServer() as server:
        client = VoiceClient(server.url)
        ...
        server.connection().wait_for_message({"type": "text"})
"""

from __future__ import annotations

import json
import logging
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, cast
from urllib.parse import parse_qsl, urlsplit

from voicews.deadline import Deadline
from voicews.errors import (
    BackendMissing,
    ConfigError,
    ConnectionClosed,
    InvalidState,
    ShutdownTimeout,
    VoicewsError,
)
from voicews.extras import extra_command

if TYPE_CHECKING:
    from voicews.testing.link import Link, Listener, Refusal

__all__ = ["FactMissing", "FakeConnection", "FakeServer"]

log = logging.getLogger(__name__)

_GOING_AWAY = 1001
_INTERNAL_ERROR = 1011
_REMEMBERED = 100_000
"""Messages of a connection; a client that never stops must not fill the memory."""
_LEAVE_FOR_CUTTING = 1.0
"""Seconds of close()'s deadline kept for clients that do not answer."""

Says = str | bytes | Mapping[str, Any]
Wanted = Mapping[str, Any] | Callable[[Any], object]


class FactMissing(VoicewsError, AssertionError):
    """What a test waited for did not come in time; the message shows what came instead."""


class FakeConnection:
    """One client of a :class:`FakeServer`, from its acceptance on.

    The three hooks :meth:`on_open`, :meth:`on_message` and :meth:`on_close` run in the
    connection's own thread, one after the other; all else may be called from any thread.
    What a hook raises ends the connection with close code 1011 and is kept in
    :attr:`FakeServer.failures`; a client that goes while a hook sends ends the hook quietly.

    You do not make one: the server does.
    """

    def __init__(self, server: FakeServer[Any], link: Link, number: int) -> None:
        self.server = server
        self.number = number
        """Counted from 1 over the server's life."""
        self.path = urlsplit(link.path).path
        self.query: dict[str, str] = dict(parse_qsl(urlsplit(link.path).query, keep_blank_values=True))
        """Of the address; the last of equal names counts."""
        self.headers: Mapping[str, str] = link.headers
        """Of the handshake, names in lower case; tokens are in here."""
        self.subprotocol = link.subprotocol
        self._link = link
        self._changed = threading.Condition()
        self._received: deque[str | bytes] = deque(maxlen=_REMEMBERED)
        self._sent: deque[str | bytes] = deque(maxlen=_REMEMBERED)
        self._end: ConnectionClosed | None = None
        self._workers: list[threading.Thread] = []

    # -- hooks ------------------------------------------------------------------------------

    def on_open(self) -> None:
        """The client is there; nothing of it has been read yet."""

    def on_message(self, message: str | bytes) -> None:
        """The client said this; it is in :attr:`received` already."""

    def on_close(self) -> None:
        """The client has gone; nothing can be sent any more."""

    # -- what came --------------------------------------------------------------------------

    @property
    def received(self) -> tuple[str | bytes, ...]:
        """All messages so far, oldest first (the newest 100,000 of them)."""
        with self._changed:
            return tuple(self._received)

    @property
    def sent(self) -> tuple[str | bytes, ...]:
        """All messages that the client was sent so far, oldest first (the newest 100,000 of them)."""
        with self._changed:
            return tuple(self._sent)

    @property
    def received_json(self) -> list[Any]:
        """Those of :attr:`received` that are JSON in text, parsed."""
        return [data for message in self.received if (data := _parsed(message)) is not None]

    @property
    def received_binary(self) -> bytes:
        """All binary messages so far, put together."""
        return b"".join(message for message in self.received if isinstance(message, bytes))

    @property
    def is_open(self) -> bool:
        """False once either side has closed or the link is cut."""
        return self._end is None

    @property
    def close_code(self) -> int | None:
        """The Close frame's code, 1006 if there was none, None while the connection is open."""
        return self._end.code if self._end is not None else None

    @property
    def closed_by_client(self) -> bool:
        """True if the client's Close frame came before ours."""
        return self._end is not None and self._end.by_peer and self._end.code != 1006

    def wait_for(self, fact: Callable[[Self], object], timeout: float = 5.0, what: str = "the fact") -> None:
        """Wait until ``fact(connection)`` is true; asked again at each message of either side and at the end.

        Args:
            fact: about this connection; must not block.
            timeout: seconds.
            what: its name in the error's message.

        Raises:
            FactMissing: it did not come true in time.
        """
        with self._changed:
            if self._changed.wait_for(lambda: bool(fact(self)), timeout):
                return
            last = [_short(message) for message in list(self._received)[-8:]]
            end = self._end
        raise FactMissing(
            f"{what} did not come in {timeout:g} s; connection {self.number} "
            f"{'is open' if end is None else f'has ended ({end})'}, and last received {last}"
            + "".join(f"; a hook failed: {failure!r}" for failure in self.server.failures)
        )

    def wait_for_message(self, wanted: Wanted, timeout: float = 5.0, *, number: int = 1) -> Any:
        """Wait for a message in JSON, and return it parsed.

        Args:
            wanted: keys and values that it has to have (others may be there), or a function that
                is true for it.
            timeout: seconds.
            number: the how-manieth such message since the connection began, from 1.

        Raises:
            FactMissing: it did not come in time.
        """
        found: list[Any] = []

        def there(connection: Self) -> bool:
            found[:] = [data for data in connection.received_json if _matches(data, wanted)]
            return len(found) >= number

        what = f"message {number} with {dict(wanted)!r}" if isinstance(wanted, Mapping) else "the message"
        self.wait_for(there, timeout, what)
        return found[number - 1]

    def wait_for_binary(self, count: int = 1, timeout: float = 5.0) -> bytes:
        """Wait until this many bytes have come in binary messages; return all of them so far.

        Raises:
            FactMissing: they did not come in time.
        """
        self.wait_for(lambda one: len(one.received_binary) >= count, timeout, f"{count} bytes")
        return self.received_binary

    def wait_until_closed(self, timeout: float = 5.0) -> int:
        """Wait for the end; return the close code, 1006 if there was no Close frame.

        Raises:
            FactMissing: it did not come in time.
        """
        self.wait_for(lambda one: one.close_code is not None, timeout, "the end of the connection")
        return cast("int", self.close_code)

    # -- what we say ------------------------------------------------------------------------

    def send(self, message: Says) -> None:
        """Send text, binary, or a mapping as JSON.

        Raises:
            ConnectionClosed: the client has gone.
        """
        message = message if isinstance(message, str | bytes) else json.dumps(dict(message))
        self._link.send(message)
        with self._changed:
            self._sent.append(message)
            self._changed.notify_all()

    def pause(self, seconds: float) -> None:
        """Wait, so that the client has time to do something in between.

        Raises:
            ConnectionClosed: the client has gone meanwhile.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._end is not None, seconds)
            if self._end is not None:
                raise self._end

    def start(self, work: Callable[[], None]) -> None:
        """Run a script beside the hooks, in a daemon thread, until it ends or the client goes.

        It is for answers that can be interrupted: hooks are not called while one of them runs.
        """
        thread = threading.Thread(
            target=self.server._guarded,
            args=(self, work),
            name=f"voicews-testing-client-{self.number}-script",
            daemon=True,
        )
        with self._changed:
            self._workers = [worker for worker in self._workers if worker.is_alive()]
            self._workers.append(thread)
        thread.start()

    # -- bad behaviour ----------------------------------------------------------------------

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close in good order; takes up to a second if the client does not answer."""
        self._link.close(code, reason)

    def drop(self, *, reset: bool = False) -> None:
        """Cut the TCP connection without a Close frame; ``reset`` as a crashed host does it (RST)."""
        self._link.tap.cut(reset=reset)

    def stall(self) -> None:
        """Neither read nor write any more, not even a Pong, while the connection stays open."""
        self._link.tap.gate.shut()

    def resume(self) -> None:
        """Go on after :meth:`stall`."""
        self._link.tap.gate.open()

    # -- the server's side of it ------------------------------------------------------------

    def _take(self) -> None:
        """Read a message and give it to the hooks."""
        message = self._link.receive()
        with self._changed:
            self._received.append(message)
            self._changed.notify_all()
        hook = self.server.on_message
        if hook is None or not hook(self, message):
            self.on_message(message)

    def _ended(self, error: ConnectionClosed) -> None:
        with self._changed:
            self._end = error
            workers = list(self._workers)
            self._changed.notify_all()
        for worker in workers:
            worker.join()
        self._link.wait_for_threads()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.number}, {len(self._received)} messages>"


C = TypeVar("C", bound=FakeConnection)


class FakeServer(Generic[C]):
    """A WebSocket server in threads, scripted, on this machine only.

    Needs the extra ``testing``.  Threads: one that accepts, two for each client,
    one for each script that is :meth:`~FakeConnection.start`-ed; all end in :meth:`close`.

    Args:
        port: 0 (the default) picks a free one; see :attr:`port`.
        on_open: called with each new connection, before the fake's own greeting; True keeps
            that away.
        on_message: called with a connection and each of its messages (text or binary), in the
            connection's thread, before the fake's own answer; True keeps that away.
        subprotocols: those it understands; a client that offers none of them is served without.
        tls: to serve ``wss://``.
        ping_interval: seconds between WebSocket pings to the client; None (the default) sends none.
        largest: bytes of one message; a longer one is refused with code 1009.

    Raises:
        ConfigError: ``port`` is no port.
    """

    connection_class: ClassVar[type[FakeConnection]] = FakeConnection
    """What a client's connection is made of."""

    def __init__(
        self,
        port: int = 0,
        *,
        on_open: Callable[[C], object] | None = None,
        on_message: Callable[[C, str | bytes], object] | None = None,
        subprotocols: Sequence[str] = (),
        tls: ssl.SSLContext | None = None,
        ping_interval: float | None = None,
        largest: int = 16 * 1024 * 1024,
    ) -> None:
        if not 0 <= port <= 65535:
            raise ConfigError(f"{type(self).__name__}'s port is {port!r}; it must be from 0 to 65535")
        self.on_open = on_open
        self.on_message = on_message
        self._wanted_port = port
        self._subprotocols = tuple(subprotocols)
        self._tls = tls
        self._ping_interval = ping_interval
        self._largest = largest
        self._listener: Listener | None = None
        # Guards all below; notified whenever one of these facts changes.
        self._changed = threading.Condition()
        self._connections: list[C] = []
        self._talking = 0
        self._refusal: Refusal | None = None
        self._refused = 0
        self._failures: list[BaseException] = []

    # -- life -------------------------------------------------------------------------------

    def start(self) -> None:
        """Listen, and return; clients may connect from then on.

        Raises:
            BackendMissing: websockets is not installed; the message says what to do.
            TransportError: the port cannot be listened on.
            InvalidState: it runs already.
        """
        if self._listener is not None:
            raise InvalidState("the fake server runs already; close it before another start()")
        try:
            from voicews.testing.link import Listener
        except ImportError as error:
            raise BackendMissing(f"fake servers need websockets: {extra_command('testing')}") from error
        self._listener = Listener(
            "127.0.0.1",
            self._wanted_port,
            talk=self._talk,
            judge=self._judge,
            subprotocols=self._subprotocols,
            tls=self._tls,
            ping_interval=self._ping_interval,
            largest=self._largest,
        )

    def close(self, deadline: float = 5.0) -> None:
        """Hang up on everybody (code 1001) and end all threads.  Again, it does nothing.

        Args:
            deadline: seconds; whoever has not answered a second before the end is cut off.

        Raises:
            ShutdownTimeout: a hook is still running.
        """
        listener = self._listener
        if listener is None:
            return
        limit = Deadline(deadline)
        with self._changed:
            open_ones = [one for one in self._connections if one.is_open]
        goodbyes = [
            threading.Thread(
                target=one.close,
                args=(_GOING_AWAY, "the server is closing"),
                name=f"voicews-testing-goodbye-{one.number}",
                daemon=True,
            )
            for one in open_ones
        ]
        for thread in goodbyes:
            thread.start()
        polite = time.monotonic() + max(0.0, deadline - _LEAVE_FOR_CUTTING)
        for thread in goodbyes:
            thread.join(max(0.0, polite - time.monotonic()))
        listener.cut_all()
        for thread in goodbyes:
            thread.join(limit.remaining())
        with self._changed:
            over = self._changed.wait_for(lambda: not self._talking, limit.remaining())
        if not over:
            # The library would wait for the hook without end, so its sockets are left to it.
            raise ShutdownTimeout(
                sorted(t.name for t in threading.enumerate() if t.name.startswith("voicews-testing-client-"))
            )
        listener.close()
        self._listener = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        where = self.address if self._listener is not None else "not running"
        return f"<{type(self).__name__} {where}, {len(self.connections)} connections>"

    # -- facts ------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """Where it listens.

        Raises:
            InvalidState: it does not run.
        """
        if self._listener is None:
            raise InvalidState("a fake server has no port before start() and after close()")
        return self._listener.port

    @property
    def address(self) -> str:
        """``ws://127.0.0.1:PORT`` (or ``wss://``), without a path.

        Raises:
            InvalidState: it does not run.
        """
        return f"{'ws' if self._tls is None else 'wss'}://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """What a client connects to; a dialect's fake may add its service's path.

        Raises:
            InvalidState: it does not run.
        """
        return self.address

    @property
    def connections(self) -> tuple[C, ...]:
        """All that were let in so far, ended ones too, in order."""
        with self._changed:
            return tuple(self._connections)

    @property
    def refused(self) -> int:
        """How many were sent away in the handshake."""
        return self._refused

    @property
    def failures(self) -> tuple[BaseException, ...]:
        """What hooks have raised; empty if all is well."""
        with self._changed:
            return tuple(self._failures)

    def connection(self, number: int = 1, timeout: float = 5.0) -> C:
        """The how-manieth connection, counted from 1, waited for.

        Raises:
            FactMissing: it did not come in so many seconds.
        """
        self.wait_for(
            lambda server: len(server.connections) >= number, timeout, f"connection {number} to the server"
        )
        return self.connections[number - 1]

    def wait_for(self, fact: Callable[[Self], object], timeout: float = 5.0, what: str = "the fact") -> None:
        """Wait until ``fact(server)`` is true; asked again when a client comes, is refused, or goes.

        Raises:
            FactMissing: it did not come true in so many seconds.
        """
        with self._changed:
            if self._changed.wait_for(lambda: bool(fact(self)), timeout):
                return
        raise FactMissing(
            f"{what} did not come in {timeout:g} s; there were {len(self.connections)} connections "
            f"and {self.refused} refused" + "".join(f"; a hook failed: {one!r}" for one in self.failures)
        )

    # -- bad behaviour ----------------------------------------------------------------------

    def refuse(
        self, status: int = 503, *, headers: Mapping[str, str] | None = None, body: str = "no\n"
    ) -> None:
        """Answer every handshake with this HTTP status until :meth:`accept`."""
        with self._changed:
            self._refusal = (status, dict(headers or {}), body)

    def accept(self) -> None:
        """Let clients in again after :meth:`refuse`."""
        with self._changed:
            self._refusal = None

    def drop(self, *, reset: bool = False) -> None:
        """Cut all connections without a Close frame (see :meth:`FakeConnection.drop`)."""
        for one in self.connections:
            if one.is_open:
                one.drop(reset=reset)

    def judge(
        self, path: str, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], str | bytes] | None:
        """Overridden by fakes that look at keys and addresses.

        Args:
            path: with its query.
            headers: names in lower case.

        Returns:
            HTTP status, headers and body to answer with instead; None (the default) lets the client in.
        """
        return None

    # -- threads ----------------------------------------------------------------------------

    def _judge(self, path: str, headers: Mapping[str, str]) -> Refusal | None:
        with self._changed:
            refusal = self._refusal
        refusal = refusal or self.judge(path, headers)
        if refusal is not None:
            with self._changed:
                self._refused += 1
                self._changed.notify_all()
        return refusal

    def _talk(self, link: Link) -> None:
        with self._changed:
            connection = cast("C", self.connection_class(self, link, len(self._connections) + 1))
            self._connections.append(connection)
            self._talking += 1
            self._changed.notify_all()
        try:
            self._guarded(connection, lambda: self._converse(connection))
        finally:
            with self._changed:
                self._talking -= 1
                self._changed.notify_all()

    def _converse(self, connection: C) -> None:
        try:
            if self.on_open is None or not self.on_open(connection):
                connection.on_open()
            while True:
                connection._take()
        except ConnectionClosed as error:
            self._end(connection, error)
        except BaseException:
            connection.close(_INTERNAL_ERROR, "a hook of the fake server failed")
            self._end(connection, ConnectionClosed(_INTERNAL_ERROR, by_peer=False))
            raise

    def _end(self, connection: C, error: ConnectionClosed) -> None:
        connection._ended(error)
        connection.on_close()
        with self._changed:
            self._changed.notify_all()

    def _guarded(self, connection: C, work: Callable[[], None]) -> None:
        try:
            work()
        except ConnectionClosed as error:
            log.debug("client %d went while a script ran: %s", connection.number, error)
        except Exception as error:
            log.exception("a hook of %s failed", type(self).__name__)
            with self._changed:
                self._failures.append(error)
                self._changed.notify_all()


def _parsed(message: str | bytes) -> Any:
    if isinstance(message, bytes):
        return None
    try:
        return json.loads(message)
    except ValueError:
        return None


def _matches(data: Any, wanted: Wanted) -> bool:
    if not isinstance(wanted, Mapping):
        return bool(wanted(data))
    return isinstance(data, dict) and all(key in data and data[key] == value for key, value in wanted.items())


def _short(message: str | bytes) -> str:
    shown = repr(message)
    return shown if len(shown) <= 120 else f"{shown[:120]}… ({len(message)} long)"
