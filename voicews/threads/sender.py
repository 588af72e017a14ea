"""The sender thread: it alone writes to the socket."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable

from voicews.buffers import DropOldestQueue, ShutDown
from voicews.commands import Command, SendAudio
from voicews.dialects.base import Session
from voicews.errors import ConnectionClosed, LocalProtocolError, VoicewsError
from voicews.threads.worker import Worker
from voicews.transport import Transport

__all__ = ["Sender"]

log = logging.getLogger(__name__)


class Sender(Worker):
    """Outbox to socket, through the session's rules; and pings, pongs and Close frames.

    It ends after it has sent a Close frame, or when the connection fails.

    Args:
        transport: a connected transport.
        session: the rules; used under ``session_lock``.
        outbox: what to say; shutting it down makes the sender say all that is left,
            finish the session, and close.
        max_audio_age: captured sound older than this (seconds) is dropped as "stale".
        sent: called after a command has gone into the kernel.
        fail: called with the error that ends the connection.
    """

    def __init__(
        self,
        transport: Transport,
        session: Session,
        session_lock: threading.Lock,
        *,
        outbox: DropOldestQueue[Command],
        max_audio_age: float,
        sent: Callable[[Command], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        super().__init__("sender")
        self._transport = transport
        self._session = session
        self._session_lock = session_lock
        self._outbox = outbox
        self._max_audio_age = max_audio_age
        self._sent = sent
        self._fail = fail
        self._lane = threading.Lock()
        self._ping: bytes | None = None
        self._pong: bytes | None = None
        self._close: tuple[int, str] | None = None
        self._poked = threading.Event()
        self._closed = False
        self._tick_at = 0.0

    # -- from other threads -----------------------------------------------------------------

    def ping(self, payload: bytes) -> None:
        """Send a ping soon, ahead of everything else."""
        with self._lane:
            self._ping = payload
        self.poke()

    def pong(self, payload: bytes) -> None:
        """Answer a ping soon; of several unanswered ones only the newest (RFC 6455 §5.5.3)."""
        with self._lane:
            self._pong = payload
        self.poke()

    def close(self, code: int, reason: str = "") -> None:
        """Send a Close frame soon, and end."""
        with self._lane:
            self._close = self._close or (code, reason)
        self.poke()

    def poke(self) -> None:
        """Look whether the session or the control lane has something to send."""
        self._poked.set()
        self._outbox.interrupt()

    def stop(self) -> None:
        """End without a word; whoever aborted the transport calls it."""
        super().stop()
        self.poke()

    @property
    def has_closed(self) -> bool:
        """True once a Close frame has been sent."""
        return self._closed

    # -- the sender thread ------------------------------------------------------------------

    def failed(self, error: BaseException) -> None:
        """Whatever the session or the transport raised ends the connection."""
        if not isinstance(error, VoicewsError):
            log.error("the sender thread failed", exc_info=error)
        self._fail(error)

    def work(self) -> None:
        """Send until asked to end, until closed, or until the connection fails."""
        while not self._done():
            self._poked.clear()
            self._do_duties()
            if self._done():
                return
            if not self._session.ready:
                self._poked.wait(self._until_tick())
                continue
            try:
                command = self._outbox.get(timeout=self._until_tick())
            except queue.Empty:
                continue
            except ShutDown:
                self._finish()
                return
            self._say(command)

    def _done(self) -> bool:
        return self._closed or self._ending.is_set()

    def _do_duties(self) -> None:
        """All that goes before the outbox: control frames, ticks, what the session has to say."""
        with self._lane:
            ping, self._ping = self._ping, None
            pong, self._pong = self._pong, None
            close = self._close
        if pong is not None:
            self._transport.pong(pong)
        if ping is not None:
            self._transport.ping(ping)
        interval = self._session.tick_interval
        messages: list[str | bytes] = []
        with self._session_lock:
            if interval is not None and time.monotonic() >= self._tick_at:
                self._tick_at = time.monotonic() + interval
                self._session.tick(time.monotonic())
            messages = self._session.messages_to_send()
        self._transmit(messages)
        if close is not None:
            self._send_close(*close)

    def _until_tick(self) -> float | None:
        if self._session.tick_interval is None:
            return None
        return max(0.0, self._tick_at - time.monotonic())

    def _say(self, command: Command) -> None:
        if isinstance(command, SendAudio) and time.monotonic() - command.at > self._max_audio_age:
            self._outbox.count_drop("stale")
            return
        with self._session_lock:
            try:
                self._session.send(command)
            except LocalProtocolError as error:
                # Said again on the next connection, it would be as wrong.
                log.error("%s was not sent: %s", type(command).__name__, error)
                return
            messages = self._session.messages_to_send()
        try:
            self._transmit(messages)
        except (OSError, VoicewsError):
            if not isinstance(command, SendAudio):
                # Not all of it reached the kernel, so the server cannot have understood it.
                self._outbox.unget(command)
            raise
        self._sent(command)

    def _transmit(self, messages: Iterable[str | bytes]) -> None:
        for message in messages:
            self._transport.send(message)

    def _finish(self) -> None:
        """Say the end of the stream, wait for the server's last words, and close."""
        with self._session_lock:
            self._session.finish()
        while not self._done():
            self._poked.clear()
            self._do_duties()
            if self._done():
                return
            if self._session.finished:
                self._send_close(1000, "")
                return
            self._poked.wait(self._until_tick())

    def _send_close(self, code: int, reason: str) -> None:
        self._closed = True
        try:
            self._transport.send_close(code, reason)
        except ConnectionClosed as error:
            # Both sides may close at once; then nobody is left to hear ours.
            log.debug("the Close frame was not sent: %s", error)
