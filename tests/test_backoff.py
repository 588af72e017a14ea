"""When to try again, and how long to wait: no thread, no clock."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicews.backoff import Backoff, RetryPolicy, UntilConnected, Verdict, judge
from voicews.errors import (
    AudioError,
    ConfigError,
    ConnectFailed,
    ConnectionClosed,
    ConnectTimeout,
    HandshakeRejected,
    KeepaliveTimeout,
    LocalProtocolError,
    MessageTooLarge,
    ProxyFailed,
    RemoteProtocolError,
    ServiceError,
    TlsFailed,
    TransportError,
    VoicewsError,
)

# -- delays ------------------------------------------------------------------------------------


def test_the_defaults_without_jitter() -> None:
    delays = Backoff(jitter=0.0, max_attempts=None).delays()
    assert list(itertools.islice(delays, 7)) == [1, 2, 4, 8, 16, 30, 30]
    assert list(Backoff(jitter=0.0).delays()) == [1, 2, 4, 8, 16]


@given(st.integers(0, 200))
def test_there_are_as_many_delays_as_attempts(attempts: int) -> None:
    assert len(list(Backoff(max_attempts=attempts).delays())) == attempts
    assert len(list(Backoff(max_attempts=UntilConnected(attempts)).delays())) == attempts
    assert len(list(itertools.islice(Backoff(max_attempts=None).delays(), 500))) == 500


def test_the_limit_before_and_after_the_first_session() -> None:
    def limits(backoff: Backoff) -> tuple[int | None, int | None]:
        return backoff.limit(), backoff.limit(connected_before=True)

    assert limits(Backoff()) == (5, None)
    assert limits(Backoff(max_attempts=UntilConnected(0))) == (0, None)
    assert limits(Backoff(max_attempts=7)) == (7, 7)
    assert limits(Backoff(max_attempts=None)) == (None, None)


@pytest.mark.parametrize("value", [-1, 1.0, True, math.nan, "1", None])
def test_a_wrong_limit(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"UntilConnected\.attempts is .*; it must be a whole number"):
        UntilConnected(value)


@given(
    initial=st.floats(0, 100),
    factor=st.floats(1, 10),
    more=st.floats(0, 1000),
    jitter=st.floats(0, 1),
    attempt=st.integers(0, 10**9),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_delays_are_what_the_formula_says(
    initial: float, factor: float, more: float, jitter: float, attempt: int, chance: float
) -> None:
    backoff = Backoff(initial=initial, factor=factor, cap=initial + more, jitter=jitter)
    longest = min(initial * factor ** min(attempt, 300), initial + more) if attempt < 300 else initial + more
    delay = backoff.delay(attempt, chance=lambda: chance)
    assert 0 <= delay <= backoff.cap
    assert delay >= (1 - jitter) * (longest if attempt < 300 else 0) * (1 - 1e-9)
    if not jitter and attempt < 300:
        assert delay == pytest.approx(longest)


def test_the_cap_holds_for_ever() -> None:
    assert Backoff(jitter=0.0).delay(10**9) == 30.0
    assert Backoff(factor=1e300, jitter=0.0).delay(10**6) == 30.0
    assert Backoff(initial=0.0, jitter=0.0).delay(10**6) == 0.0
    assert Backoff(factor=1.0, jitter=0.0).delay(10**6) == 1.0


def test_chance_is_asked_only_where_there_is_jitter() -> None:
    def never() -> float:
        raise AssertionError

    assert Backoff(jitter=0.0).delay(1, chance=never) == 2.0
    assert Backoff(jitter=0.5).delay(1, chance=lambda: 0.5) == 1.5
    assert Backoff(jitter=1.0).delay(1, chance=lambda: 0.0) == 2.0
    assert 0.75 <= Backoff().delay(0) <= 1.0


BAD_NUMBERS: tuple[Any, ...] = (-1, math.nan, math.inf, -math.inf, True, "1", None, [])


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        *(("initial", value, "0 or more seconds") for value in BAD_NUMBERS),
        *(("factor", value, "1 or more") for value in (*BAD_NUMBERS, 0.5)),
        *(("cap", value, "`initial` at least") for value in (*BAD_NUMBERS, 0.5)),
        *(("jitter", value, "from 0 to 1") for value in (*BAD_NUMBERS, 1.1)),
        *(("max_attempts", value, "a whole number") for value in (-1, 1.0, True, math.nan, "1")),
        *(("stable_after", value, "0 or more seconds") for value in BAD_NUMBERS),
    ],
)
def test_a_wrong_setting_is_named_with_its_value_and_what_is_allowed(
    name: str, value: Any, allowed: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Backoff(**{name: value})
    message = str(caught.value)
    assert message.startswith(f"Backoff.{name} is {value!r}; it must be ")
    assert allowed in message


def test_settings_at_their_bounds() -> None:
    Backoff(initial=0, factor=1, cap=0, jitter=0, max_attempts=0, stable_after=0)
    Backoff(jitter=1, max_attempts=None)


# -- judgements --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statuses", "verdict"),
    [
        ((408, 425, 429, 500, 502, 503, 504, 599), Verdict.RETRY),
        ((200, 301, 302, 400, 401, 402, 403, 404, 410, 418, 426, 451), Verdict.FATAL),
    ],
)
def test_http_statuses(statuses: tuple[int, ...], verdict: Verdict) -> None:
    assert {judge(HandshakeRejected(status)) for status in statuses} == {verdict}


@pytest.mark.parametrize(
    ("codes", "verdict"),
    [
        ((1000,), Verdict.DONE),
        ((1002, 1003, 1007, 1008, 1009, 1010), Verdict.FATAL),
        ((1001, 1005, 1006, 1011, 1012, 1013, 1014, 1015, 3000, 4999), Verdict.RETRY),
    ],
)
def test_close_codes(codes: tuple[int, ...], verdict: Verdict) -> None:
    assert {judge(ConnectionClosed(code)) for code in codes} == {verdict}


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (ConnectFailed("x"), Verdict.RETRY),
        (ConnectTimeout("x"), Verdict.RETRY),
        (TransportError("x"), Verdict.RETRY),
        (KeepaliveTimeout("x"), Verdict.RETRY),
        (ConnectionResetError("x"), Verdict.RETRY),
        (TimeoutError("x"), Verdict.RETRY),
        (ServiceError("x"), Verdict.RETRY),
        (ServiceError("x", fatal=True), Verdict.FATAL),
        (TlsFailed("x"), Verdict.FATAL),
        (ProxyFailed("x"), Verdict.RETRY),
        (ProxyFailed("x", fatal=True), Verdict.FATAL),
        (RemoteProtocolError("x"), Verdict.FATAL),
        (LocalProtocolError("x"), Verdict.FATAL),
        (MessageTooLarge("x"), Verdict.FATAL),
        (AudioError("x"), Verdict.FATAL),
        (VoicewsError("x"), Verdict.FATAL),
        (ZeroDivisionError("x"), Verdict.FATAL),
        (KeyboardInterrupt(), Verdict.FATAL),
    ],
    ids=repr,
)
def test_other_errors(error: BaseException, verdict: Verdict) -> None:
    assert judge(error) is verdict


# -- the policy --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "obeyed"), [(None, 0.0), (0.0, 0.0), (-5.0, 0.0), (7.0, 7.0), (1e9, 300.0), (math.nan, 0.0)]
)
def test_retry_after(asked: float | None, obeyed: float) -> None:
    assert RetryPolicy().retry_after(HandshakeRejected(503, retry_after=asked)) == obeyed


def test_only_a_refused_handshake_asks_for_time() -> None:
    assert RetryPolicy().retry_after(ConnectionClosed(1013)) == 0.0


def test_the_default_judges() -> None:
    assert RetryPolicy().judge is judge


@pytest.mark.parametrize("value", BAD_NUMBERS)
def test_a_wrong_longest_wait(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"RetryPolicy\.max_retry_after"):
        RetryPolicy(max_retry_after=value)


@pytest.mark.parametrize("value", [None, 7, Verdict.RETRY])
def test_a_judge_that_is_no_function(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"RetryPolicy\.judge"):
        RetryPolicy(value)
