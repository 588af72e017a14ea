from __future__ import annotations

import base64
import email.utils
import time
from collections.abc import Sequence
from typing import Any

import pytest

from tests.line import acceptance
from voicews.backoff import Verdict, judge
from voicews.dialects.base import Request
from voicews.errors import ConfigError, ConnectFailed, HandshakeRejected, RemoteProtocolError
from voicews.handshake import Opening, _is_host, read_answer

CANARY = "c4n4ry"


def lines(request: Request) -> list[str]:
    return Opening.of(request).compose("KEY").decode("ascii").split("\r\n")


def rejected(status: int, *headers: str) -> HandshakeRejected:
    head = "\r\n".join((f"HTTP/1.1 {status} {CANARY}", *headers, "", ""))
    with pytest.raises(HandshakeRejected) as caught:
        read_answer(head.encode("latin-1"), ())
    return caught.value


class TestRequest:
    def test_is_what_the_rfc_asks_for(self) -> None:
        assert lines(Request("ws://example.com/chat?lang=en")) == [
            "GET /chat?lang=en HTTP/1.1",
            "Host: example.com",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "User-Agent: voicews",
            "Sec-WebSocket-Key: KEY",
            "",
            "",
        ]

    @pytest.mark.parametrize(
        ("url", "host", "port", "header"),
        [
            ("ws://example.com", "example.com", 80, "Host: example.com"),
            ("wss://example.com", "example.com", 443, "Host: example.com"),
            ("wss://example.com:80/", "example.com", 80, "Host: example.com:80"),
            ("WS://Example.COM:8765", "example.com", 8765, "Host: example.com:8765"),
            ("ws://[::1]:9000/", "::1", 9000, "Host: [::1]:9000"),
            ("ws://127.0.0.1", "127.0.0.1", 80, "Host: 127.0.0.1"),
            ("ws://raspberry_pi.local.", "raspberry_pi.local.", 80, "Host: raspberry_pi.local."),
        ],
    )
    def test_host_and_port(self, url: str, host: str, port: int, header: str) -> None:
        opening = Opening.of(Request(url))
        assert (opening.host, opening.port) == (host, port)
        assert header in lines(Request(url))
        assert lines(Request(url))[0] == "GET / HTTP/1.1"

    def test_addresses_that_older_pythons_let_pass(self) -> None:
        assert _is_host("1::2")
        assert not _is_host("1::2::3")

    def test_headers_and_subprotocols_are_sent(self) -> None:
        sent = lines(
            Request(
                "ws://h", headers={"Authorization": "Token t", "user-agent": "me"}, subprotocols=("a", "b.c")
            )
        )
        assert "Authorization: Token t" in sent
        assert "user-agent: me" in sent
        assert "User-Agent: voicews" not in sent
        assert "Sec-WebSocket-Protocol: a, b.c" in sent

    def test_a_name_in_the_url_becomes_basic_authentication(self) -> None:
        sent = lines(Request("ws://me:p%40:ss@h/"))
        assert f"Authorization: Basic {base64.b64encode(b'me:p@:ss').decode()}" in sent
        assert "Host: h" in sent

    @pytest.mark.parametrize(
        "url",
        [
            "http://h",
            "h:80",
            "//h/",
            "",
            "ws:",
            "ws:///path",
            "ws://",
            "ws://h:0/",
            "ws://h:65536/",
            "ws://h:port/",
            "ws://[::1/",
            "ws://[v1.x]/",
            "ws://[1::2::3]/",
            "ws://h/a b",
            "ws://h/a\r\nX: y",
            "ws://h/a\nb",
            "ws://h/\0",
            "ws://h/\u00e9",
            "ws://\u00e9.example/",
            " ws://h",
            "ws://h/#part",
            "ws://h/#",
            "ws://good.example\\@h/",
            "ws://a..b/",
            "ws://-a/",
            f"ws://{'a' * 64}/",
            "ws://h,i/",
            "ws://a%3ab:c@h/",
            b"ws://h",
        ],
    )
    def test_wrong_urls_are_refused(self, url: Any) -> None:
        with pytest.raises(ConfigError, match=r"Request\.url"):
            Opening.of(Request(url))

    @pytest.mark.parametrize(
        "headers",
        [
            {"X": "a\r\nY: b"},
            {"X": "a\n"},
            {"X": "a\0"},
            {"X": "\x7f"},
            {"X": "\u00e9"},
            {"X": 1},
            {"X": b"a"},
            {"X": None},
            {"X\r\nY": "a"},
            {"X ": "a"},
            {"X:": "a"},
            {"": "a"},
            {1: "a"},
            {"Host": "other"},
            {"upgrade": "h2c"},
            {"Sec-WebSocket-Key": "k"},
            {"Sec-WebSocket-Protocol": "p"},
            {"Content-Length": "5"},
            {"A": "1", "a": "2"},
        ],
    )
    def test_wrong_headers_are_refused(self, headers: Any) -> None:
        with pytest.raises(ConfigError, match=r"Request\.headers"):
            Opening.of(Request("ws://h", headers=headers))

    @pytest.mark.parametrize(
        "subprotocols", ["abc", ["a b"], ["a,b"], [""], ["a\r\nX: y"], [1], ["a", "a"], ["\u00e9"]]
    )
    def test_wrong_subprotocols_are_refused(self, subprotocols: Any) -> None:
        with pytest.raises(ConfigError, match=r"Request\.subprotocols"):
            Opening.of(Request("ws://h", subprotocols=subprotocols))

    def test_two_ways_to_authorize_are_refused(self) -> None:
        with pytest.raises(ConfigError, match="leave one"):
            Opening.of(Request("ws://a:b@h", headers={"authorization": "x"}))

    @pytest.mark.parametrize(
        "request_",
        [
            Request(f"ws://h/{CANARY}?{CANARY}#"),
            Request(f"ws://{CANARY}:{CANARY}@h:port/"),
            Request(f"ws://h/ {CANARY}"),
            Request(f"http://h/?{CANARY}"),
            Request("ws://h", headers={"Authorization": f"{CANARY}\n"}),
            Request("ws://h", subprotocols=[f"{CANARY} "]),
        ],
    )
    def test_no_error_shows_a_token(self, request_: Request) -> None:
        with pytest.raises(ConfigError) as caught:
            Opening.of(request_)
        assert CANARY not in str(caught.value)

    def test_the_repr_shows_no_token(self) -> None:
        opening = Opening.of(
            Request(
                f"wss://{CANARY}:{CANARY}@h/{CANARY}?{CANARY}", headers={"X": CANARY}, subprotocols=[CANARY]
            )
        )
        assert CANARY not in repr(opening)
        assert opening.address == "wss://h:443"
        assert Opening.of(Request("ws://[::1]")).address == "ws://[::1]:80"


class TestHide:
    """What a server repeats of our secrets; its other words are left alone."""

    @pytest.mark.parametrize(
        ("request_", "said"),
        [
            (Request("ws://h", {"Authorization": "Bearer 0123456789"}), "no such key 0123456789!"),
            (Request("ws://h", {"Authorization": "Bearer 0123456789"}), "Bearer 0123456789 is bad"),
            (Request("ws://h/?api_key=01234%2F56789"), "wrong: 01234%2F56789"),
            (Request("ws://h/?x=1&token=01234%2F56789"), "wrong: 01234/56789"),
            (Request("ws://me:0123456789@h"), "password 0123456789"),
            (Request("ws://h", subprotocols=("openai-insecure-api-key.0123456789012345678901",)),
             "0123456789012345678901 has expired"),
        ],
    )  # fmt: skip
    def test_secrets(self, request_: Request, said: str) -> None:
        hidden = Opening.of(request_).hide(said)
        assert "[redacted]" in hidden
        assert "0123456789" not in hidden
        assert "56789" not in hidden

    def test_what_is_no_secret_is_left_alone(self) -> None:
        opening = Opening.of(
            Request("ws://h/?model=gpt-realtime&key=short", {"X-Trace": "0123456789"}, ("realtime",))
        )
        said = "gpt-realtime: the realtime session 0123456789 was too short"
        assert opening.hide(said) == said

    def test_they_are_not_shown(self) -> None:
        opening = Opening.of(Request("ws://h", {"Authorization": f"Bearer {CANARY}{CANARY}"}))
        assert CANARY not in repr(opening)


class TestAnswer:
    def test_an_acceptance(self) -> None:
        answer = read_answer(acceptance(b"Sec-WebSocket-Key: k", "X-A: 1", "x-a: 2"), ())
        assert answer.headers["upgrade"] == "websocket"
        assert answer.headers["x-a"] == "1, 2"
        assert answer.subprotocol is None

    @pytest.mark.parametrize(("offered", "chosen"), [(("a", "b"), "b"), (("a",), None)])
    def test_the_subprotocol(self, offered: Sequence[str], chosen: str | None) -> None:
        headers = [f"Sec-WebSocket-Protocol: {chosen}"] if chosen else []
        assert read_answer(acceptance(b"Sec-WebSocket-Key: k", *headers), offered).subprotocol == chosen

    @pytest.mark.parametrize(
        "header",
        [
            "Sec-WebSocket-Protocol: c",
            "Sec-WebSocket-Protocol: A",
            "Sec-WebSocket-Extensions: permessage-deflate",
        ],
    )
    def test_what_was_not_offered_is_fatal(self, header: str) -> None:
        with pytest.raises(RemoteProtocolError, match="not offered") as caught:
            read_answer(acceptance(b"Sec-WebSocket-Key: k", header), ("a", "b"))
        assert judge(caught.value) is Verdict.FATAL

    @pytest.mark.parametrize(
        "head", [b"SSH-2.0-x\r\n\r\n", b"\r\n\r\n", b"HTTP/2 101\r\n\r\n", b"HTTP/1.1 xx\r\n\r\n"]
    )
    def test_no_http_is_worth_another_attempt(self, head: bytes) -> None:
        with pytest.raises(ConnectFailed) as caught:
            read_answer(head, ())
        assert judge(caught.value) is Verdict.RETRY

    def test_malformed_headers_count_for_nothing(self) -> None:
        answer = read_answer(
            b"HTTP/1.1 101\r\nno colon\r\nA b: c\r\nUpgrade: x\nSet-Cookie: y\r\nB: 1\r\n\r\n", ()
        )
        assert answer.headers == {"b": "1"}

    @pytest.mark.parametrize(
        ("status", "words", "verdict"),
        [
            (401, "check the key", Verdict.FATAL),
            (403, "Forbidden", Verdict.FATAL),
            (404, "check the path", Verdict.FATAL),
            (302, "redirects are not followed", Verdict.FATAL),
            (200, "ordinary web page", Verdict.FATAL),
            (429, "Too Many Requests", Verdict.RETRY),
            (503, "Service Unavailable", Verdict.RETRY),
            (599, "HTTP 599", Verdict.RETRY),
        ],
    )
    def test_another_status_is_a_refusal(self, status: int, words: str, verdict: Verdict) -> None:
        error = rejected(status)
        assert error.status == status
        assert words in str(error)
        assert CANARY not in str(error)
        assert judge(error) is verdict

    def test_secrets_are_redacted(self) -> None:
        error = rejected(
            401,
            f"Set-Cookie: a={CANARY}",
            f"WWW-Authenticate: Bearer {CANARY}",
            f"Authorization: {CANARY}",
            f"X-Api-Key: {CANARY}",
            f"Location: https://u:{CANARY}@h/login?next={CANARY}#{CANARY}",
            "Content-Type: text/html",
        )
        assert CANARY not in repr(error.headers)
        assert error.headers["set-cookie"] == "[redacted]"
        assert error.headers["location"] == "https://h/login"
        assert error.headers["content-type"] == "text/html"

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [("7", 7.0), ("0", 0.0), ("", None), ("soon", None), ("-3", None), ("1e3", None), ("9" * 5000, None)],
    )
    def test_retry_after_as_a_number(self, value: str, seconds: float | None) -> None:
        assert rejected(429, f"Retry-After: {value}").retry_after == seconds

    def test_retry_after_as_a_date(self) -> None:
        date = email.utils.formatdate(time.time() + 90, usegmt=True)
        assert rejected(503, f"Retry-After: {date}").retry_after == pytest.approx(90, abs=10)

    def test_retry_after_by_a_server_whose_clock_is_wrong(self) -> None:
        error = rejected(
            503, "Date: Mon, 01 Jan 2001 00:00:00 GMT", "Retry-After: Mon, 01 Jan 2001 00:00:30 GMT"
        )
        assert error.retry_after == 30.0

    def test_retry_after_in_the_past_is_now(self) -> None:
        assert rejected(503, "Retry-After: Mon, 01 Jan 2001 00:00:30 GMT").retry_after == 0.0


@pytest.mark.parametrize(
    ("url", "host", "told"),
    [
        ("ws://[fe80::1%25eth0]/", "fe80::1%eth0", "[fe80::1]"),
        ("ws://[fe80::1%25wlan0.2]:8765/", "fe80::1%wlan0.2", "[fe80::1]:8765"),
        ("ws://[fe80::1%lo]:9/", "fe80::1%lo", "[fe80::1]:9"),
    ],
)
def test_the_zone_of_an_ipv6_address_stays_on_this_machine(url: str, host: str, told: str) -> None:
    opening = Opening.of(Request(url))
    assert opening.host == host
    assert f"\r\nHost: {told}\r\n".encode() in opening.compose("x")


def test_a_redirection_to_tls_names_the_scheme() -> None:
    with pytest.raises(HandshakeRejected, match="wss://"):
        read_answer(b"HTTP/1.1 301 Moved\r\nLocation: https://example.org/\r\n\r\n", ())
