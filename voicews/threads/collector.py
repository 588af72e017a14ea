"""Fetches answers whose sound lies at an address, each on a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from voicews.deadline import Deadline
from voicews.dialects.base import Sound
from voicews.errors import ServiceError, ThreadUnavailable, VoicewsError
from voicews.events import SoundOffered
from voicews.threads.worker import Worker

__all__ = ["Collector"]

log = logging.getLogger(__name__)

_AT_ONCE = 4
"""Fetches under way; one more is refused, so that a server cannot start threads without end."""

Deliver = Callable[[SoundOffered, Sound | VoicewsError], None]
"""Gets an offer, and its sound or what went wrong."""


class _Fetch(Worker):
    def __init__(self, fetch: Callable[[], Sound], done: Callable[[Sound | VoicewsError], None]) -> None:
        super().__init__("fetch")
        self._fetch = fetch
        self._done = done

    def work(self) -> None:
        try:
            sound: Sound | VoicewsError = self._fetch()
        except VoicewsError as error:
            sound = error
        except BaseException as error:  # a function of the user's may be behind it
            log.exception("an answer's sound could not be fetched")
            sound = ServiceError(f"{type(error).__name__}: {error}")
            sound.__cause__ = error
        self._done(sound)


class Collector:
    """The fetches under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: set[_Fetch] = set()

    def collect(self, offer: SoundOffered, fetch: Callable[[], Sound], deliver: Deliver) -> None:
        """Begin; what comes of it is delivered from another thread, or at once if it cannot begin.

        Args:
            offer: the answer.
            fetch: gets its sound; runs on a thread of its own.
            deliver: gets the offer, and what came of it.
        """
        run = _Fetch(fetch, lambda sound: deliver(offer, sound))
        failure: VoicewsError | None = None
        with self._lock:
            self._threads = {one for one in self._threads if one.is_alive()}
            if len(self._threads) >= _AT_ONCE:
                failure = ServiceError(f"{_AT_ONCE} answers are being fetched already")
            else:
                try:
                    run.start()
                    self._threads.add(run)
                except ThreadUnavailable as error:
                    failure = error
        if failure is not None:
            deliver(offer, failure)

    def alive(self, seconds: float | None) -> list[threading.Thread]:
        """The fetches that still run after so many seconds."""
        deadline = Deadline(seconds)
        with self._lock:
            threads = list(self._threads)
        return [run for run in threads if not run.ended_within(deadline.remaining())]
