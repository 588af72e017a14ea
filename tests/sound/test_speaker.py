from __future__ import annotations

import signal
import statistics
import threading
import time
from typing import Self

import numpy as np
import pytest

from tests.audio.playing import counting, cut, feed, heard, holes, play_out
from tests.patience import PATIENCE
from tests.sound.programs import run, start
from tests.sound.virtual import Ear, VirtualSound
from voicews.audio import AudioFormat, AudioSink, PyAudioSpeaker, Speaker, devices, loudspeakers
from voicews.errors import DeviceLostError, DeviceNotFound, InvalidState

MONO = AudioFormat(16000)
KINDS = [Speaker, PyAudioSpeaker]


def silent_after(ear: Ear, moment: float) -> float:
    """Seconds from the moment until the last sound was heard."""
    sounding = np.nonzero(np.frombuffer(ear.pcm, "<i2"))[0]
    last = 2 * (int(sounding[-1]) + 1)
    return next(when for when, size in ear.arrivals if size >= last) - moment


def first_heard(ear: Ear, moment: float) -> float:
    """Seconds from the moment until the first sound was heard."""
    first = 2 * int(np.nonzero(np.frombuffer(ear.pcm, "<i2"))[0][0])
    return next(when for when, size in ear.arrivals if size > first) - moment


def quiet_for(seconds: float) -> None:
    threading.Event().wait(seconds)


class Bystander:
    """A thread that does next to nothing and counts how often it was held up all the same."""

    HELD_UP = 0.005
    """Seconds; the speaker calls its thread late after a buffer of 16 ms, of which it waits 5."""

    def __enter__(self) -> Self:
        self.held_up = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._stand, name="bystander")
        self._thread.start()
        return self

    def _stand(self) -> None:
        due = time.monotonic()
        while not self._over.wait(max(0.0, due - time.monotonic())):
            self.held_up += time.monotonic() > due + self.HELD_UP
            due = time.monotonic() + 0.005

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


@pytest.mark.slow
@pytest.mark.full
def test_a_minute_without_a_hole_of_our_making(sound: VirtualSound) -> None:
    speaker, pcm = Speaker(), counting(16000 * 60)
    speaker.open(MONO)
    with sound.listen() as ear, Bystander() as bystander:
        feed(speaker, cut(pcm, MONO, [320]))
        play_out(speaker)
        quiet_for(0.2)
    speaker.close()
    samples = heard(ear.pcm)
    gaps = holes(samples)
    print(
        f"{speaker.counters}; heard {np.count_nonzero(samples)} of {len(pcm) // 2} samples; "
        f"holes that the machine's scheduling made: {len(gaps)}, {sum(size for _, size in gaps) / 16:.0f} ms"
        f"; a bystander was held up {bystander.held_up} times"
    )
    assert (speaker.counters.starved, speaker.counters.stuck) == (0, 0)
    assert speaker.counters.late <= bystander.held_up, "its thread was late, and not for the machine's sake"
    assert speaker.position == pytest.approx(60)
    assert np.count_nonzero(samples) > 0.98 * len(pcm) // 2


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_heard_sample_by_sample(sound: VirtualSound, kind: type[AudioSink]) -> None:
    """But for the holes that the machine makes when it runs the sound server, or SDL's thread, too
    late; that not one sample is missing from what is mixed is shown in tests/audio."""
    exact = False
    for _ in range(4):
        speaker, pcm = kind(), counting(16000 * 2)
        speaker.open(MONO)
        with sound.listen() as ear:
            feed(speaker, cut(pcm, MONO, [320, 77, 900]))
            play_out(speaker)
            quiet_for(0.2)
        speaker.close()
        if isinstance(speaker, Speaker):
            assert (speaker.counters.starved, speaker.counters.stuck) == (0, 0)
        samples = heard(ear.pcm)
        assert np.count_nonzero(samples) > 0.9 * len(pcm) // 2
        exact = samples.tobytes() == pcm
        if exact:
            break
        print(f"(index, samples of silence): {holes(samples)}")
    print(f"{kind.__name__}: {'exact' if exact else 'never exact in four goes on this busy machine'}")


@pytest.mark.parametrize("kind", KINDS)
def test_after_a_flush_it_is_silent(sound: VirtualSound, kind: type[AudioSink]) -> None:
    """Within a mixer's buffer (16 ms) and the sound server's own delay (some 10 to 20 ms)."""
    speaker = kind()
    speaker.open(MONO)
    took, starts = [], []
    for _ in range(9):
        with sound.listen() as ear:
            quiet_for(0.05)
            began = time.monotonic()
            feed(speaker, cut(counting(6400), MONO, [320]))
            moment = time.monotonic()
            heard_before = speaker.flush()
            quiet_for(0.3)
        assert speaker.pending() == 0
        assert speaker.position == heard_before
        took.append(silent_after(ear, moment) * 1000)
        starts.append(first_heard(ear, began) * 1000)
    speaker.close()
    print(
        f"{kind.__name__}: silent after ms: p50 {statistics.median(took):.0f}, max {max(took):.0f}; "
        f"first sound after ms: p50 {statistics.median(starts):.0f}, max {max(starts):.0f}"
    )
    assert statistics.median(took) < 80


@pytest.mark.parametrize("kind", KINDS)
def test_the_position_is_that_of_the_listener(sound: VirtualSound, kind: type[AudioSink]) -> None:
    speaker, errors = kind(), []
    speaker.open(MONO)
    for _ in range(5):
        with sound.listen() as ear:
            before = speaker.position
            feed(speaker, cut(counting(9600), MONO, [320]))
            told = speaker.flush() - before
            quiet_for(0.3)
        errors.append(len(heard(ear.pcm)) / 16000 - told)
    speaker.close()
    print(f"{kind.__name__}: heard more than told, ms: {[round(error * 1000) for error in errors]}")
    assert abs(statistics.median(errors)) < 0.08


def test_short_answers_are_heard_whole(sound: VirtualSound) -> None:
    for kind in KINDS:
        speaker = kind()
        speaker.open(MONO)
        for samples in (50, 400, 1000):
            with sound.listen() as ear:
                speaker.write(counting(samples))
                play_out(speaker)
                quiet_for(0.2)
            assert heard(ear.pcm).tobytes() == counting(samples)
            speaker.flush()
        speaker.close()


def test_devices_and_their_rates(sound: VirtualSound) -> None:
    (device,) = devices()
    assert (device.index, device.name, device.host_api) == (0, "default", "ALSA")
    assert device.default_input
    assert device.default_output
    assert {16000, 24000, 48000} <= set(device.input_rates) & set(device.output_rates)
    (unprobed,) = devices(probe=False)
    assert unprobed.input_rates == ()
    names = loudspeakers()
    assert sorted(names) == ["Loudspeaker", "MicFeed"]
    for wanted in (0, 1, "Loudspeaker", "LOUD"):
        speaker = Speaker(wanted)
        speaker.open(MONO)
        speaker.close()


def test_a_pyaudio_speaker_belongs_to_its_thread(sound: VirtualSound) -> None:
    speaker = PyAudioSpeaker()
    assert repr(speaker) == "PyAudioSpeaker()"
    speaker.close()
    for call in (lambda: speaker.write(b"12"), speaker.pending, speaker.flush):
        with pytest.raises(InvalidState, match="not open"):
            call()
    opened, done = threading.Event(), threading.Event()

    def own() -> None:
        speaker.open(MONO)
        speaker.write(b"")
        opened.set()
        done.wait(PATIENCE)

    owner = threading.Thread(target=own, name="owner")
    owner.start()
    assert opened.wait(PATIENCE)
    with pytest.raises(InvalidState, match="another thread"):
        speaker.write(b"12")
    with pytest.raises(InvalidState, match="'owner', which has to close it"):
        speaker.close()
    done.set()
    owner.join()
    speaker.close()


def test_a_pyaudio_speaker_plays_in_formats_that_the_device_has_not(
    sound: VirtualSound, monkeypatch: pytest.MonkeyPatch
) -> None:
    from voicews.audio import portaudio

    real = portaudio._open_raw

    def only_48000_stereo(*arguments: object) -> object:
        wanted = arguments[3]
        if wanted != AudioFormat(48000, 2):
            raise OSError(-9997, "Invalid sample rate")
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(portaudio, "_open_raw", only_48000_stereo)
    speaker = PyAudioSpeaker()
    speaker.open(MONO)
    with sound.listen() as ear:
        feed(speaker, cut(counting(8000), MONO, [320]))
        play_out(speaker)
        quiet_for(0.2)
    assert speaker.underruns == 0
    speaker.write(counting(10))
    assert speaker.underruns == 1
    speaker.close()
    assert len(heard(ear.pcm)) == pytest.approx(8000, abs=100)


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_dies_is_a_lost_device_and_a_new_one_is_found(kind: type[AudioSink]) -> None:
    with VirtualSound(rate=16000) as sound, pytest.MonkeyPatch.context() as patch:
        for name, value in sound.environment.items():
            patch.setenv(name, value)
        speaker = kind()
        speaker.open(MONO)
        feed(speaker, cut(counting(8000), MONO, [320]))
        sound.kill_server()
        with pytest.raises(DeviceLostError, match="its sound server has ended"):
            feed(speaker, cut(counting(160_000), MONO, [320]))
        speaker.close()
        with pytest.raises(DeviceNotFound, match="connect one, or start"):
            speaker.open(MONO)
        sound.restart_server()
        speaker.open(MONO)
        with sound.listen() as ear:
            feed(speaker, cut(counting(3200), MONO, [320]))
            play_out(speaker)
            quiet_for(0.2)
        speaker.close()
        assert len(heard(ear.pcm)) > 3000


def test_a_frozen_server_is_a_lost_device_and_comes_back() -> None:
    with VirtualSound(rate=16000) as sound, pytest.MonkeyPatch.context() as patch:
        for name, value in sound.environment.items():
            patch.setenv(name, value)
        speaker = Speaker()
        speaker.open(MONO)
        feed(speaker, cut(counting(8000), MONO, [320]))
        sound.freeze()
        with pytest.raises(DeviceLostError, match=r"has taken no sound for 0\.5 s"):
            feed(speaker, cut(counting(160_000), MONO, [320]))
        speaker.close()
        sound.thaw()
        for thread in threading.enumerate():
            if thread.name == "voicews-speaker-quit":
                thread.join(PATIENCE)
        speaker.open(MONO)
        speaker.write(counting(1600))
        play_out(speaker)
        speaker.close()


PLAYING = """
    import threading
    from voicews.audio import AudioFormat, {kind}

    def play():
        speaker = {kind}()
        speaker.open(AudioFormat())
        never = threading.Event()
        print("playing", flush=True)
        while True:
            if speaker.pending() < speaker.lead:
                speaker.write(bytes([1, 2]) * 320)
            else:
                never.wait(0.005)

    thread = threading.Thread(target=play, daemon=True)
    thread.start()
    threading.Event().wait()
"""


def test_a_pyaudio_speaker_whose_thread_hangs_is_replaced(sound: VirtualSound) -> None:
    code, out, err = run(
        """
        from voicews.audio import AudioFormat, PyAudioSpeaker
        speaker = PyAudioSpeaker()
        speaker.open(AudioFormat())
        speaker.write(bytes(640))
        speaker.open(AudioFormat())
        speaker.write(bytes(640))
        speaker.flush()
        speaker.flush()
        speaker.close()
        print("played")
        """,
        sound.environment,
    )
    assert (code, out) == (0, "played\n"), err


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("kind", ["Speaker", "PyAudioSpeaker"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_program_that_plays_ends_when_it_is_told_to(
    sound: VirtualSound, kind: str, number: signal.Signals
) -> None:
    with start(PLAYING.format(kind=kind), sound.environment) as program:
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == "playing\n"
            quiet_for(0.3)
            program.send_signal(number)
            _, err = program.communicate(timeout=PATIENCE)
        finally:
            program.kill()
    assert program.returncode in (-number, 128 + number)
    if number is signal.SIGTERM:
        assert err == ""
    else:
        assert err.rstrip().endswith("KeyboardInterrupt"), err


def test_a_wrong_loudspeaker_is_refused(sound: VirtualSound) -> None:
    code, out, err = run(
        """
        from voicews.audio import AudioFormat, Speaker
        from voicews.errors import DeviceNotFound
        for device in (2, 99, -1, "nonsense"):
            try:
                Speaker(device).open(AudioFormat())
            except DeviceNotFound as error:
                print(error)
        """,
        sound.environment,
    )
    assert (code, err) == (0, "")
    assert out.count("there are: 0 (") == 4


def test_closing_and_opening_leaves_nothing_behind(sound: VirtualSound) -> None:
    for kind in KINDS:
        speaker = kind()
        for _ in range(10):
            speaker.open(MONO)
            speaker.write(counting(1600))
            speaker.close()


def test_a_server_without_a_loudspeaker_is_told_of_before_sdl_crashes() -> None:
    code, out, err = run(
        """
        import os
        from tests.sound.virtual import VirtualSound
        from voicews.audio import AudioFormat, Speaker
        from voicews.errors import DeviceNotFound
        with VirtualSound(rate=16000) as sound:
            os.environ.update(sound.environment)
            sound.control("unload-module", "module-remap-source")
            sound.control("unload-module", "module-null-sink")
            speaker = Speaker()
            try:
                speaker.open(AudioFormat())
            except DeviceNotFound as error:
                print(error)
            sound.control("load-module", "module-null-sink", "sink_name=speaker")
            speaker.open(AudioFormat())
            speaker.close()
        """,
        {},
    )
    assert (code, out, err) == (
        0,
        "the sound server has no loudspeaker: connect one; NullSink() does without\n",
        "",
    )


def test_a_server_that_does_not_answer_holds_up_nobody() -> None:
    """SDL would wait for it without end."""
    with VirtualSound(rate=16000) as sound, pytest.MonkeyPatch.context() as patch:
        for name, value in sound.environment.items():
            patch.setenv(name, value)
        sound.freeze()
        before = time.monotonic()
        with pytest.raises(DeviceLostError, match="does not answer"):
            Speaker().open(MONO)
        assert time.monotonic() - before < 5
        sound.thaw()
        speaker = Speaker()
        speaker.open(MONO)
        speaker.close()


PLAYS_AND_ENDS = """
    import sys, threading
    from voicews.audio import AudioFormat, Speaker
    from voicews.errors import DeviceLostError
    speaker, never = Speaker(), threading.Event()
    speaker.open(AudioFormat())
    if "impatient" in sys.argv:
        speaker._awake, speaker._STALL = True, 0.1
    written = 0
    try:
        while written < 64000 or speaker.pending() > 0:
            if speaker.pending() < speaker.lead and written < 64000:
                speaker.write(bytes([1, 2]) * 320)
                written += 640
                if written == 16000:
                    print("playing", flush=True)
            else:
                never.wait(0.005)
    except DeviceLostError as error:
        print(error, flush=True)
    if "forgotten" not in sys.argv:
        speaker.close()
    print("over", flush=True)
"""


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("read", [True, False], ids=["read", "unread"])
@pytest.mark.parametrize("manner", ["closed", "forgotten"])
@pytest.mark.parametrize("thawed", [True, False], ids=["thawed", "frozen"])
def test_a_program_ends_after_its_sound_server_stood_still(read: bool, manner: str, thawed: bool) -> None:
    """Also where the server never goes on, and through the interpreter's end."""
    with VirtualSound(rate=16000, read=read) as sound:
        program = start(PLAYS_AND_ENDS.replace("sys.argv", repr([manner])), sound.environment)
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == "playing\n"
            sound.freeze()
            assert "has taken no sound for" in program.stdout.readline()
            assert program.stdout.readline() == "over\n"
            if thawed:
                sound.thaw()
            assert program.wait(timeout=PATIENCE) == 0
        finally:
            program.kill()
            program.communicate()


def test_a_device_that_takes_long_to_begin_is_not_lost() -> None:
    """A null sink that nobody reads begins up to two seconds after it was opened."""
    with VirtualSound(rate=16000, read=False) as sound:
        code, out, err = run(PLAYS_AND_ENDS.replace("sys.argv", "[]"), sound.environment)
        assert (code, out, err) == (0, "playing\nover\n", "")
        code, out, err = run(PLAYS_AND_ENDS.replace("sys.argv", "['impatient']"), sound.environment)
        assert (code, out.splitlines()[-1]) == (0, "over"), err
