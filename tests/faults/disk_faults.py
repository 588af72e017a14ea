"""A disk that runs full while the answer is recorded; tried in a process of its own (see apart.py)."""

from __future__ import annotations

import resource
import signal
import tempfile
import wave
from pathlib import Path
from typing import Any

from tests.faults.matrix import Fault
from tests.faults.sound_faults import CountedSink
from tests.faults.trial import Trial
from voicews import DeviceLost, DeviceRestored
from voicews.audio import WavSink

_ROOM = 20_001
"""Bytes; it ends in the middle of a sample."""


class RecordingTrial(Trial):
    """A client that records what it hears."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        folder = self._stack.enter_context(tempfile.TemporaryDirectory())
        self.path = Path(folder) / "answer.wav"
        self.speaker: Any = CountedSink(WavSink(self.path))


TRIAL = RecordingTrial


def _limit(size: int) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))


def full(trial: Any) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a write fails, as on a full disk
    _limit(trial.path.stat().st_size + _ROOM)
    trial.wait_for(DeviceLost)
    error = trial.of(DeviceLost)[0].error
    assert "choose another file, or make room" in str(error), error
    before = playable(trial.path)
    _limit(resource.RLIM_INFINITY)
    trial.heal()
    trial.wait_for(DeviceRestored)
    heard = len(trial.speaker.heard)
    trial.wait_until(lambda: len(trial.speaker.heard) > heard + 50, "more sound")
    trial.finish()
    after = playable(trial.path)
    assert after > before + 0.5, f"{before:.2f} s were recorded before, {after:.2f} s in all"


def playable(path: Path) -> float:
    """Seconds; all of it is what the server said, sample by sample."""
    with wave.open(str(path), "rb") as file:
        pcm = file.readframes(file.getnframes())
        assert set(pcm[1::2]) == {0}, "the samples are out of step"
        return file.getnframes() / file.getframerate()


FULL = Fault("the disk is full while the answer is recorded", full, told=(DeviceLost, DeviceRestored))
FAULTS = [FULL]
