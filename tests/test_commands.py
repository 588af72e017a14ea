"""What a client can say."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from voicews import commands
from voicews.commands import Command, SendAudio, SendMessage, SendText, TruncateResponse
from voicews.errors import ConfigError

KINDS = [getattr(commands, name) for name in commands.__all__ if name != "Command"]


@pytest.mark.parametrize("kind", KINDS)
def test_commands_are_frozen_and_of_one_family(kind: type[Command]) -> None:
    assert issubclass(kind, Command)
    assert dataclasses.is_dataclass(kind)
    with pytest.raises(dataclasses.FrozenInstanceError):
        TruncateResponse(1).heard_ms = 2  # type: ignore[misc]


def test_sound_compares_by_its_samples_and_hides_them() -> None:
    assert SendAudio(b"\1\2", 1.0) == SendAudio(b"\1\2", 2.0)
    assert SendAudio(b"\1\2", 1.0) != SendAudio(b"\1\3", 1.0)
    assert repr(SendAudio(b"\1\2", 1.0)) == "SendAudio(at=1.0)"


def test_other_commands_compare_by_what_they_say() -> None:
    assert SendText("a") == SendText("a") != SendText("b")


@pytest.mark.parametrize("data", [{"type": "x", "n": [1, None]}, {}, "words", "", b"\0\xff"])
def test_own_words(data: Any) -> None:
    assert SendMessage(data).data == data


def test_own_words_are_copied() -> None:
    data: dict[str, Any] = {"list": [1]}
    command = SendMessage(data)
    data["list"].append(object())
    data["more"] = 1
    assert command.data == {"list": [1]}


def looped() -> dict[str, Any]:
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    return loop


def bottomless() -> dict[str, Any]:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    return {"deep": deep}


@pytest.mark.parametrize(
    "make",
    [
        lambda: {"a": float("nan")},
        lambda: {"a": object()},
        lambda: {("a", "b"): 1},
        looped,
        bottomless,
        lambda: "\ud800",
        lambda: 7,
        lambda: ["a"],
        lambda: None,
    ],
)
def test_what_cannot_be_sent_is_refused_in_the_callers_thread(make: Any) -> None:
    with pytest.raises(ConfigError, match=r"SendMessage\.data cannot be sent"):
        SendMessage(make())
