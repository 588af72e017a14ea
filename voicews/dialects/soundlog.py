"""The sound that went to a server which only listens: when it was said, and what is still unheard.

Such a server's clock begins anew with each connection.  Here the times go on, and the sound that
it had not yet put into words when a connection was lost is kept, to be sent again on the next.
"""

from __future__ import annotations

from collections import deque

from voicews.config import AudioFormat

__all__ = ["SoundLog"]

_SAME = 0.001
"""Seconds; two places on the run's clock that are closer are one."""


class SoundLog:
    """What was sent on one connection.

    Positions are seconds of sound since the connection's first, which is the server's time;
    times are seconds since the run's first.

    Args:
        format: of the sound.
        keep: seconds of it, at most, that are kept to be sent again.

    Attributes:
        sent: the position that the next sound will have.
    """

    def __init__(self, format: AudioFormat, keep: float) -> None:
        self.sent = 0.0
        self._format = format
        self._keep = keep
        self._unheard: deque[tuple[float, bytes]] = deque()
        self._unheard_from = 0.0
        self._marks: list[tuple[float, float]] = []
        self._now = 0.0
        self._origin: float | None = None
        self._live = False

    def go_on(self, previous: SoundLog) -> list[bytes]:
        """Take up where a lost connection has ended; returns what has to be sent again."""
        self._origin, self._now = previous._origin, previous._now
        for time, pcm in previous._unheard:
            self._put(pcm, time)
        return [pcm for _, pcm in previous._unheard]

    @property
    def has_unheard(self) -> bool:
        """True if a new connection would get some of it again."""
        return bool(self._unheard)

    def add(self, pcm: bytes, at: float) -> None:
        """Note what is sent.

        Args:
            pcm: whole samples.
            at: monotonic time of its end; only that of a connection's first counts, to tell how
                long there was none.
        """
        length = self._format.seconds(pcm)
        self._begin(at - length)
        self._put(pcm, self._now)
        self._now += length

    def leave_out(self, pcm: bytes, at: float) -> None:
        """Note what is not sent, such as silence: what follows is that much later."""
        length = self._format.seconds(pcm)
        self._begin(at - length)
        self._now += length

    def _begin(self, time: float) -> None:
        if not self._live:
            self._live = True
            if self._origin is None:
                self._origin = time
            # A file that is read faster than it plays is behind the clock on the wall; its own counts.
            self._now = max(self._now, time - self._origin)

    def _put(self, pcm: bytes, time: float) -> None:
        ahead = time - self.sent
        if not self._marks or abs(ahead - self._marks[-1][1]) > _SAME:
            self._marks.append((self.sent, ahead))
        self._unheard.append((time, pcm))
        self.sent += self._format.seconds(pcm)
        self._forget(self.sent - self._keep)

    def _forget(self, position: float) -> None:
        """Nothing before this position has to be sent again."""
        while self._unheard:
            length = self._format.seconds(self._unheard[0][1])
            if self._unheard_from + length > position + _SAME:
                break
            self._unheard.popleft()
            self._unheard_from += length

    def heard(self, position: float) -> None:
        """The server has put into words all that lies before this position."""
        self._forget(position)
        # What is no longer kept may still become words, and has its time until then.
        while len(self._marks) > 1 and self._marks[1][0] <= min(position, self._unheard_from):
            del self._marks[0]

    def time(self, position: float) -> float:
        """When the sound at this position was said."""
        ahead = next((ahead for place, ahead in reversed(self._marks) if place <= position + _SAME), None)
        return position + (ahead if ahead is not None else self._marks[0][1] if self._marks else 0.0)
