"""Frames made by hand are those of an independent library, as long as they are right."""

from __future__ import annotations

import pytest
from websockets.frames import CloseCode, Frame, Opcode

from voicews.testing.frames import BINARY, CLOSE, CONTINUATION, PING, TEXT, closing, frame, unmasked


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
@pytest.mark.parametrize("opcode", [CONTINUATION, TEXT, BINARY])
@pytest.mark.parametrize("final", [True, False])
def test_right_frames(opcode: int, size: int, final: bool) -> None:
    payload = bytes(n % 251 for n in range(size))
    right = Frame(Opcode(opcode), payload, final).serialize(mask=False)
    assert frame(opcode, payload, final=final) == right


def test_closing() -> None:
    payload = CloseCode.GOING_AWAY.to_bytes(2, "big") + "später".encode()
    assert closing(1001, "später") == frame(CLOSE, payload)


def test_wrong_frames() -> None:
    assert frame(PING, reserved=7) == b"\xf9\x00"
    assert frame(TEXT, b"ab", length=300) == b"\x81\x7e\x01\x2cab"
    assert frame(TEXT, b"ab", mask=b"\1\2\3\4") == b"\x81\x82\1\2\3\4" + bytes((ord("a") ^ 1, ord("b") ^ 2))


def test_masking_twice_changes_nothing() -> None:
    for size in range(10):
        payload = bytes(range(1, size + 1))
        assert unmasked(unmasked(payload, b"\x10\x20\x30\x40"), b"\x10\x20\x30\x40") == payload
