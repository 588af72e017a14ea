"""The terminal's picture, drawn to a string of 80 columns."""

from __future__ import annotations

import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from tests.cli.answering import tone
from voicews import Connected, Disconnected, KeepaliveTimeout, State, StateChanged, Token, Transcript
from voicews.cli.announcements import Figures
from voicews.cli.meter import Meter
from voicews.cli.screen import Screen


@pytest.fixture(autouse=True)
def capable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever terminal the tests are run on."""
    monkeypatch.setenv("TERM", "xterm-256color")


CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Picture:
    """A screen and what it has written."""

    def __init__(self, *, width: int = 80, encoding: str = "utf-8") -> None:
        self.raw = io.BytesIO()
        self.out = io.TextIOWrapper(self.raw, encoding=encoding, write_through=True)
        self.microphone, self.speaker = Meter(), Meter()
        self.rtt: float | None = None
        self.last = ""
        console = Console(file=self.out, force_terminal=True, width=width, highlight=False, markup=False)
        self.screen = Screen(self.microphone, self.speaker, lambda: self.rtt, console)
        self.screen.start()

    def drawn(self) -> str:
        """All that was written since the last time; what replaces a line follows it."""
        self.screen.draw()
        self.out.flush()
        written = self.raw.getvalue().decode(self.out.encoding)
        self.raw.seek(0)
        self.raw.truncate()
        return CODES.sub("", written).replace("\r", "\n")

    def now(self) -> str:
        """The last line of the picture."""
        self.last = (self.drawn().splitlines() or [self.last])[-1]
        return self.last


def test_state_levels_round_trip_and_time() -> None:
    picture = Picture()
    assert re.fullmatch(r"● idle +mic ─{12}  speaker ─{12}  0:00", picture.now())
    picture.screen.show(StateChanged(State.IDLE, State.CONNECTING))
    picture.screen.show(StateChanged(State.CONNECTING, State.CONNECTED))
    picture.rtt = 0.0004
    picture.microphone.note(tone(0.02, level=1.0))
    assert re.fullmatch(r"● connected +mic ━{11}[╸─]  speaker ─{12}  rtt 0.4 ms  0:00", picture.now())
    picture.screen.stop()


def test_a_meter_falls_slowly() -> None:
    picture = Picture()
    picture.speaker.note(tone(0.02, level=1.0))
    full = picture.now().count("━")
    picture.speaker.note(bytes(640))
    lengths = [full, *(picture.now().count("━") for _ in range(14))]
    assert lengths == sorted(lengths, reverse=True)
    assert full - lengths[1] <= 2
    assert lengths[-1] == 0
    picture.screen.stop()


def test_nothing_is_written_while_nothing_changes() -> None:
    picture = Picture()
    picture.drawn()
    assert picture.drawn() == ""
    picture.screen.stop()


def test_words_as_they_come_replace_each_other() -> None:
    picture = Picture()
    picture.screen.show(Transcript("user", "What", final=False))
    assert "you    What\n" in picture.drawn()
    picture.screen.show(Transcript("user", "What is it?", final=False))
    assert "you    What is it?\n" in picture.drawn()
    picture.screen.show(Transcript("user", "What is it?"))
    assert "you    What is it?" in picture.drawn()
    picture.screen.show(Token("It "))
    picture.screen.show(Token("is late."))
    assert "voice  It is late.\n" in picture.drawn()
    picture.screen.stop()


@pytest.mark.parametrize("width", [80, 40, 30])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    picture = Picture(width=width)
    picture.rtt = 12.3456
    picture.screen.show(StateChanged(State.CONNECTED, State.RECONNECTING))
    picture.screen.show(
        Disconnected(1, KeepaliveTimeout("the server has not sent a byte for 10.0 s after a ping"))
    )
    picture.screen.show(Transcript("user", "word " * 60, final=False))
    lines = picture.drawn().splitlines()
    assert max(map(len, lines)) <= width
    assert any(line.startswith("you    …") and line.endswith("word") for line in lines)
    picture.screen.stop()


@pytest.mark.parametrize("state", [State.IDLE, State.CONNECTED, State.RECONNECTING])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_nothing_is_cut_in_two_at_any_width(state: State, encoding: str) -> None:
    whole = re.compile(
        r"[●*] (\w+)( +mic ([━╸─#.-]{4,12})  ?(?:speaker|spk) ([━╸─#.-]{4,12})(  rtt 12.35 s)?(  0:00)?)?"
    )
    cells = []
    for width in range(20, 201):
        picture = Picture(width=width, encoding=encoding)
        picture.rtt = 12.3456
        picture.screen.show(StateChanged(State.IDLE, state))
        line = picture.now()
        picture.screen.stop()
        assert len(line) < width
        shown = whole.fullmatch(line)
        assert shown, (width, line)
        assert shown[1] == state.value
        assert len(shown[3] or "") == len(shown[4] or "")
        assert bool(shown[5]) <= bool(shown[6]) <= bool(shown[3])
        cells.append(len(shown[3] or ""))
        assert shown[3] or width < 34, line
        assert shown[5] or width < 75, line
    assert cells[50 - 20] >= 6
    assert cells[-1] == 12


@pytest.mark.parametrize("width", [80, 50, 30])
def test_the_figures_are_broken_between_words(width: int) -> None:
    picture = Picture(width=width)
    picture.screen.show(Figures(3.0, 2, None, None, None, 100, 0, 0))
    lines = [line.rstrip() for line in picture.drawn().splitlines()]
    assert max(map(len, lines)) <= width
    assert ("server heard the end -> first sound   not measured" in lines) is (width >= 50)
    assert " ".join(lines).split().count("measured") == 2
    picture.screen.stop()


@pytest.mark.parametrize("width", [20, 33, 80])
def test_letters_of_two_columns(width: int) -> None:
    picture = Picture(width=width)
    picture.screen.show(Token("こんにちは、" * 20))
    (line,) = (line for line in picture.drawn().splitlines() if line.startswith("voice"))
    assert width - 3 <= cell_len(line) < width
    picture.screen.stop()


def test_a_long_answer_is_indented_under_itself() -> None:
    picture = Picture(width=40)
    picture.drawn()
    picture.screen.show(Transcript("assistant", "one two three four five six seven eight nine ten eleven"))
    lines = [line for line in picture.drawn().splitlines() if line.strip() and "idle" not in line]
    assert lines[0].startswith("voice  one two")
    assert all(line.startswith("       ") for line in lines[1:])
    picture.screen.stop()


def test_tables_are_not_indented() -> None:
    picture = Picture()
    picture.screen.show(Figures(1.0, 2, None, None, None, 0, 0, 0))
    assert "\n2 answers in 1.0 s\n" in picture.drawn()
    picture.screen.stop()


def test_the_picture_goes_and_the_story_stays() -> None:
    picture = Picture()
    picture.screen.show(Connected(1, resumed=False))
    picture.drawn()
    picture.screen.stop()
    written = picture.raw.getvalue().decode()
    assert written.endswith("\x1b[?25h") or "\x1b[?25h" in written  # the cursor is back


def test_a_terminal_that_knows_only_ascii() -> None:
    picture = Picture(encoding="ascii")
    picture.microphone.note(tone(0.02, level=1.0))
    assert re.fullmatch(r"\* idle +mic #{11}[-.]  speaker \.{12}  0:00", picture.now())
    picture.screen.stop()
