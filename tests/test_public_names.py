"""What type checkers are told of the public names is what a program gets."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import voicews


def told() -> list[tuple[str, str]]:
    tree = ast.parse(Path(voicews.__file__).read_text(encoding="utf-8"))
    return [
        (str(node.module), name.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("voicews.")
        for name in node.names
    ]


@pytest.mark.parametrize(("home", "name"), told())
def test_a_name_is_what_type_checkers_are_told(home: str, name: str) -> None:
    assert getattr(voicews, name) is getattr(importlib.import_module(home), name)


def test_all_public_names_are_told() -> None:
    assert sorted(name for _, name in told()) == sorted(voicews.__all__)
    assert set(voicews.__all__) <= set(dir(voicews))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Transcripts'"):
        voicews.Transcripts  # noqa: B018
