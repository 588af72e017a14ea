"""Sums as people say them, worked out exactly; nothing is ever handed to ``eval``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fractions import Fraction

from voicews.assistant.numerals import LARGEST, Word, decimal_words, tokenize, words

__all__ = ["Unanswerable", "solve"]

_LONGEST = 300  # characters of a sentence that is looked at
_SIGNS = {"+": "plus", "*": "times", "\u00d7": "times", "/": "over", "÷": "over", "%": "percent"}
_SIGNS |= {"²": "squared", "³": "cubed", "^": "power"}
_OPENING = re.compile(
    r"^(?:(?:so|and|please|hey|okay|ok|now|can you|could you|tell me|what's|what is|what are|whats|"
    r"how much is|how much are|how many is|calculate|compute|work out|the result of|the value of) )+"
)
_CLOSING = re.compile(r"(?: (?:please|equal|equals|make|makes|thanks|thank you|now))+$")
_PHRASES = (
    ("multiplied by", "times"),
    ("divided by", "over"),
    ("to the power of", "power"),
    ("raised to the power of", "power"),
    ("per cent", "percent"),
    ("the square root of", "root"),
    ("square root of", "root"),
    ("root of", "root"),
    ("a half of", "half"),
    ("half of", "half"),
    ("a third of", "third"),
    ("a quarter of", "quarter"),
    ("percent of", "percent"),
    ("the sum of", "sum"),
    ("the product of", "product"),
    ("the difference between", "difference"),
    ("take away", "minus"),
    ("modulo", "mod"),
)
_PARTS = {"half": Fraction(1, 2), "third": Fraction(1, 3), "quarter": Fraction(1, 4)}


class Unanswerable(Exception):
    """It is a sum, but it has no result that could be said; the text says why."""


class _NoSum(Exception):
    """It is no sum."""


def _bounded(value: Fraction) -> Fraction:
    """Keep what is worked out small enough to work on: nobody can hear more digits anyway."""
    if abs(value) >= LARGEST**2 or value.denominator >= LARGEST**4:
        raise Unanswerable("That has too many digits to be said.")
    return value


def _divide(a: Fraction, b: Fraction) -> Fraction:
    if not b:
        raise Unanswerable("Nothing can be divided by zero.")
    return a / b


_PAIRS: dict[str, tuple[frozenset[str], Callable[[Fraction, Fraction], Fraction]]] = {
    "sum": (frozenset({"and"}), lambda a, b: a + b),
    "add": (frozenset({"and", "to"}), lambda a, b: a + b),
    "product": (frozenset({"and"}), lambda a, b: a * b),
    "multiply": (frozenset({"by", "and", "with"}), lambda a, b: a * b),
    "difference": (frozenset({"and"}), lambda a, b: abs(a - b)),
    "subtract": (frozenset({"from"}), lambda a, b: b - a),
    "divide": (frozenset({"by"}), _divide),
}


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        raise Unanswerable("I can only raise to whole powers.")
    count = int(exponent)
    if not base and count < 0:
        raise Unanswerable("Nothing can be divided by zero.")
    if abs(base) in (0, 1):
        return base ** (count % 2 or min(count, 2))
    if abs(count) * max(math.log10(abs(base.numerator)), math.log10(base.denominator)) > 30:
        raise Unanswerable("That has too many digits to be said.")
    return base**count


def _root(value: Fraction) -> Fraction:
    if value < 0:
        raise Unanswerable("A negative number has no square root that I could tell.")
    above, below = math.isqrt(value.numerator), math.isqrt(value.denominator)
    if above**2 == value.numerator and below**2 == value.denominator:
        return Fraction(above, below)
    return Fraction(math.sqrt(value))


class _Reader:
    """Recursive descent over the tokens: sums of products of factors."""

    def __init__(self, tokens: list[Word]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self.operations = 0

    def all(self) -> Fraction:
        value = self._sum()
        if self._at < len(self._tokens):
            raise _NoSum
        return value

    def _take(self, *wanted: str) -> str | None:
        if self._at < len(self._tokens):
            token = self._tokens[self._at]
            if isinstance(token, str) and token in wanted:
                self._at += 1
                return token
        return None

    def _sum(self) -> Fraction:
        value = self._product()
        while sign := self._take("plus", "minus"):
            self.operations += 1
            other = self._product()
            value = _bounded(value + other if sign == "plus" else value - other)
        return value

    def _product(self) -> Fraction:
        value = self._factor()
        while sign := self._take("times", "over", "percent", "mod"):
            self.operations += 1
            if sign == "percent" and self._at == len(self._tokens):
                value /= 100
                continue
            other = self._factor()
            if sign == "times":
                value *= other
            elif sign == "over":
                value = _divide(value, other)
            elif sign == "mod":
                _divide(value, other)
                value %= other
            else:
                value = value * other / 100
            value = _bounded(value)
        return value

    def _factor(self) -> Fraction:
        self._depth += 1
        if self._depth > 50:
            raise _NoSum
        try:
            if self._take("minus", "negative"):
                return -self._factor()
            if word := self._take("root", *_PARTS):
                self.operations += 1
                value = self._factor()
                return _root(value) if word == "root" else value * _PARTS[word]
            value = self._atom()
            while word := self._take("squared", "cubed", "power"):
                self.operations += 1
                exponent = {"squared": Fraction(2), "cubed": Fraction(3)}.get(word)
                value = _power(value, self._factor() if exponent is None else exponent)
            return value
        finally:
            self._depth -= 1

    def _atom(self) -> Fraction:
        if self._take("("):
            value = self._sum()
            if not self._take(")"):
                raise _NoSum
            return value
        if word := self._take(*_PAIRS):
            joints, work = _PAIRS[word]
            self.operations += 1
            first = self._sum()
            if not self._take(*joints):
                raise _NoSum
            return work(first, self._sum())
        if self._at < len(self._tokens):
            token = self._tokens[self._at]
            if isinstance(token, Fraction):
                self._at += 1
                return _bounded(token)
        raise _NoSum


def solve(text: str) -> str | None:
    """Answer a sum in a sentence, such as "Seven times eight is fifty-six."

    Args:
        text: a sentence, with numbers in words or digits.

    Returns:
        The answer, or None if the sentence is no sum.

    Raises:
        Unanswerable: it is a sum without a result that could be said.
    """
    if len(text) > _LONGEST:
        return None
    tokens = tokenize(_normalize(text))
    reader = _Reader(tokens)
    try:
        value = reader.all()
    except _NoSum:
        return None
    if not reader.operations:
        return None
    if abs(value) >= LARGEST:
        raise Unanswerable("That has too many digits to be said.")
    rounded = round(value, 3)
    verb = "is" if rounded == value else "is about"
    if not rounded and value:
        raise Unanswerable("That is almost zero.")
    return f"{_question(tokens)} {verb} {decimal_words(value)}."


def _normalize(text: str) -> str:
    text = text.lower().replace("\u2019", "'").strip().rstrip("?!.=").strip()
    text = _CLOSING.sub("", _OPENING.sub("", text.replace(", ", " ")))
    # the hyphen of "twenty-five" is no minus
    text = re.sub(r"(?<=[\d)])\s*-\s*(?=[\d(])|(?<=\s)-(?=[\s\d])|^-(?=\d)", " minus ", text)
    text = re.sub(r"(?<![a-z])x(?![a-z])", " times ", text)
    for sign, word in _SIGNS.items():
        text = text.replace(sign, f" {word} ")
    text = " ".join(text.split())
    for spoken, short in _PHRASES:
        text = re.sub(rf"(?<![a-z]){spoken}(?![a-z])", short, text)
    return text


def _question(tokens: list[Word]) -> str:
    """The sum itself, said back; "That" where it would not read well."""
    if any(token in _PAIRS or token in ("(", ")", "power", "mod") for token in tokens):
        return "That"
    said = []
    for index, part in enumerate(tokens):
        if isinstance(part, Fraction):
            if part.denominator == 1 and abs(part) < LARGEST:
                said.append(words(int(part)))
            elif 1000 % part.denominator == 0 and abs(part) < LARGEST:
                said.append(decimal_words(part))
            else:
                return "That"
        elif part == "over":
            said.append("divided by")
        elif part == "percent":
            said.append("percent of" if index + 1 < len(tokens) else "percent")
        elif part == "root":
            said.append("the square root of")
        elif part in _PARTS:
            said.append({"half": "half of", "third": "a third of", "quarter": "a quarter of"}[str(part)])
        else:
            said.append(part)
    text = " ".join(said)
    return text[0].upper() + text[1:]
