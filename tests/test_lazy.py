"""Packages whose names are loaded when they are asked for."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from voicews.lazy import load


@pytest.mark.parametrize("package", ["voicews", "voicews.audio", "voicews.dialects"])
def test_an_unknown_name_is_an_attribute_error(package: str) -> None:
    module = importlib.import_module(package)
    assert not hasattr(module, "Loudhailer")
    with pytest.raises(ImportError, match="cannot import name 'Loudhailer'"):
        exec(f"from {package} import Loudhailer")


def test_homes_are_loaded_only_as_far_as_the_name() -> None:
    code = (
        "import sys; from voicews.lazy import load\n"
        "found = load('voicews.dialects', 'Plain', ['base', 'plain', 'vosk'])\n"
        "print(found.__name__, 'voicews.dialects.vosk' in sys.modules)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert told.split() == ["Plain", "False"]


def test_a_name_stays_what_it_is_once_its_module_is_loaded() -> None:
    """A module of the package would hide a function of the same name."""
    code = "import voicews.audio, voicews.audio.listing as l; print(voicews.audio.devices is l.devices)"
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert told.strip() == "True"


def test_none_of_the_homes_has_it() -> None:
    with pytest.raises(AttributeError, match=r"module 'voicews.audio' has no attribute 'Plain'"):
        load("voicews.audio", "Plain", ["base", "silence"])


def test_a_program_that_has_not_opened_anything_has_not_loaded_the_network() -> None:
    code = (
        "import sys; before = set(sys.modules); import voicews; voicews.VoiceClient; voicews.TlsSettings()\n"
        "print(*{'ssl', 'websocket', 'pyaudio', 'pygame', 'numpy'} & (set(sys.modules) - before))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert told.split() == []
