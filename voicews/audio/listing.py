"""What sound devices there are, for ``voicews devices`` and for error messages."""

from __future__ import annotations

from dataclasses import replace

from voicews.audio.portaudio import COMMON_RATES, Device, Direction, list_devices, open_stream
from voicews.config import AudioFormat
from voicews.errors import AudioError

__all__ = ["Device", "devices"]


def devices(*, probe: bool = True) -> list[Device]:
    """All sound devices, as PortAudio lists them.

    Args:
        probe: try out which rates each one has, by opening it for a moment: what it says of
            itself is not to be trusted.  A device that is in use may show none.

    Raises:
        BackendMissing: PyAudio is not there; the message says how to install it.
        AudioError: the sound system does not start, or hangs.
    """
    found = list_devices()
    if not probe:
        return found
    return [
        replace(device, input_rates=_rates(device, "input"), output_rates=_rates(device, "output"))
        for device in found
    ]


def _rates(device: Device, direction: Direction) -> tuple[int, ...]:
    channels = min(device.channels(direction), 2)
    if not channels:
        return ()
    rates = []
    for rate in sorted({*COMMON_RATES, device.default_rate}):
        try:
            open_stream(direction, device.index, [AudioFormat(rate, channels)], 0.02).close()
        except AudioError:  # it does not have this rate, or is busy
            continue
        rates.append(rate)
    return tuple(rates)
