"""WebSocket frames made by hand, rightly or wrongly: the server's side (RFC 6455 §5)."""

from __future__ import annotations

__all__ = ["BINARY", "CLOSE", "CONTINUATION", "PING", "PONG", "TEXT", "closing", "frame", "unmasked"]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    final: bool = True,
    reserved: int = 0,
    mask: bytes = b"",
    length: int | None = None,
) -> bytes:
    """The bytes of one frame; nothing is checked, for the wrong ones are what is wanted.

    Args:
        opcode: one of this module's constants, or a number from 0 to 15 that means nothing.
        payload: what it holds.
        final: False for a fragment that others follow.
        reserved: the three reserved bits, 0 to 7.
        mask: four bytes; a server must not mask, so the default is none.
        length: what the frame claims to hold, if not the length of ``payload``.
    """
    length = len(payload) if length is None else length
    first = (0x80 if final else 0) | reserved << 4 | opcode
    second = 0x80 if mask else 0
    if length < 126:
        head = bytes((first, second | length))
    elif length < 1 << 16:
        head = bytes((first, second | 126)) + length.to_bytes(2, "big")
    else:
        head = bytes((first, second | 127)) + length.to_bytes(8, "big")
    return head + mask + (unmasked(payload, mask) if mask else payload)


def unmasked(payload: bytes, mask: bytes) -> bytes:
    """Undo (or do, which is the same) the masking of RFC 6455 §5.3."""
    size = len(payload)
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "little")
    return (int.from_bytes(payload, "little") ^ key).to_bytes(size, "little")


def closing(code: int, reason: str = "") -> bytes:
    """A Close frame."""
    return frame(CLOSE, code.to_bytes(2, "big") + reason.encode())
