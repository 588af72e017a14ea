from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicews.assistant.numerals import LARGEST, decimal_words, ordinal_words, tokenize, words


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (20, "twenty"),
        (56, "fifty-six"),
        (100, "one hundred"),
        (105, "one hundred five"),
        (1000, "one thousand"),
        (1056, "one thousand fifty-six"),
        (2_000_001, "two million one"),
        (-3, "minus three"),
        (999_999, "nine hundred ninety-nine thousand nine hundred ninety-nine"),
    ],
)
def test_cardinals(number: int, said: str) -> None:
    assert words(number) == said


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (1, "first"),
        (2, "second"),
        (3, "third"),
        (5, "fifth"),
        (8, "eighth"),
        (9, "ninth"),
        (12, "twelfth"),
        (20, "twentieth"),
        (22, "twenty-second"),
        (100, "one hundredth"),
        (111, "one hundred eleventh"),
    ],
)
def test_ordinals(number: int, said: str) -> None:
    assert ordinal_words(number) == said


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (Fraction(7, 2), "three point five"),
        (Fraction(1, 20), "zero point zero five"),
        (Fraction(-1, 3), "minus zero point three three three"),
        (Fraction(-1, 10_000), "zero"),
        (Fraction(1999, 1000), "one point nine nine nine"),
        (Fraction(19999, 10000), "two"),
        (Fraction(4), "four"),
    ],
)
def test_decimals(number: Fraction, said: str) -> None:
    assert decimal_words(number) == said


def test_what_is_too_large_has_no_name() -> None:
    assert words(LARGEST - 1).startswith("nine hundred ninety-nine trillion")
    with pytest.raises(ValueError, match="too many digits"):
        words(LARGEST)


@given(st.integers(min_value=0, max_value=LARGEST - 1))
def test_every_number_is_read_back(number: int) -> None:
    assert tokenize(words(number)) == [number]


@given(st.integers(min_value=0, max_value=10**9), st.integers(min_value=0, max_value=999))
def test_every_decimal_is_read_back(whole: int, part: int) -> None:
    number = whole + Fraction(part, 1000)
    assert tokenize(decimal_words(number)) == [number]


@given(st.text(max_size=60))
def test_no_text_upsets_it(text: str) -> None:
    tokenize(text)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("What's twenty-five / 1,000?", ["what's", 25, "/", 1000]),
        ("four twenty-five p.m.", [4, 25, "p", "m"]),
        ("one hundred and five", [105]),
        ("two and three", [2, "and", 3]),
        ("a hundred", [100]),
        ("a dog", ["a", "dog"]),
        ("twenty-five hundred", [2500]),
        ("a thousand two hundred and three", [1203]),
        ("2.5 million", [2_500_000]),
        ("three point one four", [Fraction(157, 50)]),
        ("3 point 1 4", [Fraction(157, 50)]),
        ("one point oh five", [Fraction(21, 20)]),
        ("point five", [Fraction(1, 2)]),
        (".5", [Fraction(1, 2)]),
        ("the point is", ["the", "point", "is"]),
        ("nineteen eighty four", [19, 84]),
        ("one two three", [1, 2, 3]),
        ("zero five", [0, 5]),
        ("7x8", [7, "\u00d7", 8]),
        ("hundred", ["hundred"]),
        ("million million", ["million", "million"]),
        ("two million thousand", [2_000_000, "thousand"]),
        ("it\u2019s ten", ["it's", 10]),
    ],
)
def test_numbers_in_sentences(text: str, tokens: list[object]) -> None:
    assert tokenize(text) == tokens


def test_endless_digits_are_no_number() -> None:
    assert tokenize("1" * 5000) == ["1" * 5000]
