from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import socket
import ssl
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest

from tests.line import Authority, Line, deaf_port, listening
from tests.patience import PATIENCE
from voicews.backoff import Verdict, judge
from voicews.config import TlsSettings
from voicews.deadline import Deadline
from voicews.errors import (
    ConnectFailed,
    ConnectionClosed,
    ConnectTimeout,
    InsecureTls,
    MessageTooLarge,
    ThreadUnavailable,
    TlsFailed,
)
from voicews.tls import tls_context
from voicews.wire import Wire

SOON = 1.0
"""Seconds within which an aborted call must have ended; it takes less than a millisecond."""
PROMPT = 0.005
"""Seconds within which half of them must have; the median is 0.15 to 0.2 ms."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=["tcp", "tls"])
def security(request: pytest.FixtureRequest, authority: Authority) -> tuple[Any, Any]:
    """The client's and the server's context, or twice None."""
    if request.param == "tcp":
        return None, None
    return tls_context(TlsSettings(ca_file=authority.ca_file)), authority.server_context()


@contextmanager
def opened(port: int, context: ssl.SSLContext | None = None, **options: Any) -> Iterator[Wire]:
    wire = Wire("127.0.0.1", port, tls=context, send_timeout=options.pop("send_timeout", PATIENCE))
    try:
        wire.open(Deadline(PATIENCE))
        yield wire
    finally:
        wire.close()


def echo(line: Line) -> None:
    while data := line.sock.recv(65536):
        line.write(data)


def keep_silent(line: Line) -> None:
    line.wait_for_end()


def keep_still(line: Line, until: threading.Event) -> None:
    until.wait(PATIENCE)


def wait_until(fact: Callable[[], bool]) -> None:
    end, never = time.monotonic() + PATIENCE, threading.Event()
    while not fact():
        assert time.monotonic() < end
        never.wait(0.005)


def addresses(*ports: int) -> Callable[..., list[Any]]:
    """What takes the place of getaddrinfo: a name with several addresses."""

    def look_up(host: str, port: int, family: int, kind: int, protocol: int, flags: int) -> list[Any]:
        if flags:
            raise socket.gaierror(socket.EAI_NONAME, "a name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]

    return look_up


class TestStream:
    def test_bytes_go_there_and_back(self, security: Any) -> None:
        with listening(echo, context=security[1]) as server, opened(server.port, security[0]) as wire:
            assert wire.send(b"hello, world") == 12
            assert wire.read(5) == b"hello"
            assert wire.read(0) == b""
            assert wire.read(7) == b", world"
            assert time.monotonic() - wire.last_received < PATIENCE
            assert wire.bytes_sent >= 12
            assert wire.bytes_received >= 12
            assert repr(wire).endswith("open>")
        assert repr(wire).endswith("not open>")

    def test_both_ways_at_once(self, security: Any) -> None:
        """Blocks of all sizes up to many TLS records, checked by their hash."""
        blocks = [os.urandom(1 + index * 7919 % 200_000) for index in range(60)]
        total = sum(map(len, blocks))

        with listening(echo, context=security[1]) as server, opened(server.port, security[0]) as wire:
            writer = threading.Thread(target=lambda: [wire.send(block) for block in blocks])
            writer.start()
            back = hashlib.sha256()
            for _ in range(total // 997):
                back.update(wire.read(997))
            back.update(wire.read(total % 997))
            writer.join(PATIENCE)
        assert back.digest() == hashlib.sha256(b"".join(blocks)).digest()

    def test_reads_ahead(self, security: Any) -> None:
        def burst(line: Line) -> None:
            line.write(b"x" * 1000)
            line.wait_for_end()

        with listening(burst, context=security[1]) as server, opened(server.port, security[0]) as wire:
            wire.read(1)
            received = wire.bytes_received
            assert wire.read(999) == b"x" * 999
            assert wire.bytes_received == received

    def test_an_orderly_end_comes_after_the_last_byte(self, security: Any) -> None:
        def say_and_go(line: Line) -> None:
            line.write(b"bye")
            if isinstance(line.sock, ssl.SSLSocket):
                line.sock.unwrap()

        with listening(say_and_go, context=security[1]) as server, opened(server.port, security[0]) as wire:
            assert wire.read(3) == b"bye"
            with pytest.raises(ConnectionClosed) as caught:
                wire.read(1)
        assert (caught.value.code, caught.value.by_peer) == (1006, True)
        assert judge(caught.value) is Verdict.RETRY

    def test_a_reset(self, security: Any) -> None:
        def reset(line: Line) -> None:
            line.read(1)
            line.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

        with listening(reset, context=security[1]) as server, opened(server.port, security[0]) as wire:
            wire.send(b"?")
            with pytest.raises(ConnectionClosed, match="was lost") as caught:
                wire.read(1)
            assert caught.value.by_peer
            assert isinstance(caught.value.__cause__, ConnectionResetError)
            with pytest.raises(ConnectionClosed):
                wire.send(b"x")

    def test_garbage_instead_of_tls(self, authority: Authority) -> None:
        def spoil(line: Line) -> None:
            raw = socket.socket(fileno=os.dup(line.sock.fileno()))
            with raw:
                raw.sendall(b"\x17\x03\x03\x00\x20" + b"0" * 32)
            line.wait_for_end()

        context = tls_context(TlsSettings(ca_file=authority.ca_file))
        with (
            listening(spoil, context=authority.server_context()) as server,
            opened(server.port, context) as wire,
            pytest.raises(ConnectionClosed, match="broken TLS"),
        ):
            wire.read(1)

    def test_the_kernel_giving_up_is_the_end(self) -> None:
        """ETIMEDOUT takes a dead network; here the socket is one whose reads say so."""

        class DeadSocket:
            def recv(self, size: int) -> bytes:
                raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))

            def close(self) -> None:
                self.closed = True

        wire = Wire("127.0.0.1", 1, tls=None, send_timeout=1)
        wire._sock = DeadSocket()  # type: ignore[assignment]
        with pytest.raises(ConnectionClosed, match="does not answer any more"):
            wire.read(1)
        wire.close()

    def test_socket_options(self) -> None:
        with listening(keep_silent) as server, opened(server.port) as wire:
            sock = wire._sock
            assert sock is not None
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 4 * 65536

    def test_an_os_without_some_options(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(socket, "TCP_USER_TIMEOUT")
        with listening(echo) as server, opened(server.port) as wire:
            wire.send(b"x")
            assert wire.read(1) == b"x"

    def test_a_peer_that_does_not_read_is_left(self, security: Any) -> None:
        until = threading.Event()
        with (
            listening(lambda line: keep_still(line, until), context=security[1]) as server,
            opened(server.port, security[0], send_timeout=0.2) as wire,
        ):
            start = time.monotonic()
            with pytest.raises(ConnectionClosed, match=r"Timeouts\.send \(0\.2 s\)") as caught:
                wire.send(bytes(30_000_000))
            assert time.monotonic() - start < 10
            assert not caught.value.by_peer
            with pytest.raises(ConnectionClosed):  # half a message is out, so nothing may follow
                wire.send(b"x")
            until.set()

    @pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
    @pytest.mark.parametrize(
        ("version", "writer_is_busy", "key", "answer"),
        [
            ("-tls1_2", False, b"r\n", b"<<< TLS 1.2, Alert [length 0002], warning no_renegotiation"),
            ("-tls1_2", True, b"r\n", b"<<< TLS 1.2, Alert [length 0002], warning no_renegotiation"),
            ("-tls1_3", False, b"K\n", b"<<< TLS 1.3, Handshake [length 0005], KeyUpdate"),
        ],
    )
    def test_tls_has_its_own_say(
        self, version: str, writer_is_busy: bool, key: bytes, answer: bytes, authority: Authority
    ) -> None:
        """OpenSSL's own server asks for other keys in mid-stream."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        command = ["openssl", "s_server", version, "-msg", "-accept", f"127.0.0.1:{port}"]
        with subprocess.Popen(
            [*command, "-cert", authority.server_file, "-key", authority.server_file],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            output = process.stdout
            watchdog = threading.Timer(PATIENCE, process.kill)
            watchdog.start()

            def wait_for(text: bytes) -> None:
                assert any(text in line for line in output), f"the server never said {text!r}"

            received = []

            def read(wire: Wire) -> None:
                with suppress(ConnectionClosed):
                    received.append(wire.read(6))

            try:
                wait_for(b"ACCEPT")
                with (
                    opened(port, tls_context(TlsSettings(ca_file=authority.ca_file))) as wire,
                    ExitStack() as stack,
                ):
                    wait_for(b"CIPHER is")  # the last words about the handshake that each OpenSSL says
                    reader = threading.Thread(target=read, args=(wire,))
                    reader.start()
                    stack.callback(reader.join, PATIENCE)
                    stack.callback(wire.abort)
                    if writer_is_busy:
                        wire._writing.acquire()
                    process.stdin.write(key)
                    if version == "-tls1_3":
                        wait_for(b">>> TLS 1.3, Handshake [length 0005], KeyUpdate")
                        process.stdin.write(b"hello\n")
                        reader.join(PATIENCE)
                        assert received == [b"hello\n"]
                        wire.send(b"hello\n")  # OpenSSL answers ahead of the next data
                    if writer_is_busy:
                        wait_until(lambda: wire._tls is not None and wire._tls.has_output)
                        wire._writing.release()
                        wire.send(b"hello\n")
                    wait_for(answer)
            finally:
                watchdog.cancel()
                process.kill()

    def test_what_tls_could_not_say_before_goes_first(self, authority: Authority) -> None:
        context = tls_context(TlsSettings(ca_file=authority.ca_file))
        with (
            listening(echo, context=authority.server_context()) as server,
            opened(server.port, context) as wire,
        ):
            assert wire._tls is not None
            wire._backlog = wire._tls.encrypt(b"first")
            wire.send(b", second")
            assert wire.read(13) == b"first, second"


class TestOpening:
    def test_a_dead_address_gets_its_share_only(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with deaf_port() as deaf, listening(echo) as server:
            monkeypatch.setattr(socket, "getaddrinfo", addresses(deaf, server.port))
            wire = Wire("example.test", 1, tls=None, send_timeout=1)
            start = time.monotonic()
            wire.open(Deadline(2.0))
            assert 0.9 < time.monotonic() - start < 1.9
            wire.send(b"x")
            assert wire.read(1) == b"x"
            wire.close()

    def test_addresses_that_refuse(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.create_server(("127.0.0.1", 0)) as gone:
            port = gone.getsockname()[1]
        monkeypatch.setattr(socket, "getaddrinfo", addresses(port, port))
        with pytest.raises(ConnectFailed, match="is the server running") as caught:
            Wire("example.test", 80, tls=None, send_timeout=1).open(Deadline(5))
        assert isinstance(caught.value.__cause__, ConnectionRefusedError)
        assert judge(caught.value) is Verdict.RETRY

    def test_an_address_of_a_kind_this_machine_lacks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with listening(echo) as server:

            def look_up(*_: Any) -> list[Any]:
                return [
                    (9999, socket.SOCK_STREAM, 6, "", ("::1", 1)),
                    *addresses(server.port)("", 0, 0, 0, 0, 0),
                ]

            monkeypatch.setattr(socket, "getaddrinfo", look_up)
            wire = Wire("example.test", 80, tls=None, send_timeout=1)
            wire.open(Deadline(5))
            wire.close()

    def test_an_address_nobody_can_connect_to(self) -> None:
        with pytest.raises(ConnectFailed, match=r"255\.255\.255\.255:80 cannot be reached"):
            Wire("255.255.255.255", 80, tls=None, send_timeout=1).open(Deadline(5))

    def test_no_address(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(socket, "getaddrinfo", addresses())
        with pytest.raises(ConnectFailed, match="no address"):
            Wire("example.test", 80, tls=None, send_timeout=1).open(Deadline(5))

    def test_the_deadline_holds_for_all_addresses_together(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with deaf_port() as deaf:
            monkeypatch.setattr(socket, "getaddrinfo", addresses(deaf, deaf, deaf))
            start = time.monotonic()
            with pytest.raises(ConnectTimeout, match="did not answer"):
                Wire("example.test", 80, tls=None, send_timeout=1).open(Deadline(0.6))
            assert 0.5 < time.monotonic() - start < 5

    def test_a_name_that_is_not_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def look_up(*_: Any) -> list[Any]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        with pytest.raises(ConnectFailed, match=r"'nowhere.test' was not found: Name or service"):
            Wire("nowhere.test", 80, tls=None, send_timeout=1).open(Deadline(5))

    @pytest.mark.parametrize("aborted", [False, True])
    def test_a_look_up_that_hangs_is_left_behind(
        self, aborted: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked, enough = threading.Event(), threading.Event()

        def look_up(host: str, port: int, family: int, kind: int, protocol: int, flags: int) -> list[Any]:
            if not flags:
                asked.set()
                enough.wait(PATIENCE)
            raise socket.gaierror(socket.EAI_AGAIN, "later")

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        wire = Wire("slow.test", 80, tls=None, send_timeout=1)
        try:
            if aborted:
                with aborting(wire, asked), pytest.raises(ConnectionClosed):
                    wire.open(Deadline(PATIENCE))
            else:
                with pytest.raises(ConnectTimeout, match="was not looked up"):
                    wire.open(Deadline(0.2))
            hung = [thread for thread in threading.enumerate() if thread.name == "voicews-resolver"]
            assert len(hung) == 1
            assert hung[0].daemon
        finally:
            enough.set()


@contextmanager
def aborting(
    wire: Wire, ready: threading.Event | None = None, *, after: float = 0.05
) -> Iterator[list[float]]:
    """Abort the wire while the body waits in it; the list gets the seconds that its end took."""
    times: list[float] = []

    def abort() -> None:
        if ready is None:
            threading.Event().wait(after)  # the wait inside the kernel cannot be seen from here
        else:
            assert ready.wait(PATIENCE)
        times.append(time.perf_counter())
        wire.abort()

    thread = threading.Thread(target=abort)
    thread.start()
    yield times
    times[0] = time.perf_counter() - times[0]
    thread.join()
    assert times[0] < SOON


class TestAbort:
    def check(self, error: ConnectionClosed) -> None:
        assert (error.code, error.by_peer) == (1006, False)

    def test_before_the_opening(self) -> None:
        with listening(echo) as server:
            wire = Wire("127.0.0.1", server.port, tls=None, send_timeout=1)
            wire.abort()
            with pytest.raises(ConnectionClosed) as caught:
                wire.open(Deadline(5))
            self.check(caught.value)
            assert server.accepted == 0

    def test_while_connecting(self) -> None:
        with deaf_port() as deaf:
            wire = Wire("127.0.0.1", deaf, tls=None, send_timeout=1)
            with aborting(wire), pytest.raises(ConnectionClosed) as caught:
                wire.open(Deadline(PATIENCE))
            self.check(caught.value)

    def test_between_two_addresses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        wire = Wire("example.test", 80, tls=None, send_timeout=1)
        make = socket.socket

        def abort_and_make(*args: Any) -> socket.socket:
            wire.abort()
            return make(*args)

        monkeypatch.setattr(socket, "getaddrinfo", addresses(1))
        monkeypatch.setattr(socket, "socket", abort_and_make)
        with pytest.raises(ConnectionClosed) as caught:
            wire.open(Deadline(5))
        self.check(caught.value)

    def test_in_the_tls_handshake(self, authority: Authority) -> None:
        context = tls_context(TlsSettings(ca_file=authority.ca_file))
        with listening(keep_silent) as server:
            wire = Wire("127.0.0.1", server.port, tls=context, send_timeout=1)
            with aborting(wire), pytest.raises(ConnectionClosed) as caught:
                wire.open(Deadline(PATIENCE))
            self.check(caught.value)

    def test_before_the_first_word_of_tls(self) -> None:
        class AbortingContext(ssl.SSLContext):
            def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
                wire.abort()
                return super().wrap_bio(*args, **options)

        with listening(keep_silent) as server:
            context = AbortingContext(ssl.PROTOCOL_TLS_CLIENT)
            wire = Wire("127.0.0.1", server.port, tls=context, send_timeout=1)
            with pytest.raises(ConnectionClosed) as caught:
                wire.open(Deadline(PATIENCE))
            self.check(caught.value)

    def test_in_an_exchange(self, security: Any) -> None:
        with listening(keep_silent, context=security[1]) as server, opened(server.port, security[0]) as wire:
            with aborting(wire), pytest.raises(ConnectionClosed) as caught:
                wire.exchange(b"?", until=b"!", limit=10, deadline=Deadline(PATIENCE))
            self.check(caught.value)

    def test_while_reading(self, security: Any) -> None:
        times = []
        with listening(keep_silent, context=security[1]) as server:
            for _ in range(20):
                with opened(server.port, security[0]) as wire:
                    with aborting(wire, after=0.005) as time_taken, pytest.raises(ConnectionClosed) as caught:
                        wire.read(1)
                    self.check(caught.value)
                    times += time_taken
                    assert wire._sock is not None, "the descriptor must stay taken until close()"
                    with pytest.raises(ConnectionClosed):
                        wire.read(1)
                    with pytest.raises(ConnectionClosed) as caught:
                        wire.send(b"x")
                    self.check(caught.value)
        assert statistics.median(times) < PROMPT
        print(f"abort to the end of read: median {statistics.median(times) * 1e3:.3f} ms")

    def test_while_sending(self, security: Any) -> None:
        until = threading.Event()
        with ExitStack() as stack:
            server = stack.enter_context(listening(lambda line: keep_still(line, until), context=security[1]))
            wire = stack.enter_context(opened(server.port, security[0]))
            with aborting(wire, after=0.2), pytest.raises(ConnectionClosed) as caught:
                wire.send(bytes(30_000_000))
            self.check(caught.value)
            until.set()

    def test_again_and_after_the_end(self) -> None:
        with listening(echo) as server, opened(server.port) as wire:
            wire.abort()
            wire.abort()
        wire.abort()
        wire.close()
        for call in (lambda: wire.read(1), lambda: wire.send(b"x")):
            with pytest.raises(ConnectionClosed):
                call()


class TestReceive:
    """What HTTP needs: pieces as they come, each by the deadline of them all."""

    def test_pieces(self, security: Any) -> None:
        def answer(line: Line) -> None:
            assert line.read(1) == b"?"
            line.write(b"abcdef")

        with listening(answer, context=security[1]) as server, opened(server.port, security[0]) as wire:
            deadline = Deadline(PATIENCE)
            wire.ask(b"?", deadline)
            assert [wire.receive(size, deadline) for size in (2, 3, 9, 9)] == [b"ab", b"cde", b"f", b""]

    def test_too_late(self, security: Any) -> None:
        with (
            listening(keep_silent, context=security[1]) as server,
            opened(server.port, security[0]) as wire,
            pytest.raises(ConnectTimeout, match=r"the HTTP answer with .* was not done in time"),
        ):
            wire.receive(1, Deadline(0.05))

    def test_aborted(self, security: Any) -> None:
        with listening(keep_silent, context=security[1]) as server, opened(server.port, security[0]) as wire:
            with aborting(wire), pytest.raises(ConnectionClosed):
                wire.receive(1, Deadline(PATIENCE))
            with pytest.raises(ConnectionClosed):
                wire.receive(1, Deadline(PATIENCE))

    def test_no_thread_to_look_a_name_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_thread(self: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", no_thread)
        wire = Wire("localhost", 1, tls=None, send_timeout=1)
        with pytest.raises(ThreadUnavailable, match="voicews-resolver"):
            wire.open(Deadline(PATIENCE))


class TestExchange:
    def ask(self, wire: Wire, seconds: float = PATIENCE) -> bytes:
        return wire.exchange(b"?", until=b"\r\n\r\n", limit=1000, deadline=Deadline(seconds))

    def test_what_follows_stays(self, security: Any) -> None:
        def answer(line: Line) -> None:
            assert line.read(1) == b"?"
            line.write(b"head\r\n\r\nrest")
            line.wait_for_end()

        with listening(answer, context=security[1]) as server, opened(server.port, security[0]) as wire:
            assert self.ask(wire) == b"head\r\n\r\n"
            assert wire.read(4) == b"rest"

    def test_a_blank_line_in_pieces(self) -> None:
        turn = threading.Semaphore(0)

        def answer(line: Line) -> None:
            for byte in b"ab\r\n\r\nc":
                line.write(bytes((byte,)))
                turn.acquire(timeout=0.02)
            line.wait_for_end()

        with listening(answer) as server, opened(server.port) as wire:
            assert self.ask(wire) == b"ab\r\n\r\n"
            assert wire.read(1) == b"c"

    @pytest.mark.parametrize("answer", [b"x" * 2000, b"x" * 997 + b"\r\n\r\n"])
    def test_an_answer_over_the_limit(self, answer: bytes) -> None:
        def flood(line: Line) -> None:
            line.write(answer)
            line.wait_for_end()

        with (
            listening(flood) as server,
            opened(server.port) as wire,
            pytest.raises(MessageTooLarge, match=r"Limits\.handshake \(1000 bytes\)"),
        ):
            self.ask(wire)

    def test_a_server_that_drips_is_left_at_the_deadline(self, security: Any) -> None:
        def drip(line: Line) -> None:
            pause = threading.Event()
            while True:
                line.write(b"x")
                pause.wait(0.05)

        with listening(drip, context=security[1]) as server, opened(server.port, security[0]) as wire:
            start = time.monotonic()
            with pytest.raises(ConnectTimeout, match=r"Timeouts\.connect"):
                self.ask(wire, 0.5)
            assert 0.4 < time.monotonic() - start < 5

    def test_a_server_that_hangs_up(self, security: Any) -> None:
        def hang_up(line: Line) -> None:
            line.read(1)
            line.write(b"half")

        with (
            listening(hang_up, context=security[1]) as server,
            opened(server.port, security[0]) as wire,
            pytest.raises(ConnectFailed, match="hung up"),
        ):
            self.ask(wire)

    def test_a_server_that_resets(self) -> None:
        def reset(line: Line) -> None:
            line.read(1)
            line.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

        with (
            listening(reset) as server,
            opened(server.port) as wire,
            pytest.raises(ConnectFailed, match="reset by peer"),
        ):
            self.ask(wire)


class TestTls:
    def failure(
        self, port: int, settings: TlsSettings, *, host: str = "127.0.0.1", seconds: float = 10
    ) -> Any:
        wire = Wire(host, port, tls=tls_context(settings), send_timeout=1)
        with pytest.raises(ConnectFailed) as caught:
            wire.open(Deadline(seconds))
        assert wire._sock is None, "what failed must have been given back"
        return caught.value

    def test_a_stranger_is_not_trusted(self, authority: Authority) -> None:
        with listening(keep_silent, context=authority.server_context()) as server:
            error = self.failure(server.port, TlsSettings())
        assert isinstance(error, TlsFailed)
        assert "certificate does not hold" in str(error)
        assert judge(error) is Verdict.FATAL

    def test_another_name_is_not_trusted(self, authority: Authority) -> None:
        context = authority.server_context(names=("other.example",))
        with listening(keep_silent, context=context) as server:
            error = self.failure(server.port, TlsSettings(ca_file=authority.ca_file))
        assert isinstance(error, TlsFailed)
        assert "127.0.0.1" in str(error)

    def test_a_server_without_tls(self, authority: Authority) -> None:
        def speak(line: Line) -> None:
            line.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            line.wait_for_end()

        with listening(speak) as server:
            error = self.failure(server.port, TlsSettings(ca_file=authority.ca_file))
        assert isinstance(error, TlsFailed)
        assert "is it a ws:// server?" in str(error)

    def test_a_server_that_refuses(self, authority: Authority) -> None:
        context = authority.server_context()
        context.set_ciphers("DHE-RSA-AES128-SHA")
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with listening(keep_silent, context=context) as server:
            error = self.failure(server.port, TlsSettings(ca_file=authority.ca_file))
        assert isinstance(error, TlsFailed)
        assert "HANDSHAKE_FAILURE" in str(error)

    def test_a_server_that_fails_for_the_moment(self, authority: Authority) -> None:
        def alert(line: Line) -> None:
            line.write(b"\x15\x03\x03\x00\x02\x02\x50")  # fatal, internal_error
            line.wait_for_end()

        with listening(alert) as server:
            error = self.failure(server.port, TlsSettings(ca_file=authority.ca_file))
        assert type(error) is ConnectFailed
        assert judge(error) is Verdict.RETRY

    def test_a_server_that_hangs_up(self, authority: Authority) -> None:
        def hang_up(line: Line) -> None:
            line.sock.recv(65536)

        with listening(hang_up) as server:
            error = self.failure(server.port, TlsSettings(ca_file=authority.ca_file))
        assert type(error) is ConnectFailed
        assert "hung up" in str(error)

    def test_a_server_that_is_silent(self, authority: Authority) -> None:
        with listening(keep_silent) as server:
            start = time.monotonic()
            error = self.failure(server.port, TlsSettings(ca_file=authority.ca_file), seconds=0.3)
        assert isinstance(error, ConnectTimeout)
        assert "the TLS handshake" in str(error)
        assert time.monotonic() - start < 5

    def test_a_client_certificate(self, authority: Authority) -> None:
        settings = TlsSettings(ca_file=authority.ca_file, certificate=authority.client_file())
        with (
            listening(echo, context=authority.server_context(asks_client=True)) as server,
            opened(server.port, tls_context(settings)) as wire,
        ):
            wire.send(b"x")
            assert wire.read(1) == b"x"

    def test_a_missing_client_certificate(self, authority: Authority) -> None:
        """With TLS 1.3 the refusal comes only with the first answer."""
        context = tls_context(TlsSettings(ca_file=authority.ca_file))
        with (
            listening(echo, context=authority.server_context(asks_client=True)) as server,
            opened(server.port, context) as wire,
            pytest.raises(TlsFailed, match="CERTIFICATE_REQUIRED"),
        ):
            wire.exchange(b"?", until=b"!", limit=10, deadline=Deadline(PATIENCE))

    def test_insecure_warns_and_works(self, authority: Authority) -> None:
        with pytest.warns(InsecureTls):
            context = tls_context(TlsSettings(insecure=True))
        with (
            listening(echo, context=authority.server_context(names=("other.example",))) as server,
            opened(server.port, context) as wire,
        ):
            wire.send(b"x")
            assert wire.read(1) == b"x"


def tls_records(stream: bytes) -> Iterator[int]:
    """The types of the TLS records that make up a stream; fails on anything else."""
    position = 0
    while position + 5 <= len(stream):
        kind, major, minor = stream[position : position + 3]
        assert kind in (20, 21, 22, 23), f"no TLS record: {stream[position : position + 40]!r}"
        assert (major, minor) in ((3, 1), (3, 3)), f"no TLS record: {stream[position : position + 40]!r}"
        position += 5 + int.from_bytes(stream[position + 3 : position + 5], "big")
        yield kind


def test_the_relay_would_see_plaintext() -> None:
    with pytest.raises(AssertionError, match="no TLS record"):
        list(tls_records(b"\x16\x03\x01\x00\x01x" + b"plaintext"))
    assert list(tls_records(b"\x16\x03\x01\x00\x01x" + b"\x17\x03\x03\x00\xff")) == [22, 23]


class Relay:
    """Hands bytes on between client and server, and keeps what the client has sent."""

    def __init__(self, to: int) -> None:
        self._to = to
        self.streams: list[bytearray] = []

    def __call__(self, line: Line) -> None:
        stream = bytearray()
        self.streams.append(stream)
        with socket.create_connection(("127.0.0.1", self._to)) as onward:
            back = threading.Thread(target=self._pump, args=(onward, line.sock, bytearray()))
            back.start()
            self._pump(line.sock, onward, stream)
            back.join()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket, seen: bytearray) -> None:
        try:
            while data := source.recv(65536):
                seen += data
                sink.sendall(data)
        except OSError:
            pass
        for sock in (source, sink):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


@pytest.mark.slow
def test_300_aborts_under_load_put_no_plaintext_on_the_line(authority: Authority) -> None:
    marker = b"plaintext!" * 64
    context = tls_context(TlsSettings(ca_file=authority.ca_file))
    failures: list[BaseException] = []

    def flood(wire: Wire) -> None:
        try:
            while True:
                wire.send(marker)
        except ConnectionClosed:
            return
        except BaseException as error:
            failures.append(error)

    def drain(wire: Wire) -> None:
        try:
            while True:
                wire.read(640)
        except ConnectionClosed:
            return
        except BaseException as error:
            failures.append(error)

    with listening(echo, context=authority.server_context()) as server:
        relay = Relay(server.port)
        with listening(relay) as between:
            for index in range(300):
                with opened(between.port, context) as wire:
                    threads = [threading.Thread(target=work, args=(wire,)) for work in (flood, drain)]
                    for thread in threads:
                        thread.start()
                    threading.Event().wait(index % 10 * 0.001)
                    wire.abort()
                    for thread in threads:
                        thread.join(PATIENCE)
                        assert not thread.is_alive()
    assert not failures
    assert len(relay.streams) == 300
    assert sum(23 in list(tls_records(bytes(stream))) for stream in relay.streams) > 200, "there was no load"
    for stream in relay.streams:
        assert not re.search(rb"plaintext!", stream)


def fill(wire: Wire) -> int:
    """Send until the wire gives up; returns how many bytes it took."""
    sent = 0
    try:
        while sent < 1 << 30:
            if wire.has_room:
                sent += wire.send(bytes(2048))
            else:
                threading.Event().wait(0.01)
    except ConnectionClosed:
        return sent
    raise AssertionError("there is always room")


def test_a_stream_that_is_full_says_so_and_is_given_up_in_time() -> None:
    read_on = threading.Event()

    def script(line: Line) -> None:
        read_on.wait(PATIENCE)

    with listening(script) as listener:
        wire = Wire("127.0.0.1", listener.port, tls=None, send_timeout=0.3)
        assert wire.has_room  # as long as it is not open, sending says why not
        wire.open(Deadline(PATIENCE))
        assert wire.has_room
        assert fill(wire) > 0
        read_on.set()
        wire.abort()
        wire.close()


@pytest.mark.parametrize("forget", [False, True])
def test_what_a_lost_stream_still_holds_can_be_forgotten(forget: bool) -> None:
    """Else the kernel delivers it when the network is back, after newer sound on a newer stream."""
    read_on, has_read = threading.Event(), threading.Event()
    arrived: list[int] = []

    def script(line: Line) -> None:
        read_on.wait(PATIENCE)
        with contextlib.suppress(ConnectionResetError):
            while data := line.sock.recv(65536):
                arrived.append(len(data))
        has_read.set()

    with listening(script) as listener:
        wire = Wire("127.0.0.1", listener.port, tls=None, send_timeout=0.1)
        wire.open(Deadline(PATIENCE))
        sent = fill(wire)
        wire.abort()
        wire.close(forget=forget)
        read_on.set()
        assert has_read.wait(PATIENCE)  # the listener's end would cut the stream short, too
    assert (sum(arrived) < sent) is forget


@pytest.mark.parametrize("how", ["hangs up", "resets", "is silent"])
def test_a_server_without_tls_is_suspected_where_it_says_nothing(how: str) -> None:
    def script(line: Line) -> None:
        if how == "hangs up":
            line.sock.recv(65536)
        elif how == "is silent":
            line.wait_for_end()

    context = tls_context(TlsSettings())
    with listening(script) as server:
        wire = Wire("127.0.0.1", server.port, tls=context, send_timeout=5)
        with pytest.raises(ConnectFailed, match="write ws://"):
            wire.open(Deadline(0.5 if how == "is silent" else 5))


def test_a_server_with_tls_is_suspected_likewise(authority: Authority) -> None:
    with listening(lambda line: None, context=authority.server_context()) as server:
        wire = Wire("127.0.0.1", server.port, tls=None, send_timeout=5)
        wire.open(Deadline(5))
        with pytest.raises(ConnectFailed, match="write wss://"):
            wire.exchange(b"GET / HTTP/1.1\r\n\r\n", until=b"\r\n\r\n", limit=1000, deadline=Deadline(5))


def test_messages_put_brackets_round_an_ipv6_address() -> None:
    wire = Wire("::1", 9, tls=None, send_timeout=5)
    assert "[::1]:9" in repr(wire)
    with pytest.raises(ConnectFailed, match=r"^\[::1\]:9 cannot be reached"):
        wire.open(Deadline(5))
