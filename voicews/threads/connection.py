"""One socket's life: its receiver, its sender, and the one error that ends it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from voicews.buffers import DropOldestQueue
from voicews.commands import Command
from voicews.config import ClientConfig
from voicews.deadline import Deadline
from voicews.dialects.base import Dialect, Fetch, Session, Sound
from voicews.dialects.fetching import Fetcher
from voicews.errors import ConnectFailed, ConnectionClosed, VoicewsError
from voicews.events import Event, SoundOffered
from voicews.stats import Counters
from voicews.threads.collector import Collector
from voicews.threads.receiver import Listener, Receiver
from voicews.threads.sender import Sender, ping_payload
from voicews.threads.worker import Worker
from voicews.transport import Transport

__all__ = ["Connection", "Ended", "Failing", "Linked", "News", "Ready"]

log = logging.getLogger(__name__)

_STUCK = 0.1
"""Seconds after which a session that another thread is still using is left alone."""


@dataclass(frozen=True)
class News:
    """What a connection tells the supervisor."""

    generation: int


@dataclass(frozen=True)
class Linked(News):
    """The WebSocket is open."""


@dataclass(frozen=True)
class Ready(News):
    """The session is accepted."""


@dataclass(frozen=True)
class Failing(News):
    """The sender cannot go on; the receiver may yet read why."""


@dataclass(frozen=True)
class Ended(News):
    """It is over and its socket released."""

    error: BaseException | None
    """None if we wanted it so."""


class Connection(Listener):
    """One attempt to talk to the server.  Ends once, with one error.

    Args:
        generation: its number, counted from 1.
        session: made for it by the dialect.
        collector: fetches sound that the session is offered.
        tell: gets the news; called from the connection's threads.
        hear: gets what the server says; called from the receiver and the sender thread, and from
            those that fetch sound for the session.
        sending: gets each command but sound that is about to go; called from the sender thread.
        sent: gets each command that has gone into the kernel, and when; called from the sender thread.
        refused: gets each command that the session could not say; likewise.
    """

    def __init__(
        self,
        generation: int,
        dialect: Dialect,
        session: Session,
        config: ClientConfig,
        *,
        outbox: DropOldestQueue[Command],
        counters: Counters,
        collector: Collector,
        tell: Callable[[News], None],
        hear: Callable[[Event, int], None],
        sending: Callable[[Command], None],
        sent: Callable[[Command, float], None],
        refused: Callable[[Command], None],
    ) -> None:
        self.generation = generation
        self.session = session
        self._dialect = dialect
        self._config = config
        self._outbox = outbox
        self._collector = collector
        self._tell = tell
        self._hear = hear
        self._sending = sending
        self._sent = sent
        self._refused = refused
        self._session_lock = threading.Lock()
        self._lock = threading.Lock()
        self._transport: Transport | None = None
        self._sender: Sender | None = None
        self._fetcher = Fetcher(config)
        self._fetch_offered: Fetch = self._fetcher.fetch
        self._aborted = self._over = False
        self._named: BaseException | None = None
        self._sender_error: BaseException | None = None
        self._receiver = Receiver(
            self._dial, self._make_sender, session, self._session_lock, listener=self, counters=counters
        )

    # -- from the supervisor ------------------------------------------------------------------

    def start(self) -> None:
        """Begin to dial."""
        self._receiver.start()

    def ping(self) -> None:
        """Ask the server for a sign of life."""
        if self._sender is not None:
            self._sender.ping(ping_payload())

    def close(self) -> None:
        """Send a Close frame without waiting for the server's last words."""
        if self._sender is not None:
            self._sender.close(1000)

    def abort(self, error: BaseException | None = None) -> None:
        """End at once, without a word; ``error`` is then named as the cause."""
        with self._lock:
            self._named = self._named or error
            self._aborted = True
            transport = self._transport
        if transport is not None:
            transport.abort()
        self._fetcher.abort()

    def retire(self, error: BaseException) -> None:
        """End in good order, with a Close frame; ``error`` is named as the cause."""
        with self._lock:
            self._named = self._named or error
        if self._sender is not None:
            self._sender.close(1000)

    @property
    def linked(self) -> bool:
        """True once the WebSocket has been opened."""
        return self._sender is not None

    @property
    def last_received(self) -> float:
        """Monotonic time of the last byte from the server; 0.0 before the first."""
        return self._transport.last_received if self._transport is not None else 0.0

    @property
    def bytes_sent(self) -> int:
        """Bytes written, with WebSocket framing."""
        return self._transport.bytes_sent if self._transport is not None else 0

    @property
    def bytes_received(self) -> int:
        """Bytes read, with WebSocket framing."""
        return self._transport.bytes_received if self._transport is not None else 0

    @property
    def unconfirmed(self) -> list[Command]:
        """Commands that were said here and may not have arrived."""
        return self._sender.unconfirmed if self._sender is not None else []

    def last_words(self, *, resumes: bool) -> list[Event]:
        """What the session still has to tell, now that the connection is over; nothing if it is stuck."""
        if not self._session_lock.acquire(timeout=_STUCK):
            return []
        try:
            return self.session.last_words(resumes=resumes)
        except BaseException:  # the run must end, whatever the dialect thinks of it
            log.exception("%s: last_words() failed", type(self._dialect).__name__)
            return []
        finally:
            self._session_lock.release()

    def ended_within(self, seconds: float | None) -> bool:
        """Wait for both threads to end; True if they did."""
        deadline = Deadline(seconds)
        return all(thread.ended_within(deadline.remaining()) for thread in self._threads())

    def _threads(self) -> list[Worker]:
        return [thread for thread in (self._receiver, self._sender) if thread is not None]

    def ended_by(self, worker: Worker) -> Ended | Failing | None:
        """What a thread that has ended means, in case that it could not tell by itself."""
        if worker is self._receiver:
            cause = self._named or worker.error or ConnectionClosed(1006, message="the receiver thread ended")
            return Ended(self.generation, cause)
        if worker is self._sender and worker.error is not None:
            return Failing(self.generation)
        return None

    def alive(self) -> list[threading.Thread]:
        """Its threads that still run."""
        return [thread for thread in self._threads() if thread.is_alive()]

    # -- for the receiver, on its thread --------------------------------------------------------

    def _dial(self) -> Transport:
        try:
            request = self._dialect.prepare(self._fetcher.fetch)
        except VoicewsError:
            raise
        except Exception as error:
            raise ConnectFailed(
                f"{type(self._dialect).__name__}.request() raised {type(error).__name__}"
            ) from error
        transport = Transport(
            request,
            generation=self.generation,
            timeouts=self._config.timeouts,
            limits=self._config.limits,
            tls=self._config.tls,
            proxy=self._config.proxy,
        )
        with self._lock:
            if self._aborted:
                raise ConnectionClosed(1006, by_peer=False)
            self._transport = transport
        self._fetch_offered = self._fetcher.offered_by(request.url)
        return transport

    def _make_sender(self, transport: Transport) -> Sender:
        self._sender = Sender(
            transport,
            self.session,
            self._session_lock,
            outbox=self._outbox,
            max_audio_age=self._config.buffers.max_audio_age,
            confirms=self._config.timeouts.ping_interval is not None,
            sending=self._sending,
            sent=self._sent,
            refused=self._refused,
            hear=self.heard,
            fail=self._sender_failed,
        )
        return self._sender

    def opened(self) -> None:
        self._tell(Linked(self.generation))

    def ready(self) -> None:
        self._tell(Ready(self.generation))

    def heard(self, event: Event) -> None:
        if self._aborted:
            return
        self._hear(event, self.generation)
        if isinstance(event, SoundOffered):
            self._collector.collect(
                event, partial(self._dialect.collect, event, self._fetch_offered), self._collected
            )

    def ended(self, error: BaseException | None) -> None:
        self._over = True
        try:
            self._fetcher.abort()
        finally:
            self._tell(Ended(self.generation, self._one_error(error)))

    def _one_error(self, error: BaseException | None) -> BaseException | None:
        """Whoever knows most: a named cause, the server's own word, what the sender met."""
        with self._lock:
            cause = self._named
            if cause is None and isinstance(error, ConnectionClosed) and error.code == 1006:
                cause = self._sender_error
        cause = cause or error
        if isinstance(cause, OSError) and not isinstance(cause, VoicewsError):
            # Out of descriptors, say, somewhere where nothing of the kind is expected.
            failure = ConnectFailed(f"the connection failed: {cause.strerror or cause}")
            failure.__cause__ = cause
            cause = failure
        if not isinstance(cause, VoicewsError):
            return cause
        try:
            with self._session_lock:
                cause = self.session.classify(cause)
            return self._dialect.classify(cause)
        except BaseException:  # the connection must end, whatever the dialect thinks of it
            log.exception("%s: classify() failed", type(self._dialect).__name__)
            return cause

    # -- for the collector, on its threads ------------------------------------------------------

    def _collected(self, offer: SoundOffered, sound: Sound | VoicewsError) -> None:
        """Give the session what was fetched for it; runs on the thread that fetched it."""
        if self._over:
            return
        try:
            with self._session_lock:
                events = self.session.collected(offer, sound)
            for event in events:
                self.heard(event)
            if self._sender is not None:
                self._sender.poke()
        except BaseException as error:  # as what receive() raises, it ends the connection
            self.abort(error)
            if not isinstance(error, VoicewsError):
                log.error("%s: collected() failed", type(self._dialect).__name__, exc_info=error)

    # -- for the sender, on its thread ----------------------------------------------------------

    def _sender_failed(self, error: BaseException) -> None:
        with self._lock:
            self._sender_error = error
        self._tell(Failing(self.generation))
