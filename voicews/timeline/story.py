"""What happened in a recorded conversation: who spoke when, who waited for what, and why.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Literal

from voicews.timeline.reading import FRAME, Happening

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "AWAY",
    "PHASES",
    "Mark",
    "Outage",
    "Phase",
    "Span",
    "Story",
    "Utterance",
    "Wait",
    "speech",
    "tell",
]

PHASES = {
    "endpointing": "the server noticed that you had finished",
    "recognising": "it had understood your words",
    "thinking": "it had the first words of the answer",
    "tool": "the tool had its result",
    "synthesis": "the first sound had come",
    "playing": "the loudspeaker played it",
    "link away": "the connection was there again",
}
"""The parts of a wait in their order, and what each is a wait for."""
AWAY = "link away"
_CONNECTING = "connecting"
_FLOOR = 10 ** (-50 / 20)
"""What is quieter is no speech."""
_OVER_NOISE = 4.0
"""How many times louder than the room speech is, at least."""
_NOISIEST = 10 ** (-36 / 20)
"""What is louder is no room, but somebody who speaks nearly all the time."""
_PAUSE = 0.5
"""Seconds of quiet within one utterance."""
_IN_VAIN = 5.0
"""Seconds without an answer after which a question counts as not answered."""
_WRITTEN = "⌨"
"""Before words that were not spoken."""
_SHORTEST = 0.05
"""Seconds; a shorter noise is a click."""


@dataclass(frozen=True)
class Span:
    """A stretch of time, in seconds since the beginning."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.start


@dataclass(frozen=True)
class Utterance(Span):
    """Words of one side, spoken or written."""

    side: Literal["user", "assistant"]
    text: str
    interrupted: bool = False


@dataclass(frozen=True)
class Phase(Span):
    """A part of a wait."""

    name: str


@dataclass(frozen=True)
class Wait(Span):
    """From the end of a question to the first sound of its answer."""

    number: int
    phases: tuple[Phase, ...]

    @property
    def shares(self) -> dict[str, float]:
        """Seconds by the name of the phase, in the order of :data:`PHASES`."""
        return {
            name: seconds
            for name in PHASES
            if (seconds := sum(phase.seconds for phase in self.phases if phase.name == name)) > 0
        }

    @property
    def reason(self) -> tuple[str, float]:
        """What took most of it, and how long."""
        shares = self.shares
        name = max(shares, key=lambda name: shares[name])
        return name, shares[name]


@dataclass(frozen=True)
class Outage(Span):
    """No connection."""

    why: str
    restored: bool


@dataclass(frozen=True)
class Mark:
    """Something that happened at a moment."""

    at: float
    text: str
    bad: bool = False


@dataclass
class Story:
    """All of it."""

    utterances: list[Utterance] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    muted: list[Span] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    sound: list[Span] = field(default_factory=list)
    """Where either side is to be heard, whatever was told about it."""

    @property
    def typical_wait(self) -> float | None:
        """The median; None if nobody waited."""
        return median(wait.seconds for wait in self.waits) if self.waits else None


@dataclass
class _Answer:
    began: float
    text: str = ""
    first_word: float | None = None
    first_sound: float | None = None
    played: float | None = None
    tool: float | None = None
    ended: float | None = None
    done: bool = False
    interrupted: bool = False


@dataclass
class _Question:
    """What an answer answers, as far as it is known."""

    began: float | None = None
    stopped: float | None = None
    understood: float | None = None
    written: float | None = None


def speech(levels: NDArray[np.float64]) -> list[Span]:
    """Where somebody speaks, by the loudness of the frames."""
    import numpy as np

    if not len(levels):
        return []
    noise = min(_NOISIEST, float(np.percentile(levels, 10)))
    loud = np.flatnonzero(levels > max(_FLOOR, _OVER_NOISE * noise))
    if not len(loud):
        return []
    breaks = np.flatnonzero(np.diff(loud) > _PAUSE / FRAME)
    starts = loud[np.concatenate([[0], breaks + 1])]
    ends = loud[np.concatenate([breaks, [len(loud) - 1]])] + 1
    spans = [Span(float(a) * FRAME, float(b) * FRAME) for a, b in zip(starts, ends, strict=True)]
    return [span for span in spans if span.seconds >= _SHORTEST]


def tell(happenings: Sequence[Happening], levels: NDArray[np.float64], seconds: float) -> Story:
    """Make a story of what happened and of what was to be heard.

    Args:
        happenings: in the order in which they happened.
        levels: of microphone and loudspeaker, one row a frame.
        seconds: length of the recording.
    """
    return _Teller(speech(levels[:, 0]), speech(levels[:, 1]), seconds).tell(happenings)


class _Teller:
    def __init__(self, spoken: list[Span], heard: list[Span], seconds: float) -> None:
        self._spoken = spoken
        self._heard = heard
        self._seconds = seconds
        self._story = Story()
        self._answer: _Answer | None = None
        self._question = _Question()
        self._answered_at = 0.0
        self._away: tuple[float, str] | None = None
        self._muted_at: float | None = None
        self._unanswered: list[Mark] = []
        self._partial = ""
        self._answers: list[tuple[_Answer, _Question, float]] = []

    def tell(self, happenings: Iterable[Happening]) -> Story:
        for happening in happenings:
            self._conversation(happening)
            self._link(happening)
            self._trouble(happening)
        self._give_up(self._seconds)
        story, end = self._story, self._seconds
        story.sound = [*self._spoken, *self._heard]
        if self._muted_at is not None:
            story.muted.append(Span(self._muted_at, end))
        if self._away is not None:
            story.outages.append(Outage(self._away[0], end, self._away[1], restored=False))
        if self._answers or any(said.text.startswith(_WRITTEN) for said in story.utterances):
            story.marks += self._unanswered  # else nobody expects any: it only transcribes
        for answer, question, since in self._answers:
            self._tell_answer(answer, question, since)
        story.utterances.sort(key=lambda utterance: utterance.start)
        return story

    # -- who says what ------------------------------------------------------------------------

    def _conversation(self, it: Happening) -> None:
        match it.name:
            case "SpeechStarted":
                self._give_up(it.at)
                self._partial = ""
                self._question.began = it.at
            case "SpeechStopped":
                self._question.stopped = it.at
            case "Said" if it.members.get("command") == "SendText":
                self._give_up(it.at)
                self._question.written = it.at
                words = f"{_WRITTEN} {it.text('text')}"
                self._story.utterances.append(Utterance(it.at, it.at, "user", words))
            case "Transcript" if it.members.get("role") == "user":
                self._user(it)
            case "ResponseStarted" | "Token" | "AudioReceived" | "ToolCall":
                self._assistant(it)
            case "Transcript":
                self._assistant(it)
            case "PlaybackStarted" | "PlaybackFinished" | "Interrupted" | "ResponseDone" | "Disconnected":
                self._playing(it)

    def _lose_words(self, it: Happening) -> None:
        """The connection is gone, and with it what was being said."""
        if self._partial:
            span = self._words(it.at)
            self._story.utterances.append(Utterance(span.start, span.end, "user", f"{self._partial} …"))
            self._mark(it, "the words went with the connection", bad=True)
            self._partial, self._question = "", _Question()

    def _give_up(self, at: float) -> None:
        """Another question, or the end: was the one before left without an answer?"""
        question = self._question
        asked = max((t for t in (question.understood, question.written) if t is not None), default=None)
        if asked is not None and at - asked >= _IN_VAIN:
            self._unanswered.append(Mark(asked, "no answer came", bad=True))
            self._question = _Question()

    def _user(self, it: Happening) -> None:
        if not it.members.get("final"):
            self._partial = it.text("text").strip()
            return
        self._partial = ""
        self._question.understood = it.at
        text = it.text("text").strip()
        if text:
            span = self._words(it.at)
            self._story.utterances.append(Utterance(span.start, span.end, "user", text))

    def _words(self, before: float) -> Span:
        """Where those words were spoken that were understood by then."""
        began = self._question.began
        stopped = self._question.stopped if self._question.stopped is not None else before
        spans = [span for span in self._spoken if span.start < stopped]
        if not spans:
            return Span(before if began is None else began, before)
        # A turn with a long pause in it begins before its last stretch.
        of_turn = [span for span in spans if began is not None and span.end > began - _PAUSE]
        return Span((of_turn or spans[-1:])[0].start, min(spans[-1].end, stopped))

    def _assistant(self, it: Happening) -> None:
        answer = self._answer
        new = it.name in ("ResponseStarted", "Token", "ToolCall") or (
            it.name == "AudioReceived" and answer is not None and answer.interrupted
        )
        if answer is None or (answer.done and new):
            answer = self._answer = _Answer(it.at)
            self._answers.append((answer, self._question, self._answered_at))
            self._question, self._answered_at = _Question(), it.at
        match it.name:
            case "ToolCall":
                answer.tool = answer.tool or it.at
                self._mark(it, f"calls the tool {it.text('name')}")
            case "Token":
                answer.first_word = answer.first_word or it.at
                answer.text += it.text("text")
            case "Transcript" if it.text("text").strip():
                answer.first_word = answer.first_word or it.at
                if it.members.get("final"):
                    answer.text = it.text("text")
            case "AudioReceived":
                answer.first_sound = answer.first_sound or it.at

    def _playing(self, it: Happening) -> None:
        answer = self._answer
        if answer is None:
            return
        match it.name:
            case "PlaybackStarted":
                answer.played = answer.played or it.at
            case "PlaybackFinished":
                answer.ended = it.at
            case "ResponseDone":
                answer.done = True
            case "Disconnected" if answer.first_word is None and answer.first_sound is None:
                # There is nothing of it; the next connection has to answer.
                _, self._question, self._answered_at = self._answers.pop()
                self._answer = None
            case "Disconnected":
                answer.done = True
            case "Interrupted" if answer.ended is None or not answer.done:
                answer.ended, answer.interrupted, answer.done = it.at, True, True
                heard = it.members.get("heard_ms")
                after = f" after {heard / 1000:.1f} s" if isinstance(heard, int) else ""
                self._mark(it, f"interrupted{after}", bad=True)

    def _tell_answer(self, answer: _Answer, question: _Question, since: float) -> None:
        first = self._first_heard(answer)
        start = first if first is not None else answer.began
        end = answer.ended if answer.ended is not None else (self._seconds if answer.played else start)
        text = answer.text.strip()
        if text or first is not None:
            self._story.utterances.append(
                Utterance(start, max(start, end), "assistant", text, answer.interrupted)
            )
        asked = self._asked(question, since, answer.began)
        if first is not None and asked is not None and asked < first:
            phases = self._phases(answer, question, asked, first)
            self._story.waits.append(Wait(asked, first, len(self._story.waits) + 1, phases))

    def _first_heard(self, answer: _Answer) -> float | None:
        """When its first sound left the loudspeaker; None if none did."""
        if answer.played is None:
            return None
        end = answer.ended if answer.ended is not None else self._seconds
        for span in self._heard:
            if span.end > answer.played and span.start < end:
                return max(span.start, answer.played)
        return None

    def _asked(self, question: _Question, since: float, before: float) -> float | None:
        """When the question ended; None if nobody asked."""
        ends = [] if question.written is None else [question.written]
        if question.stopped is not None or question.understood is not None:
            limit = question.stopped if question.stopped is not None else before
            # What is said on and on has no end before the server's word for it.
            ends += [min(span.end, limit) for span in self._spoken if span.start < limit and span.end > since]
        return max(ends, default=None)

    def _phases(self, answer: _Answer, question: _Question, asked: float, heard: float) -> tuple[Phase, ...]:
        speaking = [time for time in (answer.first_word, answer.first_sound) if time is not None]
        word = min(speaking, default=None)
        milestones = (
            ("endpointing", question.stopped),
            ("recognising", question.understood),
            ("thinking", answer.tool if answer.tool is not None else word),
            ("tool", word if answer.tool is not None else None),
            ("synthesis", answer.first_sound),
            ("playing", heard),
        )
        phases: list[Phase] = []
        at = asked
        for name, until in milestones:
            if until is not None and at < until <= heard:
                phases += self._without_outages(Phase(at, until, name))
                at = until
        return tuple(phases)

    def _without_outages(self, phase: Phase) -> list[Phase]:
        cut, at = [], phase.start
        for outage in self._story.outages:
            start, end = max(at, outage.start), min(phase.end, outage.end)
            if start < end:
                cut += [Phase(at, start, phase.name), Phase(start, end, AWAY)]
                at = end
        return [part for part in (*cut, Phase(at, phase.end, phase.name)) if part.seconds > 0]

    # -- the machinery --------------------------------------------------------------------------

    def _link(self, it: Happening) -> None:
        match it.name:
            case "StateChanged" if it.members.get("new") == "CONNECTING":
                self._away = (it.at, _CONNECTING)
            case "Disconnected" if it.members.get("error") is not None:
                self._away = (it.at, it.why)
                self._lose_words(it)
            case "Reconnecting" if self._away is None or self._away[1] == _CONNECTING:
                self._away = (it.at if self._away is None else self._away[0], it.why)
            case "Connected":
                if self._away is not None and (self._away[1] != _CONNECTING or it.at - self._away[0] > 0.3):
                    self._story.outages.append(Outage(self._away[0], it.at, self._away[1], restored=True))
                self._away = None
            case "StateChanged" if it.members.get("new") == "CLOSING" and self._away is not None:
                self._story.outages.append(Outage(self._away[0], it.at, self._away[1], restored=False))
                self._away = None
            case "Muted":
                self._muted_at = it.at
            case "Unmuted":
                if self._muted_at is not None:
                    self._story.muted.append(Span(self._muted_at, it.at))
                self._muted_at = None

    def _trouble(self, it: Happening) -> None:
        match it.name:
            case "FramesDropped":
                what = {"outbox": "captured frames", "playback": "pieces of the answer"}
                name = what.get(it.text("buffer"), f"pieces of the {it.text('buffer')}")
                self._mark(it, f"{it.text('count')} {name} dropped ({it.text('cause')})", bad=True)
            case "DeviceLost":
                self._mark(it, f"{it.text('device')} lost: {it.why}", bad=True)
            case "DeviceRestored":
                self._mark(it, f"{it.text('device')} works again")
            case "ServerError":
                self._mark(it, f"server error: {it.text('message')}", bad=True)
            case "ReconnectFailed":
                self._mark(it, f"given up after {it.text('attempts')} attempts", bad=True)
            case "Undelivered":
                self._mark(
                    it, "perhaps not delivered" if it.members.get("sent") else "not delivered", bad=True
                )
            case "CallbackError":
                self._mark(it, f"the callback {it.text('callback')} failed: {it.why}", bad=True)
            case "RecordingFailed":
                self._mark(it, f"not recorded any more: {it.why}", bad=True)
            case "CaptureFinished":
                self._mark(it, "the microphone has come to its end")
            case "Note" | "Remark":
                self._mark(it, it.text("text"))
            case "Said" if it.members.get("command") == "InterruptResponse":
                self._mark(it, "you interrupt")

    def _mark(self, it: Happening, text: str, *, bad: bool = False) -> None:
        self._story.marks.append(Mark(it.at, " ".join(text.split()), bad))
