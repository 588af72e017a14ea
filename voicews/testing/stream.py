"""One accepted TCP or TLS stream that a script and a test may both use, and end at any moment."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading

__all__ = ["Gone", "Link"]

_TCP_REPAIR = 19
"""Linux's option with which a socket is closed without a word to its peer; needs CAP_NET_ADMIN."""
_POLL = 20
"""Milliseconds of one wait, after which it is looked whether the link was frozen or ended."""


class Gone(Exception):
    """The peer has ended the stream, or this side has."""


class Link:
    """A byte stream; without a timeout, for whoever ends it wakes all that wait.

    TLS begins with the first byte that is read or written, not with the connection: a
    script can so misbehave before it.  Each call of OpenSSL takes one lock, and nobody
    waits while holding it.

    Attributes:
        ended: set once nothing more can be read or written.
        thawed: cleared while the link is frozen: nothing is read or written then.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext | None) -> None:
        self._raw = sock
        self._stream: socket.socket = sock
        self._context = context
        self._secured = False
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._ahead = b""
        self.ended = threading.Event()
        self.thawed = threading.Event()
        self.thawed.set()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # -- bytes ------------------------------------------------------------------------------

    def secure(self) -> None:
        """Shake hands for TLS, if this is to be a TLS stream and has not been done.

        Raises:
            Gone: the client would not.
        """
        if self._context is None or self._secured:
            return
        self._secured = True
        try:
            self._raw.getpeername()  # where nobody is left, Python's own wrapping would leak the socket
            secured = self._context.wrap_socket(self._raw, server_side=True, do_handshake_on_connect=False)
        except OSError as error:  # it is gone already
            raise self._gone(error) from error
        self._raw = self._stream = secured
        done = False
        while not done:
            try:
                with self._lock:
                    secured.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN)
            except ssl.SSLWantWriteError:
                self._wait(select.POLLOUT)
            except OSError as error:
                raise self._gone(error) from error

    def read_some(self) -> bytes:
        """What has come, at least one byte.

        Raises:
            Gone: nothing will come.
        """
        if self._ahead:
            data, self._ahead = self._ahead, b""
            return data
        self.secure()
        while True:
            self._pass_frost()
            try:
                with self._lock:
                    data = self._stream.recv(65536)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._wait(select.POLLIN)
                continue
            except OSError as error:
                raise self._gone(error) from error
            if not data:
                raise self._gone(None)
            return data

    def read(self, size: int) -> bytes:
        """Exactly so many bytes."""
        data = bytearray()
        while len(data) < size:
            data += self.read_some()
        self._ahead = bytes(data[size:]) + self._ahead
        return bytes(data[:size])

    def read_until(self, end: bytes) -> bytes:
        """All bytes up to and including ``end``."""
        data = bytearray()
        while (found := data.find(end)) < 0:
            data += self.read_some()
        found += len(end)
        self._ahead = bytes(data[found:]) + self._ahead
        return bytes(data[:found])

    def take_raw(self, size: int) -> None:
        """Take so many bytes off the TCP stream and forget them, TLS or not."""
        while size > 0:
            try:
                data = self._raw.recv(size)
            except BlockingIOError:
                self._wait(select.POLLIN)
                continue
            except OSError as error:
                raise self._gone(error) from error
            if not data:
                raise self._gone(None)
            size -= len(data)

    def write(self, data: bytes) -> None:
        """Send all of it, from any thread; two writes never mix.

        Raises:
            Gone: it cannot be sent.
        """
        self.secure()
        rest = memoryview(data)
        with self._writing:
            while rest:
                self._pass_frost()
                try:
                    with self._lock:
                        rest = rest[self._stream.send(rest) :]
                except (BlockingIOError, ssl.SSLWantWriteError):
                    self._wait(select.POLLOUT)
                except ssl.SSLWantReadError:
                    self._wait(select.POLLIN)
                except OSError as error:
                    raise self._gone(error) from error

    def _wait(self, event: int) -> None:
        poll = select.poll()
        try:
            poll.register(self._raw, event)
        except ValueError as error:  # another thread has reset it, and its descriptor is gone
            raise Gone("the link was ended") from error
        while not self.ended.is_set():
            self._pass_frost()
            if poll.poll(_POLL):
                return
        raise Gone("the link was ended")

    def _pass_frost(self) -> None:
        while not self.thawed.is_set():
            if self.ended.wait(_POLL / 1000):
                raise Gone("the link was ended")

    def _gone(self, error: OSError | None) -> Gone:
        self.ended.set()
        return Gone("the client has ended the stream" if error is None else str(error))

    # -- ends -------------------------------------------------------------------------------

    def cut(self) -> None:
        """End both ways with a FIN, as a process does that is killed."""
        self.ended.set()
        with contextlib.suppress(OSError):
            # The base class's: TLS must not say anything more.
            socket.socket.shutdown(self._raw, socket.SHUT_RDWR)

    def reset(self) -> None:
        """End with a TCP reset, as a rebooted machine or a firewall does."""
        with contextlib.suppress(OSError):
            self._raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.ended.set()
            self._close_unshared()

    def half_close(self) -> None:
        """Send a FIN, but go on reading."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._raw, socket.SHUT_WR)

    def forget(self) -> bool:
        """Close without a word on the line: what the client sends next is answered by a reset.

        Returns:
            True if the system allowed it (Linux, with CAP_NET_ADMIN); else nothing was done.
        """
        try:
            self._raw.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
        except OSError:
            return False
        self.ended.set()
        self._close_unshared()
        return True

    def close(self) -> None:
        """Give the descriptor back; only the script's own thread may, at its end."""
        self.ended.set()
        with self._lock, self._writing:
            self._raw.close()

    def _close_unshared(self) -> None:
        # A thread that polls it keeps it alive for a moment only; nobody reads or writes under the locks.
        with self._lock:
            self._raw.close()
