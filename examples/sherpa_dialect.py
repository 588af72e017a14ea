"""A dialect of your own: transcription by sherpa-onnx's streaming server.

Start such a server, and then:    python sherpa_dialect.py ws://raspberrypi.local:6006
"""

from __future__ import annotations

import json
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from voicews import AudioFormat, Event, History, Message, Tool, Transcript, Unsupported, VoiceClient
from voicews.commands import Command, SendAudio
from voicews.dialects import Dialect, Request, Session


@dataclass(frozen=True)
class Sherpa(Dialect):
    """The settings: frozen, for clients may share them."""

    url: str = "ws://localhost:6006"

    @property
    def input_format(self) -> AudioFormat:
        return AudioFormat(16000)

    @property
    def output_format(self) -> AudioFormat:
        return self.input_format  # it does not speak

    @property
    def answers(self) -> bool:
        return False

    @property
    def accepts(self) -> frozenset[type[Command]]:
        return frozenset({SendAudio})

    def request(self) -> Request:
        return Request(self.url)

    def begin(self, previous: Session | None, history: History, tools: Sequence[Tool] = ()) -> Session:
        return SherpaSession()


class SherpaSession(Session):
    """The rules of one connection: what comes in, and what goes out."""

    ready = True  # the server does not greet
    finished = False  # the server hangs up by itself, after its last words

    def __init__(self) -> None:
        self._to_send: list[str | bytes] = []
        self._finishing = False
        self._segment = 0
        self._words = ""
        self._told: str | None = None

    def messages_to_send(self) -> list[str | bytes]:
        messages, self._to_send = self._to_send, []
        return messages

    def send(self, command: Command) -> None:
        if not isinstance(command, SendAudio):
            raise Unsupported(f"Sherpa has no word for {type(command).__name__}")
        samples = array("h", command.pcm)
        self._to_send.append(array("f", (sample / 32768 for sample in samples)).tobytes())

    def finish(self) -> None:
        if not self._finishing:
            self._to_send.append("Done")
        self._finishing = True

    def receive(self, message: str | bytes) -> list[Event]:
        try:
            data = json.loads(message)
        except (ValueError, RecursionError):
            return [Message(message)]
        match data:
            case {"text": str(text), "segment": int(segment)}:
                return self._result(text.strip(), segment)
        return [Message(data)]

    def _result(self, text: str, segment: int) -> list[Event]:
        events: list[Event] = []
        if segment != self._segment:  # the one before is over
            events += [Transcript("user", self._words)] if self._words and not self._told else []
            self._segment, self._told = segment, None
        self._words = text
        if text and self._finishing:  # it may be the last; if not, the next one takes its place
            events.append(Transcript("user", text, replaces=self._told))
            self._told = text
        elif text:
            events.append(Transcript("user", text, final=False))
        return events

    def last_words(self, *, resumes: bool) -> list[Event]:
        words, self._words = self._words, ""
        return [Transcript("user", words)] if words and not self._told else []


if __name__ == "__main__":
    voice = VoiceClient(Sherpa(*sys.argv[1:]))
    voice.on(Transcript, lambda line: line.final and print(line))
    voice.run()
