"""What every one of them needs besides the vendor's client, and so what its user would write."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable

from benchmarks.sound import RATE, Ear, Mouth

__all__ = ["FRAME", "SdkClient"]

FRAME = 0.02


class SdkClient:
    """One client on one URL.

    Args:
        queued: True plays on a thread of its own, with a queue before it, as the audio interface that
            ElevenLabs ships does, and any must whose loudspeaker may block.  False (the default) hears
            sound where it comes, which costs less.
        hears: samples per second of what it sends.
        says: samples per second of what it is sent.
    """

    def __init__(self, queued: bool = False, *, hears: int = RATE, says: int = RATE) -> None:
        self.ear = Ear(says)
        self._rate = hears
        self._ending = False
        self._threads: list[threading.Thread] = []
        self._waiting: queue.Queue[bytes] = queue.Queue()
        self.hear: Callable[[bytes], None] = self.ear.hear
        if queued:
            self.hear = self._waiting.put
            threading.Thread(target=self._play, daemon=True).start()

    def start(self, *works: Callable[[], None]) -> None:
        """Each on a thread of its own."""
        for work in works:
            thread = threading.Thread(target=work, daemon=True)
            self._threads.append(thread)
            thread.start()

    def speak(self, send: Callable[[bytes], object]) -> None:
        """Send what the microphone gives; to be the first thread's work."""
        mouth = Mouth(round(FRAME * self._rate), rate=self._rate)
        while not self._ending:
            send(mouth.read())

    def _play(self) -> None:
        while not self._ending:
            with contextlib.suppress(queue.Empty):
                self.ear.hear(self._waiting.get(timeout=0.25))

    def end(self) -> None:
        """No more sound is sent."""
        self._ending = True
        self._threads[0].join(6)

    def dropped(self) -> int:
        return 0
