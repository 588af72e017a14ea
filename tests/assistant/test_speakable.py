from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicews.assistant.numerals import words
from voicews.assistant.speakable import SentenceSplitter, plain_words, speakable


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("It is 4:05 pm.", "It is four oh five p.m."),
        ("10:00", "ten o'clock"),
        ("16:00", "sixteen hundred hours"),
        ("16:45 sharp", "sixteen forty-five sharp"),
        ("9 a.m. sharp", "nine a.m. sharp"),
        ("It's 21°C & 5% rain", "It's twenty-one degrees Celsius and five percent rain"),
        ("70 °F or 20°", "seventy degrees Fahrenheit or twenty degrees"),
        (
            "$5.50, €1, £2.5, $1,200",
            "five dollars and fifty cents, one euro, two point five pounds, one thousand two hundred dollars",
        ),
        ("the 22nd of 11", "the twenty-second of eleven"),
        ("3 x 4 = 12", "three times four equals twelve"),
        ("7/8", "seven over eight"),
        ("-5 and 1,250.75", "minus five and one thousand two hundred fifty point seven five"),
        ("agent 007", "agent zero zero seven"),
        ("0.5", "zero point five"),
        ("**Bold** `code` \U0001f600 hi", "Bold code hi"),
        ("see https://example.org/x", "see example.org/x"),
        ("already words, and so on", "already words, and so on"),
        ("", ""),
        ("room 101.", "room one hundred one."),
        ("1234567890123456", "one two three four five six seven eight nine zero one two three four five six"),
    ],
)
def test_what_has_no_sound_is_written_out(text: str, said: str) -> None:
    assert speakable(text) == said


@given(st.text(max_size=80))
def test_no_text_upsets_it_and_no_digit_is_left(text: str) -> None:
    assert not any(character in "0123456789" for character in speakable(text))


@given(st.integers(0, 10**15 - 1))
def test_every_number_sounds_the_same_in_words_and_digits(number: int) -> None:
    assert plain_words(str(number)) == plain_words(words(number))
    assert plain_words(f"{number:,}") == plain_words(words(number))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("It\u2019s 56.", "it's fifty-six"),
        ("106", "one hundred and six"),
        ("4:25 P.M.", "four twenty-five p.m."),
        ("November 22nd", "November twenty-second"),
        ("12.5", "twelve point five"),
    ],
)
def test_what_sounds_alike(one: str, other: str) -> None:
    assert plain_words(one) == plain_words(other)


class TestSentenceSplitter:
    def feed(self, *pieces: str, longest: int = 240) -> list[str]:
        splitter = SentenceSplitter(longest)
        found = [sentence for piece in pieces for sentence in splitter.feed(piece)]
        return found + splitter.rest()

    def test_sentences_come_as_soon_as_the_next_begins(self) -> None:
        splitter = SentenceSplitter()
        assert splitter.feed("Hello there.") == []
        assert splitter.feed(" ") == []
        assert splitter.feed("How") == ["Hello there."]
        assert splitter.feed(" are you? I") == ["How are you?"]
        assert splitter.rest() == ["I"]
        assert splitter.rest() == []

    @pytest.mark.parametrize(
        ("text", "sentences"),
        [
            ("Dr. Who is in. Is he?", ["Dr. Who is in.", "Is he?"]),
            ("At 4 p.m. we eat. Good.", ["At 4 p.m. we eat.", "Good."]),
            ("At 4 p.m. Then we go.", ["At 4 p.m.", "Then we go."]),
            ("It is 3.5 now", ["It is 3.5 now"]),
            ('He said "no." Then left!', ['He said "no."', "Then left!"]),
            ("One\nTwo\n\nThree", ["One", "Two", "Three"]),
            ("What?! No… Yes", ["What?!", "No…", "Yes"]),
            ("", []),
            (" \n ", []),
        ],
    )
    @pytest.mark.parametrize("size", [1, 3, 1000])
    def test_however_it_comes_in_pieces(self, text: str, sentences: list[str], size: int) -> None:
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        assert self.feed(*pieces) == sentences

    def test_endless_sentences_are_cut(self) -> None:
        assert self.feed("a long one, that goes on and on", longest=20) == [
            "a long one,",
            "that goes on and on",
        ]
        assert self.feed("x" * 50, longest=20) == ["x" * 20, "x" * 20, "x" * 10]

    @given(st.text(max_size=400))
    def test_nothing_is_lost(self, text: str) -> None:
        assert "".join("".join(self.feed(text, longest=50)).split()) == "".join(text.split())
