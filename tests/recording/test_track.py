"""Each piece of sound lands at its time, and what follows it without a seam."""

from __future__ import annotations

import random
import tracemalloc
from array import array

import pytest

from voicews.config import AudioFormat
from voicews.recording.track import Track

RATE = 16000
FORMAT = AudioFormat(RATE)
FRAME = 320


def counted(start: int, count: int) -> bytes:
    """Samples that tell their own number, and are loud."""
    return array("h", [2000 + n % 20000 for n in range(start, start + count)]).tobytes()


def samples(pcm: bytes) -> list[int]:
    return list(array("h", pcm))


def click(rate: int, at: int, count: int, channels: int = 1) -> bytes:
    pcm = array("h", bytes(2 * count * channels))
    for channel in range(channels):
        pcm[at * channels + channel] = 20000
    return pcm.tobytes()


def place_of_click(pcm: bytes) -> int:
    values = samples(pcm)
    return max(range(len(values)), key=lambda n: abs(values[n]))


def test_pieces_lie_where_they_sounded_to_the_sample() -> None:
    track = Track(RATE)
    track.add(counted(0, 160), FORMAT, 0.5)
    track.add(counted(160, 160), FORMAT, 0.51)
    track.add(counted(320, 160), FORMAT, 1.0)
    got = samples(track.take(RATE + 100))
    assert got[7840:8160] == samples(counted(0, 320))
    assert got[15840:16000] == samples(counted(320, 160))
    assert not any(got[:7840])
    assert not any(got[8160:15840])
    assert not any(got[16000:])
    assert len(got) == RATE + 100


def test_what_is_taken_in_bits_is_the_same() -> None:
    whole, parts = Track(RATE), Track(RATE)
    got = b""
    for n in range(50):
        for track in (whole, parts):
            track.add(counted(n * FRAME, FRAME), FORMAT, 0.1 + 0.02 * n)
        got += parts.take(round(0.015 * n * RATE))
    assert parts.take(1) == b""
    assert got + parts.take(2 * RATE) == whole.take(2 * RATE)


def test_frames_that_come_late_by_accident_make_no_hole() -> None:
    dice = random.Random(7)
    track = Track(RATE, window=100, tolerance=0.1)
    for n in range(500):
        late = dice.choice([0, 0.001, 0.04, 0.09]) if n else 0.0
        track.add(counted(n * FRAME, FRAME), FORMAT, 0.02 * (n + 1) + late)
    got = samples(track.take(500 * FRAME))
    assert got == samples(counted(0, 500 * FRAME))


def test_a_first_frame_that_was_late_is_set_right_in_the_next_quiet_one() -> None:
    track = Track(RATE, window=100, tolerance=0.1)
    track.add(bytes(2 * FRAME), FORMAT, 0.08)  # 60 ms late
    for n in range(1, 10):
        track.add(bytes(2 * FRAME), FORMAT, 0.02 * (n + 1))
    track.add(counted(0, FRAME), FORMAT, 0.22)
    got = samples(track.take(RATE))
    assert got[10 * FRAME : 11 * FRAME] == samples(counted(0, FRAME))


def test_sound_that_is_missing_leaves_silence() -> None:
    track = Track(RATE, window=100, tolerance=0.1)
    track.add(counted(0, FRAME), FORMAT, 0.02)
    track.add(counted(FRAME, FRAME), FORMAT, 1.02)
    got = samples(track.take(2 * RATE))
    assert got[RATE : RATE + FRAME] == samples(counted(FRAME, FRAME))
    assert not any(got[FRAME:RATE])


@pytest.mark.parametrize("ppm", [-300, 300])
def test_a_clock_that_differs_is_followed_in_quiet_moments(ppm: int) -> None:
    """Ten minutes: 0.18 s in all, of which no moment may be off by more than 10 ms."""
    track = Track(RATE, window=100, tolerance=0.1)
    loud = counted(0, FRAME)
    worst = 0
    for n in range(30_000):
        end = 0.02 * (n + 1) * (1 + ppm / 1e6)
        beep = n % 500 == 250
        track.add(loud if beep else bytes(2 * FRAME), FORMAT, end)
        if n % 500 == 300:
            before = track._taken
            got = samples(track.take(round((end - 0.2) * RATE)))
            place = before + next(i for i, value in enumerate(got) if value) if any(got) else None
            true = (0.02 * (n - 49) * (1 + ppm / 1e6) - 0.02) * RATE
            assert place is not None
            worst = max(worst, round(abs(place - true)))
    assert worst <= 0.01 * RATE


@pytest.mark.parametrize("rate", [8000, 24000, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_another_rate_keeps_the_place(rate: int, channels: int) -> None:
    track = Track(RATE)
    there = AudioFormat(rate, channels)
    for n in range(10):
        pcm = click(rate, rate // 200, rate // 50, channels) if n == 5 else bytes(rate // 50 * 2 * channels)
        track.add(pcm, there, 1.0 + 0.02 * (n + 1))
    got = track.take(2 * RATE)
    assert abs(place_of_click(got) - round((1.0 + 0.1 + 0.005) * RATE)) <= 1


def test_the_rate_may_change_at_any_time() -> None:
    track = Track(24000)
    for n, rate in enumerate([16000, 16000, 8000, 24000, 24000, 48000] * 5):
        track.add(click(rate, 0, rate // 50), AudioFormat(rate), 0.02 * (n + 1))
    got = samples(track.take(24000))
    for n in range(30):
        around = [abs(value) for value in got[max(0, n * 480 - 3) : n * 480 + 4]]
        assert max(around) > 4000, n


def test_what_comes_too_late_is_left_out() -> None:
    track = Track(RATE)
    assert not any(track.take(RATE))
    track.add(counted(0, FRAME), FORMAT, 0.5)
    track.add(counted(FRAME, 1600), FORMAT, 1.05)
    got = samples(track.take(2 * RATE))
    assert got[:800] == samples(counted(FRAME + 800, 800))
    assert not any(got[800:])


def test_an_hour_that_is_missing_makes_no_huge_block() -> None:
    """A program that was stopped for an hour: 345 MB of silence, of which only what is taken takes room."""
    rate, hour = 48000, 3600
    there = AudioFormat(rate)
    second = bytes(2 * rate)
    track = Track(rate)
    track.add(counted(0, 960), there, 0.02)
    tracemalloc.start()
    try:
        track.add(counted(960, 960), there, hour + 0.02)
        track.add(counted(1920, 960), there, hour + 0.04)
        begin = track.take(rate)
        silent = [track.take(n * rate) == second for n in range(2, hour + 1)]
        end = track.take((hour + 1) * rate)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert begin == counted(0, 960) + bytes(2 * (rate - 960))
    assert all(silent)
    assert end == counted(960, 1920) + bytes(2 * (rate - 1920))
    assert peak < 2_000_000


def test_gaps_and_pieces_come_out_the_same_however_they_are_taken() -> None:
    whole, parts = Track(RATE), Track(RATE)
    for n in range(5):
        for track in (whole, parts):
            track.add(counted(n * FRAME, FRAME), FORMAT, 0.5 * (n + 1))
            track.add(counted((n + 9) * FRAME, FRAME), FORMAT, 0.5 * (n + 1) + 0.02)
    got = b"".join(parts.take(until) for until in range(0, 3 * RATE, 77))
    wanted = whole.take(3 * RATE)
    assert got == wanted[: len(got)]
    assert len(got) == 2 * (3 * RATE // 77 * 77)
    assert wanted[RATE - 2 * FRAME : RATE + 2 * FRAME] == counted(0, FRAME) + counted(9 * FRAME, FRAME)
