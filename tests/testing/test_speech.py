"""The fakes' ears and voice."""

from __future__ import annotations

import struct

import pytest

from voicews.config import AudioFormat
from voicews.testing.speech import Ear, hum

FORMAT = AudioFormat(16000)
LOUD = struct.pack("<h", -500) * 1600
QUIET = struct.pack("<h", 499) * 1600


def test_loud_sound_is_speech_until_it_is_forgotten() -> None:
    ear = Ear(FORMAT)
    assert [ear.hear(pcm) for pcm in (QUIET, LOUD, LOUD, QUIET)] == [False, True, False, False]
    assert (ear.heard, ear.began, ear.loud_until, ear.quiet) == pytest.approx((0.4, 0.1, 0.3, 0.1))
    ear.forget()
    assert ear.hear(LOUD)
    assert ear.began == pytest.approx(0.4)


def test_half_a_sample_is_not_heard() -> None:
    assert not Ear(FORMAT).hear(b"\xff")


@pytest.mark.parametrize("channels", [1, 2])
def test_a_hum_is_as_long_as_its_text_and_loud(channels: int) -> None:
    sound = AudioFormat(24000, channels)
    pcm = hum("ten letter", sound)
    assert sound.seconds(pcm) == 0.5
    assert Ear(sound).hear(pcm)
