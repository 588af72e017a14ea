"""What type checkers are told of the public names is what a program gets."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import voicews

PACKAGES = ("voicews", "voicews.audio", "voicews.dialects")


def told(package: str) -> list[tuple[str, str]]:
    file = str(importlib.import_module(package).__file__)
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    return [
        (str(node.module), name.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("voicews.")
        for name in node.names
        if node.module != "voicews.lazy"
    ]


@pytest.mark.parametrize(
    ("package", "home", "name"), [(package, *each) for package in PACKAGES for each in told(package)]
)
def test_a_name_is_what_type_checkers_are_told(package: str, home: str, name: str) -> None:
    found = getattr(importlib.import_module(package), name)
    assert found is getattr(importlib.import_module(home), name)


@pytest.mark.parametrize("package", PACKAGES)
def test_all_public_names_are_told(package: str) -> None:
    module = importlib.import_module(package)
    assert sorted(name for _, name in told(package)) == sorted(module.__all__)
    assert set(module.__all__) <= set(dir(module))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Transcripts'"):
        voicews.Transcripts  # noqa: B018
