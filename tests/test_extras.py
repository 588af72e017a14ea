"""Hints how to install an extra: one wording, and one that works."""

from __future__ import annotations

import configparser
import re
import sys
from pathlib import Path

import pytest

import voicews
from voicews.extras import extra_command

PACKAGE = Path(voicews.__file__).parent


def test_what_is_named_is_an_extra_of_a_checkout() -> None:
    setup = configparser.ConfigParser()
    setup.read(PACKAGE.parent / "setup.cfg", encoding="utf-8")
    named = set()
    for path in PACKAGE.rglob("*.py"):
        named |= set(re.findall(r"""extra_command\(["'](\w+)["']""", path.read_text(encoding="utf-8")))
    assert {"assistant", "cli", "mp3", "plot", "testing"} <= named <= set(setup["options.extras_require"])
    assert 'pip install ".[plot]"' in extra_command("plot")
    assert 'pip install --force-reinstall ".[plot]"' in extra_command("plot", again=True)


def test_nobody_says_that_an_index_has_it() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert not re.search(r"""pip install (--\S+ )*["']?voicews""", path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize(("version", "helps"), [((3, 14), True), ((3, 15), False)])
def test_where_installing_alone_does_not_help_the_message_says_so(
    version: tuple[int, int], helps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    words = extra_command("assistant")
    assert 'pip install ".[assistant]"' in words
    assert ("Python 3.14 or older" not in words) is helps
    assert "older" not in extra_command("plot")
