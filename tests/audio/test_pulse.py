"""What SDL must not meet.  With a real server in tests/sound/test_speaker.py; here without one."""

from __future__ import annotations

import ctypes

import pytest

from voicews.audio import pulse
from voicews.audio.pulse import require_loudspeaker


def test_without_a_server_there_is_nothing_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_SERVER", "unix:/nonexistent/pulse")
    monkeypatch.delenv("SDL_AUDIODRIVER", raising=False)
    require_loudspeaker()


@pytest.mark.parametrize("driver", ["dummy", "disk", "alsa"])
def test_another_driver_does_not_go_there(driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> ctypes.CDLL:
        raise AssertionError(name)

    monkeypatch.setattr(ctypes, "CDLL", load)
    monkeypatch.setenv("SDL_AUDIODRIVER", driver)
    require_loudspeaker()


def test_without_the_library_there_is_nobody_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "_LIBRARY", "libnonexistent.so.0")
    monkeypatch.delenv("SDL_AUDIODRIVER", raising=False)
    require_loudspeaker()
