"""The bad network of the tests, in front of an echo."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from tests.peer import unused_port
from voicews.errors import ConfigError
from voicews.testing import FaultProxy, FaultServer
from voicews.testing.fault_proxy import Direction
from voicews.testing.fault_server import FaultConnection

SOON = 10.0


def echo(connection: FaultConnection) -> None:
    while True:
        connection.link.write(connection.link.read_some())


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(echo) as server:
        yield server


@pytest.fixture
def proxy(server: FaultServer) -> Iterator[FaultProxy]:
    with FaultProxy(server.port, seed=7) as proxy:
        yield proxy


@contextlib.contextmanager
def call(proxy: FaultProxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), SOON) as sock:
        yield sock


def read(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        assert piece
        data += piece
    return data


def says(sock: socket.socket, data: bytes) -> float:
    """Seconds that it took to get it back."""
    began = time.monotonic()
    sock.sendall(data)
    assert read(sock, len(data)) == data
    return time.monotonic() - began


def test_it_forwards_all_in_order(proxy: FaultProxy) -> None:
    with call(proxy) as sock:
        data = bytes(range(256)) * 1000
        for start in range(0, len(data), 32_000):
            says(sock, data[start : start + 32_000])
    assert proxy.connections == 1
    proxy.wait_for(lambda: (proxy.bytes_up, proxy.bytes_down) == (len(data), len(data)))


def test_the_end_of_one_side_reaches_the_other(proxy: FaultProxy, server: FaultServer) -> None:
    with call(proxy) as sock:
        says(sock, b"hello")
    server.connection().wait_until_over()
    with call(proxy) as sock:
        says(sock, b"hello")
        server.connection(2).cut()
        assert sock.recv(1) == b""
    with call(proxy) as sock:
        says(sock, b"hello")
        server.connection(3).reset()
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


def test_cut_reset_and_half_close(proxy: FaultProxy, server: FaultServer) -> None:
    with call(proxy) as sock:
        says(sock, b"hello")
        proxy.cut()
        assert sock.recv(1) == b""
    with call(proxy) as sock:
        says(sock, b"hello")
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    server.connection(2).wait_until_over()
    with call(proxy) as sock:
        says(sock, b"hello")
        proxy.half_close("down")
        assert sock.recv(1) == b""
        sock.sendall(b"still")
        proxy.wait_for(lambda: proxy.bytes_up == 4 * 5)


def test_delay_jitter_and_rate(proxy: FaultProxy) -> None:
    with call(proxy) as sock:
        says(sock, b"hello")
        proxy.delay = 0.05
        assert says(sock, b"hello") >= 0.1
        proxy.jitter = 0.05
        assert says(sock, b"hello") >= 0.1
        proxy.delay = proxy.jitter = 0.0
        proxy.rate = 10_000
        assert says(sock, bytes(2000)) >= 0.4
        proxy.heal()
        assert says(sock, b"hello") < SOON


def test_the_same_seed_spoils_the_same(server: FaultServer) -> None:
    answers = []
    for _ in range(2):
        with FaultProxy(server.port, seed=3) as proxy, call(proxy) as sock:
            says(sock, b"hello")
            proxy.freeze("down")
            proxy.corruption = 0.1
            sock.sendall(bytes(1000))
            proxy.wait_for(lambda proxy=proxy: proxy.bytes_up == 1005)  # type: ignore[misc]
            proxy.corruption = 0.0
            proxy.thaw()
            answers.append(read(sock, 1000))
    assert answers[0] == answers[1] != bytes(1000)


def test_frozen_nothing_moves_and_nothing_is_lost(proxy: FaultProxy) -> None:
    with call(proxy) as sock:
        says(sock, b"hello")
        ways: tuple[Direction, ...] = ("up", "down", "both")
        for way in ways:
            proxy.freeze(way)
            sock.sendall(b"later")
            sock.settimeout(0.1)
            with pytest.raises(TimeoutError):
                sock.recv(1)
            sock.settimeout(SOON)
            proxy.thaw(way)
            assert read(sock, 5) == b"later"
        proxy.freeze()
        with call(proxy):  # taken, but not served
            proxy.wait_for(lambda: proxy.connections == 2)


def test_refuse_drop_and_admit(proxy: FaultProxy) -> None:
    port = proxy.port
    with call(proxy) as sock:
        says(sock, b"hello")
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError), call(proxy):
            pass
        assert says(sock, b"hello") < SOON  # those that are there stay
    proxy.admit()
    proxy.drop_new()
    with pytest.raises(ConnectionResetError), call(proxy) as sock:
        sock.recv(1)
    proxy.heal()
    assert proxy.port == port
    with call(proxy) as sock:
        says(sock, b"hello")


def test_the_server_may_be_away_and_elsewhere(proxy: FaultProxy, server: FaultServer) -> None:
    target = proxy.target
    proxy.target = ("127.0.0.1", unused_port())
    with pytest.raises(ConnectionResetError), call(proxy) as sock:
        sock.recv(1)
    assert proxy.failed == 1
    proxy.target = target
    with call(proxy) as sock:
        says(sock, b"hello")


def test_a_flood_does_not_fill_the_memory(proxy: FaultProxy, server: FaultServer) -> None:
    with call(proxy) as sock:
        proxy.freeze("up")
        sock.setblocking(False)
        sent = 0
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            try:
                sent += sock.send(bytes(65536))
            except BlockingIOError:
                break
        assert sent < 64 << 20
        proxy.reset()


def test_mistakes_are_told(proxy: FaultProxy) -> None:
    with pytest.raises(ConfigError, match="port"):
        FaultProxy(0)
    with pytest.raises(ConfigError, match="direction"):
        proxy.freeze("sideways")  # type: ignore[arg-type]
    with pytest.raises(TimeoutError):
        proxy.wait_for(lambda: False, timeout=0.01)
