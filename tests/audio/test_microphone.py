"""What needs no device; the rest is in tests/sound."""

from __future__ import annotations

import pytest

from voicews.audio import AudioFormat, Microphone
from voicews.audio.convert import Framer
from voicews.errors import DeviceLostError, InvalidState


class Steps:
    """A stream that delivers silence, and does something in between."""

    format = AudioFormat()

    def __init__(self, microphone: Microphone) -> None:
        self.microphone = microphone

    def read(self, samples: int) -> bytes:
        self.microphone._stream = None
        return bytes(2 * samples)


def test_formats_are_tried_from_the_cheapest_on() -> None:
    formats = Microphone()._formats(AudioFormat(16000))
    assert formats[:4] == [
        AudioFormat(16000),
        AudioFormat(16000, 2),
        AudioFormat(48000),
        AudioFormat(48000, 2),
    ]
    assert len(formats) == len(set(formats))
    assert Microphone(rate=44100)._formats(AudioFormat(16000, 2)) == [
        AudioFormat(44100, 2),
        AudioFormat(44100),
    ]


def live(microphone: Microphone, at: list[float]) -> int:
    """Frames of 20 ms that arrived at these times, and how often sound was missed."""
    microphone._started, microphone._captured, microphone._behind = None, 0.0, 0.0
    for now in at:
        microphone._captured += 0.02
        microphone._count_losses(0.02, now)
    return microphone.overflows


def test_sound_that_never_came_is_noticed_once() -> None:
    times = [0.02 * number for number in range(100)]
    assert live(Microphone(), [*times, *(time + 1.5 for time in times[50:])]) == 1


def test_uneven_delivery_is_no_loss() -> None:
    assert live(Microphone(), [0.02 * (number - number % 5) for number in range(500)]) == 0


def test_a_clock_that_differs_is_no_loss() -> None:
    assert live(Microphone(), [0.02 * number * 1.001 for number in range(60_000)]) == 0


def test_a_thread_that_was_replaced_while_it_hung_is_told() -> None:
    microphone = Microphone()
    microphone._stream = Steps(microphone)  # type: ignore[assignment]
    microphone._framer = Framer(AudioFormat(), AudioFormat(), 320)
    with pytest.raises(DeviceLostError, match="was replaced"):
        microphone.read()


def test_what_is_not_open_cannot_be_read() -> None:
    with pytest.raises(InvalidState, match="not open"):
        Microphone().read()
    Microphone().close()
    assert repr(Microphone()) == "Microphone()"
    assert repr(Microphone("usb")) == "Microphone('usb')"
