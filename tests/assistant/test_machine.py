from __future__ import annotations

import os

import pytest

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
