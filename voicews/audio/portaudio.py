"""The process-wide PortAudio, by way of PyAudio.

PortAudio lists the devices once, when it is initialized, and must not be initialized,
terminated or asked to open and close streams by two threads at a time.  So all of that
happens here, under one lock.  It is initialized for the first stream and terminated with the
last one, so that new devices appear once nothing is open.  Where one is missing and the sound
cards have changed since, the streams that are open give way for a moment.  A stream whose thread
hangs in the driver is closed by no other, for that would crash, and keeps PortAudio alive as long
as it hangs.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from voicews.audio.inheritance import never_freed
from voicews.audio.quiet import hush, quiet_stderr
from voicews.config import AudioFormat
from voicews.descriptors import occupy_standard_descriptors
from voicews.errors import AudioError, BackendMissing, DeviceLostError, DeviceNotFound, FormatUnsupported

if TYPE_CHECKING:
    import pyaudio

__all__ = ["COMMON_RATES", "Device", "Direction", "Stream", "choose", "list_devices", "open_stream"]

log = logging.getLogger(__name__)

Direction = Literal["input", "output"]

COMMON_RATES = (48000, 44100, 16000, 24000, 32000, 96000, 8000)
"""The rates that sound cards have, the likeliest first."""

_INT16 = 8  # PortAudio's paInt16
_NO_SUCH_FORMAT = frozenset({-9997, -9998, -9994})
"""paInvalidSampleRate, paInvalidChannelCount, paSampleFormatNotSupported."""
_TRY_ANOTHER = _NO_SUCH_FORMAT | {-9999}
"""Some drivers answer with paUnanticipatedHostError to a format that they do not have."""
_BUSY = -9985
_GONE = frozenset({-9996, -9993})
"""paInvalidDevice, and paBadIODeviceCombination, which a vanished sound server gives."""
_PATIENCE = 5.0
"""Seconds to wait for another thread's opening or closing; longer means that the driver hangs."""

_CARDS = Path("/proc/asound/cards")
"""Where Linux lists the sound cards."""
_MOST_RELISTINGS = 3
"""Times that open streams give way for a list that shows the same cards: another may come between."""

_lock = threading.Lock()
_cards = ""
"""The sound cards of the list of devices."""
_asked_for: list[str] = []
"""Other sound cards, each time that streams were asked to give way."""
_system: pyaudio.PyAudio | None = None
_users = 0
_streams: weakref.WeakSet[Stream] = weakref.WeakSet()
_unclosed: list[Stream] = []
"""Streams that were to be closed while another thread hung."""


@dataclass(frozen=True)
class Device:
    """A sound device as PortAudio knows it."""

    index: int
    """The number to choose it by; it may change when devices come and go."""
    name: str
    host_api: str
    """The system's interface to it, such as ``ALSA``."""
    inputs: int
    """Channels it can capture; 0 if it is no microphone."""
    outputs: int
    """Channels it can play; 0 if it is no loudspeaker."""
    default_rate: int
    """The rate (Hz) that it names as its own."""
    default_input: bool = False
    default_output: bool = False
    input_rates: tuple[int, ...] = ()
    """Rates (Hz) at which it was found to capture, if it was tried."""
    output_rates: tuple[int, ...] = ()
    """Rates (Hz) at which it was found to play, if it was tried."""

    def channels(self, direction: Direction) -> int:
        """How many channels it has that way."""
        return self.inputs if direction == "input" else self.outputs


class Stream:
    """An open blocking stream.

    Only the thread that opened it may use it.  If that one hangs in the driver, any other may
    :meth:`leave` it.
    """

    def __init__(self, raw: pyaudio._Stream, device: Device, format: AudioFormat, latency: float) -> None:
        self._raw = raw
        self._handover = threading.Lock()
        self._in_driver = False
        self._left = False
        self._gives_way = False
        self.device = device
        self.format = format
        _streams.add(self)
        self.latency = latency
        """Seconds between the device and the program, as PortAudio estimates it."""

    def read(self, samples: int) -> bytes:
        """Wait for this many samples.

        Raises:
            DeviceLostError: the device has stopped.
        """
        with self._driver():
            # An overflow raised as an exception would have closed the stream: PyAudio does that
            # on every error.
            pcm: bytes = self._raw.read(samples, exception_on_overflow=False)
        return pcm

    def write(self, pcm: bytes) -> None:
        """Wait until these samples are in the device's buffer.

        Raises:
            DeviceLostError: the device has stopped.
        """
        with self._driver():
            self._raw.write(pcm, exception_on_underflow=False)

    def stop(self) -> None:
        """Stop, and drop what is in the device's buffer.

        Raises:
            DeviceLostError: the device has stopped by itself.
        """
        with self._driver():
            self._raw.stop_stream()

    def start(self) -> None:
        """Go on after :meth:`stop`.

        Raises:
            DeviceLostError: the device has stopped by itself.
        """
        with self._driver():
            self._raw.start_stream()

    def close(self) -> None:
        """Give the device back.

        Raises:
            DeviceLostError: another thread hangs in the sound system; once that is over, whoever
                uses it next closes this stream, too.
        """
        try:
            with _locked():
                self._close()
        except DeviceLostError:
            _unclosed.append(self)
            raise

    def _close(self) -> None:
        _streams.discard(self)
        with contextlib.suppress(OSError):  # it is closed already if it has failed
            self._raw.close()
        _leave()

    @property
    def hangs(self) -> bool:
        """True if it was left to a thread that is in the driver."""
        with self._handover:
            return self._left and self._in_driver

    def give_way(self) -> None:
        """Let the next call, by its own thread, fail as if the device were lost."""
        self._gives_way = True

    def require_right_of_way(self) -> None:
        """For a thread that does not call the device for now.

        Raises:
            DeviceLostError: close and open again, so that the devices can be listed anew.
        """
        if self._gives_way:
            raise DeviceLostError("the sound cards have changed, and are listed anew")

    def leave(self) -> None:
        """Give the device back from another thread.

        While its own thread is in the driver that would crash, so then that one closes it as
        soon as it comes back, if it ever does.

        Raises:
            DeviceLostError: another thread hangs in the sound system.
        """
        with self._handover:
            self._left = True
            hangs = self._in_driver
        if hangs:
            log.warning("leaving the sound device %r to the thread that hangs in it", self.device.name)
        else:
            self.close()

    @contextlib.contextmanager
    def _driver(self) -> Iterator[None]:
        """For a call that may hang; translates its errors."""
        self._enter_driver()
        try:
            with quiet_stderr():  # PortAudio tells of a device that goes there
                yield
        except OSError as error:
            self._return()
            raise DeviceLostError(
                f"the sound device {self.device.name!r} has stopped ({_reason(error)}): "
                "it was unplugged, or its sound server has ended"
            ) from error
        except BaseException:
            self._return()
            raise
        self._return()

    def _enter_driver(self) -> None:
        self.require_right_of_way()
        with self._handover:
            if self._left:
                raise DeviceLostError(f"the sound device {self.device.name!r} was given back")
            self._in_driver = True

    def _return(self) -> None:
        """Back from the driver: close what was left to this thread."""
        with self._handover:
            self._in_driver = False
            left = self._left
        if left:
            self.close()
            raise DeviceLostError(f"a thread hung in the sound device {self.device.name!r} and was replaced")


def list_devices() -> list[Device]:
    """All devices, as they were when PortAudio was last initialized.

    Raises:
        BackendMissing: PyAudio is not there, or does not load.
        AudioError: PortAudio does not start.
    """
    with _entered() as system:
        return _devices(system)


def choose(devices: Sequence[Device], wanted: int | str | None, direction: Direction) -> Device:
    """Find the device that is meant.

    Args:
        devices: all there are.
        wanted: None for the system's default, an index, or a part of the name in any case.
        direction: what it has to be able to do.

    Raises:
        DeviceNotFound: there is none, or more than one, or it is of the other kind.
    """
    kind = "microphone" if direction == "input" else "loudspeaker"
    able = [device for device in devices if device.channels(direction)]
    if not able:
        nothing = "SilenceSource()" if direction == "input" else "NullSink()"
        raise DeviceNotFound(
            f"this machine has no {kind}: connect one, or start its sound server (PulseAudio, PipeWire); "
            f"without one: VOICEWS_AUDIO=null in the environment, or {nothing} from voicews.audio"
        )
    there_are = f"there are: {', '.join(f'{device.index} ({device.name})' for device in able)}"
    if wanted is None:
        for device in able:
            if device.default_input if direction == "input" else device.default_output:
                return device
        raise DeviceNotFound(f"the system names no default {kind}; choose one, {there_are}")
    if isinstance(wanted, int):
        for device in able:
            if device.index == wanted:
                return device
        raise DeviceNotFound(f"no {kind} has the index {wanted}; {there_are}")
    found = [device for device in able if device.name.casefold() == wanted.casefold()]
    found = found or [device for device in able if wanted.casefold() in device.name.casefold()]
    if len(found) == 1:
        return found[0]
    what = f"{len(found)} {kind}s have" if found else f"no {kind} has"
    raise DeviceNotFound(f"{what} {wanted!r} in the name; {there_are}")


def open_stream(
    direction: Direction, wanted: int | str | None, formats: Sequence[AudioFormat], frame: float
) -> Stream:
    """Open a device in the first of these formats that it has.

    Args:
        direction: ``"input"`` or ``"output"``.
        wanted: see :func:`choose`.
        formats: in the order of preference.
        frame: seconds that are read or written at a time.

    Raises:
        BackendMissing: PyAudio is not there, or does not load.
        DeviceNotFound: see :func:`choose`.
        FormatUnsupported: the device has none of the formats.
        AudioError: the device does not open.
    """
    with contextlib.ExitStack() as undo:
        system = undo.enter_context(_entered())
        # An index that PortAudio does not know crashes the process, so none gets there unseen.
        try:
            device = choose(_devices(system), wanted, direction)
        except DeviceNotFound:
            _make_way()
            raise
        stream = _open_first(system, device, direction, formats, frame)
        _keep()
    return stream


def _open_first(
    system: pyaudio.PyAudio,
    device: Device,
    direction: Direction,
    formats: Sequence[AudioFormat],
    frame: float,
) -> Stream:
    refusal: Exception | None = None
    code = 0
    for wanted in formats:
        if wanted.channels > device.channels(direction):
            continue
        try:
            raw = _open_raw(system, device, direction, wanted, frame)
        except (OSError, ValueError) as error:
            refusal, code = error, next((arg for arg in error.args if isinstance(arg, int)), 0)
            if code not in _TRY_ANOTHER:
                break
        else:
            latency = raw.get_input_latency() if direction == "input" else raw.get_output_latency()
            return Stream(raw, device, wanted, latency)
    if refusal is not None and code not in _NO_SUCH_FORMAT:
        raise _not_opened(device, code, refusal) from refusal
    tried = ", ".join(str(wanted) for wanted in formats)
    raise FormatUnsupported(
        f"the sound device {device.name!r} has none of the formats that were tried: {tried}"
    ) from refusal


def _open_raw(
    system: pyaudio.PyAudio, device: Device, direction: Direction, format: AudioFormat, frame: float
) -> pyaudio._Stream:
    return system.open(
        rate=format.rate,
        channels=format.channels,
        format=_INT16,
        input=direction == "input",
        output=direction == "output",
        input_device_index=device.index if direction == "input" else None,
        output_device_index=device.index if direction == "output" else None,
        frames_per_buffer=max(1, format.samples(frame)),
    )


def _not_opened(device: Device, code: int, error: Exception) -> AudioError:
    if code == _BUSY:
        return AudioError(f"the sound device {device.name!r} is in use by another program, or switched off")
    if code in _GONE:
        return DeviceNotFound(f"the sound device {device.name!r} is gone ({_reason(error)})")
    return AudioError(f"the sound device {device.name!r} does not open: {_reason(error)}")


def _reason(error: Exception) -> str:
    return next((arg for arg in error.args if isinstance(arg, str)), str(error))


# -- the one PyAudio object -----------------------------------------------------------------


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    if not _lock.acquire(timeout=_PATIENCE):
        raise DeviceLostError(
            f"another thread has been hanging in the sound system for {_PATIENCE:g} s; "
            "restart the sound server, or this program",
            hangs=True,
        )
    try:
        with quiet_stderr():
            yield
    finally:
        _lock.release()


@contextlib.contextmanager
def _entered() -> Iterator[pyaudio.PyAudio]:
    """Hold the lock and use PortAudio, for as long as the body runs."""
    with _locked():
        while _unclosed:
            _unclosed.pop()._close()
        system = _enter()
        try:
            yield system
        finally:
            _leave()


def _enter() -> pyaudio.PyAudio:
    global _system, _users, _cards  # noqa: PLW0603 - PortAudio itself is global
    if _system is None:
        try:
            import pyaudio
        except ImportError as error:
            raise BackendMissing(
                f"PyAudio cannot be loaded ({error}); it is built from source: "
                "`apt install portaudio19-dev gcc python3-dev`, then `pip install PyAudio`"
            ) from error
        hush("libasound.so.2", "libjack.so.0")
        occupy_standard_descriptors()
        _cards = _cards_now()
        _asked_for.clear()
        try:
            _system = pyaudio.PyAudio()
        except OSError as error:
            raise AudioError(f"PortAudio does not start: {_reason(error)}") from error
    _users += 1
    return _system


def _cards_now() -> str:
    try:
        return _CARDS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _make_way() -> None:
    """A device is missing: if others keep the list of devices from showing a new one, they pause."""
    now = _cards_now()
    if now == _cards or _asked_for.count(now) >= _MOST_RELISTINGS:
        return
    streams = list(_streams)
    if any(stream.hangs for stream in streams):
        log.warning("a hanging driver keeps the sound devices from being listed anew")
        return
    _asked_for.append(now)
    log.info("the sound cards have changed: %d open streams give way", len(streams))
    for stream in streams:
        stream.give_way()


def _keep() -> None:
    """Count one user more: call under the lock, while PortAudio is in use."""
    global _users  # noqa: PLW0603
    _users += 1


def _leave() -> None:
    """Count one user less, and end PortAudio with the last."""
    global _system, _users  # noqa: PLW0603
    _users -= 1
    if _users == 0 and _system is not None:
        system, _system = _system, None
        system.terminate()


def _devices(system: pyaudio.PyAudio) -> list[Device]:
    default_input = _default_index(system, "input")
    default_output = _default_index(system, "output")
    found = []
    for index in range(system.get_device_count()):
        info = system.get_device_info_by_index(index)
        found.append(
            Device(
                index=index,
                name=str(info["name"]),
                host_api=str(system.get_host_api_info_by_index(int(info["hostApi"]))["name"]),
                inputs=int(info["maxInputChannels"]),
                outputs=int(info["maxOutputChannels"]),
                default_rate=round(float(info["defaultSampleRate"])),
                default_input=index == default_input,
                default_output=index == default_output,
            )
        )
    return found


def _default_index(system: pyaudio.PyAudio, direction: Direction) -> int | None:
    try:
        if direction == "input":
            return int(system.get_default_input_device_info()["index"])
        return int(system.get_default_output_device_info()["index"])
    except OSError:  # there is none
        return None


def _after_fork() -> None:
    """A child process leaves the parent's streams alone, even when it ends."""
    global _lock, _system, _users
    never_freed(_system, *_streams, *_unclosed)
    _unclosed.clear()
    _lock, _system, _users = threading.Lock(), None, 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
