"""Hints how to install an extra: one wording, and one that works."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

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
