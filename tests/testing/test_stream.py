"""The stream underneath a scripted connection."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from voicews.testing.stream import Gone, Link

SOON = 10.0


@pytest.fixture
def ends() -> Iterator[tuple[Link, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        far = socket.create_connection(listener.getsockname(), SOON)
        sock, _ = listener.accept()
        link = Link(sock, None)
        with far:
            yield link, far
        link.close()


def test_bytes_are_read_as_asked_for(ends: tuple[Link, socket.socket]) -> None:
    link, far = ends
    far.sendall(b"one\r\ntwo three four")
    assert link.read_until(b"\r\n") == b"one\r\n"
    assert link.read(3) == b"two"
    assert link.read_some() == b" three four"
    far.sendall(b"five")
    assert link.read(2) == b"fi"
    link.secure()  # which there is none of here
    link.write(b"six")
    assert far.recv(10) == b"six"


def test_raw_bytes_can_be_thrown_away(ends: tuple[Link, socket.socket]) -> None:
    link, far = ends
    far.sendall(b"12345")
    link.take_raw(3)
    assert link.read(2) == b"45"
    far.close()
    with pytest.raises(Gone):
        link.take_raw(1)


def test_frozen_it_waits(ends: tuple[Link, socket.socket]) -> None:
    link, far = ends
    link.thawed.clear()
    far.sendall(b"x")
    read: list[bytes] = []
    thread = threading.Thread(target=lambda: read.append(link.read(1)))
    thread.start()
    thread.join(0.1)
    assert not read
    link.thawed.set()
    thread.join(SOON)
    assert read == [b"x"]


@pytest.mark.parametrize("end", [Link.cut, Link.reset, Link.forget])
@pytest.mark.parametrize("frozen", [False, True])
def test_any_end_wakes_who_waits(ends: tuple[Link, socket.socket], end: object, frozen: bool) -> None:
    link, _ = ends
    if frozen:
        link.thawed.clear()
    gone: list[Exception] = []

    def read() -> None:
        try:
            link.read(1)
        except Gone as error:
            gone.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    end(link)  # type: ignore[operator]
    link.ended.set()  # where forgetting is not allowed
    thread.join(SOON)
    assert gone
    with pytest.raises(Gone):
        link.write(b"x")


def test_half_closed_it_reads_on(ends: tuple[Link, socket.socket]) -> None:
    link, far = ends
    link.half_close()
    assert far.recv(1) == b""
    far.sendall(b"x")
    assert link.read(1) == b"x"
