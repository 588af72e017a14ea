"""One answer in OpenAI's Realtime language, as it comes in piece by piece."""

from __future__ import annotations

from dataclasses import dataclass, field

from voicews.config import AudioFormat
from voicews.dialects.messages import Json, items_of, number_of, text_of

__all__ = ["LONGEST_TEXT", "Answer", "Cut", "Part", "beginning", "code_of"]

LONGEST_TEXT = 1_000_000
"""Characters of one answer or one utterance; a server that never ends it must not fill the memory."""
_MOST_PARTS = 1000
_ALL_HEARD = 0.05
"""Seconds before its end from which a part counts as heard."""


@dataclass
class Part:
    """A piece of an answer: one content part of one of its items."""

    item_id: str | None
    index: int
    text: str = ""
    sound: int = 0
    """Bytes that were passed on."""


@dataclass(frozen=True)
class Cut:
    """Where the user stopped listening."""

    item_id: str
    index: int
    heard_ms: int


@dataclass
class Answer:
    """What the server calls a response."""

    id: str | None
    parts: list[Part] = field(default_factory=list)
    hushed: bool = False
    """True: nobody wants to hear more of it."""
    unwanted: bool = False
    """True: it was called off before it began, so that nobody hears of it at all."""
    over: bool = False
    """True: its end has been told."""
    told: str | None = None
    """Its text as it was last told."""

    def part(self, data: Json) -> Part:
        """The one that a message is about; begun if need be."""
        item_id, index = text_of(data, "item_id"), int(number_of(data, "content_index") or 0)
        for part in self.parts:
            if (part.item_id, part.index) == (item_id, index):
                return part
        if len(self.parts) < _MOST_PARTS:
            self.parts.append(Part(item_id, index))
        return self.parts[-1]

    @property
    def text(self) -> str:
        """All that was said so far."""
        return "\n".join(part.text for part in self.parts if part.text.strip())

    @property
    def has_sound(self) -> bool:
        """True if any of it could be heard."""
        return any(part.sound for part in self.parts)

    def read(self, response: Json) -> bool:
        """Take the text from the summary, for servers that do not send it piece by piece; what was said
        already is kept.  True if there is any text then."""
        for item in items_of(response, "output") if not self.text else ():
            if item.get("role") != "assistant":
                continue
            for index, content in enumerate(items_of(item, "content")):
                text = text_of(content, "transcript") or text_of(content, "text") or ""
                part = self.part({"item_id": item.get("id"), "content_index": index})
                part.text = text[:LONGEST_TEXT]
        return bool(self.text)

    def cut(self, heard: float, format: AudioFormat) -> list[Cut]:
        """Forget what was not heard; tells which parts are shorter now.

        Args:
            heard: seconds of it that left the loudspeaker.
            format: of its sound.
        """
        cuts = []
        heard = max(0.0, heard)
        for part in self.parts:
            length = format.seconds(part.sound)
            if part.item_id is not None and part.sound and heard < length - _ALL_HEARD:
                # Never more than there is: the server takes that for an error.
                cuts.append(Cut(part.item_id, part.index, int(heard * 1000)))
                part.text = beginning(part.text, heard / length)
            heard = max(0.0, heard - length)
        return cuts


def beginning(text: str, share: float) -> str:
    """About so much of a text, in whole words: nobody tells when each of them was spoken."""
    end = int(len(text) * share)
    if end >= len(text):
        return text
    whole = text[:end] if text[end].isspace() else text[:end].rpartition(" ")[0]
    return whole.rstrip()


def code_of(error: Json) -> str | int | None:
    """What programs may know an error by: its code, or else its type."""
    code = error.get("code")
    if isinstance(code, int) and not isinstance(code, bool):
        return code if abs(code) < 10**9 else None
    return text_of(error, "code") or text_of(error, "type")
