"""A thread that hangs in a sound driver is left there, and another opens the device."""

from __future__ import annotations

import threading

import pytest

from tests.fakes import EarSpeaker, HandMicrophone
from tests.peer import PATIENCE, peer
from voicews import DeviceLost, DeviceLostError, DeviceRestored, State, VoiceClient
from voicews.audio.silence import NullSink, SilenceSource


def test_a_microphone_that_hangs_is_left_and_opened_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicews.threads.devices._HUNG", 0.2)
    go_on = threading.Event()
    mark = b"\x07\x07" * 320

    class Hanging(HandMicrophone):
        """Hangs in its third frame, and works again once another thread has opened it."""

        def read(self) -> bytes | None:
            if len(self.opened) == 1 and not self.frames:
                go_on.wait(PATIENCE)
                raise DeviceLostError("replaced")
            return super().read()

    microphone = Hanging([bytes(640)] * 3)
    with peer() as server, VoiceClient(server.url, microphone=microphone, speaker=NullSink()) as voice:
        told = voice.events(DeviceLost), voice.events(DeviceRestored)
        assert told[0].get(PATIENCE).device == "microphone"
        assert told[1].get(PATIENCE).device == "microphone"
        microphone.frames.append(mark)
        call = server.call()
        call.wait(lambda: mark in call.audio)
        go_on.set()
        call.wait_for_audio(len(call.audio) + 6400)
        assert voice.state is State.CONNECTED
    assert microphone.closed == 1


def test_a_speaker_that_hangs_is_left_and_opened_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicews.threads.devices._HUNG", 0.2)
    go_on = threading.Event()

    class Hanging(EarSpeaker):
        def write(self, pcm: bytes) -> None:
            if len(self.opened) == 1:
                go_on.wait(PATIENCE)
                raise DeviceLostError("replaced")
            super().write(pcm)

    speaker = Hanging(speed=50)
    mark = b"\x07\x07" * 320
    with peer() as server, VoiceClient(server.url, microphone=SilenceSource(), speaker=speaker) as voice:
        told = voice.events(DeviceLost), voice.events(DeviceRestored)
        server.call().send(bytes(640))
        assert told[0].get(PATIENCE).device == "speaker"
        assert told[1].get(PATIENCE).device == "speaker"
        server.call().send(mark)
        assert speaker.wait_for(640)[-640:] == mark
        go_on.set()
    assert speaker.closed == 1
