"""What has been said so far."""

from __future__ import annotations

import threading
import time

import pytest

from voicews.errors import ConfigError
from voicews.history import History, Turn


def test_turns_stay_in_order_and_the_oldest_goes() -> None:
    history = History(2)
    history.add("user", "one")
    history.add("assistant", "two")
    history.add("user", "three")
    assert history.turns == (Turn("assistant", "two"), Turn("user", "three"))
    assert list(history) == list(history.turns)
    assert len(history) == 2
    assert repr(history) == "<History of 2 turns>"


def test_a_turn_that_is_told_late_finds_its_place() -> None:
    history = History(3)
    history.add("user", "one")
    before = time.monotonic()
    history.add("assistant", "three")
    history.add("user", "two", at=before)
    assert [turn.text for turn in history] == ["one", "two", "three"]
    history.add("user", "nothing like that", at=0.0)
    assert [turn.text for turn in history] == ["one", "two", "three"]


@pytest.mark.parametrize("text", ["", " ", "\n\t"])
def test_blank_text_is_no_turn(text: str) -> None:
    history = History()
    history.add("user", text)
    assert len(history) == 0


def test_turns_to_begin_with_are_bounded_too() -> None:
    turns = tuple(Turn("user", str(number)) for number in range(5))
    assert History(2, turns).turns == turns[3:]


def test_none_may_be_kept() -> None:
    history = History(0)
    history.add("user", "one")
    assert history.turns == ()


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(ConfigError, match="-1"):
        History(-1)


def test_turns_are_a_snapshot() -> None:
    history = History()
    history.add("user", "one")
    before = history.turns
    history.add("user", "two")
    assert before == (Turn("user", "one"),)
    assert [turn.text for turn in history] == ["one", "two"]


def test_it_can_be_read_while_others_write() -> None:
    """Going over a plain deque that changes would raise."""
    history = History(10)
    each = 2000

    def write() -> None:
        for number in range(each):
            history.add("user", str(number))

    writer = threading.Thread(target=write, name="voicews-test-writer", daemon=True)
    writer.start()
    while writer.is_alive():
        texts = [int(turn.text) for turn in history]
        assert texts == sorted(texts)
        assert len(texts) <= 10
    writer.join()
    assert history.turns[-1].text == str(each - 1)


def test_a_correction_replaces_the_newest_turn_with_that_text() -> None:
    history = History(
        turns=(Turn("assistant", "a"), Turn("user", "a"), Turn("assistant", "a"), Turn("user", "b"))
    )
    history.add("assistant", "c", instead_of="a")
    assert history.turns == (
        Turn("assistant", "a"),
        Turn("user", "a"),
        Turn("assistant", "c"),
        Turn("user", "b"),
    )


def test_a_blank_correction_takes_the_turn_away() -> None:
    history = History(turns=(Turn("user", "a"), Turn("assistant", "b")))
    history.add("assistant", " ", instead_of="b")
    assert history.turns == (Turn("user", "a"),)


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_a_correction_of_what_is_not_remembered_is_a_turn(limit: int) -> None:
    history = History(limit)
    history.add("user", "a")
    history.add("assistant", "c", instead_of="b")
    assert history.turns == (Turn("user", "a"), Turn("assistant", "c"))[2 - limit :]
