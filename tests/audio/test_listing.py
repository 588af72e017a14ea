"""What needs no device; the rest is in tests/sound/test_speaker.py."""

from __future__ import annotations

import pytest

from voicews.audio import AudioFormat, Device, devices
from voicews.errors import AudioError


def test_only_rates_that_open_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Device(index=0, name="Card", host_api="ALSA", inputs=0, outputs=8, default_rate=11025)

    class Opened:
        def close(self) -> None:
            pass

    def open_some(direction: str, index: int, formats: list[AudioFormat], frame: float) -> Opened:
        assert (direction, index) == ("output", 0)
        assert formats[0].channels == 2
        if formats[0].rate not in (11025, 48000):
            raise AudioError("no")
        return Opened()

    import sys

    module = sys.modules["voicews.audio.listing"]
    monkeypatch.setattr(module, "list_devices", lambda: [card])
    monkeypatch.setattr(module, "open_stream", open_some)
    (found,) = devices()
    assert found.input_rates == ()
    assert found.output_rates == (11025, 48000)
    assert devices(probe=False) == [card]
    assert (found.channels("input"), found.channels("output")) == (0, 8)
