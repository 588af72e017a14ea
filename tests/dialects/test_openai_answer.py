"""An answer that comes in pieces, and is cut where the user stopped listening."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicews.config import AudioFormat
from voicews.dialects.openai_answer import Answer, Cut, Part, beginning, code_of

FORMAT = AudioFormat(8000)


@pytest.mark.parametrize(
    ("share", "begun"),
    [
        (0.0, ""),
        (0.1, ""),
        (0.3, "One"),
        (0.5, "One"),
        (0.6, "One two"),
        (0.99, "One two"),
        (1.0, "One two three"),
    ],
)
def test_beginnings_end_with_whole_words(share: float, begun: str) -> None:
    assert beginning("One two three", share) == begun


@given(text=st.text(), share=st.floats(0, 2))
def test_a_beginning_is_one(text: str, share: float) -> None:
    begun = beginning(text, share)
    assert text.startswith(begun)
    assert len(begun) <= max(0, int(len(text) * share))


@given(
    lengths=st.lists(st.integers(0, 8000), max_size=6),
    heard=st.floats(-1, 10),
)
def test_no_cut_is_longer_than_its_part(lengths: list[int], heard: float) -> None:
    parts = [Part(f"i{n}", 0, "One two three", 2 * length) for n, length in enumerate(lengths)]
    cuts = Answer("r", parts).cut(heard, FORMAT)
    for cut in cuts:
        length = lengths[int(cut.item_id[1:])]
        assert 0 <= cut.heard_ms < length / 8
    whole = sum(lengths) / 8000
    assert not cuts or heard < whole


def test_parts_without_a_name_or_sound_are_left_alone() -> None:
    answer = Answer("r", [Part(None, 0, "One", 16000), Part("i1", 0, "Two"), Part("i1", 1, "Three", 16000)])
    assert answer.cut(0.5, FORMAT) == [Cut("i1", 1, 0)]
    assert answer.text == "One\nTwo"
    assert answer.has_sound


def test_parts_are_found_again_and_bounded() -> None:
    answer = Answer("r")
    first = answer.part({"item_id": "i", "content_index": 0})
    assert answer.part({"item_id": "i"}) is first
    for number in range(2000):
        answer.part({"item_id": "i", "content_index": number})
    assert len(answer.parts) == 1000
    assert not answer.has_sound


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"code": "c", "type": "t"}, "c"),
        ({"code": None, "type": "t"}, "t"),
        ({"code": 7}, 7),
        ({"code": True}, None),
        ({"code": 10**100}, None),
        ({}, None),
    ],
    ids=str,
)
def test_codes_of_errors(error: dict[str, object], code: object) -> None:
    assert code_of(error) == code
