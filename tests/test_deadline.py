from __future__ import annotations

import math
import queue
import threading
from functools import partial
from typing import Any

import numpy as np
import pytest

from voicews import ConfigError, Event, State, VoiceClient
from voicews.audio import NullSink, SilenceSource
from voicews.buffers import DropOldestQueue
from voicews.deadline import Deadline, checked_timeout
from voicews.threads.callbacks import EventStream


def test_a_deadline_counts_down_to_zero() -> None:
    deadline = Deadline(60)
    left = deadline.remaining()
    assert left is not None
    assert 50 < left <= 60
    assert not deadline.passed


def test_a_passed_deadline_leaves_no_time() -> None:
    deadline = Deadline(0)
    assert deadline.passed
    assert deadline.remaining() == 0.0


def test_without_seconds_there_is_no_end() -> None:
    deadline = Deadline(None)
    assert deadline.remaining() is None
    assert not deadline.passed


@pytest.mark.parametrize("timeout", [math.inf, -math.inf, math.nan, "5", b"5", True, [], 1j])
def test_what_is_no_timeout_is_named(timeout: Any) -> None:
    """Wherever a user can give one."""
    voice = VoiceClient("ws://localhost", microphone=SilenceSource(), speaker=NullSink())
    for call in (
        voice.open,
        voice.wait,
        partial(voice.wait_for, State.CONNECTED),
        EventStream(Event, 10).get,
        lambda value: DropOldestQueue[int](1).get(timeout=value),
    ):
        with pytest.raises(ConfigError, match=r"the timeout is .*; it must be a number of seconds"):
            call(timeout)
    assert voice.state is State.IDLE


def test_what_is_one() -> None:
    assert checked_timeout(None) is None
    assert checked_timeout(3) == 3.0
    assert checked_timeout(np.float32(0.5)) == 0.5
    assert checked_timeout(1e300) == threading.TIMEOUT_MAX
    with pytest.raises(queue.Empty):
        DropOldestQueue[int](1).get(timeout=-1)
