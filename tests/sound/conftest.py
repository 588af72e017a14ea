"""The sound server for these tests: see virtual.py for what can be done with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import missing_part
from tests.sound.virtual import VirtualSound


@pytest.fixture(scope="session")
def sound_server() -> Iterator[VirtualSound]:
    """One server at 16 kHz for all tests; it is kept alive, so kill, freeze or change one of your own."""
    if (missing := VirtualSound.missing()) is not None:
        missing_part(f"no virtual sound devices: {missing}")
    with VirtualSound(rate=16000) as server:
        yield server


@pytest.fixture
def sound(sound_server: VirtualSound, monkeypatch: pytest.MonkeyPatch) -> VirtualSound:
    """The server, with this process's environment pointing to it for one test."""
    for name, value in sound_server.environment.items():
        monkeypatch.setenv(name, value)
    return sound_server
