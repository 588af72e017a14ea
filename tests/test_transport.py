from __future__ import annotations

import logging
import socket
import statistics
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import websocket
from websocket._handshake import CookieJar

from tests.echo_server import echoing
from tests.line import Authority, Line, acceptance, deaf_port, listening
from tests.patience import PATIENCE
from voicews.backoff import Verdict, judge
from voicews.config import Limits, Timeouts, TlsSettings
from voicews.dialects.base import Request
from voicews.errors import (
    ConfigError,
    ConnectFailed,
    ConnectionClosed,
    ConnectTimeout,
    HandshakeRejected,
    InvalidState,
    LocalProtocolError,
    MessageTooLarge,
    RemoteProtocolError,
    VoicewsError,
)
from voicews.testing.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame
from voicews.transport import PeerClose, Ping, Pong, Transport

SOON = 1.0
"""Seconds within which an aborted call must have ended; it takes less than a millisecond."""
PROMPT = 0.005
"""Seconds within which half of them must have; the median is 0.15 to 0.4 ms."""

CANARY = "c4n4ry"
"""Stands for a token, and must never be seen."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def make(
    url: str | int,
    *,
    timeouts: Timeouts | None = None,
    limits: Limits | None = None,
    tls: TlsSettings | None = None,
    **request: Any,
) -> Transport:
    return Transport(
        Request(f"ws://127.0.0.1:{url}/" if isinstance(url, int) else url, **request),
        generation=7,
        timeouts=timeouts or Timeouts(),
        limits=limits or Limits(),
        tls=tls or TlsSettings(),
    )


@contextmanager
def connected(url: str | int, **options: Any) -> Iterator[Transport]:
    transport = make(url, **options)
    try:
        transport.connect()
        yield transport
    finally:
        transport.abort()
        transport.close()


def saying(*data: bytes) -> Callable[[Line], None]:
    """A script: accept, say this, and wait for the client to go."""

    def script(line: Line) -> None:
        line.accept()
        line.write(b"".join(data))
        line.wait_for_end()

    return script


def answering(data: bytes) -> Callable[[Line], None]:
    """A script: answer the request with this, and keep the connection open."""

    def script(line: Line) -> None:
        line.read_head()
        line.write(data)
        line.wait_for_end()

    return script


class TestMessages:
    def test_they_go_there_and_back(self) -> None:
        with echoing() as port, connected(port) as transport:
            for message in (
                "h\u00e4llo \U0001f399",
                "",
                b"",
                b"\0" * 640,
                b"x" * 125,
                b"x" * 126,
                b"y" * 70_000,
            ):
                transport.send(message)
                assert transport.receive() == message
            transport.ping(b"now")
            assert transport.receive() == Pong(b"now")
            assert transport.generation == 7
            assert time.monotonic() - transport.last_received < PATIENCE
            assert transport.bytes_received > 70_000
            assert transport.bytes_sent > 70_000
            transport.send_close(1000, "bye")
            assert transport.receive() == PeerClose(1000, "bye")

    def test_frames_of_the_client(self) -> None:
        seen: list[tuple[int, bytes]] = []

        def script(line: Line) -> None:
            line.accept()
            seen.extend(line.read_frame() for _ in range(5))

        with listening(script) as server, connected(server.port) as transport:
            transport.send("\u00e9")
            transport.send(b"\x01\x02\x03")
            transport.ping(b"a" * 125)
            transport.pong(b"")
            transport.send_close(3001, "\u00e9")
            with pytest.raises(ConnectionClosed):
                transport.receive()
        assert seen == [
            (TEXT, "\u00e9".encode()),
            (BINARY, b"\x01\x02\x03"),
            (PING, b"a" * 125),
            (PONG, b""),
            (CLOSE, b"\x0b\xb9\xc3\xa9"),
        ]

    def test_masks_differ(self) -> None:
        raw = bytearray()

        def script(line: Line) -> None:
            line.accept()
            raw.extend(line.read(2 * (6 + 4)))

        with listening(script) as server, connected(server.port) as transport:
            transport.send(b"same")
            transport.send(b"same")
            with pytest.raises(ConnectionClosed):
                transport.receive()
        assert raw[2:6] != raw[12:16]
        assert b"same" not in raw

    def test_fragments_with_control_frames_between(self) -> None:
        text = "\u00e9\u00e8".encode()
        frames = [
            frame(TEXT, text[:1], final=False),
            frame(PING, b"1"),
            frame(CONTINUATION, text[1:2], final=False),
            frame(PONG, b"2"),
            frame(CONTINUATION, text[2:]),
            frame(BINARY, b"", final=False),
            frame(CONTINUATION, b""),
            frame(BINARY, b"whole"),
            frame(CLOSE),
        ]
        with listening(saying(*frames)) as server, connected(server.port) as transport:
            received = [transport.receive() for _ in range(6)]
        assert received == [Ping(b"1"), Pong(b"2"), "\u00e9\u00e8", b"", b"whole", PeerClose(1005, "")]

    def test_a_message_in_the_packet_of_the_handshake(self) -> None:
        def script(line: Line) -> None:
            line.write(acceptance(line.read_head()) + frame(TEXT, b"early"))
            line.wait_for_end()

        with listening(script) as server, connected(server.port) as transport:
            assert transport.receive() == "early"

    def test_after_the_peers_close_there_is_nothing(self) -> None:
        close = frame(CLOSE, b"\x03\xf3why")
        with listening(saying(close, frame(TEXT, b"more"))) as server, connected(server.port) as transport:
            assert transport.receive() == PeerClose(1011, "why")
            with pytest.raises(ConnectionClosed) as caught:
                transport.receive()
            assert (caught.value.code, caught.value.reason, caught.value.by_peer) == (1011, "why", True)
            transport.send_close(1011)  # its echo is the sender's business, and possible

    @pytest.mark.parametrize("tls", [False, True])
    def test_a_frame_split_at_every_byte_resumes(self, tls: bool, authority: Authority) -> None:
        body = b"0123456789" * 13
        whole = frame(TEXT, body[:7], final=False) + frame(PING, b"mid") + frame(CONTINUATION, body[7:])
        whole += frame(BINARY, bytes(range(140)))
        link: list[Transport] = []
        ready = threading.Event()

        def script(line: Line) -> None:
            line.accept()
            assert ready.wait(PATIENCE)
            never = threading.Event()
            for split in range(1, len(whole)):
                seen = link[0].bytes_received
                line.write(whole[:split])
                while link[0].bytes_received == seen:
                    never.wait(0.0005)
                line.write(whole[split:])
                line.read_frame()  # the client's word that all of it has come

        options: dict[str, Any] = {"tls": TlsSettings(ca_file=authority.ca_file)} if tls else {}
        with listening(script, context=authority.server_context() if tls else None) as server:
            url = f"{'wss' if tls else 'ws'}://localhost:{server.port}"
            with connected(url, **options) as transport:
                link.append(transport)
                ready.set()
                for _ in range(1, len(whole)):
                    assert transport.receive() == Ping(b"mid")
                    assert transport.receive() == body.decode()
                    assert transport.receive() == bytes(range(140))
                    transport.send(b"ok")


class TestRules:
    @pytest.mark.parametrize(
        ("data", "code"),
        [
            (frame(TEXT, b"x", reserved=4), 1002),
            (frame(BINARY, b"x", reserved=1), 1002),
            (frame(0x3), 1002),
            (frame(0xB), 1002),
            (frame(TEXT, b"x", mask=b"abcd"), 1002),
            (frame(PING, b"", final=False), 1002),
            (frame(PONG, b"", final=False), 1002),
            (frame(CLOSE, b"", final=False), 1002),
            (frame(PING, b"x" * 126), 1002),
            (frame(PONG, b"x" * 70_000), 1002),
            (frame(CLOSE, b"\x03\xe8" + b"x" * 124), 1002),
            (frame(CONTINUATION, b"x"), 1002),
            (frame(CONTINUATION, b"x", final=False), 1002),
            (frame(TEXT, b"x", final=False) + frame(TEXT, b"x"), 1002),
            (frame(TEXT, b"x", final=False) + frame(BINARY, b"x", final=False), 1002),
            (frame(CLOSE, b"\x03"), 1002),
            *(
                (frame(CLOSE, wrong.to_bytes(2, "big")), 1002)
                for wrong in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
            ),
            (frame(TEXT, b"\xff"), 1007),
            (frame(TEXT, b"\xc3"), 1007),
            (frame(TEXT, b"\xed\xa0\x80"), 1007),
            (frame(TEXT, b"\xc3", final=False) + frame(CONTINUATION, b"\xc3"), 1007),
            (frame(CLOSE, b"\x03\xe8\xff"), 1007),
        ],
    )
    def test_a_server_that_breaks_them(self, data: bytes, code: int) -> None:
        with listening(saying(data)) as server, connected(server.port) as transport:
            with pytest.raises(RemoteProtocolError) as caught:
                transport.receive()
            transport.send_close(caught.value.code)  # which can still be said
        assert caught.value.code == code
        assert type(caught.value) is RemoteProtocolError
        assert judge(caught.value) is Verdict.FATAL

    @pytest.mark.parametrize(
        ("reason", "shown"),
        [
            ("später".encode()[:3], "sp\ufffd"),
            (("é" * 80).encode()[:123], "é" * 61 + "\ufffd"),
            (("x" + "\U0001f600" * 40).encode()[:123], "x" + "\U0001f600" * 30 + "\ufffd"),
            ("wait\ufffd".encode(), "wait\ufffd"),
        ],
    )
    def test_a_close_whose_reason_was_cut(self, reason: bytes, shown: str) -> None:
        """It is put together by the server's program, and cut by its library at 123 bytes."""
        data = frame(CLOSE, b"\x03\xf3" + reason)
        with listening(saying(data)) as server, connected(server.port) as transport:
            assert transport.receive() == PeerClose(1011, shown)

    @pytest.mark.parametrize(
        ("reason", "shown", "code"),
        [
            ("später".encode("latin-1"), "sp\ufffdter", 1007),
            (b"\xff", "\ufffd", 1007),
            (b"x" * 124, "x" * 123, 1002),
            (b"\xc3" * 3000, "\ufffd" * 123, 1002),
        ],
    )
    def test_a_close_whose_reason_breaks_them_is_known_all_the_same(
        self, reason: bytes, shown: str, code: int
    ) -> None:
        data = frame(CLOSE, b"\x03\xf3" + reason)
        with listening(saying(data)) as server, connected(server.port) as transport:
            with pytest.raises(RemoteProtocolError) as caught:
                transport.receive()
            assert caught.value.code == code
            assert transport.peer_close == PeerClose(1011, shown)

    @pytest.mark.parametrize(
        "data",
        [
            frame(BINARY, b"x", length=101),
            frame(TEXT, b"x", length=1 << 31),
            frame(TEXT, b"x", length=(1 << 63) - 1),
            frame(TEXT, b"x" * 60, final=False) + frame(CONTINUATION, b"x", length=41),
            frame(TEXT, b"", final=False) + frame(CONTINUATION, b"", final=False) * 10,
        ],
    )
    def test_a_server_that_says_too_much(self, data: bytes) -> None:
        limits = Limits(message=100, fragments=10)
        with (
            listening(saying(data)) as server,
            connected(server.port, limits=limits) as transport,
            pytest.raises(MessageTooLarge) as caught,
        ):
            transport.receive()
        assert caught.value.code == 1009

    def test_as_much_as_is_allowed(self) -> None:
        data = (
            frame(BINARY, b"x" * 100) + frame(TEXT, b"x" * 60, final=False) + frame(CONTINUATION, b"y" * 40)
        )
        data += frame(BINARY, b"z", final=False) + frame(CONTINUATION, b"z", final=False) * 8
        data += frame(CONTINUATION, b"z" * 91)
        limits = Limits(message=100, fragments=10)
        with listening(saying(data)) as server, connected(server.port, limits=limits) as transport:
            assert transport.receive() == b"x" * 100
            assert transport.receive() == "x" * 60 + "y" * 40
            assert transport.receive() == b"z" * 100

    def test_our_own_mistakes_are_told_and_do_no_harm(self) -> None:
        with echoing() as port, connected(port) as transport:
            wrong: list[Any] = [1, None, bytearray(b"x"), "\ud800"]
            for message in wrong:
                with pytest.raises(LocalProtocolError):
                    transport.send(message)
            for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000):
                with pytest.raises(LocalProtocolError):
                    transport.send_close(code)
            with pytest.raises(LocalProtocolError):
                transport.ping(b"x" * 126)
            with pytest.raises(LocalProtocolError):
                transport.send_close(1000, "x" * 124)
            transport.send("still well")
            assert transport.receive() == "still well"
            transport.send_close()
            calls: list[Callable[[], None]] = [
                lambda: transport.send("x"),
                lambda: transport.ping(b""),
                transport.send_close,
            ]
            for call in calls:
                with pytest.raises(LocalProtocolError, match="after the Close frame"):
                    call()

    def test_the_order_of_calls(self) -> None:
        with echoing() as port:
            transport = make(port)
            for call in (transport.receive, lambda: transport.send("x")):
                with pytest.raises(InvalidState):
                    call()
            transport.connect()
            with pytest.raises(InvalidState):
                transport.connect()
            transport.close()
            transport.close()
            for call in (transport.receive, lambda: transport.send("x")):
                with pytest.raises(ConnectionClosed):
                    call()

    def test_memory_stays_where_it_is(self) -> None:
        """In a process of its own, whose greatest size is known."""
        output = subprocess.check_output([sys.executable, "-c", MEMORY], text=True, timeout=60)
        growths = [int(word) for word in output.split()]
        assert len(growths) == 3
        assert max(growths) < 16 * 1024, f"KiB grown: {growths}"


MEMORY = """
import resource
from voicews.testing.frames import BINARY, CONTINUATION, frame
from tests.test_transport import connected, listening
from voicews.errors import MessageTooLarge

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

def flood(head, piece):
    def script(line):
        line.accept()
        line.write(head)
        while True:
            line.write(piece)
    return script

chunk = bytes(1 << 20)
fragment = frame(CONTINUATION, bytes(65536), final=False)
empty = frame(CONTINUATION, b"", final=False) * 1000
for head, piece in (
    (frame(BINARY, length=1 << 31), chunk),
    (frame(BINARY, b"", final=False), fragment),
    (frame(BINARY, b"", final=False), empty),
):
    before = peak()
    with listening(flood(head, piece)) as server, connected(server.port) as transport:
        try:
            transport.receive()
        except MessageTooLarge:
            print(peak() - before)
"""


class TestHandshake:
    def refused(self, script: Callable[[Line], None], **options: Any) -> VoicewsError:
        with listening(script) as server:
            transport = make(options.pop("url", server.port), **options)
            with pytest.raises(VoicewsError) as caught:
                transport.connect()
            transport.close()
        return caught.value

    def test_the_request(self) -> None:
        heads = []

        def script(line: Line) -> None:
            heads.append(line.accept("Sec-WebSocket-Protocol: v2").decode())
            line.wait_for_end()

        with listening(script) as server:
            url = f"ws://user:pw@localhost:{server.port}/a/b?c=d"
            with connected(url, headers={"X-Custom": "yes"}, subprotocols=("v1", "v2")) as transport:
                assert transport.subprotocol == "v2"
        lines = heads[0].split("\r\n")
        assert lines[0] == "GET /a/b?c=d HTTP/1.1"
        names = [line.partition(":")[0].lower() for line in lines[1:-1]]
        assert sorted(names) == sorted(
            [
                *("host", "upgrade", "connection", "authorization", "x-custom", "user-agent"),
                *("sec-websocket-version", "sec-websocket-protocol", "sec-websocket-key"),
            ]
        )

    @pytest.mark.parametrize(
        ("request_", "field"),
        [
            ({"url": "http://127.0.0.1:{port}/"}, "url"),
            ({"url": "ws://127.0.0.1:{port}/a b"}, "url"),
            ({"url": "ws://127.0.0.1:{port}/", "headers": {"X": "a\r\nEvil: yes"}}, "headers"),
            ({"url": "ws://127.0.0.1:{port}/", "headers": {"X\r\nEvil": "a"}}, "headers"),
            ({"url": "ws://127.0.0.1:{port}/", "headers": {"X": "a\0"}}, "headers"),
            ({"url": "ws://127.0.0.1:{port}/", "subprotocols": ["a\r\nEvil: yes"]}, "subprotocols"),
        ],
    )
    def test_injections_are_refused_before_anything_is_opened(
        self, request_: dict[str, Any], field: str
    ) -> None:
        with listening(lambda line: None) as server:
            url = request_["url"].format(port=server.port)
            with pytest.raises(ConfigError, match=field):
                make(**{**request_, "url": url})
            assert server.accepted == 0

    def test_a_401_whose_body_stalls_keeps_its_status(self) -> None:
        start = time.monotonic()
        error = self.refused(answering(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 5000\r\n\r\nhalf"))
        assert isinstance(error, HandshakeRejected)
        assert error.status == 401
        assert error.headers["content-length"] == "5000"
        assert time.monotonic() - start < 5

    @pytest.mark.parametrize(("status", "wait"), [(429, "7"), (503, "30")])
    def test_retry_after(self, status: int, wait: str) -> None:
        error = self.refused(answering(f"HTTP/1.1 {status} Later\r\nRetry-After: {wait}\r\n\r\n".encode()))
        assert isinstance(error, HandshakeRejected)
        assert (error.status, error.retry_after) == (status, float(wait))
        assert judge(error) is Verdict.RETRY

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect_is_not_followed(self, status: int) -> None:
        with listening(lambda line: None) as other:
            location = f"ws://127.0.0.1:{other.port}/"
            error = self.refused(
                answering(f"HTTP/1.1 {status} Elsewhere\r\nLocation: {location}\r\n\r\n".encode())
            )
            assert other.accepted == 0
        assert isinstance(error, HandshakeRejected)
        assert error.status == status
        assert error.headers["location"] == location

    @pytest.mark.parametrize("missing", ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept"])
    def test_an_acceptance_with_something_missing(self, missing: str) -> None:
        def script(line: Line) -> None:
            lines = acceptance(line.read_head()).split(b"\r\n")
            line.write(b"\r\n".join(kept for kept in lines if not kept.startswith(missing.encode())))
            line.wait_for_end()

        error = self.refused(script)
        assert type(error) is RemoteProtocolError
        assert judge(error) is Verdict.FATAL

    def test_a_wrong_accept_key(self) -> None:
        error = self.refused(answering(acceptance(b"Sec-WebSocket-Key: x")))
        assert type(error) is RemoteProtocolError

    def test_no_http(self) -> None:
        error = self.refused(answering(b"220 mail.example ESMTP\r\n\r\n"))
        assert type(error) is ConnectFailed
        assert judge(error) is Verdict.RETRY

    def test_a_server_that_hangs_up(self) -> None:
        def script(line: Line) -> None:
            line.read_head()

        error = self.refused(script)
        assert type(error) is ConnectFailed

    def test_nobody_there(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as gone:
            port = gone.getsockname()[1]
        transport = make(port)
        with pytest.raises(ConnectFailed, match="refused"):
            transport.connect()
        transport.close()

    def test_an_endless_answer(self) -> None:
        def script(line: Line) -> None:
            line.read_head()
            line.write(b"HTTP/1.1 101 Yes\r\n")
            while True:
                line.write(b"X: y\r\n" * 100)

        error = self.refused(script)
        assert type(error) is MessageTooLarge

    def test_a_server_that_drips_is_left_at_the_deadline(self) -> None:
        def script(line: Line) -> None:
            line.read_head()
            pause = threading.Event()
            for byte in b"HTTP/1.1 101 Switching Protocols\r\n" + b"X: y\r\n" * 100:
                line.write(bytes((byte,)))
                pause.wait(0.05)

        start = time.monotonic()
        error = self.refused(script, timeouts=Timeouts(connect=0.5))
        assert type(error) is ConnectTimeout
        assert 0.4 < time.monotonic() - start < 5

    def test_a_proxy_of_the_environment_is_not_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        with listening(saying(frame(TEXT, b"direct"))) as server, connected(server.port) as transport:
            assert transport.receive() == "direct"

    def test_no_cookie_is_kept_or_sent(self) -> None:
        """websocket-client has one jar for the whole process; nothing may go in or come out."""
        heads = []

        def script(line: Line) -> None:
            heads.append(line.accept(f"Set-Cookie: a={CANARY}; Domain=localhost"))
            line.wait_for_end()

        CookieJar.jar.clear()
        try:
            with listening(script) as server:
                with connected(f"ws://localhost:{server.port}"):
                    assert not CookieJar.jar
                CookieJar.set(f"b={CANARY}; Domain=localhost")
                library: Any = websocket.create_connection(f"ws://localhost:{server.port}")
                library.shutdown()
                with connected(f"ws://localhost:{server.port}"):
                    pass
        finally:
            CookieJar.jar.clear()
        assert CANARY.encode() in heads[1], "the library itself would have sent it"
        assert b"cookie" not in (heads[0] + heads[2]).lower()

    def test_importing_is_cheap(self) -> None:
        program = "import sys, voicews.transport; print('websocket' in sys.modules)"
        assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "False"


class TestSecrecy:
    """A token may be in the URL, a header or a subprotocol, and must not come out anywhere."""

    @pytest.mark.parametrize(
        "script",
        [
            saying(frame(0x3)),
            saying(frame(CLOSE, b"\x03\xe8\xff")),
            answering(f"HTTP/1.1 401 {CANARY}\r\nSet-Cookie: {CANARY}\r\n\r\n{CANARY}".encode()),
            answering(f"HTTP/1.1 302 {CANARY}\r\nLocation: /?{CANARY}\r\n\r\n".encode()),
            answering(f"{CANARY}\r\n\r\n".encode()),
            lambda line: line.accept(f"Sec-WebSocket-Protocol: {CANARY}x"),
            lambda line: line.accept(f"Sec-WebSocket-Extensions: {CANARY}"),
            lambda line: line.write(acceptance(b"Sec-WebSocket-Key: x", f"Set-Cookie: {CANARY}")),
            lambda line: line.accept(f"Sec-WebSocket-Protocol: {CANARY}"),
            lambda line: None,
        ],
    )
    def test_of_a_failure(self, script: Any, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        websocket.enableTrace(True, handler=caplog.handler)
        try:
            with listening(script) as server:
                transport = make(
                    f"ws://{CANARY}:{CANARY}@127.0.0.1:{server.port}/{CANARY}?{CANARY}",
                    headers={"X-Api-Key": CANARY},
                    subprotocols=("realtime", CANARY),
                )
                shown = [repr(transport), str(transport)]
                with pytest.raises(VoicewsError) as caught:
                    transport.connect()
                    shown.append(repr(transport))
                    transport.send(CANARY)
                    transport.receive()
                transport.abort()
                transport.close()
        finally:
            websocket.enableTrace(False)
        error = caught.value
        # without the source lines, of which those of this test do hold it
        summary: traceback.TracebackException | None = traceback.TracebackException.from_exception(
            error, lookup_lines=False
        )
        while summary is not None:
            shown += summary.format_exception_only()
            summary = summary.__cause__ or summary.__context__
        shown += [repr(error), str(vars(error)), caplog.text]
        assert CANARY not in "\n".join(shown)


@contextmanager
def aborting(transport: Transport, *, after: float = 0.05) -> Iterator[list[float]]:
    """Abort while the body waits; the list gets the seconds that its end took."""
    times: list[float] = []

    def abort() -> None:
        threading.Event().wait(after)  # the wait inside the kernel cannot be seen from here
        times.append(time.perf_counter())
        transport.abort()

    thread = threading.Thread(target=abort)
    thread.start()
    yield times
    times[0] = time.perf_counter() - times[0]
    thread.join()
    assert times[0] < SOON


class TestAbort:
    def check(self, error: ConnectionClosed) -> None:
        assert (error.code, error.by_peer) == (1006, False)

    @pytest.mark.parametrize("tls", [False, True])
    def test_wakes_a_receive(self, tls: bool, authority: Authority) -> None:
        times = []
        scheme, options = ("wss", {"tls": TlsSettings(ca_file=authority.ca_file)}) if tls else ("ws", {})
        with listening(saying(), context=authority.server_context() if tls else None) as server:
            for _ in range(50):
                with connected(f"{scheme}://127.0.0.1:{server.port}", **options) as transport:
                    with aborting(transport, after=0.005) as taken, pytest.raises(ConnectionClosed) as caught:
                        transport.receive()
                    self.check(caught.value)
                    times += taken
        assert statistics.median(times) < PROMPT
        print(
            f"abort wakes receive: median {statistics.median(times) * 1e3:.3f} ms, max {max(times) * 1e3:.3f}"
        )

    def test_wakes_a_send(self) -> None:
        until = threading.Event()
        times = []

        def script(line: Line) -> None:
            line.accept()
            until.wait(PATIENCE)

        with listening(script) as server:
            for _ in range(10):
                with connected(server.port) as transport:
                    with aborting(transport) as taken, pytest.raises(ConnectionClosed) as caught:
                        while True:
                            transport.send(bytes(100_000))
                    self.check(caught.value)
                    times += taken
            until.set()
        assert statistics.median(times) < PROMPT
        print(f"abort wakes send: median {statistics.median(times) * 1e3:.3f} ms, max {max(times) * 1e3:.3f}")

    def test_wakes_a_connect(self) -> None:
        times = []
        with deaf_port() as deaf, listening(lambda line: line.wait_for_end()) as silent:
            for port in (deaf, silent.port) * 10:
                transport = make(port)
                with aborting(transport, after=0.02) as taken, pytest.raises(ConnectionClosed) as caught:
                    transport.connect()
                self.check(caught.value)
                times += taken
        assert statistics.median(times) < PROMPT
        print(
            f"abort wakes connect: median {statistics.median(times) * 1e3:.3f} ms, max {max(times) * 1e3:.3f}"
        )

    def test_comes_before_what_is_already_here(self) -> None:
        script = saying(frame(TEXT, b"1") + frame(TEXT, b"2"))
        with listening(script) as server, connected(server.port) as transport:
            assert transport.receive() == "1"
            transport.abort()
            transport.abort()
            calls: list[Callable[[], Any]] = [
                transport.receive,
                lambda: transport.send("x"),
                transport.send_close,
            ]
            for call in calls:
                with pytest.raises(ConnectionClosed) as caught:
                    call()
                self.check(caught.value)

    def test_a_stalled_send_ends_the_connection(self) -> None:
        until = threading.Event()

        def script(line: Line) -> None:
            line.accept()
            until.wait(PATIENCE)

        with listening(script) as server, connected(server.port, timeouts=Timeouts(send=0.2)) as transport:
            with pytest.raises(ConnectionClosed, match=r"Timeouts\.send") as caught:
                while True:
                    transport.send(bytes(100_000))
            assert not caught.value.by_peer
            with pytest.raises(ConnectionClosed):
                transport.ping(b"")
            until.set()


@pytest.mark.slow
def test_1000_tls_connections_whose_reader_and_writer_start_together(authority: Authority) -> None:
    """Where an ordinary TLS socket loses 1 to 5 of 100 (cpython#77271)."""
    settings = TlsSettings(ca_file=authority.ca_file)
    failures: list[str] = []

    def one_call(port: int) -> None:
        with connected(f"wss://127.0.0.1:{port}/", tls=settings) as transport:
            together = threading.Barrier(2)

            def write() -> None:
                together.wait(PATIENCE)
                for index in range(3):
                    transport.send(bytes((index,)) * 640)

            writer = threading.Thread(target=write)
            writer.start()
            together.wait(PATIENCE)
            for index in range(3):
                assert transport.receive() == bytes((index,)) * 640
            writer.join(PATIENCE)

    def many_calls(port: int) -> None:
        for _ in range(250):
            try:
                one_call(port)
            except BaseException as error:
                failures.append(repr(error))

    with echoing(authority.server_file) as port:
        callers = [threading.Thread(target=many_calls, args=(port,)) for _ in range(4)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    assert not failures
