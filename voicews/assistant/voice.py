"""The voices that the assistant can speak with, best first: hibari, flite, espeak-ng."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tempfile
import threading
import wave
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from voicews.assistant.machine import TO_INSTALL, has_little_memory
from voicews.assistant.speakable import speakable
from voicews.errors import AudioError, BackendMissing, ConfigError

__all__ = ["CommandVoice", "EspeakVoice", "FliteVoice", "HibariVoice", "Voice", "load_voice"]

_SILENT = 150
"""Samples up to this size (-47 dBFS) are silence at the edges of a sentence."""


class Voice(Protocol):
    """Turns text into sound.  May be used from several threads at once."""

    name: str
    """What it is, for people to read."""
    rate: int
    """Samples per second of what it speaks."""

    def say(self, text: str) -> Iterator[bytes]:
        """Speak, in pieces of mono PCM16 as they are made; one sentence at a time is best.

        Text without anything that can be spoken gives no sound.

        Raises:
            AudioError: the synthesizer failed.
        """


def _trimmed(pcm: bytes, rate: int) -> bytes:
    """Cut what synthesizers put before and after a sentence down to a breath.

    hibari begins with 0.3 s of silence, which would be waited for at every answer.
    """
    import numpy as np

    samples = np.frombuffer(pcm, "<i2")
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > _SILENT)
    if not len(loud):
        return b""
    first = max(0, int(loud[0]) - round(0.05 * rate))
    last = int(loud[-1]) + round(0.2 * rate)
    return samples[first:last].tobytes()


class HibariVoice:
    """The neural voice "heart" that comes inside the hibari-tts package: 24 kHz, about 25 ms a sentence.

    Args:
        seed: makes the same text sound the same, bit by bit.
        speed: 1.0 is its natural pace.

    Raises:
        BackendMissing: hibari-tts is not installed, or cannot be loaded.
    """

    name = "hibari (heart)"

    def __init__(self, *, seed: int = 0, speed: float = 1.0) -> None:
        # The library below hibari would send records of its use to its maker, and keep them on
        # the disk until it can (onnxruntime's Privacy.md); it looks here when it is imported.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        try:
            import hibari
        except ImportError as error:
            raise BackendMissing(f"the hibari voice needs: {TO_INSTALL}") from error
        try:
            self._hibari = hibari.Hibari(threads=1)
        except Exception as error:  # onnxruntime and the file system have many ways to fail
            raise BackendMissing(
                f"the hibari voice cannot be loaded ({error}); "
                "try: pip install --force-reinstall voicews[assistant]"
            ) from error
        self.rate = int(hibari.SAMPLE_RATE)
        self._seed = seed
        self._speed = speed
        # Its grapheme-to-phoneme tables are filled while it speaks.
        self._lock = threading.Lock()
        for _ in self.say("One."):  # the first sentence takes ten times as long as the next
            pass

    def say(self, text: str) -> Iterator[bytes]:
        """See :class:`Voice`."""
        import numpy as np

        spoken = speakable(text)
        if not any(character.isalnum() for character in spoken):
            return
        for phonemes in self._guarded(self._hibari.phonemize, spoken):
            samples = self._guarded(self._hibari.from_phonemes, phonemes, self._speed, self._seed)
            yield _trimmed((np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2").tobytes(), self.rate)

    def _guarded(self, work: Callable[..., Any], *arguments: Any) -> Any:
        try:
            with self._lock:
                return work(*arguments)
        except Exception as error:
            raise AudioError(f"the hibari voice failed: {error}") from error


class CommandVoice:
    """A voice that is a program: text in, WAV out.

    Args:
        command: the program and its arguments; ``{text}`` and ``{wav}`` stand for the
            sentence and the file to write.
        name: what it is, for people to read.
        package: the Debian package that has it.
        timeout: seconds that a sentence may take.

    Raises:
        BackendMissing: there is no such program.
    """

    def __init__(self, command: tuple[str, ...], *, name: str, package: str, timeout: float = 30.0) -> None:
        program = shutil.which(command[0])
        if program is None:
            raise BackendMissing(f"the {name} voice needs: sudo apt install {package}")
        self.name = name
        self._command = (program, *command[1:])
        self._timeout = timeout
        self.rate = self._speak("One.")[0]

    def say(self, text: str) -> Iterator[bytes]:
        """See :class:`Voice`."""
        spoken = speakable(text).lstrip("-")
        if any(character.isalnum() for character in spoken):
            yield _trimmed(self._speak(spoken)[1], self.rate)

    def _speak(self, text: str) -> tuple[int, bytes]:
        with tempfile.TemporaryDirectory(prefix="voicews-") as folder:
            path = Path(folder, "speech.wav")
            command = [part.format(text=text, wav=path) if "{" in part else part for part in self._command]
            try:
                subprocess.run(  # noqa: S603 - a fixed program; the text is one argument, no shell
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    timeout=self._timeout,
                    check=True,
                )
                with wave.open(io.BytesIO(path.read_bytes())) as sound:
                    return sound.getframerate(), sound.readframes(sound.getnframes())
            except subprocess.CalledProcessError as error:
                said = error.stderr.decode(errors="replace").strip()[:200]
                raise AudioError(
                    f"the {self.name} voice failed with exit code {error.returncode}: {said}"
                ) from error
            except (OSError, subprocess.TimeoutExpired, wave.Error, EOFError) as error:
                raise AudioError(f"the {self.name} voice failed: {error}") from error


class FliteVoice(CommandVoice):
    """Carnegie Mellon's flite, as a program; 16 kHz.

    Args:
        speaker: "slt" (female), "rms", "awb" (male), "kal16".

    Raises:
        BackendMissing: flite is not installed.
    """

    def __init__(self, speaker: str = "slt") -> None:
        super().__init__(
            ("flite", "-voice", speaker, "-t", "{text}", "-o", "{wav}"),
            name=f"flite ({speaker})",
            package="flite",
        )


class EspeakVoice(CommandVoice):
    """espeak-ng, as a program; 22.05 kHz.  Small and everywhere, and sounds like it.

    Raises:
        BackendMissing: espeak-ng is not installed.
    """

    def __init__(self) -> None:
        super().__init__(
            ("espeak-ng", "-v", "en-us", "-w", "{wav}", "--", "{text}"), name="espeak-ng", package="espeak-ng"
        )


_VOICES: Mapping[str, Callable[[], Voice]] = {
    "hibari": HibariVoice,
    "flite": FliteVoice,
    "espeak-ng": EspeakVoice,
}


def load_voice(name: str = "auto") -> Voice:
    """Get a voice by name, or the best that is there.

    Args:
        name: "hibari", "flite" or "espeak-ng" (both 170 MB less), or "auto":
            the first of these that is there, but hibari last where memory is short.

    Raises:
        ConfigError: there is no voice of this name.
        BackendMissing: it (or, for "auto", every one) is not installed.
    """
    if name != "auto":
        if name not in _VOICES:
            raise ConfigError(f"voice is {name!r}; it must be one of auto, {', '.join(_VOICES)}")
        return _VOICES[name]()
    missing = []
    best = sorted(_VOICES, key=lambda name: name == "hibari") if has_little_memory() else list(_VOICES)
    for make in (_VOICES[one] for one in best):
        try:
            return make()
        except (BackendMissing, AudioError) as error:
            missing.append(str(error))
    raise BackendMissing(f"no voice to speak with: {'; or '.join(missing)}")
