"""A whole client on a fake server, with a microphone that a test speaks into."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.fakes import EarSpeaker, HandMicrophone
from tests.patience import PATIENCE
from voicews import Backoff, ClientConfig, Event, VoiceClient
from voicews.config import Timeouts
from voicews.dialects import Dialect

__all__ = ["LONG", "QUICK", "Caller", "loud"]

QUICK = ClientConfig(backoff=Backoff(initial=0.01, jitter=0.0, max_attempts=3), timeouts=Timeouts(close=10.0))
LONG = " ".join(["This is a very long answer, which nobody will hear to its end."] * 8)
"""25 s where a fake hums it, so that whoever interrupts it is in time, however busy the machine is."""
E = TypeVar("E", bound=Event)


def loud(seconds: float, rate: int = 16000) -> bytes:
    """What every fake takes for speech."""
    return b"\x00\x20\x00\xe0" * (round(seconds * rate) // 2)


class Caller:
    """Opens and closes a client, and remembers all that it tells.

    Args:
        config: of the client; by default a lost connection is dialled again at once.
        tools: of the client.
    """

    def __init__(self, dialect: Dialect, *, config: ClientConfig = QUICK, tools: Any = ()) -> None:
        self.microphone = HandMicrophone()
        self.speaker = EarSpeaker(speed=20.0)
        self.client = VoiceClient(
            dialect, microphone=self.microphone, speaker=self.speaker, config=config, tools=tools
        )
        self.format = dialect.input_format
        self.events: list[Event] = []
        self._news = threading.Condition()
        self.client.on(Event, self._note)

    def _note(self, event: Event) -> None:
        with self._news:
            self.events.append(event)
            self._news.notify_all()

    def __enter__(self) -> Self:
        self.client.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()

    def speak(self, seconds: float, then: float = 0.0) -> None:
        """Give loud sound to the microphone, and silence after it."""
        size = self.format.bytes(0.02)
        pcm = loud(seconds, self.format.rate) + bytes(self.format.bytes(then))
        self.microphone.frames.extend(
            pcm[start : start + size].ljust(size, b"\0") for start in range(0, len(pcm), size)
        )

    def wait_until_spoken(self) -> None:
        """Until the client has taken all that the microphone had."""
        never = threading.Event()
        while self.microphone.frames:
            never.wait(0.01)

    def hear(
        self, kind: type[E], number: int = 1, which: Callable[[E], object] = bool, timeout: float = PATIENCE
    ) -> E:
        """Wait for the how-manieth such event since the beginning, counted from 1."""
        found: list[E] = []

        def there() -> bool:
            found[:] = [one for one in self.events if isinstance(one, kind) and (which is bool or which(one))]
            return len(found) >= number

        with self._news:
            assert self._news.wait_for(there, timeout), f"no {kind.__name__} {number} among {self.events}"
        return found[number - 1]

    def heard(self, kind: type[E]) -> list[E]:
        """All such events so far."""
        with self._news:
            return [event for event in self.events if isinstance(event, kind)]
