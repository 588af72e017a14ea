"""The loudspeaker on SDL's own drivers: "disk" writes what is mixed to a file, "dummy" nowhere."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from tests.audio.playing import counting, cut, feed, heard, play_out, wait_until
from tests.patience import PATIENCE
from tests.sound.programs import run
from voicews.audio import AudioFormat, Speaker, loudspeakers
from voicews.errors import (
    AudioError,
    BackendMissing,
    ConfigError,
    DeviceLostError,
    DeviceNotFound,
    FormatUnsupported,
    InvalidState,
)

MONO = AudioFormat(16000)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("SDL_AUDIODRIVER", "disk")
    monkeypatch.setenv("SDL_DISKAUDIOFILE", str(tmp_path / "mixed.raw"))
    return tmp_path / "mixed.raw"


@pytest.fixture
def dummy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_AUDIODRIVER", "dummy")


chance = random.Random(7)

PIECES = {
    "frames": [320],
    "odd sizes": [333, 7, 1, 500, 41],
    "crumbs": [13],
    "bursts": [1, 40, 5000, 300, 2],
    "long": [12000],
    "any": [chance.randrange(1, 900) for _ in range(200)],
}


@pytest.mark.parametrize("sizes", PIECES.values(), ids=PIECES)
@pytest.mark.parametrize("poll", [0.002, 0.01])
def test_not_one_sample_is_missing_or_repeated(disk: Path, sizes: list[int], poll: float) -> None:
    speaker, pcm = Speaker(), counting(16000)
    speaker.open(MONO)
    feed(speaker, cut(pcm, MONO, sizes), poll)
    play_out(speaker, poll)
    assert speaker.position == pytest.approx(1.0)
    speaker.close()
    sounding = heard(disk.read_bytes())
    assert sounding[sounding != 0].tobytes() == pcm
    assert (speaker.counters.starved, speaker.counters.stuck) == (0, 0)
    # Only a machine too busy to run the threads in time makes holes, and then that is counted.
    assert len(sounding) == 16000 or speaker.counters.late or speaker.underruns


@pytest.mark.parametrize(
    "format", [AudioFormat(16000, 2), AudioFormat(24000), AudioFormat(44100, 2), AudioFormat(8000)], ids=str
)
def test_every_format_is_mixed_exactly(disk: Path, format: AudioFormat) -> None:
    speaker, pcm = Speaker(), counting(format.rate, format.channels)
    speaker.open(format)
    feed(speaker, cut(pcm, format, [format.samples(0.02)]))
    play_out(speaker)
    speaker.close()
    mixed = np.frombuffer(disk.read_bytes(), "<i2")
    assert mixed[mixed != 0].tobytes() == pcm
    assert len(heard(disk.read_bytes(), format.channels)) == format.rate
    assert speaker.counters.starved == speaker.counters.stuck == 0


@pytest.mark.parametrize("samples", [1, 100, 300, 600])
def test_the_shortest_answer_is_played_though_nothing_follows(disk: Path, samples: int) -> None:
    speaker = Speaker()
    speaker.open(MONO)
    speaker.write(counting(samples))
    assert speaker.pending() > 0
    play_out(speaker, timeout=2)
    speaker.close()
    assert heard(disk.read_bytes()).tobytes() == counting(samples)


def test_after_a_flush_nothing_more_is_mixed(disk: Path) -> None:
    speaker = Speaker()
    speaker.open(MONO)
    feed(speaker, cut(counting(8000), MONO, [320]))
    wait_until(lambda: speaker.pending() < 0.15)
    position = speaker.flush()
    assert speaker.pending() == 0
    assert speaker.position == position
    assert 0.25 < position < 0.5
    speaker.write(counting(1600, start=20000))
    play_out(speaker)
    assert speaker.position == pytest.approx(position + 0.1)
    speaker.close()
    samples = heard(disk.read_bytes())
    before, after = samples[samples <= 8000], samples[samples > 20000]
    before = before[before > 0]
    assert before.tobytes() == counting(8000)[: 2 * len(before)]
    assert after.tobytes() == counting(1600, start=20000)
    assert abs(len(before) / 16000 - position) < 0.06
    assert speaker.underruns == 0


def test_the_position_follows_what_is_heard(dummy: None) -> None:
    speaker = Speaker()
    speaker.open(MONO)
    positions = []

    def pieces() -> list[bytes]:
        return list(cut(counting(16000), MONO, [320]))

    for piece in pieces():
        while speaker.pending() >= speaker.lead:
            positions.append(speaker.position)
        speaker.write(piece)
    play_out(speaker)
    positions.append(speaker.position)
    assert positions == sorted(positions)
    assert positions[-1] == pytest.approx(1.0)
    speaker.close()
    assert speaker.position == positions[-1]


def test_sound_that_comes_late_is_an_underrun_and_an_end_is_not(dummy: None) -> None:
    speaker = Speaker()
    speaker.open(MONO)
    speaker.write(counting(1600))
    play_out(speaker)
    speaker.write(counting(1600))
    assert speaker.underruns == 1
    speaker.flush()
    speaker.write(counting(1600))
    assert speaker.underruns == 1
    speaker.write(b"")
    speaker.close()


def test_the_buffer_lasts_at_least_16_ms(dummy: None) -> None:
    for rate, samples in ((8000, 128), (16000, 256), (24000, 512), (48000, 1024)):
        assert Speaker()._buffer_samples(AudioFormat(rate)) == samples
    assert Speaker(buffer_samples=300)._buffer_samples(MONO) == 512
    assert Speaker(buffer_samples=1)._buffer_samples(MONO) == 1


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="buffer_samples is 0"):
        Speaker(buffer_samples=0)
    with pytest.raises(ConfigError, match="prebuffer is -1"):
        Speaker(prebuffer=-1)
    assert repr(Speaker()) == "Speaker()"
    assert repr(Speaker("usb")) == "Speaker('usb')"


def test_it_can_be_opened_again_and_again(disk: Path) -> None:
    speaker = Speaker(prebuffer=0)
    for _ in range(10):
        speaker.open(MONO)
        assert speaker.position == 0
        speaker.write(counting(800))
        play_out(speaker)
        speaker.close()
        assert heard(disk.read_bytes()).tobytes() == counting(800)
    speaker.close()


def test_what_is_not_open_cannot_be_used(dummy: None) -> None:
    speaker = Speaker()
    for call in (lambda: speaker.write(b"12"), speaker.pending, speaker.flush):
        with pytest.raises(InvalidState, match="not open"):
            call()
    speaker.open(MONO)
    with pytest.raises(FormatUnsupported, match="1 bytes are not whole samples"):
        speaker.write(b"1")
    speaker.close()


def in_another_thread(call: Callable[[], object]) -> BaseException | None:
    caught: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except Exception as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(PATIENCE)
    return caught[0] if caught else None


def test_one_thread_owns_it(dummy: None) -> None:
    speaker = Speaker()
    speaker.open(MONO)
    for call in (lambda: speaker.write(b"12"), speaker.pending, speaker.flush, speaker.close):
        error = in_another_thread(call)
        assert isinstance(error, InvalidState)
        assert "thread" in str(error)
    speaker.close()
    # Once its owner is gone, anybody may close it.
    assert in_another_thread(lambda: speaker.open(MONO)) is None
    speaker.close()


def test_there_is_one_mixer(dummy: None) -> None:
    speaker = Speaker()
    speaker.open(MONO)
    with pytest.raises(AudioError, match="another Speaker has the mixer open"):
        Speaker().open(MONO)
    with pytest.raises(AudioError, match="another Speaker"):
        loudspeakers()
    speaker.close()
    import pygame

    pygame.mixer.init()
    try:
        with pytest.raises(AudioError, match=r"uses pygame.mixer for itself; take PyAudioSpeaker\(\)"):
            speaker.open(MONO)
    finally:
        pygame.mixer.quit()
    speaker.open(MONO)
    speaker.close()


def test_a_device_that_is_not_there(dummy: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for device in (99, -1):
        with pytest.raises(DeviceNotFound, match=f"no loudspeaker has the index {device}; there are: "):
            Speaker(device).open(MONO)
    with pytest.raises(DeviceNotFound, match="no loudspeaker has 'nonsense' in the name; there are: "):
        Speaker("nonsense").open(MONO)
    monkeypatch.setenv("SDL_AUDIODRIVER", "nonsense")
    with pytest.raises(DeviceNotFound, match=r"no loudspeaker could be opened.*start the sound server"):
        Speaker().open(MONO)
    monkeypatch.setenv("SDL_AUDIODRIVER", "dummy")
    speaker = Speaker()
    speaker.open(MONO)
    speaker.close()


@pytest.mark.parametrize("wanted", [0, 1, "right", "Right One"])
def test_a_device_is_an_index_or_a_part_of_its_name(
    monkeypatch: pytest.MonkeyPatch, wanted: int | str
) -> None:
    from voicews.audio import speaker

    monkeypatch.setattr(speaker, "_names", lambda pygame: ["Other", "Right One"])
    found = speaker._find(sys, wanted)
    assert found == ("Other" if wanted == 0 else "Right One")


def test_a_part_of_two_names_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from voicews.audio import speaker

    monkeypatch.setattr(speaker, "_names", lambda pygame: ["Left One", "Right One"])
    with pytest.raises(
        DeviceNotFound, match=r"2 loudspeakers have 'one' in the name; there are: 0 .Left One., 1"
    ):
        speaker._find(sys, "one")


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ((3, 13), r"^pygame cannot be loaded .*apt install libglib2.0-0.*`pip install pygame`$"),
        ((3, 14), r"^pygame-ce cannot be loaded .*: `pip install pygame-ce`$"),
    ],
)
def test_without_pygame_the_message_says_how_to_get_it(
    version: tuple[int, int], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from voicews.audio import speaker as module

    monkeypatch.setitem(sys.modules, "pygame", None)
    with monkeypatch.context() as patch:
        patch.setattr(module, "sys", SimpleNamespace(modules=sys.modules, version_info=version))
        with pytest.raises(BackendMissing, match=words):
            Speaker().open(MONO)


@pytest.mark.parametrize("libraries", ["pygame.libs", "pygame_ce.libs"])
def test_the_libraries_of_either_pygame_are_found(libraries: str, tmp_path: Path) -> None:
    from voicews.audio import speaker as module

    library = tmp_path / libraries / "libSDL2-2-0123.so"
    library.parent.mkdir()
    library.touch()
    pygame = ModuleType("pygame")
    pygame.__file__ = str(tmp_path / "pygame" / "__init__.py")
    assert module._bundled(pygame, "libSDL2-2*") == [str(library)]


def test_a_mixer_that_does_not_load_is_a_missing_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    import pygame

    def missing(*arguments: object, **options: object) -> None:
        raise NotImplementedError("mixer module not available (ImportError: libgthread-2.0.so.0)")

    monkeypatch.setattr(pygame.mixer, "init", missing)
    with pytest.raises(BackendMissing, match="libgthread"):
        Speaker().open(MONO)
    monkeypatch.setattr(pygame, "mixer", object())
    with pytest.raises(BackendMissing, match="its mixer is missing"):
        Speaker().open(MONO)


def test_a_mixer_that_gives_another_format_is_refused(dummy: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import pygame

    real = pygame.mixer.get_init
    monkeypatch.setattr(pygame.mixer, "get_init", lambda: real() and (44100, -16, 2))
    with pytest.raises(FormatUnsupported, match="asked for 16000 Hz mono int16 and gave"):
        Speaker().open(MONO)
    monkeypatch.undo()
    assert pygame.mixer.get_init() is None


class StandIn:
    """Stands between a speaker and its channel, to put it into states that are a matter of luck."""

    def __init__(self, channel: object) -> None:
        self.channel = channel
        self.told: dict[str, object] = {}
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            self.calls.append(name)
            return self.told[name] if name in self.told else getattr(self.channel, name)(*arguments)

        return call


def test_a_sound_stuck_in_the_queue_is_set_going(dummy: None) -> None:
    speaker = Speaker()
    speaker.open(MONO)
    speaker.write(counting(1600))
    (sound, _) = speaker._mixing[0]
    speaker._channel = channel = StandIn(speaker._channel)
    channel.told = {"get_sound": None, "get_queue": sound}
    speaker.pending()
    assert "play" in channel.calls
    assert speaker.counters.stuck == 1
    channel.told = {}
    play_out(speaker)
    speaker.close()


def test_nothing_is_queued_while_the_end_of_a_sound_is_being_told(dummy: None) -> None:
    speaker = Speaker()
    speaker.open(MONO)
    speaker.write(counting(1600))
    speaker._channel = channel = StandIn(speaker._channel)
    channel.told = {"get_queue": None, "get_sound": speaker._mixing[0][0], "get_busy": False}
    speaker.write(counting(3200))
    assert "queue" not in channel.calls
    channel.told = {}
    play_out(speaker)
    assert "queue" in channel.calls
    speaker.close()


@pytest.mark.parametrize("held_up", [False, True])
def test_running_dry_with_sound_at_hand_is_counted(dummy: None, held_up: bool) -> None:
    speaker = Speaker()
    speaker.open(MONO)
    speaker.write(counting(1600))
    speaker._channel = channel = StandIn(speaker._channel)
    channel.told = {"get_queue": None, "get_sound": speaker._mixing[0][0], "get_busy": False}
    speaker.write(counting(1600))
    if held_up:
        speaker._polled_at -= 1
    channel.told = {"get_queue": None, "get_sound": None}
    speaker.pending()
    assert (speaker.counters.starved, speaker.counters.late) == ((0, 1) if held_up else (1, 0))
    speaker.close()


def test_a_device_that_takes_nothing_is_lost(dummy: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Speaker, "_WAKING", 0.1)
    speaker = Speaker()
    speaker.open(MONO)
    speaker.write(counting(1600))
    speaker._channel = channel = StandIn(speaker._channel)
    channel.told = {"get_queue": None, "get_sound": speaker._mixing[0][0], "get_busy": True}
    with pytest.raises(DeviceLostError, match=r"has taken no sound for 0.1 s"):
        wait_until(lambda: not speaker.pending(), timeout=5)
    speaker.close()
    speaker.open(MONO)
    speaker.close()


def test_a_device_that_does_not_stop_is_lost(dummy: None) -> None:
    speaker = Speaker()
    speaker.open(MONO)
    speaker.write(counting(1600))
    speaker._channel = channel = StandIn(speaker._channel)
    channel.told = {"get_busy": True, "stop": None}
    with pytest.raises(DeviceLostError, match="went on playing"):
        speaker.flush()
    speaker.close()


def test_a_queue_that_starts_when_it_is_stopped_is_stopped_too(dummy: None) -> None:
    speaker = Speaker()
    speaker.open(MONO)
    feed(speaker, cut(counting(8000), MONO, [320]))

    class LikePygameCe(StandIn):
        def stop(self) -> None:
            waiting = self.channel.get_queue()  # type: ignore[attr-defined]
            self.channel.stop()  # type: ignore[attr-defined]
            if waiting is not None:
                self.channel.play(waiting)  # type: ignore[attr-defined]

    speaker._channel = LikePygameCe(speaker._channel)
    speaker.flush()
    assert not speaker._channel.get_busy()
    speaker.close()


def test_a_mixer_that_hangs_is_left_to_a_thread(dummy: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from voicews.audio import speaker as module

    thawed = threading.Event()
    real = module._quit

    def quit_late(pygame: ModuleType) -> None:
        thawed.wait(PATIENCE)
        real(pygame)

    monkeypatch.setattr(module, "_QUITTING", 0.05)
    monkeypatch.setattr(module, "_quit", quit_late)
    speaker = Speaker()
    speaker.open(MONO)
    speaker._stalled = True
    speaker.close()
    with pytest.raises(DeviceLostError, match="the mixer hangs") as told:
        speaker.open(MONO)
    assert told.value.hangs
    with pytest.raises(AudioError, match="or hangs in it"):
        Speaker().open(MONO)
    thawed.set()
    wait_until(lambda: module._mixer_owner is None)
    speaker.open(MONO)
    speaker.close()
    wait_until(lambda: module._mixer_owner is None)


@pytest.mark.parametrize("lacking", ["library", "device"])
def test_a_device_that_cannot_be_watched_is_believed_to_be_there(
    dummy: None, monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    from voicews.audio import speaker as module

    if lacking == "library":
        monkeypatch.setattr(module, "_bundled", lambda pygame, pattern: [])
    else:
        monkeypatch.setattr(module, "_SDL_DEVICES", range(100, 102))
    speaker = Speaker()
    speaker.open(MONO)
    speaker.write(counting(3200))
    play_out(speaker)
    speaker.close()


def test_the_devices_have_names(dummy: None) -> None:
    assert isinstance(loudspeakers(), list)


def test_a_crumb_waits_for_company_until_it_is_nearly_too_late(disk: Path) -> None:
    speaker = Speaker()
    speaker.open(MONO)
    speaker.write(counting(1600))
    wait_until(lambda: speaker.pending() < 0.09, poll=0.001)
    speaker.write(counting(80, start=1600))
    play_out(speaker, poll=0.001)
    speaker.close()
    assert heard(disk.read_bytes()).tobytes() == counting(1680)


def test_at_the_interpreters_end_nobody_notices_that_the_mixer_has_gone(dummy: None) -> None:
    from voicews.audio import speaker as module

    speaker = Speaker()
    speaker.open(MONO)
    speaker.write(counting(1600))
    module._quit_at_exit()
    assert module._mixer_owner is None
    speaker.write(counting(1600))
    assert speaker.pending() == 0
    assert speaker.flush() == speaker.position < 0.2
    speaker.close()
    assert speaker._end_with_the_interpreter()


def test_at_the_interpreters_end_a_thread_that_hangs_is_let_be(
    dummy: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from voicews.audio import speaker as module

    monkeypatch.setattr(module, "_QUITTING", 0.01)
    speaker = Speaker()
    speaker.open(MONO)
    with speaker._in_use:
        module._quit_at_exit()
    assert module._mixer_owner is speaker
    speaker.write(counting(160))
    speaker.close()


ENDING_PYGAME = """
    import threading
    import pygame, pygame.mixer
    kept_quit = pygame.quit
    from voicews.audio import AudioFormat, Speaker
    from voicews.errors import AudioError, DeviceLostError

    speaker, opened, never = Speaker(), threading.Event(), threading.Event()

    def play(told):
        try:
            speaker.open(AudioFormat())
            opened.set()
            while True:
                if speaker.pending() < speaker.lead:
                    speaker.write(bytes([1, 2]) * 320)
                else:
                    never.wait(0.002)
        except DeviceLostError as error:
            told.append(error)
        speaker.close()

    def busy():
        while not over.is_set():
            sum(range(1000))

    over = threading.Event()
    threading.Thread(target=busy, daemon=True).start()
    for _ in range({times}):
        told = []
        opened.clear()
        thread = threading.Thread(target=play, args=(told,), daemon=True)
        thread.start()
        assert opened.wait(10)
        never.wait(0.1)
        {ending}
        thread.join(10)
        print(*told)
        speaker.close()
        pygame.mixer.quit()
    over.set()
    speaker.open(AudioFormat())
    speaker.write(bytes(640))
    speaker.close()
    print("played")
"""


@pytest.mark.parametrize(
    "ending",
    [
        "pygame.mixer.quit()",
        "pygame.quit()",
        "kept_quit()",
        "pygame.mixer.quit(); pygame.mixer.init(44100)",
        "pygame.mixer.set_num_channels(0)",
        "pygame.quit(); pygame.init()",
    ],
)
def test_a_program_that_ends_pygame_while_it_plays_costs_the_device_and_not_the_process(ending: str) -> None:
    code, out, err = run(ENDING_PYGAME.format(times=5, ending=ending), {"SDL_AUDIODRIVER": "dummy"})
    assert code == 0, err
    lines = [line for line in out.splitlines() if not line.startswith(("pygame ", "pygame-ce ", "Hello "))]
    assert len(lines) == 6, out
    assert all("the program has ended pygame.mixer" in line for line in lines[:-1]), out
    assert lines[-1] == "played"


def test_the_programs_own_mixer_is_left_open(dummy: None) -> None:
    import pygame

    speaker = Speaker()
    speaker.open(MONO)
    pygame.mixer.quit()
    pygame.mixer.init(44100)
    try:
        with pytest.raises(DeviceLostError, match=r"has ended pygame.mixer"):
            speaker.write(bytes(640))
        speaker.close()
        assert pygame.mixer.get_init() is not None
        with pytest.raises(AudioError, match=r"uses pygame.mixer for itself"):
            speaker.open(MONO)
    finally:
        pygame.mixer.quit()
    speaker.open(MONO)
    speaker.close()


def test_a_mixer_that_hangs_is_not_ended_twice(dummy: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second quit() beside the first would wait for SDL's thread for ever."""
    import pygame

    from voicews.audio import speaker as module

    thawed, real, quits = threading.Event(), module._end_mixer, []

    def end_late(pygame: ModuleType) -> None:
        quits.append(threading.current_thread().name)
        thawed.wait(PATIENCE)
        real(pygame)

    monkeypatch.setattr(module, "_QUITTING", 0.05)
    monkeypatch.setattr(module, "_end_mixer", end_late)
    monkeypatch.setattr(pygame, "quit", lambda: quits.append("pygame.quit"))
    speaker = Speaker()
    speaker.open(MONO)
    speaker._stalled = True
    speaker.close()
    module._quit_at_exit()
    with pytest.raises(pygame.error, match="it would hang"):
        pygame.mixer.quit()
    assert quits == ["voicews-speaker-quit"]
    thawed.set()
    wait_until(lambda: module._mixer_owner is None)
    module._quit_at_exit()
    assert quits == ["voicews-speaker-quit", "pygame.quit"]


def test_at_the_interpreters_end_a_mixer_is_left_open_where_no_thread_can_end_it(
    dummy: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from voicews.audio import speaker as module

    def too_late(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    speaker = Speaker()
    speaker.open(MONO)
    speaker._stalled = True
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", too_late)
        module._quit_at_exit()
        speaker.close()
    assert module._mixer_owner is speaker
    module._quit(sys.modules["pygame"])


def test_a_device_may_take_long_to_begin(dummy: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Speaker, "_STALL", 0.05)
    speaker = Speaker()
    speaker.open(MONO)
    speaker.write(counting(1600))
    first = speaker._mixing[0][0]
    speaker._channel = channel = StandIn(speaker._channel)
    channel.told = {"get_queue": None, "get_sound": first, "get_busy": True}
    began = time.monotonic()
    while time.monotonic() < began + 0.4:
        speaker.pending()
    channel.told = {}
    play_out(speaker)
    speaker.write(counting(1600))
    channel.told = {"get_queue": None, "get_sound": speaker._mixing[0][0], "get_busy": True}
    with pytest.raises(DeviceLostError, match=r"has taken no sound for 0.05 s"):
        wait_until(lambda: not speaker.pending(), timeout=2)
    speaker.close()
