"""A short answer over HTTP, from a real server."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trustme

from voicews.backoff import Verdict, judge
from voicews.dialects import fetching
from voicews.dialects.fetching import fetch
from voicews.errors import ConnectFailed, ConnectTimeout, HandshakeRejected, TlsFailed


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


def address(server: ThreadingHTTPServer, path: str) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}{path}"


def test_a_body(server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert fetch(address(server, "/200/?key=1"), {"X-Key": "k"}) == b"body"
    assert Handler.noted["X-Key"] == "k"


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


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://localhost/", "hunter2"])
def test_other_schemes(url: str) -> None:
    with pytest.raises(ConnectFailed, match="no http") as caught:
        fetch(url, {})
    assert "hunter2" not in str(caught.value)


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(ConnectFailed, match="ConnectionRefusedError"):
        fetch(f"http://127.0.0.1:{port}/", {})


def test_nonsense_and_silence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(ConnectTimeout):
            fetch(url, {}, timeout=0.2)

        def talk() -> None:
            link, _ = listener.accept()
            with link:
                link.sendall(b"no HTTP\r\n\r\n")

        listener.accept()[0].close()
        thread = threading.Thread(target=talk, name="test-nonsense")
        thread.start()
        with pytest.raises(ConnectFailed):
            fetch(url, {})
        thread.join()


def test_a_certificate_of_nobody() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk() -> None:
            link, _ = listener.accept()
            with link, pytest.raises(OSError):
                context.wrap_socket(link, server_side=True)

        thread = threading.Thread(target=talk, name="test-tls")
        thread.start()
        with pytest.raises(TlsFailed):
            fetch(f"https://127.0.0.1:{listener.getsockname()[1]}/", {})
        thread.join()


def test_a_tls_handshake_that_is_cut_short_is_worth_another_attempt() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk() -> None:
            link, _ = listener.accept()
            with link:
                link.recv(65536)  # all of it, else the cut would be a reset

        thread = threading.Thread(target=talk, name="test-tls")
        thread.start()
        with pytest.raises(ConnectFailed, match="broken off") as caught:
            fetch(f"https://127.0.0.1:{listener.getsockname()[1]}/", {})
        thread.join()
    assert judge(caught.value) is Verdict.RETRY


@pytest.mark.parametrize("path", ["/503/?key=hunter2", "/200/?key=hunter2 \x7f"])
def test_nothing_of_the_address_is_kept(server: ThreadingHTTPServer, path: str) -> None:
    """Python's own errors hold all of it, and tracebacks print those that ours are chained to."""
    with pytest.raises((HandshakeRejected, ConnectFailed)) as caught:
        fetch(address(server, path), {})
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert "hunter2" not in repr(vars(caught.value))
