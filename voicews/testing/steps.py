"""What a :class:`~voicews.testing.FaultServer` can do to a connection.

Each function makes a step; a script is a list of them.  After its last step a connection
that was accepted is read on to its end, and one that was not is closed.
"""

from __future__ import annotations

import http
import itertools
import threading
from collections.abc import Callable, Mapping
from typing import Any

from voicews.testing.fault_server import FaultConnection, Message, React, Step
from voicews.testing.frames import BINARY, CONTINUATION, PING, TEXT, frame

__all__ = [
    "accept",
    "accept_slowly",
    "accept_wrongly",
    "answer",
    "await_bytes",
    "bad_json",
    "bad_utf8",
    "close",
    "cut",
    "cut_in_frame",
    "drip",
    "echo",
    "endless_message",
    "flood",
    "half_close",
    "half_open",
    "listen",
    "masked_frame",
    "oversized",
    "pause",
    "ping_flood",
    "raw",
    "redirect",
    "refuse",
    "reserved_bits",
    "reset",
    "send",
    "stall",
    "stall_reading",
    "stall_writing",
    "wait",
]

_PIECE = 65536


# -- the handshake --------------------------------------------------------------------------------


def accept(headers: Mapping[str, str] | None = None) -> Step:
    """Accept the WebSocket, with these further headers."""

    def step(connection: FaultConnection) -> None:
        connection.accept(headers)

    return step


def accept_slowly(seconds: float) -> Step:
    """Accept it, one byte every so many seconds."""

    def step(connection: FaultConnection) -> None:
        _drip(connection, connection.acceptance(), seconds)
        connection.note_accepted()

    return step


def accept_wrongly() -> Step:
    """Accept it with the Sec-WebSocket-Accept of another key."""
    return accept({"Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="})


def refuse(
    status: int,
    *,
    retry_after: float | str | None = None,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Step:
    """Answer the handshake with another HTTP status, such as 401 or 503.

    Args:
        retry_after: seconds or a date, for the header of that name.
    """
    lines: dict[str, str] = {"Content-Length": str(len(body)), "Connection": "close"}
    if retry_after is not None:
        lines["Retry-After"] = f"{retry_after:g}" if isinstance(retry_after, int | float) else retry_after
    lines |= headers or {}
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = "Nothing"
    shown = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return answer(f"HTTP/1.1 {status} {phrase}\r\n{shown}\r\n".encode("latin-1") + body)


def redirect(location: str, status: int = 302) -> Step:
    """Send the client elsewhere."""
    return refuse(status, headers={"Location": location})


def answer(data: bytes) -> Step:
    """Answer the handshake with these bytes, whatever they are."""

    def step(connection: FaultConnection) -> None:
        connection.read_request()
        connection.write(data)

    return step


def await_bytes(count: int) -> Step:
    """Wait until the client has sent so many bytes (of TLS too), and forget them."""

    def step(connection: FaultConnection) -> None:
        connection.link.take_raw(count)

    return step


# -- good behaviour -------------------------------------------------------------------------------


def listen(react: React | None = None, *, count: int | None = None) -> Step:
    """Read ``count`` messages, or all until the client closes; ``react`` is called with each."""

    def step(connection: FaultConnection) -> None:
        connection.listen(react, count)

    return step


def echo(count: int | None = None) -> Step:
    """Send back what comes: ``count`` messages, or all."""

    def back(connection: FaultConnection, message: Message) -> None:
        connection.send(message)

    return listen(back, count=count)


def send(message: Message | Mapping[str, Any]) -> Step:
    """Send a message: text, binary, or a mapping as JSON."""

    def step(connection: FaultConnection) -> None:
        connection.send(message)

    return step


def raw(data: bytes) -> Step:
    """Send bytes as they are; :func:`voicews.testing.frames.frame` makes frames of any kind."""

    def step(connection: FaultConnection) -> None:
        connection.write(data)

    return step


def close(code: int = 1000, reason: str = "") -> Step:
    """Send a Close frame, read to the client's answer, and end."""

    def step(connection: FaultConnection) -> None:
        connection.close(code, reason)
        connection.listen()

    return step


# -- waiting --------------------------------------------------------------------------------------


def wait(seconds: float) -> Step:
    """Do nothing for so long."""

    def step(connection: FaultConnection) -> None:
        connection.wait_until_ended(seconds)

    return step


def pause(until: threading.Event) -> Step:
    """Do nothing until a test sets the event, or somebody ends the connection."""

    def step(connection: FaultConnection) -> None:
        while not until.is_set() and not connection.wait_until_ended(0.01):
            continue

    return step


# -- ends -----------------------------------------------------------------------------------------


def cut() -> Step:
    """End the TCP connection without a Close frame."""
    return FaultConnection.cut


def reset() -> Step:
    """End it with a TCP reset."""
    return FaultConnection.reset


def half_close() -> Step:
    """Send a FIN, but go on reading."""
    return FaultConnection.half_close


def half_open() -> Step:
    """Forget the connection without a word: what the client sends is then answered by a reset.

    Where the system does not allow that (it needs Linux and CAP_NET_ADMIN) it is kept, and
    neither read nor written any more.
    """

    def step(connection: FaultConnection) -> None:
        if not connection.link.forget():
            connection.wait_until_ended()

    return step


def cut_in_frame() -> Step:
    """Send half of a message's frame, and end."""

    def step(connection: FaultConnection) -> None:
        connection.write(frame(BINARY, bytes(100), length=1000))
        connection.cut()

    return step


# -- silence and slowness ---------------------------------------------------------------------------


def stall() -> Step:
    """Neither read nor write any more, until somebody ends the connection."""

    def step(connection: FaultConnection) -> None:
        connection.wait_until_ended()

    return step


def stall_reading(every: float = 0.05) -> Step:
    """Read no more, but send a message every so many seconds: it looks alive."""

    def step(connection: FaultConnection) -> None:
        while not connection.wait_until_ended(every):
            connection.send({"type": "still_here"})

    return step


def stall_writing() -> Step:
    """Read on, but never send anything, pongs included."""

    def step(connection: FaultConnection) -> None:
        while True:
            connection.link.read_some()

    return step


def drip(message: Message, seconds: float) -> Step:
    """Send a message, one byte every so many seconds."""
    data = frame(TEXT, message.encode()) if isinstance(message, str) else frame(BINARY, message)
    return lambda connection: _drip(connection, data, seconds)


# -- too much ---------------------------------------------------------------------------------------


def flood(message: Message = bytes(640), count: int | None = None) -> Step:
    """Send a message as often as the client takes it, without reading; ``count`` times at most."""
    data = frame(TEXT, message.encode()) if isinstance(message, str) else frame(BINARY, message)
    return _often(data, count)


def ping_flood(count: int | None = None) -> Step:
    """Send pings, without reading, as often as the client takes them; ``count`` at most."""
    return _often(frame(PING, b"are you there?"), count)


def oversized(length: int = 1 << 31, send: int | None = None) -> Step:
    """Send one message of so many bytes.

    Args:
        length: what its frame announces.
        send: how much of it really comes; default all, as long as the client takes it.
    """

    def step(connection: FaultConnection) -> None:
        connection.write(frame(BINARY, length=length))
        left = length if send is None else send
        while left > 0:
            connection.write(bytes(min(left, _PIECE)))
            left -= _PIECE

    return step


def endless_message(piece: int = 1000) -> Step:
    """Send fragments of so many bytes without ever ending the message."""

    def step(connection: FaultConnection) -> None:
        connection.write(frame(BINARY, bytes(piece), final=False))
        while True:
            connection.write(frame(CONTINUATION, bytes(piece), final=False))

    return step


# -- nonsense ---------------------------------------------------------------------------------------


def bad_utf8() -> Step:
    """Send a text message that is not UTF-8."""
    return raw(frame(TEXT, b'{"type": "\xc3\x28"}'))


def bad_json() -> Step:
    """Send a text message that looks like JSON and is not."""
    return send('{"type": "transcript", "text": ')


def reserved_bits() -> Step:
    """Send a frame with the bit that a compression would use, which nobody has agreed on."""
    return raw(frame(TEXT, b"{}", reserved=4))


def masked_frame() -> Step:
    """Send a masked frame, as only clients may."""
    return raw(frame(TEXT, b"{}", mask=b"\x01\x02\x03\x04"))


def _often(data: bytes, count: int | None) -> Callable[[FaultConnection], None]:
    def step(connection: FaultConnection) -> None:
        for _ in itertools.repeat(None) if count is None else itertools.repeat(None, count):
            connection.write(data)

    return step


def _drip(connection: FaultConnection, data: bytes, seconds: float) -> None:
    for index in range(len(data)):
        connection.write(data[index : index + 1])
        connection.wait_until_ended(seconds)
