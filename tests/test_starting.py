from __future__ import annotations

import threading

import pytest

from voicews.errors import ThreadUnavailable, VoicewsError
from voicews.starting import wanting


def test_a_thread_that_cannot_be_had_is_an_error_of_ours() -> None:
    thread = threading.Thread(name="voicews-x")
    with (
        pytest.raises(ThreadUnavailable, match=r"voicews-x cannot be had .*ulimit -u") as caught,
        wanting(thread),
    ):
        raise RuntimeError("can't start new thread")
    assert isinstance(caught.value, VoicewsError)
    assert str(caught.value.__cause__) == "can't start new thread"


def test_one_that_can_be_had_is_left_alone() -> None:
    ran = threading.Event()
    thread = threading.Thread(name="voicews-x", target=ran.set)
    with wanting(thread):
        thread.start()
    thread.join()
    assert ran.is_set()
