"""What a sound server can do to real drivers; each is tried in a process of its own (see apart.py).

Here the books are kept by ear: the server counts the frames in which it hears something, and
what it answers is heard at the virtual loudspeaker.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.faults.ledger import Frame, Ledger, sound_of
from tests.faults.matrix import Ends, Fails, Fault, Recovers
from tests.faults.trial import Trial
from tests.patience import PATIENCE
from tests.sound.virtual import VirtualSound
from voicews import AudioReceived, AudioStalled, DeviceLost, DeviceRestored, ShutdownTimeout
from voicews.audio import AudioFormat, AudioSink, AudioSource, Microphone, PyAudioSpeaker, Speaker, portaudio
from voicews.testing import FaultConnection

LOST_AND_FOUND = (DeviceLost, DeviceRestored)
IN_DRIVERS = {
    "voicews-capture",
    "voicews-player",
    "voicews-speaker-quit",
    "voicews-microphone-trial",
    "voicews-speaker-trial",
}
RATE = 16000
VOICE = bytes([0, 40]) * RATE * 120
"""Two minutes of what is no silence."""


class EarLedger(Ledger):
    """Notes the frames in which something was said, and how many there were in all."""

    def __init__(self) -> None:
        super().__init__()
        self.in_all = 0
        self.longest_gap = 0.0
        self._last = time.monotonic()

    def hear(self, connection: int, message: str | bytes) -> None:
        if not isinstance(message, bytes):
            super().hear(connection, message)
            return
        now = time.monotonic()
        with self.news:
            self.in_all += 1
            self.longest_gap = max(self.longest_gap, now - self._last if self.in_all > 1 else 0.0)
            self._last = now
            if message.strip(b"\0"):
                self.frames.append(Frame(connection, len(self.frames), now, now))
            self.news.notify_all()

    def converse(self, connection: FaultConnection, message: str | bytes) -> None:
        self.hear(connection.number, message)
        if isinstance(message, bytes):
            connection.send(sound_of(connection.number))


class CountedSource(AudioSource):
    """A real microphone, whose openings are counted."""

    def __init__(self, device: str | None = None) -> None:
        self.it = Microphone(device)
        self.opened = self._closed = 0
        self._open = False

    @property
    def closed(self) -> int:
        """How often it was given back, if only by the driver's thread that it was left to."""
        return self._closed + (self._open and self.it._stream is None)

    @property
    def overflows(self) -> int:  # type: ignore[override]
        return self.it.overflows

    def open(self, format: AudioFormat, frame_samples: int) -> None:
        self.it.open(format, frame_samples)
        self.opened += not self._open  # one that is left to a driver is given back there
        self._open = True

    def read(self) -> bytes | None:
        return self.it.read()

    def close(self) -> None:
        self.it.close()
        self._closed += self._open
        self._open = False


class CountedSink(AudioSink):
    """A real loudspeaker; notes over which connection each sound came."""

    def __init__(self, it: AudioSink) -> None:
        self.it = it
        self.heard: list[tuple[float, int]] = []
        self.opened = self.closed = 0
        self._open = False

    @property
    def lead(self) -> float:  # type: ignore[override]
        return self.it.lead

    @property
    def underruns(self) -> int:  # type: ignore[override]
        return self.it.underruns

    def open(self, format: AudioFormat) -> None:
        self.it.open(format)
        self.opened += not self._open
        self._open = True

    def write(self, pcm: bytes) -> None:
        self.it.write(pcm)
        if connection := int.from_bytes(pcm[:2], "little"):
            self.heard.append((time.monotonic(), connection))

    def pending(self) -> float:
        return self.it.pending()

    @property
    def position(self) -> float:
        return self.it.position

    def flush(self) -> float:
        return self.it.flush()

    def close(self) -> None:
        self.it.close()
        self.closed += self._open
        self._open = False


class SoundTrial(Trial):
    """A client with real drivers, and somebody who speaks into its microphone all the while."""

    ledger: EarLedger

    def __init__(self, fault: Fault) -> None:
        self.sound = VirtualSound(rate=RATE)
        self.before = dict(os.environ)
        super().__init__(fault)
        self._stack.enter_context(self.sound)
        os.environ.update(self.sound.environment)
        self.ledger = EarLedger()
        self.server.script(self.serve)
        self.microphone: Any = CountedSource()
        self.speaker: Any = CountedSink(PyAudioSpeaker() if "PyAudio" in fault.name else Speaker())
        self._speaking: subprocess.Popen[bytes] | None = None
        self._stack.callback(self.be_quiet)
        warm_up(self.speaker.it)
        self.speak()

    def open(self) -> None:
        super().open()
        self.voice.off(AudioReceived)

    def speak(self) -> None:
        self._speaking = self.sound.start_speaking(VOICE)

    def be_quiet(self) -> None:
        speaking, self._speaking = self._speaking, None
        if speaking is not None:
            speaking.kill()
            speaking.wait()

    def settle(self) -> None:
        super().settle()
        if not self.healed:
            self.ledger.longest_gap = 0.0

    def heard_at_the_loudspeaker(self) -> None:
        """What the server says is really audible."""
        with self.sound.listen() as ear:
            ear.wait_for(lambda pcm: any(pcm[-3200:]), timeout=10)

    def delay(self) -> float:
        """Seconds from the mouth to the server, of which up to half are the speaking program's own start."""
        self.be_quiet()
        self.wait_until(lambda: time.monotonic() - self.ledger.frames[-1].arrived > 1.0, "silence")
        said = time.monotonic()
        self.speak()
        self.ledger.wait_for(lambda: self.ledger.frames[-1].arrived > said, 10)
        return self.ledger.frames[-1].arrived - said


def warm_up(sink: AudioSink) -> None:
    """What the libraries keep for good (memory, descriptors) is not the fault's."""
    source = Microphone()
    source.open(AudioFormat(), 320)
    source.read()
    source.close()
    sink.open(AudioFormat())
    sink.close()


TRIAL = SoundTrial


def for_a_while(seconds: float) -> None:
    threading.Event().wait(seconds)


@contextlib.contextmanager
def between_two_reads(microphone: CountedSource) -> Iterator[None]:
    """The microphone's thread is held outside its driver."""
    held, go_on, read = threading.Event(), threading.Event(), microphone.it.read

    def wait_and_read() -> bytes:
        held.set()
        go_on.wait(10)
        return read()

    microphone.it.read = wait_and_read  # type: ignore[method-assign]
    held.wait(10)
    del microphone.it.read
    try:
        yield
    finally:
        go_on.set()


def back(trial: SoundTrial, devices: int = 2) -> None:
    trial.heal()
    trial.wait_for(DeviceRestored, devices)
    trial.heard_at_the_loudspeaker()


def killed_while_a_read_waits(trial: Any) -> None:
    trial.sound.kill_server()
    trial.wait_for(DeviceLost, 2)
    for_a_while(1.0)
    trial.sound.restart_server()
    trial.speak()
    back(trial)
    assert trial.ledger.longest_gap < 1.0, f"the server heard nothing for {trial.ledger.longest_gap:.1f} s"


def killed_between_two_reads(trial: Any) -> None:
    trial.be_quiet()
    with between_two_reads(trial.microphone):
        trial.sound.kill_server()
    trial.wait_for(DeviceLost, 2)
    trial.sound.restart_server()
    trial.speak()
    back(trial)


def frozen(seconds: float, trial: Any) -> None:
    before = trial.delay()
    trial.sound.freeze()
    for_a_while(seconds)
    trial.sound.thaw()
    trial.heal()
    if trial.of(DeviceLost):
        # A trial that stays in the driver is left after 10 s, and the next begins after 5; twice, at worst.
        mended = 2.5 * PATIENCE
        trial.wait_until(lambda: len(trial.of(DeviceRestored)) == len(trial.of(DeviceLost)), "both", mended)
    trial.heard_at_the_loudspeaker()
    after = trial.delay()
    print(f"frozen {seconds} s: mouth to server {before:.2f} s before, {after:.2f} s after")
    assert after < before + 0.3, f"the sound is {after - before:.2f} s later than before"


def source_suspended(trial: Any) -> None:
    trial.sound.control("suspend-source", "mic", "1")
    trial.wait_for(DeviceLost)
    for_a_while(2.0)
    trial.sound.control("suspend-source", "mic", "0")
    trial.heal()
    trial.wait_for(DeviceRestored)


def sink_suspended(trial: Any) -> None:
    trial.sound.control("suspend-sink", "speaker", "1")
    trial.wait_for(DeviceLost)
    for_a_while(2.0)
    trial.sound.control("suspend-sink", "speaker", "0")
    back(trial, 1)


def unloaded(trial: Any) -> None:
    """As real servers do, it puts a device that only seems one in the place of the last that goes."""
    control = trial.sound.control
    assert control("load-module", "module-always-sink")
    trial.be_quiet()
    assert control("unload-module", "module-remap-source")
    assert control("unload-module", "module-null-sink")
    for_a_while(2.0)
    control("load-module", "module-null-sink", "sink_name=speaker", f"rate={RATE}", "channels=2")
    control("load-module", "module-null-sink", "sink_name=micfeed", f"rate={RATE}", "channels=1")
    control("load-module", "module-remap-source", "source_name=mic", "master=micfeed.monitor")
    control("set-default-sink", "speaker")
    control("set-default-source", "mic")
    trial.speak()
    trial.heal()
    trial.heard_at_the_loudspeaker()


def sources_gone(trial: Any) -> None:
    """No device is left at all."""
    control = trial.sound.control
    trial.be_quiet()
    assert control("unload-module", "module-remap-source")
    assert control("unload-module", "module-null-sink")
    trial.wait_for(DeviceLost, 2)
    for_a_while(1.0)
    control("load-module", "module-null-sink", "sink_name=speaker", f"rate={RATE}", "channels=2")
    control("load-module", "module-null-sink", "sink_name=micfeed", f"rate={RATE}", "channels=1")
    control("load-module", "module-remap-source", "source_name=mic", "master=micfeed.monitor")
    control("set-default-sink", "speaker")
    control("set-default-source", "mic")
    trial.speak()
    back(trial)


def plug_in(*names: str) -> None:
    """Let these be the sound cards, in this order."""
    devices = [f"pcm.{name} {{ type pulse }}" for name in ("!default", *names)]
    Path(os.environ["ALSA_CONFIG_PATH"]).write_text("\n".join(devices), encoding="ascii")
    cards = Path(os.environ["XDG_RUNTIME_DIR"]) / "cards"
    cards.write_text("\n".join(names), encoding="ascii")
    portaudio._CARDS = cards


def plugged_in_later(trial: Any) -> None:
    """PortAudio lists the devices once, and the loudspeaker keeps it from doing so again."""
    plug_in("desk")
    trial.microphone = CountedSource("headset")
    trial.open()
    trial.wait_for(DeviceLost)
    trial.heard_at_the_loudspeaker()
    plug_in("headset", "desk")
    trial.heal()
    trial.wait_until(
        lambda: any(e.device == "microphone" for e in trial.of(DeviceRestored)), "the microphone"
    )
    trial.heard_at_the_loudspeaker()


def other_numbers(trial: Any) -> None:
    """They are asked for by name, and so found though they come back in another order."""

    def numbers() -> list[int]:
        return [user.it._stream.device.index for user in (trial.microphone, trial.speaker)]

    plug_in("headset", "desk")
    trial.microphone = CountedSource("headset")
    trial.speaker = CountedSink(PyAudioSpeaker("desk"))
    trial.open()
    trial.settle()
    before = numbers()
    trial.sound.kill_server()
    trial.wait_for(DeviceLost, 2)
    plug_in("camera", "desk", "monitor", "headset")
    trial.sound.restart_server()
    trial.speak()
    back(trial)
    after = numbers()
    assert before != after, f"they have their numbers {before} again"
    print(f"microphone and loudspeaker by number: {before} before, {after} after")


def no_server_at_boot(trial: Any) -> None:
    trial.be_quiet()
    trial.sound.kill_server()
    trial.open()
    trial.wait_for(DeviceLost, 2)
    for_a_while(1.0)
    trial.sound.restart_server()
    trial.speak()
    back(trial)


def close_while_frozen(trial: Any) -> None:
    """What hangs in the driver is named, and ends when the server goes on."""
    trial.be_quiet()
    trial.sound.freeze()
    trial.close()
    assert trial.close_error.threads, "nobody was told which thread is left"
    trial.sound.thaw()
    driverless(trial)


def driverless(trial: Any) -> None:
    trial.wait_until(
        lambda: not [thread.name for thread in threading.enumerate() if thread.name in IN_DRIVERS],
        "the end of the threads that hung",
    )


def close_while_dying(trial: Any) -> None:
    trial.be_quiet()
    trial.sound.kill_server()
    trial.close()


def frozen_for_good(trial: Any) -> None:
    """No other attempt in this process can mend it, so somebody else has to know."""
    trial.be_quiet()
    trial.sound.freeze()
    trial.wait_until(lambda: trial.voice.state.ended, "the end", 30)
    trial.sound.thaw()
    driverless(trial)


def of(seconds: float) -> Callable[[Any], None]:
    return lambda trial: frozen(seconds, trial)


REOPENED = Recovers(within=8.0)
"""The longest delay between two trials is 5 s, and this server takes 2 s to start."""
FAULTS = [
    Fault("sound server killed while a read waits", killed_while_a_read_waits, REOPENED, told=LOST_AND_FOUND),
    Fault("the same with PyAudioSpeaker", killed_while_a_read_waits, REOPENED, told=LOST_AND_FOUND),
    Fault("sound server killed between two reads", killed_between_two_reads, REOPENED, told=LOST_AND_FOUND),
    Fault("sound server frozen for 1 s", of(1.0), Recovers(within=3.0)),
    Fault("sound server frozen for 6 s", of(6.0), REOPENED, told=LOST_AND_FOUND),
    Fault("sound server frozen for 6 s, PyAudioSpeaker", of(6.0), REOPENED, told=LOST_AND_FOUND),
    Fault("sound server frozen for 15 s, PyAudioSpeaker", of(15.0), REOPENED, told=LOST_AND_FOUND),
    Fault("close() while the sound server is frozen", close_while_frozen, Fails(ShutdownTimeout)),
    Fault("close() as the sound server dies", close_while_dying, Ends()),
    Fault("close() as the sound server dies, PyAudioSpeaker", close_while_dying, Ends()),
    Fault(
        "sound server frozen for good, and the watchdog barks",
        frozen_for_good,
        Fails(AudioStalled),
        config={"watchdog": 5.0},
        told=(DeviceLost,),
    ),
    Fault(
        "microphone plugged in while PyAudioSpeaker plays",
        plugged_in_later,
        REOPENED,
        config={"await_devices": True},
        opens=False,
        told=LOST_AND_FOUND,
    ),
    Fault(
        "back under other numbers, asked for by name, PyAudioSpeaker",
        other_numbers,
        REOPENED,
        opens=False,
        told=LOST_AND_FOUND,
    ),
    Fault("microphone suspended: it yields nothing", source_suspended, REOPENED, told=LOST_AND_FOUND),
    Fault("loudspeaker suspended: it blocks", sink_suspended, REOPENED, told=LOST_AND_FOUND),
    Fault("sink and source unloaded and loaded again", unloaded, REOPENED),
    Fault("no device left, PyAudioSpeaker", sources_gone, REOPENED, told=LOST_AND_FOUND),
    Fault(
        "no sound server at boot, then one, PyAudioSpeaker",
        no_server_at_boot,
        REOPENED,
        config={"await_devices": True},
        opens=False,
        told=LOST_AND_FOUND,
    ),
    Fault(
        "no sound server at boot, then one",
        no_server_at_boot,
        REOPENED,
        config={"await_devices": True},
        opens=False,
        told=LOST_AND_FOUND,
    ),
]
