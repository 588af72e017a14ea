"""voicews in the languages of the vendors' services: the path of the URL says in which."""

from __future__ import annotations

from urllib.parse import urlsplit

from benchmarks.clients import ours
from voicews import Transcript
from voicews.dialects import DeepgramAgent, Dialect, ElevenLabsAgent, OpenAIRealtime, WhisperLive


def dialect_at(url: str) -> Dialect:
    """With settings as few as those of the vendor's own client in ``benchmarks/clients/sdks``."""
    match urlsplit(url).path:
        case "/v1/realtime":
            return OpenAIRealtime("any", url=url)
        case "/v1/agent/converse":
            return DeepgramAgent("any", url=url)
        case "/v1/convai/conversation":
            return ElevenLabsAgent("any", url=url)
    return WhisperLive(url, language="en", chunk=0)


class Client(ours.Client):
    """One client on one URL."""

    def __init__(self, url: str, ca: str | None) -> None:
        dialect = dialect_at(url)
        super().__init__(url, ca, dialect=dialect, patience=0.5)
        if not dialect.answers:
            self._voice.on(Transcript, self._read)

    def _read(self, transcript: Transcript) -> None:
        self.ear.read(transcript.text)
