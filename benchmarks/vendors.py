"""The other end for the vendors' own clients: as lean as ``benchmarks.server``, in the languages of their
services.

``python -m benchmarks.vendors [PEM]`` prints its port, and takes ``take`` on its standard input.  The path
that is asked for says which language it speaks.  From the first frame of sound that it hears, it pushes
20 ms of sound every 20 ms, in an answer that never ends; where the service only transcribes, words every
half second instead.
"""

from __future__ import annotations

import base64
import json
import struct
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

from benchmarks.server import Link, Server, framed
from benchmarks.sound import STAMP, stamped

__all__ = ["LANGUAGES", "Language"]

_FRAME = 0.02
_STAMP_IN_BASE64 = 12
"""Letters that hold the stamp at the beginning of a frame."""

Json = dict[str, Any]


class Language(ABC):
    """What one service says on one connection."""

    path: ClassVar[str]
    rate: ClassVar[int]
    """Samples per second of what it says."""
    period: ClassVar[float] = _FRAME
    """Seconds between two pushes."""

    def __init__(self) -> None:
        self.pushes = 0

    def greeting(self) -> Iterator[Json]:
        """What it says before anything was said to it."""
        yield from ()

    @abstractmethod
    def reply(self, data: Json) -> Iterator[Json]:
        """What it says to a message that is no sound."""

    def answer(self) -> Iterator[Json]:
        """What it says before the first push."""
        yield from ()

    @abstractmethod
    def push(self, now: int) -> Json | bytes:
        """What it pushes."""

    def sound_in(self, message: Json) -> str | None:
        """The sound in a message, as it is there, in base64; None if there is none."""
        return None

    def stamp(self, pcm: bytes) -> int:
        """When a frame was complete, from its first bytes."""
        return int(STAMP.unpack_from(pcm)[0])

    def sound(self, now: int) -> bytes:
        """A frame of sound to push."""
        self.pushes += 1
        return stamped(now, 2 * round(_FRAME * self.rate))


class _OpenAI(Language):
    path = "/v1/realtime"
    rate = 24_000
    _place: ClassVar[Json] = {
        "response_id": "resp_1",
        "item_id": "item_1",
        "output_index": 0,
        "content_index": 0,
    }

    def _event(self, kind: str, **fields: Any) -> Json:
        return {"type": kind, "event_id": f"event_{self.pushes}", **fields}

    def greeting(self) -> Iterator[Json]:
        session = {"type": "realtime", "object": "realtime.session", "id": "sess_1", "model": "any"}
        yield self._event("session.created", session=session)

    def reply(self, data: Json) -> Iterator[Json]:
        if data["type"] == "session.update":
            yield self._event("session.updated", session=data["session"])

    def answer(self) -> Iterator[Json]:
        response = {"object": "realtime.response", "id": "resp_1", "status": "in_progress", "output": []}
        yield self._event("response.created", response=response)
        item = {
            "id": "item_1",
            "type": "message",
            "role": "assistant",
            "status": "in_progress",
            "content": [],
        }
        yield self._event("response.output_item.added", response_id="resp_1", output_index=0, item=item)
        yield self._event("response.content_part.added", **self._place, part={"type": "audio"})

    def push(self, now: int) -> Json:
        sound = base64.b64encode(self.sound(now)).decode()
        return self._event("response.output_audio.delta", **self._place, delta=sound)

    def sound_in(self, message: Json) -> str | None:
        return message["audio"] if message["type"] == "input_audio_buffer.append" else None


class _Deepgram(Language):
    path = "/v1/agent/converse"
    rate = 24_000

    def greeting(self) -> Iterator[Json]:
        yield {"type": "Welcome", "request_id": "any"}

    def reply(self, data: Json) -> Iterator[Json]:
        if data["type"] == "Settings":
            yield {"type": "SettingsApplied"}

    def push(self, now: int) -> bytes:
        return self.sound(now)


class _ElevenLabs(Language):
    path = "/v1/convai/conversation"
    rate = 16_000

    def reply(self, data: Json) -> Iterator[Json]:
        if data.get("type") == "conversation_initiation_client_data":
            about = {
                "conversation_id": "any",
                "agent_output_audio_format": "pcm_16000",
                "user_input_audio_format": "pcm_16000",
            }
            kind = "conversation_initiation_metadata"
            yield {"type": kind, f"{kind}_event": about}

    def push(self, now: int) -> Json:
        sound = base64.b64encode(self.sound(now)).decode()
        return {"type": "audio", "audio_event": {"audio_base_64": sound, "event_id": self.pushes}}

    def sound_in(self, message: Json) -> str | None:
        return message.get("user_audio_chunk")


class _WhisperLive(Language):
    path = "/"
    rate = 16_000
    period = 0.5
    _floats = struct.Struct("<4f")

    def __init__(self) -> None:
        super().__init__()
        self._uid = ""

    def reply(self, data: Json) -> Iterator[Json]:
        self._uid = data["uid"]
        yield {"uid": self._uid, "message": "SERVER_READY", "backend": "faster_whisper"}

    def push(self, now: int) -> Json:
        """The running segment, whose text is the time."""
        self.pushes += 1
        segment = {"start": "0.000", "end": f"{self.pushes * self.period:.3f}", "text": f" {now}"}
        return {"uid": self._uid, "segments": [{**segment, "completed": False}]}

    def stamp(self, pcm: bytes) -> int:
        samples = (round(sample * 32768) for sample in self._floats.unpack_from(pcm))
        return super().stamp(struct.pack("<4h", *samples))


LANGUAGES: Mapping[str, type[Language]] = {
    kind.path: kind for kind in (_OpenAI, _Deepgram, _ElevenLabs, _WhisperLive)
}


class Vendors(Server):
    """All of the services."""

    def __init__(self, certificate: str | None) -> None:
        super().__init__(certificate)
        self.languages: dict[Link, Language] = {}

    def begin(self, link: Link) -> None:
        language = self.languages[link] = LANGUAGES[urlsplit(link.mode).path]()
        link.period = round(language.period * 1e9)
        self.say(link, language.greeting())

    def pushed(self, link: Link, now: int) -> bytes:
        message = self.languages[link].push(now)
        return framed(message) if isinstance(message, bytes) else framed(json.dumps(message).encode(), 1)

    def say(self, link: Link, messages: Iterator[Json]) -> None:
        for message in messages:
            link.send(framed(json.dumps(message).encode(), 1))

    def frame(self, link: Link, opcode: int, payload: bytes, now: int) -> bool:
        if opcode not in (1, 2):
            return super().frame(link, opcode, payload, now)
        language = self.languages[link]
        if opcode == 1:
            data = json.loads(payload)
            sound = language.sound_in(data)
            if sound is None:
                self.say(link, language.reply(data))
                return True
            payload = base64.b64decode(sound[:_STAMP_IN_BASE64])
        elif payload.startswith(b"END_OF_AUDIO"):
            return True
        self.hear(link, language, language.stamp(payload), now)
        return True

    def hear(self, link: Link, language: Language, due: int, now: int) -> None:
        """Note a frame of sound, and begin to answer the first one."""
        link.frames += 1
        self.came.extend((link.number, due, now))
        if link.frames == 1:
            self.say(link, language.answer())
            link.push_at = now + link.period

    def drop(self, link: Link) -> None:
        super().drop(link)
        self.languages.pop(link, None)


if __name__ == "__main__":
    Vendors(sys.argv[1] if len(sys.argv) > 1 else None).run()
