"""Sound whose messages may be cut anywhere, even within a sample, and sound that comes as a file."""

from __future__ import annotations

import re
import struct

from voicews.config import AudioFormat
from voicews.dialects.wave_sound import wave_sound
from voicews.errors import FormatUnsupported

__all__ = ["ServedSound", "WholeSamples"]

_MAGIC_LENGTH = 12
_FILES = (
    (re.compile(rb"RIFF....WAVE", re.DOTALL), "WAV"),
    (re.compile(rb"OggS\0"), "Ogg"),
    (re.compile(rb"fLaC[\0\x80]"), "FLAC"),
    (re.compile(rb"ID3[\2-\4][\0-\x0f].[\0-\x7f]{4}", re.DOTALL), "MP3"),
    (re.compile(rb"\x1aE\xdf\xa3"), "WebM"),
    (re.compile(rb"\0\0\0.ftyp", re.DOTALL), "MP4"),
    (re.compile(rb"FORM....AIF[FC]", re.DOTALL), "AIFF"),
    (re.compile(rb"\.snd\0"), "AU"),
    (re.compile(rb"caff\0"), "CAF"),
    (re.compile(rb"#!AMR"), "AMR"),
    (re.compile(rb"RIFX....WAVE|RF64....WAVE|RIFF....(AVI |RMID|WEBP)", re.DOTALL), "RIFF, but not WAV"),
)
"""How files begin.  Each of these is too long to be the beginning of a message of samples by chance."""
_BEGINNINGS = (b"RIFF", b"OggS", b"fLaC", b"ID3", b"FORM")
_LONGEST_HEADER = 65_536
"""Bytes of a WAV file before its samples; a server must not fill the memory."""
_LARGEST_SIZE = 0xFFFFFF00
"""Sizes from here on, and 0, are those of a file that was begun before its length was known."""
_MP3_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_MP3_KBITS = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


class WholeSamples:
    """Gives out whole samples, and keeps what was cut off for the next message.

    Args:
        format: of the sound.
    """

    def __init__(self, format: AudioFormat) -> None:
        self.format = format
        self._split = b""

    def take(self, pcm: bytes) -> bytes:
        """All whole samples that are in; perhaps none."""
        pcm = self._split + pcm
        whole = len(pcm) - len(pcm) % self.format.bytes_per_sample
        self._split = pcm[whole:]
        return pcm[:whole]

    def forget(self) -> None:
        """A sample that was never completed would shift all of the next answer by a byte."""
        self._split = b""


class ServedSound:
    """The sound of answers: raw samples, or WAV files, each of which may be cut into messages anywhere.

    A WAV file is known by its first bytes wherever a message begins, and what follows its samples in
    later messages is taken for more of them: there are servers that send a header once.

    Args:
        format: of raw samples.
    """

    def __init__(self, format: AudioFormat) -> None:
        self._raw = WholeSamples(format)
        self._fresh = True
        self._begun = b""
        """The first bytes of what may be, or is, a file whose samples have not begun."""
        self._wave: _Wave | None = None
        self._refused = False

    @property
    def format(self) -> AudioFormat:
        """Of raw samples."""
        return self._raw.format

    def announce(self, format: AudioFormat) -> None:
        """What follows is raw samples of this format, unless it says something else itself."""
        self._raw = WholeSamples(format)
        self._wave = None
        self.forget()

    def forget(self) -> None:
        """An answer is over: the next one begins with a whole sample, or with a file."""
        self._raw.forget()
        self._fresh, self._begun, self._refused = True, b"", False
        if self._wave is not None:
            self._wave.forget()

    def take(self, message: bytes) -> tuple[bytes, AudioFormat]:
        """The samples of one more message, perhaps none, and what they are.

        Raises:
            FormatUnsupported: a file begins that cannot be decoded; the rest of it is silence.
        """
        begun, message = bool(self._begun), self._begun + message
        self._begun = b""
        kind = _file_at(message, self._fresh)
        if kind is None and (begun or self._fresh) and _undecided(message):
            self._begun = message
            return b"", self.format
        if message:
            self._fresh = False
        if kind == "WAV":
            return self._begin_wave(message)
        if kind is not None:
            self._refused = True
            raise FormatUnsupported(
                f"the server's sound is a file ({kind}), and only raw 16-bit PCM and WAV can be played here: "
                "have the server send one of these"
            )
        if self._refused:
            return b"", self.format
        if self._wave is not None:
            return self._wave.take(message)
        return self._raw.take(message), self.format

    def _begin_wave(self, message: bytes) -> tuple[bytes, AudioFormat]:
        self._raw.forget()
        try:
            self._wave = _Wave.read(message)
            if self._wave is None:
                if len(message) > _LONGEST_HEADER:
                    raise FormatUnsupported("the server's sound is a WAV file without samples")
                self._begun = message
                return b"", self.format
            self._refused = False
            return self._wave.take(message[self._wave.header_size :], at_start=True)
        except FormatUnsupported:
            self._wave, self._refused = None, True
            raise


class _Wave:
    """A WAV file whose samples come bit by bit."""

    def __init__(self, description: bytes, size: int, header_size: int, riff_size: int) -> None:
        self.header_size = header_size
        self._description = description
        self._block = max(1, struct.unpack_from("<H", description, 12)[0])
        unknown = size >= _LARGEST_SIZE or (size == 0 and not header_size < riff_size + 8 < _LARGEST_SIZE)
        self._left: int | None = None if unknown else size
        self._split = b""
        # Refuses what cannot be decoded before there is any sound.
        self._format = self._decoded(bytes(self._block))[1]

    @classmethod
    def read(cls, file: bytes) -> _Wave | None:
        """Read what comes before the samples; None if not all of it is in.

        Raises:
            FormatUnsupported: it cannot be decoded.
        """
        place, description = 12, b""
        while place + 8 <= len(file):
            name, size = struct.unpack_from("<4sI", file, place)
            if name == b"data":
                if len(description) < 16:
                    raise FormatUnsupported("the server's sound is a WAV file that does not say what it is")
                (riff_size,) = struct.unpack_from("<I", file, 4)
                return cls(description, size, place + 8, riff_size)
            if name == b"fmt ":
                description = file[place + 8 : place + 8 + size]
            place += 8 + size + size % 2
        return None

    def take(self, message: bytes, *, at_start: bool = False) -> tuple[bytes, AudioFormat]:
        """The samples in one more message."""
        if self._left == 0:
            # After the samples there may be other chunks, which are no sound.
            if at_start or _is_chunk(message):
                return b"", self._format
            self._left = None
        pcm = message if self._left is None else message[: self._left]
        if self._left is not None:
            self._left -= len(pcm)
        pcm = self._split + pcm
        whole = len(pcm) - len(pcm) % self._block
        self._split = pcm[whole:]
        return self._decoded(pcm[:whole])

    def forget(self) -> None:
        """The answer is over; if the next one has no header of its own, it is the same kind of sound."""
        self._left, self._split = None, b""

    def _decoded(self, samples: bytes) -> tuple[bytes, AudioFormat]:
        chunks = b"WAVE" + _chunk(b"fmt ", self._description) + _chunk(b"data", samples)
        return wave_sound(_chunk(b"RIFF", chunks))


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack("<4sI", name, len(body)) + body + bytes(len(body) % 2)


def _is_chunk(message: bytes) -> bool:
    """Whether a message is one or more whole chunks of a WAV file, or the byte that pads one."""
    place = 0
    while place + 8 <= len(message) and re.fullmatch(rb"[A-Za-z0-9 ]{4}", message[place : place + 4]):
        (size,) = struct.unpack_from("<I", message, place + 4)
        place += 8 + size + size % 2
    return message == b"\0" or (place > 0 and 0 <= place - len(message) <= 1)


def _file_at(message: bytes, fresh: bool) -> str | None:
    """What kind of file begins here; None if these are samples."""
    start = message[: _MAGIC_LENGTH + 1]
    kind = next((kind for magic, kind in _FILES if magic.match(start)), None)
    return kind or ("MP3" if _is_mp3(message, fresh) else None)


def _undecided(message: bytes) -> bool:
    """Whether these few bytes at the start of an answer may be the beginning of a file."""
    return any(
        beginning.startswith(message) or (message.startswith(beginning) and len(message) < _MAGIC_LENGTH)
        for beginning in _BEGINNINGS
        if message
    )


def _is_mp3(message: bytes, fresh: bool) -> bool:
    """Whether two headers of frames stand where the first says; two bytes alone could be a sample."""
    length = _mp3_frame(message[:4])
    if length is None:
        return False
    second = message[length : length + 4]
    if len(second) < 4:
        return fresh and length == len(message)
    return _mp3_frame(second) is not None and second[1] == message[1]


def _mp3_frame(header: bytes) -> int | None:
    """The length of the frame of MPEG audio, layer III, that begins so; None if none does."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return None
    version, kbits, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version not in _MP3_RATES or kbits in (0, 15) or rate == 3:
        return None
    per_frame = 144_000 if version == 3 else 72_000
    return per_frame * _MP3_KBITS[version == 3][kbits] // _MP3_RATES[version][rate] + (header[2] >> 1 & 1)
