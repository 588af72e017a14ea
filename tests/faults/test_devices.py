"""What microphone and loudspeaker can do to us; first those that a test has in its hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.conftest import missing_part
from tests.faults import disk_faults, matrix, sound_faults
from tests.faults.apart import attempt_apart
from tests.faults.conftest import Try
from tests.faults.ledger import ListeningSpeaker, StampingMicrophone
from tests.faults.matrix import Fails, Fault, Recovers, Row
from tests.faults.trial import Trial
from tests.patience import PATIENCE
from tests.sound.virtual import VirtualSound
from voicews import (
    AudioStalled,
    DeviceLost,
    DeviceLostError,
    DeviceNotFound,
    DeviceRestored,
    FramesDropped,
    StateChanged,
    Timeouts,
)

LOST_AND_FOUND = (DeviceLost, DeviceRestored)
HUNG = Recovers(within=4.5)
"""A driver that hangs is noticed within three seconds, and its device tried anew after that."""
IMPATIENT = Timeouts(connect=1.0, session=1.0, send=1.0, ping_interval=0.3, pong=1.0, close=2.0, device=1.0)


def for_a_while(seconds: float) -> None:
    threading.Event().wait(seconds)


def spoil(device: StampingMicrophone | ListeningSpeaker, **methods: Callable[..., Any]) -> Callable[[], None]:
    """Let these methods do something else; returns what mends the device."""
    for name, method in methods.items():
        setattr(device, name, method)

    def mend() -> None:
        for name in methods:
            delattr(device, name)

    return mend


def gone(*arguments: object) -> Any:
    raise DeviceLostError("unplugged")


def nothing_there(*arguments: object) -> Any:
    raise DeviceNotFound("no such device")


def restored(trial: Trial, devices: int = 1) -> None:
    trial.wait_for(DeviceRestored, devices)


# -- the microphone -------------------------------------------------------------------------------


def microphone_unplugged(trial: Trial) -> None:
    mend = spoil(trial.microphone, read=gone, open=nothing_there)
    trial.wait_for(DeviceLost)
    for_a_while(0.7)
    mend()
    trial.heal()


def microphone_hangs(seconds: float, trial: Trial) -> None:
    """As with a sound server that is stopped and goes on."""
    microphone = trial.microphone
    go_on = threading.Event()

    def hang() -> bytes | None:
        go_on.wait(PATIENCE)
        if len(trial.of(DeviceLost)):
            microphone.closed += 1  # as a driver's call does that was left in it
            raise DeviceLostError("replaced")
        return StampingMicrophone.read(microphone)

    mend = spoil(microphone, read=hang)
    for_a_while(seconds)
    mend()
    if seconds > 3:
        trial.wait_for(DeviceLost)
    go_on.set()
    trial.heal()


def microphone_yields_nothing(trial: Trial) -> None:
    mend = spoil(trial.microphone, read=lambda: b"")
    trial.wait_for(DeviceLost)
    for_a_while(0.5)
    mend()
    trial.heal()


def microphone_overflows(trial: Trial) -> None:
    """A second and more at once, as after a stall that nobody has cleared away."""
    microphone, read = trial.microphone, StampingMicrophone.read

    def burst() -> bytes | None:
        microphone._due = time.monotonic() - 0.2
        return read(microphone)

    mend = spoil(microphone, read=burst)
    trial.server.accepted().freeze()
    trial.wait_for(FramesDropped)
    mend()
    trial.server.accepted().thaw()
    trial.heal()


def microphone_has_a_bug(trial: Trial) -> None:
    def divide() -> bytes | None:
        raise ZeroDivisionError("a bug of the driver's")

    spoil(trial.microphone, read=divide)


def microphone_cannot_be_closed(trial: Trial) -> None:
    microphone = trial.microphone

    def close() -> None:
        microphone.closed += 1
        raise DeviceLostError("another thread hangs in the sound system")

    mends = [spoil(microphone, close=close), spoil(microphone, read=gone)]
    trial.wait_for(DeviceLost)
    for mend in mends:
        mend()
    trial.heal()


# -- the loudspeaker ------------------------------------------------------------------------------


def speaker_unplugged(trial: Trial) -> None:
    mend = spoil(trial.speaker, write=gone, pending=gone, open=nothing_there)
    trial.wait_for(DeviceLost)
    for_a_while(0.7)
    mend()
    trial.heal()
    restored(trial)


def speaker_blocks(seconds: float, trial: Trial) -> None:
    speaker = trial.speaker
    go_on = threading.Event()

    def hang(pcm: bytes) -> None:
        go_on.wait(PATIENCE)
        if len(trial.of(DeviceLost)):
            speaker.closed += 1
            raise DeviceLostError("replaced")
        ListeningSpeaker.write(speaker, pcm)

    mend = spoil(speaker, write=hang)
    for_a_while(seconds)
    mend()
    if seconds > 3:
        trial.wait_for(DeviceLost)
    go_on.set()
    trial.heal()
    if seconds > 3:
        restored(trial)


def speaker_opens_but_plays_nothing(trial: Trial) -> None:
    mend_loss = spoil(trial.speaker, write=gone)
    trial.wait_for(DeviceLost)
    mend_loss()
    mend = spoil(trial.speaker, pending=lambda: 0.1)
    for_a_while(2.5)
    assert not trial.of(DeviceRestored)
    mend()
    trial.heal()
    restored(trial)


# -- both -----------------------------------------------------------------------------------------


def both_come_late(trial: Trial) -> None:
    mends = [spoil(device, open=nothing_there) for device in (trial.microphone, trial.speaker)]
    trial.open()
    trial.wait_for(DeviceLost, 2)
    for_a_while(0.5)
    for mend in mends:
        mend()
    trial.heal()
    restored(trial, 2)


def both_hang_at_first(trial: Trial) -> None:
    go_on = threading.Event()

    def hanging(kind: Any, device: Any) -> Callable[..., None]:
        def open_late(*arguments: Any) -> None:
            go_on.wait(PATIENCE)
            if len(trial.of(DeviceLost)) == 2:
                raise DeviceLostError("replaced")
            kind.open(device, *arguments)

        return open_late

    mends = [
        spoil(device, open=hanging(type(device), device)) for device in (trial.microphone, trial.speaker)
    ]
    trial.open()
    trial.wait_for(DeviceLost, 2)
    for mend in mends:
        mend()
    go_on.set()
    trial.heal()
    restored(trial, 2)


def both_flicker(trial: Trial) -> None:
    """A loose plug: three times lost and found."""
    for number in range(1, 4):
        mends = [spoil(trial.microphone, read=gone), spoil(trial.speaker, pending=gone)]
        trial.wait_for(DeviceLost, 2 * number)
        for mend in mends:
            mend()
        trial.heal()
        restored(trial, 2 * number)


def deaf(trial: Trial) -> None:
    """The microphone hangs, and sooner than that is noticed the watchdog barks."""
    go_on = threading.Event()
    microphone = trial.microphone

    def hang() -> bytes | None:
        go_on.wait(PATIENCE)
        if len(trial.of(DeviceLost)):
            microphone.closed += 1
            raise DeviceLostError("replaced")
        return StampingMicrophone.read(microphone)

    spoil(microphone, read=hang)
    trial.wait_until(
        lambda: any(change.new.name == "CLOSING" for change in trial.of(StateChanged)), "the end"
    )
    go_on.set()


FAULTS = [
    Fault("the microphone is unplugged and back", microphone_unplugged, told=LOST_AND_FOUND),
    Fault("the microphone's driver hangs for a second", partial(microphone_hangs, 1.0)),
    Fault(
        "the microphone's driver hangs for four seconds",
        partial(microphone_hangs, 4.0),
        HUNG,
        told=LOST_AND_FOUND,
    ),
    Fault("the microphone yields nothing", microphone_yields_nothing, told=LOST_AND_FOUND),
    Fault("the microphone floods", microphone_overflows, told=(FramesDropped,)),
    Fault("the microphone's driver has a bug", microphone_has_a_bug, Fails(ZeroDivisionError)),
    Fault("the microphone cannot be closed", microphone_cannot_be_closed, told=LOST_AND_FOUND),
    Fault("the loudspeaker is unplugged and back", speaker_unplugged, told=LOST_AND_FOUND),
    Fault("the loudspeaker blocks for a second", partial(speaker_blocks, 1.0)),
    Fault("the loudspeaker blocks for four seconds", partial(speaker_blocks, 4.0), told=LOST_AND_FOUND),
    Fault("the loudspeaker opens but plays nothing", speaker_opens_but_plays_nothing, told=LOST_AND_FOUND),
    Fault("both flicker", both_flicker, Recovers(within=8.0), told=LOST_AND_FOUND),
    Fault(
        "both come late",
        both_come_late,
        config={"await_devices": True},
        opens=False,
        told=LOST_AND_FOUND,
    ),
    Fault(
        "both hang when they are opened first",
        both_hang_at_first,
        config={"await_devices": True, "timeouts": IMPATIENT},
        opens=False,
        told=LOST_AND_FOUND,
    ),
    Fault("no sound moves, and the watchdog barks", deaf, Fails(AudioStalled), config={"watchdog": 1.5}),
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_device(fault: Fault, attempt: Try) -> None:
    attempt(fault, "Microphone and loudspeaker")


# -- real drivers on a virtual sound server -------------------------------------------------------

EXCUSED = {
    "sound server killed between two reads": {
        "ends": "PortAudio hangs for ever in that read, so its thread and four pipes are left, "
        "until the program ends, which it does as usual"
    }
}


@pytest.mark.full
@pytest.mark.parametrize("fault", sound_faults.FAULTS, ids=str)
def test_a_sound_server(fault: Fault) -> None:
    family = "A real sound server and its drivers"
    if (missing := VirtualSound.missing()) is not None:
        matrix.record(Row(family, fault.name, "", None, {}, skipped=missing))
        missing_part(missing)
    attempt_apart("tests.faults.sound_faults", fault, family, excused=EXCUSED.get(fault.name))


# -- the disk -------------------------------------------------------------------------------------


def test_a_full_disk_while_recording() -> None:
    attempt_apart("tests.faults.disk_faults", disk_faults.FULL, "Microphone and loudspeaker")
