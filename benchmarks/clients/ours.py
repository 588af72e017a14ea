"""voicews, as a user would open it."""

from __future__ import annotations

from benchmarks.sound import Ear, Mouth
from voicews import AudioFormat, Backoff, ClientConfig, Timeouts, TlsSettings, VoiceClient
from voicews.audio import AudioSource, NullSink
from voicews.dialects import Dialect, Plain


class Microphone(AudioSource):
    """A mouth on the clock, as a source."""

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed

    def open(self, format: AudioFormat, frame_samples: int) -> None:
        self._mouth = Mouth(frame_samples, rate=format.rate, speed=self._speed)

    def read(self) -> bytes:
        return self._mouth.read()

    def close(self) -> None:
        """Nothing is held."""


class Loudspeaker(NullSink):
    """Silent, but its ear notes when sound arrives."""

    def __init__(self, ear: Ear) -> None:
        super().__init__()
        self.ear = ear

    def write(self, pcm: bytes) -> None:
        self.ear.hear(pcm)
        super().write(pcm)


class Client:
    """One client on one URL.

    Args:
        dialect: None for the plain one.
        patience: seconds that closing may take; a server whose answer never ends makes use of all.
    """

    def __init__(
        self, url: str, ca: str | None, *, dialect: Dialect | None = None, patience: float = 5.0
    ) -> None:
        dialect = dialect or Plain(url)
        self.ear = Ear(dialect.output_format.rate)
        self._voice = VoiceClient(
            dialect,
            microphone=Microphone(),
            speaker=Loudspeaker(self.ear),
            config=ClientConfig(
                tls=TlsSettings(ca_file=ca),
                backoff=Backoff(initial=0, jitter=0, max_attempts=None),
                timeouts=Timeouts(close=patience),
            ),
        )

    def open(self) -> None:
        self._voice.open()

    def close(self) -> None:
        self._voice.close()

    def dropped(self) -> int:
        return sum(self._voice.stats().frames_dropped.values())
