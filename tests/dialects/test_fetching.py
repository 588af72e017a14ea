"""A short answer over HTTP, from real servers, and by the way that the client takes."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.line import Authority, Line, listening
from tests.patience import PATIENCE
from tests.peer import unused_port
from tests.proxies import running_proxy
from voicews.backoff import Verdict, judge
from voicews.config import ClientConfig, ProxySettings, Timeouts, TlsSettings
from voicews.dialects import fetching
from voicews.dialects.base import Fetch
from voicews.dialects.fetching import Fetcher, fetch, same_server
from voicews.errors import (
    ConfigError,
    ConnectFailed,
    ConnectionClosed,
    ConnectTimeout,
    HandshakeRejected,
    InsecureTls,
    TlsFailed,
)


class Handler(BaseHTTPRequestHandler):
    """Answers as its path says, and notes the headers."""

    noted: dict[str, str]

    def do_GET(self) -> None:
        type(self).noted = dict(self.headers.items())
        status = int(self.path.split("/")[1].split("?")[0])
        self.send_response(status)
        self.send_header("Retry-After", self.path.rsplit("/", maxsplit=1)[-1])
        self.send_header("Location", "/200/")
        body = b"body"
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        made.daemon_threads = False
        thread = threading.Thread(target=made.serve_forever, args=(0.01,), name="test-http")
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def address(server: ThreadingHTTPServer, path: str) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}{path}"


def fetcher(**settings: object) -> Fetcher:
    return Fetcher(ClientConfig(**settings))  # type: ignore[arg-type]


def answering(*pieces: bytes) -> Fetch:
    """What gets the answer of a server that says this and hangs up."""

    def get(path: str, headers: object) -> bytes:
        def script(line: Line) -> None:
            line.read_head()
            for piece in pieces:
                line.write(piece)

        with listening(script) as there:
            return fetch(f"http://127.0.0.1:{there.port}{path}", {})

    return get


# -- what is asked, and what is answered -------------------------------------------------------------


def test_a_body(server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert fetch(address(server, "/200/?key=1"), {"X-Key": "k", "user-agent": "mine"}) == b"body"
    assert Handler.noted == {
        "Host": f"127.0.0.1:{server.server_address[1]}",
        "Accept-Encoding": "identity",
        "Connection": "close",
        "X-Key": "k",
        "user-agent": "mine",
    }


@pytest.mark.parametrize(
    "pieces",
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody, and more",),
        (b"HTTP/1.0 200 OK\r\n\r\n", b"bo", b"dy"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n", b"3\r\nody\r\n0\r\n\r\n"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",),
    ],
)
def test_the_forms_of_a_body(pieces: tuple[bytes, ...]) -> None:
    assert answering(*pieces)("/", {}) == b"body"


@pytest.mark.parametrize(
    "pieces",
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\nbody",),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nbody",),
        (b"no HTTP\r\n\r\n",),
        (),
    ],
)
def test_answers_that_are_none_or_half(pieces: tuple[bytes, ...]) -> None:
    with pytest.raises(ConnectFailed) as caught:
        answering(*pieces)("/", {})
    assert judge(caught.value) is Verdict.RETRY


@pytest.mark.parametrize(("path", "retry_after"), [("/401/", None), ("/429/7", 7.0), ("/503/soon", None)])
def test_refusals(server: ThreadingHTTPServer, path: str, retry_after: float | None) -> None:
    with pytest.raises(HandshakeRejected) as caught:
        fetch(address(server, f"{path}?x=hunter2/{path.rsplit('/', maxsplit=1)[-1]}"), {"X-Key": "hunter2"})
    assert caught.value.status == int(path.split("/")[1])
    assert caught.value.retry_after == retry_after
    assert "hunter2" not in str(caught.value)


def test_no_redirection_is_followed(server: ThreadingHTTPServer) -> None:
    with pytest.raises(HandshakeRejected) as caught:
        fetch(address(server, "/302/"), {})
    assert caught.value.status == 302


def test_a_body_without_end(server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_LARGEST", 3)
    with pytest.raises(ConnectFailed, match="more than 3 bytes"):
        fetch(address(server, "/200/"), {})


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://localhost/", "ws://localhost/", "hunter2", ""])
def test_other_schemes(url: str) -> None:
    with pytest.raises(ConnectFailed, match="no http") as caught:
        fetch(url, {})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    ["", "[", "[::1", "a b", "a\r\nb", "caf\N{LATIN SMALL LETTER E WITH ACUTE}", "a:65536", "a:b", "a\\b"],
)
def test_addresses_that_lead_nowhere(host: str) -> None:
    with pytest.raises(ConnectFailed, match="no host, no sensible port") as caught:
        fetch(f"http://{host}/?key=hunter2", {})
    assert "hunter2" not in repr(vars(caught.value))


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".example"])
def test_names_that_are_none(host: str) -> None:
    with pytest.raises(ConnectFailed):
        fetch(f"http://{host}/", {})


def test_nobody_there() -> None:
    with pytest.raises(ConnectFailed, match="is the server running"):
        fetch(f"http://127.0.0.1:{unused_port()}/", {})


@pytest.mark.parametrize("path", ["/503/?key=hunter2", "/200/?key=hunter2 \x7f"])
def test_nothing_of_the_address_is_kept(server: ThreadingHTTPServer, path: str) -> None:
    """Python's own errors hold all of it, and tracebacks print those that ours are chained to."""
    with pytest.raises((HandshakeRejected, ConnectFailed)) as caught:
        fetch(address(server, path), {})
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert "hunter2" not in repr(vars(caught.value))


def test_nothing_of_a_header_is_kept(server: ThreadingHTTPServer) -> None:
    with pytest.raises(ConnectFailed, match="ValueError") as caught:
        fetch(address(server, "/200/"), {"X-Key": "hunter2\n"})
    assert caught.value.__context__ is None


# -- TLS ---------------------------------------------------------------------------------------------


def answer_once(line: Line) -> None:
    line.read_head()
    line.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody")


def test_a_certificate_of_nobody(authority: Authority) -> None:
    with (
        listening(answer_once, context=authority.server_context()) as there,
        pytest.raises(TlsFailed, match="certificate does not hold"),
    ):
        fetch(f"https://127.0.0.1:{there.port}/", {})


def test_the_authority_of_the_settings(authority: Authority) -> None:
    tls = TlsSettings(ca_file=authority.ca_file)
    with listening(answer_once, context=authority.server_context()) as there:
        url = f"https://localhost:{there.port}/"
        assert fetcher(tls=tls).fetch(url, {}) == b"body"
        assert fetcher(tls=tls).offered_by(f"wss://localhost:{there.port}/x")(url, {}) == b"body"
        assert fetcher(tls=tls).offered_by("wss://elsewhere.example")(url, {}) == b"body"
        with pytest.warns(InsecureTls):
            assert fetcher(tls=TlsSettings(insecure=True)).fetch(url, {}) == b"body"


def test_settings_that_cannot_be_used_are_told() -> None:
    with pytest.raises(ConfigError, match="ca_file"):
        fetcher(tls=TlsSettings(ca_file="no such file")).fetch("https://localhost/", {})


def test_a_tls_handshake_that_is_cut_short_is_worth_another_attempt() -> None:
    with (
        listening(lambda line: line.sock.recv(65536) and None) as there,
        pytest.raises(ConnectFailed, match="hung up during the TLS handshake") as caught,
    ):
        fetch(f"https://127.0.0.1:{there.port}/", {})
    assert judge(caught.value) is Verdict.RETRY


# -- proxies -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["http", "socks5h"])
@pytest.mark.parametrize("secure", [False, True])
def test_the_proxy_of_the_settings(kind: str, secure: bool, authority: Authority) -> None:
    """It is asked for a tunnel, as for the WebSocket, and looks up the name."""
    context = authority.server_context() if secure else None
    with (
        listening(answer_once, context=context) as there,
        running_proxy(kind, login=("me", "it"), names={"localhost": "127.0.0.1"}) as asked,
    ):
        config = {
            "proxy": ProxySettings(url=f"{kind}://me:it@127.0.0.1:{asked.port}"),
            "tls": TlsSettings(ca_file=authority.ca_file),
        }
        url = f"http{'s' if secure else ''}://localhost:{there.port}/?key=hunter2"
        assert fetcher(**config).fetch(url, {}) == b"body"
        assert fetcher(**config).offered_by("ws://elsewhere.example")(url, {}) == b"body"
        assert asked.ways == [("localhost", there.port)] * 2
        assert asked.logins == [("me", "it")] * 2
        assert (b"hunter2" in asked.carried) is not secure


# -- how long ----------------------------------------------------------------------------------------


def trickle(line: Line) -> None:
    """A byte now and then, so that each read is soon answered."""
    line.read_head()
    line.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    pause = threading.Event()
    while not pause.wait(0.02):
        line.write(b"x")


@pytest.mark.parametrize("limit", ["connect", "fetch"])
def test_a_server_that_trickles(limit: str) -> None:
    times = {"connect": PATIENCE, "fetch": PATIENCE, limit: 0.3}
    made = fetcher(timeouts=Timeouts(**times))
    with listening(trickle) as there:
        url = f"http://127.0.0.1:{there.port}/?key=hunter2"
        get = made.fetch if limit == "connect" else made.offered_by(url)
        with pytest.raises(ConnectTimeout, match=rf"within Timeouts\.{limit} \(0\.3 s\)") as caught:
            get(url, {})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("says", [trickle, Line.wait_for_end])
def test_it_can_be_ended_at_any_time(says: object) -> None:
    made = fetcher(timeouts=Timeouts(connect=PATIENCE))
    came = threading.Event()

    def script(line: Line) -> None:
        came.set()
        says(line)  # type: ignore[operator]

    errors: list[BaseException] = []

    def get() -> None:
        try:
            made.fetch(f"http://127.0.0.1:{there.port}/", {})
        except ConnectionClosed as error:
            errors.append(error)

    with listening(script) as there:
        thread = threading.Thread(target=get)
        thread.start()
        assert came.wait(PATIENCE)
        made.abort()
        thread.join(PATIENCE)
        assert not thread.is_alive()
        assert [type(error) for error in errors] == [ConnectionClosed]
        with pytest.raises(ConnectionClosed):
            made.fetch(f"http://127.0.0.1:{there.port}/", {})
        assert there.accepted == 1


# -- whom to trust -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "other", "same"),
    [
        ("http://ha.local:8123/a", "ws://HA.local:8123/b?c", True),
        ("https://ha.example/", "wss://ha.example.:443/api/websocket", True),
        ("http://ha.local/", "ws://ha.local:80", True),
        ("http://[::1]:8/", "ws://[::1]:8/", True),
        ("http://ha.local:8123/", "wss://ha.local:8123/", False),
        ("https://ha.local:8124/", "wss://ha.local:8123/", False),
        ("http://ha.local:81234/", "ws://ha.local:8123/", False),
        ("http://ha.local@evil.example/", "ws://ha.local/", False),
        ("http://ha.local.evil.example/", "ws://ha.local/", False),
        ("nonsense", "nonsense", False),
        ("http://[", "http://[", False),
    ],
)
def test_the_same_server(url: str, other: str, same: bool) -> None:
    assert same_server(url, other) is same_server(other, url) is same


def test_headers_are_not_for_another_server(server: ThreadingHTTPServer) -> None:
    url = address(server, "/200/")
    made = fetcher()
    assert made.offered_by("ws://localhost:1/")(url, {"X-Key": "hunter2"}) == b"body"
    assert "X-Key" not in Handler.noted
    assert made.offered_by(url.replace("http", "ws"))(url, {"X-Key": "hunter2"}) == b"body"
    assert Handler.noted["X-Key"] == "hunter2"


@pytest.mark.parametrize("ready_made", [False, True])
def test_the_client_certificate_is_not_for_another_server(authority: Authority, ready_made: bool) -> None:
    shown: list[object] = []

    def script(line: Line) -> None:
        shown.append(line.sock.getpeercert(True))  # type: ignore[attr-defined]
        answer_once(line)

    context = authority.server_context(asks_client=True)
    context.verify_mode = ssl.CERT_OPTIONAL
    settings = TlsSettings(ca_file=authority.ca_file, certificate=authority.client_file())
    if ready_made:
        settings = TlsSettings(context=fetching.tls_context(settings))
    with listening(script, context=context) as there:
        url = f"https://localhost:{there.port}/"
        made = fetcher(tls=settings)
        assert made.offered_by(f"wss://localhost:{there.port}")(url, {}) == b"body"
        assert shown[0]
        if ready_made:  # its certificate could not be kept back, so the system's authorities judge
            with pytest.raises(TlsFailed):
                made.offered_by("wss://elsewhere.example")(url, {})
        else:
            assert made.offered_by("wss://elsewhere.example")(url, {}) == b"body"
            assert not shown[1]


def test_what_was_agreed_on_under_tls_is_not_fetched_in_clear(server: ThreadingHTTPServer) -> None:
    get = fetcher().offered_by("wss://127.0.0.1/api/websocket")
    with pytest.raises(ConnectFailed, match="not fetched in clear") as caught:
        get(address(server, "/200/?key=hunter2"), {})
    assert "hunter2" not in str(caught.value)
