from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicews.assistant.brain import SpeaksUp
from voicews.assistant.home import HomeHelper, clock_words, date_words
from voicews.history import History

NOW = datetime(2026, 11, 22, 16, 5)  # noqa: DTZ001 - a wall clock has no zone


class Home:
    """A helper with a clock of its own, and a conversation with it."""

    def __init__(self) -> None:
        self.time = 0.0
        self.helper = HomeHelper(now=lambda: NOW, clock=lambda: self.time, seed=1)
        self.history = History()

    def ask(self, text: str) -> str:
        answer = "".join(self.helper(self.history, text))
        self.history.add("user", text)
        self.history.add("assistant", answer)
        return answer


@pytest.fixture
def home() -> Home:
    return Home()


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What time is it?", "It is four oh five p.m."),
        ("Could you please tell me what time it is?", "It is four oh five p.m."),
        ("what's the time", "It is four oh five p.m."),
        ("What day is it today?", "Today is Sunday, November twenty-second."),
        ("What is the date?", "Today is Sunday, November twenty-second."),
        ("what's today's date", "Today is Sunday, November twenty-second."),
        ("What day is it tomorrow?", "Tomorrow is Monday, November twenty-third."),
        ("What day was yesterday?", "Yesterday was Saturday, November twenty-first."),
        ("What day is the day after tomorrow?", "The day after tomorrow is Tuesday, November twenty-fourth."),
        ("what is today?", "Today is Sunday, November twenty-second."),
        ("Which month is it?", "It is November."),
        ("What year is it?", "It is the year twenty twenty-six."),
        ("What is seven times eight?", "Seven times eight is fifty-six."),
        ("What's 7 x 8?", "Seven times eight is fifty-six."),
        ("What is 12.5 plus 30?", "Twelve point five plus thirty is forty-two point five."),
        ("Ten divided by zero?", "Nothing can be divided by zero."),
        ("Hello!", "Hello. What can I do for you?"),
        ("Good morning.", "Hello. What can I do for you?"),
        ("Greet the visitor.", "Hello. What can I do for you?"),
        ("How are you?", "I am fine, thank you. What can I do for you?"),
        ("Who are you?", "I am a small home helper that runs on this computer alone."),
        ("Thank you, goodbye.", "You are welcome. Goodbye."),
        ("Thank you. Goodbye", "You are welcome. Goodbye."),
        ("Thanks.", "You are welcome."),
        ("Bye!", "Goodbye."),
        ("Okay.", "All right."),
        ("Stop.", "All right, I will be quiet."),
        ("Repeat after me: the quick fox", "The quick fox."),
        ("Say hello.", "Hello."),
        ("", "I did not hear anything."),
        ("!?", "I did not hear anything."),
        ("What did I say first?", "You have not said anything before that."),
        ("What did you say?", "I have not said anything yet."),
        ("Repeat that.", "I have not said anything yet."),
        ("What is my name?", "You have not told me your name."),
        ("My name is Clara.", "Nice to meet you, Clara."),
        ("Call me Ishmael", "Nice to meet you, Ishmael."),
        ("How long is left?", "No timer is running."),
        ("Cancel the timer.", "No timer is running."),
        ("Set a timer.", "For how long? Say, for example: set a timer for ten minutes."),
        ("Set a timer for two weeks.", "I can keep timers from one second to seven days."),
        ("Set a timer for zero seconds.", "I can keep timers from one second to seven days."),
    ],
)
def test_answers(home: Home, question: str, answer: str) -> None:
    assert home.ask(question) == answer


@pytest.mark.parametrize("question", ["What can you do?", "Help!", "What do you understand?"])
def test_it_says_what_it_can_do(home: Home, question: str) -> None:
    assert home.ask(question).startswith("I can tell the time")


@pytest.mark.parametrize(
    "question",
    ["What is the capital of France?", "Turn on the lights.", "I like bananas.", "What is love?"],
)
def test_it_admits_what_it_does_not_know(home: Home, question: str) -> None:
    assert home.ask(question).startswith("I do not know about that. I can tell the time")


def test_it_streams_words(home: Home) -> None:
    assert list(home.helper(History(), "2 + 2")) == ["Two", " plus", " two", " is", " four."]


def test_it_remembers_what_was_said(home: Home) -> None:
    home.ask("What is seven times eight?")
    home.ask("Tell me a joke.")
    assert home.ask("What did I just say?") == "Before that you said: Tell me a joke."
    assert home.ask("Please remind me what I said first.") == (
        "The first thing you said was: What is seven times eight?"
    )
    assert home.ask("what was the first thing I asked") == (
        "The first thing you said was: What is seven times eight?"
    )


def test_it_repeats_itself(home: Home) -> None:
    sum_ = home.ask("2 plus 2")
    assert home.ask("What did you say?") == sum_
    assert home.ask("Say that again, please.") == sum_
    assert home.ask("Pardon?") == sum_


def test_it_remembers_the_last_name(home: Home) -> None:
    home.ask("My name is Clara.")
    home.ask("My name is Mary Ann.")
    assert home.ask("Do you remember my name?") == "Your name is Mary Ann."


def test_jokes_do_not_come_twice_before_all_were_told(home: Home) -> None:
    told = [home.ask("Tell me a joke.") for _ in range(4)]
    assert len(set(told)) == 4
    assert home.ask("Another joke!") in told


class TestTimers:
    def test_one(self, home: Home) -> None:
        assert home.ask("Set a timer for ten seconds.") == "Your timer is set for ten seconds."
        assert home.helper.next_due() == 10
        home.time = 4
        assert home.ask("How long is left?") == "Your ten-second timer has six seconds left."
        assert home.helper.take_due() == []
        home.time = 10
        assert home.helper.next_due() == 0
        assert home.helper.take_due() == ["Your ten-second timer is done."]
        assert home.helper.next_due() is None

    def test_several_with_names(self, home: Home) -> None:
        assert home.ask("Set a pasta timer for 8 minutes") == "Your pasta timer is set for eight minutes."
        home.ask("Set a timer for one hour called cake")
        home.ask("Start a 90 second timer")
        assert home.ask("how much time is left on my pasta timer?") == (
            "Your pasta timer has eight minutes left."
        )
        assert home.ask("What timers are running?") == (
            "Your one minute and thirty seconds timer has one minute and thirty seconds left. "
            "Your pasta timer has eight minutes left. Your cake timer has one hour left."
        )
        assert home.ask("Cancel the timer").startswith("Which one?")
        assert home.ask("Cancel the pasta timer.") == "I cancelled the pasta timer."
        assert (
            home.ask("Cancel the 90 second timer.") == "I cancelled the one minute and thirty seconds timer."
        )
        home.ask("set a timer for 5 minutes")
        assert home.ask("Cancel all timers.") == "I cancelled two timers."
        assert home.helper.next_due() is None

    @pytest.mark.parametrize(
        "text", ["Remind me in five minutes to call mum.", "remind me to call mum in five minutes"]
    )
    def test_reminders(self, home: Home, text: str) -> None:
        assert home.ask(text) == "I will remind you in five minutes to call mum."
        assert home.ask("What reminders are there?") == "Your reminder to call mum has five minutes left."
        home.time = 300
        assert home.helper.take_due() == ["I was to remind you to call mum."]

    def test_too_many(self, home: Home) -> None:
        for _ in range(50):
            home.ask("set a timer for 5 minutes")
        assert home.ask("set a timer for 5 minutes") == "I have as many timers running as I can keep."

    def test_it_speaks_up(self, home: Home) -> None:
        assert isinstance(home.helper, SpeaksUp)


@pytest.mark.parametrize(
    ("hour", "minute", "said"),
    [
        (0, 0, "twelve a.m."),
        (0, 7, "twelve oh seven a.m."),
        (11, 59, "eleven fifty-nine a.m."),
        (12, 0, "twelve p.m."),
        (23, 10, "eleven ten p.m."),
    ],
)
def test_the_clock(hour: int, minute: int, said: str) -> None:
    assert clock_words(NOW.replace(hour=hour, minute=minute)) == said


def test_the_date() -> None:
    assert date_words(NOW) == "Sunday, November twenty-second"


def test_the_turn_of_a_century() -> None:
    helper = HomeHelper(now=lambda: NOW.replace(year=2100))
    assert helper.answer(History(), "what year is it") == "It is the year twenty-one hundred."


@given(st.text(max_size=80))
def test_nothing_said_upsets_it(text: str) -> None:
    helper = HomeHelper()
    assert helper.answer(History(), text)


OWN_WORDS = (
    "set a timer for ten minutes",
    "and half an hour",
    "cancel all the",
    "what is left",
    "my name",
    "did i say first",
    "remind me to",
    "in 2 %",
    "+ plus",
    "call time day tomorrow",
    "said you repeat",
    "",
)


@given(st.lists(st.sampled_from(OWN_WORDS), max_size=12))
def test_nothing_said_with_its_own_words_upsets_it(said: list[str]) -> None:
    helper = HomeHelper()
    assert helper.answer(History(), " ".join(said))
