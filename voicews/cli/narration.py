"""Events put into words for people: pure, so that every display tells the same story."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from voicews.cli.announcements import Figures, Note, TurnScore, Verdict, Written
from voicews.cli.failures import brief, joined
from voicews.errors import ConnectionClosed
from voicews.events import (
    CallbackError,
    Connected,
    DeviceLost,
    DeviceRestored,
    Disconnected,
    Event,
    FramesDropped,
    Interrupted,
    Message,
    ReconnectFailed,
    Reconnecting,
    RecordingFailed,
    ResponseDone,
    ServerError,
    StateChanged,
    Token,
    ToolCall,
    Transcript,
)
from voicews.lifecycle import State
from voicews.printable import printable

__all__ = ["LABEL_WIDTH", "Line", "Narrator", "milliseconds"]

LABEL_WIDTH = 7

Tone = Literal["you", "voice", "good", "trouble", "bad", "quiet", "head"]


@dataclass(frozen=True)
class Line:
    """A finished line: who or what it is about, and what there is to say; a table's has no label."""

    label: str
    text: str
    tone: Tone

    def __str__(self) -> str:
        if not self.label:
            return self.text
        # Indented, a second line cannot pass for one of ours.
        return f"{self.label:<{LABEL_WIDTH}}" + self.text.replace("\n", "\n" + " " * LABEL_WIDTH)


def milliseconds(seconds: float | None) -> str:
    """A time for people: "0.4 ms", "312 ms", "1.20 s", or "not measured"."""
    if seconds is None:
        return "not measured"
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1000:.1f} ms" if seconds < 0.01 else f"{seconds * 1000:.0f} ms"


class Narrator:
    """Knows what is being said, and turns what is finished into lines.

    Attributes:
        state: of the client, in a word.
        hearing: the user's words so far; empty between turns.
        saying: the answer's words so far; empty between answers.
    """

    def __init__(self) -> None:
        self.state = State.IDLE
        self.hearing = ""
        self.saying = ""
        self._written: str | None = None
        self._linked = False
        self._lost_at: float | None = None
        self._lost_frames = 0

    def tell(self, event: Event) -> Iterator[Line]:
        """The lines that an event finishes, if any; they hold nothing that commands a terminal."""
        for line in self._lines(event):
            yield replace(line, text=printable(line.text, lines=True))
        self.hearing, self.saying = printable(self.hearing, lines=True), printable(self.saying, lines=True)

    def _lines(self, event: Event) -> Iterator[Line]:
        match event:
            case Written() | Transcript() | Token() | ResponseDone() | Interrupted():
                yield from self._conversation(event)
            case StateChanged() | Connected() | Disconnected() | Reconnecting() | ReconnectFailed():
                yield from self._connection(event)
            case FramesDropped(buffer="outbox", count=count) if not self._linked:
                self._lost_frames += count  # told when there is a connection
            case Figures() | TurnScore() | Verdict() | Note():
                yield from _result(event)
            case _:
                yield from _trouble(event)

    # -- what is said -----------------------------------------------------------------------

    def _conversation(self, event: Event) -> Iterator[Line]:
        match event:
            case Transcript(role="user", final=False):
                self.hearing = event.text
            case Written(text=text):
                self._written = text
                yield Line("you", text, "you")
            case Transcript(role="user", text=text) if text == self._written:
                self._written = None  # a server that repeats what it was told
            case Transcript(role="user"):
                self.hearing = ""
                yield Line("you", event.text, "you")
            case Transcript(final=False):
                self.saying = event.text
            case Transcript():
                self.saying = ""
                yield Line("voice", event.text, "voice")
            case Token(text=text):
                self.saying += text
            case ResponseDone():
                self._written = None
                yield from self._finish_answer()
            case Interrupted(heard_ms=heard):
                yield from self._finish_answer()
                after = "" if heard is None else f" after {heard / 1000:.1f} s"
                yield Line("voice", f"(interrupted{after})", "quiet")

    def _finish_answer(self) -> Iterator[Line]:
        """The text of an answer whose server sends tokens and never the whole."""
        text, self.saying = self.saying.strip(), ""
        if text:
            yield Line("voice", text, "voice")

    # -- the connection ---------------------------------------------------------------------

    def _connection(self, event: Event) -> Iterator[Line]:
        match event:
            case StateChanged(new=state):
                self.state = state
                if state is State.CONNECTING:
                    self._lost_at = None
            case Connected(resumed=resumed):
                if resumed and self._lost_at is not None:
                    yield Line(
                        "link",
                        f"connected again after {event.at - self._lost_at:.1f} s{self._loss()}",
                        "good",
                    )
                elif not resumed:
                    yield Line("link", f"connected{self._loss()}", "good")
                self._linked, self._lost_at = True, None
            case Disconnected(error=error) if error is not None:
                self._linked, self._lost_at = False, event.at
                self.hearing = ""
                yield from self._finish_answer()
                ended_well = isinstance(error, ConnectionClosed) and error.by_peer and error.code == 1000
                yield Line("link", brief(error), "quiet" if ended_well else "trouble")
            case Reconnecting(attempt=attempt, delay=delay, error=error, note=note):
                told = f"attempt {attempt} in {delay:.1f} s" + (f" ({note})" if note else "")
                told = joined(brief(error), told) if self._lost_at is None else told
                yield Line("link", told, "trouble")
            case ReconnectFailed(attempts=attempts) if attempts:
                yield Line(
                    "link", f"given up after {attempts} more attempt{'' if attempts == 1 else 's'}", "bad"
                )

    def _loss(self) -> str:
        """What of the user's words did not survive the lost connection."""
        frames, self._lost_frames = self._lost_frames, 0
        return f"; {frames} captured frames were too old by then" if frames else ""


def _trouble(event: Event) -> Iterator[Line]:
    match event:
        case FramesDropped(buffer=buffer, cause=cause, count=count):
            what = {
                "outbox": "captured frames",
                "playback": "pieces of the answer",
                "recording": "pieces of the recording",
            }.get(buffer, buffer)
            why = "they waited too long" if cause == "stale" else "too many were waiting"
            yield Line("sound", f"{count} {what} dropped: {why}", "trouble")
        case DeviceLost(device=device, error=error):
            yield Line("sound", f"{device} lost: {brief(error)}", "trouble")
        case DeviceRestored(device=device):
            yield Line("sound", f"{device} works again", "good")
        case RecordingFailed(error=error):
            yield Line("sound", f"not recorded any more: {brief(error)}", "bad")
        case ServerError():
            yield Line("server", f"reports an error: {event}", "trouble")
        case ToolCall(name=name):
            yield Line("server", f"asks for the tool {name}, which this command does not have", "trouble")
        case Message(data=data):
            yield Line("server", f"says {_shortened(str(data))}", "quiet")
        case CallbackError(error=error):
            yield Line("error", brief(error), "bad")


def _shortened(text: str, limit: int = 200) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _result(event: Event) -> Iterator[Line]:
    match event:
        case Note(text=text):
            yield Line("note", text, "quiet")
        case Figures():
            yield from _figures(event)
        case TurnScore():
            yield from _score(event)
        case Verdict(checks=checks):
            yield Line("", "", "quiet")
            yield Line("", "What had to hold", "head")
            for check in checks:
                mark = "ok  " if check.ok else "FAIL"
                yield Line("", f"{mark} {check.what:<31}  {check.found}", "good" if check.ok else "bad")


def _figures(figures: Figures) -> Iterator[Line]:
    yield Line("", "", "quiet")
    yield Line(
        "", f"{figures.turns} answer{'' if figures.turns == 1 else 's'} in {figures.seconds:.1f} s", "head"
    )
    rows = [("round trip of a ping (median)", milliseconds(figures.rtt_median))]
    if figures.after_speech_median is not None:
        rows.append(("end of speech -> first sound (median)", milliseconds(figures.after_speech_median)))
    rows += [
        ("server heard the end -> first sound", milliseconds(figures.after_server_median)),
        ("frames sent / dropped", f"{figures.frames_sent} / {figures.frames_dropped}"),
        ("reconnects", str(figures.reconnects)),
    ]
    for name, value in rows:
        yield Line("", f"{name:<37} {value}", "quiet")


def _score(score: TurnScore) -> Iterator[Line]:
    if score.number == 1:
        yield Line("", "", "quiet")
        yield Line("", "turn  words right  answer  its sound (WER)  end of speech -> first sound", "head")
    good = score.answer_right and score.words_right >= 1 and not score.sound_word_errors
    yield Line(
        "",
        f"{score.number:>4}  {score.words_right:>11.0%}  {'right' if score.answer_right else 'WRONG':<6}"
        f"  {score.sound_word_errors:>15.0%}  {milliseconds(score.after_speech)}",
        "quiet" if good else "trouble",
    )
    if score.words_right < 1:
        yield Line("", f"      said: {score.said}", "quiet")
        yield Line("", f"      understood: {score.understood or '(nothing)'}", "quiet")
    if score.sound_word_errors:
        yield Line("", f"      answered: {score.answer or '(nothing)'}", "quiet")
        yield Line("", f"      sounded like: {score.sound_heard_as or '(nothing)'}", "quiet")
