"""WAV files in the place of a microphone and of a loudspeaker."""

from __future__ import annotations

import contextlib
import math
import os
import struct
import time
from pathlib import Path
from typing import BinaryIO, NoReturn

from voicews.audio.base import AudioSink, AudioSource
from voicews.audio.clock import Pacer, PlaybackClock
from voicews.audio.convert import Converter, Framer, require_whole_samples
from voicews.config import AudioFormat
from voicews.descriptors import occupy_standard_descriptors
from voicews.errors import AudioError, FormatUnsupported, InvalidState
from voicews.riff import Samples, read_head

__all__ = ["WAV_HEADER", "WavSink", "WavSource", "wav_header"]

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
WAV_HEADER = _HEADER.size
"""Bytes before the first sample of a file that begins with :func:`wav_header`."""
_PCM = 1
_MAGIC = {b"ID3": "an MP3 file", b"OggS": "an Ogg file", b"fLaC": "a FLAC file", b"FORM": "an AIFF file"}


def wav_header(format: AudioFormat, size: int) -> bytes:
    """The beginning of a WAV file of 16-bit PCM that holds ``size`` bytes of samples."""
    rate, width = format.rate, format.bytes_per_sample
    return _HEADER.pack(
        *(b"RIFF", size + WAV_HEADER - 8, b"WAVE"),
        *(b"fmt ", 16, _PCM, format.channels, rate, rate * width, width, 16),
        *(b"data", size),
    )


def _read_head(file: BinaryIO, path: Path) -> Samples:
    head = file.read(12)
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
        what = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "something else")
        raise FormatUnsupported(
            f"{path} is no WAV file but {what if head else 'empty'}; convert it to WAV first"
        )
    return read_head(file.read, str(path))


class WavSource(AudioSource):
    """Delivers a WAV file's sound as if it were being spoken.

    PCM of 8, 16, 24 or 32 bits; rate and channels are converted.  The last frame is filled up
    with silence.  Each :meth:`open` starts from the beginning.

    Args:
        path: the file, or a pipe such as ``/dev/stdin``, whose writer must keep up.
        realtime: False delivers as fast as it is read.
        loop: True starts over at the end, for ever; not with a pipe.
    """

    def __init__(self, path: str | os.PathLike[str], realtime: bool = True, *, loop: bool = False) -> None:
        self._path = Path(path)
        self._realtime = realtime
        self._loop = loop
        self._file: BinaryIO | None = None

    def open(self, format: AudioFormat, frame_samples: int) -> None:
        """Open the file.

        Raises:
            AudioError: it cannot be read.
            FormatUnsupported: it is no WAV file, or one of a kind that is not supported.
        """
        self.close()
        occupy_standard_descriptors()
        try:
            file = self._path.open("rb")
        except OSError as error:
            raise AudioError(f"cannot read {self._path}: {error.strerror or error}") from error
        try:
            samples = _read_head(file, self._path)
            length = math.inf if samples.length is None else samples.length
            self._start = 0
            if file.seekable():
                self._start = file.tell() - len(samples.ahead)
                length = min(length, file.seek(0, os.SEEK_END) - self._start)
                file.seek(self._start)
            self._ahead = b"" if file.seekable() else samples.ahead
            if self._loop and (not file.seekable() or length < samples.block):
                raise FormatUnsupported(f"{self._path} holds no sound that could be repeated")
        except OSError as error:
            file.close()
            raise AudioError(f"cannot read {self._path}: {error.strerror or error}") from error
        except BaseException:
            file.close()
            raise
        self._blocks = length // samples.block
        self._file, self._samples, self._left = file, samples, self._blocks
        self._framer = Framer(samples.format, format, frame_samples)
        self._ended = False
        self._pacer = Pacer(frame_samples / format.rate)

    def read(self) -> bytes | None:
        """Wait until the next frame is due, and read it; None after the last.

        Raises:
            AudioError: the file cannot be read any more.
            InvalidState: the source is not open.
        """
        if self._file is None:
            raise InvalidState("read() on a WavSource that is not open")
        while (frame := self._framer.take()) is None and not self._ended:
            self._framer.add(self._take(self._file, self._framer.needs))
            if self._left:
                continue
            if self._loop:
                self._file.seek(self._start)
                self._left = self._blocks
            else:
                self._ended = True
                self._framer.finish()
        if frame is not None and self._realtime:
            self._pacer.wait()
        return frame

    def _take(self, file: BinaryIO, samples: int) -> bytes:
        block = self._samples.block
        wanted = int(min(samples, self._left)) * block
        raw, self._ahead = self._ahead[:wanted], self._ahead[wanted:]
        try:
            raw += file.read(wanted - len(raw))
        except OSError as error:
            raise AudioError(f"cannot read {self._path}: {error.strerror or error}") from error
        self._left = self._left - wanted // block if len(raw) == wanted else 0
        return self._samples.to_16_bit(raw[: len(raw) - len(raw) % block])

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __repr__(self) -> str:
        return f"WavSource({str(self._path)!r})"


class WavSink(AudioSink):
    """Writes what a listener would have heard into a WAV file.

    Sound counts as heard at the pace of a loudspeaker, so that an interruption cuts it where
    it would have been cut; the silence between two answers is left out.  The file is whole
    and playable whenever the sound has played out, and after :meth:`close`.

    The first :meth:`open` starts the file, in its format; later ones go on with it, converting
    if their format is another.  As long as nothing has been heard, each one starts it anew: a
    server may tell its rate only after the file was opened.

    Args:
        path: the file; one that exists is overwritten.
        realtime: False counts all sound as heard at once.
    """

    _CHUNK = 0.25
    """Seconds of heard sound that are worth a write to the disk."""

    def __init__(self, path: str | os.PathLike[str], realtime: bool = True) -> None:
        self._path = Path(path)
        self._realtime = realtime
        self._file: BinaryIO | None = None
        self._file_format: AudioFormat | None = None
        self._has_sound = False
        self._unheard = bytearray()
        self._saved = 0
        self._clock = PlaybackClock()

    def open(self, format: AudioFormat) -> None:
        """Start the file, or go on with it.

        Raises:
            AudioError: it cannot be written.
        """
        self.close()
        first = not self._has_sound
        occupy_standard_descriptors()
        try:
            self._file = self._path.open("w+b" if first else "r+b")
            if first or self._file_format is None:
                self._file_format = format
            if first:
                self._write_header()
            else:
                self._cut_to_whole_samples(self._file, self._file_format)
        except OSError as error:
            self._fail(error)
        self._format = format
        self._converter = Converter(format, self._file_format)
        self._saved = 0  # samples since open()
        self._clock = PlaybackClock()

    @staticmethod
    def _cut_to_whole_samples(file: BinaryIO, format: AudioFormat) -> None:
        """A disk that ran full may have taken half of one."""
        end = file.seek(0, os.SEEK_END)
        file.truncate(end - (end - WAV_HEADER) % format.bytes_per_sample)
        file.seek(0, os.SEEK_END)

    def write(self, pcm: bytes) -> None:
        """Take these samples.  Does not block.

        Raises:
            AudioError: the disk is full, or the file has become unwritable.
            FormatUnsupported: the bytes are not whole samples.
            InvalidState: the sink is not open.
        """
        if self._file is None:
            raise InvalidState("write() on a WavSink that is not open")
        require_whole_samples(pcm, self._format)
        if not pcm:
            return
        now = time.monotonic()
        late = self._clock.add(self._format.seconds(pcm), now)
        if not self._realtime:
            self._clock.correct(now, now)
        elif late:
            self.underruns += 1
        self._unheard += pcm
        self._save()

    def pending(self) -> float:
        """Seconds of written sound whose time has not passed yet.

        Raises:
            AudioError: the disk is full, or the file has become unwritable.
        """
        self._save()
        return self._clock.pending(time.monotonic())

    @property
    def position(self) -> float:
        """Seconds of written sound whose time has passed."""
        return self._clock.position(time.monotonic())

    def flush(self) -> float:
        """Forget what has not been heard yet.

        Raises:
            AudioError: the disk is full, or the file has become unwritable.
        """
        heard = self._clock.forget(time.monotonic())
        if self._file is not None:
            self._append(self._due(heard))
            self._unheard.clear()
        return heard

    def close(self) -> None:
        """Forget what has not been heard yet, and complete the file.

        Raises:
            AudioError: the disk is full, or the file has become unwritable.
        """
        if self._file is None:
            return
        self.flush()
        file, self._file = self._file, None
        try:
            file.close()
        except OSError as error:
            self._fail(error)

    def _due(self, heard: float) -> int:
        return min(
            self._format.samples(heard) - self._saved, len(self._unheard) // self._format.bytes_per_sample
        )

    def _save(self) -> None:
        """Write what has been heard since the last time, if it is worth it."""
        now = time.monotonic()
        if not self._unheard:
            return
        if not self._clock.pending(now):
            self._append(len(self._unheard) // self._format.bytes_per_sample, tail=True)
        elif (due := self._due(self._clock.position(now))) >= self._format.samples(self._CHUNK):
            self._append(due)

    def _append(self, samples: int, *, tail: bool = False) -> None:
        assert self._file is not None
        size = samples * self._format.bytes_per_sample
        pcm = self._converter.process(bytes(self._unheard[:size]))
        if tail:
            pcm += self._converter.flush()
        del self._unheard[:size]
        self._saved += samples
        self._has_sound = self._has_sound or bool(pcm)
        try:
            self._file.write(pcm)
            self._write_header()
        except OSError as error:
            self._fail(error)

    def _write_header(self) -> None:
        """Make the header tell the present length, and leave the file at its end."""
        assert self._file is not None
        assert self._file_format is not None
        end = max(self._file.seek(0, os.SEEK_END), WAV_HEADER)
        self._file.seek(0)
        self._file.write(wav_header(self._file_format, end - WAV_HEADER))
        self._file.seek(0, os.SEEK_END)
        self._file.flush()

    def _fail(self, error: OSError) -> NoReturn:
        """Let go of the file and say why."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):  # it says the same again of what it could not write
                file.close()
        raise AudioError(
            f"cannot write {self._path}: {error.strerror or error}; choose another file, or make room"
        ) from error

    def __repr__(self) -> str:
        return f"WavSink({str(self._path)!r})"
