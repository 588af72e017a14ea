"""Our threads share a namespace with `threading.Thread`, whose private names change with Python."""

from __future__ import annotations

import ast
import threading
from pathlib import Path

import pytest

import voicews

_SINCE = {"_handle", "_after_fork", "_context", "_os_thread_handle"}
"""Names that Python 3.13 and 3.14 have brought."""
_MEANT = {"name", "daemon", "run", "start", "__init__", "__doc__"}
_FILES = sorted(Path(voicews.__file__).parent.rglob("*.py"))


def _own_names(thread: ast.ClassDef) -> set[str]:
    names = {node.name for node in ast.walk(thread) if isinstance(node, ast.FunctionDef)}
    names |= {
        ast.unparse(node).removeprefix("self.")
        for node in ast.walk(thread)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    return names


@pytest.mark.parametrize("path", _FILES, ids=lambda path: path.stem)
def test_no_thread_hides_a_name_of_its_base(path: Path) -> None:
    taken = (set(dir(threading.Thread())) | _SINCE) - _MEANT
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef) and {ast.unparse(base) for base in node.bases} & {
            "Worker",
            "threading.Thread",
        }:
            assert _own_names(node) & taken == set(), node.name
