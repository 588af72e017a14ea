"""What the fakes hear and answer."""

from __future__ import annotations

import pytest

from voicews.errors import ConfigError
from voicews.testing.script import FakeAnswer, Script


def test_turns_come_in_order_and_the_last_again_and_again() -> None:
    script = Script("X", ["a", "b"], ["c", FakeAnswer("d", b"\1\2")])
    assert [script.heard() for _ in range(3)] == ["a", "b", "b"]
    assert [script.answer() for _ in range(3)] == [FakeAnswer("c"), *[FakeAnswer("d", b"\1\2")] * 2]


@pytest.mark.parametrize(("hears", "answers"), [([], ["a"]), (["a"], [])])
def test_a_script_has_at_least_one_turn(hears: list[str], answers: list[str]) -> None:
    with pytest.raises(ConfigError, match="X's hears and answers"):
        Script("X", hears, answers)
