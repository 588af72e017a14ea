"""The WebSocket: messages in and out of a :class:`~voicews.wire.Wire`, by websocket-client.

This is the only file that knows websocket-client, and it imports it on connecting.  Of the
library it takes the check of the handshake and of frames that are no data; it never lets it
wait, answer by itself, follow a redirect, keep a cookie, or hold a message of any size.
"""

from __future__ import annotations

import base64
import io
import os
import struct
from dataclasses import dataclass
from typing import Any

from voicews.config import Limits, ProxySettings, Timeouts, TlsSettings
from voicews.deadline import Deadline
from voicews.dialects.base import Request
from voicews.errors import (
    ConnectFailed,
    ConnectionClosed,
    HandshakeRejected,
    InvalidState,
    LocalProtocolError,
    MessageTooLarge,
    RemoteProtocolError,
    VoicewsError,
)
from voicews.handshake import Opening, read_answer
from voicews.proxy import tunnel_for
from voicews.tls import tls_context
from voicews.wire import Wire

__all__ = ["PeerClose", "Ping", "Pong", "Transport"]

_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_CONTROL_LIMIT = 125
_REASON_LIMIT = 123
_BAD_CONTROL = "the server sent a control frame in fragments or over 125 bytes"

_MEDIUM = struct.Struct("!BBH")
_LONG = struct.Struct("!BBQ")
_CODE = struct.Struct("!H")


@dataclass(frozen=True, slots=True)
class Ping:
    """The server wants a pong with the same payload."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to a ping of ours, or none that was asked for."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class PeerClose:
    """The server's Close frame; nothing comes after it."""

    code: int
    """1005 if the frame had none."""
    reason: str


class Transport:
    """One WebSocket connection, from its dialling to its end; it is never used again.

    The *receiver's thread* calls :meth:`connect`, :meth:`receive` and, last of all,
    :meth:`close`; the *sender's thread* calls :meth:`send`, :meth:`ping`, :meth:`pong` and
    :meth:`send_close` in between; any thread may :meth:`abort`.

    Pings are not answered and a Close frame is not echoed in here: the receiver hands both
    to the sender, so that one thread does all the writing.

    Args:
        request: where to, and with which headers.
        generation: the connection's number, for those who have to tell old from new.
        timeouts: ``connect`` and ``send`` are heeded here.
        limits: what the server may make us hold.
        tls: for ``wss://``.
        proxy: by which proxy to go.

    Raises:
        ConfigError: the request cannot be sent as it is.
    """

    def __init__(
        self,
        request: Request,
        *,
        generation: int = 0,
        timeouts: Timeouts,
        limits: Limits,
        tls: TlsSettings,
        proxy: ProxySettings = ProxySettings(),  # noqa: B008 - it is frozen
    ) -> None:
        self.generation = generation
        self._opening = Opening.of(request)
        self._timeouts = timeouts
        self._limits = limits
        self._wire = Wire(
            self._opening.host,
            self._opening.port,
            tls=tls_context(tls) if self._opening.secure else None,
            send_timeout=timeouts.send,
            proxy=tunnel_for(proxy, self._opening.host, self._opening.port, secure=self._opening.secure),
        )
        self._dialled = False
        self._frames: _FrameReader | None = None
        self._library_error: type[Exception] = VoicewsError
        self._subprotocol: str | None = None
        self._fragments: list[bytes] = []
        self._opcode = _CONTINUATION
        self._peer_close: PeerClose | None = None
        self._close_sent = False

    def __repr__(self) -> str:
        return f"<Transport {self.generation} {self._opening.address} over {self._wire!r}>"

    @property
    def last_received(self) -> float:
        """Monotonic time at which the last byte came; 0.0 before the first."""
        return self._wire.last_received

    @property
    def bytes_received(self) -> int:
        """Bytes read from the socket, handshake and TLS included."""
        return self._wire.bytes_received

    @property
    def bytes_sent(self) -> int:
        """Bytes that the kernel has taken, handshake and TLS included."""
        return self._wire.bytes_sent

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the server chose, if any."""
        return self._subprotocol

    @property
    def peer_close(self) -> PeerClose | None:
        """The server's Close frame, once it was received; also one whose reason breaks the rules."""
        return self._peer_close

    # -- the receiver's thread --------------------------------------------------------------

    def connect(self) -> None:
        """Dial: resolve, connect, TLS and handshake, all within ``Timeouts.connect``.

        After an error everything is given back already.  Of the errors,
        :func:`voicews.backoff.judge` retries ConnectFailed, ConnectTimeout and some
        statuses of HandshakeRejected; the others would come again.

        Raises:
            ConnectFailed, ConnectTimeout: nothing, or no HTTP, answers there.
            ProxyFailed: the proxy does not lead there.
            TlsFailed: the certificate does not hold, or no TLS is spoken there.
            HandshakeRejected: the server answered with another HTTP status than 101.
            RemoteProtocolError: the server's 101 breaks the rules.
            MessageTooLarge: its answer is longer than ``Limits.handshake``.
            ConnectionClosed: aborted.
            InvalidState: this transport was used before.
        """
        if self._dialled:
            raise InvalidState("a Transport connects only once; make a new one")
        self._dialled = True
        try:
            import websocket
        except OSError as error:
            why = error.strerror or error
            raise ConnectFailed(f"the library websocket-client cannot be loaded: {why}") from error

        deadline = Deadline(self._timeouts.connect)
        connection = websocket.WebSocket(skip_utf8_validation=True)
        self._wire.open(deadline)
        handshake = _Handshake(self._opening, self._wire, self._limits.handshake, deadline)
        try:
            connection.connect(  # type: ignore[no-untyped-call]  # only in part has the library types
                "ws://server",
                socket=handshake,
                redirect_limit=0,
                suppress_origin=True,
                header={"Sec-WebSocket-Key": handshake.key},
            )
        except websocket.WebSocketException as error:
            self._wire.close()
            if isinstance(error.__context__, VoicewsError):  # it renames what is a TimeoutError
                raise error.__context__ from None
            raise RemoteProtocolError("the server's 101 does not fit our WebSocket handshake") from error
        except BaseException:
            self._wire.close()
            raise
        self._subprotocol = handshake.subprotocol
        self._library_error = websocket.WebSocketException
        self._frames = _FrameReader(self._wire, websocket.ABNF, self._limits.message)

    def receive(self) -> str | bytes | Ping | Pong | PeerClose:
        """Wait for the next message or control frame, for as long as it takes.

        Raises:
            ConnectionClosed: the connection ended or was aborted; also after a PeerClose.
            RemoteProtocolError: the server broke the rules; its ``code`` (1002 or 1007) is
                what the Close frame, which can still be sent, should say.
            MessageTooLarge: a message is over ``Limits``; it has not been read.
            InvalidState: not connected.
        """
        frames = self._frames
        if frames is None:
            raise InvalidState("the Transport is not connected")
        while True:
            self._wire.require_not_aborted()
            if self._peer_close is not None:
                raise ConnectionClosed(self._peer_close.code, self._peer_close.reason)
            try:
                opcode, final, payload = frames.next()
            except self._library_error as error:
                raise RemoteProtocolError(f"the server broke the WebSocket protocol: {error}") from error
            if opcode >= _CLOSE:
                return self._control(opcode, payload)
            if (message := self._assembled(frames, opcode, final, payload)) is not None:
                return message

    def _control(self, opcode: int, payload: bytes) -> Ping | Pong | PeerClose:
        if opcode == _PING:
            return Ping(payload)
        if opcode == _PONG:
            return Pong(payload)
        code = _CODE.unpack_from(payload)[0] if payload else 1005
        reason = self._opening.hide(payload[2:].decode(errors="replace"))[:_REASON_LIMIT]
        self._peer_close = PeerClose(code, reason)
        if len(payload) > _CONTROL_LIMIT:
            raise RemoteProtocolError(_BAD_CONTROL)
        try:
            payload[2:].decode()
        except UnicodeDecodeError as error:
            # Libraries cut a reason at 123 bytes, in the middle of a character or not: no harm is done.
            if error.reason != "unexpected end of data":
                raise RemoteProtocolError(
                    "the server sent the reason of its Close frame in another encoding than UTF-8", code=1007
                ) from error
        return self._peer_close

    def _assembled(self, frames: _FrameReader, opcode: int, final: int, payload: bytes) -> str | bytes | None:
        """The whole message, or None while fragments are missing."""
        fragments = self._fragments
        if opcode == _CONTINUATION:
            if self._opcode == _CONTINUATION:
                raise RemoteProtocolError("the server continued a message that it had not begun")
            fragments.append(payload)
            if len(fragments) > self._limits.fragments:
                raise MessageTooLarge(f"a message has more than Limits.fragments ({self._limits.fragments})")
            opcode = self._opcode
        elif self._opcode != _CONTINUATION:
            raise RemoteProtocolError("the server began a message inside another")
        elif not final:
            fragments.append(payload)
        if not final:
            self._opcode = opcode
            frames.room -= len(payload)
            return None
        if fragments:
            payload = b"".join(fragments)
            fragments.clear()
            self._opcode = _CONTINUATION
            frames.room = self._limits.message
        return _text(payload, "a text message") if opcode == _TEXT else payload

    def close(self, *, forget: bool = False) -> None:
        """Give the socket back, once the sender has left.  May be called more than once.

        Args:
            forget: do not let the kernel deliver what it still holds, as it else would, long after.
        """
        self._wire.close(forget=forget)

    # -- the sender's thread ----------------------------------------------------------------

    def send(self, message: str | bytes) -> None:
        """Send a text (str) or binary (bytes) message, within ``Timeouts.send``.

        Raises:
            ConnectionClosed: the connection ended, was aborted or stalls; nothing can be
                sent any more, for half a frame may be on the line.
            LocalProtocolError: it is neither, it is text that UTF-8 cannot hold, or a Close
                frame was sent before; the connection goes on.
            InvalidState: not connected.
        """
        if isinstance(message, str):
            try:
                self._send(_TEXT, message.encode())
            except UnicodeEncodeError as error:
                raise LocalProtocolError("the text has a lone surrogate, which UTF-8 cannot hold") from error
        elif isinstance(message, bytes):
            self._send(_BINARY, message)
        else:
            raise LocalProtocolError(f"a message must be str or bytes, not {type(message).__name__}")

    @property
    def has_room(self) -> bool:
        """False while more sound would only wait, and grow old, in the kernel.

        Raises:
            ConnectionClosed: that has been so for ``Timeouts.send``.
        """
        return self._wire.has_room

    def ping(self, payload: bytes) -> None:
        """Send a ping of at most 125 bytes; raises as :meth:`send`."""
        self._send_control(_PING, payload)

    def pong(self, payload: bytes) -> None:
        """Send a pong of at most 125 bytes; raises as :meth:`send`."""
        self._send_control(_PONG, payload)

    def send_close(self, code: int = 1000, reason: str = "") -> None:
        """Send the Close frame, after which nothing more can be sent; raises as :meth:`send`.

        Args:
            code: as in RFC 6455 §7.4: 1000 to 1003, 1007 to 1014, or 3000 to 4999.
            reason: at most 123 bytes of UTF-8.
        """
        if code not in (*range(1000, 1004), *range(1007, 1015)) and not 3000 <= code < 5000:
            raise LocalProtocolError(f"a Close frame cannot say {code}")
        self._send_control(_CLOSE, _CODE.pack(code) + reason.encode(errors="replace"))
        self._close_sent = True

    def _send_control(self, opcode: int, payload: bytes) -> None:
        if len(payload) > _CONTROL_LIMIT:
            raise LocalProtocolError(
                f"a control frame holds at most {_CONTROL_LIMIT} bytes, not {len(payload)}"
            )
        self._send(opcode, payload)

    def _send(self, opcode: int, payload: bytes) -> None:
        if self._frames is None:
            raise InvalidState("the Transport is not connected")
        if self._close_sent:
            raise LocalProtocolError("nothing can be sent after the Close frame")
        self._wire.send(_framed(opcode, payload))

    # -- any thread -------------------------------------------------------------------------

    def abort(self) -> None:
        """End the connection now, by a shutdown of the TCP socket.

        Whoever connects, receives or sends gets a ConnectionClosed with code 1006 and
        ``by_peer`` False.  Any thread, at any time, as often as it likes; never waits.
        """
        self._wire.abort()


class _Handshake:
    """What websocket-client takes for the socket until the server has answered.

    The library's request is a formality that ends here: it starts our own exchange, of
    which the library gets to see what it has to check.
    """

    def __init__(self, opening: Opening, wire: Wire, limit: int, deadline: Deadline) -> None:
        self._opening = opening
        self._wire = wire
        self._limit = limit
        self._deadline = deadline
        self._answer = io.BytesIO()
        self.key = base64.b64encode(os.urandom(16)).decode("ascii")
        self.subprotocol: str | None = None

    def send(self, data: bytes) -> int:
        head = self._wire.exchange(
            self._opening.compose(self.key), until=b"\r\n\r\n", limit=self._limit, deadline=self._deadline
        )
        try:
            answer = read_answer(head, self._opening.subprotocols)
        except HandshakeRejected as error:
            error.headers = {name: self._opening.hide(value) for name, value in error.headers.items()}
            raise
        self.subprotocol = answer.subprotocol
        checked = "".join(
            f"{name}: {answer.headers.get(name, '')}\r\n"
            for name in ("upgrade", "connection", "sec-websocket-accept")
        )
        self._answer = io.BytesIO(f"HTTP/1.1 101 \r\n{checked}\r\n".encode())
        return len(data)

    def recv(self, size: int) -> bytes:
        return self._answer.read(size)

    def gettimeout(self) -> float:
        """0: the library shall not wait, for all waiting is done in the wire."""
        return 0.0

    def close(self) -> None:
        self._wire.close()


def _framed(opcode: int, payload: bytes) -> bytes:
    """A client's frame, final and masked."""
    length = len(payload)
    if length <= _CONTROL_LIMIT:
        head = bytes((0x80 | opcode, 0x80 | length))
    elif length < 1 << 16:
        head = _MEDIUM.pack(0x80 | opcode, 0xFE, length)
    else:
        head = _LONG.pack(0x80 | opcode, 0xFF, length)
    key = os.urandom(4)
    mask = int.from_bytes((key * (length // 4 + 1))[:length], "little")
    masked = (int.from_bytes(payload, "little") ^ mask).to_bytes(length, "little")
    return head + key + masked


class _FrameReader:
    """Frames from a wire, with limits that hold before the payload is read.

    Args:
        abnf: websocket-client's frame, which checks what is no data: opcodes and Close codes.
        limit: bytes of a message.

    Attributes:
        room: bytes that a data frame may have.
    """

    def __init__(self, wire: Wire, abnf: Any, limit: int) -> None:
        self._read = wire.read
        self._abnf = abnf
        self.room = limit

    def next(self) -> tuple[int, int, bytes]:
        """Wait for a frame; its opcode, whether it is a message's last, and its payload."""
        first, second = self._read(2)
        opcode, final, length = first & 0x0F, first >> 7, second & 0x7F
        if first & 0x70:
            raise RemoteProtocolError("the server sent a frame with a reserved bit, for no extension")
        if second & 0x80:
            raise RemoteProtocolError("the server sent a masked frame")
        # A Close that is too long breaks the rules as well, but its code says why the server hangs up.
        too_long = length > _CONTROL_LIMIT and (opcode, length) != (_CLOSE, 126)
        if opcode >= _CLOSE and (too_long or not final):
            raise RemoteProtocolError(_BAD_CONTROL)
        if length == 126:
            length = int.from_bytes(self._read(2), "big")
        elif length == 127:
            length = int.from_bytes(self._read(8), "big")
        if length > self.room and opcode < _CLOSE:
            raise MessageTooLarge(f"a message is longer than Limits.message ({length} bytes and more)")
        payload = self._read(length)
        if opcode > _BINARY:
            checked = payload[:_CONTROL_LIMIT]
            self._abnf(final, 0, 0, 0, opcode, 0, checked).validate(skip_utf8_validation=True)
        return opcode, final, payload


def _text(payload: bytes, what: str) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise RemoteProtocolError(f"the server sent {what} that is not UTF-8", code=1007) from error
