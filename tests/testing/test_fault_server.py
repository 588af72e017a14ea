"""The server of the tests itself, looked at by a client that is not ours."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from functools import partial

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from voicews.config import Limits, Timeouts, TlsSettings
from voicews.dialects.base import Request
from voicews.errors import ConfigError
from voicews.testing import FaultServer, steps
from voicews.testing.certificates import KINDS
from voicews.testing.fault_server import FaultConnection
from voicews.transport import Transport

SOON = 10.0


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


def client(server: FaultServer, *, open_timeout: float = SOON, **headers: str) -> ClientConnection:
    return connect(
        server.url,
        additional_headers=headers,
        proxy=None,
        open_timeout=open_timeout,
        ping_interval=None,
        close_timeout=1,
        legacy=True,
    )


def test_without_a_script_it_accepts_and_reads(server: FaultServer) -> None:
    with client(server, who="me") as voice:
        voice.send("hello")
        voice.send(b"\x01\x02")
        connection = server.connection()
        connection.wait_for(lambda c: c.received == 2)
        assert list(connection.messages) == ["hello", b"\x01\x02"]
        assert connection.audio == b"\x01\x02"
        assert (connection.path, connection.headers["who"]) == ("/", "me")
        assert voice.ping().wait(SOON)
        connection.wait_for(lambda c: c.pings == 1)
    connection.wait_until_over()
    assert connection.close_code == 1000
    assert connection.violation == ""


def test_each_connection_has_its_script_and_the_last_one_stays(server: FaultServer) -> None:
    server.script(
        steps.refuse(503, retry_after=7), [steps.accept(), steps.echo(1), steps.cut()], steps.accept()
    )
    with pytest.raises(InvalidStatus) as refused:
        client(server)
    assert refused.value.response.status_code == 503
    assert refused.value.response.headers["Retry-After"] == "7"
    with client(server) as voice:
        voice.send("back")
        assert voice.recv(SOON) == "back"
        with pytest.raises(ConnectionClosed) as lost:
            voice.recv(SOON)
        assert lost.value.rcvd is None
    for _ in range(2):
        with client(server) as voice:
            voice.send("hello")
            server.connection(len(server.connections)).wait_for(lambda c: c.received == 1)
    assert [connection.accepted for connection in server.connections] == [False, True, True, True]
    assert server.accepted(2) is server.connection(3)


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503, 599])
def test_it_refuses_with_any_status(server: FaultServer, status: int) -> None:
    server.script(steps.refuse(status, body=b"no"))
    with pytest.raises(InvalidStatus) as refused:
        client(server)
    assert (refused.value.response.status_code, refused.value.response.body) == (status, b"no")


def test_it_redirects(server: FaultServer) -> None:
    server.script([steps.redirect("ws://elsewhere.example/", 307)])
    answer = talk(server, HANDSHAKE)
    assert answer.startswith(b"HTTP/1.1 307 Temporary Redirect\r\n")
    assert b"\r\nLocation: ws://elsewhere.example/\r\n" in answer


HANDSHAKE = (
    b"GET /x?y=1 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def talk(server: FaultServer, request: bytes, limit: int = 100_000) -> bytes:
    """What the server answers, until it ends or there is so much."""
    answer = bytearray()
    try:
        with socket.create_connection(("127.0.0.1", server.port), SOON) as sock:
            sock.sendall(request)
            while len(answer) < limit and (data := sock.recv(65536)):
                answer += data
    except (ConnectionResetError, BrokenPipeError):
        answer += b"<reset>"
    return bytes(answer)


def said(*then: object) -> bytes:
    """What comes after a good handshake."""
    with FaultServer([steps.accept(), *then, steps.cut()]) as server:  # type: ignore[list-item]
        answer = talk(server, HANDSHAKE)
        head, _, rest = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head  # RFC 6455 §1.3
        return rest


def test_the_wrong_key_is_wrong() -> None:
    with FaultServer([steps.accept_wrongly(), steps.cut()]) as server:
        other = HANDSHAKE.replace(b"dGhl", b"eGhl")
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in talk(server, other)


def test_what_it_says_when_it_misbehaves() -> None:
    assert said(steps.send("é")) == b"\x81\x02\xc3\xa9"
    assert said(steps.send({"a": 1})) == b'\x81\x08{"a": 1}'
    assert said(steps.reserved_bits())[0] == 0xC1
    assert said(steps.masked_frame()) == b"\x81\x82\x01\x02\x03\x04" + bytes((0x7B ^ 1, 0x7D ^ 2))
    assert said(steps.cut_in_frame()) == b"\x82\x7e" + struct.pack("!H", 1000) + bytes(100)
    assert said(steps.ping_flood(3)) == b"\x89\x0eare you there?" * 3
    assert said(steps.flood(b"ab", 2)) == b"\x82\x02ab" * 2
    assert said(steps.oversized(1 << 31, 5)) == b"\x82\x7f" + struct.pack("!Q", 1 << 31) + bytes(65536)[:5]
    assert said(steps.drip("ab", 0.001)) == b"\x81\x02ab"
    assert said(steps.wait(0.01), steps.raw(b"xyz")) == b"xyz"
    with pytest.raises(UnicodeDecodeError):
        said(steps.bad_utf8())[2:].decode()
    with pytest.raises(ValueError):
        json.loads(said(steps.bad_json())[2:])


def test_what_has_no_end_goes_on_as_long_as_the_client_takes_it() -> None:
    for endless in (steps.flood(), steps.ping_flood(), steps.endless_message()):
        with FaultServer([steps.accept(), endless]) as server:
            assert len(talk(server, HANDSHAKE, 1_000_000)) >= 1_000_000
            server.connection().wait_until_over()


def test_a_slow_handshake_arrives_in_the_end() -> None:
    with FaultServer([steps.accept_slowly(0.0005), steps.cut()]) as server:
        assert talk(server, HANDSHAKE).endswith(b"\r\n\r\n")


def test_ends() -> None:
    with FaultServer(steps.cut(), steps.reset(), [steps.await_bytes(10), steps.reset()]) as server:
        assert talk(server, b"") == b""
        assert talk(server, b"") == b"<reset>"
        assert talk(server, HANDSHAKE) == b"<reset>"
    with FaultServer([steps.accept(), steps.close(4001, "enough")]) as server, client(server) as voice:
        with pytest.raises(ConnectionClosed) as closed:
            voice.recv(SOON)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "enough")
        server.connection().wait_until_over()
        assert server.connection().close_code == 4001


def test_half_closed_it_still_reads() -> None:
    script = [steps.half_close(), steps.await_bytes(6)]
    with FaultServer(script) as server, socket.create_connection(("127.0.0.1", server.port), SOON) as sock:
        assert sock.recv(1) == b""
        sock.sendall(b"abcdef")
        server.connection().wait_until_over()


def test_half_open_it_has_forgotten_all() -> None:
    with FaultServer([steps.accept(), steps.half_open()]) as server, socket.socket() as sock:
        sock.settimeout(SOON)
        sock.connect(("127.0.0.1", server.port))
        sock.sendall(HANDSHAKE)
        assert sock.recv(4096).startswith(b"HTTP/1.1 101")
        connection = server.connection()
        if connection.link.ended.wait(0.5):  # the system lets us
            connection.wait_until_over()
            sock.sendall(b"x")
            with pytest.raises(ConnectionResetError):
                sock.recv(1)


@pytest.mark.parametrize("stall", [steps.stall, steps.stall_reading, steps.stall_writing])
def test_stalls_end_with_the_server(stall: object) -> None:
    with FaultServer([steps.accept(), stall()]) as server, client(server) as voice:  # type: ignore[operator]
        voice.send("hello")
        if stall is steps.stall_reading:
            assert "still_here" in str(voice.recv(SOON))
        else:
            with pytest.raises(TimeoutError):
                voice.recv(0.05)
        assert server.connection().received == 0
        server.stop()


def test_a_test_may_take_part(server: FaultServer) -> None:
    go = threading.Event()
    server.script([steps.accept(), steps.pause(go), steps.send("now")])
    with client(server) as voice:
        connection = server.accepted()
        connection.send("first")
        assert voice.recv(SOON) == "first"
        go.set()
        assert voice.recv(SOON) == "now"
        connection.freeze()
        pong = voice.ping()
        assert not pong.wait(0.1)
        connection.thaw()
        assert pong.wait(SOON)
        connection.reset()
        with pytest.raises(ConnectionClosed):
            voice.recv(SOON)


def test_it_can_die_and_come_back(server: FaultServer) -> None:
    port = server.port
    with client(server) as voice:
        server.accepted()
        server.stop(reset=True)
        with pytest.raises(ConnectionClosed):
            voice.recv(SOON)
    with pytest.raises(ConnectionRefusedError):
        client(server)
    server.start()
    server.start()
    assert server.port == port
    with client(server):
        server.accepted(2)


def test_frozen_it_accepts_and_says_nothing(server: FaultServer) -> None:
    server.freeze()
    with pytest.raises(TimeoutError):
        client(server, open_timeout=0.2)
    server.thaw()
    with client(server):
        server.accepted()


@pytest.mark.parametrize("kind", KINDS)
def test_certificates(kind: str) -> None:
    # Without websockets, whose reader and writer threads share what OpenSSL does not let them share.
    with FaultServer([steps.accept(), steps.send("hello"), steps.cut()], tls=kind) as server:
        context = ssl.create_default_context(cafile=server.ca_file)
        with socket.create_connection(("127.0.0.1", server.port), SOON) as sock:
            if kind != "good":
                with pytest.raises(ssl.SSLCertVerificationError):
                    context.wrap_socket(sock, server_hostname="localhost")
            else:
                with context.wrap_socket(sock, server_hostname="localhost") as secure:
                    secure.sendall(HANDSHAKE)
                    answer = b"".join(iter(partial(secure.recv, 4096), b""))
                assert answer.startswith(b"HTTP/1.1 101")
                assert answer.endswith(b"\r\n\r\n\x81\x05hello")
        server.connection().wait_until_over()


def test_many_messages_both_ways_over_tls() -> None:
    messages = [bytes([n % 256]) * 5000 for n in range(500)]
    with FaultServer([steps.accept(), steps.echo()], tls="good") as server:
        voice = Transport(
            Request(server.url),
            timeouts=Timeouts(),
            limits=Limits(),
            tls=TlsSettings(ca_file=server.ca_file),
        )
        voice.connect()

        def write() -> None:
            for message in messages:
                voice.send(message)

        writer = threading.Thread(target=write)
        writer.start()
        assert [voice.receive() for _ in messages] == messages
        writer.join()
        voice.close()


def test_a_client_that_breaks_the_protocol_is_found_out(server: FaultServer) -> None:
    for wrong, why in [
        (b"\x81\x01a", "without a mask"),
        (b"\xc1\x81\0\0\0\0a", "reserved bit"),
        (b"\x81\x81\0\0\0\0\xff", "not UTF-8"),
    ]:
        answer = talk(server, HANDSHAKE + wrong)
        assert answer.startswith(b"HTTP/1.1 101")
        connection = server.connections[-1]
        connection.wait_until_over()
        assert why in connection.violation


def test_what_a_step_raises_is_told_at_the_end() -> None:
    def wrong(connection: FaultConnection) -> None:
        raise ValueError("a mistake in the test")

    server = FaultServer(wrong)
    assert talk(server, b"") == b""
    with pytest.raises(ValueError, match="a mistake"):
        server.close()


def test_mistakes_are_told() -> None:
    with pytest.raises(ConfigError, match="step"):
        FaultServer(["accept"])  # type: ignore[list-item]
    with pytest.raises(ConfigError, match="unknown"):
        FaultServer(tls="unknown")
    with FaultServer() as server:
        with pytest.raises(ConfigError, match="TLS"):
            _ = server.ca_file
        with pytest.raises(TimeoutError, match="connection 1"):
            server.connection(timeout=0.01)


def test_a_client_that_is_gone_before_tls_is_no_failure() -> None:
    gone = threading.Event()

    def late(connection: FaultConnection) -> None:
        assert gone.wait(SOON)

    with FaultServer([late, steps.accept()], tls="good") as server:
        link = socket.create_connection(("127.0.0.1", server.port))
        server.connection()
        link.sendall(b"hello")
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        link.close()
        gone.set()
        server.connection().wait_until_over()
        assert server.failures == []
