"""Text made ready to be spoken: numbers in words, and cut into sentences as it comes in."""

from __future__ import annotations

import re
from collections.abc import Callable

from voicews.assistant.numerals import ordinal_words, words

__all__ = ["SentenceSplitter", "plain_words", "speakable"]

_CURRENCIES = {"$": "dollar", "€": "euro", "£": "pound"}
_CENTS = {"$": "cents", "€": "cents", "£": "pence"}
_SIGNS = {"&": " and ", "@": " at ", "+": " plus ", "=": " equals ", "\u00d7": " times ", "÷": " divided by "}
_UNIT_NAMES = {"°c": "degrees Celsius", "°f": "degrees Fahrenheit", "°": "degrees", "%": "percent"}


def _cardinal(digits: str) -> str:
    number = digits.replace(",", "")
    if len(number.lstrip("0")) > 15 or (len(number) > 1 and number[0] == "0" and "." not in number):
        return " ".join(words(int(digit)) for digit in number if digit.isdigit())  # a serial number
    whole, _, part = number.partition(".")
    if not part:
        return words(int(whole))
    return f"{words(int(whole or '0'))} point {' '.join(words(int(digit)) for digit in part)}"


def _clock(hour: str, minute: str, half: str | None) -> str:
    spoken = words(int(hour))
    if minute != "00":
        spoken += f" oh {words(int(minute))}" if minute[0] == "0" else f" {words(int(minute))}"
    elif not half:
        spoken += " o'clock" if 1 <= int(hour) <= 12 else " hundred hours"
    return spoken + (f" {half[0].lower()}.m." if half else "")


def _money(sign: str, amount: str) -> str:
    whole, _, part = amount.replace(",", "").partition(".")
    spoken = f"{words(int(whole))} {_CURRENCIES[sign]}{'' if int(whole) == 1 else 's'}"
    if len(part) == 2 and int(part):
        return f"{spoken} and {words(int(part))} {_CENTS[sign]}"
    return f"{_cardinal(amount)} {_CURRENCIES[sign]}s" if part else spoken


_RULES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (
        re.compile(r"\b(\d{1,2}):([0-5]\d)(?:\s*([ap])\.?m\b\.?)?", re.IGNORECASE),
        lambda found: _clock(found[1], found[2], found[3]),
    ),
    (
        re.compile(r"\b(\d{1,2})\s*([ap])\.?m\b\.?", re.IGNORECASE),
        lambda found: _clock(found[1], "00", found[2]),
    ),
    (
        re.compile(r"([$€£])\s*(\d{1,12}(?:\.\d+)?|\d{1,3}(?:,\d{3}){1,3}(?:\.\d+)?)(?![\d,]*\d)"),
        lambda found: _money(found[1], found[2]),
    ),
    (re.compile(r"\b(\d{1,15})(?:st|nd|rd|th)\b", re.IGNORECASE), lambda found: ordinal_words(int(found[1]))),
    (
        re.compile(r"(?<=\d)\s*(°\s?[cf]\b|°|%)", re.IGNORECASE),
        lambda found: " " + _UNIT_NAMES["".join(found[1].lower().split())],
    ),
    (re.compile(r"(?<![\w.])[-\u2212](?=\d)"), lambda _: "minus "),
    (re.compile(r"(?<=\d)\s*[x\u00d7*]\s*(?=\d)"), lambda _: " times "),
    (re.compile(r"(?<=\d)\s*/\s*(?=\d)"), lambda _: " over "),
    (re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?"), lambda found: f" {_cardinal(found[0])} "),
)


def speakable(text: str) -> str:
    """Write out what has no sound of its own.

    Numbers, times, money, percent and degrees become words; Markdown's marks and emoji go.
    What is already words stays as it is.
    """
    text = re.sub(r"https?://(\S+)", r"\1", text)
    for rule, say in _RULES:
        text = rule.sub(say, text)
    for sign, spoken in _SIGNS.items():
        text = text.replace(sign, spoken)
    text = re.sub(r"[*_`#~<>|\\{}\[\]]|[\U0001F000-\U0001FAFF\u2600-\u27BF\uFE0F]", " ", text)
    text = re.sub(r"\s+([.,;:!?])", r"\1", text)
    return " ".join(text.split())


_BELOW_HUNDRED = "|".join(words(number) for number in (*range(1, 20), *range(20, 100, 10)))


def plain_words(text: str) -> list[str]:
    """The words of a text as they sound: to compare what was said with what was heard.

    "It's 56." and "it's fifty-six" are both ``["it's", "fifty", "six"]``.
    """
    text = speakable(text.replace("\u2019", "'")).lower()
    text = re.sub(r"\b([ap])\.\s?m\b\.?", r"\1m", text)
    text = re.sub(
        rf"\b(hundred|thousand|million) and (?=(?:{_BELOW_HUNDRED})\b)",
        r"\1 ",
        text,
    )
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", text)


_END = re.compile(r"[.!?…]+[\"'”\u2019)\]]*\s+(?=[^\s])|\n+(?=\S)")
_ABBREVIATIONS = frozenset(["mr", "mrs", "ms", "dr", "prof", "st", "vs", "etc", "e.g", "i.e"])


class SentenceSplitter:
    """Cuts a text that comes in pieces into sentences, each as soon as it is complete.

    Args:
        longest: a sentence that grows over this many characters is cut at a comma or a space.
    """

    def __init__(self, longest: int = 240) -> None:
        self._longest = longest
        self._text = ""

    def feed(self, piece: str) -> list[str]:
        """Take a further piece; returns the sentences that are complete by now."""
        self._text += piece
        found = []
        while (cut := self._cut()) is not None:
            if sentence := self._text[:cut].strip():
                found.append(sentence)
            self._text = self._text[cut:]
        return found

    def rest(self) -> list[str]:
        """What is left when no more pieces come: one last sentence or none."""
        sentence, self._text = self._text.strip(), ""
        return [sentence] if sentence else []

    def _cut(self) -> int | None:
        for end in _END.finditer(self._text):
            if not self._goes_on(end):
                return end.end()
        if len(self._text) <= self._longest:
            return None
        head = self._text[: self._longest]
        for mark in (", ", "; ", ": ", " "):
            if (at := head.rfind(mark)) > 0:
                return at + len(mark)
        return self._longest

    def _goes_on(self, end: re.Match[str]) -> bool:
        """Whether this is no sentence's end: an abbreviation, or a small letter follows."""
        if "\n" in end[0]:
            return False
        before = self._text[: end.start()].rpartition(" ")[2].lower().lstrip("(\"'")
        abbreviated = end[0].strip() == "." and before in _ABBREVIATIONS
        return abbreviated or self._text[end.end()].islower()
