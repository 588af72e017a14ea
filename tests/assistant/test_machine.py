from __future__ import annotations

import importlib
import os
import sys

import pytest

from voicews.assistant import machine
from voicews.assistant.machine import has_little_memory


@pytest.mark.parametrize(
    ("pages", "little"),
    [(1000, True), (10**9, False), (OSError("unknown"), False), (ValueError("no"), False)],
)
def test_memory(pages: int | Exception, little: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def sysconf(name: str) -> int:
        if isinstance(pages, Exception):
            raise pages
        return pages if name == "SC_PHYS_PAGES" else 4096

    monkeypatch.setattr(os, "sysconf", sysconf)
    assert has_little_memory() is little


@pytest.mark.parametrize(("version", "helps"), [((3, 14), True), ((3, 15), False)])
def test_where_installing_alone_does_not_help_the_message_says_so(
    version: tuple[int, int], helps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "version_info", version)
        words = importlib.reload(machine).TO_INSTALL
    importlib.reload(machine)
    assert words.startswith("pip install voicews[assistant]")
    assert ("Python 3.14 or older" not in words) is helps
