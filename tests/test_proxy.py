"""Ways through a proxy: real ones that work, and all that proxies do wrong."""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.sync.client import connect

from tests.line import Authority, Line, deaf_port, listening
from tests.patience import PATIENCE
from tests.peer import peer, unused_port
from tests.proxies import running_proxy
from voicews.backoff import Verdict, judge
from voicews.config import Limits, ProxySettings, Timeouts, TlsSettings
from voicews.dialects import Request
from voicews.errors import (
    ConfigError,
    ConnectFailed,
    ConnectionClosed,
    ConnectTimeout,
    ProxyFailed,
    TlsFailed,
)
from voicews.proxy import ConnectTunnel, SocksTunnel, tunnel_for
from voicews.testing.frames import TEXT, frame
from voicews.transport import Transport

PROMPT = 0.005
LOGIN = ("me", "pass w:rd/\N{SNOWMAN}")
QUOTED = "me:pass%20w%3Ard%2F%E2%98%83"
CANARY = "c4n4ry"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def make(url: str, proxy: ProxySettings | None, tls: TlsSettings | None = None, **times: float) -> Transport:
    return Transport(
        Request(url),
        timeouts=Timeouts(**{"connect": PATIENCE, "send": PATIENCE, **times}),  # type: ignore[arg-type]
        limits=Limits(),
        tls=tls or TlsSettings(),
        proxy=proxy or ProxySettings(),
    )


@contextmanager
def connected(url: str, proxy: ProxySettings | None, tls: TlsSettings | None = None) -> Iterator[Transport]:
    transport = make(url, proxy, tls)
    try:
        transport.connect()
        yield transport
    finally:
        transport.abort()
        transport.close()


def greet(line: Line) -> None:
    line.accept()
    line.write(frame(TEXT, b"hello"))
    line.wait_for_end()


@pytest.mark.parametrize("kind", ["http", "socks5h"])
class TestTheWay:
    @pytest.mark.parametrize("login", [None, LOGIN], ids=["open", "password"])
    def test_to_a_plain_server(self, kind: str, login: Any) -> None:
        with listening(greet) as server, running_proxy(kind, login=login) as asked:
            proxy = ProxySettings(url=f"{kind}://{QUOTED + '@' if login else ''}127.0.0.1:{asked.port}")
            with connected(f"ws://127.0.0.1:{server.port}", proxy) as transport:
                assert transport.receive() == "hello"
                transport.send("x")
        assert asked.ways == [("127.0.0.1", server.port)]
        assert asked.logins == ([login] if login else [])
        assert b"GET / HTTP/1.1" in asked.carried

    @pytest.mark.parametrize("login", [None, LOGIN], ids=["open", "password"])
    def test_to_a_server_with_tls(self, kind: str, login: Any, authority: Authority) -> None:
        """The proxy sees where it goes and nothing else, and the certificate is the server's."""
        with (
            listening(greet, context=authority.server_context()) as server,
            running_proxy(kind, login=login) as asked,
        ):
            proxy = ProxySettings(url=f"{kind}://{QUOTED + '@' if login else ''}127.0.0.1:{asked.port}")
            url = f"wss://localhost:{server.port}/secret-path"
            with connected(url, proxy, TlsSettings(ca_file=authority.ca_file)) as transport:
                assert transport.receive() == "hello"
        assert asked.ways == [("localhost", server.port)]
        assert asked.carried
        for word in (b"secret-path", b"hello", b"Sec-WebSocket"):
            assert word not in asked.carried

    def test_names_are_looked_up_by_the_proxy(self, kind: str) -> None:
        """So nobody between here and there learns them from the DNS."""
        with listening(greet) as server, running_proxy(kind, names={"only.there.test": "127.0.0.1"}) as asked:
            proxy = ProxySettings(url=f"{kind}://127.0.0.1:{asked.port}")
            with connected(f"ws://only.there.test.:{server.port}", proxy) as transport:
                assert transport.receive() == "hello"
        assert asked.ways == [("only.there.test", server.port)]

    def test_a_numeric_address_of_ipv6(self, kind: str) -> None:
        with listening(greet) as server, running_proxy(kind, names={"::2": "127.0.0.1"}) as asked:
            proxy = ProxySettings(url=f"{kind}://127.0.0.1:{asked.port}")
            with connected(f"ws://[::2]:{server.port}", proxy) as transport:
                assert transport.receive() == "hello"
        assert asked.ways == [("::2", server.port)]

    def test_a_certificate_is_checked_there_too(self, kind: str, authority: Authority) -> None:
        context = authority.server_context(names=("other.example",))
        with listening(greet, context=context) as server, running_proxy(kind) as asked:
            transport = make(
                f"wss://localhost:{server.port}",
                ProxySettings(url=f"{kind}://127.0.0.1:{asked.port}"),
                TlsSettings(ca_file=authority.ca_file),
            )
            with pytest.raises(TlsFailed, match="localhost"):
                transport.connect()

    def test_a_wrong_password(self, kind: str) -> None:
        with running_proxy(kind, login=LOGIN) as asked:
            for given_login in (f"me:{CANARY}@", f"{CANARY}:x@", ""):
                url = f"{kind}://{given_login}127.0.0.1:{asked.port}"
                transport = make("ws://127.0.0.1:1", ProxySettings(url=url))
                with pytest.raises(ProxyFailed, match=r"ProxySettings\.url") as caught:
                    transport.connect()
                assert judge(caught.value) is Verdict.FATAL
                assert CANARY not in f"{caught.value!r}{vars(caught.value)}{transport!r}"
                assert caught.value.status == (407 if kind == "http" else None)
        assert asked.ways == []

    def test_a_server_that_is_not_there(self, kind: str) -> None:
        with running_proxy(kind) as asked:
            transport = make(
                f"ws://127.0.0.1:{unused_port()}", ProxySettings(url=f"{kind}://127.0.0.1:{asked.port}")
            )
            with pytest.raises(ProxyFailed) as caught:
                transport.connect()
        assert judge(caught.value) is Verdict.RETRY

    def test_no_proxy_there(self, kind: str) -> None:
        port = unused_port()
        transport = make("ws://server.example", ProxySettings(url=f"{kind}://127.0.0.1:{port}"))
        with pytest.raises(ConnectFailed, match=f"the proxy 127.0.0.1:{port} cannot be reached") as caught:
            transport.connect()
        assert judge(caught.value) is Verdict.RETRY

    def test_a_proxy_that_is_silent(self, kind: str) -> None:
        with listening(Line.wait_for_end) as silent:
            transport = make(
                "ws://server.example", ProxySettings(url=f"{kind}://127.0.0.1:{silent.port}"), connect=0.3
            )
            with pytest.raises(ConnectTimeout, match=r"tunnel.*Timeouts\.connect"):
                transport.connect()

    def test_a_proxy_that_drips(self, kind: str) -> None:
        """Each byte is in time, and the whole is not."""

        def drip(line: Line) -> None:
            pause = threading.Event()
            line.write(b"\5\0" if kind == "socks5h" else b"HTTP/1.1 200 ")
            while True:
                line.write(b"\5" if kind == "socks5h" else b"x")
                pause.wait(0.5)

        with listening(drip) as slow:
            transport = make(
                "ws://server.example", ProxySettings(url=f"{kind}://127.0.0.1:{slow.port}"), connect=0.6
            )
            with pytest.raises(ConnectTimeout):
                transport.connect()

    def test_a_proxy_that_hangs_up(self, kind: str) -> None:
        with listening(lambda line: None) as gone:
            transport = make("ws://server.example", ProxySettings(url=f"{kind}://127.0.0.1:{gone.port}"))
            with pytest.raises(ConnectFailed) as caught:
                transport.connect()
        assert judge(caught.value) is Verdict.RETRY

    def test_an_abort_wakes_whoever_waits_for_it(self, kind: str) -> None:
        times: list[float] = []
        with listening(Line.wait_for_end) as silent:
            for _ in range(30):
                transport = make(
                    "ws://server.example", ProxySettings(url=f"{kind}://127.0.0.1:{silent.port}")
                )

                def abort(transport: Transport = transport) -> None:
                    threading.Event().wait(0.01)  # the wait inside the kernel cannot be seen from here
                    times.append(-time.perf_counter())
                    transport.abort()

                thread = threading.Thread(target=abort)
                thread.start()
                with pytest.raises(ConnectionClosed):
                    transport.connect()
                ended = time.perf_counter()
                thread.join()
                times[-1] += ended
        assert statistics.median(times) < PROMPT
        print(f"abort in a {kind} tunnel: median {statistics.median(times) * 1e3:.3f} ms")

    def test_an_abort_while_it_is_dialled(self, kind: str) -> None:
        with deaf_port() as deaf:
            transport = make("ws://server.example", ProxySettings(url=f"{kind}://127.0.0.1:{deaf}"))
            timer = threading.Timer(0.05, transport.abort)
            timer.start()
            with pytest.raises(ConnectionClosed):
                transport.connect()
            timer.join()


def answering(*pieces: bytes) -> Callable[[Line], None]:
    def script(line: Line) -> None:
        for piece in pieces:
            line.sock.recv(65536)
            line.write(piece)
        line.wait_for_end()

    return script


class TestConnect:
    def failure(self, answer: bytes) -> ConnectFailed:
        with listening(answering(answer)) as server:
            transport = make("ws://server.example", ProxySettings(url=f"http://127.0.0.1:{server.port}"))
            with pytest.raises(ConnectFailed) as caught:
                transport.connect()
        return caught.value

    @pytest.mark.parametrize(
        ("status", "verdict"),
        [
            (100, Verdict.FATAL),
            (302, Verdict.FATAL),
            (400, Verdict.FATAL),
            (403, Verdict.FATAL),
            (407, Verdict.FATAL),
            (408, Verdict.RETRY),
            (429, Verdict.RETRY),
            (500, Verdict.RETRY),
            (502, Verdict.RETRY),
            (503, Verdict.RETRY),
            (504, Verdict.RETRY),
        ],
    )
    def test_a_refusal(self, status: int, verdict: Verdict) -> None:
        error = self.failure(f"HTTP/1.1 {status} {CANARY}\r\nX: {CANARY}\r\n\r\n".encode())
        assert isinstance(error, ProxyFailed)
        assert error.status == status
        assert f"HTTP {status}" in str(error)
        assert CANARY not in str(error)
        assert judge(error) is verdict

    @pytest.mark.parametrize(
        "answer",
        [b"SSH-2.0\r\n\r\n", b"HTTP/2 200\r\n\r\n", b"HTTP/1.1 099 x\r\n\r\n", b"\r\n\r\n", b"\5\0\r\n\r\n"],
    )
    def test_no_http(self, answer: bytes) -> None:
        assert "speaks no HTTP/1" in str(self.failure(answer))

    def test_an_answer_without_end(self) -> None:
        error = self.failure(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000)
        assert isinstance(error, ProxyFailed)
        assert "16384 bytes" in str(error)

    def test_a_proxy_that_plays_the_server(self) -> None:
        """What comes before we have said a word cannot be the server's."""
        error = self.failure(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 101 \r\n\r\n")
        assert "in the server's place" in str(error)
        assert judge(error) is Verdict.FATAL

    def test_nothing_of_the_request_to_the_server_goes_to_the_proxy(self) -> None:
        with running_proxy("http") as asked, listening(greet) as server:
            transport = Transport(
                Request(f"ws://127.0.0.1:{server.port}/?key={CANARY}", {"Authorization": CANARY}),
                timeouts=Timeouts(),
                limits=Limits(),
                tls=TlsSettings(),
                proxy=ProxySettings(url=f"http://name:password@127.0.0.1:{asked.port}"),
            )
            transport.connect()
            transport.close()
        [head] = asked.heads
        assert CANARY.encode() not in head
        assert b"Proxy-Authorization" in head
        assert b"Proxy-Authorization" not in asked.carried


class TestSocks:
    @pytest.mark.parametrize(
        ("pieces", "why", "verdict"),
        [
            ((b"\4\0",), "no SOCKS 5", Verdict.FATAL),
            ((b"HTTP/1.1 400 Bad\r\n\r\n",), "no SOCKS 5", Verdict.FATAL),
            ((b"\5\xff",), "a name and password", Verdict.FATAL),
            ((b"\5\2",), "not offered", Verdict.FATAL),
            ((b"\5\0", b"\4\0\0\1"), "no SOCKS 5", Verdict.FATAL),
            ((b"\5\0", b"\5\1\0\1"), "it failed", Verdict.RETRY),
            ((b"\5\0", b"\5\2\0\1"), "rules forbid", Verdict.FATAL),
            ((b"\5\0", b"\5\4\0\1"), "unreachable", Verdict.RETRY),
            ((b"\5\0", b"\5\x63\0\1"), "it says 99", Verdict.RETRY),
            ((b"\5\0", b"\5\0\0\2"), "no known kind", Verdict.FATAL),
            ((b"\5\0", b"\5\0\0\1" + bytes(6) + b"\x81\x05hello"), "in the server's place", Verdict.FATAL),
        ],
    )
    def test_what_goes_wrong(self, pieces: tuple[bytes, ...], why: str, verdict: Verdict) -> None:
        with listening(answering(*pieces)) as server:
            transport = make("ws://server.example", ProxySettings(url=f"socks5h://127.0.0.1:{server.port}"))
            with pytest.raises(ProxyFailed, match=why) as caught:
                transport.connect()
        assert judge(caught.value) is verdict

    def test_a_name_that_is_too_long(self) -> None:
        tunnel = SocksTunnel("proxy.example", 1080, None)
        with pytest.raises(ProxyFailed, match="up to 255 characters; this has 256"):
            next(tunnel.steps("a" * 256, 443))

    @given(data=st.binary(max_size=300), login=st.booleans())
    def test_no_answer_raises_anything_else(self, data: bytes, login: bool) -> None:
        tunnel = SocksTunnel("proxy.example", 1080, ("me", "it") if login else None)
        walk(tunnel, data)

    @given(data=st.binary(max_size=300))
    def test_nor_does_one_to_connect(self, data: bytes) -> None:
        walk(ConnectTunnel("proxy.example", 3128, None), data)


def walk(tunnel: Any, data: bytes) -> None:
    """Let the proxy say this, as far as that goes."""
    steps = tunnel.steps("server.example", 443)
    with contextlib.suppress(StopIteration, ProxyFailed):
        _, wanted = next(steps)
        while True:
            if isinstance(wanted, bytes):
                answer, end, data = data.partition(wanted)
                if not end:
                    return
                answer += end
            else:
                answer, data = data[:wanted], data[wanted:]
                if len(answer) < wanted:
                    return
            _, wanted = steps.send(answer)


class TestSettings:
    @pytest.mark.parametrize(
        "url",
        [
            "https://proxy:1", "socks5://proxy:1", "socks4://proxy:1", "proxy:3128", "http://", "http://proxy:0",
            "http://proxy:99999", "http://proxy/path", "http://proxy?x", "http://proxy#x", "http://pro xy",
            "http://proxy\r\n", "http://pr\xf6xy", "http://a%3Ab:c@proxy", "http://a:%0d%0a@proxy",
            f"socks5h://{'x' * 256}:y@proxy", "socks5h://me@proxy", "socks5h://:x@proxy", 7, "",
        ],
    )  # fmt: skip
    def test_what_is_no_proxy(self, url: Any) -> None:
        with pytest.raises(ConfigError, match="ProxySettings"):
            ProxySettings(url=url)

    def test_one_of_two(self) -> None:
        with pytest.raises(ConfigError, match="False where url is given"):
            ProxySettings(url="http://proxy", environment=True)

    def test_the_password_is_not_shown(self) -> None:
        settings = ProxySettings(url=f"http://me:{CANARY}@proxy.example:8080")
        tunnel = tunnel_for(settings, "server.example", 443, secure=True)
        assert CANARY not in f"{settings!r}{settings}{tunnel!r}"
        assert repr(tunnel) == "<ConnectTunnel proxy.example:8080>"
        with pytest.raises(ConfigError) as caught:
            ProxySettings(url=f"ftp://me:{CANARY}@proxy")
        assert CANARY not in str(caught.value)

    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("http://proxy", "<ConnectTunnel proxy:3128>"),
            ("socks5h://proxy/", "<SocksTunnel proxy:1080>"),
            ("http://[::1]:80", "<ConnectTunnel [::1]:80>"),
        ],
    )
    def test_ports(self, url: str, shown: str) -> None:
        assert repr(tunnel_for(ProxySettings(url=url), "server.example", 443, secure=True)) == shown


class TestEnvironment:
    @pytest.fixture(autouse=True)
    def bare(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http", "https", "all", "no", "ws", "wss"):
            monkeypatch.delenv(f"{name}_proxy", raising=False)
            monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)

    def way(self, host: str, *, secure: bool = True) -> str:
        return repr(tunnel_for(ProxySettings(environment=True), host, 443, secure=secure))

    def test_is_not_heeded_unless_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{unused_port()}")
        with listening(greet) as server, connected(f"ws://127.0.0.1:{server.port}", None) as transport:
            assert transport.receive() == "hello"
        assert tunnel_for(ProxySettings(), "server.example", 443, secure=True) is None

    def test_each_scheme_has_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.way("server.example") == "None"
        monkeypatch.setenv("all_proxy", "socks5h://all")
        assert self.way("server.example") == "<SocksTunnel all:1080>"
        monkeypatch.setenv("https_proxy", "secure:8080")
        monkeypatch.setenv("http_proxy", "http://plain:8080/")
        assert self.way("server.example") == "<ConnectTunnel secure:8080>"
        assert self.way("server.example", secure=False) == "<ConnectTunnel plain:8080>"

    @pytest.mark.parametrize(
        "host", ["localhost", "a.localhost", "LOCALHOST.", "127.0.0.1", "127.9.9.9", "::1"]
    )
    def test_not_for_this_machine(self, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("https_proxy", "http://proxy")
        assert self.way(host) == "None"

    @pytest.mark.parametrize(
        ("host", "goes"),
        [
            ("example.com", False),
            ("a.example.com", False),
            ("evilexample.com", True),
            ("example.com.evil.test", True),
            ("10.0.0.1", False),
            ("10.0.0.11", True),
        ],
    )
    def test_exceptions_end_at_dots(self, host: str, goes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("https_proxy", "http://proxy")
        monkeypatch.setenv("no_proxy", ".example.com, 10.0.0.1")
        assert (self.way(host) != "None") is goes

    def test_nonsense_is_not_shown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("https_proxy", f"https://me:{CANARY}@proxy")
        with pytest.raises(ConfigError, match="the environment names a proxy") as caught:
            self.way("server.example")
        assert CANARY not in str(caught.value)
        assert caught.value.__cause__ is None

    def test_it_works(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with running_proxy("http", login=LOGIN, names={"far.test": "127.0.0.1"}) as asked:
            monkeypatch.setenv("http_proxy", f"http://{QUOTED}@127.0.0.1:{asked.port}")
            with (
                listening(greet) as server,
                connected(f"ws://far.test:{server.port}", ProxySettings(environment=True)) as transport,
            ):
                assert transport.receive() == "hello"
        assert asked.ways == [("far.test", server.port)]


def test_the_proxy_of_these_tests_is_one() -> None:
    """An independent client goes through it as well."""
    with peer() as server, running_proxy("http", login=("me", "it")) as asked:
        server.react = lambda call: call.send("hello")
        with connect(server.url, proxy=f"http://me:it@127.0.0.1:{asked.port}") as link:
            assert link.recv(timeout=PATIENCE) == "hello"
    assert asked.ways == [("127.0.0.1", server.port)]
