from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from voicews.assistant.brain import SpeaksUp, load_brain, pieces
from voicews.errors import ConfigError
from voicews.history import History

MODULE = """
def answer(history, text):
    yield "You said " + text

class Parrot:
    def __call__(self, history, text):
        yield text

    def method(self, history, text):
        yield text.upper()

parrot = Parrot()

class Broken:
    def __init__(self):
        raise RuntimeError("no")

number = 7
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "some_brain.py").write_text(MODULE)
    (tmp_path / "bad_brain.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "some_brain"
    for name in ("some_brain", "bad_brain"):
        sys.modules.pop(name, None)


def test_pieces_join_to_the_text() -> None:
    text = "Two plus  two is four. "
    assert "".join(pieces(text)) == text.rstrip()
    assert list(pieces("Two words")) == ["Two", " words"]
    assert list(pieces(" ")) == []


@pytest.mark.parametrize(
    ("name", "answer"),
    [("answer", "You said hi"), ("Parrot", "hi"), ("parrot", "hi"), ("parrot.method", "HI")],
)
def test_functions_objects_and_classes(module: str, name: str, answer: str) -> None:
    assert "".join(load_brain(f"{module}:{name}")(History(), "hi")) == answer


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "must be module:function"),
        ("some_brain", "must be module:function"),
        (":answer", "must be module:function"),
        ("some_brain:", "must be module:function"),
        ("no_such_brain:answer", "cannot import 'no_such_brain'"),
        ("bad_brain:answer", "importing 'bad_brain' failed: ZeroDivisionError"),
        ("some_brain:nothing", "'some_brain' has no 'nothing'"),
        ("some_brain:number", "is a int; it must be callable"),
        ("some_brain:Broken", "making one failed: RuntimeError"),
    ],
)
def test_mistakes_are_told(module: str, spec: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_brain(spec)


def test_the_default_brain_can_be_named() -> None:
    brain = load_brain("voicews.assistant:HomeHelper")
    assert hasattr(brain, "take_due")
    assert "".join(brain(History(), "2 + 2")) == "Two plus two is four."


def test_a_function_does_not_speak_up() -> None:
    brain: object = pieces
    assert not isinstance(brain, SpeaksUp)
