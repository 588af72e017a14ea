"""Ctrl+C and SIGTERM become one exception, once."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from tests.patience import PATIENCE
from voicews.cli.signals import Stopped, held, stoppable


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_raises_and_knows_its_exit_code(number: int, code: int) -> None:
    with pytest.raises(Stopped) as caught, stoppable():
        os.kill(os.getpid(), number)
        threading.Event().wait(PATIENCE)
    assert caught.value.exit_code == code


def test_a_second_signal_does_not_disturb_the_closing() -> None:
    closed = False
    with pytest.raises(Stopped), stoppable():
        try:
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            closed = True
    assert closed


def test_a_signal_long_after_the_first_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicews.cli.signals._PATIENCE", 0.0)
    with stoppable():
        for _ in range(2):
            with pytest.raises(Stopped):
                os.kill(os.getpid(), signal.SIGINT)


def test_the_handlers_of_before_come_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with stoppable():
        assert signal.getsignal(signal.SIGINT) is not before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_held_signals_come_at_the_end() -> None:
    done = False
    with stoppable(), pytest.raises(Stopped) as caught:
        with held():
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
            done = True
        raise AssertionError("the signal was lost")
    assert done
    assert caught.value.exit_code == 143


def test_nothing_held_is_nothing_raised() -> None:
    before = signal.getsignal(signal.SIGINT)
    with held():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_another_thread_cannot_set_handlers_and_need_not() -> None:
    before, inside = signal.getsignal(signal.SIGINT), []

    def elsewhere() -> None:
        with stoppable(), held():
            inside.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert inside == [before]
