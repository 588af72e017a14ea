"""The life of a client: every fact in every state, without a thread or a clock."""

from __future__ import annotations

import copy
import itertools
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.lifecycle_diagram import PAGES, diagram, page_with, table
from voicews.backoff import Backoff, RetryPolicy, Verdict, judge
from voicews.errors import ConnectFailed, ConnectionClosed, HandshakeRejected, InvalidState, TlsFailed
from voicews.lifecycle import (
    TRANSITIONS,
    Close,
    Connect,
    Connected,
    Dropped,
    Fact,
    Fault,
    Lifecycle,
    Open,
    State,
    TearDown,
    TornDown,
)

LOST = ConnectionClosed(1006)
WRONG = TlsFailed("the certificate has expired")
DONE = ConnectionClosed(1000)
EXACT = Backoff(jitter=0.0)
FACTS: list[Fact] = [Open(), Connected(), Dropped(LOST), Fault(WRONG), Close(), TornDown()]

# As the design draws it, once more: state, fact, next state and order.
TABLE: dict[tuple[State, type[Fact]], tuple[State, object]] = {
    (State.IDLE, Open): (State.CONNECTING, Connect(0.0, 0)),
    (State.IDLE, Close): (State.CLOSED, None),
    (State.CONNECTING, Connected): (State.CONNECTED, None),
    (State.CONNECTING, Dropped): (State.RECONNECTING, Connect(1.0, 1)),
    (State.CONNECTING, Fault): (State.CLOSING, TearDown(graceful=False)),
    (State.CONNECTING, Close): (State.CLOSING, TearDown(graceful=True)),
    (State.CONNECTED, Dropped): (State.RECONNECTING, Connect(1.0, 1)),
    (State.CONNECTED, Fault): (State.CLOSING, TearDown(graceful=True)),
    (State.CONNECTED, Close): (State.CLOSING, TearDown(graceful=True)),
    (State.RECONNECTING, Connected): (State.CONNECTED, None),
    (State.RECONNECTING, Dropped): (State.RECONNECTING, Connect(2.0, 2)),
    (State.RECONNECTING, Fault): (State.CLOSING, TearDown(graceful=False)),
    (State.RECONNECTING, Close): (State.CLOSING, TearDown(graceful=True)),
    (State.CLOSING, Connected): (State.CLOSING, None),
    (State.CLOSING, Dropped): (State.CLOSING, None),
    (State.CLOSING, Fault): (State.CLOSING, None),
    (State.CLOSING, Close): (State.CLOSING, None),
    (State.CLOSING, TornDown): (State.CLOSED, None),
    (State.CLOSED, Open): (State.CONNECTING, Connect(0.0, 0)),
    (State.CLOSED, Close): (State.CLOSED, None),
    (State.FAILED, Open): (State.CONNECTING, Connect(0.0, 0)),
    (State.FAILED, Close): (State.FAILED, None),
}
WAY_TO: dict[State, list[Fact]] = {
    State.IDLE: [],
    State.CONNECTING: [Open()],
    State.CONNECTED: [Open(), Connected()],
    State.RECONNECTING: [Open(), Dropped(LOST)],
    State.CLOSING: [Open(), Close()],
    State.CLOSED: [Open(), Close(), TornDown()],
    State.FAILED: [Open(), Fault(WRONG), TornDown()],
}


def at(state: State, **policy: Any) -> Lifecycle:
    lifecycle = Lifecycle(policy.pop("backoff", EXACT), RetryPolicy(**policy))
    for fact in WAY_TO[state]:
        lifecycle.handle(fact, 0.0)
    assert lifecycle.state is state
    return lifecycle


# -- the table ---------------------------------------------------------------------------------


def test_the_table_is_the_designs() -> None:
    assert {(state, kind): new for state, row in TRANSITIONS.items() for kind, new in row.items()} == {
        cell: new for cell, (new, _) in TABLE.items()
    }
    assert set(TRANSITIONS) == set(State)
    assert {kind for row in TRANSITIONS.values() for kind in row} == set(Fact.__subclasses__())


@pytest.mark.parametrize(("state", "fact"), list(itertools.product(State, FACTS)), ids=str)
def test_every_fact_in_every_state(state: State, fact: Fact) -> None:
    lifecycle = at(state)
    before = copy.copy(vars(lifecycle))
    expected = TABLE.get((state, type(fact)))
    if expected is None:
        with pytest.raises(InvalidState, match=f"{type(fact).__name__} cannot happen in state {state.name}"):
            lifecycle.handle(fact, 1.0)
        assert vars(lifecycle) == before
    else:
        assert lifecycle.handle(fact, 1.0) == expected[1]
        assert lifecycle.state is expected[0]


def test_what_is_no_fact_is_refused() -> None:
    class Dream(Open):
        """Facts are told by their exact class."""

    lifecycle = at(State.IDLE)
    with pytest.raises(InvalidState, match="Dream"):
        lifecycle.handle(Dream(), 0.0)
    assert lifecycle.state is State.IDLE


@pytest.mark.parametrize("state", State)
def test_which_states_are_ends(state: State) -> None:
    assert state.ended == (state in (State.CLOSED, State.FAILED))


# -- losing the connection -----------------------------------------------------------------------


def attempts(
    lifecycle: Lifecycle, count: int, error: BaseException = LOST
) -> list[Connect | TearDown | None]:
    return [lifecycle.handle(Dropped(error), 0.0) for _ in range(count)]


def test_three_attempts_and_then_the_end() -> None:
    lifecycle = at(State.CONNECTING, backoff=Backoff(jitter=0.0, max_attempts=3))
    orders = attempts(lifecycle, 4)
    assert orders == [Connect(1.0, 1), Connect(2.0, 2), Connect(4.0, 3), TearDown(graceful=False)]
    assert (lifecycle.state, lifecycle.error, lifecycle.gave_up) == (State.CLOSING, LOST, True)
    assert lifecycle.attempt == 3
    lifecycle.handle(TornDown(), 0.0)
    assert (lifecycle.state, lifecycle.error) == (State.FAILED, LOST)


def test_by_default_a_client_gives_up_only_if_it_never_had_a_session() -> None:
    lifecycle = at(State.CONNECTING)
    assert attempts(lifecycle, 6)[-1] == TearDown(graceful=False)
    lifecycle.handle(TornDown(), 0.0)
    lifecycle.handle(Open(), 0.0)
    lifecycle.handle(Connected(), 0.0)
    assert all(isinstance(order, Connect) for order in attempts(lifecycle, 1000))
    lifecycle.handle(Close(), 0.0)
    lifecycle.handle(TornDown(), 0.0)
    lifecycle.handle(Open(), 0.0)  # another run: the server may have gone for good meanwhile
    assert attempts(lifecycle, 6)[-1] == TearDown(graceful=False)


def test_a_number_limits_the_attempts_after_a_session_too() -> None:
    lifecycle = at(State.CONNECTED, backoff=Backoff(jitter=0.0, max_attempts=3))
    assert attempts(lifecycle, 4)[-1] == TearDown(graceful=False)


def test_a_short_session_is_told_where_it_explains_the_number() -> None:
    lifecycle = at(State.CONNECTING, backoff=Backoff(jitter=0.0))
    order = lifecycle.handle(Dropped(LOST), 0.0)
    assert isinstance(order, Connect)
    assert (order.attempt, order.lasted) == (1, None)
    lifecycle.handle(Connected(), 1.0)
    order = lifecycle.handle(Dropped(LOST), 9.0)
    assert isinstance(order, Connect)
    assert (order.attempt, order.lasted) == (2, 8.0)
    order = lifecycle.handle(Dropped(LOST), 9.0)
    assert isinstance(order, Connect)
    assert (order.attempt, order.lasted) == (3, None)
    lifecycle.handle(Connected(), 20.0)
    order = lifecycle.handle(Dropped(LOST), 30.0)
    assert isinstance(order, Connect)
    assert (order.attempt, order.lasted) == (1, None)


def test_no_attempts_at_all() -> None:
    lifecycle = at(State.CONNECTED, backoff=Backoff(max_attempts=0))
    assert attempts(lifecycle, 1) == [TearDown(graceful=False)]
    assert lifecycle.gave_up


def test_attempts_without_end() -> None:
    lifecycle = at(State.CONNECTED, backoff=Backoff(jitter=0.0, max_attempts=None))
    assert attempts(lifecycle, 1000)[-1] == Connect(30.0, 1000)


def test_a_link_that_does_not_last_forgets_nothing() -> None:
    lifecycle = at(State.CONNECTED, backoff=Backoff(jitter=0.0, stable_after=10.0))
    delays = []
    now = 0.0
    for _ in range(4):
        now += 9.9
        order = lifecycle.handle(Dropped(LOST), now)
        assert isinstance(order, Connect)
        delays.append(order.delay)
        lifecycle.handle(Connected(), now)
    assert delays == [1.0, 2.0, 4.0, 8.0]


def test_a_link_that_lasts_begins_anew() -> None:
    lifecycle = at(State.CONNECTED, backoff=Backoff(jitter=0.0, stable_after=10.0))
    attempts(lifecycle, 3)
    lifecycle.handle(Connected(), 100.0)
    assert lifecycle.handle(Dropped(LOST), 110.0) == Connect(1.0, 1)
    # Time that passes without a link does not count.
    assert lifecycle.handle(Dropped(LOST), 1000.0) == Connect(2.0, 2)


def test_the_server_may_ask_for_more_time() -> None:
    busy = HandshakeRejected(503, retry_after=7.0)
    lifecycle = at(State.CONNECTING)
    assert attempts(lifecycle, 5, busy) == [
        Connect(7.0, 1),
        Connect(7.0, 2),
        Connect(7.0, 3),
        Connect(8.0, 4),
        Connect(16.0, 5),
    ]
    patient = at(State.CONNECTING, max_retry_after=3.0)
    assert attempts(patient, 1, busy) == [Connect(3.0, 1)]


@pytest.mark.parametrize("state", [State.CONNECTING, State.CONNECTED, State.RECONNECTING])
def test_a_fatal_loss_is_a_fault(state: State) -> None:
    lifecycle = at(state)
    assert lifecycle.handle(Dropped(WRONG), 0.0) == TearDown(graceful=False)
    assert (lifecycle.state, lifecycle.error, lifecycle.gave_up) == (State.CLOSING, WRONG, False)


@pytest.mark.parametrize("state", [State.CONNECTING, State.CONNECTED, State.RECONNECTING])
def test_a_server_that_ends_in_good_order_is_no_error(state: State) -> None:
    lifecycle = at(state)
    assert lifecycle.handle(Dropped(DONE), 0.0) == TearDown(graceful=False)
    lifecycle.handle(TornDown(), 0.0)
    assert (lifecycle.state, lifecycle.error) == (State.CLOSED, None)


# -- judges ------------------------------------------------------------------------------------


def test_the_users_judge_decides() -> None:
    seen = []

    def lenient(error: BaseException) -> Verdict:
        seen.append(error)
        return Verdict.RETRY

    assert attempts(at(State.CONNECTED, judge=lenient), 1, WRONG) == [Connect(1.0, 1)]
    assert seen == [WRONG]
    assert attempts(at(State.CONNECTED, judge=lambda _: Verdict.FATAL), 1) == [TearDown(graceful=False)]


@pytest.mark.parametrize("answer", [None, True, "retry"])
def test_a_judge_that_gives_no_verdict_is_overruled(answer: Any) -> None:
    assert attempts(at(State.CONNECTED, judge=lambda _: answer), 1) == [Connect(1.0, 1)]
    assert attempts(at(State.CONNECTED, judge=lambda _: answer), 1, WRONG) == [TearDown(graceful=False)]


@pytest.mark.parametrize("raised", [ZeroDivisionError, SystemExit, KeyboardInterrupt])
def test_a_judge_that_raises_is_overruled_and_reported(
    raised: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    def broken(error: BaseException) -> Verdict:
        raise raised

    with caplog.at_level(logging.ERROR):
        assert attempts(at(State.CONNECTED, judge=broken), 1) == [Connect(1.0, 1)]
        assert attempts(at(State.CONNECTED, judge=broken), 1, WRONG) == [TearDown(graceful=False)]
    assert raised.__name__ in caplog.text


def test_a_judge_is_not_asked_while_closing() -> None:
    lifecycle = at(State.CLOSING, judge=lambda _: pytest.fail("asked"))
    assert lifecycle.handle(Dropped(LOST), 0.0) is None


# -- the end -----------------------------------------------------------------------------------


def test_the_first_error_is_kept() -> None:
    lifecycle = at(State.CONNECTED)
    lifecycle.handle(Fault(WRONG), 0.0)
    lifecycle.handle(Fault(LOST), 0.0)
    lifecycle.handle(Dropped(LOST), 0.0)
    lifecycle.handle(TornDown(LOST), 0.0)
    assert (lifecycle.state, lifecycle.error) == (State.FAILED, WRONG)


def test_a_fault_while_closing_fails_the_run() -> None:
    lifecycle = at(State.CLOSING)
    lifecycle.handle(Fault(WRONG), 0.0)
    lifecycle.handle(TornDown(), 0.0)
    assert (lifecycle.state, lifecycle.error) == (State.FAILED, WRONG)


def test_what_goes_wrong_in_tearing_down_fails_the_run() -> None:
    lifecycle = at(State.CLOSING)
    lifecycle.handle(TornDown(LOST), 0.0)
    assert (lifecycle.state, lifecycle.error) == (State.FAILED, LOST)


def test_an_error_without_truth_is_kept_all_the_same() -> None:
    class Hollow(ConnectFailed):
        def __bool__(self) -> bool:
            return False

    hollow = Hollow("x")
    lifecycle = at(State.CONNECTED)
    lifecycle.handle(Fault(hollow), 0.0)
    lifecycle.handle(TornDown(LOST), 0.0)
    assert (lifecycle.state, lifecycle.error) == (State.FAILED, hollow)


def test_opening_again_forgets_the_last_run() -> None:
    lifecycle = at(State.CONNECTING, backoff=Backoff(jitter=0.0, max_attempts=1))
    attempts(lifecycle, 2)
    lifecycle.handle(TornDown(), 0.0)
    assert lifecycle.gave_up
    assert lifecycle.handle(Open(), 0.0) == Connect(0.0, 0)
    assert (lifecycle.error, lifecycle.attempt, lifecycle.gave_up) == (None, 0, False)
    assert lifecycle.handle(Dropped(LOST), 0.0) == Connect(1.0, 1)


def test_the_defaults() -> None:
    lifecycle = Lifecycle()
    assert (lifecycle.state, lifecycle.error) == (State.IDLE, None)
    lifecycle.handle(Open(), 0.0)
    orders = attempts(lifecycle, 6)
    assert orders[-1] == TearDown(graceful=False)
    assert all(isinstance(order, Connect) for order in orders[:-1])


# -- a long walk -------------------------------------------------------------------------------


class Walk(RuleBasedStateMachine):
    """Any facts in any order, against the rules as a few lines of prose would put them."""

    MAX_ATTEMPTS, STABLE_AFTER = 2, 10.0

    def __init__(self) -> None:
        super().__init__()
        backoff = Backoff(jitter=0.0, max_attempts=self.MAX_ATTEMPTS, stable_after=self.STABLE_AFTER)
        self.lifecycle = Lifecycle(backoff)
        self.now = 0.0
        self.state = State.IDLE
        self.error: BaseException | None = None
        self.used = 0
        self.up_since: float | None = None

    @rule(
        fact=st.sampled_from([*FACTS, Dropped(WRONG), Dropped(DONE), TornDown(LOST)]),
        passed=st.sampled_from([0.0, 5.0, 10.0]),
    )
    def happen(self, fact: Fact, passed: float) -> None:
        self.now += passed
        legal = (self.state, type(fact)) in TABLE
        before = copy.copy(vars(self.lifecycle))
        try:
            order = self.lifecycle.handle(fact, self.now)
        except InvalidState:
            assert not legal
            assert vars(self.lifecycle) == before
            return
        assert legal
        expected = self.follow(fact)
        assert order == expected

    def follow(self, fact: Fact) -> Connect | TearDown | None:
        old = self.state
        match fact:
            case Open():
                self.state, self.error, self.used, self.up_since = State.CONNECTING, None, 0, None
                return Connect(0.0, 0)
            case Close():
                if old is State.IDLE:
                    self.state = State.CLOSED
                elif not old.ended and old is not State.CLOSING:
                    self.state = State.CLOSING
                    return TearDown(graceful=True)
            case TornDown(error=error):
                self.error = self.error or error
                self.state = State.FAILED if self.error else State.CLOSED
            case Fault(error=error):
                self.error = self.error or error
                self.state = State.CLOSING
                return None if old is State.CLOSING else TearDown(graceful=old is State.CONNECTED)
            case Connected() if old is not State.CLOSING:
                self.state, self.up_since = State.CONNECTED, self.now
            case Dropped(error=error) if old is not State.CLOSING:
                return self.lose(error)
        return None

    def lose(self, error: BaseException) -> Connect | TearDown:
        verdict = judge(error)
        if verdict is Verdict.RETRY and self.up_since is not None:
            self.used = 0 if self.now - self.up_since >= self.STABLE_AFTER else self.used
        if verdict is Verdict.RETRY and self.used < self.MAX_ATTEMPTS:
            self.state, self.up_since = State.RECONNECTING, None
            self.used += 1
            return Connect(2.0 ** (self.used - 1), self.used)
        self.state = State.CLOSING
        self.error = None if verdict is Verdict.DONE else error
        return TearDown(graceful=False)

    @invariant()
    def agree(self) -> None:
        assert self.lifecycle.state is self.state
        assert self.lifecycle.error is self.error
        assert not (self.state is State.CLOSED and self.error)
        assert not (self.state is State.FAILED and not self.error)


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=200, stateful_step_count=40)


# -- the diagram -------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_diagram_in_the_docs_is_up_to_date(page: Path) -> None:
    """Else: python -m tests.lifecycle_diagram."""
    text = page.read_text(encoding="utf-8")
    assert text == page_with(text)
    assert diagram() in text
    assert table() in text
