"""A TCP or TLS byte stream that one reading and one writing thread may share.

Two threads must not be inside OpenSSL with the same connection at once: CPython lets them
(cpython#77271, #143756), and healthy links then end, hang or crash.  So TLS is done in
memory (:mod:`voicews.tls`): the socket only ever carries ciphertext, each OpenSSL call takes
one lock, and nobody waits while holding it.  From this follows also that :meth:`Wire.abort`
cannot put plaintext on the line, as a shutdown of a :class:`ssl.SSLSocket` in use can.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

from voicews.deadline import Deadline
from voicews.descriptors import occupy_standard_descriptors
from voicews.errors import (
    ConnectFailed,
    ConnectionClosed,
    ConnectTimeout,
    MessageTooLarge,
    ProxyFailed,
    TransportError,
    VoicewsError,
)
from voicews.printable import host_port
from voicews.proxy import Tunnel
from voicews.starting import wanting
from voicews.tls import TlsSession, tls_failure

__all__ = ["Wire"]

READ_AHEAD = 64 * 1024
"""Bytes asked from the kernel at a time, so that most frames cost one system call."""

_SEND_BUFFER = 64 * 1024
"""Two seconds of 16 kHz speech; the kernel's default would hold more than a minute."""
_UNSENT = 16 * 1024
"""Half a second of 16 kHz speech: if more waits in the kernel, :attr:`Wire.has_room` says no."""

_TUNNEL = 16 * 1024
"""Bytes of a proxy's answer."""
_AT_ONCE = struct.pack("ii", 1, 0)
_NO_WAIT_NO_SIGNAL = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
"""For each send: where SIGPIPE is not ignored, as Python does, a peer that has gone would end the process.
With TLS too, for OpenSSL itself writes to memory only."""

_HINTS = {
    "the TLS handshake": "; if it does not use TLS, write ws:// (or http://) instead",
    "the WebSocket handshake": "; if it expects TLS, write wss:// instead",
}
"""For a server that has not said a single byte when a step of the opening fails."""
_Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]


class _Late(Exception):
    """The deadline has passed; never leaves this module."""


class _HungUp(ConnectFailed):
    """The peer has ended the stream during a step of the opening."""


class Wire:
    """A byte stream to a server.

    One thread opens, reads and closes; one other may send meanwhile; any may
    :meth:`abort`, at any time.  All errors that leave are voicews' own.

    Args:
        host: name or address of the server.
        port: its TCP port.
        tls: how to secure the stream; None leaves it plain.
        send_timeout: seconds in which the kernel must have taken all of one :meth:`send`.
        proxy: who leads to the server; None goes there directly.

    Attributes:
        last_received: monotonic time at which the last byte came; 0.0 before.
        bytes_received: bytes read from the socket (of ciphertext, with TLS).
        bytes_sent: bytes that the kernel has taken.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None,
        send_timeout: float,
        proxy: Tunnel | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._proxy = proxy
        # What the TCP connection goes to.
        self._next = (host, port) if proxy is None else (proxy.host, proxy.port)
        self._context = tls
        self._send_timeout = send_timeout
        self._tls: TlsSession | None = None
        # Guards which socket there is, and so that a descriptor is never used once closed.
        self._lock = threading.Lock()
        self._sock: socket.socket | None = None
        self._room: select.poll | None = None
        self._aborted = False
        self._wake = threading.Event()
        # Held while bytes go out, so that TLS records keep the order they were made in.
        self._writing = threading.Lock()
        self._backlog = b""
        self._torn = False
        self._full_since: float | None = None
        self._ahead = b""
        self._position = 0
        self.last_received = 0.0
        self.bytes_received = 0
        self.bytes_sent = 0

    def __repr__(self) -> str:
        kind = "TLS" if self._context is not None else "TCP"
        how = "aborted" if self._aborted else "not open" if self._sock is None else "open"
        return f"<Wire {kind} {host_port(self._host, self._port)} {how}>"

    # -- opening (the reading thread) -------------------------------------------------------

    def open(self, deadline: Deadline) -> None:
        """Resolve the name, connect to one address after the other, and secure the stream.

        Where there is a proxy, it is its name that is resolved here, and it is asked for a tunnel.

        Each address gets an equal share of the time that is left, so that a dead one does
        not use up that of the others.

        Raises:
            ConnectFailed: no such name, or no address answers.
            ConnectTimeout: the deadline has passed.
            ProxyFailed: the proxy does not lead there.
            TlsFailed: the server's certificate does not hold, or no TLS is spoken there.
            ConnectionClosed: aborted.
        """
        self.require_not_aborted()
        try:
            sock = self._connect(self._resolve(deadline), deadline)
            if self._proxy is not None:
                with self._translated("the proxy's tunnel"):
                    self._dig(self._proxy, deadline)
            if self._context is not None:
                with self._translated("the TLS handshake"):
                    self._secure(sock, self._context, deadline)
        except BaseException:
            self.close()
            raise

    def _resolve(self, deadline: Deadline) -> list[_Address]:
        with contextlib.suppress(socket.gaierror):  # which says that it is a name
            return self._look_up(*self._next, socket.AI_NUMERICHOST)
        # Nothing can stop a look-up that hangs, so it gets a thread that can be left behind.
        answer: list[list[_Address] | Exception] = []
        (host, port), wake = self._next, self._wake

        def ask() -> None:
            try:
                answer.append(self._look_up(host, port, 0))
            except Exception as error:  # noqa: BLE001 - whoever waits gets it
                answer.append(error)
            finally:
                wake.set()

        resolver = threading.Thread(target=ask, name="voicews-resolver", daemon=True)
        with wanting(resolver):
            resolver.start()
        wake.wait(deadline.remaining())
        if self._aborted:
            raise self._lost(None)
        match answer:
            case [list() as addresses]:
                return addresses
            case [Exception() as error]:
                why = getattr(error, "strerror", None) or error
                raise ConnectFailed(f"the name {host!r} was not found: {why}") from error
        raise ConnectTimeout(f"the name {host!r} was not looked up within Timeouts.connect")

    @staticmethod
    def _look_up(host: str, port: int, flags: int) -> list[_Address]:
        return list(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM, socket.IPPROTO_TCP, flags))

    def _connect(self, addresses: list[_Address], deadline: Deadline) -> socket.socket:
        failure: OSError | None = None
        for index, (family, kind, protocol, _, address) in enumerate(addresses):
            left = deadline.remaining()
            share = Deadline(None if left is None else left / (len(addresses) - index))
            try:
                occupy_standard_descriptors()
                sock = self._adopt(socket.socket(family, kind, protocol))
                _dial(sock, address, share)
                self.require_not_aborted()
                return sock
            except TransportError:
                raise
            except _Late:
                failure = TimeoutError(errno.ETIMEDOUT, "no answer")
            except OSError as error:
                failure = error
            self.require_not_aborted()
            self._discard()
        where = f"{'the proxy ' if self._proxy else ''}{host_port(*self._next)}"
        if deadline.passed:
            raise ConnectTimeout(f"{where} did not answer within Timeouts.connect") from failure
        why = "it has no address" if failure is None else failure.strerror or failure
        hint = (
            f"; is {'it' if self._proxy else 'the server'} running?"
            if isinstance(failure, ConnectionRefusedError)
            else ""
        )
        raise ConnectFailed(f"{where} cannot be reached: {why}{hint}") from failure

    def _adopt(self, sock: socket.socket) -> socket.socket:
        with self._lock:
            if not self._aborted:
                self._sock = sock
                self._room = _poll(sock, select.POLLOUT)
                return sock
        sock.close()
        raise self._lost(None)

    def _discard(self, *, forget: bool = False) -> None:
        with self._lock:
            sock, self._sock = self._sock, None
            self._room = None
        if sock is not None:
            # macOS refuses options of a socket that was shut down; a close may tell what went wrong before.
            if forget:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            with contextlib.suppress(OSError):
                sock.close()

    def require_not_aborted(self) -> None:
        """Raise the ConnectionClosed of an aborted stream, if it is one."""
        if self._aborted:
            raise self._lost(None)

    def _dig(self, proxy: Tunnel, deadline: Deadline) -> None:
        steps = proxy.steps(self._host.rstrip("."), self._port)
        where = f"the proxy {host_port(proxy.host, proxy.port)}"
        answer: bytes | None = None
        with contextlib.suppress(StopIteration):
            while True:
                data, wanted = next(steps) if answer is None else steps.send(answer)
                # A proxy that refuses at once has said why before it hung up.
                with contextlib.suppress(ConnectionError):
                    self._transmit(data, deadline)
                try:
                    answer = self._read_until(wanted, _TUNNEL, deadline, where)
                except MessageTooLarge as error:
                    raise ProxyFailed(f"{where} answers with more than {_TUNNEL} bytes") from error
        # The server speaks only when it is spoken to, so this would be the proxy in its place.
        if self._position < len(self._ahead):
            raise ProxyFailed(f"{where} went on talking in the server's place", fatal=True)

    def _secure(self, sock: socket.socket, context: ssl.SSLContext, deadline: Deadline) -> None:
        tls = TlsSession(context, self._host.partition("%")[0].rstrip("."))
        received = b""
        done = False
        while not done:
            try:
                done = tls.shake_hands(received)
            except ssl.SSLError:
                with contextlib.suppress(OSError):
                    _send_some(sock, tls.take_output())  # the alert that tells the server why
                raise
            if output := tls.take_output():
                self._transmit(output, deadline)
            if not done:
                received = self._receive_raw(sock, deadline)
                if not received:
                    self.require_not_aborted()
                    raise _HungUp(f"{host_port(self._host, self._port)} hung up during the TLS handshake")
        self._tls = tls
        self._ahead = tls.decrypt(b"")

    def exchange(self, request: bytes, *, until: bytes, limit: int, deadline: Deadline) -> bytes:
        """Send a request and return its answer up to and including ``until``.

        What follows stays for :meth:`read`.

        Raises:
            MessageTooLarge: there are more than ``limit`` bytes before.
            ConnectFailed, ConnectTimeout, TlsFailed, ConnectionClosed: as in :meth:`open`.
        """
        try:
            with self._translated("the WebSocket handshake"):
                self._ask(request, deadline)
                return self._read_until(until, limit, deadline)
        except BaseException:
            self.close()
            raise

    def ask(self, request: bytes, deadline: Deadline) -> None:
        """Send a request of HTTP, whose answer :meth:`receive` gets.

        Raises:
            ConnectFailed, ConnectTimeout, ConnectionClosed: as in :meth:`open`.
        """
        with self._translated("the HTTP request", "in time"):
            self._ask(request, deadline)

    def receive(self, size: int, deadline: Deadline) -> bytes:
        """From one to ``size`` bytes, by the deadline; none at the stream's end.

        Raises:
            ConnectFailed, ConnectTimeout, ConnectionClosed: as in :meth:`open`.
        """
        with self._translated("the HTTP answer", "in time"):
            if self._position >= len(self._ahead):
                self._ahead, self._position = self._receive(deadline), 0
                if not self._ahead:
                    self.require_not_aborted()
        data = self._ahead[self._position : self._position + size]
        self._position += len(data)
        return data

    def _ask(self, request: bytes, deadline: Deadline) -> None:
        # A server that refuses at once has said why before it hung up: read that all the same.
        with self._writing, contextlib.suppress(ConnectionError):
            self._transmit(self._tls.encrypt(request) if self._tls else request, deadline)

    def _read_until(self, end: bytes | int, limit: int, deadline: Deadline, whose: str = "") -> bytes:
        """Up to and including these bytes, or so many."""
        answer = bytearray(self._ahead[self._position :])
        searched = 0
        while True:
            if isinstance(end, int):
                size = end
                done = len(answer) >= size
            else:
                found = answer.find(end, searched)
                size = found + len(end) if found >= 0 else limit + 1
                done = found >= 0 or len(answer) >= limit
                searched = max(0, len(answer) - len(end) + 1)
            if done:
                break
            if not (data := self._receive(deadline)):
                self.require_not_aborted()
                who = whose or host_port(self._host, self._port)
                during = "before its tunnel was dug" if whose else "during the WebSocket handshake"
                raise _HungUp(f"{who} hung up {during}")
            answer += data
        if size > limit:
            raise MessageTooLarge(
                f"the answer to the handshake is longer than Limits.handshake ({limit} bytes)"
            )
        self._ahead, self._position = bytes(answer[size:]), 0
        return bytes(answer[:size])

    @contextlib.contextmanager
    def _translated(self, step: str, limit: str = "within Timeouts.connect") -> Iterator[None]:
        """Errors of a step of the opening, as our own."""
        where, before = host_port(self._host, self._port), self.bytes_received

        def hint() -> str:
            unsaid = self.bytes_received == before and (self._tls is None or step == "the TLS handshake")
            return _HINTS.get(step, "") if unsaid else ""

        try:
            yield
        except _HungUp as error:
            raise ConnectFailed(f"{error}{hint()}") from None
        except VoicewsError:
            raise
        except _Late as error:
            also = hint() if step == "the TLS handshake" else ""
            raise ConnectTimeout(f"{step} with {where} was not done {limit}{also}") from error
        except OSError as error:
            if self._aborted:
                raise self._lost(error) from error
            if not isinstance(error, ssl.SSLError):
                why = error.strerror or error
                raise ConnectFailed(f"{step} with {where} failed: {why}{hint()}") from error
            raise tls_failure(error, step, where) from error

    # -- reading (the reading thread) -------------------------------------------------------

    def read(self, size: int) -> bytes:
        """Exactly so many bytes; waits for them as long as it takes.

        Raises:
            ConnectionClosed: the stream ended, or was aborted.
        """
        end = self._position + size
        if end > len(self._ahead):
            return self._read_on(size)
        data = self._ahead[self._position : end]
        self._position = end
        return data

    def _read_on(self, size: int) -> bytes:
        data = self._ahead[self._position :]
        self._ahead, self._position = b"", 0
        if not data and len(received := self._more()) >= size:
            self._ahead, self._position = received, size
            return received[:size]
        # One growing buffer, and no list of pieces: a peer may send byte by byte.
        buffer = bytearray(data or received)
        while (missing := size - len(buffer)) > 0:
            received = self._more()
            if len(received) > missing:
                self._ahead, self._position = received, missing
                received = received[:missing]
            buffer += received
        return bytes(buffer)

    def _more(self) -> bytes:
        try:
            received = self._receive(None)
        except OSError as error:
            raise self._lost(error) from error
        if not received:
            raise self._lost(None)
        return received

    def _receive(self, deadline: Deadline | None) -> bytes:
        """What has come, decrypted; empty at the stream's end."""
        sock, tls = self._sock, self._tls
        if sock is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if tls is None:
            return self._receive_raw(sock, deadline)
        data = b""
        while not data and not tls.ended:
            received = self._receive_raw(sock, deadline)
            if not received:
                break
            try:
                data = tls.decrypt(received)
            finally:
                if tls.has_output:
                    self._flush(sock, tls)
        return data

    def _receive_raw(self, sock: socket.socket, deadline: Deadline | None) -> bytes:
        if deadline is not None:
            _wait(sock, select.POLLIN, deadline)
        data = sock.recv(READ_AHEAD)
        if data:
            self.last_received = time.monotonic()
            self.bytes_received += len(data)
        return data

    def _flush(self, sock: socket.socket, tls: TlsSession) -> None:
        """Send what TLS itself has to say, if that needs no waiting.

        Else it goes out ahead of the next :meth:`send`, which is soon enough (RFC 8446 §4.6.3).
        """
        if not self._writing.acquire(blocking=False):
            return
        try:
            self._backlog += tls.take_output()
            with contextlib.suppress(OSError):  # a broken stream shows itself in the next read
                sent = sock.send(self._backlog, _NO_WAIT_NO_SIGNAL)
                self._backlog = self._backlog[sent:]
                self.bytes_sent += sent
        finally:
            self._writing.release()

    # -- sending (the writing thread) -------------------------------------------------------

    def send(self, data: bytes) -> int:
        """Send all of it; returns its length.  After an error nothing can be sent any more.

        Raises:
            ConnectionClosed: the stream ended, was aborted, or stalls for ``send_timeout``.
        """
        try:
            with self._writing:
                if self._torn:
                    raise self._lost(None)
                # Whatever goes wrong from here on may leave half a frame on the line.
                self._torn = True
                if self._tls is None:
                    self._transmit(data, None)
                else:
                    output = self._tls.encrypt(data)
                    if self._backlog:
                        output, self._backlog = self._backlog + output, b""
                    self._transmit(output, None)
                self._torn = False
        except VoicewsError:
            raise
        except _Late as error:
            raise self._stalled(f"a message of {len(data)} bytes") from error
        except OSError as error:
            raise self._lost(error) from error
        return len(data)

    @property
    def has_room(self) -> bool:
        """False while more would only grow old in the kernel; as :meth:`send` if that lasts too long."""
        if (room := self._room) is None or room.poll(0):
            self._full_since = None
            return True
        self._full_since = self._full_since or time.monotonic()
        if time.monotonic() - self._full_since > self._send_timeout:
            raise self._stalled("anything")
        return False

    def _stalled(self, what: str) -> ConnectionClosed:
        why = f"{host_port(self._host, self._port)} has not taken {what} within Timeouts.send"
        return ConnectionClosed(1006, by_peer=False, message=f"{why} ({self._send_timeout:g} s)")

    def _transmit(self, data: bytes, deadline: Deadline | None) -> None:
        """Give all of it to the kernel, by the deadline or else within ``send_timeout``."""
        sock = self._sock
        if sock is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        sent = _send_some(sock, data)
        self.bytes_sent += sent
        if sent == len(data):
            return
        deadline = deadline or Deadline(self._send_timeout)
        rest = memoryview(data)[sent:]
        while rest:
            _wait(sock, select.POLLOUT, deadline)
            sent = _send_some(sock, rest)
            self.bytes_sent += sent
            rest = rest[sent:]

    # -- ending -----------------------------------------------------------------------------

    def abort(self) -> None:
        """End everything now: whoever opens, reads or sends gets a ConnectionClosed.

        Any thread, at any time, as often as it likes; never waits for the network.  The
        descriptor stays taken until :meth:`close`, so that a thread still at it cannot
        meet another connection's bytes.
        """
        with self._lock:
            self._aborted = True
            self._wake.set()
            if self._sock is not None:
                with contextlib.suppress(OSError):  # it has ended by itself
                    self._sock.shutdown(socket.SHUT_RDWR)

    def close(self, *, forget: bool = False) -> None:
        """Give the descriptor back, and ``forget`` what the kernel holds, or else let it be delivered.

        Only once no other thread is in here; never fails.
        """
        self._discard(forget=forget)

    def _lost(self, error: OSError | None) -> ConnectionClosed:
        """How the stream ended, as our own error; None is an orderly end of the bytes."""
        where = host_port(self._host, self._port)
        if self._aborted or self._sock is None:
            return ConnectionClosed(1006, by_peer=False, message=f"the connection to {where} was aborted")
        if error is None:
            return ConnectionClosed(1006)
        if isinstance(error, TimeoutError):
            why = "the network does not answer any more"
        elif isinstance(error, ssl.SSLError):
            why = f"broken TLS ({error.reason})"
        else:
            why = error.strerror or str(error)
        return ConnectionClosed(1006, message=f"the connection to {where} was lost: {why}")


def _dial(sock: socket.socket, address: Any, deadline: Deadline) -> None:
    """Connect; afterwards reads wait in the kernel, which costs one system call each."""
    _tune(sock)
    sock.setblocking(False)
    failed = sock.connect_ex(address)
    if failed == errno.EINPROGRESS:
        _wait(sock, select.POLLOUT, deadline)
        failed = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if failed:
        raise OSError(failed, os.strerror(failed))
    sock.setblocking(True)


def _tune(sock: socket.socket) -> None:
    """Small frames at once, little stored, and a dead peer noticed: as far as the OS can."""
    for level, name, value in (
        (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
        (socket.SOL_SOCKET, "SO_SNDBUF", _SEND_BUFFER),
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 10),
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 5),
        (socket.IPPROTO_TCP, "TCP_KEEPCNT", 3),
        (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", 10_000),
        (socket.IPPROTO_TCP, "TCP_NOTSENT_LOWAT", _UNSENT),
    ):
        option = getattr(socket, name, None)
        if option is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(level, option, value)


def _send_some(sock: socket.socket, data: bytes | memoryview) -> int:
    try:
        return sock.send(data, _NO_WAIT_NO_SIGNAL)
    except BlockingIOError:
        return 0


def _wait(sock: socket.socket, event: int, deadline: Deadline) -> None:
    remaining = deadline.remaining()
    if not _poll(sock, event).poll(None if remaining is None else math.ceil(remaining * 1000)):
        raise _Late


def _poll(sock: socket.socket, event: int) -> select.poll:
    poll = select.poll()
    poll.register(sock, event)
    return poll
