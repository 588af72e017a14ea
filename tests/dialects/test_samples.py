"""Sound cut anywhere; :mod:`tests.dialects.test_plain` does it to a whole dialect."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicews.config import AudioFormat
from voicews.dialects.samples import ServedSound, WholeSamples
from voicews.errors import FormatUnsupported


@pytest.mark.parametrize("channels", [1, 2])
@given(pcm=st.binary(max_size=100), cuts=st.lists(st.integers(0, 100)))
def test_no_cut_shifts_a_sample(channels: int, pcm: bytes, cuts: list[int]) -> None:
    samples = WholeSamples(AudioFormat(16000, channels))
    edges = [0, *sorted(min(cut, len(pcm)) for cut in cuts), len(pcm)]
    taken = [samples.take(pcm[start:end]) for start, end in itertools.pairwise(edges)]
    assert all(len(piece) % (2 * channels) == 0 for piece in taken)
    assert b"".join(taken) == pcm[: len(pcm) - len(pcm) % (2 * channels)]


def test_an_unfinished_sample_is_forgotten() -> None:
    samples = WholeSamples(AudioFormat(16000))
    assert samples.take(b"\1\2\3") == b"\1\2"
    samples.forget()
    assert samples.take(b"\4\5") == b"\4\5"


# -- files -------------------------------------------------------------------------------------

RAW = AudioFormat(16000)
ONE_SECOND = bytes(range(1, 251)) * 2


def wav(samples: bytes, *, size: int | None = None, bits: int = 16, after: bytes = b"", **riff: int) -> bytes:
    """Mono, 24 kHz, with a chunk before the samples that nobody knows."""
    width = bits // 8
    described = struct.pack("<HHIIHH", 1, 1, 24000, 24000 * width, width, bits)
    length = len(samples) if size is None else size
    chunks = (
        b"WAVE" + chunk(b"JUNK", b"abc") + chunk(b"fmt ", described) + struct.pack("<4sI", b"data", length)
    )
    body = chunks + samples + after
    return struct.pack("<4sI", b"RIFF", riff.get("riff", len(body))) + body


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack("<4sI", name, len(body)) + body + bytes(len(body) % 2)


def take(sound: ServedSound, *messages: bytes) -> tuple[bytes, set[AudioFormat]]:
    taken = [sound.take(message) for message in messages]
    return b"".join(pcm for pcm, _ in taken), {spoken_in for pcm, spoken_in in taken if pcm}


@given(
    cuts=st.lists(st.integers(0, 700), max_size=6), size=st.sampled_from([None, 0, 0xFFFFFFFF, 0x7FFFFFFF])
)
def test_a_wav_file_may_be_cut_anywhere(cuts: list[int], size: int | None) -> None:
    file = wav(ONE_SECOND, size=size, riff=0xFFFFFFFF if size is not None else 0)
    edges = [0, *sorted(min(cut, len(file)) for cut in cuts), len(file)]
    pieces = [file[start:end] for start, end in itertools.pairwise(edges)]
    assert take(ServedSound(RAW), *pieces) == (ONE_SECOND, {AudioFormat(24000)})


def test_each_message_may_be_a_file_of_its_own() -> None:
    sound = ServedSound(RAW)
    assert take(sound, wav(ONE_SECOND), wav(ONE_SECOND)) == (ONE_SECOND * 2, {AudioFormat(24000)})


def test_a_header_may_come_once_and_tell_only_the_size_of_the_first_piece() -> None:
    sound = ServedSound(RAW)
    heard = take(sound, wav(ONE_SECOND), ONE_SECOND)
    sound.forget()
    assert heard == (ONE_SECOND * 2, {AudioFormat(24000)})
    assert take(sound, ONE_SECOND) == (ONE_SECOND, {AudioFormat(24000)}), "the next answer"
    sound.announce(AudioFormat(8000))
    assert take(sound, ONE_SECOND) == (ONE_SECOND, {AudioFormat(8000)})


def test_what_follows_the_samples_is_no_sound() -> None:
    listed = chunk(b"LIST", b"INFOISFT" + bytes(6))
    assert take(ServedSound(RAW), wav(ONE_SECOND, after=listed))[0] == ONE_SECOND
    assert take(ServedSound(RAW), wav(ONE_SECOND), listed)[0] == ONE_SECOND
    assert take(ServedSound(RAW), wav(b"", after=listed))[0] == b"", "a file that is really empty"


@pytest.mark.parametrize(("bits", "sample"), [(8, b"\xc0"), (24, b"\x99\0\x40"), (32, b"\x99\x99\0\x40")])
def test_other_widths_become_16_bits(bits: int, sample: bytes) -> None:
    file = wav(sample * 5, bits=bits)
    assert take(ServedSound(RAW), *(file[at : at + 1] for at in range(len(file)))) == (
        b"\0\x40" * 5,
        {AudioFormat(24000)},
    )


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"OggS\0\2" + bytes(20), "Ogg"),
        (b"fLaC\0\0\0\x22" + bytes(20), "FLAC"),
        (b"ID3\4\0\0\0\0\0\x23" + bytes(20), "MP3"),
        (b"\xff\xf3\x64\xc4" + bytes(140) + b"\xff\xf3\x64\xc4" + bytes(140), "MP3"),
        (b"\xff\xfb\x90\x64" + bytes(413) + b"\xff\xfb\x92\x64" + bytes(9), "MP3"),
        (b"\xff\xfb\x90\x64" + bytes(413), "MP3"),
        (b"\x1aE\xdf\xa3" + bytes(20), "WebM"),
        (b"\0\0\0\x20ftypM4A " + bytes(20), "MP4"),
        (b"FORM\0\0\1\0AIFF" + bytes(20), "AIFF"),
        (b"RIFF\0\0\1\0AVI " + bytes(20), "RIFF, but not WAV"),
    ],
)
def test_other_files_are_refused_and_silent(start: bytes, kind: str) -> None:
    sound = ServedSound(RAW)
    with pytest.raises(FormatUnsupported, match=rf"a file \({kind}\).*16-bit PCM and WAV"):
        sound.take(start)
    assert take(sound, b"\x55\x55" * 100)[0] == b""
    sound.forget()
    assert take(sound, ONE_SECOND) == (ONE_SECOND, {RAW})
    sound.forget()
    with pytest.raises(FormatUnsupported, match=kind):
        sound.take(start)
    assert take(sound, wav(ONE_SECOND))[0] == ONE_SECOND, "a file that can be decoded"


def test_the_beginning_of_a_file_may_be_cut() -> None:
    for magic in (b"OggS\0\2", b"ID3\4\0\0\0\0\0\x23"):
        sound = ServedSound(RAW)
        with pytest.raises(FormatUnsupported):
            take(sound, *(magic[at : at + 1] for at in range(len(magic))))


@pytest.mark.parametrize(
    "pcm",
    [
        b"\xff\xfb" * 320,
        b"\xff\xfb\x90\x64" * 160,
        b"ID3\x40" * 160,
        b"RIFX" * 160,
        b"OggX" * 160,
        b"\xff\xff" * 320,
    ],
)
def test_samples_that_begin_like_a_file_are_samples(pcm: bytes) -> None:
    assert take(ServedSound(RAW), pcm, pcm) == (pcm * 2, {RAW})


@pytest.mark.parametrize(
    "broken",
    [
        struct.pack("<4sI", b"RIFF", 0) + b"WAVE" + chunk(b"data", bytes(8)),
        wav(ONE_SECOND).replace(struct.pack("<HHI", 1, 1, 24000), struct.pack("<HHI", 3, 1, 24000)),
        wav(ONE_SECOND).replace(struct.pack("<HHI", 1, 1, 24000), struct.pack("<HHI", 1, 6, 24000)),
        struct.pack("<4sI", b"RIFF", 0) + b"WAVE" + chunk(b"JUNK", bytes(70_000)),
    ],
)
def test_a_wav_file_that_cannot_be_played_is_refused_and_silent(broken: bytes) -> None:
    sound = ServedSound(RAW)
    with pytest.raises(FormatUnsupported, match=r"WAV|floating point|6 channels"):
        sound.take(broken)
    assert take(sound, ONE_SECOND)[0] == b""
