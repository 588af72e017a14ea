"""A voice server that answers everything the same way, at once: for the commands' tests."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Callable

from websockets.exceptions import ConnectionClosed

from tests.peer import Call
from voicews.cli.meter import loudness

RATE = 16000


def tone(seconds: float, rate: int = RATE, level: float = 0.3) -> bytes:
    """A beep."""
    count = round(seconds * rate)
    return array(
        "h", (round(32767 * level * math.sin(2 * math.pi * 440 * i / rate)) for i in range(count))
    ).tobytes()


def answer(call: Call, said: str, seconds: float = 0.3) -> None:
    """One turn, as the protocol's text describes it."""
    call.send({"type": "speech_stopped"})
    call.send({"type": "transcript", "role": "user", "text": said, "final": True})
    call.send({"type": "response_started"})
    for word in ("That", " was", " all."):
        call.send({"type": "token", "text": word})
    if seconds:
        call.send(tone(seconds))
    call.send({"type": "response_done", "text": "That was all."})


def until_hung_up(react: Callable[[Call], None]) -> Callable[[Call], None]:
    """A reaction that ends when the client goes away."""

    def patient(call: Call) -> None:
        try:
            react(call)
        except ConnectionClosed:
            call.read()

    return patient


def answering(seconds: float = 0.3, hush: float = 0.3) -> Callable[[Call], None]:
    """A reaction for :class:`~tests.peer.Peer`: answers writing, and speech after a hush."""

    def react(call: Call) -> None:
        quiet = 0.0
        speaking = False
        for message in call.link:
            if isinstance(message, str):
                call.received.append(message)
                if json.loads(message)["type"] == "text":
                    answer(call, json.loads(message)["text"], seconds)
                continue
            call.received.append(message)
            if loudness(message) > -40:
                if not speaking:
                    call.send({"type": "speech_started"})
                    call.send({"type": "transcript", "role": "user", "text": "beep", "final": False})
                speaking, quiet = True, 0.0
            elif speaking:
                quiet += len(message) / 2 / RATE
                if quiet >= hush:
                    speaking = False
                    answer(call, "beep beep", seconds)

    return until_hung_up(react)
