"""A recording, read back: also one that was cut short."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voicews.audio.wav import WAV_HEADER
from voicews.errors import RecordingError
from voicews.recording.part import parts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["FRAME", "Happening", "Recording", "find"]

FRAME = 0.01
"""Seconds of one measured level."""
_BLOCK = 60.0
"""Seconds of sound that are held at a time."""


@dataclass(frozen=True)
class Happening:
    """One line of a recording: what the client, or the recorder, told."""

    name: str
    """The event's class."""
    at: float
    """Seconds since the beginning."""
    members: Mapping[str, Any]

    def text(self, name: str) -> str:
        """A member as text; empty if there is none."""
        value = self.members.get(name)
        return "" if value is None else str(value)

    @property
    def why(self) -> str:
        """The message of the error that came with it; empty if none did."""
        error = self.members.get("error")
        return str(error.get("message") or error.get("type") or "") if isinstance(error, dict) else ""


def find(path: Path) -> Path:
    """The WAV file that is meant by a folder (its newest), or by one of a recording's two files.

    Raises:
        RecordingError: there is none.
    """
    try:
        numbers = parts(path) if path.is_dir() else None
    except OSError as error:
        raise _unreadable(path, error) from error
    if numbers is None:
        sound = path.with_suffix(".wav")
        if not (path.exists() or sound.exists()):
            raise RecordingError(f"there is no folder and no recording {path}")
        if not sound.exists():
            raise RecordingError(f"{path} is not a recording: a recording is a .wav and a .jsonl file")
        return sound
    if not numbers:
        raise RecordingError(f"there is no recording in {path}; `voicews talk URL --record {path}` makes one")
    return path / f"conversation-{numbers[-1]:03}.wav"


def _unreadable(path: Path, error: OSError) -> RecordingError:
    return RecordingError(f"cannot read {path}: {error.strerror or error}")


class Recording:
    """The two files of a recording.

    Args:
        path: of the WAV file; the other lies beside it.

    Raises:
        RecordingError: they cannot be read, or are no recording.

    Attributes:
        seconds: how long it is.
        began: the time of its beginning, ISO 8601, or empty.
        happenings: what happened, in order.
        peaks: the loudest sample of each frame, 0 to 1; microphone and loudspeaker in two columns.
        levels: root mean squares of the frames likewise.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.happenings = _happenings(path.with_suffix(".jsonl"))
        first = self.happenings[0] if self.happenings else None
        self.began = first.text("time") if first is not None else ""
        blocks = []
        try:
            with path.open("rb") as file:
                rate = _rate(file.read(WAV_HEADER))
                # Not by its header: a program that was killed may have written more than that tells.
                samples = (file.seek(0, os.SEEK_END) - WAV_HEADER) // 4
                file.seek(WAV_HEADER)
                step = round((rate or 1) * FRAME)
                while rate and (raw := file.read(4 * step * round(_BLOCK / FRAME))):
                    blocks.append(_measured(raw, step))
        except OSError as error:
            raise _unreadable(path, error) from error
        if not rate:
            raise RecordingError(f"{path} is not a recording of voicews")
        self.seconds = samples / rate
        import numpy as np

        nothing = np.zeros((0, 2))
        self.peaks: NDArray[np.float64] = np.concatenate([nothing, *(peaks for peaks, _ in blocks)])
        self.levels: NDArray[np.float64] = np.concatenate([nothing, *(levels for _, levels in blocks)])


def _rate(head: bytes) -> int:
    """Samples per second; 0 if it is no header of ours."""
    ours = len(head) == WAV_HEADER and head[:4] + head[36:40] == b"RIFFdata" and head[22] == 2
    return int.from_bytes(head[24:28], "little") if ours else 0


def _measured(raw: bytes, step: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    import numpy as np

    count = len(raw) // 4 // step
    samples = np.frombuffer(raw[: count * step * 4], "<i2").reshape(count, step, 2) / 32768
    return np.abs(samples).max(axis=1), np.sqrt((samples**2).mean(axis=1))


def _happenings(path: Path) -> list[Happening]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise _unreadable(path, error) from error
    found = []
    for number, line in enumerate(lines, 1):
        try:
            members = json.loads(line)
            found.append(Happening(str(members.pop("event")), float(members.pop("at")), members))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if number == len(lines):  # what a crash has cut
                break
            raise RecordingError(f"{path}, line {number}, is not an event of a recording") from error
    return found
