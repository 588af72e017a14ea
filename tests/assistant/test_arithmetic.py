from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicews.assistant.arithmetic import Unanswerable, solve


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is seven times eight?", "Seven times eight is fifty-six."),
        ("what is 7 x 8", "Seven times eight is fifty-six."),
        ("7 \u00d7 8 =", "Seven times eight is fifty-six."),
        ("7*8", "Seven times eight is fifty-six."),
        ("Could you tell me what is two plus two, please?", "Two plus two is four."),
        ("How much is ten divided by four?", "Ten divided by four is two point five."),
        ("10/3", "Ten divided by three is about three point three three three."),
        ("What is twelve point five plus thirty?", "Twelve point five plus thirty is forty-two point five."),
        ("7-3", "Seven minus three is four."),
        ("-7 - 3", "Minus seven minus three is minus ten."),
        ("twenty-five minus five", "Twenty-five minus five is twenty."),
        ("minus five plus three", "Minus five plus three is minus two."),
        ("two plus three times four", "Two plus three times four is fourteen."),
        ("10 / 4 / 5", "Ten divided by four divided by five is zero point five."),
        ("(2 + 3) * 4", "That is twenty."),
        ("What's 20% of 50?", "Twenty percent of fifty is ten."),
        ("twenty per cent of fifty", "Twenty percent of fifty is ten."),
        ("5%", "Five percent is zero point zero five."),
        ("half of nine", "Half of nine is four point five."),
        ("a third of nine", "A third of nine is three."),
        ("a quarter of 10", "A quarter of ten is two point five."),
        ("three squared", "Three squared is nine."),
        ("3\u00b2", "Three squared is nine."),
        ("two cubed", "Two cubed is eight."),
        ("the square root of eighty-one", "The square root of eighty-one is nine."),
        ("square root of two", "The square root of two is about one point four one four."),
        ("square root of 0.25", "The square root of zero point two five is zero point five."),
        ("two to the power of ten", "That is one thousand twenty-four."),
        ("2 ^ -2", "That is zero point two five."),
        ("0^0", "That is one."),
        ("one to the power of 1000000000000", "That is one."),
        ("minus one to the power of 1000000000001", "That is minus one."),
        ("add three and four", "That is seven."),
        ("add 3 to 4", "That is seven."),
        ("subtract 3 from 10", "That is seven."),
        ("multiply six by seven", "That is forty-two."),
        ("divide ten by four", "That is two point five."),
        ("the sum of two and three", "That is five."),
        ("the product of two and three", "That is six."),
        ("the difference between two and three", "That is one."),
        ("9 mod 4", "That is one."),
        ("one hundred and five minus five", "One hundred five minus five is one hundred."),
        ("ten take away three", "Ten minus three is seven."),
        ("0.0000001 plus 1", "That is about one."),
    ],
)
def test_sums(question: str, answer: str) -> None:
    assert solve(question) == answer


@pytest.mark.parametrize(
    "text",
    [
        "",
        "what is seven",
        "what day is it",
        "plus",
        "three plus",
        "plus three",
        "(3 plus 4",
        "3 plus 4)",
        "three four",
        "x x x",
        "add three",
        "two plus a dog",
        "__import__('os').system('true')",
        "1" * 400 + " plus 1",
        "(" * 140 + "1" + ")" * 140,
        "minus " * 60 + "1",
    ],
)
def test_what_is_no_sum(text: str) -> None:
    assert solve(text) is None


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("ten divided by zero", "divided by zero"),
        ("divide ten by zero", "divided by zero"),
        ("5 modulo 0", "divided by zero"),
        ("0 ^ -1", "divided by zero"),
        ("2 ^ 70", "too many digits"),
        ("9^9^9", "too many digits"),
        ("2 to the power of 0.5", "whole powers"),
        ("the square root of minus four", "negative"),
        ("1000000000 times 1000000000", "too many digits"),
        (" times ".join(["9" * 50] * 5), "too many digits"),
        ("9" * 50 + " plus 1", "too many digits"),
        ("one divided by a million", "almost zero"),
        ("the square root of " + "9" * 60 + " plus 0", "too many digits"),
    ],
)
def test_sums_without_a_result_say_why(question: str, reason: str) -> None:
    with pytest.raises(Unanswerable, match=reason):
        solve(question)


@given(
    st.lists(st.integers(-999, 999), min_size=2, max_size=6),
    st.lists(st.sampled_from("+-*/^%"), min_size=5, max_size=5),
)
def test_it_never_fails_otherwise(numbers: list[int], signs: list[str]) -> None:
    text = str(numbers[0]) + "".join(
        f" {sign} {number}" for sign, number in zip(signs, numbers[1:], strict=False)
    )
    try:
        solve(text)
    except Unanswerable:
        return


@given(st.text(alphabet="0123456789+-*/^%().x tenplusminusdivided ", max_size=80))
def test_nonsense_is_no_sum_or_unanswerable(text: str) -> None:
    try:
        solve(text)
    except Unanswerable:
        return


@given(st.integers(-10_000, 10_000), st.integers(-10_000, 10_000))
def test_it_can_add(a: int, b: int) -> None:
    from voicews.assistant.numerals import words

    answer = solve(f"{a} + {b}")
    assert answer is not None
    assert answer.endswith(f" is {words(a + b)}.")
