"""The sender thread: it alone writes to the socket."""

from __future__ import annotations

import logging
import queue
import struct
import threading
import time
from collections import deque
from collections.abc import Callable

from voicews.buffers import DropOldestQueue, ShutDown
from voicews.commands import Command, SendAudio
from voicews.dialects.base import Session
from voicews.errors import ConnectionClosed, LocalProtocolError, VoicewsError
from voicews.events import Event
from voicews.threads.worker import Worker
from voicews.transport import Transport

__all__ = ["Sender", "ping_payload"]

log = logging.getLogger(__name__)

_UNCONFIRMED = 1000
"""Commands that may wait for the server's confirmation; of more, the oldest are taken as delivered."""
_MARKS = 16
"""Pings whose pongs are awaited."""
_CONGESTED = 0.005
"""Seconds between looks whether a full kernel has room again."""
_STAMP = struct.Struct("!d")


def ping_payload() -> bytes:
    """What goes into a ping: the time it was asked for, so that the pong tells the round trip."""
    return _STAMP.pack(time.monotonic())


class Sender(Worker):
    """Outbox to socket, through the session's rules; and pings, pongs and Close frames.

    It ends after it has sent a Close frame, or when the connection fails.

    Args:
        transport: a connected transport.
        session: the rules; used under ``session_lock``.
        outbox: what to say; shutting it down makes the sender say all that is left,
            finish the session, and close.
        max_audio_age: captured sound older than this (seconds) is dropped as "stale".
        confirms: whether the server answers pings, so that commands can be known to have arrived.
        sending: called with a command, other than sound, before the server can know of it.
        sent: called after a command has gone into the kernel, with the monotonic time before that.
        refused: called with a command that the session could not put into words.
        hear: called with what the session tells by itself, without a word of the server's.
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
        confirms: bool,
        sending: Callable[[Command], None],
        sent: Callable[[Command, float], None],
        refused: Callable[[Command], None],
        hear: Callable[[Event], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        super().__init__("sender")
        self._transport = transport
        self._session = session
        self._session_lock = session_lock
        self._outbox = outbox
        self._max_audio_age = max_audio_age
        self._confirms = confirms
        self._sending = sending
        self._sent = sent
        self._refused = refused
        self._hear = hear
        self._fail = fail
        self._lane = threading.Lock()
        self._unconfirmed: deque[tuple[int, Command]] = deque(maxlen=_UNCONFIRMED)
        self._marks: deque[tuple[bytes, int]] = deque(maxlen=_MARKS)
        self._said = 0
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

    def confirm(self, payload: bytes) -> None:
        """A pong has come: what was said before its ping has arrived."""
        with self._lane:
            index = next((n for n, (ping, _) in enumerate(self._marks) if ping == payload), None)
            if index is None:
                return
            for _ in range(index + 1):
                _, said = self._marks.popleft()
            self._forget_confirmed(said)
            ask_again = bool(self._unconfirmed) and not self._marks and self._ping is None
            if ask_again:
                self._ping = ping_payload()
        if ask_again:
            self.poke()

    def confirm_all(self) -> None:
        """The server has answered our Close frame: everything before it has arrived."""
        with self._lane:
            self._unconfirmed.clear()

    def _forget_confirmed(self, said: int) -> None:
        while self._unconfirmed and self._unconfirmed[0][0] <= said:
            self._unconfirmed.popleft()

    @property
    def unconfirmed(self) -> list[Command]:
        """What was said, wholly or in part, and may not have arrived."""
        with self._lane:
            return [command for _, command in self._unconfirmed]

    @property
    def has_closed(self) -> bool:
        """True once a Close frame has been sent."""
        return self._closed

    # -- the sender thread ------------------------------------------------------------------

    def failed(self, error: BaseException) -> None:
        """Whatever the session or the transport raised ends the connection."""
        self._fail(error)
        if not isinstance(error, VoicewsError):
            log.error("the sender thread failed", exc_info=error)

    def work(self) -> None:
        """Send until asked to end, until closed, or until the connection fails."""
        self._poked.set()
        while not self._done():
            if self._poked.is_set() or self._until_tick() == 0:
                self._poked.clear()
                self._do_duties()
                if self._done():
                    return
            if not self._session.ready:
                self._poked.wait(self._until_tick())
                continue
            if not self._transport.has_room:
                # Here the newest can still push out the oldest; in the kernel it could not.
                self._poked.wait(_CONGESTED)
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
            self._transport.ping(self._marked(ping))
        interval = self._session.tick_interval
        messages: list[str | bytes] = []
        events: list[Event] = []
        with self._session_lock:
            if interval is not None and time.monotonic() >= self._tick_at:
                self._tick_at = time.monotonic() + interval
                events = self._session.tick(time.monotonic())
            messages = self._session.messages_to_send()
        for event in events:
            self._hear(event)
        for message in messages:
            self._transport.send(message)
        if close is not None:
            self._send_close(*close)

    def _until_tick(self) -> float | None:
        if self._session.tick_interval is None:
            return None
        return max(0.0, self._tick_at - time.monotonic())

    def _marked(self, ping: bytes) -> bytes:
        with self._lane:
            self._marks.append((ping, self._said))
        return ping

    def _say(self, command: Command) -> None:
        is_audio = isinstance(command, SendAudio)
        if isinstance(command, SendAudio) and time.monotonic() - command.at > self._max_audio_age:
            self._outbox.count_drop("stale")
            return
        with self._session_lock:
            try:
                self._session.send(command)
            except LocalProtocolError as error:
                # Said again on the next connection, it would be as wrong.
                log.error("%s was not sent: %s", type(command).__name__, error)
                if is_audio:
                    self._outbox.count_drop("refused")
                else:
                    self._refused(command)
                return
            except BaseException:
                if not is_audio:
                    self._outbox.unget(command)
                raise
            messages = self._session.messages_to_send()
        if not is_audio:
            self._await_confirmation(command)
            self._sending(command)
        at, begun = time.monotonic(), False
        try:
            for message in messages:
                self._transport.send(message)
                begun = True
        except (OSError, VoicewsError):
            if is_audio:
                self._outbox.count_drop("lost")
            elif not begun:
                # Not all of its first message reached the kernel, so the server knows nothing of it.
                with self._lane:
                    self._unconfirmed.pop()
                self._outbox.unget(command)
            raise
        self._sent(command, at)
        if not is_audio:
            self._ask_for_confirmation()

    def _await_confirmation(self, command: Command) -> None:
        with self._lane:
            self._said += 1
            if not self._confirms:
                self._unconfirmed.clear()  # only the newest is in doubt: there is no way to know
            self._unconfirmed.append((self._said, command))

    def _ask_for_confirmation(self) -> None:
        with self._lane:
            ask = self._confirms and not self._marks
        if ask:
            self._transport.ping(self._marked(ping_payload()))

    def _finish(self) -> None:
        """Say the end of the stream, wait for the server's last words, and close."""
        with self._session_lock:
            self._session.finish()
        while not self._done():
            self._poked.clear()
            # Asked before: a session that finishes meanwhile may have put its very last message out.
            finished = self._session.finished
            self._do_duties()
            if self._done():
                return
            if finished:
                self._send_close(1000, "")
                return
            if not self._session.finished:
                self._poked.wait(self._until_tick())

    def _send_close(self, code: int, reason: str) -> None:
        self._closed = True
        try:
            self._transport.send_close(code, reason)
        except ConnectionClosed as error:
            # Both sides may close at once; then nobody is left to hear ours.
            log.debug("the Close frame was not sent: %s", error)
