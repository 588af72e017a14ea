"""When to try again, and how long to wait: pure rules, no thread and no clock."""

from __future__ import annotations

import enum
import itertools
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from voicews.callables import require_plain, safe_repr
from voicews.errors import (
    ConfigError,
    ConnectionClosed,
    HandshakeRejected,
    ProxyFailed,
    ServiceError,
    TlsFailed,
    TransportError,
    VoicewsError,
)

__all__ = ["Backoff", "RetryPolicy", "UntilConnected", "Verdict", "judge"]


def _is_number(value: float, least: float) -> bool:
    """A finite number and not below ``least``; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value < math.inf


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


@dataclass(frozen=True)
class UntilConnected:
    """A limit of attempts that holds until the first session; from then on there is none.

    Raises:
        ConfigError: ``attempts`` is wrong.
    """

    attempts: int = 5
    """Retries before giving up while there has been no session."""

    def __post_init__(self) -> None:
        if not _is_count(self.attempts):
            raise ConfigError(
                f"UntilConnected.attempts is {self.attempts!r}; it must be a whole number, 0 or more"
            )


@dataclass(frozen=True)
class Backoff:
    """Capped exponential backoff: the n-th delay is ``min(initial * factor**n, cap)``.

    Raises:
        ConfigError: a number is out of its range.
    """

    initial: float = 1.0
    """Seconds before the first retry; 0 or more."""
    factor: float = 2.0
    """What each delay is multiplied with; 1 or more."""
    cap: float = 30.0
    """The longest delay in seconds; not below ``initial``."""
    jitter: float = 0.25
    """The share of each delay that chance may take away, 0 (exact) to 1 (anything down to nothing),
    so that a thousand devices do not come back in the same second."""
    max_attempts: int | UntilConnected | None = UntilConnected(5)
    """Retries before giving up: a number, at the start and after each loss alike, or None, which never gives
    up.  The default gives up after 5 while there has been no session, since the address may be wrong, and
    never once there was one."""
    stable_after: float = 10.0
    """A session must have lasted this many seconds before earlier failures are forgotten: one that ends
    sooner counts as one more failed attempt, and the delays go on growing."""

    def __post_init__(self) -> None:
        self._check("initial", _is_number(self.initial, 0), "0 or more seconds")
        self._check("factor", _is_number(self.factor, 1), "1 or more")
        self._check("cap", _is_number(self.cap, self.initial), "a number of seconds, `initial` at least")
        self._check("jitter", _is_number(self.jitter, 0) and self.jitter <= 1, "from 0 to 1")
        attempts = self.max_attempts
        known = attempts is None or isinstance(attempts, UntilConnected) or _is_count(attempts)
        self._check("max_attempts", known, "a whole number, 0 or more, UntilConnected(…) or None")
        self._check("stable_after", _is_number(self.stable_after, 0), "0 or more seconds")

    def _check(self, name: str, ok: bool, allowed: str) -> None:
        if not ok:
            raise ConfigError(f"Backoff.{name} is {safe_repr(getattr(self, name))}; it must be {allowed}")

    def delay(self, attempt: int, *, chance: Callable[[], float] = random.random) -> float:
        """Seconds to wait before retry number ``attempt``, counted from 0.

        ``chance`` gives a number in [0, 1) and is only asked where there is jitter.
        """
        try:
            delay = min(self.initial * float(self.factor) ** attempt, self.cap)
        except OverflowError:
            delay = self.cap if self.initial else 0.0
        return delay * (1 - self.jitter * chance()) if self.jitter else delay

    def limit(self, *, connected_before: bool = False) -> int | None:
        """How many retries there are before giving up; None if there is no limit.

        Args:
            connected_before: whether there has been a session since the client was opened.
        """
        attempts = self.max_attempts
        if isinstance(attempts, UntilConnected):
            return None if connected_before else attempts.attempts
        return attempts

    def delays(self) -> Iterator[float]:
        """The delays of a client that finds no server: as many as it makes attempts (see :meth:`limit`)."""
        limit = self.limit()
        for attempt in itertools.count() if limit is None else range(limit):
            yield self.delay(attempt)


class Verdict(enum.Enum):
    """What an error means for the run."""

    RETRY = "retry"
    """Connect again after the backoff."""
    DONE = "done"
    """The server ended the conversation in good order: so do we, without an error."""
    FATAL = "fatal"
    """Trying again would fail the same way."""


_RETRIED_STATUSES = frozenset({408, 425, 429})
_FATAL_CODES = frozenset({1002, 1003, 1007, 1008, 1009, 1010})


def judge(error: BaseException) -> Verdict:
    """The default judgement.

    HTTP 408, 425, 429 and 5xx are retried, other statuses are fatal.  Close code 1000 is
    the end; 1002, 1003, 1007, 1008, 1009 and 1010 (RFC 6455 §7.4.1) are fatal; all other
    codes are retried, and so is every network error.  A certificate that does not verify,
    a broken protocol, a proxy that refuses and everything unknown are fatal.
    """
    match error:
        case HandshakeRejected(status=status):
            return Verdict.RETRY if status in _RETRIED_STATUSES or status >= 500 else Verdict.FATAL
        case ConnectionClosed(code=1000):
            return Verdict.DONE
        case ConnectionClosed(code=code):
            return Verdict.FATAL if code in _FATAL_CODES else Verdict.RETRY
        case TlsFailed():
            return Verdict.FATAL
        case ProxyFailed(fatal=fatal):
            return Verdict.FATAL if fatal else Verdict.RETRY
        case TransportError():
            return Verdict.RETRY
        case ServiceError(fatal=fatal):
            return Verdict.FATAL if fatal else Verdict.RETRY
        case VoicewsError():
            return Verdict.FATAL
        case OSError():
            return Verdict.RETRY
    return Verdict.FATAL


@dataclass(frozen=True)
class RetryPolicy:
    """Which errors are worth another attempt.

    Give your own function to overrule the default, and fall back to :func:`judge`::

        def never_give_up(error):
            return Verdict.RETRY if isinstance(error, HandshakeRejected) else judge(error)

        ClientConfig(retry=RetryPolicy(never_give_up))

    The function runs on the supervisor thread, so it has to be quick; if it raises, or
    returns no :class:`Verdict`, the default judges.

    Raises:
        ConfigError: a field is wrong.
    """

    judge: Callable[[BaseException], Verdict] = field(default=judge, repr=False)
    """From the error to the verdict."""
    max_retry_after: float = 300.0
    """The longest ``Retry-After`` (seconds) that is obeyed; a longer one is cut to this."""

    def __post_init__(self) -> None:
        if not callable(self.judge):
            raise ConfigError(
                f"RetryPolicy.judge is {safe_repr(self.judge)}; it must be a function of an error"
            )
        require_plain("RetryPolicy.judge", self.judge)
        if not _is_number(self.max_retry_after, 0):
            raise ConfigError(
                f"RetryPolicy.max_retry_after is {safe_repr(self.max_retry_after)}; "
                "it must be 0 or more seconds"
            )

    def retry_after(self, error: BaseException) -> float:
        """The least delay that the server asked for, in seconds; 0 if it did not."""
        asked = error.retry_after if isinstance(error, HandshakeRejected) else None
        return min(asked, self.max_retry_after) if asked is not None and asked > 0 else 0.0
