"""The life of a client as one table: pure, without a thread or a clock.

All that decides about the state is in this file.  Whoever runs it (the supervisor) hands
facts to :meth:`Lifecycle.handle` and carries out the order that comes back.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType

from voicews.backoff import Backoff, RetryPolicy, Verdict, judge
from voicews.errors import InvalidState, SessionExpired

__all__ = [
    "TRANSITIONS",
    "Close",
    "Connect",
    "Connected",
    "Dropped",
    "Fact",
    "Fault",
    "Lifecycle",
    "Open",
    "State",
    "TearDown",
    "TornDown",
]

log = logging.getLogger(__name__)


class State(enum.Enum):
    """Where a client is in its life."""

    IDLE = "idle"
    """Made, never opened."""
    CONNECTING = "connecting"
    """Opened; the server has not accepted a session yet."""
    CONNECTED = "connected"
    """The server has accepted the session."""
    RECONNECTING = "reconnecting"
    """The connection is lost; another attempt is waiting or under way."""
    CLOSING = "closing"
    """Saying the last words and giving things back."""
    CLOSED = "closed"
    """Ended as wanted."""
    FAILED = "failed"
    """Ended by an error."""

    @property
    def ended(self) -> bool:
        """True for CLOSED and FAILED."""
        return self in (State.CLOSED, State.FAILED)


class Fact:
    """Something that happened."""


@dataclass(frozen=True)
class Open(Fact):
    """The user wants a connection."""


@dataclass(frozen=True)
class Connected(Fact):
    """The dialect's session is accepted."""


@dataclass(frozen=True)
class Dropped(Fact):
    """An attempt failed, or a connection was lost."""

    error: BaseException


@dataclass(frozen=True)
class Fault(Fact):
    """Something that no new connection can mend."""

    error: BaseException


@dataclass(frozen=True)
class Close(Fact):
    """The user has had enough."""


@dataclass(frozen=True)
class TornDown(Fact):
    """All threads are gone and all things given back."""

    error: BaseException | None = None
    """What went wrong in doing so."""


TRANSITIONS: Mapping[State, Mapping[type[Fact], State]] = {
    State.IDLE: {Open: State.CONNECTING, Close: State.CLOSED},
    State.CONNECTING: {
        Connected: State.CONNECTED,
        Dropped: State.RECONNECTING,
        Fault: State.CLOSING,
        Close: State.CLOSING,
    },
    State.CONNECTED: {Dropped: State.RECONNECTING, Fault: State.CLOSING, Close: State.CLOSING},
    State.RECONNECTING: {
        Connected: State.CONNECTED,
        Dropped: State.RECONNECTING,
        Fault: State.CLOSING,
        Close: State.CLOSING,
    },
    State.CLOSING: {
        Connected: State.CLOSING,
        Dropped: State.CLOSING,
        Fault: State.CLOSING,
        Close: State.CLOSING,
        TornDown: State.CLOSED,
    },
    State.CLOSED: {Open: State.CONNECTING, Close: State.CLOSED},
    State.FAILED: {Open: State.CONNECTING, Close: State.FAILED},
}
"""{state: {kind of fact: next state}}; what is missing is illegal.

Two cells depend on more than the table: CLOSING goes to FAILED instead of CLOSED if an
error is kept, and a Dropped whose error is not worth another attempt, or that has no
attempt left, counts as a Fault (or as a Close, if the server ended in good order).
"""


@dataclass(frozen=True)
class Connect:
    """Order: dial after ``delay`` seconds."""

    delay: float
    attempt: int
    """0 for the first connection and for a planned move to a new one, else the number of the
    retry, counted from 1."""
    lasted: float | None = field(default=None, compare=False)
    """How long the session before lasted, if that was too short to begin counting anew."""


@dataclass(frozen=True)
class TearDown:
    """Order: end everything; ``graceful`` if the server can still be told."""

    graceful: bool


class Lifecycle:
    """The state of one client and the rules by which it moves.

    Attributes:
        state: where it is.
        error: what ended, or is ending, the run; None if nothing did.
        traceback: that of the error, as it was when it came here.
        attempt: how many retries the present loss has used up.
        gave_up: True if the run ends because no attempt was left.
    """

    def __init__(self, backoff: Backoff | None = None, retry: RetryPolicy | None = None) -> None:
        self._backoff = backoff or Backoff()
        self._retry = retry or RetryPolicy()
        self.state = State.IDLE
        self.error: BaseException | None = None
        self.traceback: TracebackType | None = None
        self.attempt = 0
        self.gave_up = False
        self._connected_at: float | None = None
        self._connected_before = False

    def handle(self, fact: Fact, now: float) -> Connect | TearDown | None:
        """Move to the next state and say what has to be done.

        Args:
            fact: what happened.
            now: monotonic seconds.

        Raises:
            InvalidState: the fact cannot happen in this state; nothing has changed.
        """
        if type(fact) not in TRANSITIONS[self.state]:
            raise InvalidState(f"{type(fact).__name__} cannot happen in state {self.state.name}")
        linked = not isinstance(fact, Dropped)
        if isinstance(fact, Dropped) and self.state is not State.CLOSING:
            fact = self._weigh(fact, now)
        old, self.state = self.state, TRANSITIONS[self.state][type(fact)]
        match fact:
            case Open():
                self.error, self.traceback = None, None
                self.attempt, self.gave_up, self._connected_at = 0, False, None
                self._connected_before = False
                return Connect(0.0, 0)
            case Connected() if old is not State.CLOSING:
                self._connected_at, self._connected_before = now, True
            case Dropped(error=error) if old is not State.CLOSING:
                began, self._connected_at = self._connected_at, None
                if isinstance(error, SessionExpired):
                    return Connect(0.0, self.attempt)
                delay = max(self._backoff.delay(self.attempt), self._retry.retry_after(error))
                lasted = now - began if began is not None and self.attempt else None
                self.attempt += 1
                return Connect(delay, self.attempt, lasted)
            case Fault(error=error):
                self._keep(error)
                if old is not State.CLOSING:
                    return TearDown(graceful=linked and old is State.CONNECTED)
            case Close() if self.state is State.CLOSING and old is not State.CLOSING:
                return TearDown(graceful=linked)
            case TornDown(error=late):
                self._keep(late)
                if self.error is not None:
                    self.state = State.FAILED
        return None

    def _keep(self, error: BaseException | None) -> None:
        if self.error is None and error is not None:
            self.error, self.traceback = error, error.__traceback__

    def _weigh(self, fact: Dropped, now: float) -> Fact:
        verdict: object = None
        try:
            verdict = self._retry.judge(fact.error)
        except BaseException:  # SystemExit too: it would end the supervisor without a word
            log.exception("RetryPolicy.judge raised; the default judges")
        if not isinstance(verdict, Verdict):
            verdict = judge(fact.error)
        if verdict is Verdict.DONE:
            return Close()
        if verdict is Verdict.FATAL:
            return Fault(fact.error)
        if isinstance(fact.error, SessionExpired):
            return fact
        if self._connected_at is not None and now - self._connected_at >= self._backoff.stable_after:
            self.attempt = 0
        limit = self._backoff.limit(connected_before=self._connected_before)
        if limit is not None and self.attempt >= limit:
            self.gave_up = True
            return Fault(fact.error)
        return fact
