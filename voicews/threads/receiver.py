"""The receiver thread: it dials, it alone reads from the socket, and it gives the socket back."""

from __future__ import annotations

import logging
import struct
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial

from voicews.dialects.base import Session
from voicews.errors import ConnectionClosed, RemoteProtocolError, TransportError, VoicewsError
from voicews.events import AudioReceived, Event
from voicews.stats import Counters
from voicews.threads.sender import Sender
from voicews.threads.worker import Worker, each
from voicews.transport import PeerClose, Ping, Pong, Transport

__all__ = ["Listener", "Receiver"]

log = logging.getLogger(__name__)

_LAST_FRAME = 1.0
"""Seconds that the sender gets for a Close frame once there is nothing more to read."""
_STAMP = struct.Struct("!d")


class Listener(ABC):
    """Who a receiver tells; all calls come from its thread."""

    @abstractmethod
    def opened(self) -> None:
        """The WebSocket is open."""

    @abstractmethod
    def ready(self) -> None:
        """The session is accepted; told once."""

    @abstractmethod
    def heard(self, event: Event) -> None:
        """The server has said something."""

    @abstractmethod
    def ended(self, error: BaseException | None) -> None:
        """The connection is over and its socket released; None if we wanted it so."""


class Receiver(Worker):
    """One connection from its dialling to its release.

    Args:
        dial: makes the transport; runs on this thread, for it may ask the user's code for a token.
        make_sender: makes the sender of a connected transport.
        session: the rules; used under ``session_lock``.
    """

    def __init__(
        self,
        dial: Callable[[], Transport],
        make_sender: Callable[[Transport], Sender],
        session: Session,
        session_lock: threading.Lock,
        *,
        listener: Listener,
        counters: Counters,
    ) -> None:
        super().__init__("receiver")
        self._dial = dial
        self._make_sender = make_sender
        self._session = session
        self._session_lock = session_lock
        self._listener = listener
        self._counters = counters
        self._announced = False

    def work(self) -> None:
        """Dial, read to the end, release."""
        error: BaseException | None = None
        transport: Transport | None = None
        sender: Sender | None = None
        try:
            transport = self._dial()
            transport.connect()
            sender = self._make_sender(transport)
            self._listener.opened()
            sender.start()
            self._announce_if_ready()
            self._read(transport, sender)
        except BaseException as problem:
            error = problem
            if not isinstance(problem, VoicewsError):
                log.error("the receiver thread failed", exc_info=problem)
        try:
            if transport is not None:
                error = self._release(transport, sender, error)
        except BaseException as problem:  # that the connection is over must be told all the same
            error = error or problem
            log.error("the receiver thread could not clean up", exc_info=problem)
        finally:
            self._listener.ended(error)

    def _read(self, transport: Transport, sender: Sender) -> None:
        """Read until the peer's Close, which is raised unless it answers ours."""
        while True:
            complaint: int | None = None
            received: str | bytes | Ping | Pong | PeerClose | None
            try:
                received = transport.receive()
            except RemoteProtocolError as error:
                # If only the reason of its Close frame is broken, what the code says holds all the same.
                if (received := transport.peer_close) is None:
                    raise
                complaint = error.code
            match received:
                case str() | bytes() as message:
                    self._understand(message, sender)
                case Ping(payload):
                    sender.pong(payload)
                case Pong(payload):
                    self._measure(payload)
                    sender.confirm(payload)
                case PeerClose(code, reason):
                    if sender.has_closed:
                        if code == 1000:
                            sender.confirm_all()
                        # It says so before the frame is written, and both sides may close at once.
                        sender.ended_within(_LAST_FRAME)
                        return
                    sender.close(complaint or (1000 if code == 1005 else code))
                    sender.ended_within(_LAST_FRAME)
                    raise ConnectionClosed(code, reason)

    def _understand(self, message: str | bytes, sender: Sender) -> None:
        with self._session_lock:
            events = self._session.receive(message)
        if not self._announced:
            self._announce_if_ready()
        # Unless it was only sound, the session may owe an answer, or have heard the last words that
        # the sender waits for.
        only_sound = bool(events)
        for event in events:
            if not isinstance(event, AudioReceived):
                only_sound = False
                break
        if not only_sound:
            sender.poke()
        for event in events:
            self._listener.heard(event)

    def _announce_if_ready(self) -> None:
        if self._session.ready:
            self._announced = True
            self._listener.ready()

    def _measure(self, payload: bytes) -> None:
        if len(payload) == _STAMP.size:
            self._counters.sample("rtt", time.monotonic() - _STAMP.unpack(payload)[0])

    def _release(
        self, transport: Transport, sender: Sender | None, error: BaseException | None
    ) -> BaseException | None:
        # A lost connection must not bring its old sound to a server that has already heard newer.
        forget = isinstance(error, ConnectionClosed) and error.code == 1006
        if sender is None:
            transport.close(forget=forget)
            return error
        try:
            if isinstance(error, VoicewsError) and not isinstance(error, TransportError):
                sender.close(error.code if isinstance(error, RemoteProtocolError) else 1000)
                sender.ended_within(_LAST_FRAME)
            if sender.has_closed and isinstance(error, ConnectionClosed) and not error.by_peer:
                error, forget = None, False
        finally:
            each(transport.abort, sender.stop, partial(self._give_back, transport, sender, forget))
        return error

    @staticmethod
    def _give_back(transport: Transport, sender: Sender, forget: bool) -> None:
        if sender.ended_within(_LAST_FRAME):
            transport.close(forget=forget)
        else:
            # Its socket stays open: a descriptor that a thread may still use must not be reused.
            log.error("the sender of connection %d hangs; its socket is left open", transport.generation)
