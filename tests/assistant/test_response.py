from __future__ import annotations

import pytest

from voicews.assistant.response import Response


def spoken() -> Response:
    response = Response(playing_until=12.0)
    response.add_text("One two three four. Five six.")
    response.begin_sentence("One two three four.")
    response.add_sound(1.0, now=10.0)
    response.add_sound(1.0, now=10.0)
    response.begin_sentence("Five six.")
    response.add_sound(1.0, now=10.1)
    return response


@pytest.mark.parametrize(
    ("now", "heard"),
    [
        (10.0, ""),
        (12.0, ""),
        (12.6, "One"),
        (13.0, "One two"),
        (14.0, "One two three four."),
        (14.5, "One two three four. Five"),
        (15.0, "One two three four. Five six."),
        (99.0, "One two three four. Five six."),
    ],
)
def test_what_was_heard_by_then(now: float, heard: str) -> None:
    # It begins to play at 12, when what was sent before has been played.
    assert spoken().heard_by(now) == heard


def test_how_long_it_plays() -> None:
    response = spoken()
    assert response.playing_until == 15.0
    assert response.is_audible(20.0)  # it is not done yet
    response.done = True
    assert response.is_audible(14.9)
    assert not response.is_audible(15.1)
    assert response.is_audible(15.1, margin=0.3)
    response.cut = True
    assert not response.is_audible(14.0)


def test_a_late_sound_plays_when_it_comes() -> None:
    response = Response()
    response.begin_sentence("Hello.")
    response.add_sound(1.0, now=50.0)
    assert response.playing_until == 51.0
    response.add_sound(1.0, now=60.0)
    assert response.playing_until == 61.0


def test_without_sound_nothing_was_heard() -> None:
    response = Response()
    response.add_text("Hello.")
    response.begin_sentence("Hello.")
    assert response.heard_by(100.0) == ""
    assert response.final_text == "Hello."
    response.heard_text = ""
    assert response.final_text == ""
