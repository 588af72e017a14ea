"""Numbers as people say them, both ways: 56 is "fifty-six", and "three point five" is 7/2."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

__all__ = ["LARGEST", "Word", "decimal_words", "ordinal_words", "tokenize", "words"]

Word = str | Fraction
"""What a sentence is made of: a lower-case word or an operator's sign, or a number."""

LARGEST = 10**15
"""Numbers from here on have no name in this module."""

# fmt: off
_UNITS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)
_TENS = ("zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
# fmt: on
_SCALES = {
    "trillion": 10**12,
    "billion": 10**9,
    "million": 10**6,
    "thousand": 1000,
}
_SMALL = {word: value for value, word in enumerate(_UNITS)} | {
    word: 10 * value for value, word in enumerate(_TENS) if value >= 2
}
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_TOKEN = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?|\.\d+|[a-z]+(?:'[a-z]+)*|[-+*/\u00d7÷%^()²³]")


def words(number: int) -> str:
    """The cardinal: ``words(1056)`` is "one thousand fifty-six".

    Raises:
        ValueError: the number has no name here (:data:`LARGEST`).
    """
    if number < 0:
        return f"minus {words(-number)}"
    if number >= LARGEST:
        raise ValueError(f"{number} has too many digits to be said")
    if number < 20:
        return _UNITS[number]
    if number < 100:
        tens, unit = divmod(number, 10)
        return _TENS[tens] + (f"-{_UNITS[unit]}" if unit else "")
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        return f"{_UNITS[hundreds]} hundred" + (f" {words(rest)}" if rest else "")
    for name, scale in _SCALES.items():
        if number >= scale:
            count, rest = divmod(number, scale)
            return f"{words(count)} {name}" + (f" {words(rest)}" if rest else "")
    raise AssertionError(number)  # pragma: no cover - a thousand is the least scale


def decimal_words(number: Fraction, places: int = 3) -> str:
    """With a decimal point where it needs one, rounded: 7/2 is "three point five".

    Raises:
        ValueError: the number has no name here (:data:`LARGEST`).
    """
    scaled = round(abs(number) * 10**places)
    whole, part = divmod(scaled, 10**places)
    digits = f"{part:0{places}d}".rstrip("0") if part else ""
    text = words(whole) + (" point " + " ".join(_UNITS[int(digit)] for digit in digits) if digits else "")
    return f"minus {text}" if number < 0 and scaled else text


def ordinal_words(number: int) -> str:
    """The ordinal: ``ordinal_words(22)`` is "twenty-second".

    Raises:
        ValueError: the number has no name here (:data:`LARGEST`).
    """
    text = words(number)
    head, last = re.fullmatch(r"(.*?)([a-z]+)", text).groups()  # type: ignore[union-attr]
    if last in _ORDINALS:
        return str(head) + _ORDINALS[last]
    return str(head) + (last[:-1] + "ieth" if last.endswith("y") else last + "th")


def tokenize(text: str) -> list[Word]:
    """Split a sentence into words and signs in lower case, and numbers, said or written.

    Punctuation goes, also the hyphen inside a word; ``tokenize("What's twenty-five / 1,000?")``
    is ``["what's", Fraction(25), "/", Fraction(1000)]``.
    """
    text = text.lower().replace("\u2019", "'")
    text = re.sub(r"(?<=[a-z])-(?=[a-z])", " ", text)
    text = re.sub(r"(?<=\d)x(?=\s*\d)", " \u00d7 ", text)
    raw = _TOKEN.findall(text)
    found: list[Word] = []
    at = 0
    while at < len(raw):
        number, after = _read(raw, at)
        if number is None:
            found.append(raw[at])
            at += 1
        else:
            found.append(number)
            at = after
    return found


def _read(raw: Sequence[str], at: int) -> tuple[Fraction | None, int]:
    """The number that begins at ``raw[at]`` and the place after it; None if none begins there."""
    start = at
    total, group = Fraction(0), Fraction(0)
    room = 1000  # the next small number has to fit below this: "four twenty" is two numbers
    bound = LARGEST  # the same for the next scale
    seen = False
    while at < len(raw):
        word = raw[at]
        if _is_digits(word) and not seen:
            group, room, seen = Fraction(word.replace(",", "")), 0, True
        elif word == "a" and not seen and _names_scale(raw, at + 1):
            group, room, seen = Fraction(1), 0, True
        elif word in _SMALL and _SMALL[word] < room:
            group += _SMALL[word]
            room, seen = (10 if _SMALL[word] >= 20 else 0), True
            if _SMALL[word] == 0:
                room = 0
        elif word == "hundred" and seen and 0 < group < 100:
            group, room = group * 100, 100
        elif word in _SCALES and seen and group and bound > _SCALES[word]:
            total, group, room, bound = total + group * _SCALES[word], Fraction(0), 1000, _SCALES[word]
        elif (
            word == "and"
            and at > start
            and raw[at - 1] in ("hundred", *_SCALES)
            and _names_small(raw, at + 1)
        ):
            pass
        else:
            break
        at += 1
    digits = _point(raw, at)
    if digits and (seen or digits):
        group += Fraction(int(digits), 10 ** len(digits))
        seen, at = True, at + 1 + len(_point_words(raw, at))
    return (total + group if seen else None), at


def _is_digits(word: str) -> bool:
    # the interpreter refuses to convert very long ones, and nobody says them
    return word[0] in ".0123456789" and len(word) <= 60


def _names_scale(raw: Sequence[str], at: int) -> bool:
    return at < len(raw) and (raw[at] == "hundred" or raw[at] in _SCALES)


def _names_small(raw: Sequence[str], at: int) -> bool:
    return at < len(raw) and 0 < _SMALL.get(raw[at], 0) < 100


def _point_words(raw: Sequence[str], at: int) -> list[str]:
    if at >= len(raw) or raw[at] != "point":
        return []
    found = []
    for word in raw[at + 1 :]:
        if not (word.isdecimal() or word == "oh" or _SMALL.get(word, 10) < 10):
            break
        found.append(word)
    return found


def _point(raw: Sequence[str], at: int) -> str:
    """The digits after a decimal point said at ``raw[at]``; empty if there is none."""
    return "".join(word if word.isdecimal() else str(_SMALL.get(word, 0)) for word in _point_words(raw, at))
