"""The picture shows what happened, in letters that do not cover each other."""

from __future__ import annotations

import itertools
import re
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from matplotlib import image
from matplotlib.text import Text

from tests.timeline.recordings import ERROR, Tape
from voicews import RecordingError
from voicews.timeline import drawing
from voicews.timeline.drawing import DARK, LIGHT, draw
from voicews.timeline.reading import Recording
from voicews.timeline.story import PHASES


def lively() -> Tape:
    tape = Tape(60)
    words = "and after that the sun will shine for a while until the clouds come back " * 3
    end = tape.turn(1.0, "How will the weather be in the mountains?", words, heard=9.0, cut=True)
    end = tape.turn(end + 0.1, "Stop.", "All right.", heard=0.5)
    end = tape.turn(end + 1, "日本語 $x^2$ & <b>", words, thinking=4.0, tool="weather")
    tape.tell(end + 1, "Disconnected", generation=1, error=ERROR)
    tape.tell(end + 1.1, "FramesDropped", buffer="outbox", cause="stale", count=42)
    for number in range(5):
        tape.tell(end + 1.2 + number / 10, "Remark", text=f"remark {number}")
    tape.tell(end + 3, "Connected", generation=2, resumed=True)
    tape.tell(end + 4, "Muted")
    tape.tell(end + 6, "Unmuted")
    tape.turn(end + 4, "Are you there?", "Yes.", recognising=2.0)
    tape.sound(0, 50, 51)
    return tape


def texts_of(recording: Recording, monkeypatch: pytest.MonkeyPatch, **options: Any) -> list[Text]:
    """The picture's texts as they were drawn."""
    figures: list[Any] = []
    make = drawing._Picture.figure

    def kept(picture: Any) -> Any:
        figures.append(make(picture))
        return figures[-1]

    monkeypatch.setattr(drawing._Picture, "figure", kept)
    draw(recording, recording.path.with_suffix(".png"), **options)
    (figure,) = figures
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.canvas.draw()  # what was saved had another resolution
    return list(figure.axes[0].texts)


def test_no_letters_cover_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = texts_of(Recording(lively().save(tmp_path)), monkeypatch)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        boxes = [(text.get_text(), text.get_window_extent()) for text in texts if text.get_text()]
    assert len(boxes) > 40
    for (one, box), (other, there) in itertools.combinations(boxes, 2):
        across = min(box.x1, there.x1) - max(box.x0, there.x0)
        down = min(box.y1, there.y1) - max(box.y0, there.y0)
        assert across <= 1 or down <= 4, f"{one!r} and {other!r}"  # descenders may touch
    width = texts[0].figure.bbox.width  # type: ignore[union-attr]
    assert all(box.x0 >= 0 and box.x1 <= width + 1 for _, box in boxes)


def test_a_part_counts_what_is_drawn_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tape = Tape(60)
    tape.turn(2, "One?", "One.")
    tape.tell(20, "Disconnected", generation=1, error=ERROR)
    tape.tell(21, "Connected", generation=2, resumed=True)
    tape.turn(30, "Two?", "Two.", thinking=3.0)
    tape.turn(50, "Three?", "Three.")
    recording = Recording(tape.save(tmp_path))

    def head(**part: float) -> str:
        texts = [text.get_text() for text in texts_of(recording, monkeypatch, **part)]
        return " ".join(texts[: texts.index("you")])

    whole = head()
    assert "3 answers" in whole
    assert "link away once" in whole
    assert " of 1:00" not in whole
    part = head(first=28.0, last=45.0)
    assert "0:28 to 0:45 of 1:00 · 1 answer ·" in part
    assert "link away" not in part
    slow = re.search(r"wait ([\d.]+) s \(median\), ([\d.]+) s \(longest\)", part)
    assert slow
    assert slow[1] == slow[2]
    assert float(slow[1]) > 3
    assert "0 answers" in head(first=19.0, last=25.0)
    assert "link away once" in head(first=19.0, last=25.0)


def test_why_an_answer_came_late_is_written_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = " ".join(text.get_text() for text in texts_of(Recording(lively().save(tmp_path)), monkeypatch))
    assert "answer 3 came late: 3.90 s until the tool had its result (tool)" in texts
    for words in (
        "4.65 s",
        "✕ link away for 2.00 s",
        "interrupted after 9.0 s",
        "42 captured frames dropped",
    ):
        assert words in texts


def test_every_part_of_a_wait_has_its_colour_in_the_legend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tape = Tape(20)
    end = tape.turn(1.0, "One?", "One.", thinking=1.0, tool="clock")
    end = tape.turn(end + 1, "Where?", "Here.", thinking=2.0)
    tape.tell(end - 2, "Disconnected", generation=1, error=ERROR)
    tape.tell(end - 1.5, "Connected", generation=2, resumed=True)
    tape.tell(end + 1, "Muted")
    tape.tell(end + 1.2, "Unmuted")
    tape.turn(end + 0.2, "Two?", "Two.", spoken=0.5, thinking=0.3, synthesis=0.1, heard=0.3)
    texts = [text.get_text() for text in texts_of(Recording(tape.save(tmp_path)), monkeypatch)]
    assert set(PHASES) <= set(texts)


def test_the_name_of_a_wait_stays_within_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tape = Tape(10)
    tape.sound(0, 0.5, 1.0)
    tape.turn(6.0, "One?", "One.", spoken=0.6, heard=0.3)
    texts = texts_of(Recording(tape.save(tmp_path)), monkeypatch, last=7.6)
    (name,) = [text for text in texts if text.get_text() == "1: 0.85 s"]
    assert name.get_window_extent().x1 < name.figure.bbox.width  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("first", "last", "told"),
    [
        (0.0, None, "1:00 · 3 answers · wait 0.85 s (median), 2.65 s (longest) · link away once"),
        (0.0, 20.0, "0:00 to 0:20 of 1:00 · 1 answer · wait 0.85 s (median), 0.85 s (longest)"),
        (
            20.0,
            60.0,
            "0:20 to 1:00 of 1:00 · 2 answers · wait 1.75 s (median), 2.65 s (longest) · link away once",
        ),
        (36.0, 38.0, "0:36 to 0:38 of 1:00 · 0 answers · link away once"),
        (46.0, 48.0, "0:46 to 0:48 of 1:00 · 0 answers"),
    ],
)
def test_what_is_counted_is_what_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: float, last: float | None, told: str
) -> None:
    tape = Tape(60)
    tape.turn(5.0, "One?", "One.")
    tape.turn(25.0, "Two?", "Two.", thinking=2.0)
    tape.tell(36.5, "Disconnected", generation=1, error=ERROR)
    tape.tell(37.0, "Connected", generation=2, resumed=True)
    tape.turn(50.0, "Three?", "Three.")
    texts = texts_of(Recording(tape.save(tmp_path)), monkeypatch, first=first, last=last)
    said = [text.get_text() for text in texts]
    head = said[1 : 1 + (len(told) > 60) + 1]
    assert " ".join(head).removeprefix("2026-11-22 20:00 UTC · ").startswith(told)
    answers = sum(word in said for word in ("One.", "Two.", "Three."))
    assert f"{answers} answer" in told


def test_the_letters_of_an_svg_are_as_large_as_they_were_measured(tmp_path: Path) -> None:
    """Their outlines are in 64ths of a unit: two digits of that made them a third smaller."""
    path = tmp_path / "picture.svg"
    draw(Recording(lively().save(tmp_path)), path)
    outlines = set(re.findall(r'transform="scale\(([\d.]+)\)"', path.read_text(encoding="utf-8")))
    assert outlines == {"0.015625"}


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_an_svg_is_small_and_well_formed(tmp_path: Path, theme: drawing.Theme) -> None:
    path = tmp_path / "picture.svg"
    recording = Recording(lively().save(tmp_path))
    assert draw(recording, path, theme=theme) == 60
    once = path.read_bytes()
    assert ET.fromstring(once).tag.endswith("svg")
    assert theme.paper.encode() in once
    assert len(once) < 300_000
    draw(recording, path, theme=theme)
    assert path.read_bytes() == once


def test_a_recording_in_which_nothing_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = texts_of(Recording(Tape(20, noise=0).save(tmp_path)), monkeypatch)
    assert "Nothing was said, and nothing was heard." in [text.get_text() for text in texts]


def test_an_empty_recording(tmp_path: Path) -> None:
    path = Tape(0).save(tmp_path)
    assert draw(Recording(path), tmp_path / "a.png") == 0


def test_a_long_one_ends_where_a_picture_has_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "_MOST_ROWS", 3)
    recording = Recording(lively().save(tmp_path))
    whole = draw(recording, tmp_path / "a.png")
    assert 10 < whole < 40
    assert draw(recording, tmp_path / "a.png", first=whole, last=whole + 5) == whole + 5
    pixels = image.imread(tmp_path / "a.png")
    assert pixels.shape[1] == 1080


def test_many_waits_leave_their_columns_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tape = Tape(170)
    at = 0.5
    for number in range(40):
        at = tape.turn(at, f"{number}?", f"{number}.", spoken=0.6, heard=0.6) + 1.5
    monkeypatch.setattr(drawing, "_MOST_ROWS", 100)
    texts = texts_of(Recording(tape.save(tmp_path)), monkeypatch)
    assert sum(text.get_text() == "40" for text in texts) == 1


def test_where_no_picture_can_be_written(tmp_path: Path) -> None:
    recording = Recording(Tape(1).save(tmp_path))
    with pytest.raises(RecordingError, match=r"must end in \.svg or \.png"):
        draw(recording, tmp_path / "picture.jpg")
    for name in ("a.svg", "a.png"):
        with pytest.raises(RecordingError, match=r"^cannot write .*: No such file"):
            draw(recording, tmp_path / "away" / name)
