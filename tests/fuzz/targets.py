"""What is fuzzed: functions that take any bytes and raise only if voicews breaks a promise.

Each has seeds, from which a fuzzer starts, and a corpus of what it has found, in
``corpora/NAME.txt``: an input a line, with ``\\`` escapes for what cannot be printed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from voicews.commands import (
    Command,
    EndTurn,
    InterruptResponse,
    SendAudio,
    SendMessage,
    SendText,
    StartTurn,
    ToolResult,
    TruncateResponse,
)
from voicews.config import Limits, Timeouts, TlsSettings
from voicews.deadline import Deadline
from voicews.dialects import (
    DeepgramAgent,
    DeepgramListen,
    Dialect,
    ElevenLabsAgent,
    GeminiLive,
    HomeAssistantAssist,
    OpenAIRealtime,
    Plain,
    Request,
    Session,
    Vosk,
    WhisperLive,
)
from voicews.errors import (
    ConfigError,
    ConnectFailed,
    ConnectionClosed,
    HandshakeRejected,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
    ServiceError,
)
from voicews.events import AudioReceived, Event, Transcript
from voicews.handshake import Opening, read_answer
from voicews.history import History
from voicews.proxy import ConnectTunnel, SocksTunnel, Tunnel
from voicews.tools import Tool
from voicews.transport import PeerClose, Ping, Pong, Transport
from voicews.wire import Wire

__all__ = ["TARGETS", "Target", "corpus", "from_line", "to_line"]

CORPORA = Path(__file__).parent / "corpora"
_GOLDEN = Path(__file__).parents[1] / "dialects" / "data"


@dataclass(frozen=True)
class Target:
    """One thing to fuzz."""

    name: str
    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    module: str
    """Whose constants make a good dictionary, such as ``voicews.dialects.plain``."""


def to_line(data: bytes) -> str:
    """An input as a line of printable ASCII."""
    return data.decode("latin-1").encode("unicode_escape").decode("ascii")


def from_line(line: str) -> bytes:
    """The input that :func:`to_line` has written."""
    return line.encode("ascii").decode("unicode_escape").encode("latin-1")


def corpus(name: str) -> list[bytes]:
    """What was found so far."""
    return [from_line(line) for line in (CORPORA / f"{name}.txt").read_text(encoding="ascii").splitlines()]


# -- what a server says in a dialect ---------------------------------------------------------------

_COMMANDS: dict[bytes, Command] = {
    b"a": SendAudio(b"\1\0" * 160, 1.0),
    b"x": SendText("Hello, you \N{SNOWMAN}"),
    b"s": StartTurn(),
    b"e": EndTurn(),
    b"i": InterruptResponse(),
    b"t": TruncateResponse(120),
    b"r": ToolResult("call-1", {"on": True}),
    b"f": ToolResult("call-1", error="it failed"),
    b"m": SendMessage({"type": "anything", "n": 1}),
}
_TOOLS = (
    Tool("light", "Switches the light.", {"type": "object", "properties": {"on": {"type": "boolean"}}}),
)


def _converse(dialect: Dialect, data: bytes) -> None:
    """A line is what the server says; but ``B…`` is a binary message, ``!a`` a command of ours, ``!.`` the
    end, ``!,`` a tick and ``!;`` a new connection after a loss."""
    history = History(limit=20)
    session = dialect.begin(None, history, _TOOLS)
    _take(session)
    now = 0.0
    for line in data.split(b"\n"):
        lost = False
        if line == b"!;":
            lost = True
        elif line == b"!.":
            session.finish()
        elif line == b"!,":
            now += 30.0
            session.tick(now)
        elif line[:1] == b"!" and line[1:] in _COMMANDS:
            try:
                session.send(_COMMANDS[line[1:]])
            except LocalProtocolError:
                lost = False
        else:
            lost = not _hear(session, history, line)
        _take(session)
        if lost:
            session = dialect.begin(session, history, _TOOLS)
            _take(session)


def _hear(session: Session, history: History, line: bytes) -> bool:
    """False if that was the end of the connection."""
    message: str | bytes
    if line[:1] == b"B":
        message = line[1:]
    else:
        try:
            message = line.decode()
        except UnicodeDecodeError:
            message = line
    try:
        events = session.receive(message)
    except (RemoteProtocolError, ServiceError) as error:
        str(error)
        session.classify(error)
        return False
    assert type(events) is list
    for event in events:
        assert isinstance(event, Event)
        f"{event} {event!r}".encode()  # raises for half a surrogate pair
        if isinstance(event, AudioReceived):
            assert len(event.pcm) % event.format.bytes_per_sample == 0
        if isinstance(event, Transcript) and event.final:
            history.add(event.role, event.text, instead_of=event.replaces)
    return True


def _take(session: Session) -> None:
    for said in session.messages_to_send():
        assert isinstance(said, str | bytes)
        if isinstance(said, str):
            said.encode()
    assert session.messages_to_send() == []
    assert type(session.ready) is bool
    assert type(session.finished) is bool
    assert session.tick_interval is None or 0 < session.tick_interval < math.inf


def _golden(name: str) -> Callable[[], list[bytes]]:
    """The conversations of the golden transcripts, one for each connection and all together."""

    def seeds() -> list[bytes]:
        lines: list[bytes] = []
        found: list[bytes] = []
        for written in (_GOLDEN / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            if not written.strip():
                continue
            [(kind, value)] = json.loads(written).items()
            match kind:
                case "begin":
                    found.append(b"\n".join(lines))
                    lines.append(b"!;")
                case "server":
                    lines.append(json.dumps(value, ensure_ascii=False).encode())
                    found.append(lines[-1])
                case "server binary":
                    lines.append(b"B" + base64.b64decode(value))
                case "do":
                    names = {type(command).__name__: key for key, command in _COMMANDS.items()}
                    lines += [b"!" + names[name] for name in value if name in names]
                case "finish":
                    lines.append(b"!.")
                case "tick":
                    lines.append(b"!,")
        return [*found, b"\n".join(lines), b"\n".join(lines[1:])]

    return seeds


def _plain_seeds() -> list[bytes]:
    return [
        b'{"type":"ready"}\n!a\nB' + bytes(64) + b'\n{"type":"transcript","text":"Hello","final":true}',
        b'{"type":"token","text":"Hi"}\n!i\n{"type":"token","text":"."}\n{"type":"response.done"}\n!;',
        b'{"type":"error","code":7,"message":"no","fatal":true}\n!;\n{"type":"metadata","sample_rate":24000}',
        b'{"type":"tool_call","id":"call-1","name":"light","arguments":{"on":true}}\n!r\n!.',
        b'{"type":"speech.started"}\n{"type":"speech.stopped"}\n!x\n!t\n!.\n{"type":"bye"}',
    ]


_URL = "wss://voice.example/v1"
_DIALECTS: dict[str, tuple[Dialect, Callable[[], list[bytes]]]] = {
    "plain": (Plain("wss://voice.example", await_ready=True, resume=True), _plain_seeds),
    "openai_realtime": (
        OpenAIRealtime("m", key="k", turn_detection=None, url=_URL),
        _golden("openai_realtime"),
    ),
    "openai_beta": (
        OpenAIRealtime("m", key="k", version="beta", url=_URL),
        _golden("openai_realtime_beta"),
    ),
    "gemini_live": (GeminiLive("m", key="k", turn_detection=None, url=_URL), _golden("gemini_live")),
    "deepgram_listen": (DeepgramListen(key="k", url=_URL), _golden("deepgram_listen")),
    "deepgram_agent": (
        DeepgramAgent({"type": "custom"}, key="k", url=_URL),
        _golden("deepgram_agent"),
    ),
    "elevenlabs_agent": (ElevenLabsAgent("agent", key="k", url=_URL), _golden("elevenlabs_agent")),
    "home_assistant": (
        HomeAssistantAssist("wss://ha.example", key="k", listen="turns"),
        _golden("home_assistant_assist"),
    ),
    "vosk": (Vosk(_URL, chunk=0.0), _golden("vosk")),
    "whisper_live": (WhisperLive(_URL, key="k", chunk=0.0), _golden("whisper_live")),
}


def _of_dialect(name: str, dialect: Dialect, seeds: Callable[[], list[bytes]]) -> Target:
    return Target(name, lambda data: _converse(dialect, data), seeds, type(dialect).__module__)


# -- what a server puts on the line ----------------------------------------------------------------

_LIMITS = Limits(message=2000, fragments=8, handshake=1000)


class _ScriptedWire(Wire):
    """A wire with what the server says already on it, in pieces of one size.

    Args:
        answer: to the handshake; None is what fits the request.
    """

    def __init__(self, data: bytes, piece: int, answer: bytes | None) -> None:
        super().__init__("voice.example", 80, tls=None, send_timeout=1.0)
        self._pieces = iter([data[at : at + piece] for at in range(0, len(data), piece)])
        self._answer = answer

    def open(self, deadline: Deadline) -> None:
        self.require_not_aborted()

    def exchange(self, request: bytes, *, until: bytes, limit: int, deadline: Deadline) -> bytes:
        answer = self._answer
        if answer is None:
            [key] = [line for line in request.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key: ")]
            secret = key.partition(b": ")[2] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            accept = base64.b64encode(hashlib.sha1(secret).digest())
            answer = (
                b"HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
        self._ahead, self._position = answer, 0
        return self._read_until(until, limit, deadline)

    def _receive(self, deadline: Deadline | None) -> bytes:
        return next(self._pieces, b"")


def _transport(wire: Wire) -> Transport:
    transport = Transport(
        Request("ws://voice.example/"), timeouts=Timeouts(), limits=_LIMITS, tls=TlsSettings()
    )
    transport._wire = wire
    return transport


def _frames(data: bytes) -> None:
    """The first byte is the size of the pieces in which the rest arrives."""
    transport = _transport(_ScriptedWire(data[1:], 1 + data[0] if data else 1, None))
    transport.connect()
    held = 0
    try:
        while True:
            message = transport.receive()
            match message:
                case str() | bytes():
                    size = len(message.encode() if isinstance(message, str) else message)
                    assert size <= _LIMITS.message
                case Ping(payload) | Pong(payload):
                    size = len(payload)
                    assert size <= 125
                case PeerClose(code, reason):
                    size = len(reason)
                    assert 1000 <= code < 5000
                    assert size <= 123
            held += size
            assert held <= len(data)
    except (RemoteProtocolError, ConnectionClosed) as error:
        str(error)


def _frame_seeds() -> list[bytes]:
    def frame(first: int, payload: bytes) -> bytes:
        size = len(payload)
        head = bytes((first, size)) if size < 126 else bytes((first, 126)) + size.to_bytes(2, "big")
        return head + payload

    return [
        b"\xff" + frame(0x81, b"hello") + frame(0x82, bytes(640)) + frame(0x88, b"\x03\xe8bye"),
        b"\x00" + frame(0x01, b"\xe2\x98") + frame(0x89, b"ping") + frame(0x80, b"\x83") + frame(0x8A, b""),
        b"\x07" + frame(0x02, b"a") + frame(0x00, b"b") * 9 + frame(0x88, b""),
        b"\x05\x82\x7f" + (1500).to_bytes(8, "big") + bytes(1500) + frame(0x88, b"\x0f\xa0"),
        b"\x05\x82\x7f" + (1 << 63).to_bytes(8, "big") + b"\x81\x85\0\0\0\0hello",
    ]


def _answer(data: bytes) -> None:
    """What answers the handshake is the server's; the first byte is the size of its pieces."""
    transport = _transport(_ScriptedWire(data[1:], 1 + data[0] if data else 1, b""))
    refused = _refusal(transport.connect)
    assert refused is not None, "nobody can guess the key"
    assert not isinstance(refused, LocalProtocolError)
    if isinstance(refused, HandshakeRejected):
        assert 100 <= refused.status < 1000
        assert refused.retry_after is None or 0 <= refused.retry_after < math.inf
        shown = "".join(text for item in refused.headers.items() for text in item)
        assert not set(shown) & set("\r\n\0")
    _refusal(lambda: read_answer(data, ("voice.v1",)))


def _refusal(call: Callable[[], object]) -> Exception | None:
    try:
        call()
    except (ConnectFailed, HandshakeRejected, ProtocolError) as error:
        str(error)
        return error
    return None


def _answer_seeds() -> list[bytes]:
    return [
        (
            b"\xffHTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: voice.v1\r\n\r\n"
        ),
        (
            b"\x03HTTP/1.1 429 Too Many\r\nRetry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\n"
            b"Date: Wed, 21 Oct 2026 07:27:00 GMT\r\nSet-Cookie: a=b\r\n\r\n"
        ),
        b"\x40HTTP/1.0 503 \r\nretry-after: 120\r\nLocation: https://u:p@x.example/?token=1\r\n\r\n",
        b"HTTP/1.1 101 \r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    ]


_TUNNELS = (
    ConnectTunnel("proxy.example", 3128, None),
    ConnectTunnel("proxy.example", 3128, ("me", "it")),
    SocksTunnel("proxy.example", 1080, None),
    SocksTunnel("proxy.example", 1080, ("me", "it")),
)


class _Proxied(_ScriptedWire):
    """A wire whose other end is a proxy."""

    def dig(self, tunnel: Tunnel) -> None:
        self._dig(tunnel, Deadline(None))

    def _transmit(self, data: bytes, deadline: Deadline | None) -> None:
        self.bytes_sent += len(data)


def _proxy(data: bytes) -> None:
    """The first byte chooses the proxy, the second is the size of the pieces in which the rest arrives."""
    wire = _Proxied(data[2:], 1 + data[1] if len(data) > 1 else 1, None)
    refused = _refusal(lambda: wire.dig(_TUNNELS[data[0] % len(_TUNNELS)] if data else _TUNNELS[0]))
    assert refused is None or isinstance(refused, ConnectFailed)
    assert wire.bytes_sent < 1000


def _proxy_seeds() -> list[bytes]:
    return [
        b"\x00\xffHTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n",
        b"\x01\x03HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\n\r\n",
        b"\x02\xff\5\0\5\0\0\1\0\0\0\0\0\0",
        b"\x03\x01\5\2\1\0\5\0\0\3\5proxy\0\0",
        b"\x03\xff\5\2\1\1",
        b"\x02\x02\5\0\5\5\0\4" + bytes(18),
    ]


def _request(data: bytes) -> None:
    """What users and their configuration files give: an address, then headers, then ``=subprotocols``."""
    url, *lines = data.decode("utf-8", "surrogateescape").split("\n")
    headers = dict(line.partition("=")[::2] for line in lines if line[:1] != "=")
    subprotocols = [line[1:] for line in lines if line[:1] == "="]
    try:
        opening = Opening.of(Request(url, headers, subprotocols))
    except ConfigError as error:
        str(error)
        return
    assert 0 < opening.port < 65536
    composed = opening.compose("AAAAAAAAAAAAAAAAAAAAAA==")
    head, blank, rest = composed.partition(b"\r\n\r\n")
    assert blank
    assert not rest
    assert b"\0" not in composed
    assert composed.count(b"\r") == composed.count(b"\n") == composed.count(b"\r\n")
    first, *fields = head.split(b"\r\n")
    assert len(first.split(b" ")) == 3
    names = [field.partition(b":")[0].lower() for field in fields]
    assert len(names) == len(set(names))
    assert {b"host", b"upgrade", b"connection", b"sec-websocket-key"} <= set(names)


def _request_seeds() -> list[bytes]:
    return [
        b"wss://user:pass@voice.example:8443/v1?token=abc\nAuthorization=Bearer x\n=voice.v1\n=chat",
        b"ws://[::1]:8765\nX-Header=value",
        b"ws://127.0.0.1/%20\nUser-Agent=me",
        b"wss://xn--bcher-kva.example./?a=b&c=d",
    ]


def _all() -> Iterator[Target]:
    yield Target("frames", _frames, _frame_seeds, "voicews.transport")
    yield Target("answer", _answer, _answer_seeds, "voicews.handshake")
    yield Target("proxy", _proxy, _proxy_seeds, "voicews.proxy")
    yield Target("request", _request, _request_seeds, "voicews.handshake")
    for name, (dialect, seeds) in _DIALECTS.items():
        yield _of_dialect(name, dialect, seeds)


TARGETS = {target.name: target for target in _all()}
