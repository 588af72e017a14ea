from __future__ import annotations

import socket
import threading

import pytest

from tests.patience import PATIENCE
from voicews.assistant.link import Gate, Link, Listener, Tap
from voicews.errors import TransportError


@pytest.fixture
def pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair()


class TestTap:
    def test_a_shut_gate_holds_reading_and_writing(self, pair: tuple[socket.socket, socket.socket]) -> None:
        gate = Gate()
        near, far = Tap(pair[0], gate), pair[1]
        with near, far:
            far.sendall(b"hello")
            gate.shut()
            assert gate.is_shut
            read: list[bytes] = []
            threads = [
                threading.Thread(target=lambda: read.append(near.recv(100))),
                threading.Thread(target=near.sendall, args=(b"back",)),
            ]
            for thread in threads:
                thread.start()
            threads[0].join(0.2)
            far.settimeout(0.1)
            with pytest.raises(TimeoutError):
                far.recv(100)
            assert not read
            gate.open()
            for thread in threads:
                thread.join(PATIENCE)
            assert read == [b"hello"]
            assert far.recv(100) == b"back"

    def test_cut_it_wakes_who_waits_at_the_gate(self, pair: tuple[socket.socket, socket.socket]) -> None:
        gate = Gate()
        near, far = Tap(pair[0], gate), pair[1]
        with near, far:
            gate.shut()
            read: list[bytes] = []
            thread = threading.Thread(target=lambda: read.append(near.recv(100)))
            thread.start()
            near.cut()
            thread.join(PATIENCE)
            assert read == [b""]
            assert far.recv(100) == b""
            near.cut()

    def test_a_closed_one_can_be_cut(self, pair: tuple[socket.socket, socket.socket]) -> None:
        near = Tap(pair[0], Gate())
        near.close()
        near.cut()
        pair[1].close()


class TestListener:
    def listener(self, port: int = 0) -> Listener:
        def talk(link: Link) -> None:
            raise AssertionError("nobody calls")

        return Listener("127.0.0.1", port, talk=talk, refusal=lambda: None)

    def test_waking_ends_the_wait_for_a_connection(self) -> None:
        listener = self.listener()
        found: list[object] = []
        thread = threading.Thread(target=lambda: found.append(listener.accept()))
        thread.start()
        listener.wake()
        thread.join(PATIENCE)
        assert found == [None]
        listener.close()

    def test_a_connection_is_handed_over(self) -> None:
        listener = self.listener()
        with socket.create_connection(("127.0.0.1", listener.port)):
            accepted = listener.accept()
            assert accepted is not None
            assert accepted[0].getblocking()
            accepted[0].close()
        listener.close()

    def test_out_of_descriptors_it_tries_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        listener = self.listener()
        tries: list[int] = []

        class Full:
            def __init__(self, sock: socket.socket) -> None:
                self._sock = sock

            def fileno(self) -> int:
                return self._sock.fileno()

            def accept(self) -> object:
                tries.append(1)
                if len(tries) == 1:
                    raise BlockingIOError
                if len(tries) == 2:
                    raise OSError(24, "Too many open files")
                if len(tries) == 3:
                    listener.wake()
                    raise OSError(24, "Too many open files")
                raise AssertionError("it should have ended")

            def close(self) -> None:
                self._sock.close()

        with socket.create_connection(("127.0.0.1", listener.port)):
            monkeypatch.setattr(listener._server, "socket", Full(listener._server.socket))
            assert listener.accept() is None
        listener.close()

    def test_a_taken_port(self) -> None:
        listener = self.listener()
        with pytest.raises(TransportError, match="cannot listen on"):
            self.listener(listener.port)
        listener.close()

    @pytest.mark.parametrize("host", ["203.0.113.7", "no such host"])
    def test_an_address_that_is_not_ours(self, host: str) -> None:
        with pytest.raises(TransportError, match=f"cannot listen on {host}:0"):
            Listener(host, 0, talk=lambda link: None, refusal=lambda: None)
