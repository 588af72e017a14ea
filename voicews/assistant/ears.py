"""How the assistant hears: speech to words, by whichever recogniser is there."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from voicews.assistant.machine import has_little_memory
from voicews.errors import BackendMissing, ConfigError

__all__ = ["RATE", "Ears", "Hearing", "load_ears"]

RATE = 16000
"""Samples per second that ears are fed with: mono PCM16."""


class Hearing(Protocol):
    """One turn being listened to.  Used by one thread."""

    def feed(self, pcm: bytes, voiced: bool = True) -> None:
        """Take further sound (:data:`RATE`); ``voiced`` is False if it holds no speech."""

    def partial(self) -> str:
        """The words so far, which may still change; this is where the work is done."""

    def finish(self) -> str:
        """All words of the turn; empty if there were none.  Nothing is fed after it."""

    def close(self) -> None:
        """Give up a turn that will not be finished; after :meth:`finish` it does nothing."""


class Ears(Protocol):
    """A speech recogniser, loaded once.  Used by many threads, each with its own hearing."""

    name: str
    """What it is, for people to read."""

    def listen(self) -> Hearing:
        """Begin a turn."""


def load_ears(name: str = "auto", *, model_dir: str | Path | None = None) -> Ears:
    """Get ears by name, or the best that this machine can run.

    Args:
        name: "whisper" (any words), "pocketsphinx" (the home helper's sentences only;
            20 MB less), or "auto": whisper unless memory is short or it is missing.
        model_dir: a folder with a Whisper model in CTranslate2's format, instead of the one
            from the registry; means "whisper" where ``name`` is "auto".

    Raises:
        ConfigError: there are no ears of this name, or ``model_dir`` is no model.
        BackendMissing: they (for "auto": both) are not installed.
    """
    from voicews.assistant.sphinx import PocketsphinxEars
    from voicews.assistant.whisper import WhisperEars

    if name == "whisper" or (name == "auto" and model_dir is not None):
        return WhisperEars(model_dir)
    if name == "pocketsphinx":
        return PocketsphinxEars()
    if name != "auto":
        raise ConfigError(f"ears is {name!r}; it must be auto, whisper or pocketsphinx")
    if has_little_memory():
        return PocketsphinxEars()
    try:
        return WhisperEars()
    except BackendMissing as missing:
        try:
            return PocketsphinxEars()
        except BackendMissing:
            raise missing from None
