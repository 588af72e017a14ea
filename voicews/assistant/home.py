"""The brain that comes with voicews: a small home helper that is honest about what it can do."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from fractions import Fraction

from voicews.assistant.arithmetic import Unanswerable, solve
from voicews.assistant.brain import pieces
from voicews.assistant.numerals import ordinal_words, tokenize, words
from voicews.assistant.timers import LONGEST, Timer, Timers, duration_words, read_duration
from voicews.history import History

__all__ = ["HomeHelper", "clock_words", "date_words"]

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
# fmt: off
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)
# fmt: on
_ABILITIES = "I can tell the time and the date, do sums, keep timers, tell jokes, and remember what we said."
_JOKES = (
    "Why did the scarecrow win a prize? Because he was outstanding in his field.",
    "Why did the bicycle fall over? It was two tired.",
    "Why do bees have sticky hair? Because they use honeycombs.",
    "What did the zero say to the eight? Nice belt.",
)
_POLITE = re.compile(
    r"^(?:(?:hey|okay|ok|well|so|um|uh|please|now|can you|could you|would you|will you|i want you to|"
    r"i would like you to)\b[ ,]*)+|(?:[ ,]+(?:please|thanks))+$"
)
_LENGTH_NAME = re.compile(r"-(?:second|minute|hour|day)$")


def clock_words(now: datetime) -> str:
    """The time of day as it is said: "four oh five p.m."."""
    hour = words(now.hour % 12 or 12)
    if not now.minute:
        minute = ""
    elif now.minute < 10:
        minute = f" oh {words(now.minute)}"
    else:
        minute = f" {words(now.minute)}"
    return f"{hour}{minute} {'a.m.' if now.hour < 12 else 'p.m.'}"


def date_words(day: datetime) -> str:
    """The date as it is said: "Sunday, November twenty-second"."""
    return f"{_DAYS[day.weekday()]}, {_MONTHS[day.month - 1]} {ordinal_words(day.day)}"


class HomeHelper:
    """Time, date, sums, timers, small talk, and what was said before.

    It knows nothing else, and says so.  It can be shared by many conversations; timers
    belong to the home, so they outlive a lost connection and ring for everybody.

    Args:
        now: the date and time of day; default the local ones.
        clock: seconds for the timers; default :func:`time.monotonic`.
        seed: makes the order of jokes repeatable.
    """

    def __init__(
        self,
        *,
        now: Callable[[], datetime] = datetime.now,
        clock: Callable[[], float] = time.monotonic,
        seed: int | None = None,
    ) -> None:
        self._now = now
        self._timers = Timers(clock)
        self._chance = random.Random(seed)
        self._topics: tuple[tuple[re.Pattern[str], Callable[[History, str], str | None]], ...] = tuple(
            (re.compile(pattern), answer)
            for pattern, answer in (
                (r"\b(?:timers?|alarms?|reminders?)\b|\bremind me (?:in|to)\b", self._timer),
                (r"\bhow (?:long|much time|much longer)\b.*\b(?:left|remaining|still|to go)\b", self._timer),
                (
                    r"\b(?:what|remind me|remember|tell me)\b.*\b(?:i|we)\b.*\b(?:say|said|ask|asked)\b",
                    self._said,
                ),
                (r"\b(?:say|repeat) (?:that|it|this|yourself)\b|^repeat$|^pardon|^come again", self._again),
                (r"\bwhat (?:did|have) you\b.*\b(?:say|said|answer|answered)\b|^what was that$", self._again),
                (r"^(?:repeat after me|repeat|say)\b[ ,:]+(?P<text>.+)", self._parrot),
                (r"\b(?:my name is|i am called|call me)\s+(?P<name>[a-z' -]+?)$", self._meet),
                (r"\bwhat(?:'s| is) my name\b|\bwho am i\b|\bdo you (?:know|remember) my name\b", self._name),
                (r"\bwhat time\b|\bthe time\b|\bhow late is it\b|^time$", self._time),
                (r"\b(?:what|which|the|today's|tomorrow's) (?:day|date|month|year)\b|^date$", self._date),
                (r"\bwhat is (?:today|tomorrow)\b|\bwhat's (?:today|tomorrow)\b", self._date),
                (r"", self._sum),
                (r"\bjoke|\bmake me laugh\b|\bsomething funny\b", self._joke),
                (r"\bwhat can you do\b|\bhelp\b|\bwhat do you (?:do|know|understand)\b", self._help),
                (r"\bwho are you\b|\bwhat are you\b|\byour name\b", self._introduce),
                (r"\bhow are you\b|\bhow do you do\b|\bhow is it going\b|\bhow's it going\b", self._how),
                (r"\bthank(?:s| you)\b|\b(?:good)?bye\b|\bgood night\b|\bsee you\b", self._leave),
                (r"^(?:hello|hi|hey|good (?:morning|afternoon|evening)|greetings)\b|^greet\b", self._greet),
                (r"^(?:yes|no|okay|ok|right|good|great|nice|well done|fine|cool)(?: then)?$", self._nod),
                (r"^(?:stop|quiet|be quiet|never mind|cancel|forget it)$", self._hush),
            )
        )

    def __call__(self, history: History, text: str) -> Iterator[str]:
        """Answer; see :data:`~voicews.assistant.brain.Brain`."""
        yield from pieces(self.answer(history, text))

    def answer(self, history: History, text: str) -> str:
        """The whole answer to a turn."""
        heard = _clean(text)
        if not heard:
            return "I did not hear anything."
        for pattern, topic in self._topics:
            if pattern.search(heard) and (answer := topic(history, heard)):
                return answer
        return f"I do not know about that. {_ABILITIES}"

    def next_due(self) -> float | None:
        """Seconds until a timer rings; None if none is running."""
        return self._timers.next_due()

    def take_due(self) -> list[str]:
        """What to say about the timers that have rung."""
        return [
            f"I was to remind you to {timer.task}." if timer.task else f"Your {timer.name} timer is done."
            for timer in self._timers.take_rung()
        ]

    # -- timers -----------------------------------------------------------------------------

    def _timer(self, history: History, heard: str) -> str | None:
        running = self._timers.running
        if re.search(r"\b(?:cancel|stop|delete|clear|turn off|remove|end)\b", heard):
            return self._cancel(running, heard)
        if re.search(r"\bhow (?:long|much|many)\b|\bwhat\b|\bwhich\b|\bany\b|\bleft\b|\blist\b", heard):
            return self._tell(running, heard)
        return self._set(heard)

    def _set(self, heard: str) -> str:
        task = ""
        if found := re.search(r"\bremind me (?:in .+? to|to (?P<first>.+?) in|to) (?P<rest>.+)", heard):
            task = found["first"] or found["rest"]
            heard = heard.replace(task, " ") if not found["first"] else found["rest"]
        seconds = read_duration(tokenize(heard))
        if seconds is None:
            return "For how long? Say, for example: set a timer for ten minutes."
        if not 1 <= seconds <= LONGEST:
            return "I can keep timers from one second to seven days."
        name = _timer_name(heard) or _length_name(seconds)
        if not self._timers.start(seconds, name, task):
            return "I have as many timers running as I can keep."
        length = duration_words(seconds)
        if task:
            return f"I will remind you in {length} to {task}."
        if _LENGTH_NAME.search(name):
            return f"Your timer is set for {length}."
        return f"Your {name} timer is set for {length}."

    def _cancel(self, running: tuple[Timer, ...], heard: str) -> str:
        if not running:
            return "No timer is running."
        chosen = _matching(running, heard)
        if len(chosen) > 1 and not re.search(r"\b(?:all|every|both|timers)\b", heard):
            return f"Which one? {self._list(chosen)}"
        self._timers.cancel(chosen)
        if len(chosen) == 1:
            return f"I cancelled the {chosen[0].name} timer."
        return f"I cancelled {words(len(chosen))} timers."

    def _tell(self, running: tuple[Timer, ...], heard: str) -> str:
        if not running:
            return "No timer is running."
        return self._list(_matching(running, heard))

    def _list(self, timers: tuple[Timer, ...]) -> str:
        return " ".join(
            f"{_what(timer)} has {duration_words(self._timers.left(timer))} left." for timer in timers
        )

    # -- the conversation so far --------------------------------------------------------------

    def _said(self, history: History, heard: str) -> str:
        said = [turn.text for turn in history if turn.role == "user"]
        if not said:
            return "You have not said anything before that."
        if re.search(r"\bfirst\b|\bbeginning\b|\bstart\b", heard):
            return f"The first thing you said was: {_sentence(said[0])}"
        return f"Before that you said: {_sentence(said[-1])}"

    def _again(self, history: History, heard: str) -> str:
        said = [turn.text for turn in history if turn.role == "assistant"]
        return said[-1] if said else "I have not said anything yet."

    def _parrot(self, history: History, heard: str) -> str:
        found = re.search(r"^(?:repeat after me|repeat|say)\b[ ,:]+(.+)", heard)
        return _sentence(found[1]) if found else ""

    def _meet(self, history: History, heard: str) -> str | None:
        name = _own_name(heard)
        return f"Nice to meet you, {name}." if name else None

    def _name(self, history: History, heard: str) -> str:
        for turn in reversed(history.turns):
            if turn.role == "user" and (name := _own_name(_clean(turn.text))):
                return f"Your name is {name}."
        return "You have not told me your name."

    # -- the rest -----------------------------------------------------------------------------

    def _time(self, history: History, heard: str) -> str:
        return f"It is {clock_words(self._now())}"

    def _date(self, history: History, heard: str) -> str:
        now = self._now()
        if re.search(r"\byear\b", heard):
            century, rest = divmod(now.year, 100)
            return f"It is the year {words(century)} {words(rest) if rest else 'hundred'}."
        if re.search(r"\bmonth\b", heard):
            return f"It is {_MONTHS[now.month - 1]}."
        if "day after tomorrow" in heard:
            return f"The day after tomorrow is {date_words(now + timedelta(days=2))}."
        if "tomorrow" in heard:
            return f"Tomorrow is {date_words(now + timedelta(days=1))}."
        if "yesterday" in heard:
            return f"Yesterday was {date_words(now - timedelta(days=1))}."
        return f"Today is {date_words(now)}."

    def _sum(self, history: History, heard: str) -> str | None:
        try:
            return solve(heard)
        except Unanswerable as reason:
            return str(reason)

    def _joke(self, history: History, heard: str) -> str:
        told = {turn.text for turn in history if turn.role == "assistant"}
        fresh = [joke for joke in _JOKES if joke not in told] or list(_JOKES)
        return self._chance.choice(fresh)

    def _help(self, history: History, heard: str) -> str:
        return _ABILITIES

    def _introduce(self, history: History, heard: str) -> str:
        return "I am a small home helper that runs on this computer alone."

    def _how(self, history: History, heard: str) -> str:
        return "I am fine, thank you. What can I do for you?"

    def _leave(self, history: History, heard: str) -> str:
        thanked = re.search(r"\bthank", heard)
        leaving = re.search(r"\b(?:good)?bye\b|\bgood night\b|\bsee you\b", heard)
        return " ".join(("You are welcome.",) * bool(thanked) + ("Goodbye.",) * bool(leaving))

    def _greet(self, history: History, heard: str) -> str:
        return "Hello. What can I do for you?"

    def _nod(self, history: History, heard: str) -> str:
        return "All right."

    def _hush(self, history: History, heard: str) -> str:
        return "All right, I will be quiet."


def _clean(text: str) -> str:
    """Lower case, with neither courtesies nor the punctuation at the end."""
    text = text.lower().replace("\u2019", "'").strip()
    text = re.sub(r"(?<!\d)[.,;:!?]+(?=\s|$)|(?<=\d)[.,;:!?]+(?=\s|$)", "", text).strip()
    return _POLITE.sub("", text).strip() or text


def _sentence(text: str) -> str:
    text = text.strip()
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _what(timer: Timer) -> str:
    return f"Your reminder to {timer.task}" if timer.task else f"Your {timer.name} timer"


def _own_name(heard: str) -> str | None:
    found = re.search(r"\b(?:my name is|i am called|call me)\s+(?P<name>[a-z' -]{1,40}?)$", heard)
    return found["name"].title() if found else None


def _timer_name(heard: str) -> str | None:
    """The "pasta" of "set a pasta timer" or of "set a timer for ten minutes called pasta"."""
    found = re.search(r"\b(?:called|named) (?P<name>[a-z ]{1,30})$", heard)
    if found:
        return found["name"]
    found = re.search(r"\b(?:a|an|my|the|another) (?P<name>[a-z]+) (?:timer|alarm)\b", heard)
    if found and not any(isinstance(token, Fraction) for token in tokenize(found["name"])):
        name = found["name"]
        return None if name in ("new", "second", "minute", "hour", "kitchen", "day") else name
    return None


def _length_name(seconds: float) -> str:
    length = duration_words(seconds)
    number, _, unit = length.partition(" ")
    simple = " and " not in length and "," not in length
    return f"{number}-{unit.removesuffix('s')}" if simple else length


def _matching(running: tuple[Timer, ...], heard: str) -> tuple[Timer, ...]:
    """The timers that the sentence names, all if it names none."""
    wanted = read_duration(tokenize(heard))
    named = tuple(
        timer
        for timer in running
        if re.search(rf"\b{re.escape(timer.name)}\b", heard)
        or (wanted is not None and timer.name == _length_name(wanted))
    )
    return named or running
