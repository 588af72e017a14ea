"""`voicews devices`, with devices that the machine may not have; real ones are in tests/sound."""

from __future__ import annotations

import json

import pytest

from voicews import BackendMissing, DeviceNotFound
from voicews.audio import Device
from voicews.cli import devices, main

MICROPHONES = [
    Device(0, "HDA Intel PCH: ALC257 Analog (hw:0,0)", "ALSA", 2, 2, 48000, False, False, (44100, 48000)),
    Device(7, "USB microphone", "ALSA", 1, 0, 16000, True),
    Device(8, "HDMI", "ALSA", 0, 8, 48000),
]


@pytest.fixture
def some_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "devices", lambda probe: MICROPHONES)
    monkeypatch.setattr(devices, "loudspeakers", lambda: ["Built-in", "USB headset"])


@pytest.mark.usefixtures("some_devices")
def test_a_table_of_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines == [
        "Microphones, for --mic",
        "    no.  name                                   system      channels  rates (Hz)",
        "      0  HDA Intel PCH: ALC257 Analog (hw:0,0)  ALSA               2  44100 48000",
        "  *   7  USB microphone                         ALSA               1  16000?",
        "",
        "Loudspeakers, for --speaker",
        "    no.  name",
        "      0  Built-in",
        "      1  USB headset",
        "  Without --speaker the system's default is taken.",
    ]


@pytest.mark.usefixtures("some_devices")
def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [device["index"] for device in found["microphones"]] == [0, 7]
    assert found["microphones"][0]["input_rates"] == [44100, 48000]
    assert found["loudspeakers"] == [{"index": 0, "name": "Built-in"}, {"index": 1, "name": "USB headset"}]


def test_advice_where_there_are_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none() -> list[str]:
        raise DeviceNotFound("no loudspeaker could be opened")

    monkeypatch.setattr(devices, "devices", lambda probe: [])
    monkeypatch.setattr(devices, "loudspeakers", none)
    assert main(["devices"]) == 0
    out = capsys.readouterr().out
    assert "Microphones, for --mic\n  none\n" in out
    assert "none: no loudspeaker could be opened" in out
    assert "voicews demo --scripted" in out
    monkeypatch.setattr(devices, "loudspeakers", list)
    assert main(["devices"]) == 0
    assert "Loudspeakers, for --speaker\n  none\n" in capsys.readouterr().out


def test_probing_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    probed: list[bool] = []

    def listed(probe: bool) -> list[Device]:
        probed.append(probe)
        return []

    monkeypatch.setattr(devices, "devices", listed)
    monkeypatch.setattr(devices, "loudspeakers", list)
    assert main(["devices"]) == main(["devices", "--no-probe"]) == 0
    assert probed == [True, False]


def test_a_missing_library_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(probe: bool) -> list[Device]:
        raise BackendMissing("PyAudio is not installed: pip install PyAudio")

    monkeypatch.setattr(devices, "devices", missing)
    assert main(["devices"]) == 1
    assert capsys.readouterr().err == "voicews: PyAudio is not installed: pip install PyAudio\n"
