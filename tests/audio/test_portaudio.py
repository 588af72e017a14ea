from __future__ import annotations

import sys
import threading
import weakref
from pathlib import Path
from types import ModuleType

import pytest

from tests.patience import PATIENCE
from voicews.audio import portaudio
from voicews.audio.portaudio import Device, Direction, Stream, choose, list_devices
from voicews.config import AudioFormat
from voicews.errors import AudioError, BackendMissing, DeviceLostError, DeviceNotFound


def device(index: int, name: str, inputs: int = 0, outputs: int = 0, default: bool = False) -> Device:
    return Device(
        index=index,
        name=name,
        host_api="ALSA",
        inputs=inputs,
        outputs=outputs,
        default_rate=48000,
        default_input=default,
        default_output=default,
    )


DEVICES = [
    device(0, "HDMI", outputs=2),
    device(1, "USB Headset", inputs=1, outputs=2),
    device(2, "USB Camera", inputs=2),
    device(3, "default", inputs=32, outputs=32, default=True),
]


@pytest.mark.parametrize(
    ("wanted", "direction", "index"),
    [
        (None, "input", 3),
        (None, "output", 3),
        (1, "input", 1),
        (1, "output", 1),
        ("headset", "input", 1),
        ("CAMERA", "input", 2),
        ("hdmi", "output", 0),
        ("usb", "output", 1),
        ("DEFAULT", "input", 3),
    ],
)
def test_a_device_is_an_index_or_a_part_of_its_name(
    wanted: int | str | None, direction: Direction, index: int
) -> None:
    assert choose(DEVICES, wanted, direction).index == index


@pytest.mark.parametrize(
    ("wanted", "direction", "message"),
    [
        (
            0,
            "input",
            "no microphone has the index 0; there are: 1 .USB Headset., 2 .USB Camera., 3 .default.",
        ),
        (2, "output", "no loudspeaker has the index 2"),
        (4, "input", "index 4"),
        (-1, "input", "index -1"),
        ("usb", "input", "2 microphones have 'usb' in the name"),
        ("bluetooth", "output", "no loudspeaker has 'bluetooth' in the name; there are: 0 .HDMI."),
    ],
)
def test_what_cannot_be_meant_is_refused(wanted: int | str, direction: Direction, message: str) -> None:
    with pytest.raises(DeviceNotFound, match=message):
        choose(DEVICES, wanted, direction)


def test_a_whole_name_wins_over_a_part() -> None:
    found = [device(0, "Mic", inputs=1), device(1, "Mic Array", inputs=2)]
    assert choose(found, "mic", "input").index == 0


def test_no_device_at_all() -> None:
    with pytest.raises(
        DeviceNotFound, match=r"no microphone: connect one, .*VOICEWS_AUDIO=null .*SilenceSource\(\) from"
    ):
        choose(DEVICES[:1], None, "input")
    with pytest.raises(DeviceNotFound, match=r"no loudspeaker: .*NullSink\(\)"):
        choose([], "x", "output")
    with pytest.raises(DeviceNotFound, match="names no default microphone; choose one"):
        choose(DEVICES[:3], None, "input")


def test_without_pyaudio_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyaudio", None)
    with pytest.raises(
        BackendMissing, match=r"portaudio19-dev gcc python3-dev.*pip install PyAudio"
    ) as caught:
        list_devices()
    assert isinstance(caught.value.__cause__, ImportError)


def test_a_thread_that_hangs_in_portaudio_does_not_take_the_others_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(portaudio, "_PATIENCE", 0.05)
    with portaudio._locked():
        caught: list[BaseException] = []

        def other() -> None:
            try:
                list_devices()
            except DeviceLostError as error:
                caught.append(error)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join(PATIENCE)
    assert "hanging in the sound system" in str(caught[0])


def test_a_portaudio_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(ModuleType):
        def PyAudio(self) -> None:  # noqa: N802 - the library's name
            raise OSError(-9999, "Unanticipated host error")

    monkeypatch.setitem(sys.modules, "pyaudio", Broken("pyaudio"))
    with pytest.raises(AudioError, match="does not start: Unanticipated host error"):
        list_devices()


class BrokenStream:
    """A PyAudio stream whose device has gone."""

    def read(self, *arguments: object, **options: object) -> bytes:
        raise OSError(-9988, "Stream closed")

    write = stop_stream = start_stream = read


def test_every_call_tells_of_a_lost_device() -> None:
    stream = Stream(BrokenStream(), DEVICES[1], AudioFormat(), 0.0)  # type: ignore[arg-type]
    for call in (lambda: stream.read(320), lambda: stream.write(b""), stream.stop, stream.start):
        with pytest.raises(DeviceLostError, match=r"'USB Headset' has stopped .Stream closed.*unplugged"):
            call()


class RefusingSystem:
    """A PyAudio whose device answers to opening with these errors, and has no other."""

    def __init__(self, *errors: OSError) -> None:
        self.errors = list(errors)

    def open(self, **options: object) -> None:
        raise self.errors.pop(0)


@pytest.mark.parametrize(
    ("errors", "kind", "message"),
    [
        (
            [OSError(-9997, "Invalid sample rate")] * 2,
            "FormatUnsupported",
            "none of the formats.*16000 Hz mono",
        ),
        ([OSError(-9985, "Device unavailable")], "AudioError", "in use by another program"),
        ([OSError(-9993, "Illegal combination of I/O devices")], "DeviceNotFound", "is gone .Illegal comb"),
        ([OSError(-9999, "Unanticipated host error")] * 2, "AudioError", "does not open: Unanticipated"),
        (
            [OSError(-9997, "Invalid rate"), OSError(-9986, "Internal")],
            "AudioError",
            "does not open: Internal",
        ),
        ([ValueError("odd")] * 2, "AudioError", "does not open: odd"),
    ],
)
def test_a_device_that_does_not_open_says_why(errors: list[OSError], kind: str, message: str) -> None:
    formats = [AudioFormat(16000), AudioFormat(16000, 2), AudioFormat(48000)]
    with pytest.raises(Exception, match=message) as caught:
        portaudio._open_first(RefusingSystem(*errors), DEVICES[1], "input", formats, 0.02)  # type: ignore[arg-type]
    assert type(caught.value).__name__ == kind
    assert caught.value.__cause__ is errors[-1]


def test_a_device_with_too_few_channels_is_not_even_asked() -> None:
    with pytest.raises(Exception, match="none of the formats") as caught:
        portaudio._open_first(RefusingSystem(), DEVICES[1], "input", [AudioFormat(16000, 2)], 0.02)  # type: ignore[arg-type]
    assert caught.value.__cause__ is None


class WaitingStream:
    """A PyAudio stream whose reads come back when they are told to."""

    def __init__(self) -> None:
        self.reading, self.go_on = threading.Event(), threading.Event()
        self.closed = 0

    def read(self, samples: int, **options: object) -> bytes:
        self.reading.set()
        assert self.go_on.wait(PATIENCE)
        return bytes(2 * samples)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """PortAudio is started, with another stream beside the test's."""
    monkeypatch.setattr(portaudio, "_users", 2)


@pytest.mark.usefixtures("in_use")
def test_a_stream_that_is_left_in_the_driver_is_closed_by_the_thread_that_comes_back() -> None:
    raw = WaitingStream()
    stream = Stream(raw, DEVICES[1], AudioFormat(), 0.0)  # type: ignore[arg-type]
    caught: list[BaseException] = []

    def hang() -> None:
        try:
            stream.read(320)
        except DeviceLostError as error:
            caught.append(error)

    thread = threading.Thread(target=hang)
    thread.start()
    assert raw.reading.wait(PATIENCE)
    stream.leave()
    assert raw.closed == 0
    raw.go_on.set()
    thread.join(PATIENCE)
    assert (raw.closed, portaudio._users) == (1, 1)
    assert "'USB Headset' and was replaced" in str(caught[0])


@pytest.mark.usefixtures("in_use")
def test_a_stream_that_is_left_between_two_calls_is_closed_at_once() -> None:
    raw = WaitingStream()
    stream = Stream(raw, DEVICES[1], AudioFormat(), 0.0)  # type: ignore[arg-type]
    stream.leave()
    assert (raw.closed, portaudio._users) == (1, 1)
    with pytest.raises(DeviceLostError, match="was given back"):
        stream.read(320)


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the sound cards are listed; PortAudio has seen "headset"."""
    cards = tmp_path / "cards"
    cards.write_text("headset", encoding="utf-8")
    monkeypatch.setattr(portaudio, "_CARDS", cards)
    monkeypatch.setattr(portaudio, "_cards", "headset")
    monkeypatch.setattr(portaudio, "_asked_for", [])
    monkeypatch.setattr(portaudio, "_streams", weakref.WeakSet())
    return cards


def gives_way(stream: Stream) -> bool:
    try:
        stream.require_right_of_way()
    except DeviceLostError:
        return True
    return False


def open_one() -> Stream:
    return Stream(WaitingStream(), DEVICES[1], AudioFormat(), 0.0)  # type: ignore[arg-type]


def test_open_streams_give_way_to_a_new_list_only_if_the_cards_have_changed(cards: Path) -> None:
    stream = open_one()
    portaudio._make_way()
    assert not gives_way(stream)
    cards.write_text("headset, camera", encoding="utf-8")
    portaudio._make_way()
    assert gives_way(stream)
    with pytest.raises(DeviceLostError, match="listed anew"):
        stream.read(320)
    assert not gives_way(open_one()), "one that was opened after that is left alone"


def test_a_device_that_never_comes_does_not_disturb_for_ever(cards: Path) -> None:
    cards.write_text("camera", encoding="utf-8")
    asked = []
    for _ in range(5):
        stream = open_one()
        portaudio._make_way()
        asked.append(gives_way(stream))
    assert asked == [True, True, True, False, False]
    cards.unlink()
    stream = open_one()
    portaudio._make_way()
    assert gives_way(stream), "the last card was unplugged"


@pytest.mark.usefixtures("in_use")
def test_no_stream_gives_way_where_a_driver_hangs(cards: Path) -> None:
    """The devices could not be listed anew, so it would be for nothing."""
    raw = WaitingStream()
    hung = Stream(raw, DEVICES[1], AudioFormat(), 0.0)  # type: ignore[arg-type]

    def hang() -> None:
        with pytest.raises(DeviceLostError):
            hung.read(320)

    thread = threading.Thread(target=hang)
    thread.start()
    assert raw.reading.wait(PATIENCE)
    hung.leave()
    stream = open_one()
    cards.write_text("camera", encoding="utf-8")
    portaudio._make_way()
    assert not gives_way(stream)
    raw.go_on.set()
    thread.join(PATIENCE)
    portaudio._make_way()
    assert gives_way(stream)


@pytest.mark.usefixtures("in_use")
def test_a_stream_that_could_not_be_closed_is_closed_by_the_next_who_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise the interpreter would close it beside whoever uses PortAudio."""
    monkeypatch.setattr(portaudio, "_PATIENCE", 0.05)
    monkeypatch.setattr(portaudio, "_system", object())
    monkeypatch.setattr(portaudio, "_devices", lambda system: [])
    raw = WaitingStream()
    stream = Stream(raw, DEVICES[1], AudioFormat(), 0.0)  # type: ignore[arg-type]
    with portaudio._locked(), pytest.raises(DeviceLostError, match="another thread"):
        stream.close()
    assert (raw.closed, portaudio._users) == (0, 2)
    for _ in range(2):
        assert list_devices() == []
        assert (raw.closed, portaudio._users) == (1, 1)
