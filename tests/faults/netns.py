"""Two hosts of our own, in network namespaces, and between them a line that loses and delays packets.

Needs root and ``ip``.  A thread can move into a namespace, and the threads that it starts
and the sockets that it makes are born there: so client and server run in this process,
under the eyes of the same trial, and yet on two hosts.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import heapq
import itertools
import os
import random
import select
import shutil
import struct
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self

__all__ = ["CLIENT", "SERVER", "Cable", "NotInstalled", "Relay", "Unavailable"]

Side = Literal["client", "server"]
CLIENT, SERVER = "10.203.7.1", "10.203.7.2"
"""Addresses of the two hosts."""

_CLONE_NEWNET = 0x40000000
_TUNSETIFF, _TUN_WITHOUT_HEADER = 0x400454CA, 0x1001
_numbers = itertools.count()
_libc = ctypes.CDLL(None, use_errno=True)


class Unavailable(Exception):
    """This machine cannot do it; says why."""


class NotInstalled(Unavailable):
    """It could, with a program that is missing."""


def _run(*command: str, check: bool = True) -> bool:
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    if done.returncode and check:
        raise Unavailable(f"{' '.join(command[:4])} failed: {done.stderr.strip()}")
    return not done.returncode


def _enter(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        if _libc.setns(fd, _CLONE_NEWNET):
            raise Unavailable(f"setns failed: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(fd)


class Network(ABC):
    """Two hosts; use it with ``with``."""

    def __init__(self) -> None:
        number = next(_numbers)
        self._spaces = {side: f"voicews-{side}-{os.getpid()}-{number}" for side in ("client", "server")}

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            raise Unavailable("it needs root")
        if shutil.which("ip") is None:
            raise NotInstalled("it needs the command ip (iproute2)")
        try:
            for space in self._spaces.values():
                _run("ip", "netns", "add", space)
                _run("ip", "-n", space, "link", "set", "lo", "up")
            self._connect()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(Unavailable):
            self._disconnect()
        for space in self._spaces.values():
            _run("ip", "netns", "del", space, check=False)

    @abstractmethod
    def _connect(self) -> None:
        """Join the hosts."""

    @abstractmethod
    def _disconnect(self) -> None:
        """Take back what does not go with the namespaces."""

    @abstractmethod
    def heal(self) -> None:
        """Take back all faults."""

    @contextlib.contextmanager
    def inside(self, side: Side) -> Iterator[None]:
        """This thread, and what it starts and opens, is on that host."""
        with Path("/proc/thread-self/ns/net").open("rb") as home:
            _enter(f"/var/run/netns/{self._spaces[side]}")
            try:
                yield
            finally:
                if _libc.setns(home.fileno(), _CLONE_NEWNET):
                    raise Unavailable("there is no way home from the namespace")

    def _ip(self, side: Side, *command: str) -> None:
        _run("ip", "-n", self._spaces[side], *command)


class Cable(Network):
    """A pair of virtual network cards: the link can go down, and a firewall can be in the way."""

    def _connect(self) -> None:
        far = self._spaces["server"]
        self._ip("client", "link", "add", "wire0", "type", "veth", "peer", "name", "wire0", "netns", far)
        sides: tuple[tuple[Side, str], ...] = (("client", CLIENT), ("server", SERVER))
        for side, address in sides:
            self._ip(side, "addr", "add", f"{address}/24", "dev", "wire0")
            self._ip(side, "link", "set", "wire0", "up")

    def _disconnect(self) -> None:
        self._ip("client", "link", "del", "wire0")

    def link(self, *, up: bool) -> None:
        """Pull the plug out of the server, or put it in."""
        self._ip("server", "link", "set", "wire0", "up" if up else "down")

    def drop(self, *, ways: tuple[str, ...] = ("INPUT", "OUTPUT")) -> None:
        """Let the server's firewall swallow all TCP, as a router does that has forgotten us."""
        for way in ways:
            self._firewall("-A", way, "-p", "tcp", "-j", "DROP")

    def reject(self) -> None:
        """Let it answer all TCP with a reset."""
        self._firewall("-A", "INPUT", "-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset")

    def heal(self) -> None:
        self.link(up=True)
        if shutil.which("iptables"):
            self._firewall("-F")

    def _firewall(self, *rule: str) -> None:
        if shutil.which("iptables") is None:
            raise NotInstalled("it needs the command iptables")
        _run("ip", "netns", "exec", self._spaces["server"], "iptables", "-w", *rule)


class Relay(Network):
    """A network that passes each packet through this process, which can lose, delay and mix them.

    Linux's own means for that, netem, is missing from many kernels; this does the same with a
    TUN card on either host, and chance has a seed.

    Attributes (for both directions, and to be set at any time):
        delay, jitter: seconds; the jitter is the standard deviation, and mixes the order.
        loss, twice, spoilt: chance that a packet is lost, comes twice, or has a bit turned.
        rate: bytes per second, with a queue of a quarter of a second; None for no limit.
        black: ways ("up" from the client, "down" to it) in which nothing passes.
    """

    QUEUE = 0.25

    def __init__(self, *, seed: int = 0) -> None:
        super().__init__()
        self._chance = random.Random(seed)
        self._cards: dict[str, int] = {}
        self._thread: threading.Thread | None = None
        self._over = threading.Event()
        self.heal()

    def heal(self) -> None:
        self.delay = self.jitter = self.loss = self.twice = self.spoilt = 0.0
        self.rate: float | None = None
        self.black: frozenset[str] = frozenset()

    def _connect(self) -> None:
        if not Path("/dev/net/tun").exists():
            raise Unavailable("it needs /dev/net/tun")
        sides: tuple[tuple[Side, str, str], ...] = (("client", CLIENT, SERVER), ("server", SERVER, CLIENT))
        for side, own, other in sides:
            with self.inside(side):
                card = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
                self._cards[side] = card
                try:
                    fcntl.ioctl(card, _TUNSETIFF, struct.pack("16sH", b"wire0", _TUN_WITHOUT_HEADER))
                except OSError as error:
                    raise Unavailable(f"the kernel makes no TUN card: {error}") from error
            self._ip(side, "addr", "add", own, "peer", other, "dev", "wire0")
            self._ip(side, "link", "set", "wire0", "up")
        self._thread = threading.Thread(target=self._pass, name="relay", daemon=True)
        self._thread.start()

    def _disconnect(self) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join(5)
        for card in self._cards.values():
            os.close(card)
        self._cards.clear()

    def _pass(self) -> None:
        ways = {self._cards["client"]: "up", self._cards["server"]: "down"}
        to = {"up": self._cards["server"], "down": self._cards["client"]}
        free = dict.fromkeys(to, 0.0)
        waiting: list[tuple[float, int, str, bytes]] = []
        poll = select.poll()
        for card in ways:
            poll.register(card, select.POLLIN)
        count = 0
        while not self._over.is_set():
            wait = 0.05 if not waiting else min(0.05, max(0.0, waiting[0][0] - time.monotonic()))
            for card, _ in poll.poll(wait * 1000):
                with contextlib.suppress(BlockingIOError):
                    packet = os.read(card, 65536)
                    for due in self._due(ways[card], len(packet), free):
                        count += 1
                        heapq.heappush(waiting, (due, count, ways[card], self._damaged(packet)))
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, way, packet = heapq.heappop(waiting)
                with contextlib.suppress(OSError):  # the card's own queue may be full
                    os.write(to[way], packet)

    def _due(self, way: str, size: int, free: dict[str, float]) -> Iterator[float]:
        """When the packet arrives; never, once, or twice."""
        if way in self.black or self._chance.random() < self.loss:
            return
        now = time.monotonic()
        begin = max(now, free[way])
        if begin - now > self.QUEUE:
            return
        free[way] = begin + (size / self.rate if self.rate else 0.0)
        for _ in range(2 if self._chance.random() < self.twice else 1):
            yield free[way] + max(0.0, self._chance.gauss(self.delay, self.jitter))

    def _damaged(self, packet: bytes) -> bytes:
        if self._chance.random() >= self.spoilt:
            return packet
        damaged = bytearray(packet)
        damaged[self._chance.randrange(40, max(41, len(packet))) % len(packet)] ^= 0x10
        return bytes(damaged)
