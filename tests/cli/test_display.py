"""The thread that shows: in order, to the last event, and without holding anybody up."""

from __future__ import annotations

import threading

import pytest

from tests.patience import PATIENCE
from voicews import Event, Token
from voicews.cli.announcements import Note
from voicews.cli.display import Display


class Notebook:
    """A renderer that remembers."""

    def __init__(self, interval: float | None = None, fails: Exception | None = None) -> None:
        self.interval = interval
        self.fails = fails
        self.seen: list[str] = []
        self.threads: set[str] = set()
        self.drawn = threading.Event()

    def _note(self, what: str) -> None:
        self.threads.add(threading.current_thread().name)
        self.seen.append(what)

    def start(self) -> None:
        self._note("start")

    def show(self, event: Event) -> None:
        if self.fails is not None:
            raise self.fails
        self._note(str(event))

    def draw(self) -> None:
        self.threads.add(threading.current_thread().name)
        self.drawn.set()

    def stop(self) -> None:
        self._note("stop")


def no_break() -> None:
    raise AssertionError("nothing broke")


def test_everything_is_shown_in_order_by_one_thread() -> None:
    notebook = Notebook()
    with Display(notebook, no_break) as display:
        for number in range(500):
            display.show(Note(str(number)))
    assert notebook.seen == ["start", *map(str, range(500)), "stop"]
    assert notebook.threads == {"voicews-display"}


def test_what_moves_is_drawn() -> None:
    notebook = Notebook(interval=0.01)
    with Display(notebook, no_break):
        assert notebook.drawn.wait(PATIENCE)
        notebook.drawn.clear()
        assert notebook.drawn.wait(PATIENCE)


def test_what_comes_after_the_end_is_let_go() -> None:
    notebook = Notebook()
    with Display(notebook, no_break) as display:
        display.show(Note("a"))
    display.show(Note("b"))
    assert notebook.seen == ["start", "a", "stop"]


@pytest.mark.parametrize("error", [BrokenPipeError(), ValueError("no such letter")])
def test_a_display_that_breaks_says_so_at_once_and_raises_in_the_end(error: Exception) -> None:
    notebook, broke = Notebook(fails=error), threading.Event()
    with pytest.raises(type(error)), Display(notebook, broke.set) as display:
        display.show(Token("x"))
        assert broke.wait(PATIENCE)
        display.show(Token("y"))
    assert notebook.seen == ["start", "stop"]
