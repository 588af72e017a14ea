from __future__ import annotations

import io
import struct
import time
import wave
from pathlib import Path

import numpy as np
import pytest

from tests.audio.playing import counting, feed, play_out
from voicews.audio import AudioFormat, WavSink, WavSource
from voicews.errors import AudioError, FormatUnsupported, InvalidState

MONO = AudioFormat(16000)


def riff(*chunks: tuple[bytes, bytes], size: int | None = None) -> bytes:
    body = b"".join(
        name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4 if size is None else size) + b"WAVE" + body


def described(bits: int, encoding: int = 1, channels: int = 1, rate: int = 16000, more: bytes = b"") -> bytes:
    whole = channels * bits // 8
    return struct.pack("<HHIIHH", encoding, channels, rate, rate * whole, whole, bits) + more


def write(path: Path, pcm: bytes, format: AudioFormat = MONO) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(format.channels)
        file.setsampwidth(2)
        file.setframerate(format.rate)
        file.writeframes(pcm)
    return path


def read(path: Path) -> tuple[AudioFormat, bytes]:
    with wave.open(str(path), "rb") as file:
        assert file.getsampwidth() == 2
        return AudioFormat(file.getframerate(), file.getnchannels()), file.readframes(file.getnframes())


def all_of(source: WavSource, format: AudioFormat = MONO, frame: int = 320) -> list[bytes]:
    source.open(format, frame)
    frames = list(iter(source.read, None))
    assert source.read() is None
    source.close()
    return frames


def test_frames_and_then_the_end(tmp_path: Path) -> None:
    source = WavSource(write(tmp_path / "a.wav", counting(1000)), realtime=False)
    frames = all_of(source)
    assert [len(frame) for frame in frames] == [640] * 4
    assert b"".join(frames) == counting(1000).ljust(2560, b"\0")
    assert all_of(source) == frames
    assert repr(source) == f"WavSource({str(tmp_path / 'a.wav')!r})"


def test_it_keeps_the_pace_of_a_microphone(tmp_path: Path) -> None:
    source = WavSource(write(tmp_path / "a.wav", counting(4800)))
    before = time.monotonic()
    assert len(all_of(source)) == 15
    assert 0.29 <= time.monotonic() - before < 2


def test_a_loop_has_no_end_and_no_seam(tmp_path: Path) -> None:
    source = WavSource(write(tmp_path / "a.wav", counting(500)), realtime=False, loop=True)
    source.open(MONO, 320)
    frames = [source.read() for _ in range(10)]
    source.close()
    assert b"".join(frame or b"" for frame in frames) == (counting(500) * 7)[:6400]


@pytest.mark.parametrize(("width", "samples"), [(1, [0, 128, 255]), (3, [-(2**23), 0, 2**23 - 1])])
def test_other_widths_become_16_bits(tmp_path: Path, width: int, samples: list[int]) -> None:
    raw = b"".join(sample.to_bytes(width, "little", signed=width > 1) for sample in samples)
    (tmp_path / "a.wav").write_bytes(riff((b"fmt ", described(8 * width)), (b"data", raw)))
    (frame,) = all_of(WavSource(tmp_path / "a.wav", realtime=False), frame=3)
    low, zero, high = struct.unpack("<3h", frame)
    assert (low, zero) == (-32768, 0)
    assert high == (32767 if width > 1 else 127 * 256)


def test_32_bits_and_chunks_that_do_not_matter(tmp_path: Path) -> None:
    raw = struct.pack("<3i", -(2**31), 0, 2**31 - 1)
    chunks = (
        (b"LIST", b"odd"),
        (b"fmt ", described(32)),
        (b"fact", b"1234"),
        (b"data", raw),
        (b"LIST", b"after"),
    )
    (tmp_path / "a.wav").write_bytes(riff(*chunks))
    assert all_of(WavSource(tmp_path / "a.wav", realtime=False), frame=3) == [
        struct.pack("<3h", -32768, 0, 32767)
    ]


def test_the_extensible_kind(tmp_path: Path) -> None:
    more = struct.pack("<HHI", 22, 16, 0) + struct.pack("<H", 1) + bytes(14)
    data = riff((b"fmt ", described(16, 0xFFFE, more=more)), (b"data", counting(320)))
    (tmp_path / "a.wav").write_bytes(data)
    assert all_of(WavSource(tmp_path / "a.wav", realtime=False)) == [counting(320)]


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 10**6])
def test_a_length_that_a_pipe_left_open(tmp_path: Path, length: int) -> None:
    data = (
        riff((b"fmt ", described(16)), size=0xFFFFFFFF)
        + b"data"
        + struct.pack("<I", length)
        + counting(320)
        + b"x"
    )
    (tmp_path / "a.wav").write_bytes(data)
    assert all_of(WavSource(tmp_path / "a.wav", realtime=False)) == [counting(320)]


@pytest.mark.parametrize("source", [AudioFormat(48000, 2), AudioFormat(8000), AudioFormat(44100)])
def test_rate_and_channels_are_converted(tmp_path: Path, source: AudioFormat) -> None:
    wave_form = 8000 * np.sin(2 * np.pi * 440 * np.arange(source.rate) / source.rate)
    pcm = np.repeat(wave_form, source.channels).astype("<i2").tobytes()
    frames = all_of(WavSource(write(tmp_path / "a.wav", pcm, source), realtime=False))
    assert len(frames) in (50, 51)
    got = np.frombuffer(b"".join(frames[:50]), "<i2")[100:-100]
    assert np.abs(got).max() == pytest.approx(8000, rel=0.01)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no WAV file but empty"),
        (b"ID3\x04 and so on, for long", "an MP3 file; convert it"),
        (b"hello, I am a text", "something else"),
        (riff((b"fmt ", described(16))), "ends before its samples"),
        (riff((b"data", b"1234")), "samples come before their description"),
        (riff((b"fmt ", b"short"), (b"data", b"")), "description is too short"),
        (riff((b"fmt ", described(16, 3)), (b"data", b"")), "holds floating point; convert it to 16-bit PCM"),
        (riff((b"fmt ", described(16, 99)), (b"data", b"")), "holds encoding 99"),
        (riff((b"fmt ", described(12)), (b"data", b"")), "samples of 12 bits; 8, 16, 24 and 32"),
        (riff((b"fmt ", described(16, channels=6)), (b"data", b"")), "6 channels at 16000 Hz"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    source = WavSource(tmp_path / "a.wav")
    with pytest.raises(FormatUnsupported, match=message):
        source.open(MONO, 320)
    with pytest.raises(InvalidState, match="not open"):
        source.read()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"cannot read .*No such file"):
        WavSource(tmp_path / "none.wav").open(MONO, 320)
    with pytest.raises(AudioError, match=r"cannot read .*directory"):
        WavSource(tmp_path).open(MONO, 320)


def test_nothing_cannot_be_repeated(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", b"")
    with pytest.raises(FormatUnsupported, match="no sound that could be repeated"):
        WavSource(tmp_path / "a.wav", loop=True).open(MONO, 320)
    assert all_of(WavSource(tmp_path / "a.wav", realtime=False)) == []


def test_a_file_that_gets_shorter_while_it_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", counting(320 * 3000))
    source = WavSource(path, realtime=False)
    source.open(MONO, 320)
    source.read()
    with path.open("r+b") as file:
        file.truncate(1000)
    rest = list(iter(source.read, None))
    source.close()
    assert len(rest) < 1000  # what the first read had taken with it: 128 KiB since Python 3.14


def test_all_that_was_played_is_in_the_file(tmp_path: Path) -> None:
    sink, pcm = WavSink(tmp_path / "b.wav"), counting(8000)
    sink.open(MONO)
    before = time.monotonic()
    feed(sink, [pcm[start : start + 640] for start in range(0, len(pcm), 640)])
    play_out(sink)
    assert 0.49 <= time.monotonic() - before < 3
    assert sink.position == pytest.approx(0.5)
    assert read(tmp_path / "b.wav") == (MONO, pcm)
    sink.close()
    assert read(tmp_path / "b.wav") == (MONO, pcm)
    assert sink.underruns == 0
    assert repr(sink) == f"WavSink({str(tmp_path / 'b.wav')!r})"


def test_the_file_grows_while_it_is_played(tmp_path: Path) -> None:
    sink = WavSink(tmp_path / "b.wav")
    sink.open(MONO)
    sink.write(counting(16000))
    while sink.position < 0.4:
        sink.pending()
    assert 4000 <= len(read(tmp_path / "b.wav")[1]) // 2 < 16000
    sink.close()


def test_an_interruption_cuts_where_it_was_heard(tmp_path: Path) -> None:
    sink = WavSink(tmp_path / "b.wav")
    sink.open(MONO)
    sink.write(counting(16000))
    while sink.position < 0.1:
        sink.pending()
    heard = sink.flush()
    assert sink.pending() == 0
    first = read(tmp_path / "b.wav")[1]
    assert first == counting(16000)[: len(first)]
    assert len(first) / 32000 == pytest.approx(heard, abs=0.001)
    sink.write(counting(1600, start=20000))
    play_out(sink)
    sink.close()
    assert read(tmp_path / "b.wav")[1] == first + counting(1600, start=20000)


def test_without_a_clock_all_is_heard_at_once(tmp_path: Path) -> None:
    sink = WavSink(tmp_path / "b.wav", realtime=False)
    sink.open(MONO)
    for _ in range(3):
        sink.write(counting(16000))
        assert sink.pending() == 0
    assert sink.position == pytest.approx(3.0)
    assert sink.flush() == pytest.approx(3.0)
    sink.close()
    assert sink.underruns == 0
    assert read(tmp_path / "b.wav") == (MONO, counting(16000) * 3)


def test_a_file_that_holds_nothing_yet_takes_the_next_format(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    sink = WavSink(path, realtime=False)
    sink.open(AudioFormat(16000))
    sink.close()
    sink.open(AudioFormat(24000))
    sink.write(bytes(480))
    sink.close()
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnframes()) == (24000, 240)


def test_opening_again_goes_on_in_the_first_format(tmp_path: Path) -> None:
    sink = WavSink(tmp_path / "b.wav", realtime=False)
    sink.open(MONO)
    sink.write(counting(1600))
    sink.close()
    sink.open(MONO)
    assert sink.position == 0
    sink.write(counting(160, start=1600))
    sink.close()
    sink.open(AudioFormat(24000, 2))
    sink.write(bytes(9600))
    sink.close()
    written, pcm = read(tmp_path / "b.wav")
    assert written == MONO
    assert pcm[:3520] == counting(1760)
    assert len(pcm) == pytest.approx(3520 + 3200, abs=80)


def test_a_hole_is_counted(tmp_path: Path) -> None:
    sink = WavSink(tmp_path / "b.wav")
    sink.open(MONO)
    sink.write(counting(160))
    play_out(sink)
    sink.write(counting(160))
    sink.write(b"")
    assert sink.underruns == 1
    sink.close()


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"cannot write .*No such file or directory; choose another"):
        WavSink(tmp_path / "none" / "b.wav").open(MONO)
    sink = WavSink("/dev/full", realtime=False)
    with pytest.raises(AudioError, match=r"cannot write /dev/full: "):
        sink.open(MONO)
    sink.close()


def test_a_disk_that_fails_while_it_is_written(tmp_path: Path) -> None:
    sink = WavSink(tmp_path / "b.wav", realtime=False)
    sink.open(MONO)
    assert sink._file is not None
    sink._file.close()
    sink._file = Path("/dev/full").open("r+b")  # noqa: SIM115 - the sink closes it
    with pytest.raises(AudioError, match="No space left"):
        sink.write(counting(100_000))
    with pytest.raises(InvalidState, match="not open"):
        sink.write(b"12")
    sink.close()


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    sink = WavSink(tmp_path / "b.wav")
    with pytest.raises(InvalidState, match="not open"):
        sink.write(b"12")
    sink.open(MONO)
    with pytest.raises(FormatUnsupported):
        sink.write(b"1")
    assert sink.flush() == 0
    sink.close()
    assert sink.flush() == 0
    assert read(tmp_path / "b.wav") == (MONO, b"")


def test_a_file_that_cannot_be_read_after_all(tmp_path: Path) -> None:
    unreadable = Path("/proc/self/mem")
    with pytest.raises(AudioError, match="cannot read /proc/self/mem: Input/output error"):
        WavSource(unreadable).open(MONO, 320)
    source = WavSource(write(tmp_path / "a.wav", counting(1000)))
    source.open(MONO, 320)
    assert source._file is not None
    source._file.close()
    with unreadable.open("rb") as source._file, pytest.raises(AudioError, match="Input/output error"):
        source.read()
    source.close()


def test_a_disk_that_fails_at_the_end(tmp_path: Path) -> None:
    class Full(io.BytesIO):
        tries = 0

        def close(self) -> None:
            self.tries += 1
            if self.tries == 1:
                raise OSError(28, "No space left on device")
            super().close()

    sink = WavSink(tmp_path / "b.wav")
    sink.open(MONO)
    assert sink._file is not None
    sink._file.close()
    sink._file = Full()
    with pytest.raises(AudioError, match=r"cannot write .*No space left on device"):
        sink.close()
    sink.close()


def test_half_a_sample_that_a_full_disk_took_is_cut_off(tmp_path: Path) -> None:
    """Else all that follows would be noise."""
    path = tmp_path / "out.wav"
    sink = WavSink(path, realtime=False)
    sink.open(MONO)
    sink.write(counting(1000))
    sink.close()
    with path.open("ab") as file:
        file.write(b"\x01")
    sink.open(MONO)
    sink.write(counting(1000))
    sink.close()
    assert read(path) == (MONO, counting(1000) * 2)
