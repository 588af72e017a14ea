"""Whether sound moves: pure rules for the supervisor, which looks at them once a second."""

from __future__ import annotations

from collections.abc import Mapping

from voicews.errors import AudioStalled

__all__ = ["Watchdog"]


class Watchdog:
    """Finds a client that is deaf or mute although nothing has failed.

    Args:
        seconds: how long nothing may move; None never barks.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._sent = -1.0
        self._since: float | None = None

    def rest(self) -> None:
        """There is nothing to watch, or the whole process stood still: begin anew."""
        self._since = None

    def look(
        self, now: float, *, sent: float, playing_stuck_for: float, trials_hang_for: Mapping[str, float]
    ) -> AudioStalled | None:
        """Judge; call it ever and again while the session is open.

        Args:
            now: monotonic seconds.
            sent: frames of captured sound that have left, counted from any start.
            playing_stuck_for: seconds for which received sound has waited without any being played.
            trials_hang_for: by device, for how long it has been lost and there, but has not answered.

        Returns:
            What is wrong, or None.
        """
        if self._seconds is None:
            return None
        if self._since is None or sent != self._sent:
            self._sent, self._since = sent, now
        hanging = max(trials_hang_for, key=lambda device: trials_hang_for[device], default="")
        if now - self._since >= self._seconds:
            return AudioStalled(
                f"no captured sound has been sent for {self._seconds:g} s, though the session is open"
            )
        if playing_stuck_for >= self._seconds:
            return AudioStalled(
                f"received sound has been waiting for {self._seconds:g} s, and none was played"
            )
        if trials_hang_for.get(hanging, 0.0) >= self._seconds:
            return AudioStalled(f"the {hanging}'s driver has been hanging for {self._seconds:g} s")
        return None
