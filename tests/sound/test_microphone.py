from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tests.audio.playing import counting, heard, holes
from tests.patience import PATIENCE
from tests.sound.programs import no_cards, run
from tests.sound.virtual import VirtualSound
from voicews.audio import AudioFormat, Microphone
from voicews.errors import DeviceLostError, DeviceNotFound, InvalidState

MONO = AudioFormat(16000)


def capture(microphone: Microphone, seconds: float) -> bytes:
    end = time.monotonic() + seconds
    pcm = b""
    while time.monotonic() < end:
        pcm += microphone.read()
    return pcm


def test_what_is_said_arrives_sample_by_sample(sound: VirtualSound) -> None:
    microphone = Microphone()
    microphone.open(MONO, 320)
    speaking = sound.start_speaking(counting(16000 * 3))
    captured = heard(capture(microphone, 4.0))
    assert speaking.wait(PATIENCE) == 0
    microphone.close()
    print(f"of 48000 samples {len(captured)} arrived, the first was number {captured[0]}")
    assert holes(captured) == []
    assert captured[0] < 1600
    assert captured[-1] == 16000
    assert microphone.overflows == 0


def test_frames_have_the_length_asked_for_and_come_in_real_time(sound: VirtualSound) -> None:
    microphone = Microphone()
    for frame in (160, 320, 512, 1600):
        microphone.open(MONO, frame)
        microphone.read()
        before = time.monotonic()
        frames = [microphone.read() for _ in range(16000 // frame)]
        took = time.monotonic() - before
        assert {len(pcm) for pcm in frames} == {2 * frame}
        assert 0.8 < took < 1.5
        microphone.close()


@pytest.mark.parametrize(
    ("rate", "wanted"),
    [
        (48000, MONO),
        (44100, MONO),
        (44100, AudioFormat(24000)),
        (None, AudioFormat(16000, 2)),
        (8000, MONO),
        (16000, AudioFormat(24000)),
    ],
    ids=str,
)
def test_another_rate_is_converted(sound: VirtualSound, rate: int | None, wanted: AudioFormat) -> None:
    """By cross-correlation with noise that all of these rates can carry."""
    chance = np.random.default_rng(5)
    shape = np.fft.rfft(chance.normal(size=16000))
    shape[1500:] = 0
    noise = np.fft.irfft(shape)
    said = (8000 * noise / np.abs(noise).max()).astype("<i2")
    microphone = Microphone(rate=rate)
    microphone.open(wanted, wanted.samples(0.02))
    speaking = sound.start_speaking(said.tobytes())
    assert len(microphone.read()) == wanted.bytes(0.02)
    pcm = capture(microphone, 2.0)
    assert speaking.wait(PATIENCE) == 0
    microphone.close()
    got = np.frombuffer(pcm, "<i2")[:: wanted.channels].astype(float)
    reference = np.interp(np.arange(wanted.rate) / wanted.rate, np.arange(16000) / 16000, said.astype(float))
    piece = reference[wanted.rate // 4 : wanted.rate * 3 // 4]
    correlation = np.correlate(got, piece, "valid")
    energy = np.sqrt(np.convolve(got**2, np.ones(len(piece)), "valid") * np.sum(piece**2))
    best = float(np.max(correlation / np.maximum(energy, 1e-9)))
    print(f"{rate} -> {wanted}: correlation {best:.4f}")
    assert best > 0.97


def test_after_a_stall_stale_sound_is_dropped_to_live(sound: VirtualSound) -> None:
    microphone = Microphone()
    microphone.open(MONO, 320)
    speaking = sound.start_speaking(counting(16000 * 20))
    assert capture(microphone, 1.0)
    last = int(np.frombuffer(microphone.read(), "<i2")[-1])
    assert microphone.overflows == 0
    threading.Event().wait(1.5)
    before = time.monotonic()
    pcm = b"".join(microphone.read() for _ in range(25))
    took = time.monotonic() - before
    speaking.kill()
    speaking.wait()
    microphone.close()
    samples = np.frombuffer(pcm, "<i2").astype(int)
    skipped = (int(samples[-1]) - last) % 32000 - len(samples)
    print(f"skipped {skipped / 16000:.2f} s of 1.5; 0.5 s took {took:.2f} s")
    assert microphone.overflows == 1
    assert 16000 < skipped < 16000 * 1.6
    assert took > 0.2


def test_a_short_stall_loses_nothing(sound: VirtualSound) -> None:
    microphone = Microphone()
    microphone.open(MONO, 320)
    speaking = sound.start_speaking(counting(16000 * 20))
    pcm = capture(microphone, 1.0)
    threading.Event().wait(0.15)
    pcm += capture(microphone, 0.5)
    speaking.kill()
    speaking.wait()
    microphone.close()
    assert holes(heard(pcm)) == []
    assert microphone.overflows == 0


def test_it_can_be_opened_again_and_again(sound: VirtualSound) -> None:
    microphone = Microphone("DEF")
    for _ in range(20):
        microphone.open(MONO, 320)
        assert len(microphone.read()) == 640
        microphone.close()
    microphone.close()


def test_only_its_own_thread_can_close_it(sound: VirtualSound) -> None:
    microphone = Microphone()
    opened, done = threading.Event(), threading.Event()

    def own() -> None:
        microphone.open(MONO, 320)
        opened.set()
        done.wait(PATIENCE)

    owner = threading.Thread(target=own, name="owner")
    owner.start()
    assert opened.wait(PATIENCE)
    with pytest.raises(InvalidState, match="belongs to thread 'owner'"):
        microphone.close()
    done.set()
    owner.join()
    microphone.close()


def test_what_is_not_open_cannot_be_read() -> None:
    with pytest.raises(InvalidState, match="not open"):
        Microphone().read()
    assert repr(Microphone()) == "Microphone()"
    assert repr(Microphone(3)) == "Microphone(3)"


def test_a_wrong_device_is_refused_and_never_reaches_portaudio(sound: VirtualSound) -> None:
    code, out, err = run(
        """
        from voicews.audio import AudioFormat, Microphone, PyAudioSpeaker
        from voicews.errors import DeviceNotFound
        for device in (1, 5, 99, -1, 2**31, "nonsense"):
            for make in (lambda: Microphone(device).open(AudioFormat(), 320),
                         lambda: PyAudioSpeaker(device).open(AudioFormat())):
                try:
                    make()
                except DeviceNotFound as error:
                    assert "there are: 0 (default)" in str(error), error
                else:
                    raise AssertionError(device)
        microphone = Microphone(0)
        microphone.open(AudioFormat(), 320)
        print(len(microphone.read()))
        microphone.close()
        """,
        sound.environment,
    )
    assert (code, out, err) == (0, "640\n", "")


def test_a_server_that_dies_is_a_lost_device_and_a_new_one_is_found() -> None:
    with VirtualSound(rate=16000) as sound, pytest.MonkeyPatch.context() as patch:
        for name, value in sound.environment.items():
            patch.setenv(name, value)
        microphone = Microphone()
        microphone.open(MONO, 320)
        microphone.read()
        death = threading.Timer(0.3, sound.kill_server)
        death.start()
        with pytest.raises(DeviceLostError, match="unplugged, or its sound server has ended"):
            capture(microphone, 10)
        death.join()
        microphone.close()
        with pytest.raises(DeviceNotFound, match="no microphone: connect one"):
            microphone.open(MONO, 320)
        sound.restart_server()
        microphone.open(MONO, 320)
        assert len(microphone.read()) == 640
        microphone.close()


def test_a_frozen_server_makes_sound_stale() -> None:
    with VirtualSound(rate=16000) as sound, pytest.MonkeyPatch.context() as patch:
        for name, value in sound.environment.items():
            patch.setenv(name, value)
        microphone = Microphone()
        microphone.open(MONO, 320)
        capture(microphone, 0.5)
        sound.freeze()
        thawing = threading.Timer(1.5, sound.thaw)
        thawing.start()
        capture(microphone, 3.0)
        thawing.join()
        microphone.close()
        assert microphone.overflows >= 1


def test_a_thread_that_hangs_in_the_driver_is_replaced() -> None:
    """A server killed between two reads makes the next one hang for ever: PortAudio's way."""
    code, out, err = run(
        """
        import os, threading
        from tests.sound.virtual import VirtualSound
        from voicews.audio import AudioFormat, Microphone
        with VirtualSound(rate=16000) as sound:
            os.environ.update(sound.environment)
            microphone = Microphone()
            go, going, back = threading.Event(), threading.Event(), threading.Event()

            def hang():
                microphone.open(AudioFormat(), 320)
                microphone.read()
                going.set()
                go.wait()
                try:
                    microphone.read()
                finally:
                    back.set()

            threading.Thread(target=hang, daemon=True, name="hanging").start()
            going.wait()
            sound.kill_server()
            go.set()
            print("hangs" if not back.wait(1) else "came back")
            sound.restart_server()
            microphone.open(AudioFormat(), 320)
            print(sum(len(microphone.read()) for _ in range(25)))
            microphone.close()
            microphone.open(AudioFormat(), 320)
            print(len(microphone.read()))
            microphone.close()
        """,
        {},
    )
    assert code == 0, err
    assert out.split()[1:] == ["16000", "640"], err
    print(f"the reader {out.split()[0]}")


def test_a_thread_that_comes_back_gives_its_stream_back() -> None:
    """A real device can be open only once, so it has to be free again when the hanging ends."""
    code, out, err = run(
        """
        import os, threading
        from tests.sound.virtual import VirtualSound
        from voicews.audio import AudioFormat, Microphone, portaudio
        from voicews.errors import DeviceLostError
        with VirtualSound(rate=16000) as sound:
            os.environ.update(sound.environment)
            microphone = Microphone()
            reading = threading.Event()

            def hang():
                microphone.open(AudioFormat(), 320)
                try:
                    while True:
                        microphone.read()
                        reading.set()
                except DeviceLostError as error:
                    print(error)

            hanging = threading.Thread(target=hang, daemon=True)
            hanging.start()
            reading.wait()
            sound.control("suspend-source", "mic", "1")
            never = threading.Event()
            never.wait(0.5)
            microphone.open(AudioFormat(), 320)
            print(hanging.is_alive(), portaudio._users)
            sound.control("suspend-source", "mic", "0")
            hanging.join(10)
            print(hanging.is_alive(), portaudio._users)
            print(len(microphone.read()))
            microphone.close()
            print(portaudio._users)
        """,
        {},
    )
    assert code == 0, err
    assert out.splitlines() == [
        "True 2",
        "a thread hung in the sound device 'default' and was replaced",
        "False 1",
        "640",
        "0",
    ], err


def test_without_sound_it_says_what_to_do_and_nothing_else(tmp_path: Path) -> None:
    code, out, err = run(
        """
        from voicews.audio import *
        from voicews.errors import DeviceNotFound
        f = AudioFormat()
        for open_it in (lambda: Microphone().open(f, 320), lambda: Microphone("usb").open(f, 320),
                        lambda: Speaker().open(f), lambda: Speaker(0).open(f),
                        lambda: PyAudioSpeaker().open(f), lambda: loudspeakers()):
            try:
                open_it()
            except DeviceNotFound as error:
                assert "connect one, or start" in str(error), error
            else:
                raise AssertionError
        print(devices())
        """,
        no_cards(tmp_path),
    )
    assert (code, out, err) == (0, "[]\n", "")
