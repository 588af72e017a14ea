"""A TCP proxy between a client and any server, which a test can make as bad as it likes while it runs."""

from __future__ import annotations

import contextlib
import random
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Literal, Self

from voicews.errors import ConfigError

__all__ = ["Direction", "FaultProxy"]

Direction = Literal["up", "down", "both"]
"""Up is from the client to the server."""

PATIENCE = 20.0
"""Seconds after which a fact that should have come is held to be missing."""
_PIECE = 16384
_HELD = 32 * 1024
"""Bytes that wait for their time in one direction; beyond it no more is read, as in a full router."""
_POLL = 20
"""Milliseconds of one wait, after which it is looked whether anything was asked for."""
_WAYS = ("up", "down")
_USES = ("jitter", "corruption")


class FaultProxy:
    """Forwards bytes to a server, and does what a bad network does.

    ::

        with FaultProxy(server.port, seed=7) as proxy:
            voice = VoiceClient(f"ws://127.0.0.1:{proxy.port}")
            ...
            proxy.delay, proxy.jitter = 0.2, 0.1
            proxy.freeze("up")
            proxy.reset()

    All of it may be called and set at any time, from any thread.

    Args:
        port: of the server.
        host: of the server.
        seed: of the jitter and of what is corrupted: the n-th connection's luck is always the same.

    Attributes:
        port: where it listens, on loopback.
        delay: seconds that each piece is held back, in both directions.
        jitter: seconds, up to which chance adds to it; the order is kept.
        rate: bytes per second and direction; None for no limit.
        corruption: chance, per byte, that one of its bits is turned round; 0 to 1.
        connections: how many have come.
        failed: how many of them the server did not take.
        bytes_up, bytes_down: how many were forwarded.
        news: guards all of that; notified after each change.
    """

    def __init__(self, port: int, host: str = "127.0.0.1", *, seed: int = 0) -> None:
        if not 0 < port < 65536:
            raise ConfigError(f"FaultProxy's port is {port!r}; it must be that of the server, 1 to 65535")
        self._target = (host, port)
        self.delay = 0.0
        self.jitter = 0.0
        self.rate: float | None = None
        self.corruption = 0.0
        self.connections = 0
        self.failed = 0
        self.bytes_up = self.bytes_down = 0
        self.news = threading.Condition()
        self._seed = seed
        self._frozen: set[str] = set()
        self._pairs: list[_Pair] = []
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self._dropping = False
        self.port = 0
        self.admit()

    # -- live control -----------------------------------------------------------------------

    @property
    def target(self) -> tuple[str, int]:
        """Host and port of the server; set it to send the connections to come elsewhere."""
        return self._target

    @target.setter
    def target(self, target: tuple[str, int]) -> None:
        self._target = target

    def cut(self) -> None:
        """End all connections with a FIN to both sides; new ones are welcome."""
        for pair in self._alive():
            pair.cut()

    def reset(self) -> None:
        """End all connections with a TCP reset to both sides; new ones are welcome."""
        for pair in self._alive():
            pair.reset()

    def half_close(self, direction: Direction = "up") -> None:
        """Tell the receiver of this direction that nothing more will come; the other goes on."""
        for pair in self._alive():
            for way in _ways(direction):
                pair.half_close(way)

    def freeze(self, direction: Direction = "both") -> None:
        """Forward nothing more, also of connections to come, until :meth:`thaw`; nothing is lost."""
        with self.news:
            self._frozen |= set(_ways(direction))

    def thaw(self, direction: Direction = "both") -> None:
        """Go on forwarding."""
        with self.news:
            self._frozen -= set(_ways(direction))
            self.news.notify_all()

    def refuse(self) -> None:
        """Do not listen: whoever connects is refused, until :meth:`admit`."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        if self._acceptor is not None:
            self._acceptor.join(PATIENCE)

    def drop_new(self) -> None:
        """Accept connections and reset them at once, until :meth:`admit`."""
        self._dropping = True

    def admit(self) -> None:
        """Take new connections (again)."""
        self._dropping = False
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
            # What the kernel held beyond that would hide the fault from the client.
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _HELD)
            self.port = self._listener.getsockname()[1]
            self._acceptor = threading.Thread(
                target=self._accept_all, args=(self._listener,), name="voicews-fault-proxy", daemon=True
            )
            self._acceptor.start()

    def heal(self) -> None:
        """Take back all that lasts: freeze, refuse, drop_new, delay, jitter, rate, corruption."""
        self.delay = self.jitter = self.corruption = 0.0
        self.rate = None
        self.thaw()
        self.admit()

    def wait_for(self, fact: Callable[[], bool], what: str = "the fact", timeout: float = PATIENCE) -> None:
        """Wait until it is true; looked at after each connection and each forwarded piece.

        Raises:
            TimeoutError: it did not come within ``timeout`` seconds.
        """
        with self.news:
            if not self.news.wait_for(fact, timeout):
                raise TimeoutError(f"{what} did not come within {timeout:g} s")

    def close(self) -> None:
        """End everything."""
        self.refuse()
        self.thaw()
        self.cut()
        for thread in self._threads:
            thread.join(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # -- within -----------------------------------------------------------------------------

    def _alive(self) -> list[_Pair]:
        with self.news:
            return [pair for pair in self._pairs if not pair.ended.is_set()]

    def _accept_all(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it was closed
            while True:
                client, _ = listener.accept()
                with self.news:
                    self.connections += 1
                    self.news.notify_all()
                if self._dropping:
                    _reset(client)
                    continue
                self._start(client)

    def _start(self, client: socket.socket) -> None:
        thread = threading.Thread(
            target=self._forward, args=(client,), name="voicews-fault-proxy-pair", daemon=True
        )
        self._threads = [*(t for t in self._threads if t.is_alive()), thread]
        thread.start()

    def _forward(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._target, PATIENCE)
        except OSError:
            with self.news:
                self.failed += 1
                self.news.notify_all()
            _reset(client)
            return
        with self.news:
            pair = _Pair(self, client, server, f"{self._seed}/{len(self._pairs)}")
            self._pairs.append(pair)
        threads = [
            threading.Thread(target=job, args=(way,), name=f"voicews-fault-proxy-{way}", daemon=True)
            for way in _WAYS
            for job in (pair.take, pair.give)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        pair.close()

    def is_frozen(self, way: str) -> bool:
        """True while nothing is forwarded this way."""
        return way in self._frozen

    def count(self, way: str, size: int) -> None:
        """Note forwarded bytes."""
        with self.news:
            if way == "up":
                self.bytes_up += size
            else:
                self.bytes_down += size
            self.news.notify_all()


class _Pair:
    """One client's connection and the server's that belongs to it."""

    def __init__(self, proxy: FaultProxy, client: socket.socket, server: socket.socket, seed: str) -> None:
        self._proxy = proxy
        # One chance for each use and way, so that the order in which threads ask does not matter.
        self._luck = {(use, way): random.Random(f"{seed}/{use}/{way}") for use in _USES for way in _WAYS}
        self._from = {"up": client, "down": server}
        self._to = {"up": server, "down": client}
        self._held: dict[str, deque[tuple[float, bytes]]] = {way: deque() for way in _WAYS}
        self._sizes = dict.fromkeys(_WAYS, 0)
        self._news = threading.Condition()
        self._with_reset = False
        self._shut: set[str] = set()
        self.ended = threading.Event()
        for sock in (client, server):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # -- ends ---------------------------------------------------------------------------------

    def cut(self) -> None:
        """End both ways with a FIN."""
        self.ended.set()
        for sock in self._from.values():
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """End both ways with a reset, as soon as the threads have left the sockets."""
        self._with_reset = True
        self.ended.set()

    def half_close(self, way: str) -> None:
        """Tell the receiving end that nothing more will come; what comes all the same is thrown away."""
        self._shut.add(way)
        with contextlib.suppress(OSError):
            self._to[way].shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Give both sockets back; the last thread calls it."""
        self.ended.set()
        for sock in self._from.values():
            if self._with_reset:
                _reset(sock)
            else:
                sock.close()

    # -- two threads a way ----------------------------------------------------------------------

    def take(self, way: str) -> None:
        """Read what comes, and note when it is due at the other end."""
        sock, due = self._from[way], 0.0
        while self._wait(sock, select.POLLIN, way):
            try:
                data = sock.recv(_PIECE)
            except BlockingIOError:
                continue
            except OSError:
                return self.reset()
            due = max(due, time.monotonic() + self._lateness(way))
            if not data:
                return self._put(way, due, b"")
            rate = self._proxy.rate
            if rate is not None:
                due += len(data) / rate
            self._put(way, due, data)
        return None

    def _put(self, way: str, due: float, data: bytes) -> None:
        with self._news:
            while self._sizes[way] >= _HELD and not self.ended.is_set():
                self._news.wait(_POLL / 1000)
            self._held[way].append((due, data))
            self._sizes[way] += len(data)
            self._news.notify_all()

    def give(self, way: str) -> None:
        """Write what is due."""
        while (data := self._next(way)) is not None:
            if not data:
                return self.half_close(way)
            rest = memoryview(self._spoilt(data, way))
            while rest and way not in self._shut:
                if not self._wait(self._to[way], select.POLLOUT, way):
                    return None
                try:
                    rest = rest[self._to[way].send(rest) :]
                except BlockingIOError:
                    continue
                except OSError:
                    return self.reset()
            self._proxy.count(way, len(data))
        return None

    def _lateness(self, way: str) -> float:
        """Seconds for which the next piece is held back."""
        return self._proxy.delay + self._proxy.jitter * self._luck["jitter", way].random()

    def _spoilt(self, data: bytes, way: str) -> bytes:
        """The piece as a bad network delivers it."""
        corruption, luck = self._proxy.corruption, self._luck["corruption", way]
        if not corruption:
            return data
        spoilt = bytearray(data)
        for index in range(len(spoilt)):
            if luck.random() < corruption:
                spoilt[index] ^= 1 << luck.randrange(8)
        return bytes(spoilt)

    def _next(self, way: str) -> bytes | None:
        """The next piece, once it is due; empty at the end of the stream, None at that of the pair."""
        with self._news:
            while not self.ended.is_set():
                held = self._held[way]
                wait = held[0][0] - time.monotonic() if held else _POLL / 1000
                if held and wait <= 0:
                    _, data = held.popleft()
                    self._sizes[way] -= len(data)
                    self._news.notify_all()
                    return data
                self._news.wait(min(wait, _POLL / 1000))
        return None

    def _wait(self, sock: socket.socket, event: int, way: str) -> bool:
        """Wait until the socket is ready and the way is not frozen; False once the pair has ended."""
        poll = select.poll()
        poll.register(sock, event)
        while not self.ended.is_set():
            if self._proxy.is_frozen(way):
                self.ended.wait(_POLL / 1000)
            elif poll.poll(_POLL) and not self._proxy.is_frozen(way):
                return True
        return False


def _ways(direction: Direction) -> tuple[str, ...]:
    if direction not in (*_WAYS, "both"):
        raise ConfigError(f"a direction of FaultProxy must be 'up', 'down' or 'both', not {direction!r}")
    return _WAYS if direction == "both" else (direction,)


def _reset(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
