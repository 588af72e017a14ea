"""The scripted server under all fakes, seen from real clients."""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
from contextlib import ExitStack, suppress
from typing import Any

import pytest
import trustme
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.patience import PATIENCE
from voicews.errors import BackendMissing, ConfigError, ConnectionClosed, InvalidState, TransportError
from voicews.testing import FactMissing, FakeConnection, FakeServer
from voicews.testing.link import Gate


class Parrot(FakeConnection):
    """Greets, and says everything again."""

    ended = False

    def on_open(self) -> None:
        self.send({"type": "hello", "number": self.number})

    def on_message(self, message: str | bytes) -> None:
        self.send(message)

    def on_close(self) -> None:
        self.ended = True


class ParrotServer(FakeServer[Parrot]):
    connection_class = Parrot


def call(server: FakeServer[Parrot], path: str = "", **options: Any) -> ClientConnection:
    client: ClientConnection = connect(server.url + path, close_timeout=1, ping_interval=None, **options)
    return client


def test_a_conversation() -> None:
    with ParrotServer() as server:
        with call(server, "/talk?key=a&key=b&empty=", additional_headers={"X-Thing": "7"}) as client:
            assert json.loads(client.recv(PATIENCE)) == {"type": "hello", "number": 1}
            client.send('{"type": "one", "n": 1}')
            client.send(b"\1\2")
            client.send("no JSON")
            assert [client.recv(PATIENCE) for _ in range(3)] == [
                '{"type": "one", "n": 1}',
                b"\1\2",
                "no JSON",
            ]
            one = server.connection()
            assert (one.path, one.query, one.headers["x-thing"]) == (
                "/talk",
                {"key": "b", "empty": ""},
                "7",
            )
            assert one.received == ('{"type": "one", "n": 1}', b"\1\2", "no JSON")
            assert one.received_json == [{"type": "one", "n": 1}]
            one.wait_for(lambda _: len(one.sent) == 4)
            assert one.sent[1:] == one.received
            assert one.wait_for_message({"type": "one"}) == {"type": "one", "n": 1}
            assert one.wait_for_message(lambda data: data["n"] == 1)["type"] == "one"
            assert one.wait_for_binary(2) == b"\1\2"
            assert one.is_open
            assert one.close_code is None
        assert one.wait_until_closed() == 1000
        assert one.closed_by_client
        server.wait_for(lambda _: one.ended)
        assert server.failures == ()
        assert "Parrot 1, 3 messages" in repr(one)
        assert "1 connections" in repr(server)
    assert "not running" in repr(server)


def test_it_can_be_started_again() -> None:
    server = ParrotServer()
    for number in (1, 2):
        server.start()
        with call(server) as client:
            assert json.loads(client.recv(PATIENCE))["number"] == number
        server.close()
        server.close()


def test_misuse_is_named() -> None:
    with pytest.raises(ConfigError, match="70000"):
        ParrotServer(70000)
    server = ParrotServer()
    with pytest.raises(InvalidState, match="no port"):
        _ = server.url
    with server:
        with pytest.raises(InvalidState, match="already"):
            server.start()
        with pytest.raises(TransportError, match=str(server.port)):
            ParrotServer(server.port).start()


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "voicews.testing.link", raising=False)
    monkeypatch.setitem(sys.modules, "websockets.sync.server", None)
    with pytest.raises(BackendMissing, match=r"pip install \"\.\[testing\]\""):
        ParrotServer().start()


def test_what_does_not_come_is_told_with_what_came() -> None:
    with ParrotServer() as server:
        with pytest.raises(FactMissing, match=r"connection 1 .* 0 connections and 0 refused"):
            server.connection(timeout=0.05)
        with call(server) as client:
            client.send("x" * 500)
            one = server.connection()
            one.wait_for(lambda c: c.received)
            with pytest.raises(FactMissing, match=r"'type': 'y'.* is open, and last received .*\(500 long\)"):
                one.wait_for_message({"type": "y"}, 0.05)
        one.wait_until_closed()
        with pytest.raises(FactMissing, match=r"has ended .*1000"):
            one.wait_for_binary(timeout=0.05)


def test_hooks_of_the_caller_come_first() -> None:
    def greet(connection: Parrot) -> bool:
        connection.send("my own")
        return True

    def answer(connection: Parrot, message: str | bytes) -> bool:
        if message == "mine":
            connection.send("also my own")
        return message == "mine"

    with ParrotServer(on_open=greet, on_message=answer) as server, call(server) as client:
        client.send("mine")
        client.send("yours")
        assert [client.recv(PATIENCE) for _ in range(3)] == ["my own", "also my own", "yours"]


def test_a_hook_that_fails_is_kept_and_ends_the_connection() -> None:
    def fail(connection: Parrot, message: str | bytes) -> None:
        raise ZeroDivisionError("on purpose")

    with ParrotServer(on_message=fail) as server, call(server) as client:
        client.recv(PATIENCE)
        client.send("x")
        with pytest.raises(ConnectionClosedError) as caught:
            client.recv(PATIENCE)
        assert caught.value.rcvd
        assert caught.value.rcvd.code == 1011
        server.wait_for(lambda s: s.failures)
        assert isinstance(server.failures[0], ZeroDivisionError)
        with pytest.raises(FactMissing, match="on purpose"):
            server.connection().wait_for_binary(timeout=0.05)


def test_scripts_run_beside_the_hooks_and_end_with_the_client() -> None:
    ended = threading.Event()

    def script(connection: Parrot) -> None:
        try:
            while True:
                connection.send("tick")
                connection.pause(0.01)
        finally:
            ended.set()

    def begin(connection: Parrot) -> bool:
        connection.start(lambda: script(connection))
        return True

    with ParrotServer(on_open=begin) as server:
        with call(server) as client:
            assert client.recv(PATIENCE) == "tick"
            client.send("heard while the script runs")
            while client.recv(PATIENCE) == "tick":
                pass
        assert ended.wait(PATIENCE)
        server.connection().wait_until_closed()
        with pytest.raises(ConnectionClosed):
            server.connection().pause(5)
        with pytest.raises(ConnectionClosed):
            server.connection().send("too late")
        assert server.failures == ()


def test_refusing() -> None:
    with ParrotServer() as server:
        server.refuse(429, headers={"Retry-After": "7", "Content-Type": "text/odd"}, body="slowly")
        with pytest.raises(InvalidStatus) as caught:
            call(server)
        response = caught.value.response
        assert (response.status_code, response.headers["Retry-After"]) == (429, "7")
        assert response.headers["Content-Type"] == "text/odd"
        assert server.refused == 1
        server.accept()
        with call(server) as client:
            client.recv(PATIENCE)
        assert len(server.connections) == 1


def test_a_fake_can_judge_its_callers() -> None:
    class Picky(ParrotServer):
        def judge(self, path: str, headers: object) -> tuple[int, dict[str, str], str] | None:
            return None if path == "/?key=right" else (401, {}, "who are you?")

    with Picky() as server:
        with pytest.raises(InvalidStatus):
            call(server)
        with call(server, "/?key=right") as client:
            client.recv(PATIENCE)


@pytest.mark.parametrize("reset", [False, True])
def test_dropping(reset: bool) -> None:
    with ParrotServer() as server, call(server) as client:
        client.recv(PATIENCE)
        server.drop(reset=reset)
        with pytest.raises(ConnectionClosedError):
            client.recv(PATIENCE)
        assert server.connection().wait_until_closed() == 1006
        assert not server.connection().closed_by_client
        server.drop()


def test_closing_with_a_code() -> None:
    with ParrotServer() as server, call(server) as client:
        client.recv(PATIENCE)
        server.connection().close(4321, "because")
        with pytest.raises(ConnectionClosedError) as caught:
            client.recv(PATIENCE)
        assert caught.value.rcvd
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4321, "because")
        assert server.connection().wait_until_closed() == 4321
        assert not server.connection().closed_by_client


def test_stalling() -> None:
    with ParrotServer() as server, call(server) as client:
        client.recv(PATIENCE)
        one = server.connection()
        one.stall()
        client.send("anybody there?")
        with pytest.raises(TimeoutError):
            client.recv(0.1)
        assert not client.ping().wait(0.1)
        one.resume()
        assert client.recv(PATIENCE) == "anybody there?"


def test_closing_while_a_client_is_stalled() -> None:
    server = ParrotServer()
    server.start()
    with call(server) as client:
        client.recv(PATIENCE)
        server.connection().stall()
        server.close(deadline=1.5)
        with pytest.raises(ConnectionClosedError):
            client.recv(PATIENCE)


def test_closing_while_a_caller_says_nothing() -> None:
    with ParrotServer() as server, socket.create_connection(("127.0.0.1", server.port)) as caller:
        server.close()
        caller.settimeout(5)
        with suppress(ConnectionResetError):
            assert b"101" not in caller.recv(1000)


def test_closing_says_that_it_goes_away() -> None:
    with ParrotServer() as server, ExitStack() as stack:
        clients = [stack.enter_context(call(server)) for _ in range(5)]
        for client in clients:
            client.recv(PATIENCE)
        server.close()
        for client in clients:
            with pytest.raises(ConnectionClosedOK) as caught:
                client.recv(PATIENCE)
            assert caught.value.rcvd
            assert caught.value.rcvd.code == 1001


def test_subprotocols() -> None:
    with ParrotServer(subprotocols=["realtime"]) as server:
        with call(server, subprotocols=["other", "realtime"]) as client:
            assert client.subprotocol == "realtime"
            assert server.connection(1).subprotocol == "realtime"
        with call(server) as client:
            assert client.subprotocol is None
            assert server.connection(2).subprotocol is None


def test_tls() -> None:
    authority = trustme.CA()
    theirs, ours = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(theirs)
    authority.issue_cert("127.0.0.1").configure_cert(ours)
    with ParrotServer(tls=ours) as server:
        assert server.url.startswith("wss://")
        with call(server, ssl=theirs) as client:
            client.recv(PATIENCE)
            client.send("secret")
            assert client.recv(PATIENCE) == "secret"
            server.connection().stall()
            server.drop()
            with pytest.raises(ConnectionClosedError):
                client.recv(PATIENCE)


def test_pings() -> None:
    with ParrotServer(ping_interval=0.05) as server, call(server) as client:
        client.recv(PATIENCE)
        server.connection().wait_for(lambda _: not server.failures)
        client.send("alive")
        assert client.recv(PATIENCE) == "alive"


def test_a_gate_holds_back_until_it_is_opened_or_removed() -> None:
    for end in (Gate.open, Gate.remove):
        gate = Gate()
        gate.pass_through()
        gate.shut()
        waiting = threading.Thread(target=gate.pass_through)
        waiting.start()
        waiting.join(0.05)
        assert waiting.is_alive()
        end(gate)
        waiting.join(PATIENCE)
        assert not waiting.is_alive()
